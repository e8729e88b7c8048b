"""Same bytes in, same four key values out: at each retry, in each process."""

import json
import os
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
    lines = [json.dumps(event).encode() + blank for event in made]
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
    for event in made[::3]:
        del event["id"]
    lines = [json.dumps(event).encode() for event in made]
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
