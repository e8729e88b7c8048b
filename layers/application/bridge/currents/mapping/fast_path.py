"""Map the usual event from parsed JSON to a line for Mixpanel in one function.

`transform` and `prepare` define what becomes of an event, in small steps that each
make an object and need the event's bytes. Nearly every event needs none of that: its
values are sound and its properties have been met before. The fast path gives no answer
for anything odd, which then takes the full path. Decision 0040; tests compare the two.
"""

from typing import Any

import orjson

from bridge.braze.currents_event import NESTED_KEYS, USER_KEYS
from bridge.currents.mapping.catalog import CUSTOM_EVENT, CUSTOM_EVENT_PREFIX
from bridge.currents.mapping.dedup_key import (
    MAX_ID,
    MIN_TIME,
    REDACTED,
    is_insert_id,
    not_later,
)
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.rules import is_sampled
from bridge.currents.mapping.shared_ids import Earlier
from bridge.currents.mapping.transform import NO_LOCATION, Mapper
from bridge.mixpanel.distinct_ids import PLACEHOLDERS
from bridge.mixpanel.import_api import BYTES_PER_EVENT

type Line = tuple[bytes, str]
"""The event as JSON, and the name under which its type is counted."""

_UNIDENTIFIED = PLACEHOLDERS | {"", REDACTED.lower()}
_KEYS = len(NESTED_KEYS)


def fast_path(  # noqa: C901, PLR0912 - each call saved counts
    event: Any, arrived: float, mapper: Mapper, earlier: Earlier | None
) -> Line | Filtered | None:
    """The same result as `prepare`, or None for an event that takes the full path.

    Any exception means the same as None. `earlier` is None for an event that is alone
    in its record.
    """
    event_type, time, event_id = event["event_type"], event["time"], event["id"]
    user, given = event.get("user"), event.get("properties")
    is_flat = user is None and given.__class__ is not dict and "user" not in event
    if is_flat:
        user = given = event
    elif (
        len(event) != _KEYS
        or user.__class__ is not dict
        or given.__class__ is not dict
        or not USER_KEYS.issuperset(user)
    ):
        return None
    compiled = mapper.compiled.get(event_type)
    if compiled is None:
        name = given.get("name")
        if event_type != CUSTOM_EVENT or name.__class__ is not str:
            return None
        compiled = mapper.compiled[f"{CUSTOM_EVENT_PREFIX} {name}"]
    if compiled.filtered:
        return compiled.filtered
    if time.__class__ is not int:
        return None
    if time > arrived:
        time = not_later(time, arrived)
    if time < MIN_TIME:
        return None
    distinct_id = user.get("external_user_id")
    if distinct_id is None and not mapper.takes_devices:
        return compiled.unidentified
    if (
        distinct_id.__class__ is not str
        or distinct_id.strip().lower() in _UNIDENTIFIED
        or len(distinct_id) > MAX_ID
        or event_id.__class__ is not str
        or not is_insert_id(event_id)
        or event_id.lower() in PLACEHOLDERS
    ):
        return None
    if compiled.share < 1 and not is_sampled(distinct_id, compiled.share):
        return compiled.sampled_out
    mappers = compiled.properties
    out = (mappers.flat_mapper if is_flat else mappers.nested_mapper).properties(given)
    if out is None:
        return None
    device_id = None if is_flat else user.get("device_id")
    if device_id is not None:
        name = mappers.nested["device_id"]
        if name.__class__ is not str:
            return None
        out.setdefault(name, device_id)
    out["$partner_id"] = "braze"
    out["ip"] = NO_LOCATION
    out["distinct_id"] = distinct_id
    out["$insert_id"] = event_id
    out["time"] = time
    line = orjson.dumps({"event": compiled.name, "properties": out})
    if len(line) >= BYTES_PER_EVENT:
        return None
    if earlier is not None and earlier.setdefault(event_id, event) is not event:
        return None
    return line, compiled.counted
