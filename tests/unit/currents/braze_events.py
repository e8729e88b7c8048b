"""What is known of Braze's event types, and events drawn from it in both forms.

`braze_events.jsonl` has a line a type: the fields in storage with their Avro types (a
bare name is a text that may be null), the keys over HTTP, which fields are personal,
the name that Braze's own Mixpanel connector gives it and how that is known ("tab" is
Braze's event glossary), the properties the connector sends, and HTTP keys that are
newer than what is known of it. Gathered from Braze's event glossary and its public
sample files, versions to v12 of September 2026, and Mixpanel's list of exempt events.
"""

import json
import random
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLAT_PROPERTIES = {
    "users.behaviors.CustomEvent": "custom_properties",
    "users.behaviors.Purchase": "purchase_properties",
}
BANNER_STEP = "canvas_step_message_variation_api_id"
JSON_TEXT = {
    "conversion_behavior",
    "custom_attributes",
    "data_object_provenance",
    "flow_response_json",
    "message_extras",
    "tool_arguments",
    "answer_multiple_strings",
}


@dataclass(frozen=True)
class BrazeEvent:
    """One event type of Braze."""

    type: str
    family: str
    glossary: str
    name: str | None
    evidence: tuple[str, ...]
    storage: dict[str, str]
    user: frozenset[str]
    http: frozenset[str]
    personal: frozenset[str]
    connector: frozenset[str] | None
    newer: frozenset[str]


def _read(line: str) -> BrazeEvent:
    row = json.loads(line)
    storage = {}
    for field in row["storage"].split():
        name, _, kind = field.partition(":")
        storage[name] = kind or "string?"
    ids = {"user_id", "external_user_id", "device_id", "timezone"}
    own = FLAT_PROPERTIES.get(row["type"], "properties")
    guessed = {own if name == "properties" else name for name in storage}
    http = row.get("http")
    connector = row.get("connector")
    return BrazeEvent(
        type=row["type"],
        family=row["family"],
        glossary=row["glossary"],
        name=row.get("name"),
        evidence=tuple(row.get("evidence", "").split()),
        storage=storage,
        # Seven types were never seen over HTTP: what stands in storage, then.
        user=frozenset(row["user"].split() if http else ids & guessed),
        http=frozenset(http.split() if http else guessed - ids - {"id", "time"}),
        personal=frozenset(row.get("personal", "").split()),
        connector=frozenset(connector.split()) if connector else None,
        newer=frozenset(row.get("newer", "").split()),
    )


BRAZE_EVENTS = [
    _read(line)
    for line in (Path(__file__).parent / "braze_events.jsonl").read_text().splitlines()
]


def as_float32(value: float) -> float:
    (single,) = struct.unpack("f", struct.pack("f", value))
    return float(single)


def both_forms(
    kind: BrazeEvent, seed: int, *, external_id: str | None = "cust-42"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One event, nested as over HTTP and flat as in storage.

    Nullable fields are null or left out at random, and not alike in the two forms.
    """
    rng = random.Random(f"{kind.type}/{seed}")
    values: dict[str, Any] = {}
    for name, avro in kind.storage.items():
        if not (avro.endswith("?") and rng.random() < 0.25):
            values[name] = _value(rng, name, avro.rstrip("?"))
    for name in sorted((kind.http | kind.user) - values.keys() - kind.storage.keys()):
        if name not in {*FLAT_PROPERTIES.values(), BANNER_STEP}:
            values[name] = f"{name} {rng.randrange(9)}"
    values |= {"id": str(uuid.UUID(int=rng.getrandbits(128), version=4))}
    values |= {"time": rng.randrange(1_300_000_000, 1_790_000_000)}
    values["external_user_id"] = external_id

    def nothing(form: dict[str, Any], name: str) -> None:
        if rng.random() < 0.5:
            form[name] = None

    flat: dict[str, Any] = {"event_type": kind.type}
    for name, avro in kind.storage.items():
        if name not in values:
            nothing(flat, name)
        else:
            value = values[name]
            single = avro.startswith("float") and not isinstance(value, str)
            flat[name] = as_float32(value) if single else value
    if "external_user_id" not in kind.storage:
        flat["external_user_id"] = external_id
    return _nested(kind, values, nothing), flat


def _nested(
    kind: BrazeEvent,
    values: dict[str, Any],
    nothing: Callable[[dict[str, Any], str], None],
) -> dict[str, Any]:
    own = FLAT_PROPERTIES.get(kind.type)
    properties: dict[str, Any] = {}
    for name in sorted(kind.http):
        stored = {own: "properties", BANNER_STEP: "canvas_step_message_variation_id"}
        source = name if name in kind.storage else stored.get(name, name)
        found = values.get(source)
        if found is None:
            nothing(properties, name)
        else:
            properties[name] = _parsed(found) if name == own else found
    return {
        "event_type": kind.type,
        "id": values["id"],
        "time": values["time"],
        "user": {name: values.get(name) for name in kind.user | {"external_user_id"}},
        "properties": properties,
    }


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _value(rng: random.Random, name: str, avro: str) -> Any:
    if avro.startswith("array"):
        inner = avro[len("array<") : -1]
        return [_value(rng, name, inner) for _ in range(rng.randrange(3))]
    match avro:
        case "int" | "long":
            return rng.randrange(2**31)
        case "float":
            return round(rng.uniform(-180, 200_000), rng.randrange(9))
        case "double":
            return rng.uniform(-1e6, 1e6)
        case "boolean":
            return rng.random() < 0.5
    if name == "properties" or name in JSON_TEXT:
        own = {"sku": "A-1", "qty": rng.randrange(9), "tags": ["ä", 1.5], "gone": None}
        return json.dumps(own) if rng.random() < 0.8 else "{broken"
    if name == "machine_open":
        return "true"
    return f"{name} {rng.randrange(99)} ü"
