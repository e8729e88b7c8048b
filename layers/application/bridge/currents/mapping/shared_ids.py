"""Two events of one stream record that share an id: one event twice, or two.

Mixpanel would drop the second of two. It is a different event if it contradicts the
first, not if it merely says more: the same event may come twice, and in both forms.
Decision 0021.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import orjson

from bridge.currents.mapping.result import Filtered, Sent

type Earlier = dict[object, Any]
"""The events of one record that came before, parsed or as bytes, by `$insert_id`.

One that shares its id but not its name or user is also there by all three.
"""


def separate(
    sent: Sent,
    raw: bytes,
    earlier: Earlier,
    map_earlier: Callable[[Any], Sent | Filtered],
) -> None:
    """Give the event an id of its own if it contradicts the one that shares its id.

    `raw` are its bytes; the new id is a digest of these and of the shared id.
    """
    event, properties = sent.event["event"], sent.event["properties"]
    shared = properties["$insert_id"]
    first = map_earlier(_parsed(earlier[shared]))
    key = (event, properties["distinct_id"], shared)
    if isinstance(first, Sent) and not _share_key(first, sent):
        # Mixpanel tells these two apart already, but a third may share this one's key.
        if earlier.setdefault(key, raw) is raw:
            return
        first = map_earlier(_parsed(earlier[key]))
    if isinstance(first, Sent) and _contradict(first, sent):
        digest = sha256(shared.encode() + raw).hexdigest()
        properties["$insert_id"] = digest[:36]


def _parsed(event: Any) -> Any:
    return orjson.loads(event) if isinstance(event, bytes) else event


def _share_key(one: Sent, other: Sent) -> bool:
    ones, others = one.event, other.event
    return (ones["event"], ones["properties"]["distinct_id"]) == (
        others["event"],
        others["properties"]["distinct_id"],
    )


def _contradict(one: Sent, other: Sent) -> bool:
    """Whether a property of both differs; compared as JSON, where NaN is null."""
    ones, others = one.event["properties"], other.event["properties"]
    common = (ones.keys() & others.keys()) - {"$insert_id"}
    sort = orjson.OPT_SORT_KEYS
    return orjson.dumps({name: ones[name] for name in common}, option=sort) != (
        orjson.dumps({name: others[name] for name in common}, option=sort)
    )
