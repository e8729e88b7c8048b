"""One Currents event → one Mixpanel event (pure).

The four values by which Mixpanel de-duplicates (event, distinct_id, time, $insert_id)
are a function of the event and its arrival in the stream alone: any "now" or random id
here would show every retry a second time. What depends on the type alone is planned
once a type, for this runs for every event.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from bridge.braze.currents_event import CurrentsEvent, read_event
from bridge.currents.mapping.catalog import (
    CATALOG,
    CUSTOM_EVENT,
    CUSTOM_EVENT_PREFIX,
    NO_DEVICE_IN_STORAGE,
    counted_type,
)
from bridge.currents.mapping.compile import (
    CompiledProperties,
    compile_properties,
    keyed_digest,
)
from bridge.currents.mapping.dedup_key import (
    EARLIEST,
    event_time,
    insert_id,
    why_nobody,
)
from bridge.currents.mapping.properties import is_reserved
from bridge.currents.mapping.rules import Rules, is_sampled
from bridge.errors import MalformedInput
from bridge.settings import AnonymousUsers

MAPPING_VERSION = "2"
"""Raised when an event that was sent before would get other values than before."""

_NO_DEVICE: dict[str, Any] = {}
DEVICE_PREFIX = "$device:"
MAX_COMPILED = 5_000
"""Types are some hundred; a producer that makes them up must not fill the memory."""

type Earlier = dict[object, Any]
"""Events of one record, or their bytes, by `$insert_id`."""


class Filtered(NamedTuple):
    """The event is not sent; `rule` says by which rule."""

    rule: str


class Sent(NamedTuple):
    """A Mixpanel event, and what it held that the catalog does not know."""

    event: dict[str, Any]
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledMapping:
    """What holds for all events of one name; `counted` is the name for counting."""

    name: str
    counted: str
    filtered: Filtered | None
    share: float
    sampled_out: Filtered
    properties: CompiledProperties
    device_tells: bool
    unknown: tuple[str, ...]


class Mapper:
    """The mapping under the customer's rules; `hmac_key` is for those that hash."""

    def __init__(
        self,
        anonymous: AnonymousUsers,
        rules: Rules | None = None,
        hmac_key: str = "",
    ) -> None:
        self._rules = rules or Rules()
        self.takes_devices = anonymous is AnonymousUsers.DEVICE
        self._digest = keyed_digest(hmac_key.encode())
        self.compiled: dict[str, CompiledMapping] = {}
        """By type, or by the whole name of a custom event."""
        self._properties: dict[str, CompiledProperties] = {}
        as_json = self._rules.model_dump_json(exclude_defaults=True)
        ruled = sha256(f"{anonymous}{as_json}{hmac_key}".encode()).hexdigest()[:8]
        is_plain = not rules and anonymous is AnonymousUsers.SKIP
        self.version = MAPPING_VERSION if is_plain else f"{MAPPING_VERSION}-{ruled}"
        """Changes whenever an event may get other values than before."""

    def transform(
        self,
        event: object,
        raw: bytes,
        arrived: float,
        earlier: Earlier | None = None,
    ) -> Sent | Filtered:
        """Map one event; `raw` are its bytes, `arrived` is in epoch seconds.

        `earlier` are the events of the same stream record that were mapped before, for
        two that share an id. Raises `MalformedInput` naming the field.
        """
        currents = read_event(event)
        key = _custom_name(currents) if currents.type == CUSTOM_EVENT else currents.type
        compiled = self.compiled.get(key) or self._compile(currents.type, key)
        if compiled.filtered:
            return compiled.filtered
        time = event_time(currents.time, arrived)
        if time < EARLIEST:
            return Filtered("before_2010")
        # The rules for `device_id` hold where it becomes an id as well.
        device = _device_of(currents, compiled.properties)
        distinct_id = self._distinct_id(currents, compiled, device)
        if isinstance(distinct_id, Filtered):
            return distinct_id
        if compiled.share < 1 and not is_sampled(distinct_id, compiled.share):
            return compiled.sampled_out
        properties: dict[str, Any] = {
            "$partner_id": "braze",
            "distinct_id": distinct_id,
            "$insert_id": insert_id(currents.id, raw),
            "time": time,
        }
        if device:
            properties |= device
        unknown = _add_properties(properties, currents, compiled.properties)
        sent = Sent(
            {"event": compiled.name, "properties": properties},
            compiled.unknown + tuple(unknown) if unknown else compiled.unknown,
        )
        if earlier is not None:
            shared = properties["$insert_id"]
            if earlier.setdefault(shared, raw) is not raw:
                self._tell_apart(sent, raw, arrived, earlier)
        return sent

    def _tell_apart(
        self, sent: Sent, raw: bytes, arrived: float, earlier: Earlier
    ) -> None:
        """Another event with an id that was there before gets an id of its own.

        Another is one that says something else, not one that says more: the same event
        may come twice, and in both forms. Decision 0021.
        """
        event, properties = sent.event["event"], sent.event["properties"]
        shared = properties["$insert_id"]
        first = self.transform(_parsed(earlier[shared]), b"", arrived)
        key = (event, properties["distinct_id"], shared)
        if isinstance(first, Sent) and not _share_key(first, sent):
            # Mixpanel tells them apart already; but a third may be like this one.
            if earlier.setdefault(key, raw) is raw:
                return
            first = self.transform(_parsed(earlier[key]), b"", arrived)
        if isinstance(first, Sent) and _contradict(first, sent):
            digest = sha256(shared.encode() + raw).hexdigest()
            properties["$insert_id"] = digest[:36]

    def _compile(self, event_type: str, key: str) -> CompiledMapping:
        if len(self.compiled) >= MAX_COMPILED:
            self.compiled.clear()
            self._properties.clear()
        row = CATALOG.get(event_type)
        name = key if row is None or row.type == CUSTOM_EVENT else row.name
        if row is None and is_reserved(name):
            # `$merge` for one would join two users for good.
            raise MalformedInput("reserved_type", "the type is reserved by Mixpanel")
        rules, family = self._rules, row.family if row else ""
        filtered = rules.filtering(event_type, name, family)
        sample = rules.sampling(event_type, name, family)
        if event_type not in self._properties:
            known = row.type if row else event_type
            self._properties[event_type] = compile_properties(
                known, rules, self._digest
            )
        renamed = rules.rename_events
        compiled = CompiledMapping(
            renamed.get(name) or renamed.get(event_type) or name,
            counted_type(event_type),
            Filtered(filtered) if filtered else None,
            sample.keep if sample else 1,
            Filtered(f"sample {' '.join(sample.events)}" if sample else ""),
            self._properties[event_type],
            event_type not in NO_DEVICE_IN_STORAGE,
            () if row else (event_type,),
        )
        self.compiled[key] = compiled
        return compiled

    def _distinct_id(
        self, event: CurrentsEvent, compiled: CompiledMapping, device: dict[str, Any]
    ) -> str | Filtered:
        """Requirements R9 and R10; an id that stands for nobody is none."""
        rule = why_nobody(event.external_user_id)
        if rule is None:
            return str(event.external_user_id)
        if self.takes_devices:
            devices = device.values() if compiled.device_tells else ()
            for each in (*devices, event.user_id):
                if why_nobody(each) is None:
                    return f"{DEVICE_PREFIX}{each}"
        return Filtered(rule)


def _device_of(event: CurrentsEvent, compiled: CompiledProperties) -> dict[str, Any]:
    """The property, as the rules have it, or nothing."""
    device_id = event.device_id
    if device_id is None:
        return _NO_DEVICE
    action = compiled.nested["device_id"]
    if isinstance(action, str):
        return {action: device_id}
    out: dict[str, Any] = {}
    if callable(action):
        action(out, device_id)
    return out


def _share_key(one: Sent, other: Sent) -> bool:
    ones, others = one.event, other.event
    return (ones["event"], ones["properties"]["distinct_id"]) == (
        others["event"],
        others["properties"]["distinct_id"],
    )


def _parsed(event: Any) -> Any:
    return orjson.loads(event) if isinstance(event, bytes) else event


def _contradict(one: Sent, other: Sent) -> bool:
    """Whether a property that both have differs; as JSON, where NaN is null.

    The id is the same, or nobody would ask.
    """
    ones, others = one.event["properties"], other.event["properties"]
    shared = (ones.keys() & others.keys()) - {"$insert_id"}
    sort = orjson.OPT_SORT_KEYS
    return orjson.dumps({name: ones[name] for name in shared}, option=sort) != (
        orjson.dumps({name: others[name] for name in shared}, option=sort)
    )


def _custom_name(event: CurrentsEvent) -> str:
    name = event.properties.get("name")
    if not isinstance(name, str) or not name.strip():
        raise MalformedInput(
            "no_event_name", "a custom event needs a name", field="properties.name"
        )
    return f"{CUSTOM_EVENT_PREFIX} {name}"


def _add_properties(
    out: dict[str, Any], event: CurrentsEvent, compiled: CompiledProperties
) -> list[str]:
    """Write the properties; the names of those that the catalog does not know."""
    unknown: list[tuple[str, Any]] = []
    action_of: Any = (compiled.flat if event.is_flat else compiled.nested).get
    for name, value in event.properties.items():
        if value is None:
            continue
        action = action_of(name)
        if action.__class__ is str:
            out[action] = value
        elif action is None:
            unknown.append((name, value))
        elif action:
            action(out, value)
    unknown += [each for each in event.others.items() if each[1] is not None]
    # Last, so that one that is newer than the catalog never stands in for a known one.
    _add_unknown(out, unknown, compiled)
    return [name for name, _ in unknown]


def _add_unknown(
    out: dict[str, Any], unknown: list[tuple[str, Any]], compiled: CompiledProperties
) -> None:
    for name, value in unknown:
        action = compiled.unknown(name)
        if isinstance(action, str):
            out[f"[Braze] {name}" if action in out else action] = value
        elif callable(action):
            action(out, value)
