"""The breaker tells a fault that spoils every record from a record that is poison."""

from bridge.currents.delivery.circuit_breaker import RECORDS, SPOILT_RECORDS, Breaker


def test_it_opens_when_one_record_after_the_other_is_refused() -> None:
    breaker = Breaker()
    for number in range(SPOILT_RECORDS):
        assert not breaker.open
        breaker.note(f"r{number}", sent=100, refused=21)
    assert breaker.open


def test_one_record_never_opens_it_however_large_and_however_often_it_comes() -> None:
    breaker = Breaker()
    for _ in range(1_000):
        breaker.note("poison", sent=5_000, refused=5_000)
    assert not breaker.open


def test_a_fifth_of_a_record_or_of_the_records_is_borne() -> None:
    breaker = Breaker()
    for number in range(RECORDS):
        breaker.note(f"r{number}", sent=10, refused=2)
    assert breaker.spoilt == 0
    for number in range(RECORDS // 5):
        breaker.note(f"bad{number}", sent=1, refused=1)
    assert not breaker.open
    breaker.note("one more", sent=1, refused=1)
    assert breaker.open


def test_it_closes_when_the_same_records_go_well() -> None:
    breaker = Breaker()
    for number in range(SPOILT_RECORDS):
        breaker.note(f"r{number}", sent=9, refused=9)
    breaker.note("r3", sent=9, refused=0)
    assert not breaker.open


def test_only_the_latest_records_count() -> None:
    breaker = Breaker()
    for number in range(SPOILT_RECORDS - 1):
        breaker.note(f"old{number}", sent=1, refused=1)
    for number in range(RECORDS):
        breaker.note(f"good{number}", sent=1, refused=0)
    assert breaker.spoilt == 0
