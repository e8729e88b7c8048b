"""What a warm process remembers: sizes that were rejected, and partial records."""

from bridge.currents.delivery.warm_state import MAX_PARTIAL, PartialRecord, WarmState
from bridge.mixpanel.import_api import BYTES_PER_CALL, BYTES_PER_EVENT


def test_a_rejected_size_is_halved_but_an_event_always_fits() -> None:
    warm_state = WarmState()
    warm_state.too_large(8_000_000)
    assert warm_state.call_bytes == 4_000_000
    warm_state.too_large(9_000_000)
    assert warm_state.call_bytes == 4_000_000
    warm_state.too_large(1_200_000)
    assert warm_state.call_bytes == BYTES_PER_EVENT


def test_a_413_for_a_small_request_is_an_accident_and_not_remembered() -> None:
    warm_state = WarmState()
    warm_state.too_large(BYTES_PER_EVENT)
    assert warm_state.call_bytes == BYTES_PER_CALL


def test_a_record_is_resumed_once() -> None:
    warm_state = WarmState()
    warm_state.suspend("r", PartialRecord(7))
    assert warm_state.resume("r").finished == 7
    assert warm_state.resume("r").finished == 0


def test_the_oldest_partial_record_is_forgotten() -> None:
    warm_state = WarmState()
    for number in range(MAX_PARTIAL + 1):
        warm_state.suspend(str(number), PartialRecord(1))
    assert warm_state.resume("0").finished == 0
    assert warm_state.resume("1").finished == 1
