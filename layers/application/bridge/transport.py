"""The only module that speaks HTTP: one session, time-outs, one retry policy.

Nothing that was sent or received enters an error, only the vendor, the status and a
code of ours: Braze's 401 repeats the very key that it rejects.
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Semaphore

import requests
import urllib3
from requests.adapters import HTTPAdapter

from bridge.deadline import Deadline, DeadlineAdapter
from bridge.errors import RetryableError

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
MAX_REPLY_BYTES = 8_000_000
RETRY_STATUSES = frozenset({423, 429, 500, 502, 503, 504})
"""423 is from Braze's cohort import: another call is changing the same cohort."""

MAX_RETRY_AFTER = 3600.0
MIN_EPOCH = 1_000_000_000.0
"""Braze states a reset as epoch or as seconds left; the epoch is the larger number."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, its headers in lower case and its raw body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` tries; pauses double from `base` to `ceiling` seconds, plus jitter."""

    attempts: int = 4
    base: float = 2.0
    ceiling: float = 60.0
    jitter: tuple[float, float] = (0.0, 1.0)
    statuses: frozenset[int] = RETRY_STATUSES

    def pause(self, attempt: int, rng: random.Random) -> float:
        """Seconds to wait after a failed try; `attempt` counts from 0."""
        wait: float = min(self.base * 2**attempt, self.ceiling)
        return wait + rng.uniform(*self.jitter)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The pause the server asks for, in seconds, an hour at most; None if it asks none.

    Braze sends `x-ratelimit-retry-after` with a 429; others send `retry-after`.
    """
    for name in ("x-ratelimit-retry-after", "retry-after"):
        seconds = _number(headers.get(name, ""))
        if seconds is not None:
            return min(max(seconds, 0.0), MAX_RETRY_AFTER)
    return None


def window_left(
    headers: Mapping[str, str],
    now: float,
    under_way: int = 0,
    reserved: float = 0.0,
) -> float | None:
    """Seconds until the rate limit's window ends, if no further call may begin in it.

    That is when what is left of the limit goes to the calls `under_way`, or is the
    fraction that is `reserved` for others. None while calls are left, and for empty
    headers, which Braze sends with rejections. `now` is in epoch seconds.
    """
    left = _number(headers.get("x-ratelimit-remaining", ""))
    limit = _number(headers.get("x-ratelimit-limit", "")) or 0.0
    if left is None or left - under_way > limit * reserved:
        return None
    return _until_reset(headers, now)


def _until_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the window ends, 0 if it has; None if the headers do not say."""
    reset = _number(headers.get("x-ratelimit-reset", ""))
    if reset is None:
        return None
    seconds = reset - now if reset > MIN_EPOCH else reset
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


class Brake:
    """Until when the paths of a vendor must not be called, as this process knows it."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def until(self, path: str) -> float:
        """Epoch seconds, 0 if the path may be called."""
        return self._until.get(path, 0.0)

    def hold(self, path: str, until: float) -> None:
        """Call the path no more before then."""
        self._until[path] = until


class Transport:
    """Posts to one vendor over one session that is kept alive.

    Threads may share it: `calls_at_a_time` requests are under way at once, the others
    wait. A path whose rate limit is used up, but for the fraction that is `reserved`
    for other callers, is not called until the vendor's window ends; `brake` may share
    that with other processes. `now` gives epoch seconds.
    """

    def __init__(
        self,
        vendor: str,
        base_url: str,
        *,
        policy: RetryPolicy | None = None,
        read_timeout: float = READ_TIMEOUT,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
        calls_at_a_time: int = 1,
        reserved: float = 0.0,
        brake: Brake | None = None,
        now: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self._vendor = vendor
        self.base_url = base_url
        self._policy = policy or RetryPolicy()
        self._read_timeout = read_timeout
        self._session = session or requests.Session()
        self._session.trust_env = False  # no proxy or .netrc from the environment
        self._deadline = Deadline()
        # A test's own adapter stays.
        if type(self._session.get_adapter(base_url)) is HTTPAdapter:
            adapter = DeadlineAdapter(self._deadline, calls_at_a_time)
            self._session.mount(base_url, adapter)
        self._sleep = sleep
        self._now = now
        self._room = Semaphore(calls_at_a_time)
        self._under_way = 0
        self._lock = Lock()
        self._reserved = reserved
        self._brake = brake or Brake()
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, no secret

    def post(
        self,
        path: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        time_left: Callable[[], float],
    ) -> Reply:
        """Post one body; retry the same bytes on 423, 429, 5xx and network errors.

        `time_left` gives the seconds that remain to the caller; no try outlasts it.
        Raises `RetryableError` when the tries or the time are used up, with the pause
        that the vendor asks for in `retry_after`. Any other status is returned.
        """
        attempt = 0
        while True:
            reason, requested = "network", None
            with self._slot(path, time_left):
                reply = self._try(path, body, headers, params, auth, time_left())
            if reply is not None:
                if reply.status not in self._policy.statuses:
                    others = self._under_way, self._reserved
                    self._block(path, window_left(reply.headers, self._now(), *others))
                    return reply
                reason, requested = f"status_{reply.status}", retry_after(reply.headers)
                if reply.status == 429 and requested is None:
                    # A window that has ended by our clock asks for no pause.
                    requested = _until_reset(reply.headers, self._now()) or None
            pause = requested
            if pause is None:
                pause = self._policy.pause(attempt, self._rng)
            attempt += 1
            if reason == "status_429":
                self._block(path, requested)
            if attempt >= self._policy.attempts or pause >= time_left() - 1.0:
                raise RetryableError(
                    f"{self._vendor}_{reason}",
                    f"{self._vendor} did not take the request ({reason}, "
                    f"{attempt} tries)",
                    retry_after=requested,
                )
            self._sleep(pause)

    def pause(self, seconds: float) -> None:
        """Sleep: for a caller that must not come again at once."""
        if seconds > 0:
            self._sleep(seconds)

    @contextmanager
    def _slot(self, path: str, time_left: Callable[[], float]) -> Iterator[None]:
        """Wait until the path may be called, and another call be under way."""
        while True:
            waited_for = self._wait_until_open(path, time_left)
            with self._room:
                # It may have been closed again while this call waited for others.
                if self._brake.until(path) > max(waited_for, self._now()):
                    continue
                with self._lock:
                    self._under_way += 1
                try:
                    yield
                finally:
                    with self._lock:
                        self._under_way -= 1
                return

    def _block(self, path: str, seconds: float | None) -> None:
        if seconds:
            self._brake.hold(path, self._now() + seconds)

    def _wait_until_open(self, path: str, time_left: Callable[[], float]) -> float:
        """Sleep until the path may be called, and return when that is.

        In epoch seconds. Raises at once if it takes too long.
        """
        until = self._brake.until(path)
        pause = until - self._now()
        if pause <= 0:
            return until
        if pause >= time_left() - 1.0:
            raise RetryableError(
                f"{self._vendor}_cooling",
                f"{self._vendor} takes no more calls for now",
                retry_after=pause,
            )
        self._sleep(pause)
        return until

    def _try(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        auth: tuple[str, str] | None,
        time_left: float,
    ) -> Reply | None:
        """One request; None if no answer came, whether or not it took effect.

        It ends within the time that is left, from the connection to the last byte.
        """
        limit = min(self._read_timeout, max(time_left, 0.5))
        self._deadline.set(limit)
        try:
            with self._session.post(
                self.base_url + path,
                data=body,
                headers=dict(headers),
                params=params,
                auth=auth,
                timeout=(min(CONNECT_TIMEOUT, limit), limit),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = response.raw.read(MAX_REPLY_BYTES, decode_content=True)
                lowered = {k.lower(): v for k, v in response.headers.items()}
                return Reply(response.status_code, lowered, content)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            _drop_tracebacks(error)
            return None


def _drop_tracebacks(error: BaseException | None) -> None:
    """Drop the tracebacks of an error and of its causes.

    A frame of urllib3 refers to the error, whose traceback refers to the frame and, by
    its callers, to a whole batch: megabytes that only the cycle collector would free.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__context__
