"""IAM in front of the AWS server: what each call asks, and what a denial looks like."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.aws_server.permissions import Ask, Grant, Permissions, asks_of
from sandbox.aws_server.process import AwsServer, key_of
from sandbox.lambda_runtime.processes import ChildGroup

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKIAX/20261129/eu-west-1/{}/aws4_request, Signature=x"
)
ARN = "arn:aws:{}:eu-west-1:123456789012:{}"


def asked(service: str, target: str = "", body: Any = None, **environ: str) -> set[Ask]:
    environ["HTTP_AUTHORIZATION"] = SIGNED.format(service)
    environ["HTTP_X_AMZ_TARGET"] = f"X.{target}"
    key, asks = asks_of(environ, json.dumps(body or {}).encode())
    assert key == "AKIAX"
    return set(asks)


def s3(method: str, path: str, query: str = "", **more: str) -> set[Ask]:
    return asked(
        "s3", REQUEST_METHOD=method, PATH_INFO=path, QUERY_STRING=query, **more
    )


def test_a_transaction_asks_for_the_action_of_each_item() -> None:
    """Amazon DynamoDB Developer Guide, "Amazon DynamoDB Transactions: IAM"."""
    items = [{"Update": {"TableName": "t"}}, {"Put": {"TableName": "u"}}]
    assert asked("dynamodb", "TransactWriteItems", {"TransactItems": items}) == {
        Ask("dynamodb:UpdateItem", ARN.format("dynamodb", "table/t")),
        Ask("dynamodb:PutItem", ARN.format("dynamodb", "table/u")),
    }


def test_a_batch_asks_for_its_tables_or_for_the_action_of_its_entries() -> None:
    batch: Any = {"RequestItems": {"t": {}, "u": {}}}
    table = ARN.format("dynamodb", "table/{}")
    assert asked("dynamodb", "BatchGetItem", batch) == {
        Ask("dynamodb:BatchGetItem", table.format(each)) for each in "tu"
    }
    queue = {"QueueUrl": "http://127.0.0.1/1/q.fifo"}
    assert asked("sqs", "DeleteMessageBatch", queue) == {
        Ask("sqs:DeleteMessage", ARN.format("sqs", "q.fifo"))
    }


@pytest.mark.parametrize(
    ("method", "path", "query", "action", "resource"),
    [
        ("PUT", "/b/k/l", "", "PutObject", "b/k/l"),
        ("GET", "/b/k", "", "GetObject", "b/k"),
        ("HEAD", "/b/k", "", "GetObject", "b/k"),
        ("DELETE", "/b/k", "", "DeleteObject", "b/k"),
        ("GET", "/b", "list-type=2", "ListBucket", "b"),
        ("POST", "/b", "delete", "DeleteObject", "b/*"),
    ],
)
def test_s3_asks_by_method_and_path(
    method: str, path: str, query: str, action: str, resource: str
) -> None:
    assert s3(method, path, query) == {Ask(f"s3:{action}", f"arn:aws:s3:::{resource}")}


def test_a_copy_reads_its_source() -> None:
    assert s3("PUT", "/b/k", HTTP_X_AMZ_COPY_SOURCE="/c/d%20e") == {
        Ask("s3:PutObject", "arn:aws:s3:::b/k"),
        Ask("s3:GetObject", "arn:aws:s3:::c/d e"),
    }


def test_a_grant_covers_by_pattern() -> None:
    grant = Grant("s3:PutObject", "arn:aws:s3:::b/pages/*")
    assert grant.covers(Ask("s3:PutObject", "arn:aws:s3:::b/pages/1/2"))
    assert not grant.covers(Ask("s3:PutObject", "arn:aws:s3:::b/rules/x"))
    assert not grant.covers(Ask("s3:GetObject", "arn:aws:s3:::b/pages/1"))


def test_keys_of_nobody_may_do_anything(tmp_path: Path) -> None:
    file = tmp_path / "permissions"
    assert Permissions(None).denied("K", [Ask("s3:x", "")]) is None
    assert Permissions(file).denied("K", [Ask("s3:x", "")]) is None
    file.write_text(json.dumps({"K": []}))
    assert Permissions(file).denied("K", [Ask("s3:x", "")]) == Ask("s3:x", "")
    assert Permissions(file).denied("L", [Ask("s3:x", "")]) is None


def test_a_function_is_denied_what_its_role_lacks_and_told_no_more(
    tmp_path: Path,
) -> None:
    children, server = ChildGroup(), AwsServer()
    server.start(children, tmp_path / "log", tmp_path / "permissions")
    try:
        server.client("s3").create_bucket(Bucket="bucket")
        get = ("s3:GetObject", "arn:aws:s3:::bucket/*")
        server.grant({"F": [get], "G": [get, ("s3:ListBucket", "arn:aws:s3:::bucket")]})
        codes = {}
        for function in "FG":
            s3_client = server.client("s3", key_of(function))
            with pytest.raises(ClientError) as caught:
                s3_client.get_object(Bucket="bucket", Key="gone")
            codes[function] = caught.value.response["Error"]["Code"]
            with pytest.raises(ClientError, match="AccessDenied"):
                s3_client.put_object(Bucket="bucket", Key="k", Body=b"")
            with pytest.raises(ClientError, match="AccessDenied"):
                server.client("sqs", key_of(function)).list_queues()
        assert codes == {"F": "AccessDenied", "G": "NoSuchKey"}
        assert {used[1] for used in server.used()} == {"s3:GetObject", "s3:ListBucket"}
    finally:
        server.stop()
        children.close()
