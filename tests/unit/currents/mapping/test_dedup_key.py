"""Same bytes in, same four key values out: at each retry, in each process."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.currents.delivery.prepare import events_of, key_of, prepare
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.transform import Mapper
from bridge.currents.stream.arrival import first_arrival, partition_key
from bridge.currents.stream.pack import pack
from bridge.errors import MalformedInput
from bridge.quarantine import Key
from bridge.settings import AnonymousUsers
from sandbox.braze.currents import KINDS, CurrentsSource
from tests.unit.currents.mapping.test_transform import event, rule, sent

ARRIVED = 1_795_518_000.5

numbers = st.floats(allow_nan=False, allow_infinity=False)
odd = st.none() | st.booleans() | st.text(max_size=40) | numbers | st.lists(st.text())
events = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from([*KINDS, "users.pigeon.Send"]),
        "time": st.integers(1_200_000_000, 1_800_000_000)
        | st.integers(1_200_000_000_000, 1_800_000_000_000)
        | odd,
        "user": st.fixed_dictionaries(
            {}, optional={"external_user_id": st.text(max_size=30) | odd}
        ),
        "properties": st.dictionaries(st.sampled_from(["name", "url"]), odd),
    },
    optional={"id": st.uuids().map(str) | odd},
)
MAPPER = Mapper(AnonymousUsers.DEVICE)
blanks = st.sampled_from([b"", b" ", b"\n", b"\r\n", b"\t "])


def outcomes(data: bytes, arrived: float) -> list[Key | str]:
    """The key of each event of a record, or why there is none."""
    found: list[Key | str] = []
    for decoded in events_of(data):
        try:
            prepared = prepare(decoded, arrived, MAPPER)
        except MalformedInput as problem:
            found.append(problem.reason)
        else:
            if isinstance(prepared, Filtered):
                found.append(prepared.rule)
            else:
                found.append(key_of(prepared[0]))
    return found


@settings(deadline=None)
@given(st.lists(events, min_size=1, max_size=4), blanks, st.integers(0, 10**7))
def test_a_replay_has_the_keys_of_the_first_try(
    made: list[dict[str, Any]], blank: bytes, later: int
) -> None:
    """Each event alone, in a record of its own or of others, days after."""
    lines = [json.dumps(each).encode() + blank for each in made]
    record = b"\n".join(lines)
    first = outcomes(record, ARRIVED)
    assert outcomes(record, ARRIVED) == first
    replayed = []
    for data in pack([decoded.raw for decoded in events_of(record)]):
        key = partition_key(ARRIVED, data)
        replayed += outcomes(data, first_arrival(key, ARRIVED + later))
    assert replayed == first


PROGRAM = """
import sys
from tests.unit.currents.mapping.test_dedup_key import outcomes
for line in sys.stdin.buffer:
    print(outcomes(line, 1_795_518_000.5))
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_makes_the_same_keys(seed: str) -> None:
    source = CurrentsSource(["cust-1", "cust-2"], 1_795_517_000, anonymous=0.2)
    made = [source.event() for _ in range(200)]
    for each in made[::3]:
        del each["id"]
    lines = [json.dumps(each).encode() for each in made]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM],
        input=b"\n".join(lines),
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
    )
    here = [str(outcomes(line, ARRIVED)) for line in lines]
    assert done.stdout.decode().splitlines() == here


@pytest.mark.parametrize(
    ("user_id", "expected"),
    [
        ("42", "42"),
        (str(2**53 + 1), str(2**53 + 1)),
        (str(2**63), str(2**63)),
        # Read as floats, the first two would be one user.
        (str(10**20 + 1), "numeric_external_id"),
        (str(10**20 + 2), "numeric_external_id"),
        ("42.0", "numeric_external_id"),
        ("1e3", "numeric_external_id"),
    ],
)
def test_a_number_that_lost_digits_is_no_user(user_id: str, expected: str) -> None:
    user = f'{{"external_user_id": {user_id}}}'
    data = f'{{"event_type": "a.b", "time": 1767225600, "user": {user}}}'.encode()
    (found,) = outcomes(data, ARRIVED)
    assert (found if isinstance(found, str) else found[1]) == expected


@pytest.mark.parametrize("ahead", [1, 3600, 48 * 3600, 10**9])
def test_a_future_time_is_capped_by_the_arrival(ahead: int) -> None:
    """Mixpanel would overwrite it with its own, a different one at each retry."""
    given = event(time=int(ARRIVED) + ahead)
    assert sent(given)["properties"]["time"] == int(ARRIVED)


@pytest.mark.parametrize("ahead", [-3600, -1, 0, 1, 60])
def test_a_batch_that_comes_twice_has_other_keys_only_where_its_times_lie_ahead(
    ahead: int,
) -> None:
    """The runbook says so where a customer looks for duplicates."""
    data = json.dumps(event(time=int(ARRIVED) + ahead)).encode()
    first, again = outcomes(data, ARRIVED), outcomes(data, ARRIVED + 300)
    assert (first != again) == (ahead > 0)


def test_a_time_in_milliseconds_is_read_as_such() -> None:
    for each in (1_767_225_600_123, 1_767_225_600_123_000, 1_767_225_600.123):
        made = sent(event(time=each))["properties"]["time"]
        assert made == 1_767_225_600_123
    assert sent(event(time=1_767_225_600_000))["properties"]["time"] == 1_767_225_600
    for old in (
        1_199_145_600_000,
        1_199_145_600_123,
        1_199_145_600_123_456,
        1_300_000.5,
    ):
        assert rule(event(time=old)) == "before_2010"


def test_times_within_a_second_keep_their_order() -> None:
    first, second = 1_767_225_600_100, 1_767_225_600_900
    times = [sent(event(time=each))["properties"]["time"] for each in (first, second)]
    assert times == [first, second]


@pytest.mark.parametrize("time", [None, "yesterday", True, [], 1e400, float("nan")])
def test_a_value_that_is_no_time_is_malformed(time: object) -> None:
    with pytest.raises(MalformedInput) as caught:
        sent(event(time=time))
    assert caught.value.field == "time"


@pytest.mark.parametrize("event_id", ["a" * 37, "with space", "ümlaut", "null", "0"])
def test_an_id_that_mixpanel_rejects_becomes_a_digest(event_id: str) -> None:
    first = sent(event(id=event_id))["properties"]["$insert_id"]
    assert re.fullmatch(r"[0-9a-f]{36}", first)
    assert (
        first
        == sent(event(id=event_id, time=1_767_225_601))["properties"]["$insert_id"]
    )


def test_without_an_id_the_bytes_give_one() -> None:
    first, other = (
        sent(event(id=None, time=at)) for at in (1_767_225_600, 1_767_225_601)
    )
    assert first["properties"]["$insert_id"] != other["properties"]["$insert_id"]
