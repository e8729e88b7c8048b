"""`bridge replay` fails midway and is run again: nothing is lost or doubled."""

import gzip
import json
import random
import time
from collections import Counter
from typing import Any

import pytest

from bridge.cohorts.cohort_messages import ReleaseMessage
from bridge.cohorts.messages import CohortKey, PageMessage, write
from bridge.currents.decode.record import decode
from bridge.quarantine import Quarantine, QuarantinedItem
from bridge.reasons import Reason
from cli.explain import Consequence, explanations
from cli.replay import OF_THE_CONSUMER, Pace
from sandbox.braze.currents import CurrentsSource
from tests.integration.operator import (
    CANARY,
    DAY,
    Aws,
    Operator,
    complaint,
)

STEPS = {"PutRecord": 2, "SendMessage": 5, "DeleteMessage": 3}
"""What a replay of `filled` writes: two arrivals, two pages and three dead letters."""


def page(number: int) -> PageMessage:
    key = CohortKey(project="7", cohort=str(number % 2))
    name = str(number)
    return PageMessage(key=key, seq=5, action="members", page=name, digest=f"d{number}")


@pytest.fixture
def filled(operator: Operator, aws: Aws) -> Operator:
    """Events of two arrivals and two pages in quarantine, three dead letters."""
    source = CurrentsSource(["someone"], int(DAY.timestamp()) - 60, seed=7)
    events = [
        QuarantinedItem(
            json.dumps(source.event("users.messages.email.Click")).encode(),
            "rejected",
            kind="users.messages.email.Click",
            arrived=DAY.timestamp() + number // 2,
        )
        for number in range(4)
    ]
    Quarantine(operator.s3, "data", "currents").put("batch", DAY, events)
    pages = [
        QuarantinedItem(write(page(number)).encode(), "page_expired")
        for number in range(2)
    ]
    Quarantine(operator.s3, "data", "cohorts").put("pages", DAY, pages)
    for number in range(2, 5):
        message = page(number)
        operator.sqs.send_message(
            QueueUrl=operator.queues["dead-letters"],
            MessageBody=write(message),
            MessageGroupId=message.key.group,
            MessageDeduplicationId=message.deduplication_id,
        )
    aws.calls.clear()
    return operator


def test_the_original_of_a_reshaped_event_is_left_alone(
    operator: Operator, aws: Aws
) -> None:
    event = CurrentsSource(["someone"], int(DAY.timestamp()) - 60).event()
    items = [
        QuarantinedItem(json.dumps(event).encode(), reason, arrived=DAY.timestamp())
        for reason in ("reshaped", "rejected")
    ]
    Quarantine(operator.s3, "data", "currents").put("batch", DAY, items)
    status, said = operator.run("replay")
    assert status == 0
    assert "1  events left: reshaped" in said
    assert "1  events replayed" in said


def test_a_body_that_was_too_large_for_the_receiver_comes_back(
    operator: Operator, aws: Aws
) -> None:
    """It fits into no record, but its events do."""
    source = CurrentsSource(["someone"], int(DAY.timestamp()) - 60)
    events = [source.event("users.messages.email.Click") for _ in range(40)]
    for event in events:
        event["properties"]["url"] = random.Random(event["id"]).randbytes(50_000).hex()
    body = gzip.compress(json.dumps({"events": events}).encode())
    assert len(body) > 1_100_000
    item = QuarantinedItem(body, "too_large", arrived=DAY.timestamp())
    Quarantine(operator.s3, "data", "currents").put("body", DAY, [item])
    status, _ = operator.run("replay")
    assert status == 0
    records = [data for _, data in streamed(operator)]
    found = [each.event for data in records for each in decode(data)]
    assert sorted(each["id"] for each in found) == sorted(e["id"] for e in events)


@pytest.mark.parametrize("reason", ["envelope", "not_json", "rejected", ""])
def test_a_refused_body_that_looks_like_a_message_is_none(
    operator: Operator, aws: Aws, reason: str
) -> None:
    """Else a sender of one door could command another project's cohort."""
    key = CohortKey(project="of-another", cohort="1")
    for number, message in enumerate((page(1), ReleaseMessage(key=key, seq=1))):
        item = QuarantinedItem(write(message).encode(), reason)
        Quarantine(operator.s3, "data", "cohorts").put(f"b{number}", DAY, [item])
    status, said = operator.run("replay")
    assert status == 0
    assert "2  pages left: refused at the door" in said
    assert "SendMessage" not in aws.calls


def test_what_the_consumer_states_no_door_does() -> None:
    found = explanations()
    by_consequence = {
        which: {reason for reason in Reason if which in found[reason]}
        for which in (Consequence.MESSAGE_QUARANTINED, Consequence.PAGE_REFUSED)
    }
    assert by_consequence[Consequence.MESSAGE_QUARANTINED] == OF_THE_CONSUMER
    assert not OF_THE_CONSUMER & by_consequence[Consequence.PAGE_REFUSED]


def test_a_dry_run_counts_what_a_run_brings_back_and_writes_nothing(
    filled: Operator, aws: Aws
) -> None:
    _, dry = filled.run("replay --dry-run")
    assert not set(aws.calls) & set(STEPS)
    _, done = filled.run("replay")
    assert dry == done + "nothing was brought back: this was a dry run\n"


@pytest.mark.parametrize(
    ("filters", "events", "pages"),
    [
        ("--flow currents", 4, 0),
        ("--flow cohorts", 0, 2),
        ("--reason rejected", 4, 0),
        ("--reason page_*", 0, 2),
        ("--type *email.Click", 4, 0),
        ("--type *.Open", 0, 0),
        ("--field url", 0, 0),
        ("--day 2026-11-04", 0, 0),
    ],
)
def test_a_replay_takes_what_its_filters_ask_for(
    filled: Operator, aws: Aws, filters: str, events: int, pages: int
) -> None:
    status, said = filled.run(f"replay --json {filters}")
    counts = json.loads(said)["counts"]
    assert status == 0
    assert counts.get("events", {}).get("replayed", 0) == events
    assert counts.get("pages", {}).get("replayed", 0) == pages
    is_picked = bool({"--reason", "--type", "--field"} & set(filters.split()))
    letters = counts.get("pages", {}).get("from the dead-letter queue", 0)
    assert letters == (0 if is_picked or "currents" in filters else 3)


def test_a_pace_leaves_room_in_the_stream() -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(1_000.0, lambda: now[0], sleep)
    for size in (500, 1_000, 100):
        pace(size)
    assert slept == [0.5, 1.0]


def streamed(operator: Operator) -> Counter[tuple[str, bytes]]:
    records = operator.stream_records()
    return Counter((record["PartitionKey"], record["Data"]) for record in records)


def queued(operator: Operator, queue: str) -> list[str]:
    """Each message's page, in the order of the queue."""
    found: list[str] = []
    while True:
        answer: Any = operator.sqs.receive_message(
            QueueUrl=operator.queues[queue], MaxNumberOfMessages=10
        )
        if not answer.get("Messages"):
            return found
        for message in answer["Messages"]:
            found.append(json.loads(message["Body"])["page"])
            operator.sqs.delete_message(
                QueueUrl=operator.queues[queue], ReceiptHandle=message["ReceiptHandle"]
            )


def dead_letters(operator: Operator) -> int:
    """Those that a consumer holds at the moment included."""
    names: Any = (
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
    )
    counts = operator.sqs.get_queue_attributes(
        QueueUrl=operator.queues["dead-letters"], AttributeNames=names
    )["Attributes"]
    return sum(map(int, counts.values()))


def test_all_comes_back_and_is_counted(filled: Operator, aws: Aws) -> None:
    status, said = filled.run("replay --date 2026-11-03")
    assert status == 0
    assert [" ".join(line.split()) for line in said.splitlines()] == [
        "4 events replayed",
        "2 pages replayed",
        "3 pages from the dead-letter queue",
    ]
    assert {step: aws.calls.count(step) for step in STEPS} == STEPS
    waited = aws.arguments["ReceiveMessage"]["WaitTimeSeconds"]
    assert waited > 0, "else SQS asks some of its servers alone"
    assert streamed(filled).total() == 2
    assert dead_letters(filled) == 0
    assert queued(filled, "cohorts") == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("applied", [False, True], ids=["undone", "done"])
@pytest.mark.parametrize(
    ("step", "number"),
    [(step, number) for step, count in STEPS.items() for number in range(1, count + 1)],
)
def test_half_a_run_is_completed_by_the_next(
    filled: Operator,
    aws: Aws,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    number: int,
    applied: bool,
) -> None:
    """A step can also fail after AWS did it: the answer is lost.

    A record can stand in the stream twice with the same bytes and the same arrival,
    which is one event for Mixpanel; a page stands in the queue once.
    """
    if applied:
        aws.lose_answer(step, number)
    else:
        aws.deny(step, number)
    status, said = filled.run("replay")
    assert status == 1
    assert "AccessDenied" in complaint(said)
    aws.heal()
    status, said = filled.run("replay")
    assert status == 0
    records = streamed(filled)
    assert len(records) == 2, "the same bytes with the same first arrival"
    assert sorted(queued(filled, "cohorts")) == ["0", "1", "2", "3", "4"]
    assert dead_letters(filled) == 0


def test_a_third_run_brings_no_page_twice(filled: Operator) -> None:
    for _ in range(3):
        assert filled.run("replay")[0] == 0
    assert len(streamed(filled)) == 2
    assert queued(filled, "cohorts") == ["0", "1", "2", "3", "4"]


def test_a_replay_that_is_stopped_says_that_it_can_be_repeated(
    filled: Operator, aws: Aws
) -> None:
    aws.fail = lambda operation, number: (
        KeyboardInterrupt() if (operation, number) == ("SendMessage", 4) else None
    )
    status, said = filled.run("replay")
    assert status == 130
    assert (
        said.splitlines()[-1] == "stopped  before the end; the command can be run again"
    )
    aws.heal()
    assert filled.run("replay")[0] == 0
    assert sorted(queued(filled, "cohorts")) == ["0", "1", "2", "3", "4"]


def test_nothing_is_replayed_under_rules_that_are_unusable(
    filled: Operator, aws: Aws
) -> None:
    """Sending what a rule holds back could not be undone."""
    filled.put_rules(b"{")
    status, said = filled.run("replay")
    assert status == 1
    assert complaint(said).startswith("the document: ")
    assert not set(aws.calls) & set(STEPS)


def test_the_object_that_the_quarantine_did_not_write_is_named(
    filled: Operator, aws: Aws
) -> None:
    key = "quarantine/currents/date=2026-11-03/hour=04/other.ndjson"
    filled.s3.put_object(Bucket="data", Key=key, Body=CANARY.encode())
    for command in ("status", "replay"):
        status, said = filled.run(command)
        assert status == 1
        assert complaint(said) == f"s3://data/{key} is damaged in line 1"
    assert filled.run("replay --date 2026-11-04")[0] == 0


@pytest.mark.parametrize("command", ["status", "replay"])
@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "20261103", "../cohorts"])
def test_a_day_that_is_none_is_refused_before_anything_is_done(
    filled: Operator,
    aws: Aws,
    capsys: pytest.CaptureFixture[str],
    command: str,
    day: str,
) -> None:
    status, said = filled.run(f"{command} --date {day}")
    assert status == 2
    assert "is no day YYYY-MM-DD" in said
    assert not set(aws.calls) & {"ListObjectsV2", *STEPS}


def test_a_page_that_could_not_be_moved_keeps_its_place(
    filled: Operator, aws: Aws
) -> None:
    """The next run must not find an empty dead-letter queue for half a minute."""
    aws.deny("SendMessage")
    began = time.monotonic()
    assert filled.run("replay --date 1999-01-01")[0] == 1
    aws.heal()
    status, said = filled.run("replay --date 1999-01-01")
    assert status == 0
    assert "3  pages from the dead-letter queue" in said
    assert queued(filled, "cohorts") == ["2", "3", "4"]
    assert time.monotonic() - began < 25, "not by the queue's own time-out"
