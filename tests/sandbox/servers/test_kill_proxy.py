"""The proxy that kills a caller: on the chosen side of one call; the others pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from sandbox.servers.kill_proxy import KillProxy, KillSwitch
from sandbox.servers.web import Answer, Call, WebServer


@contextmanager
def upstream(seen: list[Call]) -> Iterator[str]:
    def respond(call: Call) -> Answer:
        seen.append(call)
        return Answer(201, {"n": len(seen)}, {"x-upstream": "yes"})

    server = WebServer(respond)
    server.start()
    yield server.url
    server.stop()


def post(url: str) -> Any:
    session = requests.Session()
    session.trust_env = False
    with session:
        target = {"X-Amz-Target": "DynamoDB_20120810.UpdateItem"}
        return session.post(f"{url}/users/track?x=1", b"{}", headers=target, timeout=9)


@pytest.mark.parametrize(("after", "took_effect"), [(False, 1), (True, 2)])
def test_the_caller_dies_on_one_side_of_the_planned_call(
    after: bool, took_effect: int
) -> None:
    seen: list[Call] = []
    deaths: list[int] = []
    switch = KillSwitch()
    switch.arm(1, lambda: deaths.append(len(seen)), after=after)
    with upstream(seen) as url, KillProxy(switch, url) as proxy:
        answer = post(proxy.url)
        with pytest.raises(requests.ConnectionError):
            post(proxy.url)
        assert switch.killed
        assert deaths == [took_effect]
        assert post(proxy.url).json() == {"n": took_effect + 1}
    assert (answer.status_code, answer.headers["x-upstream"]) == (201, "yes")
    assert (seen[0].path, seen[0].query, seen[0].body) == (
        "/users/track",
        {"x": "1"},
        b"{}",
    )
    assert switch.calls == ["UpdateItem"] * 3


def test_unarmed_it_only_counts_and_a_call_without_a_target_has_its_path() -> None:
    switch = KillSwitch()
    with upstream([]) as url, KillProxy(switch, url) as proxy:
        session = requests.Session()
        session.trust_env = False
        with session:
            session.put(f"{proxy.url}/bucket/key", b"x", timeout=9)
    assert (switch.calls, switch.killed) == (["PUT bucket"], False)
