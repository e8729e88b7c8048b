"""The AWS server answers one request at a time."""

import io
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest

from sandbox.aws_server.server import one_at_a_time
from sandbox.cloud import Cloud


def test_requests_do_not_run_beside_each_other() -> None:
    """Amazon DynamoDB Developer Guide, "DynamoDB expression examples", conditional
    writes (Expressions.ConditionExpressions): a check and its write are one. moto alone
    runs them in threads."""
    running: list[int] = []
    most: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        running.append(1)
        most.append(len(running))
        time.sleep(0.01)
        running.pop()
        return [environ["wsgi.input"].read()]

    answers: list[bytes] = []
    answer = one_at_a_time(application)

    def request(body: bytes) -> None:
        environ = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        answers.extend(answer(environ, None))

    threads = [threading.Thread(target=request, args=(b"%d" % n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert sorted(answers) == [b"%d" % n for n in range(8)]


def test_a_long_poll_lets_other_requests_pass(cloud: Cloud, unique: str) -> None:
    """Amazon SQS Developer Guide, "Amazon SQS short and long polling"
    (sqs-short-and-long-polling)."""
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName=unique)["QueueUrl"]
    received: list[Any] = []

    def poll() -> None:
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)
        received.extend(answer["Messages"])

    poller = threading.Thread(target=poll)
    began = time.monotonic()
    poller.start()
    time.sleep(0.2)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    poller.join()
    assert [message["Body"] for message in received] == ["x"]
    assert time.monotonic() - began < 5


def _table(cloud: Cloud, name: str) -> Any:
    client = cloud.client("dynamodb")
    client.create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def _update(table: str, sk: str, condition: str = "") -> dict[str, Any]:
    update = {
        "TableName": table,
        "Key": {"pk": {"S": "a"}, "sk": {"S": sk}},
        "UpdateExpression": "SET n = :n",
        "ExpressionAttributeValues": {":n": {"N": "2"}},
    }
    return {
        "Update": update | ({"ConditionExpression": condition} if condition else {})
    }


def test_a_transaction_that_fails_changes_nothing(cloud: Cloud, unique: str) -> None:
    """Amazon DynamoDB Developer Guide, "Amazon DynamoDB Transactions: How it works"
    (transaction-apis): all actions succeed or none takes effect."""
    client = _table(cloud, unique)
    old = {"pk": {"S": "a"}, "sk": {"S": "old"}, "n": {"N": "1"}}
    client.put_item(TableName=unique, Item=old)
    with pytest.raises(client.exceptions.TransactionCanceledException) as raised:
        client.transact_write_items(
            TransactItems=[
                _update(unique, "old"),
                _update(unique, "new"),
                _update(unique, "missing", "attribute_exists(pk)"),
            ]
        )
    reasons = [r["Code"] for r in raised.value.response["CancellationReasons"]]
    assert reasons == ["None", "None", "ConditionalCheckFailed"]
    assert client.scan(TableName=unique)["Items"] == [old]
    client.transact_write_items(TransactItems=[_update(unique, "new")])
    assert client.scan(TableName=unique)["Count"] == 2


def test_a_query_sees_one_partition_in_order(cloud: Cloud, unique: str) -> None:
    """Amazon DynamoDB Developer Guide, "Querying tables in DynamoDB" (Query)."""
    client = _table(cloud, unique)
    for pk, sk in (("a", "2"), ("b", "1"), ("a", "1"), ("a", "3")):
        item = {"pk": {"S": pk}, "sk": {"S": sk}}
        client.put_item(TableName=unique, Item=item)
    found = client.query(
        TableName=unique,
        KeyConditionExpression="pk = :pk AND sk > :after",
        ExpressionAttributeValues={":pk": {"S": "a"}, ":after": {"S": "1"}},
        Limit=5,
    )
    assert [item["sk"]["S"] for item in found["Items"]] == ["2", "3"]
    nobody = client.query(
        TableName=unique,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "nobody"}},
    )
    assert nobody["Items"] == []
