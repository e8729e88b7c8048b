"""Braze's `/users/track`: the answer to a request, and what it writes (pure).

A request is validated first and applied later, as Braze's answer means queued and not
written. Source: Braze docs, "POST: Track users"; messages not given there are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.braze.attributes import has_good_shape
from sandbox.braze.workspace import PRIMARY, SECONDARY, Workspace

MAX_EXTERNAL_ID_BYTES = 987
MAX_ALIAS_BYTES = 236
ARRAYS = ("attributes", "events", "purchases")
NOTHING_VALID = (
    "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
)
TOO_MANY = "Max Input Length Exceeded"
_NO_ID = "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required"
_NEEDED = {
    "attributes": (),
    "events": ("name", "time"),
    "purchases": ("product_id", "currency", "price", "time"),
}

type Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrackLimits:
    """How much one request may hold; `per_user` of 0 is no limit.

    Contracts by monthly users may have 50 objects.
    """

    objects: int = 75
    per_user: int = 0


BULK = TrackLimits(objects=1000, per_user=100)


@dataclass(slots=True)
class Validated:
    """The answer to a request, and what of it is to be applied, by array."""

    status: int
    body: dict[str, Any]
    accepted: dict[str, list[Json]] = field(default_factory=dict)


def validate(body: Json, limits: TrackLimits, blocked: set[str]) -> Validated:
    """Validate a request; `blocked` are the external ids that Braze rejects."""
    arrays = {name: body[name] for name in ARRAYS if isinstance(body.get(name), list)}
    if sum(map(len, arrays.values())) > limits.objects or _crowded(arrays, limits):
        return Validated(400, {"message": TOO_MANY})
    errors: list[dict[str, Any]] = []
    accepted: dict[str, list[Json]] = {}
    for array, items in arrays.items():
        for index, item in enumerate(items):
            problem = why_rejected(item, array, blocked)
            if problem:
                error = {"type": problem, "input_array": array, "index": index}
                errors.append(error)
            else:
                accepted.setdefault(array, []).append(item)
    rejections = {"errors": errors} if errors else {}
    if not accepted:
        return Validated(400, {"message": NOTHING_VALID, **rejections})
    counts = {f"{array}_processed": len(items) for array, items in accepted.items()}
    return Validated(201, {"message": "success", **counts, **rejections}, accepted)


def apply(workspace: Workspace, accepted: Mapping[str, list[Json]]) -> None:
    """Write what was accepted: attributes before events and purchases."""
    for item in accepted.get("attributes", ()):
        workspace.apply(item)
    for array in ("events", "purchases"):
        for item in accepted.get(array, ()):
            workspace.record(item, array)


def why_rejected(item: object, array: str, blocked: set[str]) -> str | None:
    """Why an object is rejected; None if it is accepted."""
    if not isinstance(item, dict):
        return "must be an object"
    primary = [key for key in PRIMARY if item.get(key)]
    if not primary and not any(item.get(key) for key in SECONDARY):
        return _NO_ID
    if len(primary) > 1:
        return "only one of 'external_id', 'braze_id' or 'user_alias' is allowed"
    missing = [key for key in _NEEDED[array] if item.get(key) is None]
    if missing:
        return f"'{missing[0]}' is required"
    badly = [key for key, value in item.items() if not has_good_shape(value)]
    if badly and array == "attributes":
        return f"'{badly[0]}' holds an operation that is not valid"
    return _on_identifier(item, blocked)


def _on_identifier(item: Json, blocked: set[str]) -> str | None:
    for key in ("external_id", "braze_id", *SECONDARY):
        if item.get(key) is not None and not isinstance(item[key], str):
            return f"'{key}' must be a string"
    if "@" not in (item.get("email") or "@"):
        return "EMAIL_BAD_FORMAT"
    external_id = item.get("external_id") or ""
    if len(external_id.encode(errors="replace")) > MAX_EXTERNAL_ID_BYTES:
        return "'external_id' must be fewer than 988 bytes"
    if external_id in blocked:
        return "provided external_id is blacklisted and disallowed"
    if item.get("user_alias"):
        return alias_error(item["user_alias"])
    return None


def alias_error(alias: object) -> str | None:
    """Why `{"alias_name", "alias_label"}` is rejected; None if it is accepted."""
    for key in ("alias_name", "alias_label"):
        part = alias.get(key) if isinstance(alias, dict) else None
        if not isinstance(part, str) or not part:
            return f"'{key}' must be a non-empty string"
        if len(part.encode(errors="replace")) > MAX_ALIAS_BYTES:
            return f"'{key}' must be fewer than 237 bytes"
    return None


def _crowded(arrays: Mapping[str, list[Any]], limits: TrackLimits) -> bool:
    if not limits.per_user:
        return False
    counts: dict[str, int] = {}
    for items in arrays.values():
        for item in items:
            keys = (*PRIMARY, *SECONDARY)
            user = repr(
                [item.get(key) for key in keys] if isinstance(item, dict) else 0
            )
            counts[user] = counts.get(user, 0) + 1
    return max(counts.values(), default=0) > limits.per_user
