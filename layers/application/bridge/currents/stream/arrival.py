"""When an event first entered the stream, read from a record's partition key.

An event's time in Mixpanel is never later than its arrival, so a replay must carry the
first arrival, or it would create another event. Only the partition key has room for it:
the data stay the bytes that Braze sent.
"""

import hashlib

_PREFIX = "arrived="


def partition_key(arrived: float, data: bytes) -> str:
    """The key of a replayed record; the digest in it spreads records over shards."""
    return f"{_PREFIX}{arrived!r}/{hashlib.sha256(data).hexdigest()[:32]}"


def first_arrival(key: str, arrived: float) -> float:
    """Epoch seconds: those in the key if they are earlier, or else `arrived`."""
    if not key.startswith(_PREFIX):
        return arrived
    try:
        first = float(key.removeprefix(_PREFIX).partition("/")[0])
    except ValueError:
        return arrived
    return first if 0 < first < arrived else arrived
