"""Replay what is kept elsewhere than in the objects of the quarantine.

These are quarantined files, records that Kinesis gave up, and files whose loading
failed three times. All of them can be replayed again; only dead letters are deleted.
"""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from bridge.aws.objects import open_object
from bridge.currents.intake.avro_file import Loaded, load
from bridge.currents.stream.arrival import first_arrival
from bridge.currents.stream.kinesis import Stream
from cli.quarantined import ROOT, Found, objects
from cli.replay import Replay, waiting_in

GIVEN_UP = "aws/lambda/"
"""Where the event source mapping puts records that it gives up (AWS Lambda docs,
"Retaining discarded batch records")."""

UNREADABLE = "left: not readable"


class _Replayed(Stream):
    """The stream, for records that arrived at a known time, in epoch seconds."""

    def __init__(self, replay: Replay, arrived: float) -> None:
        self._replay = replay
        self._arrived = arrived

    def put(self, records: Iterable[bytes]) -> None:
        for data in records:
            self._replay.put(self._arrived, data)


def replay_file(replay: Replay, found: Found) -> Counter[str]:
    """Load a quarantined file once more, up to its damage; how many events."""
    opened = replay.stack.client("s3").get_object(
        Bucket=replay.stack.resources["DataBucket"], Key=ROOT + found.place.object
    )
    # The name of the original file may say the type of its events.
    return _load(replay, found.item.position, opened["Body"], found.at.timestamp())


def replay_given_up(replay: Replay, date: str | None) -> Counter[str]:
    """Put into the stream once more what Kinesis gave up; how many records."""
    replayed = Counter[str]()
    s3, bucket = replay.stack.client("s3"), replay.stack.resources["DataBucket"]
    day = f"/{date.replace('-', '/')}/" if date else ""
    for entry in objects(s3, bucket, GIVEN_UP):
        if day in entry["Key"]:
            content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            try:
                records = _given_up(content)
            except (ValueError, KeyError, TypeError, binascii.Error):
                replayed[UNREADABLE] += 1
                continue
            for arrived, data in records:
                replay.put(arrived, data)
                replayed["replayed"] += 1
    return replayed


def replay_announced(replay: Replay) -> Counter[str]:
    """Load the files of the loader's dead letters; how many, and of how many events.

    A message is deleted once its files are loaded, or do not exist any more.
    """
    replayed = Counter[str]()
    # A stack of an older release has no such queue.
    stack = replay.stack
    queue = stack.resources.get("CurrentsLoaderDeadLetterQueue")
    if queue is None:
        return replayed
    if replay.dry_run:
        replayed["files replayed"] = waiting_in(stack, queue)
        return +replayed
    sqs: Any = stack.client("sqs")
    while messages := _received(sqs, queue):
        for message in messages:
            try:
                files = list(_announced(json.loads(message["Body"])))
            except (ValueError, KeyError, TypeError, AttributeError):
                replayed[UNREADABLE] += 1
                continue
            for bucket, key in files:
                found = open_object(stack.client("s3"), bucket, key)
                if found is None:
                    replayed["gone: the file was deleted"] += 1
                    continue
                arrived = found["LastModified"].timestamp()
                replayed += _load(replay, f"{bucket}/{key}", found["Body"], arrived)
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return replayed


def _load(replay: Replay, name: str, content: Any, arrived: float) -> Counter[str]:
    loaded = Loaded()
    load(name, content, _Replayed(replay, arrived), loaded)
    replayed = Counter({"events replayed": loaded.position})
    if loaded.problem:
        replayed[f"files left: {loaded.problem.reason} ({loaded.problem})"] += 1
    if loaded.position:
        replayed["files replayed"] += 1
    return replayed


def _given_up(content: bytes) -> list[tuple[float, bytes]]:
    """Arrival and data of each record in the mapping's report of a batch."""
    payload = json.loads(content)["payload"]
    records = json.loads(payload) if isinstance(payload, str) else payload
    return [
        (
            first_arrival(
                record["kinesis"].get("partitionKey", ""),
                float(record["kinesis"]["approximateArrivalTimestamp"]),
            ),
            base64.b64decode(record["kinesis"]["data"], validate=True),
        )
        for record in records["Records"]
    ]


def _announced(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Bucket and key of each file; `record` is Lambda's report, or a bare event."""
    event = record.get("requestPayload", record)
    for each in event["Records"]:
        yield each["s3"]["bucket"]["name"], unquote_plus(each["s3"]["object"]["key"])


def _received(sqs: Any, queue: str) -> list[Any]:
    # A message that cannot be replayed stays hidden for longer than this run.
    answer = sqs.receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=1,
        VisibilityTimeout=900,
    )
    return list(answer.get("Messages", ()))
