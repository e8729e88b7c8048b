"""DynamoDB as the ledger uses it: plain items in and out, batches, update expressions.

Every failure is a `RetryableError`, except a condition that does not hold. That is an
answer: another writer was faster, or the write was made before.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from bridge.aws.attribute_values import deserialize, serialize
from bridge.aws.clients import answering, error_code
from bridge.chunking import by_count
from bridge.errors import RetryableError
from bridge.parallel import run_all
from bridge.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

READ_ITEMS = 100
WRITE_ITEMS = 25
"""DynamoDB's limits for one BatchGetItem and one BatchWriteItem."""

BATCH_TRIES = 8
CONFLICT_TRIES = 6

type Item = dict[str, Any]


def pack(item: Mapping[str, Any]) -> Any:
    """An item with DynamoDB's attribute values."""
    return {name: serialize(value) for name, value in item.items()}


def unpack(item: Mapping[str, Any]) -> Item:
    """An item with Python's values."""
    return {name: deserialize(value) for name, value in item.items()}


class Update:
    """Builds one update: its expression, its names and values, its condition."""

    def __init__(self, pk: str, sk: str) -> None:
        self._key = {"pk": pk, "sk": sk}
        self._clauses: dict[str, list[str]] = {"SET": [], "ADD": [], "DELETE": []}
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._condition = ""

    def assign(self, attribute: str, value: Any) -> None:
        """Set an attribute."""
        name, placeholder = self._name(attribute), self._value(value)
        self._clauses["SET"].append(f"{name} = {placeholder}")

    def add(self, attribute: str, value: Any) -> None:
        """Add to a number or to a set."""
        name, placeholder = self._name(attribute), self._value(value)
        self._clauses["ADD"].append(f"{name} {placeholder}")

    def delete(self, attribute: str, value: Set[int]) -> None:
        """Remove from a set of numbers."""
        name, placeholder = self._name(attribute), self._value(value)
        self._clauses["DELETE"].append(f"{name} {placeholder}")

    def only_if_exists(self, exists: bool) -> None:
        """Update only if the item exists, or only if it does not."""
        function = "attribute_exists" if exists else "attribute_not_exists"
        self._condition = f"{function}(pk)"

    def only_if_equal(self, attribute: str, value: Any) -> None:
        """Update only if an attribute has this value."""
        self._condition = f"{self._name(attribute)} = {self._value(value)}"

    def only_without(self, attribute: str) -> None:
        """Update only if the item lacks this attribute, or does not exist."""
        self._condition = f"attribute_not_exists({self._name(attribute)})"

    def unless_equal(self, attribute: str, value: str) -> None:
        """Update only if the item exists and an attribute lacks this value."""
        name, placeholder = self._name(attribute), self._value(value)
        self._condition = (
            "attribute_exists(pk) AND "
            f"(attribute_not_exists({name}) OR {name} <> {placeholder})"
        )

    def arguments(self, table: str) -> Any:
        """The arguments that UpdateItem and TransactWriteItems take."""
        expression = " ".join(
            f"{verb} {', '.join(parts)}"
            for verb, parts in self._clauses.items()
            if parts
        )
        arguments = {
            "TableName": table,
            "Key": pack(self._key),
            "UpdateExpression": expression,
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": pack(self._values),
        }
        if self._condition:
            arguments["ConditionExpression"] = self._condition
        return arguments

    def _name(self, attribute: str) -> str:
        for placeholder, known in self._names.items():
            if known == attribute:
                return placeholder
        placeholder = f"#n{len(self._names)}"
        self._names[placeholder] = attribute
        return placeholder

    def _value(self, value: Any) -> str:
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = value
        return placeholder


class Table:
    """One table with the keys `pk` and `sk`."""

    def __init__(
        self,
        client: "DynamoDBClient",
        name: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._name = name
        self._sleep = sleep

    def get(self, keys: Iterable[tuple[str, str]]) -> list[Item]:
        """Read items consistently; items that do not exist are omitted."""
        unique = [pack({"pk": pk, "sk": sk}) for pk, sk in dict.fromkeys(keys)]
        items: list[Item] = []

        def read(chunk: Sequence[Any]) -> None:
            waiting: Any = {self._name: {"Keys": chunk, "ConsistentRead": True}}
            for _ in range(BATCH_TRIES):
                with answering("ledger"):
                    answer = self._client.batch_get_item(RequestItems=waiting)
                items.extend(map(unpack, answer["Responses"].get(self._name, ())))
                waiting = answer.get("UnprocessedKeys")
                if not waiting:
                    return
            raise RetryableError(Reason.LEDGER_THROTTLED, "the ledger is throttled")

        chunks = by_count(unique, READ_ITEMS)
        run_all([partial(read, chunk) for chunk in chunks])
        return items

    def query(self, pk: str, after: str, limit: int) -> list[Item]:
        """At most `limit` items of a partition whose `sk` is greater than `after`."""
        condition, values = "pk = :pk", {":pk": pk}
        if after:
            condition, values = (
                f"{condition} AND sk > :after",
                values | {":after": after},
            )
        items: list[Item] = []
        start: Any = {}
        # One answer ends at 1 MB, whatever its limit.
        while len(items) < limit:
            with answering("ledger"):
                answer = self._client.query(
                    TableName=self._name,
                    KeyConditionExpression=condition,
                    ExpressionAttributeValues=pack(values),
                    ConsistentRead=True,
                    Limit=limit - len(items),
                    **start,
                )
            items += map(unpack, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                break
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return items

    def query_all(self, pk: str, prefix: str = "") -> list[Item]:
        """All items of a partition whose `sk` begins with `prefix`."""
        condition, values = "pk = :pk", {":pk": pk}
        if prefix:
            condition += " AND begins_with(sk, :prefix)"
            values[":prefix"] = prefix
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=pack(values),
            ConsistentRead=True,
        )
        with answering("ledger"):
            return [unpack(item) for page in pages for item in page["Items"]]

    def put_all(self, items: Iterable[Item]) -> None:
        """Write whole items, replacing any that exist."""
        self._write_all({"PutRequest": {"Item": pack(item)}} for item in items)

    def delete_all(self, keys: Iterable[tuple[str, str]]) -> None:
        """Delete items, which need not exist."""
        self._write_all(
            {"DeleteRequest": {"Key": pack({"pk": pk, "sk": sk})}} for pk, sk in keys
        )

    def _write_all(self, requests: Iterable[dict[str, Any]]) -> None:
        def write(chunk: Sequence[Any]) -> None:
            waiting: Any = {self._name: chunk}
            for _ in range(BATCH_TRIES):
                with answering("ledger"):
                    answer = self._client.batch_write_item(RequestItems=waiting)
                waiting = answer.get("UnprocessedItems")
                if not waiting:
                    return
            raise RetryableError(Reason.LEDGER_THROTTLED, "the ledger is throttled")

        chunks = by_count([*requests], WRITE_ITEMS)
        run_all([partial(write, chunk) for chunk in chunks])

    def update(self, update: Update) -> bool:
        """Make one update; False if its condition does not hold."""
        arguments = update.arguments(self._name)
        for attempt in range(CONFLICT_TRIES):
            with answering("ledger"):
                try:
                    self._client.update_item(**arguments)
                except ClientError as error:
                    if error_code(error) == "ConditionalCheckFailedException":
                        return False
                    if error_code(error) != "TransactionConflictException":
                        raise
                else:
                    return True
            # A transaction is registering a page of the same sync; it will soon end.
            self._sleep(0.02 * 2**attempt)
        raise RetryableError(
            Reason.LEDGER_CONTENTION, "an item is always being written"
        )

    def transact(self, updates: Iterable[Update]) -> bool:
        """Make all updates or none; False if another writer was faster."""
        writes: Any = [{"Update": u.arguments(self._name)} for u in updates]
        with answering("ledger"):
            try:
                self._client.transact_write_items(TransactItems=writes)
            except ClientError as error:
                if _lost_a_race(error):
                    return False
                raise
        return True


def _lost_a_race(error: ClientError) -> bool:
    if error_code(error) == "TransactionConflictException":
        return True
    answer: Any = error.response
    codes = {r.get("Code", "None") for r in answer.get("CancellationReasons", ())}
    return error_code(error) == "TransactionCanceledException" and codes <= {
        "None",
        "ConditionalCheckFailed",
        "TransactionConflict",
    }
