"""What stands in the quarantine, one item after the other, and which of it is meant."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import unquote

from bridge.errors import MalformedInput
from bridge.quarantine import QuarantinedItem, from_lines
from cli.stack import RunningStack

FLOWS = ("cohorts", "currents")
ROOT = "quarantine/"


@dataclass(frozen=True)
class Filter:
    """Which items are meant; `reason`, `kind` and `field` may hold `*`.

    `kind` is the event type, `day` is YYYY-MM-DD, of the arrival. An empty text or None
    means all of them.
    """

    flow: str = ""
    reason: str = ""
    kind: str = ""
    day: str | None = None
    field: str = ""

    @property
    def picks_items(self) -> bool:
        """Whether more is asked than a flow and a day."""
        return bool(self.reason or self.kind or self.field)

    @property
    def flows(self) -> tuple[str, ...]:
        """The flows that are meant."""
        return (self.flow,) if self.flow else FLOWS

    def takes(self, item: QuarantinedItem) -> bool:
        """Whether an item of such a flow and day is meant."""
        asked = (
            (self.reason, item.reason),
            (self.kind, item.kind),
            (self.field, item.field),
        )
        return all(not wanted or fnmatchcase(has, wanted) for wanted, has in asked)


class Place(NamedTuple):
    """Where an item stands: its object's key below `quarantine/`, and its line."""

    object: str
    line: int

    @property
    def reference(self) -> str:
        """What `show` takes."""
        return f"{self.object}:{self.line}"


class Found(NamedTuple):
    """An item, where it stands, and whether it is a whole file."""

    place: Place
    flow: str
    at: datetime
    item: QuarantinedItem
    is_file: bool = False


def prefix_of(flow: str, day: str | None) -> str:
    """The keys of a flow, of one day or of all."""
    return f"{ROOT}{flow}/" + (f"date={day}/" if day else "")


def found(stack: RunningStack, wanted: Filter) -> Iterator[Found]:
    """All items that are meant, in order of arrival; files come without bytes.

    Raises `MalformedInput` with the name of an object that cannot be read.
    """
    s3 = stack.client("s3")
    bucket = stack.resources["DataBucket"]
    for flow in wanted.flows:
        for entry in objects(s3, bucket, prefix_of(flow, wanted.day)):
            for each in _in_object(s3, bucket, flow, entry):
                if wanted.takes(each.item):
                    yield each


def count_objects(stack: RunningStack, wanted: Filter) -> int:
    """How many objects there are to look into."""
    s3 = stack.client("s3")
    bucket = stack.resources["DataBucket"]
    return sum(
        1
        for flow in wanted.flows
        for _ in objects(s3, bucket, prefix_of(flow, wanted.day))
    )


def one(stack: RunningStack, reference: str) -> Found | None:
    """The item that a reference names, with its bytes; None if there is none."""
    name, _, line = reference.rpartition(":")
    flow = name.partition("/")[0]
    if flow not in FLOWS or not line.isdecimal():
        return None
    s3 = stack.client("s3")
    bucket = stack.resources["DataBucket"]
    for entry in objects(s3, bucket, ROOT + name):
        if entry["Key"] == ROOT + name:
            for each in _in_object(s3, bucket, flow, entry):
                if each.place.line == int(line):
                    return each
    return None


def _in_object(s3: Any, bucket: str, flow: str, entry: Any) -> Iterator[Found]:
    key, at = entry["Key"], entry["LastModified"]
    name = key.removeprefix(ROOT)
    if key.endswith(".file"):
        head = s3.head_object(Bucket=bucket, Key=key)
        metadata = head["Metadata"]
        item = QuarantinedItem(
            b"",
            metadata.get("reason", ""),
            message=metadata.get("message", ""),
            position=unquote(metadata.get("position", "")),
        )
        yield Found(Place(name, 1), flow, at, item, is_file=True)
    elif key.endswith(".ndjson"):
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            for line, item in enumerate(from_lines(content), 1):
                yield Found(Place(name, line), flow, at, item)
        except MalformedInput as error:
            text = f"s3://{bucket}/{key} is damaged in {error}"
            raise MalformedInput(error.reason, text) from None


def objects(s3: Any, bucket: str, prefix: str) -> Iterator[Any]:
    """What a listing says of each object with the prefix."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        yield from page.get("Contents", ())
