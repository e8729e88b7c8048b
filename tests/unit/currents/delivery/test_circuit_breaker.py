"""The breaker tells a fault that affects every record from a poison record or type."""

import pytest

from bridge.currents.delivery.circuit_breaker import (
    MIN_REJECTED_RECORDS,
    WINDOW_RECORDS,
    CircuitBreaker,
)


def of_three_types(number: int) -> dict[str, int]:
    """So many rejections, spread over three event types."""
    return {f"type {each}": (number + each) // 3 for each in range(3)}


def of_one(number: int) -> dict[str, int]:
    """One rejection; record by record of another of three types."""
    return {f"type {number % 3}": 1}


def test_it_opens_when_one_record_after_the_other_is_rejected() -> None:
    breaker = CircuitBreaker()
    for number in range(MIN_REJECTED_RECORDS):
        assert not breaker.open
        breaker.note(f"r{number}", attempted=100, rejected=of_three_types(33))
    assert breaker.open


def test_one_record_never_opens_it_however_large_and_however_often_it_comes() -> None:
    breaker = CircuitBreaker()
    for _ in range(1_000):
        breaker.note("poison", attempted=5_000, rejected=of_three_types(5_000))
    assert not breaker.open


def test_a_fifth_of_a_record_or_of_the_records_is_tolerated() -> None:
    breaker = CircuitBreaker()
    for number in range(WINDOW_RECORDS):
        breaker.note(f"r{number}", attempted=10, rejected=of_three_types(2))
    assert breaker.rejected == 0
    for number in range(WINDOW_RECORDS // 5):
        breaker.note(f"bad{number}", attempted=9, rejected=of_three_types(9))
    assert not breaker.open
    breaker.note("one more", attempted=9, rejected=of_three_types(9))
    assert breaker.open


def test_it_closes_when_the_same_records_go_well() -> None:
    breaker = CircuitBreaker()
    for number in range(MIN_REJECTED_RECORDS):
        breaker.note(f"r{number}", attempted=9, rejected=of_three_types(9))
    assert breaker.open
    breaker.note("r3", attempted=9)
    assert not breaker.open


def test_only_the_latest_records_count() -> None:
    breaker = CircuitBreaker()
    for number in range(WINDOW_RECORDS):
        breaker.note(f"old{number}", attempted=9, rejected=of_three_types(9))
    assert breaker.open
    for number in range(WINDOW_RECORDS):
        breaker.note(f"good{number}", attempted=1)
    assert breaker.rejected == 0


@pytest.mark.parametrize("others", [0, 2])
def test_one_type_never_opens_it_alone_or_beside_types_that_are_taken(
    others: int,
) -> None:
    breaker = CircuitBreaker()
    for number in range(2 * WINDOW_RECORDS):
        breaker.note(f"r{number}", attempted=10 + others, rejected={"odd": 10})
        assert not breaker.open
    assert breaker.rejected == WINDOW_RECORDS


def test_records_of_one_event_each_open_it_if_their_types_differ() -> None:
    breaker = CircuitBreaker()
    for number in range(3 * MIN_REJECTED_RECORDS):
        breaker.note(f"r{number}", attempted=1, rejected=of_one(number))
    assert breaker.open


def test_the_type_that_most_events_have_does_not_hide_the_others() -> None:
    breaker = CircuitBreaker()
    for number in range(WINDOW_RECORDS):
        kind = "usual" if number % 5 else "rare"
        breaker.note(f"r{number}", attempted=1, rejected={kind: 1})
    assert breaker.open
