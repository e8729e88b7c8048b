"""Every event that can be separated is salvaged from a broken record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.currents.decode.record import (
    decode,
)
from tests.unit.currents.record_bytes import EVENTS, ONE_LINERS, aggregate


def test_one_bad_line_among_good_ones_is_quarantined_alone() -> None:
    data = b"\n".join([ONE_LINERS[0], b'{"broken', ONE_LINERS[2]])
    good, bad, other = decode(data)
    assert (good.event, other.event) == (EVENTS[0], EVENTS[2])
    assert bad.raw == b'{"broken'


BROKEN = {
    "not a value": b"{'event_type': 1}",
    "no number": b'{"price": NaN}',
    "no end of a number": b'{"price": 1e}',
    "deep": b'{"a": ' + b"[" * 3_000 + b"]" * 3_000 + b"}",
    "brackets in a text": b'{"name": "]},{[", "x": }',
    "a bare word": b"oops",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("form", ["array", "envelope", "lines", "aggregate"])
def test_a_bad_event_is_quarantined_alone_and_its_neighbours_are_read(
    kind: str, form: str
) -> None:
    """B7: the others of the record are as good as they were."""
    rejected = [ONE_LINERS[0], BROKEN[kind], ONE_LINERS[2]]
    data = {
        "array": b"[" + b", ".join(rejected) + b"]",
        "envelope": b'{ "events" : [' + b",".join(rejected) + b"]}",
        "lines": b"\n".join(rejected),
        "aggregate": aggregate(*rejected),
    }[form]
    good, bad, other = decode(data)
    assert (good.event, other.event) == (EVENTS[0], EVENTS[2])
    assert bad.raw == BROKEN[kind]
    assert bad.problem is not None
    assert bad.problem.reason == "not_json"


@pytest.mark.parametrize("opening", [b"[", b'{"events": ['])
def test_of_an_array_that_is_cut_off_the_last_alone_is_bad(opening: bytes) -> None:
    data = opening + b",".join(ONE_LINERS)
    first, second, last = decode(data[:-5])
    assert [first.event, second.event] == EVENTS[:2]
    assert last.problem is not None
    assert last.raw == ONE_LINERS[2][:-5]


@given(
    pieces=st.lists(st.sampled_from([*ONE_LINERS, *BROKEN.values()]), min_size=2),
    envelope=st.booleans(),
)
def test_every_byte_is_in_an_event_or_quarantined(
    pieces: list[bytes], envelope: bool
) -> None:
    opening, end = (b'{"events":[', b"]}") if envelope else (b"[", b"]")
    found = [decoded.raw for decoded in decode(opening + b",".join(pieces) + end)]
    assert found == pieces
