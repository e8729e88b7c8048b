"""A whole call ends within its time, at whatever pace the bytes come or go."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.errors import RetryableError
from bridge.transport import RetryPolicy, Transport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"


@contextmanager
def served(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that deals with each connection as `serve` does; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    serve(connection)

        threading.Thread(target=run, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def drip(connection: socket.socket, content: bytes) -> None:
    for byte in content:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def dripping_headers(connection: socket.socket) -> None:
    connection.recv(65_536)
    drip(connection, HEAD + b"x" * 40)


def dripping_body(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(HEAD)
    drip(connection, b"x" * 40)


def dripping_chunks(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drip(connection, b"1\r\nx\r\n" * 9)


def sipping(connection: socket.socket) -> None:
    """Takes the request so slowly that it never ends."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    for _ in range(40):
        if not connection.recv(1_000):
            return
        time.sleep(0.1)


def post(
    url: str,
    *,
    left: float,
    read_timeout: float = 30.0,
    size: int = 2,
    session: requests.Session | None = None,
) -> float:
    """How long a call takes that must fail."""
    transport = Transport(
        "mixpanel",
        url,
        policy=RetryPolicy(attempts=1),
        read_timeout=read_timeout,
        session=session,
    )
    ends = time.monotonic() + left
    begun = time.monotonic()
    with pytest.raises(RetryableError, match="mixpanel"):
        transport.post(
            "/", b"x" * size, headers={}, time_left=lambda: ends - time.monotonic()
        )
    transport._session.close()
    return time.monotonic() - begun


@pytest.mark.parametrize("serve", [dripping_headers, dripping_body, dripping_chunks])
@pytest.mark.parametrize("limit", ["time left", "read time-out"])
def test_an_answer_that_drips_is_left_at_the_deadline(
    serve: Callable[[socket.socket], None], limit: str
) -> None:
    with served(serve) as url:
        if limit == "time left":
            assert post(url, left=0.8) < 1.3
        else:
            assert post(url, left=60.0, read_timeout=0.8) < 1.3


def test_a_request_that_is_taken_drop_by_drop_is_left_too() -> None:
    with served(sipping) as url:
        assert post(url, left=0.8, size=20_000_000) < 1.5


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("drips", [False, True])
def test_over_tls_it_is_the_same(certificate: Path, drips: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    taken: list[int] = []

    def encrypted(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            if drips:
                dripping_body(secure)
                return
            for _ in range(2):
                received = b""
                while len(received) < 3_000_000:
                    received += secure.recv(65_536)
                taken.append(len(received))
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with served(encrypted) as url:
        session = requests.Session()
        session.verify = str(certificate)
        secure_url = url.replace("http:", "https:")
        if drips:
            assert post(secure_url, left=0.8, session=session) < 1.4
            return
        transport = Transport("mixpanel", secure_url, session=session)
        for _ in range(2):
            reply = transport.post(
                "/", b"x" * 3_000_000, headers={}, time_left=lambda: 5.0
            )
            assert (reply.status, reply.body) == (200, b"{}")
        session.close()
    assert len(taken) == 2


def test_a_connection_is_kept_from_call_to_call() -> None:
    connections = []

    def answering(connection: socket.socket) -> None:
        connections.append(connection)
        received = b""
        while part := connection.recv(65_536):
            received += part
            if received.endswith(b"\r\n\r\nx"):
                received = b""
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with served(answering) as url:
        transport = Transport("mixpanel", url)
        for _ in range(3):
            reply = transport.post("/", b"x", headers={}, time_left=lambda: 5.0)
            assert (reply.status, reply.body) == (200, b"{}")
        transport._session.close()
    assert len(connections) == 1
