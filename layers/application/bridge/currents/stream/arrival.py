"""When an event first came into the stream, told by a record's partition key.

An event's time in Mixpanel is not later than its arrival, so a replay has to bring the
first arrival along or it would make another event. The partition key is the only
place for it: the data stay the bytes that Braze sent.
"""

import hashlib

_PREFIX = "arrived="


def partition_key(arrived: float, data: bytes) -> str:
    """The key of a replayed record; it spreads over shards by its data."""
    return f"{_PREFIX}{arrived!r}/{hashlib.sha256(data).hexdigest()[:32]}"


def first_arrival(key: str, arrived: float) -> float:
    """Epoch seconds; `arrived` unless the key tells of an earlier time."""
    if not key.startswith(_PREFIX):
        return arrived
    try:
        told = float(key.removeprefix(_PREFIX).partition("/")[0])
    except ValueError:
        return arrived
    return told if 0 < told < arrived else arrived
