"""Claims about the importer that need no wire: the real handler, in this process."""

import gzip
import io
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
import requests

from bridge.currents.mapping.result import Filtered, Sent
from bridge.currents.mapping.transform import Mapper
from bridge.quarantine import Key, QuarantinedItem
from cli.quarantined import Filter, found
from cli.replay import ChangedKey, Replay, replay_events
from cli.stack import RunningStack
from functions.currents_importer import app
from sandbox.event_sources.kinesis_records import encoded_event, shard_record
from sandbox.mixpanel import MixpanelStandIn, rules
from sandbox.mixpanel.events import key_of
from tests.integration.importer import (
    NONE_FAILED,
    NOW,
    batch,
    failed,
    quarantined_events,
    reject_events_with,
    source,
)
from tests.integration.stack import (
    PROJECT_TOKEN,
    REGION,
    Context,
    Stack,
)
from tests.system.claims import record_claim

SHAPES = {
    "index": "",
    "$insert_id": "$insert_id",
    "id alone": "no index",
    "index alone": "index only",
    "no error": "no error",
    "status a number": "status number",
    "texts": "texts",
    "no list": "no list",
    "counts do not add up": "odd count",
    "unknown index": "odd index",
}
"""The shapes of a 400, and the stand-in's fault that makes it so."""

POISON = "canary-reject-me"


def sizes(small: int, full: int) -> pytest.MarkDecorator:
    """The size of a row in `make test` and in `make soak`."""
    soak = pytest.param(full, marks=pytest.mark.soak)
    return pytest.mark.parametrize("size", [small, soak])


@sizes(4, 1_000)
@pytest.mark.parametrize("shape", SHAPES)
def test_b_dialect(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
    shape: str,
    size: int,
) -> None:
    reject_events_with(POISON, monkeypatch)
    mixpanel.faults.rates = {SHAPES[shape]: 1.0}
    rng, made = random.Random(shape), source()
    valid, bad = set[str](), []
    for number in range(size):
        events = [made.event() for _ in range(10)]
        for record in (events[:5], events[5:]):
            poison = rng.choice(record)
            poison["properties"]["url"] = POISON
            bad.append(poison)
        valid |= {event["id"] for event in events if event not in bad[-2:]}
        call = batch(events[:5], events[5:], first=10_000 + 2 * number)
        assert app.handler(call, Context()) == NONE_FAILED
    shown = {key[3] for key in mixpanel.visible()}
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    counted = sum(each.get("delivered", 0) for each in lines)
    quarantined = [json.loads(item.original) for item in quarantined_events(stack)]
    lost = len(valid - shown)
    false = abs(counted - len(valid))
    record_claim(
        row="B-dialect",
        size=f"{size:,} batches of 10",
        faults=f"400: {shape}",
        claim="0 lost, 0 falsely counted",
        result=f"{lost} lost, {false} falsely counted",
    )
    assert (lost, false) == (0, 0)
    assert shown == valid
    assert quarantined == bad


@sizes(400, 50_000)
def test_b_skew(stack: Stack, mixpanel: MixpanelStandIn, size: int) -> None:
    """Whatever the clock of a device said, and however late a retry comes."""
    rng, made = random.Random(7), source()
    arrived = int(batch(b"")["Records"][0]["kinesis"]["approximateArrivalTimestamp"])
    events = [made.event() for _ in range(size)]
    for number, event in enumerate(events):
        event["time"] = arrived + rng.randint(-48 * 3600, 48 * 3600)
        if number % 2:
            event["time"] = event["time"] * 1000 + rng.randrange(1000)
    seen: list[dict[str, Key]] = []
    clock = NOW
    mixpanel._imports._clock = lambda: clock
    for _ in range(3):
        mixpanel._events.clear()
        for start in range(0, size, 1_000):
            call = batch(events[start : start + 1_000], first=10_000 + start)
            assert app.handler(call, Context()) == NONE_FAILED
        seen.append({key[3]: key for key in map(key_of, mixpanel.events)})
        clock += 1_800
    changed = sum(len({keys[event["id"]] for keys in seen}) > 1 for event in events)
    record_claim(
        row="B-skew",
        size=f"{size:,} events x 3 tries",
        faults="times ±48 h, seconds and milliseconds",
        claim="same key in every replay",
        result=f"{changed} changed",
    )
    assert changed == 0
    for event in events[::2]:
        assert seen[0][event["id"]][2] == min(event["time"], arrived) * 1000


PER_BATCH = 100


@sizes(3, 100)
def test_b_401(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    """An hour without a login, an invocation each half minute."""
    made, clock = source(), 0.0
    monkeypatch.setattr(app.importer().secret, "_clock", lambda: clock)
    batches = [
        batch([made.event() for _ in range(PER_BATCH)], first=1_000 * number)
        for number in range(1, size + 1)
    ]
    mixpanel.credentials.singles = set()
    for _ in range(120):
        clock += 30
        assert failed(app.handler(batches[0], Context())) == ["1000"]
    quarantined = len(quarantined_events(stack))
    assert mixpanel.events == []
    mixpanel.credentials.singles = {PROJECT_TOKEN}
    answers = [app.handler(each, Context()) for each in batches]
    missing = size * PER_BATCH - len(mixpanel.visible())
    record_claim(
        row="B-401",
        size=f"{size * PER_BATCH:,} events",
        faults="key revoked for 1 h",
        claim="0 quarantined, all delivered after",
        result=f"{quarantined} quarantined, {missing} missing after",
    )
    assert (quarantined, missing) == (0, 0)
    assert answers == [NONE_FAILED] * size


class SlowMixpanel(requests.Session):
    """Takes everything, after 0 to 40 seconds of a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.rng = random.Random(40)
        self.taken = 0

    def post(self, url: Any, *_: Any, **options: Any) -> Any:
        latency, (_connect, read) = self.rng.uniform(0, 40), options["timeout"]
        self.now += min(latency, read)
        if latency > read:
            raise requests.ReadTimeout
        number = len(orjson.loads(gzip.decompress(options["data"])))
        self.taken += number
        body = orjson.dumps({"code": 200, "num_records_imported": number})
        answer = requests.Response()
        answer.status_code = 200
        answer.raw = Body(body)
        return answer


class Countdown(Context):
    """A minute by that clock, from now on."""

    def __init__(self, slow: SlowMixpanel) -> None:
        super().__init__()
        self._slow = slow
        self._end = slow.now + 60

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - self._slow.now) * 1000)


class Body(io.BytesIO):
    def read(self, size: int | None = -1, **_: Any) -> bytes:
        return super().read(size)

    def release_conn(self) -> None:
        pass


@sizes(6, 500)
def test_b_progress(
    stack: Stack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    slow = SlowMixpanel()
    monkeypatch.setattr(app.importer().transport, "_session", slow)

    def sleep(seconds: float) -> None:
        slow.now += seconds

    monkeypatch.setattr(app.importer().transport, "_sleep", sleep)
    made = source()
    data = [[made.event() for _ in range(100)] for _ in range(60)]
    whole = batch(*data)["Records"]
    stuck, invocations, waiting = 0, 0, list(whole)
    for _ in range(size):
        began = slow.now
        answer = app.handler({"Records": waiting}, Countdown(slow))
        invocations += 1
        assert slow.now - began < 60, "it would have been killed"
        order = [each["kinesis"]["sequenceNumber"] for each in waiting]
        passed = order.index(failed(answer)[0]) if failed(answer) else len(order)
        stuck += passed == 0
        waiting = waiting[passed:] or list(whole)
    record_claim(
        row="B-progress",
        size=f"{invocations:,} batches",
        faults="latency 0 to 40 s, time-out 60 s",
        claim="checkpoint moves in every invocation",
        result=f"{stuck} without progress",
    )
    assert stuck == 0


@pytest.fixture
def running(stack: Stack) -> RunningStack:
    resources = {
        "DataBucket": stack.bucket,
        "CurrentsStream": "currents",
        "MixpanelSecret": "mixpanel",
    }
    return RunningStack(resources, "", "", {"region_name": REGION})


class Shard:
    """What is put into the stream, read on from where it was read before."""

    def __init__(self, stack: Stack) -> None:
        self._kinesis = stack.kinesis
        self._iterator = self._kinesis.get_shard_iterator(
            StreamName="currents",
            ShardId="shardId-000000000000",
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]

    def batches(self) -> Iterator[dict[str, Any]]:
        while True:
            got = self._kinesis.get_records(ShardIterator=self._iterator, Limit=100)
            self._iterator = got["NextShardIterator"]
            if not got["Records"]:
                return
            records: list[Any] = [
                shard_record(dict(each), "shardId-000000000000", "a:b:c:eu-west-1:d")
                for each in got["Records"]
            ]
            yield json.loads(encoded_event(records))


def quarantine_everything(
    monkeypatch: pytest.MonkeyPatch, calls: Sequence[dict[str, Any]]
) -> None:
    """As if Mixpanel had rejected every single event."""
    with monkeypatch.context() as rejecting:
        rejecting.setattr(rules, "failure", lambda *_: ("event", "rejected"))
        rejecting.setattr(app.importer(), "breaker", False)
        for call in calls:
            assert app.handler(call, Context()) == NONE_FAILED


@sizes(600, 50_000)
def test_b_replay(
    stack: Stack,
    running: RunningStack,
    mixpanel: MixpanelStandIn,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    """Times to come and events without an id included: their keys hang on arrivals
    and on bytes."""
    rng, made = random.Random(3), source()
    calls = []
    for start in range(0, size, 100):
        events = [made.event() for _ in range(100)]
        for event in rng.sample(events, 10):
            event["time"] = 1_800_000_000
        for event in rng.sample(events, 10):
            del event["id"]
        call = batch(*(events[at : at + 50] for at in (0, 50)), first=10_000 + start)
        for record in call["Records"]:
            record["kinesis"]["approximateArrivalTimestamp"] -= rng.randrange(86_400)
        calls.append(call)
    for call in calls:
        assert app.handler(call, Context()) == NONE_FAILED
    first = set(mixpanel.visible())
    assert len(first) == size
    quarantine_everything(monkeypatch, calls)
    shard = Shard(stack)
    for _ in range(3):
        counts, changed = replay_all(running)
        assert counts == {"replayed": size}
        assert changed == []
        for call in shard.batches():
            assert app.handler(call, Context()) == NONE_FAILED
    assert len(mixpanel.events) == 4 * size
    new = len(set(mixpanel.visible()) - first)
    monkeypatch.setattr(Mapper, "transform", renaming(Mapper.transform))
    _, changed = replay_all(running)
    affected = {key for key in first if key[0] == "Canvas Entry"}
    listed = {(each.before, each.now) for each in changed}
    unlisted = len(
        {seconds(key) for key in affected} ^ {before for before, _ in listed}
    )
    record_claim(
        row="B-replay",
        size=f"{size:,} events x 3 replays",
        faults="two mapping versions",
        claim="0 new keys in one version; each changed key listed in the other",
        result=f"{new} new keys, {unlisted} of {len(affected):,} not listed",
    )
    assert (new, unlisted) == (0, 0)
    assert {now[0] for _, now in listed} == {"Canvas Entered"}
    assert {before[1:] == now[1:] for before, now in listed} == {True}


def replay_all(running: RunningStack) -> tuple[dict[str, int], list[ChangedKey]]:
    """Counts of a replay of all events, and those whose key has changed."""
    changed: list[ChangedKey] = []
    items = (each.item for each in found(running, Filter("currents")))
    return replay_events(Replay(running, noticed=changed.append), items), changed


def seconds(key: Key) -> Key:
    """Mixpanel tells milliseconds."""
    name, distinct_id, time, insert_id = key
    return name, distinct_id, time // 1000, insert_id


def renaming(real: Any) -> Any:
    """A mapping of another version: one event has another name."""

    def transform(*given: Any) -> Sent | Filtered:
        result: Sent | Filtered = real(*given)
        if isinstance(result, Sent) and result.event["event"] == "Canvas Entry":
            result.event["event"] = "Canvas Entered"
        return result

    return transform


def test_a_replay_leaves_what_the_mapping_still_cannot_use(
    stack: Stack, running: RunningStack, mixpanel: MixpanelStandIn
) -> None:
    event = source().event()
    event["time"] = "yesterday"
    app.handler(batch(event, b"poison"), Context())
    counts, _ = replay_all(running)
    assert counts == {"left: bad_time": 1, "left: not_json": 1}
    assert list(Shard(stack).batches()) == []


def test_a_record_that_a_later_version_can_read_is_replayed_as_it_came(
    stack: Stack, running: RunningStack
) -> None:
    record = gzip.compress(json.dumps([source().event()]).encode())
    item = QuarantinedItem(record, "bad_gzip", arrived=1_795_518_000.0)
    assert replay_events(Replay(running), [item]) == {"replayed": 1}
    assert stack.stream_records() == [record]
