"""The server under the stand-ins: its own mistakes never look like a vendor's."""

import http.client
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from sandbox.servers.web import Answer, Call, WebServer


def respond(call: Call) -> Answer:
    if call.path == "/broken":
        raise LookupError("our own mistake")
    if call.path == "/stall":
        return Answer(0, reset=True, delay=60.0)
    return Answer(200, {"method": call.method, "query": call.query})


@pytest.fixture
def server() -> Iterator[WebServer]:
    running = WebServer(respond)
    running.start()
    yield running
    running.stop()


def connection(server: WebServer) -> http.client.HTTPConnection:
    port = int(server.url.rsplit(":", 1)[1])
    return http.client.HTTPConnection("127.0.0.1", port, timeout=5)


def get(client: http.client.HTTPConnection) -> bytes:
    client.request("GET", "/a")
    return client.getresponse().read()


def test_a_connection_serves_many_calls(server: WebServer) -> None:
    client = connection(server)
    began = time.perf_counter()
    for _ in range(200):
        assert get(client).startswith(b'{"method": "GET"')
    client.close()
    assert time.perf_counter() - began < 5, "no wait for the other end's packets"


def test_a_mistake_of_ours_is_a_500_that_says_so(
    server: WebServer, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = requests.get(f"{server.url}/broken", timeout=5)
    assert answer.status_code == 500
    assert "stand_in" in answer.json()
    assert "our own mistake" in capsys.readouterr().err


def test_a_body_without_length_is_rejected_and_not_taken_for_empty(
    server: WebServer,
) -> None:
    chunks = (part for part in (b"a", b"b"))
    assert requests.post(f"{server.url}/a", data=chunks, timeout=5).status_code == 411
    with socket.create_connection(("127.0.0.1", int(server.url[-5:]))) as raw:
        raw.sendall(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: many\r\n\r\n")
        assert b" 411 " in raw.recv(100)


def test_a_client_that_asks_before_a_large_body_is_asked_to_go_on(
    server: WebServer,
) -> None:
    with socket.create_connection(("127.0.0.1", int(server.url[-5:])), 2) as raw:
        raw.sendall(
            b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n"
            b"expect: 100-continue\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 100 ")
        raw.sendall(b"x")
        assert raw.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_once_stopped_a_kept_connection_is_closed_too() -> None:
    server = WebServer(respond)
    server.start()
    client = connection(server)
    get(client)
    server.stop()
    client.auto_open = 0  # no new connection in place of the old one
    with pytest.raises((http.client.HTTPException, OSError)):
        get(client)
    client.close()


def test_a_stop_does_not_wait_for_a_stall() -> None:
    server = WebServer(respond)
    server.start()
    client = connection(server)
    client.request("GET", "/stall")
    began = time.perf_counter()
    server.stop()
    with pytest.raises((http.client.HTTPException, OSError)):
        client.getresponse()
    client.close()
    assert time.perf_counter() - began < 5


def test_a_server_that_never_began_can_be_stopped() -> None:
    WebServer(respond).stop()
