"""What a page costs at AWS and Braze, by counting: docs/costs.md is made of this."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from math import ceil
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from bridge.aws import clients
from bridge.aws.dynamodb import Table, Update, unpack
from bridge.cohorts.rules.model import checksum
from functions.cohort_consumer import app
from functions.cohort_webhook import app as webhook
from sandbox.braze import BrazeStandIn
from scripts import costs_page
from tests.integration.stack import REST_KEY, Context, Stack, sample

MEMBERS = 1_000
COSTS = Path(__file__).parents[2] / "docs" / "costs.md"


@pytest.fixture
def calls(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Counter[str], BrazeStandIn]]:
    """Counts by operation, and write units, of both functions' AWS clients."""
    counted: Counter[str] = Counter()
    units: dict[str, int] = {}

    def units_of(request: Any) -> int:
        """Of a put by its size; what is deleted costs what it did when it was put."""
        if not isinstance(request, dict) or "PutRequest" not in request:
            at = json.dumps(request and request.get("DeleteRequest", {}).get("Key"))
            return units.get(at, 1)
        item = request["PutRequest"]["Item"]
        at = json.dumps({"pk": item["pk"], "sk": item["sk"]})
        units[at] = ceil(item_size(unpack(item)) / 1024)
        return units[at]

    lock = Lock()

    def before_call(model: Any, params: Any, **_: Any) -> None:
        with lock:  # the consumer's calls come from many threads
            count(model, params)

    def count(model: Any, params: Any) -> None:
        counted[model.name] += 1
        if model.name in {"BatchWriteItem", "TransactWriteItems", "UpdateItem"}:
            body = json.loads(params["body"])
            items = body.get("TransactItems") or body.get("RequestItems", {}).get(
                "ledger", [None]
            )
            # DynamoDB takes two write units for an item of a transaction.
            factor = 2 if model.name == "TransactWriteItems" else 1
            counted["written"] += factor * sum(map(units_of, items))

    real = clients.create

    def client(*arguments: Any, **options: Any) -> Any:
        made = real(*arguments, **options)
        made.meta.events.register("before-call.*.*", before_call)
        return made

    with BrazeStandIn(rest_api_keys=[REST_KEY]) as braze:
        monkeypatch.setattr(clients, "create", client)
        monkeypatch.setenv("BRAZE_REST_ENDPOINT", braze.url)
        app.consumer.cache_clear()
        webhook.webhook.cache_clear()
        app.consumer()
        webhook.webhook()
        for number in range(MEMBERS):
            braze.workspace.add_user(external_id=f"u{number}")
        yield counted, braze
    app.consumer.cache_clear()
    webhook.webhook.cache_clear()


def accept(
    action: str, session: str, people: range, page: int = 1, pages: int = 2
) -> None:
    event = sample("cohort_webhook")
    body = json.loads(event["body"]) | {"action": action}
    body["parameters"] |= {
        "mixpanel_session_id": session,
        "page_info": {"page_count": page, "total_pages": pages},
        "members": [{"mixpanel_distinct_id": f"u{number}"} for number in people],
    }
    answer = webhook.handler(event | {"body": json.dumps(body)}, Context())
    assert answer["statusCode"] == 200


def consume(stack: Stack) -> None:
    records = stack.messages()
    assert app.handler({"Records": records}, Context(300)) == {"batchItemFailures": []}
    stack.acknowledge(records)


def test_the_webhook_makes_six_calls_a_page(
    stack: Stack, calls: tuple[Counter[str], BrazeStandIn]
) -> None:
    counted, _ = calls
    accept("members", "s1", range(MEMBERS))
    counted.clear()
    accept("members", "s1", range(MEMBERS), page=2)
    assert counted.pop("written") == 5, "page and sync in one transaction, and sent"
    assert counted == costs_page.WEBHOOK_CALLS


def test_a_page_of_new_members_takes_the_calls_that_batches_need_and_no_more(
    stack: Stack, calls: tuple[Counter[str], BrazeStandIn]
) -> None:
    counted, braze = calls
    accept("members", "s1", range(MEMBERS))
    counted.clear()
    consume(stack)
    calls_of_braze = [75] * 13 + [25]
    written = sum(ceil(objects / 25) for objects in calls_of_braze)
    assert counted["BatchWriteItem"] == 1 + written + 1, "the push begins and ends"
    assert counted["BatchGetItem"] == MEMBERS / 100 + 4, "and the cohort"
    of_the_page = ["destination", "sync", "page", "counts"]
    of_the_push = 2 * ceil(MEMBERS * len('"e:u123",') / 1024)
    assert counted["written"] == MEMBERS + len(of_the_page) + of_the_push
    assert braze.workspace.calls["/users/track"] == len(calls_of_braze)
    assert braze.workspace.data_points == MEMBERS


def test_who_is_confirmed_costs_one_write_and_no_data_point(
    stack: Stack, calls: tuple[Counter[str], BrazeStandIn]
) -> None:
    counted, braze = calls
    accept("members", "s1", range(MEMBERS))
    consume(stack)
    counted.clear()
    accept("members", "s2", range(MEMBERS))
    consume(stack)
    assert MEMBERS <= counted["written"] <= MEMBERS + 20
    assert braze.workspace.data_points == MEMBERS


def test_a_first_sync_of_a_thousand_takes_1_034_write_units_and_14_calls(
    stack: Stack, calls: tuple[Counter[str], BrazeStandIn]
) -> None:
    """Who adds a write for every sync has to save one elsewhere."""
    counted, braze = calls
    accept("members", "s1", range(MEMBERS), pages=1)
    consume(stack)
    consume(stack)
    assert stack.messages() == []
    assert counted["written"] == 1_034
    assert counted["written"] <= costs_page.PUSH_WRITES * MEMBERS
    assert sum(braze.workspace.calls.values()) == 14
    assert counted["PutObject"] == costs_page.PAGE_PUTS == 2


def test_the_ten_thousandth_page_costs_what_the_first_costs(
    stack: Stack, calls: tuple[Counter[str], BrazeStandIn]
) -> None:
    """Whoever writes an item pays for all of it, in units of 1 KB."""
    counted, _ = calls
    written: list[Counter[str]] = []
    sizes: list[int] = []
    for number in (1, 2, 3, 10_000):
        if number == 10_000:
            pretend_that_pages_came(stack, 9_996)
        counted.clear()
        accept("members", "s1", range(5), number, 20_000)
        consume(stack)
        written.append(+counted)
        sizes.append(item_size(the_sync(stack)))
    assert written[1] == written[2] == written[3]
    assert max(sizes) - min(sizes) < 25, "the digits of three numbers"
    assert max(sizes) < 1_000
    last = the_sync(stack)
    assert last["accepted_members"] == last["processed"] == 10_000


def the_sync(stack: Stack) -> Mapping[str, Any]:
    items = stack.dynamodb.scan(TableName=stack.table)["Items"]
    (found,) = [item for item in map(unpack, items) if item["sk"].startswith("S#")]
    return found


def pretend_that_pages_came(stack: Stack, number: int) -> None:
    """Count pages as registering and applying them does."""
    item = the_sync(stack)
    update = Update(item["pk"], item["sk"])
    update.add("accepted_members", number)
    update.add("checksum_members", number * checksum("4"))
    update.add("processed", number)
    Table(stack.dynamodb, stack.table).update(update)


def item_size(item: Mapping[str, Any]) -> int:
    """Bytes as DynamoDB counts them, about: names, and values as they are written."""
    return sum(len(name) + len(str(value)) for name, value in item.items())


def test_an_invocation_writes_no_more_to_its_log_than_the_page_reckons_with(
    stack: Stack,
    calls: tuple[Counter[str], BrazeStandIn],
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """START, END and REPORT of Lambda itself take some 400 bytes."""
    accept("members", "s1", range(MEMBERS))
    consume(stack)
    written = len(logged.getvalue()) + len(capsys.readouterr().out)
    assert written / 2 + 400 <= costs_page.LOG_BYTES


def test_what_applying_a_page_writes_beside_its_members_is_reckoned_with(
    stack: Stack, calls: tuple[Counter[str], BrazeStandIn]
) -> None:
    counted, _ = calls
    accept("members", "s1", range(MEMBERS))
    consume(stack)
    accept("members", "s1", range(MEMBERS, MEMBERS + 10), page=2)
    counted.clear()
    accept("add_members", "s2", range(MEMBERS, MEMBERS + 20))
    consume(stack)
    assert counted["written"] <= 30 + 2 * costs_page.PAGE_WRITES


def test_the_page_of_costs_names_extended_retention_and_every_service() -> None:
    """A stream that keeps a week costs a second shard-hour, and more than the first."""
    text = COSTS.read_text()
    assert text == costs_page.page(text)
    template = yaml_parse((COSTS.parents[1] / "template.yaml").read_text())
    (small, *_, large) = (costs_page.Month(size, template) for size in costs_page.SIZES)
    extended = small.items["Kinesis: extended retention"]
    assert extended == pytest.approx(730 * 0.020)
    assert extended > small.items["Kinesis: shard hours"]
    assert (
        template["Resources"]["CurrentsStream"]["Properties"]["RetentionPeriodHours"]
        > 24
    )
    assert all(cost > 0 for cost in large.items.values())
    assert large.total > small.total


PRICE = 0.625 / 1_000_000
"""US dollars a write unit, on demand, us-east-1."""


def test_the_page_of_costs_says_what_these_counts_amount_to() -> None:
    """What a change costs, and a page and a sync beside that."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in COSTS.read_text().splitlines()
        if line.startswith("| 1")
    ]
    assert len(rows) == 4
    for cohort, change, first, month in rows:
        members = int(cohort.replace(",", ""))
        changed = members * float(change.rstrip(" %")) / 100
        pages = max(2, ceil(changed / 1_000))
        a_sync = costs_page.PUSH_WRITES * changed + pages * costs_page.PAGE_WRITES
        assert first == f"${costs_page.PUSH_WRITES * members * PRICE:,.2f}"
        assert month == f"${a_sync * 48 * 30 * PRICE:,.2f}"
