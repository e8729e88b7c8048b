"""DynamoDB's answers that moto never gives: unprocessed parts, pages, conflicts."""

from typing import Any

import pytest

from bridge.aws.dynamodb import BATCH_TRIES, CONFLICT_TRIES, Table, Update, pack
from bridge.errors import RetryableError
from tests.unit.scripted_aws import Refusal, ScriptedAws


def key(sk: str) -> Any:
    return pack({"pk": "p", "sk": sk})


def put(sk: str) -> Any:
    return {"PutRequest": {"Item": key(sk)}}


def table(aws: ScriptedAws, slept: list[float] | None = None) -> Table:
    return Table(
        aws.client, "ledger", (list[float]() if slept is None else slept).append
    )


def found(*sks: str, missing: tuple[str, ...] = ()) -> dict[str, Any]:
    """Answer with these items; the missing ones DynamoDB did not come to."""
    left = {"Keys": [key(sk) for sk in missing], "ConsistentRead": True}
    return {
        "Responses": {"ledger": [key(sk) for sk in sks]},
        "UnprocessedKeys": {"ledger": left} if missing else {},
    }


def left_over(*sks: str) -> dict[str, Any]:
    return {"UnprocessedItems": {"ledger": [put(sk) for sk in sks]} if sks else {}}


def asked(aws: ScriptedAws, operation: str) -> list[Any]:
    """What each batch asked of the table."""
    return [request["RequestItems"]["ledger"] for request in aws.requests(operation)]


# Reads


def test_a_read_asks_again_for_just_the_keys_that_were_left_over() -> None:
    aws = ScriptedAws("dynamodb", found("a", missing=("b", "c")), found("b", "c"))
    items = table(aws).get([("p", sk) for sk in "abc"])
    assert [item["sk"] for item in items] == ["a", "b", "c"]
    assert [each["Keys"] for each in asked(aws, "BatchGetItem")] == [
        [key("a"), key("b"), key("c")],
        [key("b"), key("c")],
    ]


def test_a_read_gives_up_when_keys_are_left_over_every_time() -> None:
    aws = ScriptedAws("dynamodb", found(missing=("a",)))
    with pytest.raises(RetryableError) as caught:
        table(aws).get([("p", "a")])
    assert caught.value.reason == "ledger_throttled"
    assert len(aws.asked) == BATCH_TRIES


def test_every_batch_of_a_read_is_consistent() -> None:
    aws = ScriptedAws("dynamodb", found(missing=("9",)), found())
    table(aws).get([("p", str(n)) for n in range(250)])
    batches = asked(aws, "BatchGetItem")
    assert [len(each["Keys"]) for each in batches] == [100, 1, 100, 50]
    assert {each["ConsistentRead"] for each in batches} == {True}


def test_a_key_is_asked_for_once_however_often_it_is_named() -> None:
    """DynamoDB refuses a batch that names a key twice."""
    aws = ScriptedAws("dynamodb", found("a"))
    table(aws).get([("p", "a"), ("p", "a")])
    assert asked(aws, "BatchGetItem")[0]["Keys"] == [key("a")]


def test_nothing_is_asked_for_nothing() -> None:
    aws = ScriptedAws("dynamodb", found())
    assert table(aws).get([]) == []
    table(aws).put_all([])
    assert aws.asked == []


def page(*sks: str, more: bool = False) -> dict[str, Any]:
    items = {"Items": [key(sk) for sk in sks]}
    return items | ({"LastEvaluatedKey": key(sks[-1])} if more else {})


def test_a_query_goes_on_where_an_answer_ended_for_what_is_still_missing() -> None:
    aws = ScriptedAws("dynamodb", page("b", "c", more=True), page("d", more=True))
    items = table(aws).query("p", "a", 3)
    assert [item["sk"] for item in items] == ["b", "c", "d"]
    first, second = aws.requests("Query")
    assert (first["Limit"], second["Limit"]) == (3, 1)
    assert "ExclusiveStartKey" not in first
    assert second["ExclusiveStartKey"] == key("c")
    assert first["ConsistentRead"] is second["ConsistentRead"] is True
    assert second["KeyConditionExpression"] == "pk = :pk AND sk > :after"
    assert second["ExpressionAttributeValues"] == pack({":pk": "p", ":after": "a"})


def test_a_query_goes_on_after_an_answer_without_items() -> None:
    empty = {"Items": [], "LastEvaluatedKey": key("b")}
    aws = ScriptedAws("dynamodb", empty, page("c"))
    assert [item["sk"] for item in table(aws).query("p", "", 5)] == ["c"]
    assert aws.requests("Query")[1]["Limit"] == 5
    assert aws.requests("Query")[1]["KeyConditionExpression"] == "pk = :pk"


def test_a_query_for_all_reads_every_page_consistently() -> None:
    aws = ScriptedAws("dynamodb", page("x1", more=True), page("x2"))
    items = table(aws).query_all("p", "x")
    assert [item["sk"] for item in items] == ["x1", "x2"]
    first, second = aws.requests("Query")
    assert second["ExclusiveStartKey"] == key("x1")
    assert first["ConsistentRead"] is second["ConsistentRead"] is True
    assert second["KeyConditionExpression"] == "pk = :pk AND begins_with(sk, :prefix)"
    assert second["ExpressionAttributeValues"] == pack({":pk": "p", ":prefix": "x"})


# Writes


def test_a_batch_writes_again_just_the_items_that_were_left_over() -> None:
    aws = ScriptedAws("dynamodb", left_over("b", "c"), left_over("c"), left_over())
    table(aws).put_all({"pk": "p", "sk": sk} for sk in "abc")
    assert asked(aws, "BatchWriteItem") == [
        [put("a"), put("b"), put("c")],
        [put("b"), put("c")],
        [put("c")],
    ]


def test_a_batch_gives_up_when_items_are_left_over_every_time() -> None:
    aws = ScriptedAws("dynamodb", left_over("a"))
    with pytest.raises(RetryableError) as caught:
        table(aws).put_all([{"pk": "p", "sk": "a"}])
    assert caught.value.reason == "ledger_throttled"
    assert len(aws.asked) == BATCH_TRIES


def test_many_items_are_written_in_batches_of_25() -> None:
    aws = ScriptedAws("dynamodb", left_over())
    table(aws).put_all({"pk": "p", "sk": str(n)} for n in range(60))
    assert [len(each) for each in asked(aws, "BatchWriteItem")] == [25, 25, 10]


def update(sk: str = "a") -> Update:
    made = Update("p", sk)
    made.assign("x", 1)
    return made


CONFLICT = Refusal("TransactionConflictException")


def test_an_update_that_meets_a_transaction_is_tried_again_after_growing_pauses() -> (
    None
):
    aws, slept = ScriptedAws("dynamodb", CONFLICT, CONFLICT, {}), list[float]()
    assert table(aws, slept).update(update()) is True
    assert len(aws.asked) == 3
    assert slept == [0.02, 0.04]


def test_an_update_that_meets_transactions_every_time_gives_up() -> None:
    aws = ScriptedAws("dynamodb", CONFLICT)
    with pytest.raises(RetryableError) as caught:
        table(aws).update(update())
    assert caught.value.reason == "ledger_contention"
    assert len(aws.asked) == CONFLICT_TRIES


def test_an_update_whose_condition_does_not_hold_is_an_answer() -> None:
    aws = ScriptedAws("dynamodb", Refusal("ConditionalCheckFailedException"))
    assert table(aws).update(update()) is False
    assert len(aws.asked) == 1


def cancelled(*codes: str) -> Refusal:
    reasons = [{"Code": code} for code in codes]
    return Refusal("TransactionCanceledException", CancellationReasons=reasons)


@pytest.mark.parametrize(
    "lost",
    [
        CONFLICT,
        cancelled("None", "ConditionalCheckFailed"),
        cancelled("TransactionConflict", "None"),
    ],
    ids=["conflict", "condition", "conflict inside"],
)
def test_a_transaction_that_came_second_says_so(lost: Refusal) -> None:
    aws = ScriptedAws("dynamodb", lost)
    assert table(aws).transact([update("a"), update("b")]) is False
    assert len(aws.asked) == 1


@pytest.mark.parametrize(
    "failure",
    [
        cancelled("None", "ThrottlingError"),
        cancelled("ConditionalCheckFailed", "ProvisionedThroughputExceeded"),
        Refusal("TransactionInProgressException"),
        Refusal("AccessDeniedException"),
    ],
    ids=["throttled", "both", "in progress", "forbidden"],
)
def test_a_transaction_that_failed_otherwise_is_no_lost_race(failure: Refusal) -> None:
    aws = ScriptedAws("dynamodb", failure)
    with pytest.raises(RetryableError) as caught:
        table(aws).transact([update("a"), update("b")])
    assert caught.value.reason == "ledger_unavailable"
    assert "canary" not in f"{caught.value!r}"


def test_updates_of_a_transaction_go_in_one_call() -> None:
    aws = ScriptedAws("dynamodb", {})
    assert table(aws).transact([update("a"), update("b")]) is True
    ((_, request),) = aws.asked
    keys = [write["Update"]["Key"] for write in request["TransactItems"]]
    assert keys == [key("a"), key("b")]
