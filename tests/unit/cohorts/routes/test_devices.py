"""Devices are looked up at Braze, and cached for a while."""

from collections.abc import Mapping, Sequence

import pytest

from bridge.cohorts.routes.devices import ANONYMOUS_SECONDS, OTHER_SECONDS, Devices


class Braze:
    """Stands where `BrazeClient` does."""

    def __init__(self) -> None:
        self.devices: dict[str, list[dict[str, object]]] = {}
        self.looked_up: list[str] = []

    def find_device(self, device_id: str) -> Sequence[Mapping[str, object]]:
        self.looked_up.append(device_id)
        return self.devices.get(device_id, [])


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        ([{"braze_id": "b-1"}], ANONYMOUS_SECONDS),
        ([{"braze_id": "b-1", "external_id": "u"}], OTHER_SECONDS),
        ([], OTHER_SECONDS),
    ],
)
def test_a_device_is_looked_up_again_after_a_while(
    found: list[dict[str, object]], seconds: float
) -> None:
    now = [0.0]
    braze = Braze()
    braze.devices = {"d": found}
    devices = Devices(lambda: now[0])
    first = devices.find(braze, "d")  # type: ignore[arg-type]
    now[0] = seconds - 1
    assert devices.find(braze, "d") == first  # type: ignore[arg-type]
    assert braze.looked_up == ["d"]
    now[0] = seconds
    # Its owner has logged in meanwhile.
    braze.devices = {"d": [{"braze_id": "b-1", "external_id": "u"}]}
    later = devices.find(braze, "d")  # type: ignore[arg-type]
    assert later == ("", "device_identified")


def test_only_so_many_devices_are_cached() -> None:
    braze, devices = Braze(), Devices(lambda: 0.0, max_devices=3)
    for device in [*"abcd", *"dcb", "a"]:
        devices.find(braze, device)  # type: ignore[arg-type]
    assert braze.looked_up == [*"abcd", "a"]
    assert len(devices._known) == 3
