"""The first arrival of an event survives its replay."""

from bridge.currents.stream.arrival import first_arrival, partition_key


def test_the_first_arrival_travels_in_the_partition_key() -> None:
    key = partition_key(1_795_518_000.125, b"data")
    assert first_arrival(key, 1_795_600_000.0) == 1_795_518_000.125
    assert len(key) <= 256


def test_a_key_of_another_kind_or_from_the_future_says_nothing() -> None:
    for key in ("", "cust-1", "arrived=", "arrived=nan/x", "arrived=-5/x"):
        assert first_arrival(key, 1_000.0) == 1_000.0
    assert first_arrival("arrived=2000.0/x", 1_000.0) == 1_000.0
