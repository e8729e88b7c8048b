"""The function cohort_webhook on moto: what it accepts, refuses and quarantines."""

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.mixpanel.cohort_webhook import Action
from bridge.quarantine import from_lines
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

NAN = float("nan")
type Call = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


@pytest.fixture
def call(stack: Stack) -> Call:
    app.webhook.cache_clear()

    def post(event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = app.handler(event, Context())
        return answer["statusCode"], json.loads(answer["body"])

    return post


def with_body(event: dict[str, Any], body: str) -> dict[str, Any]:
    return event | {"body": body}


def with_authorization(event: dict[str, Any], value: str | None) -> dict[str, Any]:
    headers = {k: v for k, v in event["headers"].items() if k != "authorization"}
    if value is not None:
        headers["authorization"] = value
    return event | {"headers": headers}


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def test_a_page_is_answered_in_mixpanels_shape_once_it_is_queued(
    call: Call, stack: Stack
) -> None:
    """R1, R2."""
    assert call(sample("cohort_webhook")) == (
        200,
        {"action": "add_members", "status": "success"},
    )
    (record,) = stack.messages()
    message = json.loads(record["body"])
    assert message["kind"] == "page"
    assert message["key"] == {"project": "3300471", "cohort": "8120045"}


def test_only_identifiers_are_kept_of_the_members(call: Call, stack: Stack) -> None:
    call(sample("cohort_webhook"))
    (page,) = stack.objects("pages/")
    assert json.loads(page) == [
        ["cust-00017", "e:cust-00017", 1],
        ["mp-18", "e:cust-00018"],
        [
            "$device:0f6a1c1e-7d0a-4f2b-9d53-2b1c7a9e4d10",
            "d:0f6a1c1e-7d0a-4f2b-9d53-2b1c7a9e4d10",
            1,
        ],
    ], "with the entry of the list that gave the identifier, if not the first"
    (record,) = stack.messages()
    assert "cust" not in record["body"]


def test_the_sample_event_of_the_consumer_is_what_the_webhook_enqueues(
    call: Call, stack: Stack
) -> None:
    call(sample("cohort_webhook"))
    (record,) = stack.messages()
    (expected,) = sample("cohort_consumer")["Records"]
    assert json.loads(record["body"]) == json.loads(expected["body"])


def test_members_without_a_match_are_counted_by_reason_in_the_sync(
    call: Call, stack: Stack
) -> None:
    from bridge.aws.dynamodb import Table
    from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
    from bridge.cohorts.messages import CohortKey

    call(sample("cohort_webhook"))
    ledger = DynamoLedger(Table(stack.dynamodb, stack.table), 0)
    key = CohortKey(project="3300471", cohort="8120045")
    (sync,) = ledger.cohort(key).syncs
    assert sync.skipped[Action.ADD] == {"placeholder_identifier": 1}


def test_the_same_page_again_is_accepted_and_queued_once(
    call: Call, stack: Stack
) -> None:
    assert call(sample("cohort_webhook"))[0] == 200
    assert call(sample("cohort_webhook"))[0] == 200
    assert len(stack.messages()) == 1


def test_an_empty_list_is_a_success(call: Call) -> None:
    status, body = call(sample("cohort_webhook_empty_list"))
    assert (status, body["status"]) == (200, "success")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Bearer " + PASSWORD,
        basic("mixpanel", ""),
        basic("mixpanel", PASSWORD + "x"),
        basic("mixpanel", PASSWORD[:-1]),
        basic("mixpanel", PASSWORD.upper()),
        basic("Mixpanel", PASSWORD),
        basic("", PASSWORD),
        basic("mixpanel", "pässwörd"),
        "Basic " + base64.b64encode(b"mixpanel").decode(),
        "Basic \ud800",
    ],
)
def test_a_wrong_password_is_401(call: Call, stack: Stack, value: str | None) -> None:
    status, body = call(with_authorization(sample("cohort_webhook"), value))
    assert status == 401
    assert body == {
        "action": None,
        "status": "failure",
        "error": {"message": "the user name or the password is wrong", "code": 401},
    }
    assert stack.messages() == []


def test_both_passwords_open_during_a_rotation_and_the_old_one_not_after_it(
    call: Call, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R2: a new key can be made and an existing one invalidated, without a gap."""
    event = sample("cohort_webhook")
    old, new = PASSWORD, "new-password"
    assert call(event)[0] == 200
    both = [{"username": "mixpanel", "password": each} for each in (new, old)]
    stack.secrets.put_secret_value(
        SecretId="webhook", SecretString=json.dumps({"credentials": both})
    )
    assert call(with_authorization(event, basic("mixpanel", new)))[0] == 200
    assert call(event)[0] == 200
    stack.secrets.put_secret_value(SecretId="webhook", SecretString=json.dumps(both[0]))
    app.webhook.cache_clear()  # the cache is five minutes old
    forget_secrets()
    assert call(event)[0] == 401
    assert call(with_authorization(event, basic("mixpanel", new)))[0] == 200


def parameters_without(name: str) -> str:
    body = json.loads(sample("cohort_webhook")["body"])
    del body["parameters"][name]
    return json.dumps(body)


def body_with(**changes: Any) -> str:
    body = json.loads(sample("cohort_webhook")["body"])
    body["parameters"] |= changes
    return json.dumps(body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ('{"action": NaN}', "NaN"),
        ('{"action": "add_members", "action": "remove_members"}', "twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"action": 1' + "0" * 5000 + "}", "too long"),
        ('{"action": "constructor", "parameters": {}}', "action"),
        (parameters_without("mixpanel_cohort_id"), "mixpanel_cohort_id"),
        (parameters_without("mixpanel_project_id"), "mixpanel_project_id"),
        (parameters_without("mixpanel_session_id"), "mixpanel_session_id"),
        (parameters_without("members"), "members"),
        (body_with(members={}), "members"),
        (body_with(mixpanel_cohort_id=True), "mixpanel_cohort_id"),
        (body_with(mixpanel_cohort_id=""), "mixpanel_cohort_id"),
        (body_with(page_info={"total_pages": 2, "page_count": 3}), "page_count"),
        (body_with(page_info={"total_pages": 0, "page_count": 0}), "total_pages"),
        (body_with(page_info={"total_pages": 2.5, "page_count": 1}), "total_pages"),
        (body_with(page_info={"total_pages": 2, "page_count": -1}), "page_count"),
        (body_with(page_info=[1, 1]), "page_info"),
        (body_with(page_info={"total_pages": NAN, "page_count": 1}), "NaN"),
        (body_with(mixpanel_cohort_id=NAN), "NaN"),
        (body_with(mixpanel_cohort_id=None), "mixpanel_cohort_id"),
    ],
)
def test_a_malformed_body_is_400_and_says_what_is_wrong_and_is_kept(
    call: Call, stack: Stack, body: str, says: str
) -> None:
    status, answer = call(with_body(sample("cohort_webhook"), body))
    assert status == 400
    assert says in answer["error"]["message"]
    assert answer["error"]["code"] == 400
    (kept,) = stack.objects("quarantine/cohorts/")
    (item,) = from_lines(kept)
    assert item.original == body.encode()
    assert stack.messages() == []


ODD_MEMBERS = [
    '{"score": NaN}',
    '{"score": -Infinity}',
    '{"score": 1e400}',
    '{"score": ' + "7" * 5_000 + "}",
    '{"email": "a", "email": "b"}',
    '{"mixpanel_distinct_id": "u-2", "mixpanel_distinct_id": "u-3"}',
    '{"mixpanel_distinct_id": NaN}',
    '{"action": "members", "action": "add_members", "members": 1, "members": 2}',
    '{"page_info": {"page_count": NaN, "page_count": 9}}',
    '{"first_name": "\\ud800"}',
    '{"parameters": {"mixpanel_cohort_id": "1", "mixpanel_cohort_id": "2"}}',
]


@pytest.mark.parametrize("odd", ODD_MEMBERS)
def test_what_a_member_carries_beside_its_identifier_refuses_no_page(
    call: Call, stack: Stack, odd: str
) -> None:
    """A 400 would pause the sync for what the customer cannot mend."""
    body = body_with(members=[{"mixpanel_distinct_id": "cust-1"}, "odd"])
    body = body.replace('"odd"', odd)
    assert call(with_body(sample("cohort_webhook"), body))[0] == 200
    (page,) = stack.objects("pages/")
    assert json.loads(page) == [["cust-1", "e:cust-1", 1]]


def test_a_member_whose_identifier_occurs_twice_is_skipped_unless_both_agree(
    call: Call, stack: Stack
) -> None:
    members = (
        '{"mixpanel_distinct_id": "u-1", "mixpanel_distinct_id": "u-1"},'
        '{"mixpanel_distinct_id": "u-2", "mixpanel_distinct_id": "u-3"}'
    )
    body = body_with(members=["odd"]).replace('"odd"', members)
    assert call(with_body(sample("cohort_webhook"), body))[0] == 200
    (page,) = stack.objects("pages/")
    assert json.loads(page) == [["u-1", "e:u-1", 1]]


def test_a_byte_that_is_no_text_costs_its_own_member_alone(
    call: Call, stack: Stack
) -> None:
    members = [{"mixpanel_distinct_id": each} for each in ("u-1", "u-?")]
    members[0]["first_name"] = "Ad?"
    raw = body_with(members=members).encode().replace(b"?", b"\xff")
    event = with_body(sample("cohort_webhook"), base64.b64encode(raw).decode())
    assert call(event | {"isBase64Encoded": True})[0] == 200
    (page,) = stack.objects("pages/")
    assert json.loads(page) == [["u-1", "e:u-1", 1]]


@pytest.mark.parametrize(
    "extra",
    [
        '"mixpanel_cohort_description": "a", "mixpanel_cohort_description": "b"',
        '"mixpanel_cohort_name": "a", "mixpanel_cohort_name": "b"',
        '"mixpanel_integration_id": NaN',
        '"mixpanel_cohort_name": null',
        '"mixpanel_cohort_name": 2026',
        '"mixpanel_cohort_name": {"en": "Trial"}',
        '"unknown": {"members": 1, "members": [Infinity]}',
    ],
)
def test_what_the_envelope_carries_unread_refuses_no_page(
    call: Call, extra: str
) -> None:
    body = json.loads(parameters_without("mixpanel_cohort_name"))
    del body["parameters"]["mixpanel_cohort_description"]
    text = json.dumps(body).replace('"parameters": {', '"parameters": {' + extra + ",")
    assert call(with_body(sample("cohort_webhook"), text))[0] == 200


@pytest.mark.parametrize(
    ("doubled", "original"),
    [
        ('"action": "members", ', '"action"'),
        ('"parameters": {}, ', '"parameters"'),
        ('"members": [], ', '"members"'),
        ('"mixpanel_cohort_id": "8120045", ', '"mixpanel_cohort_id"'),
        ('"mixpanel_project_id": "1", ', '"mixpanel_project_id"'),
        ('"mixpanel_session_id": "s", ', '"mixpanel_session_id"'),
        ('"page_info": null, ', '"page_info"'),
        ('"page_count": 1, ', '"page_count"'),
        ('"total_pages": 1, ', '"total_pages"'),
    ],
)
def test_what_is_read_of_the_envelope_occurs_once(
    call: Call, doubled: str, original: str
) -> None:
    body = body_with().replace(original, doubled + original, 1)
    status, answer = call(with_body(sample("cohort_webhook"), body))
    assert status == 400
    assert "twice" in answer["error"]["message"]


@pytest.mark.parametrize("action", ["members", "add_members", "remove_members"])
@pytest.mark.parametrize("members", [None, []])
@pytest.mark.parametrize(
    "info",
    [
        None,
        {},
        {"page_count": 1},
        {"page_count": None, "total_pages": None},
        {"page_count": 0, "total_pages": 0},
        {"page_count": "0", "total_pages": "0"},
        {"page_count": 0.0, "total_pages": 1.0},
        {"page_count": 1, "total_pages": 0},
        {"page_count": 0, "total_pages": 1},
    ],
)
def test_an_empty_list_is_taken_however_its_sender_writes_it(
    call: Call, stack: Stack, action: str, members: object, info: dict[str, Any] | None
) -> None:
    body = json.loads(body_with(members=members, page_info=info)) | {"action": action}
    assert call(with_body(sample("cohort_webhook"), json.dumps(body)))[0] == 200
    (record,) = stack.messages()
    if info and info.get("total_pages") is not None:
        assert json.loads(record["body"])["page"] == "1"


@pytest.mark.parametrize(
    "info",
    [
        {"page_count": "2", "total_pages": "3"},
        {"page_count": 2.0, "total_pages": 3.0},
        {"page_count": 0, "total_pages": 2},
        {"page_count": 0, "total_pages": 1},
        {"page_count": 3, "total_pages": 3, "page_size": NAN},
    ],
)
def test_pages_are_taken_as_text_as_floats_and_counted_from_zero(
    call: Call, info: dict[str, Any]
) -> None:
    body = body_with(page_info=info, mixpanel_cohort_id=8120045.0)
    assert call(with_body(sample("cohort_webhook"), body))[0] == 200


def test_null_in_the_parameters_leaves_the_list_beside_them(
    call: Call, stack: Stack
) -> None:
    body = json.loads(body_with(members=None))
    body["members"] = [{"mixpanel_distinct_id": "u-1"}]
    assert call(with_body(sample("cohort_webhook"), json.dumps(body)))[0] == 200
    (page,) = stack.objects("pages/")
    assert json.loads(page) == [["u-1", "e:u-1", 1]]


def test_a_byte_order_mark_is_no_mistake(call: Call) -> None:
    body = "\ufeff" + sample("cohort_webhook")["body"]
    assert call(with_body(sample("cohort_webhook"), body))[0] == 200


def test_a_refusal_never_quotes_the_members(call: Call) -> None:
    body = body_with(members="canary-person@example.com")
    status, answer = call(with_body(sample("cohort_webhook"), body))
    assert status == 400
    assert "canary-person" not in json.dumps(answer)


def test_one_odd_member_does_not_refuse_the_page(call: Call) -> None:
    members: list[Any] = [{"mixpanel_distinct_id": "cust-1"}, None, 7, [], {"x": 1}]
    body = body_with(members=[*members, {"mixpanel_distinct_id": "\ud800"}])
    assert call(with_body(sample("cohort_webhook"), body))[0] == 200


def test_ids_as_numbers_and_members_beside_the_parameters_are_taken(
    call: Call,
) -> None:
    body = json.loads(body_with(mixpanel_cohort_id=8120045))
    body["members"] = body["parameters"].pop("members")
    assert call(with_body(sample("cohort_webhook"), json.dumps(body)))[0] == 200


def test_a_base64_body_is_taken(call: Call) -> None:
    event = sample("cohort_webhook")
    encoded = base64.b64encode(event["body"].encode()).decode()
    assert call(event | {"body": encoded, "isBase64Encoded": True})[0] == 200


@pytest.mark.parametrize("store", STORES)
def test_a_store_that_fails_is_503_and_never_a_pause(
    call: Call, stack: Stack, store: str, logged: io.StringIO
) -> None:
    stack.delete(store)
    status, answer = call(sample("cohort_webhook"))
    assert status == 503
    assert answer["error"]["code"] == 503
    said = logged.getvalue() + json.dumps(answer)
    assert "page not accepted" in said
    for canary in (PASSWORD, "ada@example.com", "cust-00017"):
        assert canary not in said


def test_no_secret_and_no_member_is_logged(
    call: Call, logged: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    call(sample("cohort_webhook"))
    call(with_authorization(sample("cohort_webhook"), basic("mixpanel", "canary-pw")))
    call(sample("cohort_webhook_malformed"))
    printed = capsys.readouterr()
    logs = logged.getvalue() + printed.out + printed.err
    assert "page accepted" in logs
    for canary in (PASSWORD, "canary-pw", "ada@example.com", "cust-00017"):
        assert canary not in logs


def test_a_call_of_the_other_protocol_is_kept_without_its_keys(
    call: Call, stack: Stack
) -> None:
    event = sample("cohort_webhook")
    astray = {"partner_api_key": "canary-partner", "client_secret": "canary-import"}
    status, _ = call(event | {"body": json.dumps(astray)})
    assert status == 400
    kept = b"".join(stack.objects("quarantine/"))
    (item,) = from_lines(kept)
    assert b"canary" not in item.original


def test_a_connection_is_known_by_a_digest_of_its_user_name(
    call: Call, stack: Stack
) -> None:
    from bridge.aws.dynamodb import Table
    from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
    from bridge.cohorts.messages import CohortKey

    pairs = [{"username": each, "password": PASSWORD} for each in ("emea", "apac")]
    stack.secrets.put_secret_value(
        SecretId="webhook", SecretString=json.dumps({"credentials": pairs})
    )
    forget_secrets()
    for pair in pairs:
        header = basic(pair["username"], PASSWORD)
        assert call(with_authorization(sample("cohort_webhook"), header))[0] == 200
    key = CohortKey(project="3300471", cohort="8120045")
    cohort = DynamoLedger(Table(stack.dynamodb, stack.table), 0).cohort(key)
    assert len(cohort.senders) == len(cohort.syncs) == 2
    items = json.dumps(stack.dynamodb.scan(TableName=stack.table)["Items"], default=str)
    assert "emea" not in items


@pytest.mark.parametrize(
    ("authorization", "metric"),
    [
        (basic("mixpanel", "wrong"), "Unauthorized"),
        (basic("mixpanel", ""), "Unauthorized"),
        (basic("admin", PASSWORD), "Strangers"),
        (basic("", ""), "Strangers"),
        ("Bearer " + PASSWORD, "Strangers"),
        ("Basic !!!", "Strangers"),
        (None, "Strangers"),
    ],
)
def test_only_who_is_known_by_its_user_name_wakes_somebody(
    call: Call,
    capsys: pytest.CaptureFixture[str],
    authorization: str | None,
    metric: str,
) -> None:
    event = with_authorization(sample("cohort_webhook"), authorization)
    assert call(event)[0] == 401
    counted = capsys.readouterr().out
    assert f'"{metric}":[1.0]' in counted
    assert ("Unauthorized" in counted) == (metric == "Unauthorized")


def test_a_stranger_who_is_not_known_yet_wakes_nobody(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    event = sample("cohort_webhook")
    strangers = [with_authorization(event, basic("x", str(n))) for n in range(3)]
    assert [call(each)[0] for each in strangers] == [401, 401, 503], (
        "by the first reading, by one more, and then there is none for half a minute"
    )
    counted = capsys.readouterr().out
    assert '"CallersUnverified":[1.0]' in counted
    assert "PagesDeferred" not in counted


@pytest.mark.parametrize("field", [*json.loads(sample("cohort_webhook")["body"])])
def test_the_log_names_the_field_as_the_answer_does(
    call: Call, logged: io.StringIO, field: str
) -> None:
    body = json.loads(sample("cohort_webhook")["body"]) | {field: 7}
    status, answer = call(with_body(sample("cohort_webhook"), json.dumps(body)))
    (line,) = (json.loads(each) for each in logged.getvalue().splitlines())
    assert (status, line["field"]) == (400, field)
    assert line["why"] == answer["error"]["message"]


def test_the_log_names_a_field_that_occurs_twice(
    call: Call, logged: io.StringIO
) -> None:
    body = body_with().replace('"action"', '"action": "members", "action"', 1)
    assert call(with_body(sample("cohort_webhook"), body))[0] == 400
    assert json.loads(logged.getvalue())["field"] == "action"


def test_our_own_credentials_are_struck_from_what_is_quarantined(
    call: Call, stack: Stack
) -> None:
    body = json.dumps({"note": f"it is {PASSWORD}", "keys": [PARTNER_KEY, IMPORT_KEY]})
    assert call(with_body(sample("cohort_webhook"), body))[0] == 400
    (item,) = from_lines(b"".join(stack.objects("quarantine/")))
    expected = {"note": "it is [secret]", "keys": ["[secret]", "[secret]"]}
    assert json.loads(item.original) == expected
