"""What a function's role allows, for each call that is signed with the function's key.

IAM is asked as AWS asks it: by action and resource, where a transaction or a batch asks
for each of its parts. What the role lacks is denied in the words of the service. Keys
that are no function's, such as a test's own, may do anything.
"""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from sandbox.cloudformation.template import ACCOUNT

_KEY = re.compile(r"Credential=([^/]+)/[0-9]+/([^/]+)/([^/]+)/")
_TRANSACTION = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem",
                "ConditionCheck": "ConditionCheckItem", "Get": "GetItem"}  # fmt: skip
_UNASKED = {"sqs:GetQueueUrl"}
"""The sandbox's mappings look a queue up by its name; AWS's have no need to."""


class Ask(NamedTuple):
    """One question to IAM; `resource` is an ARN, empty where the call names none."""

    action: str
    resource: str


class Grant(NamedTuple):
    """One action that a role allows, on the resources of one pattern."""

    action: str
    resource: str

    def covers(self, ask: Ask) -> bool:
        """Whether this allows it; `*` and `?` stand for any characters, as in IAM."""
        named = not ask.resource or fnmatchcase(ask.resource, self.resource)
        return named and fnmatchcase(ask.action.lower(), self.action.lower())


class Permissions:
    """The grants of each function, by its key, and which of them were ever used.

    They stand in a file that is written once the stack's resources have their ARNs;
    the grants that were used are appended to another one beside it.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._grants: dict[str, list[Grant]] = {}
        self._used: set[tuple[str, Grant]] = set()
        self._lock = threading.Lock()

    def denied(self, key: str, asks: Iterable[Ask]) -> Ask | None:
        """The first question that the key's role has no grant for."""
        grants = self._of(key)
        if grants is None:
            return None
        for ask in asks:
            covering = [grant for grant in grants if grant.covers(ask)]
            if not covering and ask.action not in _UNASKED:
                return ask
            for grant in covering:
                self._note(key, grant)
        return None

    def _of(self, key: str) -> list[Grant] | None:
        if not self._grants and self._file is not None and self._file.exists():
            read: dict[str, list[list[str]]] = json.loads(self._file.read_text())
            self._grants = {k: [Grant(*g) for g in found] for k, found in read.items()}
        return self._grants.get(key)

    def _note(self, key: str, grant: Grant) -> None:
        with self._lock:
            if self._file is not None and (key, grant) not in self._used:
                self._used.add((key, grant))
                with used_file(self._file).open("a") as file:
                    file.write(json.dumps([key, *grant]) + "\n")


def used_file(file: Path) -> Path:
    """Where the grants that were used are noted, one a line: key, action, resource."""
    return file.with_suffix(".used")


def asks_of(environ: Mapping[str, Any], body: bytes) -> tuple[str, list[Ask]]:
    """The key of a signed request, and all that IAM is asked; empty if not signed."""
    signed = _KEY.search(environ.get("HTTP_AUTHORIZATION", ""))
    if signed is None:
        return "", []
    key, region, service = signed.groups()
    if service == "s3":
        return key, list(_s3_asks(environ))
    operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    content = json.loads(body) if body.startswith(b"{") else {}
    arn = f"arn:aws:{service}:{region}:{ACCOUNT}:"
    return key, list(_json_asks(service, operation, content, arn))


def _json_asks(
    service: str, operation: str, content: dict[str, Any], arn: str
) -> Iterator[Ask]:
    match service:
        case "dynamodb" if operation == "TransactWriteItems":
            for item in content["TransactItems"]:
                ((kind, part),) = item.items()
                table = f"{arn}table/{part['TableName']}"
                yield Ask(f"dynamodb:{_TRANSACTION[kind]}", table)
        case "dynamodb":
            tables = content.get("RequestItems") or [content.get("TableName", "")]
            for table in tables:
                yield Ask(f"dynamodb:{operation}", f"{arn}table/{table}")
        case "sqs":
            name = content.get("QueueUrl", "").rpartition("/")[2]
            action = operation.removesuffix("Batch")
            yield Ask(f"sqs:{action}", name and f"{arn}{name}")
        case "kinesis":
            given = content.get("StreamARN", "")
            name = content.get("StreamName", "")
            yield Ask(f"kinesis:{operation}", given or (name and f"{arn}stream/{name}"))
        case "secretsmanager":
            yield Ask(f"secretsmanager:{operation}", content.get("SecretId", ""))
        case _:
            yield Ask(f"{service}:{operation}", "")


def _s3_asks(environ: Mapping[str, Any]) -> Iterator[Ask]:
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    arn, query = (
        f"arn:aws:s3:::{bucket}",
        parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True),
    )
    method = environ["REQUEST_METHOD"]
    if not key:
        listing = {"GET": "ListBucket", "HEAD": "ListBucket"}
        action = listing.get(method, "DeleteObject" if "delete" in query else method)
        yield Ask(f"s3:{action}", arn if action == "ListBucket" else f"{arn}/*")
        return
    actions = {"PUT": "PutObject", "POST": "PutObject", "DELETE": "DeleteObject"}
    yield Ask(f"s3:{actions.get(method, 'GetObject')}", f"{arn}/{key}")
    if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
        name = unquote(source).lstrip("/").partition("?")[0]
        yield Ask("s3:GetObject", f"arn:aws:s3:::{name}")


type _Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def authorizing(application: _Application, permissions: Permissions) -> _Application:
    """Ask IAM before each call; the body must have been read into a seekable stream."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        stream = environ["wsgi.input"]
        body = stream.read()
        stream.seek(0)
        key, asks = asks_of(environ, body)
        if denied := permissions.denied(key, asks):
            return _denial(denied, start_response)
        if not any(ask.action == "s3:GetObject" for ask in asks):
            return application(environ, start_response)
        return _answer_object(
            application, permissions, key, asks[0], environ, start_response
        )

    return answer


def _answer_object(
    application: _Application,
    permissions: Permissions,
    key: str,
    ask: Ask,
    environ: dict[str, Any],
    start_response: Any,
) -> Iterable[bytes]:
    """S3 tells only those that an object is missing who may list its bucket.

    Amazon S3 API Reference, "GetObject": without `s3:ListBucket` it answers 403.
    """
    listing = Ask("s3:ListBucket", ask.resource.partition("/")[0])
    begun: list[Any] = []

    def hold(*status_and_headers: Any) -> Any:
        begun[:] = status_and_headers
        return None

    content = list(application(environ, hold))
    if begun[0].startswith("404") and permissions.denied(key, [listing]):
        return _denial(listing, start_response)
    start_response(*begun)
    return content


def _denial(ask: Ask, start_response: Any) -> Iterable[bytes]:
    message = f"no identity-based policy allows the {ask.action} action"
    if ask.action.startswith("s3:"):
        body = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
        start_response("403 Forbidden", [("Content-Type", "application/xml")])
        return [body.encode()]
    body = json.dumps({"__type": "AccessDeniedException", "message": message})
    start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.0")])
    return [body.encode()]
