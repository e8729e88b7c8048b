"""Plain pipelines to compare the importer with: the least work that still delivers.

    python -m bench.yardsticks NAME FILE PORT [--times N]

They read the same invoke payloads, map the HTTP form minimally and post gzipped
batches over one connection: no validation, no rules, no accounts, no retries, nothing
quarantined. The ratio shows what the importer's further work costs.
"""

# ruff: noqa: PLC0415 - each yardstick loads its own libraries alone

import argparse
import base64
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

READ_BYTES = 1 << 21
"""Larger than any line: a longer one would be searched byte by byte."""

BATCH_EVENTS = 2_000
BATCH_BYTES = 2_000_000
HEADERS = {
    "Content-Type": "application/x-ndjson",
    "Content-Encoding": "gzip",
    "Authorization": "Basic eDp5",
}


@dataclass(frozen=True, slots=True)
class Libraries:
    """The functions that a yardstick reads, writes and compresses with."""

    loads: Callable[[bytes], Any]
    dumps: Callable[[Any], bytes]
    compress: Callable[[bytes], bytes]
    inflate: Callable[[bytes], bytes]


def standard_library() -> Libraries:
    """`json` and `zlib` at level 6."""
    encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
    return Libraries(
        json.loads, lambda value: encode(value).encode(), _zlib, _zlib_inflate
    )


def with_orjson() -> Libraries:
    """`orjson` and `zlib` at level 6."""
    import orjson

    return Libraries(orjson.loads, orjson.dumps, _zlib, _zlib_inflate)


def with_isal() -> Libraries:
    """`orjson` and `isal` at level 1."""
    import orjson
    from isal import igzip

    return Libraries(
        orjson.loads, orjson.dumps, lambda b: igzip.compress(b, 1), igzip.decompress
    )


YARDSTICKS: Mapping[str, Callable[[], Libraries]] = {
    "A": standard_library,
    "B": with_orjson,
    "C": with_isal,
}


def _zlib(content: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(content) + packer.flush()


def _zlib_inflate(content: bytes) -> bytes:
    return zlib.decompress(content, 31)


def read(lines: Iterable[bytes], use: Libraries) -> Iterator[Any]:
    """The events of invoke payloads, one payload a line."""
    for line in lines:
        for record in use.loads(line)["Records"]:
            data = base64.b64decode(record["kinesis"]["data"])
            if data.startswith(b"\x1f\x8b"):
                data = use.inflate(data)
            found = use.loads(data)
            if isinstance(found, list):
                yield from found
            elif "events" in found:
                yield from found["events"]
            else:
                yield found


def mapped(event: Any) -> Any:
    """A Mixpanel event: four values, and the properties unchanged."""
    user = event["user"]
    properties = {
        "time": event["time"],
        "distinct_id": user.get("external_user_id") or f"$device:{user['user_id']}",
        "$insert_id": event["id"],
        "$source": "braze",
    }
    given = event["properties"].items()
    properties.update({name: value for name, value in given if value is not None})
    return {"event": event["event_type"], "properties": properties}


def run(lines: Iterable[bytes], port: int, use: Libraries) -> int:
    """Deliver everything; the number of events."""
    connection = HTTPConnection("127.0.0.1", port)

    def ship(batch: list[bytes]) -> None:
        connection.request(
            "POST", "/import?strict=1", use.compress(b"\n".join(batch)), HEADERS
        )
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise SystemExit(f"status {response.status}")

    delivered = size = 0
    batch: list[bytes] = []
    for event in read(lines, use):
        line = use.dumps(mapped(event))
        batch.append(line)
        size += len(line)
        if len(batch) == BATCH_EVENTS or size > BATCH_BYTES:
            ship(batch)
            delivered += len(batch)
            batch, size = [], 0
    if batch:
        ship(batch)
    return delivered + len(batch)


def repeated(path: str, times: int) -> Iterator[bytes]:
    """The lines of a file, `times` over."""
    for _ in range(times):
        with open(path, "rb", READ_BYTES) as lines:  # noqa: PTH123 - costs start-up
            yield from lines


def main() -> None:
    """Run one yardstick and print what it delivered."""
    parser = argparse.ArgumentParser(prog="python -m bench.yardsticks")
    parser.add_argument("name", choices=YARDSTICKS)
    parser.add_argument("file")
    parser.add_argument("port", type=int)
    parser.add_argument("--times", type=int, default=1)
    options = parser.parse_args()
    lines = repeated(options.file, options.times)
    delivered = run(lines, options.port, YARDSTICKS[options.name]())
    sys.stdout.write(json.dumps({"delivered": delivered}) + "\n")


if __name__ == "__main__":
    main()
