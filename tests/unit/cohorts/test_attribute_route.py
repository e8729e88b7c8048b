"""The attribute route: calls of 75, each change judged alone, devices looked up."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from bridge.braze.track import TrackReply
from bridge.cohorts.attribute_route import AttributeRoute
from bridge.cohorts.identity import Identifier, Kind
from bridge.errors import CredentialsRefused, Rejected, TooLarge
from bridge.settings import CohortValue

type Objects = Sequence[Mapping[str, object]]


class Braze:
    """Stands where `BrazeClient` does; `judge` answers each call."""

    def __init__(self, judge: Callable[[Objects], TrackReply]) -> None:
        self.judge = judge
        self.calls: list[Objects] = []
        self.devices: dict[str, list[dict[str, object]]] = {}

    def track(self, attributes: Objects) -> TrackReply:
        self.calls.append(attributes)
        return self.judge(attributes)

    def find_device(self, device_id: str) -> Sequence[Mapping[str, object]]:
        return self.devices.get(device_id, [])


def fine(_: Objects) -> TrackReply:
    return TrackReply({})


def route(braze: Braze, value: CohortValue = CohortValue.ID) -> AttributeRoute:
    return AttributeRoute(braze, "mixpanel_cohorts", value)  # type: ignore[arg-type]


def users(count: int) -> list[tuple[Identifier, bool]]:
    return [(Identifier(Kind.EXTERNAL_ID, f"u{n}"), True) for n in range(count)]


def test_each_identifier_has_its_own_form() -> None:
    braze = Braze(fine)
    route(braze).push(
        "7",
        "Trial",
        [
            (Identifier(Kind.EXTERNAL_ID, "u"), True),
            (Identifier(Kind.ALIAS, "a-1", "amplitude"), False),
        ],
    )
    assert braze.calls == [
        [
            {
                "external_id": "u",
                "_update_existing_only": True,
                "mixpanel_cohorts": {"add": ["mixpanel_7"]},
            },
            {
                "user_alias": {"alias_name": "a-1", "alias_label": "amplitude"},
                "_update_existing_only": True,
                "mixpanel_cohorts": {"remove": ["mixpanel_7"]},
            },
        ]
    ]


def test_the_name_can_stand_for_the_cohort() -> None:
    braze = Braze(fine)
    route(braze, CohortValue.NAME).push("7", " Trial, day 10 ", users(1))
    assert braze.calls[0][0]["mixpanel_cohorts"] == {"add": ["Trial, day 10"]}


def test_calls_hold_75_objects_and_no_more_are_made_than_needed() -> None:
    braze = Braze(fine)
    assert route(braze).push("7", "", users(151)) == [None] * 151
    assert [len(call) for call in braze.calls] == [75, 75, 1]


def test_a_refused_object_is_reported_at_its_place() -> None:
    def second(objects: Objects) -> TrackReply:
        ids = [each["external_id"] for each in objects]
        return TrackReply({ids.index("u80"): "braze_x"} if "u80" in ids else {})

    results = route(Braze(second)).push("7", "", users(100))
    assert [n for n, result in enumerate(results) if result] == [80]


@pytest.mark.parametrize("how", ["vague", "rejected", "too large"])
def test_a_culprit_that_braze_does_not_name_is_found_by_halving(how: str) -> None:
    def refuses_u5(objects: Objects) -> TrackReply:
        if all(each["external_id"] != "u5" for each in objects):
            return TrackReply({})
        if how == "vague":
            return TrackReply({}, vague=True)
        raise (Rejected if how == "rejected" else TooLarge)("braze_400")

    braze = Braze(refuses_u5)
    results = route(braze).push("7", "", users(75))
    assert [n for n, result in enumerate(results) if result] == [5]
    assert len(braze.calls) <= 15


def test_a_refused_key_is_nobodys_fault() -> None:
    def refuse(_: Objects) -> TrackReply:
        raise CredentialsRefused("braze_401")

    with pytest.raises(CredentialsRefused):
        route(Braze(refuse)).push("7", "", users(3))


def test_r5_r6_a_device_is_written_by_braze_id_if_its_user_is_anonymous() -> None:
    braze = Braze(fine)
    braze.devices = {
        "anonymous": [{"braze_id": "b-1"}],
        "identified": [{"braze_id": "b-2", "external_id": "u"}],
    }
    devices = ["unknown", "anonymous", "identified"]
    changes = [(Identifier(Kind.DEVICE, device), True) for device in devices]
    assert route(braze).push("7", "", changes) == [
        "device_unknown",
        None,
        "device_identified",
    ]
    ((written,),) = braze.calls
    assert written["braze_id"] == "b-1"
