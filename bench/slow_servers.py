"""Braze and the ledger as servers that take their time, each in a process of its own.

    python -m bench.slow_servers braze
    python -m bench.slow_servers ledger ADDRESS

Braze takes every call after `BRAZE_SECONDS`. The ledger keeps members, the index of
profiles and open pushes itself, and forwards the few items of cohorts to the DynamoDB
at ADDRESS, which would be busy with the members; it answers after `LEDGER_SECONDS`.
"""

import json
import subprocess
import sys
import threading
import time
from bisect import bisect_right, insort
from collections import defaultdict
from http.client import HTTPConnection
from typing import Any, Self

import orjson

from sandbox.servers.loopback import KeepAliveHandler, LoopbackServer

BRAZE_SECONDS = 0.200
LEDGER_SECONDS = 0.010


class SlowServer:
    """One of the servers, as its parent sees it."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bench.slow_servers", *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        if self._process.stdout is None:
            raise AssertionError("stdout is a pipe")
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    def counts(self) -> dict[str, int]:
        """`calls`, `items` and the `most` calls at a time, since the last question."""
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/counts")
        found: dict[str, int] = json.loads(connection.getresponse().read())
        connection.close()
        return found


class _Server(LoopbackServer):
    """Counts what its handler is asked."""

    def __init__(self, handler: type["_Handler"], upstream: str) -> None:
        self.upstream = upstream
        self.lock = threading.Lock()
        self.calls = self.items = self.under_way = self.most = 0
        self.partitions: dict[str, dict[str, Any]] = defaultdict(dict)
        self.order: dict[str, list[str]] = defaultdict(list)
        super().__init__(0, handler)


class _Handler(KeepAliveHandler):
    server: _Server
    seconds: float

    def do_GET(self) -> None:
        at = self.server
        found = {"calls": at.calls, "items": at.items, "most": at.most}
        at.calls = at.items = at.most = 0
        self._answer(200, orjson.dumps(found))

    def do_POST(self) -> None:
        began = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server = self.server
        with server.lock:
            server.calls += 1
            server.under_way += 1
            server.most = max(server.most, server.under_way)
        status, content, items = self.take(body)
        time.sleep(max(0.0, began + self.seconds - time.monotonic()))
        with server.lock:
            server.items += items
            server.under_way -= 1
        self._answer(status, content)

    def take(self, body: bytes) -> tuple[int, bytes, int]:
        """Status and answer, and how many items the call was about."""
        raise NotImplementedError

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


class _Braze(_Handler):
    seconds = BRAZE_SECONDS

    def take(self, body: bytes) -> tuple[int, bytes, int]:
        items = body.count(b"_update_existing_only") or body.count(b'"cust-')
        return 201, b'{"message":"success"}', items


class _Ledger(_Handler):
    seconds = LEDGER_SECONDS

    def take(self, body: bytes) -> tuple[int, bytes, int]:
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        request = orjson.loads(body)
        if _is_of_a_cohort(operation, request):
            return self._forwarded(body)
        with self.server.lock:
            answer, items = getattr(self, f"_{operation}")(request)
        return 200, orjson.dumps(answer), items

    def _forwarded(self, body: bytes) -> tuple[int, bytes, int]:
        connection = HTTPConnection(self.server.upstream)
        connection.request("POST", "/", body, dict(self.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, 1

    def _BatchGetItem(self, request: Any) -> tuple[Any, int]:
        ((table, asked),) = request["RequestItems"].items()
        keys = asked["Keys"]
        found = (self.server.partitions[k["pk"]["S"]].get(k["sk"]["S"]) for k in keys)
        items = [item for item in found if item]
        return {"Responses": {table: items}, "UnprocessedKeys": {}}, len(keys)

    def _BatchWriteItem(self, request: Any) -> tuple[Any, int]:
        (writes,) = request["RequestItems"].values()
        for write in writes:
            if "PutRequest" in write:
                item = write["PutRequest"]["Item"]
                pk, sk = item["pk"]["S"], item["sk"]["S"]
                if sk not in self.server.partitions[pk]:
                    insort(self.server.order[pk], sk)
                self.server.partitions[pk][sk] = item
            else:
                key = write["DeleteRequest"]["Key"]
                pk, sk = key["pk"]["S"], key["sk"]["S"]
                if self.server.partitions[pk].pop(sk, None):
                    self.server.order[pk].remove(sk)
        return {"UnprocessedItems": {}}, len(writes)

    def _Query(self, request: Any) -> tuple[Any, int]:
        values = request["ExpressionAttributeValues"]
        pk, after = values[":pk"]["S"], values.get(":after", {}).get("S", "")
        order = self.server.order[pk]
        first = bisect_right(order, after) if after else 0
        keys = order[first : first + request.get("Limit", 1_000)]
        items = [self.server.partitions[pk][sk] for sk in keys]
        return {"Items": items, "Count": len(items)}, len(items)


def _is_of_a_cohort(operation: str, request: Any) -> bool:
    """Whether the first key is of the partition of a cohort, or of a shared one."""
    match operation:
        case "BatchGetItem":
            ((_, asked),) = request["RequestItems"].items()
            pk = asked["Keys"][0]["pk"]["S"]
        case "Query":
            pk = request["ExpressionAttributeValues"][":pk"]["S"]
        case "BatchWriteItem":
            return False
        case _:
            return True
    return not pk.startswith(("M#", "I#", "J#", "O#"))


def main() -> None:
    """Serve on any port, and print it."""
    kind, *upstream = sys.argv[1:]
    handler = {"braze": _Braze, "ledger": _Ledger}[kind]
    server = _Server(handler, "".join(upstream).removeprefix("http://"))
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
