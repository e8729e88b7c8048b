"""The breaker tells a fault that affects every record from a poison record."""

from bridge.currents.delivery.circuit_breaker import (
    MIN_REJECTED_RECORDS,
    WINDOW_RECORDS,
    CircuitBreaker,
)


def test_it_opens_when_one_record_after_the_other_is_rejected() -> None:
    breaker = CircuitBreaker()
    for number in range(MIN_REJECTED_RECORDS):
        assert not breaker.open
        breaker.note(f"r{number}", attempted=100, rejected=21)
    assert breaker.open


def test_one_record_never_opens_it_however_large_and_however_often_it_comes() -> None:
    breaker = CircuitBreaker()
    for _ in range(1_000):
        breaker.note("poison", attempted=5_000, rejected=5_000)
    assert not breaker.open


def test_a_fifth_of_a_record_or_of_the_records_is_tolerated() -> None:
    breaker = CircuitBreaker()
    for number in range(WINDOW_RECORDS):
        breaker.note(f"r{number}", attempted=10, rejected=2)
    assert breaker.rejected == 0
    for number in range(WINDOW_RECORDS // 5):
        breaker.note(f"bad{number}", attempted=1, rejected=1)
    assert not breaker.open
    breaker.note("one more", attempted=1, rejected=1)
    assert breaker.open


def test_it_closes_when_the_same_records_go_well() -> None:
    breaker = CircuitBreaker()
    for number in range(MIN_REJECTED_RECORDS):
        breaker.note(f"r{number}", attempted=9, rejected=9)
    breaker.note("r3", attempted=9, rejected=0)
    assert not breaker.open


def test_only_the_latest_records_count() -> None:
    breaker = CircuitBreaker()
    for number in range(MIN_REJECTED_RECORDS - 1):
        breaker.note(f"old{number}", attempted=1, rejected=1)
    for number in range(WINDOW_RECORDS):
        breaker.note(f"good{number}", attempted=1, rejected=0)
    assert breaker.rejected == 0
