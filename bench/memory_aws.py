"""AWS in this process's memory, behind botocore's real clients.

Requests are built and signed and answers parsed as always, without the wire between. So
the figures include botocore's share, and no server's.
"""

import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.handlers import BUILTIN_HANDLERS

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIABENCH",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # S3 then stands in the path: /bucket/key.
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}


class _Raw(io.BytesIO):
    """An answer's body, in the form that botocore reads."""

    def stream(self, amount: int = 65_536, **_: Any) -> Iterator[bytes]:
        while piece := self.read(amount):
            yield piece


class MemoryAws:
    """Secrets, objects by `bucket/key`, and what was put into a stream."""

    def __init__(self, secrets: dict[str, dict[str, str]] | None = None) -> None:
        self.secrets = secrets or {}
        self.objects: dict[str, bytes] = {}
        self.stream_bytes = 0
        self.calls: Counter[str] = Counter()

    def install(self) -> None:
        """Answer every client that is made from now on in this process."""
        BUILTIN_HANDLERS.append(("before-send", self._answer))

    def _answer(
        self, request: AWSPreparedRequest, event_name: str, **_: Any
    ) -> AWSResponse:
        operation = event_name.rpartition(".")[2]
        self.calls[operation] += 1
        try:
            status, content = 200, self._content(operation, request)
        except FileNotFoundError:
            status, content = 404, b"<Error><Code>NoSuchKey</Code></Error>"
        headers: Any = {"content-length": str(len(content)), "etag": "0"}
        return AWSResponse(request.url, status, headers, _Raw(content))

    def _content(self, operation: str, request: AWSPreparedRequest) -> bytes:
        body = _bytes(request.body)
        path = unquote(urlsplit(request.url).path).lstrip("/")
        match operation:
            case "GetSecretValue":
                secret = self.secrets[json.loads(body)["SecretId"]]
                return json.dumps({"SecretString": json.dumps(secret)}).encode()
            case "PutObject":
                self.objects[path] = body
                return b""
            case "DeleteObject":
                self.objects.pop(path, None)
                return b""
            case "GetObject":
                if path not in self.objects:
                    raise FileNotFoundError(path)
                return self.objects[path]
            case "PutRecords":
                self.stream_bytes += len(body)
                stored = {"SequenceNumber": "1", "ShardId": "shardId-000000000000"}
                # Counted and not parsed: decoding base64 would be our own cost here.
                records = [stored] * body.count(b'"PartitionKey"')
                return json.dumps({"FailedRecordCount": 0, "Records": records}).encode()
        raise NotImplementedError(operation)


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    return body.encode() if isinstance(body, str) else bytes(body.read())
