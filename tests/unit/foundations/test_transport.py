"""One retry policy: what is retried, for how long, and what no error ever quotes."""

import gc
import random
import socket
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from threading import Lock, Semaphore
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import BaseAdapter

from bridge.deadline import Deadline
from bridge.errors import RetryableError
from bridge.transport import (
    MAX_RETRY_AFTER,
    Reply,
    RetryPolicy,
    Transport,
    retry_after,
    window_left,
)

type Answer = tuple[int, dict[str, str], bytes] | Exception


class Scripted(BaseAdapter):
    """Gives its answers in turn; records what was sent."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.answers = list(answers)
        self.sent: list[requests.PreparedRequest] = []
        self.timeouts: list[Any] = []

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        self.sent.append(request)
        self.timeouts.append(options["timeout"])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, headers, body = answer
        response = requests.Response()
        response.status_code = status
        response.headers.update(headers)
        response.raw = urllib3.HTTPResponse(BytesIO(body), preload_content=False)
        return response

    def close(self) -> None:
        pass


class Clock:
    def __init__(self, left: float = 300.0) -> None:
        self.left = left
        self.at = 100.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        self.left -= seconds
        self.at += seconds

    def time_left(self) -> float:
        return self.left


def post(
    clock: Clock,
    *answers: Answer,
    policy: RetryPolicy | None = None,
    **options: Any,
) -> Any:
    adapter = Scripted(*answers)
    session = requests.Session()
    session.mount("https://", adapter)
    transport = Transport(
        "braze",
        "https://rest.example.braze.com",
        policy=policy or RetryPolicy(jitter=(0, 0)),
        session=session,
        sleep=clock.sleep,
        now=lambda: NOW + clock.at - 100,
        rng=random.Random(1),
        **options,
    )

    def call(path: str = "/x") -> Reply:
        return transport.post(path, b"{}", headers={}, time_left=clock.time_left)

    return adapter, call


NOW = 1_927_000_000.0
OK: Answer = (201, {}, b'{"message":"success"}')


def test_an_answer_is_returned_whole() -> None:
    _, call = post(Clock(), (400, {"X-Odd": "1"}, b"body"))
    assert call() == Reply(400, {"x-odd": "1"}, b"body")


@pytest.mark.parametrize(
    "fault",
    [
        (423, {}, b'{"message":"Resource locked"}'),
        (429, {}, b""),
        (500, {}, b""),
        (502, {}, b"<html>"),
        (503, {}, b""),
        (504, {}, b""),
        requests.ConnectionError("canary"),
        requests.ReadTimeout("canary"),
    ],
)
def test_what_heals_is_resent_unchanged_with_growing_pauses(fault: Answer) -> None:
    clock = Clock()
    adapter, call = post(clock, fault, fault, OK)
    assert call().status == 201
    assert clock.pauses == [2.0, 4.0]
    assert {request.body for request in adapter.sent} == {b"{}"}


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 413])
def test_nothing_else_is_resent(status: int) -> None:
    adapter, call = post(Clock(), (status, {}, b""))
    assert call().status == status
    assert len(adapter.sent) == 1


def test_the_pause_that_the_vendor_asks_for_replaces_our_own() -> None:
    clock = Clock()
    _, call = post(clock, (429, {"X-RateLimit-Retry-After": "7"}, b""), OK)
    call()
    assert clock.pauses == [7.0]


def test_a_requested_pause_that_exceeds_the_time_left_is_raised() -> None:
    clock = Clock(left=30)
    _, call = post(clock, (429, {"Retry-After": "600"}, b""))
    with pytest.raises(RetryableError) as caught:
        call()
    assert caught.value.retry_after == 600
    assert clock.pauses == []


def test_no_try_outlasts_the_time_left() -> None:
    clock = Clock(left=3)
    adapter, call = post(clock, OK)
    call()
    assert adapter.timeouts == [(3, 3)]


def test_used_up_tries_are_an_error_that_quotes_nothing() -> None:
    fault = requests.ConnectionError("canary-secret")
    _, call = post(Clock(), *[fault] * 4)
    with pytest.raises(RetryableError) as caught:
        call()
    assert caught.value.reason == "braze_network"
    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("99999", MAX_RETRY_AFTER),
        ("inf", MAX_RETRY_AFTER),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_the_requested_pause_is_clamped(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == seconds


def last_call(reset: str) -> Answer:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    return 201, headers, b'{"message":"success"}'


@pytest.mark.parametrize(
    ("remaining", "reset", "seconds"),
    [
        ("0", "2", 2.0),
        ("0", f"{NOW + 7:.0f}", 7.0),
        ("0", f"{NOW - 7:.0f}", 0.0),
        ("0", "99999", MAX_RETRY_AFTER),
        ("0", f"{NOW * 1000:.0f}", MAX_RETRY_AFTER),
        ("0", "", None),
        ("0", "soon", None),
        ("", "", None),
        ("1", "2", None),
        ("nan", "2", None),
    ],
)
def test_a_reset_is_an_epoch_or_seconds_left_by_its_size(
    remaining: str, reset: str, seconds: float | None
) -> None:
    headers = {"x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset}
    assert window_left(headers, NOW) == seconds


def test_after_the_last_call_of_a_window_the_next_one_waits_for_its_end() -> None:
    clock = Clock()
    adapter, call = post(clock, last_call(f"{NOW + 9:.0f}"), OK, OK, OK)
    call()
    call("/another/path")
    assert clock.pauses == []
    clock.pass_by(4)
    call()
    assert clock.pauses == [5.0]
    call()
    assert clock.pauses == [5.0]
    assert len(adapter.sent) == 4


def test_a_window_that_outlasts_the_time_left_is_raised_without_a_call() -> None:
    clock = Clock(left=30)
    adapter, call = post(clock, last_call("600"), OK)
    call()
    with pytest.raises(RetryableError) as caught:
        call()
    assert caught.value.retry_after == 600
    assert (clock.pauses, len(adapter.sent)) == ([], 1)
    clock.pass_by(600)
    clock.left = 30
    assert call().status == 201


def test_a_429_that_outlasts_the_time_left_blocks_later_calls_too() -> None:
    clock = Clock(left=30)
    answer: Answer = (429, {"X-RateLimit-Retry-After": "3600"}, b"")
    adapter, call = post(clock, answer, OK)
    for _ in range(2):
        with pytest.raises(RetryableError) as caught:
            call()
        assert caught.value.retry_after == 3600
    assert len(adapter.sent) == 1
    clock.pass_by(3600)
    clock.left = 30
    assert call().status == 201


@pytest.mark.parametrize(
    ("reset", "pauses"),
    [
        (f"{NOW + 9:.0f}", [9.0]),
        ("7", [7.0]),
        (f"{NOW - 1:.0f}", [2.0]),  # the window is over: our own pause
        ("0", [2.0]),
        ("", [2.0]),
        ("soon", [2.0]),
    ],
)
def test_a_429_that_states_only_its_reset_is_waited_out(
    reset: str, pauses: list[float]
) -> None:
    clock = Clock()
    policy = RetryPolicy(jitter=(0.0, 0.0))
    limited = (429, {"x-ratelimit-reset": reset}, b"")
    _, call = post(clock, limited, OK, policy=policy)
    assert call().status == 201
    assert clock.pauses == pauses


def test_a_reset_on_another_failure_than_429_asks_for_no_pause() -> None:
    clock = Clock()
    policy = RetryPolicy(jitter=(0.0, 0.0))
    _, call = post(clock, (503, {"x-ratelimit-reset": "600"}, b""), OK, policy=policy)
    assert call().status == 201
    assert clock.pauses == [2.0]


def test_empty_rate_headers_block_no_call() -> None:
    clock = Clock()
    empty = dict.fromkeys(("x-ratelimit-remaining", "x-ratelimit-reset"), "")
    _, call = post(clock, (401, empty, b""), OK)
    assert call().status == 401
    assert call().status == 201
    assert clock.pauses == []


def test_proxies_and_netrc_of_the_environment_are_not_used() -> None:
    session = requests.Session()
    Transport("braze", "https://rest.example.braze.com", session=session)
    assert not session.trust_env


class Batch:
    """An object in a caller's frame."""


def _fail(base_url: str) -> weakref.ref[Batch]:
    batch = Batch()
    transport = Transport("braze", base_url, policy=RetryPolicy(attempts=1))
    with suppress(RetryableError):
        transport.post("/x", b"{}", headers={}, time_left=lambda: 0.5)
    return weakref.ref(batch)


@pytest.mark.parametrize("listens", [True, False])
def test_a_failed_call_keeps_nothing_of_its_callers(listens: bool) -> None:
    """Batches of megabytes would pile up until the cycle collector runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not listens:
            server.close()
        gc.collect()
        gc.disable()
        try:
            assert _fail(f"http://127.0.0.1:{port}")() is None
        finally:
            gc.enable()


def limited(left: int, limit: int = 100) -> Answer:
    headers = {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(left),
        "x-ratelimit-reset": "9",
    }
    return (201, headers, b"{}")


@pytest.mark.parametrize(("left", "pauses"), [(21, []), (20, [9.0]), (0, [9.0])])
def test_what_is_reserved_for_other_callers_is_left_to_them(
    left: int, pauses: list[float]
) -> None:
    clock = Clock()
    _, call = post(clock, limited(left), OK, reserved=0.2)
    call()
    call()
    assert clock.pauses == pauses


class Held:
    """Answers each request when told to; `most` is how many were under way at once."""

    def __init__(self) -> None:
        self.lock, self.most, self.under_way = Lock(), 0, 0
        self.arrived, self.go = Semaphore(0), Semaphore(0)
        self.answer: Answer = OK

    def send(
        self, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        with self.lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.arrived.release()
        assert self.go.acquire(timeout=10)
        with self.lock:
            self.under_way -= 1
        return Scripted(self.answer).send(request, timeout=None)

    def close(self) -> None:
        pass


def test_no_more_calls_are_under_way_than_allowed_and_none_outruns_the_brake() -> None:
    """What is left of a window is what those under way will use."""
    clock, held = Clock(), Held()
    session = requests.Session()
    session.mount("https://", held)  # type: ignore[arg-type]
    transport = Transport(
        "braze",
        "https://rest.example.braze.com",
        session=session,
        sleep=clock.sleep,
        now=lambda: NOW + clock.at,
        calls_at_a_time=3,
    )

    def call() -> int:
        return transport.post("/x", b"{}", headers={}, time_left=clock.time_left).status

    with ThreadPoolExecutor(6) as threads:
        calls = [threads.submit(call) for _ in range(6)]
        for _ in range(3):
            assert held.arrived.acquire(timeout=10)
        assert not held.arrived.acquire(timeout=0.1), "the others wait"
        held.answer = limited(2)
        held.go.release()  # two are left, and two are under way
        assert not held.arrived.acquire(timeout=0.1) or clock.pauses
        held.go.release(10)
        assert [each.result() for each in calls] == [201] * 6
    assert held.most == 3
    assert 9.0 in clock.pauses


def test_threads_keep_their_own_deadlines() -> None:
    deadline = Deadline(clock=lambda: 0.0)
    deadline.set(5.0)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(deadline.set, 1.0).result()
    left: list[float] = []

    class Connection:
        def settimeout(self, seconds: float) -> None:
            left.append(seconds)

    deadline.apply(Connection())
    assert left == [5.0]
