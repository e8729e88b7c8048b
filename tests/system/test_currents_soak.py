"""Events over the wire while everything fails: the importer in the local cloud."""

import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.quarantine import from_lines
from sandbox.braze.currents import CurrentsSource
from sandbox.cloud import Cloud
from sandbox.mixpanel.faults import KINDS
from sandbox.servers.faults import Faults
from tests.integration.importer import reject_events_with
from tests.system.claims import record_claim

IMPORTER = "CurrentsImporterFunction"
POISON_SHARE = 500
RATES = {
    "429": 0.10,
    "500": 0.015,
    "502": 0.02,
    "503": 0.015,
    "stall": 0.05,
    **dict.fromkeys(("$insert_id", "no index", "texts", "no list"), 0.005),
    "413": 0.01,
    "kill": 0.02,
}
ONCE_EACH = (
    *("429", "no index", "stall", "413", "kill", "503", "texts", "reset after"),
    *("$insert_id", "502", "no list"),
)
PERSONS = ("canary-user-71f3", "user-1", "user-2", "user-3")
PERSONAL = (
    PERSONS[0],
    "canary-71f3@example.com",
    "+49 170 canary-71f3",
    "canary-71f3 film",
)
REJECTED = "canary-reject-me"


class KillingFaults(Faults):
    """One more kind: SIGKILL for the importer while it waits for the answer."""

    def __init__(self, cloud: Cloud, **given: Any) -> None:
        super().__init__(KINDS | {"kill"}, **given)
        self._cloud = cloud
        self.met: Counter[str] = Counter()

    def next(self, path: str) -> str | None:
        kind = super().next(path)
        if kind:
            self.met[kind] += 1
        if kind == "kill":
            self._cloud.kill(IMPORTER)
            return None
        return kind


@dataclass
class Load:
    """Records for the stream, and what has to become of what they hold."""

    records: list[bytes] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    poison: Counter[bytes] = field(default_factory=Counter)

    def add(self, record: bytes, poison: Sequence[bytes], copies: int) -> None:
        self.records += [record] * copies
        self.poison.update(list(poison) * copies)


def made_load(size: int, per_record: int, start: int) -> Load:
    """`size` events in every form a record may have, one in 500 of them poison."""
    rng, load = random.Random(11), Load()
    source = CurrentsSource(PERSONS, start, seed=5)
    for first in range(0, size, per_record):
        lines, poison = [], []
        for number in range(first, first + per_record):
            event = source.event()
            _personalise(event)
            if number % POISON_SHARE == 7:
                lines.append(_poison(event, number))
                poison.append(lines[-1])
            else:
                lines.append(json.dumps(event).encode())
                load.valid.add(event["id"])
        copies = 2 if rng.random() < 0.1 else 1
        load.add(_record(lines, rng.randrange(3)), poison, copies)
    for number in range(size // POISON_SHARE // 2):
        whole = (b"no JSON %d", b"\x1f\x8b no gzip %d", b"Obj\x01 no Avro %d")[
            number % 3
        ] % number
        load.add(whole, [whole], 1)
    rng.shuffle(load.records)
    return load


def _personalise(event: dict[str, Any]) -> None:
    properties = event["properties"]
    _, email, phone, film = PERSONAL
    if "email_address" in properties:
        properties["email_address"] = email
    if "to_phone_number" in properties:
        properties["to_phone_number"] = phone
    if "custom_properties" in properties:
        properties["custom_properties"]["title"] = film


def _poison(event: dict[str, Any], number: int) -> bytes:
    match number % 4:
        case 0:
            event["time"] = PERSONAL[1]
        case 1:
            del event["event_type"]
        case 2:
            return json.dumps(f"{PERSONAL[0]} {number}").encode()
        case _:
            event["properties"]["url"] = REJECTED
    return json.dumps(event).encode()


def _record(lines: Sequence[bytes], form: int) -> bytes:
    match form:
        case 0:
            return gzip.compress(b"[" + b",".join(lines) + b"]", 1)
        case 1:
            return b'{"events": [' + b", ".join(lines) + b"]}"
        case _:
            return gzip.compress(b"\n".join(lines) + b"\n", 1)


@pytest.fixture(scope="module")
def soaked(built: Path) -> Iterator[Cloud]:
    parameters = {"StreamShards": "4"}
    with Cloud(built, parameters=parameters, concurrency=4) as running:
        yield running


A_CALL = 50
"""Records: Kinesis takes 5 MB a call, and some are of a hundred plain events."""


def put(cloud: Cloud, records: Sequence[bytes]) -> None:
    for start in range(0, len(records), A_CALL):
        answer = cloud.client("kinesis").put_records(
            StreamName=cloud.description["resources"]["CurrentsStream"],
            Records=[
                {"Data": record, "PartitionKey": str(start + number)}
                for number, record in enumerate(records[start : start + A_CALL])
            ],
        )
        assert answer["FailedRecordCount"] == 0


def objects(cloud: Cloud) -> Iterator[tuple[str, bytes]]:
    """Every object of every bucket."""
    s3 = cloud.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
        for page in pages:
            for entry in page.get("Contents", ()):
                found = s3.get_object(Bucket=bucket["Name"], Key=entry["Key"])
                yield entry["Key"], found["Body"].read()


@pytest.mark.parametrize(
    ("size", "per_record"),
    [(5_000, 25), pytest.param(200_000, 100, marks=pytest.mark.soak)],
)
def test_b_soak(
    soaked: Cloud, monkeypatch: pytest.MonkeyPatch, size: int, per_record: int
) -> None:
    reject_events_with(REJECTED, monkeypatch)
    mixpanel: Any = soaked.mixpanel
    full = size > 5_000
    mixpanel.faults = faults = KillingFaults(soaked, rates=RATES if full else {})
    for kind in ONCE_EACH:
        faults.plan(kind)
    function = soaked._functions[IMPORTER]
    if not full:
        # A call that hangs need not be waited for as long as on Lambda.
        function.settings = replace(function.settings, timeout=14)
    load = made_load(size, per_record, int(time.time()) - 90_000)
    put(soaked, load.records)
    soaked.drain(1_500 if full else 90)
    assert set(faults.met) >= set(ONCE_EACH)

    keys = mixpanel.visible()
    ids = Counter(key[3] for key in keys)
    quarantined = Counter(
        item.original
        for key, content in objects(soaked)
        if key.startswith("quarantine/currents/")
        for item in from_lines(content)
    )
    lost = len(load.valid - set(ids))
    second = len(keys) - len(ids)
    differs = (quarantined - load.poison).total() + (load.poison - quarantined).total()
    met = [f"{number} {kind}" for kind, number in sorted(faults.met.items())]
    record_claim(
        row="B-soak",
        size=f"{size:,} events, 4 shards",
        faults=", ".join(met),
        claim="0 lost, 0 second keys, quarantine = poison to the byte",
        result=f"{lost} lost, {second} second keys, "
        f"{quarantined.total():,} quarantined, {differs} of them differ",
    )
    assert (lost, second, differs) == (0, 0, 0)
    assert set(ids) == load.valid


@pytest.mark.parametrize(
    "after", ["5,000 events", pytest.param("200,000 events", marks=pytest.mark.soak)]
)
def test_s_canary(soaked: Cloud, after: str) -> None:
    """After the soak: no secret anywhere, no person outside of the quarantine."""
    description = soaked.description
    session = requests.Session()
    session.trust_env = False
    answers = [
        session.post(
            description["currents_url"],
            data=json.dumps({"events": [{"email": PERSONAL[1]}, 5]}).encode(),
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
        )
        for token in ("canary-wrong-token-71f3", description["currents_token"])
    ]
    assert [answer.status_code for answer in answers] == [401, 200]
    soaked.drain(60)
    secrets = [
        "canary-wrong-token-71f3",
        *(
            description[name]
            for name in (
                "webhook_password",
                "currents_token",
                "mixpanel_project_token",
                "mixpanel_api_secret",
                "mixpanel_service_account_secret",
            )
        ),
    ]
    logs = [
        (path.name, path.read_bytes())
        for path in Path(description["logs"]).glob("*.log")
    ]
    assert b"batch delivered" in b"".join(content for _, content in logs)
    replies = [(str(answer.url), answer.content) for answer in answers]
    stored = list(objects(soaked))
    kept = [entry for entry in stored if entry[0].startswith("quarantine/")]
    assert kept
    public = [*logs, *replies, *(entry for entry in stored if entry not in kept)]
    hits = [
        (name, text)
        for entries, texts in ((public, (*secrets, *PERSONAL)), (kept, secrets))
        for name, content in entries
        for text in texts
        if text.encode() in content or text in name
    ]
    record_claim(
        row="S-canary",
        size=f"{len(public) + len(kept):,} logs, answers, objects after {after}",
        faults="those of B-soak",
        claim="no secret; no person outside of the quarantine",
        result=f"{len(hits)} hits",
    )
    assert hits == []
