"""Each figure of the page is what the stand-ins, the ledger or the functions say."""

import json
import re
import time
from pathlib import Path
from typing import Any

from bridge.aws.dynamodb import Table
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.rules.counts import IN, counted_as
from sandbox.live.server import LivePage
from sandbox.live.world import World
from tests.system.accounts import quarantine, waiting


def ledger(world: World) -> DynamoLedger:
    name = world.cloud.description["resources"]["LedgerTable"]
    return DynamoLedger(Table(world.cloud.client("dynamodb"), name), time.time())


def members_in_ledger(world: World) -> int:
    """Counted one by one, over all shards."""
    book, number = ledger(world), 0
    for shard in range(book.shards):
        after = ""
        while members := book.scan(world.key, shard, after, 100):
            number += sum(counted_as(each) == IN for each in members)
            after = members[-1].key
    return number


def reports(world: World) -> str:
    """The lines of all reports."""
    s3 = world.cloud.client("s3")
    bucket = world.cloud.description["resources"]["DataBucket"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="reports/")["Contents"]
    return "".join(
        s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read().decode()
        for entry in listed
    )


def metric(world: World, name: str) -> int:
    """Added up from the lines of all logs that name it."""
    logs = Path(world.cloud.description["logs"])
    text = "".join(log.read_text() for log in logs.glob("*Function.log"))
    found = re.findall(rf'"{name}":\[([\d., ]+)\]', text)
    return int(sum(float(number) for values in found for number in values.split(",")))


def test_figures_of_the_cohort(live: LivePage) -> None:
    world = live.world
    for action in ("sync", "join", "leave", "identify", "sync", "full_sync", "join"):
        world.submit(action).result()
    world.submit("duplicate", True).result()
    world.submit("sync").result()
    world.submit("all_off").result()
    # A difference, and messages that wait, as long as Braze is away.
    world.submit("braze_outage", True).result()
    world.submit("leave").result()
    world.submit("sync").result()
    shown = live.state()
    at_braze = world.braze.workspace.cohort_members(
        "mixpanel_cohorts", f"mixpanel_{world.cohort.id}"
    )
    assert shown["cohort"]["mixpanel"] == len(world.cohort.members)
    assert shown["cohort"]["braze"] == len(at_braze) == members_in_ledger(world)
    assert shown["cohort"]["ledger"] == members_in_ledger(world)
    assert shown["cohort"]["difference"] == 12
    assert not shown["equal"]
    queue = shown["queue"]
    assert queue["waiting"] + queue["in_flight"] == waiting(world.cloud) > 0
    world.submit("braze_outage", False).result()
    shown = live.state()
    assert shown["cohort"]["difference"] == 0
    assert shown["equal"]
    assert shown["writes"] == {
        "made": world.braze.workspace.data_points,
        "spared": reports(world).count(",no-op,"),
        "without_effect": world.braze.workspace.noop_writes,
    }
    assert shown["writes"]["spared"] > 0
    check_syncs(world, shown["syncs"])


def check_syncs(world: World, rows: list[dict[str, Any]]) -> None:
    """The rows count the pages that the ledger has."""
    book = ledger(world)
    assert rows
    for row in rows:
        pages = book.registered(world.key, row["seq"])
        assert row["accepted"] == len(pages)
        assert row["processed"] == sum(page.processed for page in pages)
    (baseline,) = (row for row in rows if row["state"] == "baseline")
    assert baseline["seq"] == book.cohort(world.key).baseline
    assert {row["state"] for row in rows} <= {"baseline", "complete", "superseded"}


def test_figures_of_the_events(live: LivePage) -> None:
    world = live.world
    world.submit("events").result()
    world.submit("poison").result()
    shown = live.state()["events"]
    visible = world.mixpanel.visible()
    items = quarantine(world.cloud, "currents")
    filtered = metric(world, "EventsFiltered")
    assert shown["sent"] == 240 == metric(world, "EventsReceived")
    assert shown["delivered"] == len(visible) == metric(world, "EventsDelivered")
    assert shown["copies"] == len(world.mixpanel.events)
    assert shown["filtered"] == filtered == sum(shown["filtered_reasons"].values())
    assert shown["quarantined_reasons"] == {"bad_time": 1, "too_large": 1}
    assert shown["quarantined"] == metric(world, "EventsQuarantined") == 2
    assert shown["reshaped"] == metric(world, "EventsReshaped") == 1
    assert {item.reason for item in items} == {"bad_time", "too_large", "reshaped"}
    assert shown["on_the_way"] == 0
    by_channel = shown["channels"]
    for name in ("sent", "delivered", "filtered", "quarantined"):
        assert sum(channel[name] for channel in by_channel) == shown[name]
    imported = max(
        event["properties"]["mp_processing_time_ms"] for event in visible.values()
    )
    last = [
        sent
        for id_, sent in world.sender.sent.items()
        if any(
            key[3] == id_ and event["properties"]["mp_processing_time_ms"] == imported
            for key, event in visible.items()
        )
    ]
    lags = {round(imported / 1000 - sent.at, 1) for sent in last}
    assert shown["lag"] in lags


def test_an_event_that_is_lost_would_show(live: LivePage) -> None:
    """As on the way for ever: then the two sides are not equal."""
    world = live.world
    assert live.state()["equal"]
    world.sender.sent["never-arrived"] = next(iter(world.sender.sent.values()))
    live.world.submit("rules", False).result()
    shown = live.state()
    assert shown["events"]["on_the_way"] == 1
    assert not shown["equal"]
    del world.sender.sent["never-arrived"]


def test_the_state_holds_no_secret(live: LivePage) -> None:
    world = live.world
    text = json.dumps(live.state())
    secrets = (
        value
        for name, value in world.cloud.description.items()
        if re.search("password|token|secret|key", name) and isinstance(value, str)
    )
    assert not [value for value in secrets if len(value) > 8 and value in text]
