"""The webhook as a sender of Braze's cohort import sees it: answers, keys, traces."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.aws.dynamodb import Table
from bridge.braze.partner_cohorts import server
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.intake import partner_import
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.rules.completeness import is_complete
from bridge.mixpanel.cohort_webhook import Action
from bridge.quarantine import from_lines
from bridge.validation import load_object
from functions.cohort_webhook import app
from tests.integration.stack import (
    IMPORT_KEY,
    PARTNER_KEY,
    PASSWORD,
    STORES,
    Context,
    Stack,
    forget_secrets,
    sample,
)

NAME, USERS = "cohort_webhook_partner_name", "cohort_webhook_partner_users"
KEY = CohortKey(project="mixpanel", cohort="8120045")
SUCCESS = (201, {"message": "success"})
type Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def call(stack: Stack) -> Call:
    app.webhook.cache_clear()

    def post(sample_name: str, /, raw: str | None = None, **changes: Any) -> Any:
        event = sample(sample_name)
        body = {**json.loads(event["body"]), **changes}
        text = json.dumps(body) if raw is None else raw
        answer = app.handler(event | {"body": text}, Context())
        return answer["statusCode"], json.loads(answer["body"])

    return post


def ledger(stack: Stack) -> DynamoLedger:
    return DynamoLedger(Table(stack.dynamodb, stack.table), 0)


def store(stack: Stack, **keys: list[str]) -> None:
    text = json.dumps({"username": "mixpanel", "password": PASSWORD} | keys)
    stack.secrets.put_secret_value(SecretId="webhook", SecretString=text)


def stored_pages(stack: Stack) -> set[tuple[str, ...]]:
    return {
        tuple(key for _, key in json.loads(page)) for page in stack.objects("pages/")
    }


def test_a_cohort_is_named_before_it_has_members_and_renamed(
    call: Call, stack: Stack
) -> None:
    assert call(NAME) == SUCCESS
    assert ledger(stack).cohort(KEY).name == "Trial, day 10"
    assert call(USERS) == SUCCESS
    assert ledger(stack).cohort(KEY).name == "Trial, day 10"
    before = ledger(stack).cohort(KEY)
    assert call(NAME, name="Trial, week 2") == SUCCESS
    after = ledger(stack).cohort(KEY)
    assert (after.name, after.revision) == ("Trial, week 2", before.revision)
    assert call(USERS) == SUCCESS


def test_r1_r2_r4_r5_one_call_is_one_complete_sync_of_joiners_and_leavers(
    call: Call, stack: Stack
) -> None:
    assert call(USERS) == SUCCESS
    cohort = ledger(stack).cohort(KEY)
    (sync,) = cohort.syncs
    assert is_complete(sync, cohort)
    assert not sync.full
    assert sync.skipped[Action.ADD] == {"placeholder_identifier": 1}
    joiners = (
        "e:cust-00017",
        "e:cust-00018",
        "d:0f6a1c1e-7d0a-4f2b-9d53-2b1c7a9e4d10",
        "a:9:amplitude:amp-77",
    )
    assert stored_pages(stack) == {joiners, ("e:cust-00019",)}


def test_who_stands_twice_in_a_call_is_what_is_said_last(
    call: Call, stack: Stack
) -> None:
    leaves = {"user_ids": ["u-1"], "should_remove": True}
    joins = {"user_ids": ["u-1", "u-2", "u-2"]}
    assert call(USERS, cohort_changes=[leaves, joins]) == SUCCESS
    assert stored_pages(stack) == {("e:u-1", "e:u-2"), ()}


def test_odd_ids_are_skipped_and_counted_and_nobody_else_is(
    call: Call, stack: Stack
) -> None:
    alias = {"alias_name": "a", "alias_label": "l" * 237}
    odd = ["", "unknown", "x" * 988, "\ud800"]
    changes = [{"user_ids": [*odd, "u-1"], "aliases": [alias], "device_ids": ["null"]}]
    assert call(USERS, cohort_changes=changes) == SUCCESS
    assert stored_pages(stack) == {("e:u-1",), ()}
    (sync,) = ledger(stack).cohort(KEY).syncs
    assert sync.skipped[Action.ADD] == {
        "no_identifier": 1,
        "placeholder_identifier": 2,
        "identifier_too_long": 2,
        "invalid_text": 1,
    }


def test_a_call_that_names_nobody_is_a_probe(call: Call, stack: Stack) -> None:
    assert call(USERS, cohort_changes=[]) == SUCCESS
    assert call(USERS, cohort_changes=[{"user_ids": []}]) == SUCCESS
    assert ledger(stack).cohort(KEY).syncs == ()


def test_another_partner_has_cohorts_of_its_own(call: Call, stack: Stack) -> None:
    event = sample(USERS) | {"pathParameters": {"partner": "segment"}}
    assert app.handler(event, Context())["statusCode"] == 201
    other = CohortKey(project="segment", cohort="8120045")
    assert len(ledger(stack).cohort(other).syncs) == 1
    assert ledger(stack).cohort(KEY).syncs == ()


@pytest.mark.parametrize("name", [NAME, USERS])
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"partner_api_key": "canary-wrong"}, "Invalid Partner API key"),
        ({"client_secret": "canary-wrong"}, "Invalid client secret"),
        ({"client_secret": "canary-wrong", "cohort_id": 7}, "Invalid client secret"),
        ({"partner_api_key": PARTNER_KEY[:-1]}, "Invalid Partner API key"),
        ({"partner_api_key": IMPORT_KEY}, "Invalid Partner API key"),
        ({"client_secret": PARTNER_KEY}, "Invalid client secret"),
        ({"client_secret": PASSWORD}, "Invalid client secret"),
        ({"partner_api_key": None}, "Invalid Partner API key"),
        ({"partner_api_key": [PARTNER_KEY]}, "Invalid Partner API key"),
        ({"client_secret": ""}, "Invalid client secret"),
        ({"client_secret": "\ud800"}, "Invalid client secret"),
    ],
)
def test_r2_a_wrong_key_is_401_before_all_else_and_is_never_repeated(
    call: Call, stack: Stack, name: str, wrong: dict[str, Any], says: str
) -> None:
    assert call(name, **wrong) == (401, {"message": says})
    assert stack.messages() == []
    assert stack.objects("") == []


def test_r2_without_keys_in_the_secret_nobody_is_let_in(
    call: Call, stack: Stack
) -> None:
    store(stack)
    forget_secrets()
    assert call(USERS) == (401, {"message": "Invalid Partner API key"})
    assert call(USERS, partner_api_key="", client_secret="")[0] == 401


def test_r2_keys_are_rotated_without_a_401_and_the_old_ones_open_no_more(
    call: Call, stack: Stack
) -> None:
    """A new data import key can be made, and an existing one invalidated."""
    assert call(USERS) == SUCCESS
    old, new = (PARTNER_KEY, IMPORT_KEY), ("new-partner-key", "new-import-key")
    store(
        stack,
        partner_api_keys=[new[0], old[0]],
        data_import_keys=[new[1], old[1]],
    )
    for partner_key in (new[0], old[0]):
        for import_key in (new[1], old[1]):
            keys = {"partner_api_key": partner_key, "client_secret": import_key}
            assert call(USERS, **keys) == SUCCESS
    store(stack, partner_api_keys=[new[0]], data_import_keys=[new[1]])
    app.webhook.cache_clear()  # the cache is five minutes old
    forget_secrets()
    keys = {"partner_api_key": new[0], "client_secret": new[1]}
    assert call(USERS, **keys | {"client_secret": old[1]})[0] == 401
    assert call(USERS, **keys | {"partner_api_key": old[0]})[0] == 401
    assert call(USERS, **keys) == SUCCESS


MANY = [{"user_ids": [f"u{n}" for n in range(1001)]}]


@pytest.mark.parametrize(
    ("name", "wrong", "says"),
    [
        (NAME, {"cohort_id": 7}, server.WRONG_COHORT),
        (NAME, {"name": ""}, server.WRONG_NAME),
        (NAME, {"created_at": "soon"}, server.WRONG_TIME),
        (USERS, {"cohort_id": None}, server.WRONG_COHORT),
        (USERS, {"cohort_changes": {}}, server.WRONG_CHANGES),
        (USERS, {"cohort_changes": MANY}, server.TOO_MANY),
    ],
)
def test_a_wrong_body_is_400_in_brazes_words_and_kept_without_the_keys(
    call: Call, stack: Stack, name: str, wrong: dict[str, Any], says: str
) -> None:
    assert call(name, **wrong) == (400, {"message": says})
    (quarantined,) = stack.objects("quarantine/cohorts/")
    (item,) = from_lines(quarantined)
    struck = {"partner_api_key": "[secret]", "client_secret": "[secret]"}
    expected = json.loads(sample(name)["body"]) | wrong | struck
    assert json.loads(item.original) == expected
    assert stack.messages() == []


def test_a_body_that_is_no_json_is_kept_for_who_shows_the_keys(
    call: Call, stack: Stack
) -> None:
    whole = sample(USERS)["body"]
    assert call(USERS, raw=whole[:-2])[0] == 400
    (quarantined,) = stack.objects("quarantine/cohorts/")
    (item,) = from_lines(quarantined)
    assert item.original.endswith(whole[-40:-2].encode())
    assert PARTNER_KEY.encode() not in item.original
    assert IMPORT_KEY.encode() not in item.original


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "canary",
        '{"partner_api_key": NaN}',
        '{"partner_api_key": "canary", "partner_api_key": "canary"}',
        "[" * 100_000,
        sample(USERS)["body"].replace(IMPORT_KEY, "canary-wrong")[:-2],
    ],
)
def test_a_body_that_cannot_be_read_from_anybody_is_400_and_not_kept(
    call: Call, stack: Stack, body: str
) -> None:
    status, answer = call(USERS, raw=body)
    assert status == 400
    assert "canary" not in answer["message"]
    assert stack.objects("quarantine/") == []


@pytest.mark.parametrize("name", [NAME, USERS])
@pytest.mark.parametrize("store", STORES)
def test_a_store_that_fails_is_503_in_brazes_shape(
    call: Call, stack: Stack, name: str, store: str, logged: io.StringIO
) -> None:
    stack.delete(store)
    if name == NAME and store in {"queue", "bucket"}:
        assert call(name) == SUCCESS, "a name needs neither"
        return
    assert call(name) == (503, {"message": "not accepted just now, try again"})
    for canary in (PARTNER_KEY, IMPORT_KEY, "cust-00017"):
        assert canary not in logged.getvalue()


def test_no_key_and_no_member_is_logged(
    call: Call, logged: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    call(USERS)
    call(USERS, client_secret="canary-wrong-key")
    call(USERS, cohort_changes="canary-changes")
    call(USERS, raw=sample(USERS)["body"][:-2])
    printed = capsys.readouterr()
    logs = logged.getvalue() + printed.out + printed.err
    assert "page accepted" in logs
    for canary in (PARTNER_KEY, IMPORT_KEY, "canary", "cust-00017", "amp-77"):
        assert canary not in logs


def test_the_ledger_in_memory_renames_like_the_one_on_dynamodb() -> None:
    from tests.fakes.memory_ledger import MemoryLedger

    memory = MemoryLedger()
    memory.rename(KEY, "Trial")
    assert (memory.cohort(KEY).name, memory.cohort(KEY).revision) == ("Trial", 0)


LARGE = [{"user_ids": ["x" * 900 for _ in range(999)]}]


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ({}, 201),
        ({"client_secret": "canary-wrong"}, 401),
        ({"partner_api_key": "canary-wrong"}, 401),
        ({"partner_api_key": None, "client_secret": None}, 401),
    ],
)
@pytest.mark.parametrize("behind", [False, True], ids=["keys first", "keys last"])
def test_of_a_long_body_the_keys_are_checked_before_it_is_read(
    call: Call, monkeypatch: pytest.MonkeyPatch, keys: Any, status: int, behind: bool
) -> None:
    read = []

    def noted(body: bytes) -> dict[str, Any]:
        read.append(len(body))
        return load_object(body)

    monkeypatch.setattr(partner_import, "load_object", noted)
    body = {**json.loads(sample(USERS)["body"]), **keys}
    body = {"cohort_changes": LARGE, **body} if behind else body
    text = json.dumps({**body, "cohort_changes": LARGE})
    assert len(text) > partner_import.MAX_UNCHECKED_BYTES
    assert call(USERS, raw=text)[0] == status
    assert bool(read) == (status == 201)


@pytest.mark.parametrize(
    ("keys", "metric"),
    [
        ({"client_secret": "wrong"}, "Unauthorized"),
        ({"partner_api_key": "wrong"}, "Unauthorized"),
        ({"partner_api_key": "wrong", "client_secret": "wrong"}, "Strangers"),
        ({"partner_api_key": None, "client_secret": None}, "Strangers"),
    ],
)
def test_only_who_has_one_of_the_keys_wakes_somebody(
    call: Call, capsys: pytest.CaptureFixture[str], keys: Any, metric: str
) -> None:
    assert call(USERS, **keys)[0] == 401
    counted = capsys.readouterr().out
    assert f'"{metric}":[1.0]' in counted
    assert ("Unauthorized" in counted) == (metric == "Unauthorized")
