"""The attribute route: its two forms, devices looked up, culprits named by index."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.braze.users_track import TrackReply
from bridge.cohorts.ports.route import Change, Members, Pushed
from bridge.cohorts.routes.attribute import AttributeRoute
from bridge.cohorts.routes.devices import Devices
from bridge.cohorts.routes.halving import CallSize
from bridge.cohorts.rules.identifiers import Identifier, Kind
from bridge.errors import (
    CredentialsRejected,
    Rejected,
    RetryableError,
    TooLarge,
    TooMany,
)
from bridge.settings import RESERVED_ATTRIBUTES, CohortForm, CohortValue
from tests.unit.cohorts.routes.pushing import push

type Objects = Sequence[Mapping[str, object]]
PRIMARY = {"external_id", "user_alias", "braze_id", "email", "phone"}
"""Every key of an attributes object that names its user."""


class Braze:
    """Stands where `BrazeClient` does; `resolve` answers each call."""

    endpoint = "https://rest.iad-01.braze.com"

    def __init__(
        self, resolve: Callable[[Objects], TrackReply] = lambda _: TrackReply({})
    ) -> None:
        self.resolve = resolve
        self.calls: list[Objects] = []
        self.devices: dict[str, list[dict[str, object]]] = {}
        self.by_braze_id: dict[str, dict[str, object]] = {}
        self.looked_up: list[str] = []
        self.rest_key = "key-1"

    def account(self) -> str:
        return self.rest_key

    def track(self, attributes: Objects) -> TrackReply:
        self.calls.append(attributes)
        return self.resolve(attributes)

    def find_device(self, device_id: str) -> Sequence[Mapping[str, object]]:
        self.looked_up.append(device_id)
        return self.devices.get(device_id, [])

    def find_identifiers(self, key: str, value: str) -> Sequence[Mapping[str, object]]:
        self.looked_up.append(value)
        if key == "device_id":
            return self.devices.get(value, [])
        return [self.by_braze_id[value]] if value in self.by_braze_id else []


def route(braze: Braze, **options: Any) -> AttributeRoute:
    defaults: dict[str, Any] = {"attribute": "mixpanel_cohorts", "devices": Devices()}
    client: Any = braze
    return AttributeRoute(client, **defaults | options)


def why(results: Sequence[Pushed]) -> list[str | None]:
    """The reason of each rejected change; None for the others."""
    return [result.reason for result in results]


def users(count: int) -> list[Change]:
    return [Change(Identifier(Kind.EXTERNAL_ID, f"u{n}"), True) for n in range(count)]


def test_r4_each_identifier_has_its_own_form() -> None:
    braze = Braze()
    push(
        route(braze),
        "7",
        "Trial",
        [
            Change(Identifier(Kind.EXTERNAL_ID, "u"), True),
            Change(Identifier(Kind.ALIAS, "a-1", "amplitude"), False),
            Change(Identifier(Kind.EMAIL, "ada@example.com"), True),
            Change(Identifier(Kind.PHONE, "+15550100017"), False),
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
            {
                "email": "ada@example.com",
                "_update_existing_only": True,
                "mixpanel_cohorts": {"add": ["mixpanel_7"]},
            },
            {
                "phone": "+15550100017",
                "_update_existing_only": True,
                "mixpanel_cohorts": {"remove": ["mixpanel_7"]},
            },
        ]
    ]


identifiers = st.builds(
    Identifier,
    st.sampled_from(Kind),
    st.text(min_size=1, max_size=5),
    st.text(min_size=1, max_size=5),
)


@given(
    st.lists(st.builds(Change, identifiers, st.booleans()), max_size=20),
    st.sampled_from(CohortForm),
    st.sampled_from(CohortValue),
    st.sampled_from(["cohorts", "external", "user", "_update_existing", "date"]),
    st.sampled_from(["7", "id", "alias", "only", "of_first_session"]),
)
def test_no_object_ever_has_two_primaries_or_creates_a_user(
    changes: list[Change],
    form: CohortForm,
    value: CohortValue,
    attribute: str,
    cohort: str,
) -> None:
    braze = Braze()
    braze.devices = {c.value: [{"braze_id": "b"}] for c, *_ in changes}
    pushed = route(braze, form=form, value=value, attribute=attribute)
    results = push(pushed, cohort, "Trial", changes)
    sent = [each for call in braze.calls for each in call]
    assert len(sent) == why(results).count(None)
    for each in sent:
        (identifying,) = PRIMARY & set(each)
        (written,) = set(each) - {identifying, "_update_existing_only"}
        assert each["_update_existing_only"] is True
        assert written not in RESERVED_ATTRIBUTES


def test_the_boolean_form_has_an_attribute_for_each_cohort() -> None:
    braze = Braze()
    changes = [
        Change(Identifier(Kind.EXTERNAL_ID, f"{flag}"), flag) for flag in (True, False)
    ]
    push(route(braze, form=CohortForm.BOOLEAN), "7", "Trial", changes)
    assert [each["mixpanel_cohorts_7"] for each in braze.calls[0]] == [True, False]


def test_a_cohort_whose_boolean_would_be_a_field_of_brazes_is_not_written() -> None:
    braze = Braze()
    odd = route(braze, form=CohortForm.BOOLEAN, attribute="external")
    assert push(odd, "id", "", users(2)) == [Pushed("reserved_attribute")] * 2
    assert braze.calls == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (" Trial, day 10 ", "Trial, day 10"),
        ("x" * 300, "x" * 255),
        ("x" * 254 + " y", "x" * 254),
        (" ", "mixpanel_7"),
    ],
)
def test_the_name_can_stand_for_the_cohort(name: str, value: str) -> None:
    braze = Braze()
    push(route(braze, value=CohortValue.NAME), "7", name, users(1))
    assert braze.calls[0][0]["mixpanel_cohorts"] == {"add": [value]}


def test_a_rejected_object_is_reported_at_its_place() -> None:
    def second(objects: Objects) -> TrackReply:
        ids = [each["external_id"] for each in objects]
        return TrackReply({ids.index("u80"): "braze_x"} if "u80" in ids else {})

    results = push(route(Braze(second)), "7", "", users(100))
    assert [n for n, result in enumerate(results) if result.reason] == [80]


@pytest.mark.parametrize("how", ["vague", "rejected", "too large"])
def test_a_culprit_that_braze_does_not_name_is_found_by_halving(how: str) -> None:
    def rejects_u5(objects: Objects) -> TrackReply:
        if all(each["external_id"] != "u5" for each in objects):
            return TrackReply({})
        if how == "vague":
            return TrackReply({}, vague=True)
        raise (Rejected if how == "rejected" else TooLarge)("braze_400")

    braze = Braze(rejects_u5)
    results = push(route(braze), "7", "", users(75))
    assert [n for n, result in enumerate(results) if result.reason] == [5]
    assert len(braze.calls) <= 15


@pytest.mark.parametrize("limit", [50, 74, 30, 1])
def test_the_size_that_a_contract_allows_is_learnt_once_a_process(limit: int) -> None:
    def takes_fewer(objects: Objects) -> TrackReply:
        if len(objects) > limit:
            raise TooMany("braze_too_large")
        return TrackReply({})

    braze, size = Braze(takes_fewer), CallSize(75)
    assert why(push(route(braze, size=size), "7", "", users(300))) == [None] * 300
    rejected = [len(call) for call in braze.calls if len(call) > limit]
    assert rejected == sorted(set(rejected), reverse=True), "no size is tried twice"
    braze.calls.clear()
    push(route(braze, size=size), "7", "", users(300))
    assert max(map(len, braze.calls)) == size.current <= limit
    assert size.current >= limit * 2 // 3


def test_one_object_that_is_always_too_much_does_not_shrink_every_call() -> None:
    def rejects_u60(objects: Objects) -> TrackReply:
        if any(each["external_id"] == "u60" for each in objects):
            raise TooMany("braze_too_large")
        return TrackReply({})

    size = CallSize(75)
    results = push(route(Braze(rejects_u60), size=size), "7", "", users(150))
    assert [n for n, result in enumerate(results) if result.reason] == [60]
    assert size.current >= 50


def test_r5_r6_a_device_is_written_by_braze_id_if_its_user_is_anonymous() -> None:
    braze = Braze()
    braze.devices = {
        "anonymous": [{"braze_id": "b-1"}],
        "identified": [{"braze_id": "b-2", "external_id": "u"}],
        "odd": [{"braze_id": None}],
    }
    devices = ["unknown", "anonymous", "identified", "odd"]
    changes = [Change(Identifier(Kind.DEVICE, device), True) for device in devices]
    assert why(push(route(braze), "7", "", changes)) == [
        "device_unknown",
        None,
        "device_identified",
        "device_unknown",
    ]
    ((written,),) = braze.calls
    assert written["braze_id"] == "b-1"


ANONYMOUS, IDENTIFIED = {"braze_id": "b-1"}, {"braze_id": "b-2", "external_id": "u"}


@pytest.mark.parametrize(
    ("found", "written_to", "reason"),
    [
        ([ANONYMOUS, IDENTIFIED], None, "device_identified"),
        ([IDENTIFIED, ANONYMOUS], None, "device_identified"),
        ([{"braze_id": ""}, ANONYMOUS], "b-1", None),
        ([ANONYMOUS, {"external_id": ""}], "b-1", None),
    ],
)
def test_r6_of_two_profiles_of_a_device_one_that_is_identified_decides_in_any_order(
    found: list[dict[str, object]], written_to: str | None, reason: str | None
) -> None:
    braze = Braze()
    braze.devices = {"d": found}
    changes = [Change(Identifier(Kind.DEVICE, "d"), True)]
    assert why(push(route(braze), "7", "", changes)) == [reason]
    assert [each["braze_id"] for call in braze.calls for each in call] == (
        [written_to] if written_to else []
    )


def test_no_look_up_that_is_older_than_the_sync_counts() -> None:
    now = [100.0]
    braze = Braze()
    braze.devices = {"d": [{"braze_id": "b-1"}]}
    devices = Devices(lambda: now[0])
    assert devices.find(braze, "d", since=99.0) == ("b-1", "")  # type: ignore[arg-type]
    assert devices.find(braze, "d", since=100.0) == ("b-1", "")  # type: ignore[arg-type]
    assert braze.looked_up == ["d"], "a retry, or another cohort of the same moment"
    braze.devices = {"d": [{"braze_id": "b-1", "external_id": "u"}]}
    now[0] = 101.0
    found = devices.find(braze, "d", since=100.5)  # type: ignore[arg-type]
    assert found == ("", "device_identified")


def test_a_push_passes_on_when_its_sync_was() -> None:
    braze, devices = Braze(), Devices(lambda: 50.0)
    braze.devices = {"d": [{"braze_id": "b-1"}]}
    for since in (49.0, 51.0):
        adding = [Change(Identifier(Kind.DEVICE, "d"), True)]
        push(route(braze, devices=devices, since=since), "7", "", adding)
    assert braze.looked_up == ["d", "d"]


def removed(
    braze: Braze,
    *,
    braze_id: str = "",
    members: Sequence[Identifier] = (),
    written_by: str = "",
) -> list[Mapping[str, object]]:
    """Who the removal of the device `d` is written to, by identifying key.

    `written_by` is the profile that the device among the `members` was written by.
    """

    def members_of(identifiers: Sequence[Identifier]) -> Members:
        return [(each, written_by) for each in identifiers if each in members]

    change = Change(Identifier(Kind.DEVICE, "d"), False, braze_id, members_of)
    assert push(route(braze), "7", "", [change]) == [Pushed()]
    sent = [each for call in braze.calls for each in call]
    assert all(each["mixpanel_cohorts"] == {"remove": ["mixpanel_7"]} for each in sent)
    return [{k: each[k] for k in PRIMARY & set(each)} for each in sent]


type Fields = dict[str, object]
USER: Fields = {"braze_id": "b-2", "external_id": "u"}
VISITOR: Fields = {"braze_id": "b-1"}
NOW_A_USER: Fields = {"braze_id": "b-1", "external_id": "u"}
OTHER_DEVICE: Fields = {"devices": [{"device_id": "d"}, {"device_id": "d-2"}]}
ALIASED: Fields = {"user_aliases": [{"alias_label": "l", "alias_name": "a"}]}


@pytest.mark.parametrize(
    ("of_device", "of_braze_id", "written"),
    [
        ([VISITOR], {}, {"braze_id": "b-1"}),
        ([NOW_A_USER], {}, {"external_id": "u"}),
        ([USER], {}, {"external_id": "u"}),  # merged: the profile is gone
        ([USER], {"b-1": NOW_A_USER | {"external_id": "v"}}, {"external_id": "v"}),
        ([{"braze_id": "b-3"}], {"b-1": VISITOR}, {"braze_id": "b-1"}),
        ([{"braze_id": "b-3"}], {}, {"braze_id": "b-3"}),
        ([], {"b-1": VISITOR}, {"braze_id": "b-1"}),
        ([], {}, None),
    ],
)
def test_a_device_is_removed_from_where_it_was_written_or_went(
    of_device: list[dict[str, object]],
    of_braze_id: dict[str, dict[str, object]],
    written: dict[str, object] | None,
) -> None:
    braze = Braze()
    braze.devices, braze.by_braze_id = {"d": of_device}, of_braze_id
    assert removed(braze, braze_id="b-1") == ([written] if written else [])


@pytest.mark.parametrize(
    ("profile", "member"),
    [
        (USER, Identifier(Kind.EXTERNAL_ID, "u")),
        (NOW_A_USER, Identifier(Kind.EXTERNAL_ID, "u")),
        (USER | ALIASED, Identifier(Kind.ALIAS, "a", "l")),
        (VISITOR | ALIASED, Identifier(Kind.ALIAS, "a", "l")),
        (VISITOR | {"email": "a@b"}, Identifier(Kind.EMAIL, "a@b")),
        (VISITOR | {"phone": "+15550100017"}, Identifier(Kind.PHONE, "+15550100017")),
        (VISITOR | OTHER_DEVICE, Identifier(Kind.DEVICE, "d-2")),
    ],
)
def test_a_device_is_not_removed_from_a_member_by_another_identifier(
    profile: dict[str, object], member: Identifier
) -> None:
    for members in ([member], []):
        braze = Braze()
        braze.devices = {"d": [profile]}
        assert bool(removed(braze, braze_id="b-1", members=members)) is (not members)


@pytest.mark.parametrize(
    ("written_by", "is_left", "stays"),
    [("b-1", True, True), ("b-9", True, False), ("b-9", False, True)],
    ids=["this profile", "another that is the member", "one that was merged"],
)
def test_a_device_that_changed_hands_makes_nobody_a_member(
    written_by: str, is_left: bool, stays: bool
) -> None:
    braze = Braze()
    braze.devices = {"d": [VISITOR | OTHER_DEVICE]}
    braze.by_braze_id = {written_by: {"braze_id": written_by}} if is_left else {}
    members = [Identifier(Kind.DEVICE, "d-2")]
    found = removed(braze, members=members, written_by=written_by)
    assert found == ([] if stays else [{"braze_id": "b-1"}])


def test_a_device_that_was_never_written_is_removed_from_whose_it_is() -> None:
    for profile in (VISITOR, USER):
        braze = Braze()
        braze.devices = {"d": [profile]}
        assert len(removed(braze)) == 1
    assert removed(Braze()) == []


def test_a_removal_never_trusts_a_cached_look_up() -> None:
    braze, devices = Braze(), Devices(lambda: 0.0)
    braze.devices = {"d": [VISITOR]}
    device = Identifier(Kind.DEVICE, "d")
    (added,) = push(route(braze, devices=devices), "7", "", [Change(device, True)])
    assert added == Pushed(None, "b-1")
    braze.devices = {"d": [USER]}
    leaves = [Change(device, False, added.braze_id)]
    push(route(braze, devices=devices), "7", "", leaves)
    assert braze.calls[-1][0]["external_id"] == "u"


def test_a_device_that_braze_rejected_was_not_written() -> None:
    braze = Braze(lambda _: TrackReply({0: "braze_x"}))
    braze.devices = {"d": [VISITOR]}
    adding = [Change(Identifier(Kind.DEVICE, "d"), True)]
    assert push(route(braze), "7", "", adding) == [Pushed("braze_x", "")]


def test_only_so_many_devices_are_remembered() -> None:
    braze, devices = Braze(), Devices(lambda: 0.0, max_devices=3)
    for device in [*"abcd", *"dcb", "a"]:
        devices.find(braze, device)  # type: ignore[arg-type]
    assert braze.looked_up == [*"abcd", "a"]
    assert len(devices._known) == 3


def test_a_device_that_braze_refuses_is_refused_alone() -> None:
    braze = Braze()

    def find(device_id: str) -> Sequence[Mapping[str, object]]:
        raise Rejected("braze_400")

    braze.find_device = find  # type: ignore[method-assign]
    reasons = push(
        route(braze),
        "7",
        "Trial",
        [
            Change(Identifier(Kind.DEVICE, "d"), True),
            Change(Identifier(Kind.EXTERNAL_ID, "u"), True),
        ],
    )
    assert why(reasons) == ["braze_400", None]
    assert len(braze.calls) == 1


@pytest.mark.parametrize("present", [True, False])
def test_where_look_ups_end_what_was_looked_up_is_written_and_reported(
    present: bool,
) -> None:
    braze = Braze()
    braze.devices = {f"d{n}": [{"braze_id": f"b{n}"}] for n in range(5)}

    def look_up(device_id: str) -> Sequence[Mapping[str, object]]:
        if device_id == "d3":
            raise RetryableError("braze_cooling", retry_after=30.0)
        return braze.devices[device_id]

    braze.find_device = look_up  # type: ignore[method-assign]
    braze.find_identifiers = lambda key, value: look_up(value)  # type: ignore[method-assign]
    changes = [Change(Identifier(Kind.DEVICE, f"d{n}"), present) for n in range(5)]
    concluded: dict[int, Pushed] = {}
    with pytest.raises(RetryableError) as caught:
        route(braze).push("7", "", changes, concluded.update)
    assert [each["braze_id"] for each in braze.calls[0]] == ["b0", "b1", "b2"]
    assert {at: pushed.reason for at, pushed in concluded.items()} == dict.fromkeys(
        range(3)
    )
    assert (caught.value.reason, caught.value.retry_after) == ("braze_cooling", 30.0)


@pytest.mark.parametrize("error", [RetryableError, CredentialsRejected])
def test_a_first_look_up_that_fails_and_a_rejected_key_interrupt_nothing(
    error: type[RetryableError],
) -> None:
    braze = Braze()

    def look_up(device_id: str) -> Sequence[Mapping[str, object]]:
        raise error("braze_401")

    braze.find_device = look_up  # type: ignore[method-assign]
    changes = [Change(Identifier(Kind.DEVICE, "d"), True)]
    if error is CredentialsRejected:
        changes = [*users(1), *changes]
    with pytest.raises(error) as caught:
        push(route(braze), "7", "", changes)
    assert type(caught.value) is error
    assert braze.calls == []
