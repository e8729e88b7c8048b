"""What both routes promise alike, each over its own client and a Braze on paper."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.braze.users_track import TrackReply
from bridge.cohorts.ports.route import Change, Pushed, Route
from bridge.cohorts.routes.attribute import AttributeRoute
from bridge.cohorts.routes.devices import Devices
from bridge.cohorts.routes.partner import PartnerRoute
from bridge.cohorts.rules.identifiers import Identifier, Kind
from bridge.errors import BridgeError, CredentialsRejected, Rejected, RetryableError
from bridge.settings import CohortForm, CohortValue
from tests.unit.cohorts.routes.pushing import push

KINDS = ("user_ids", "device_ids", "aliases")
NOW = datetime(2031, 4, 5, 6, 7, 8, tzinfo=UTC)
DEVICES = {"anonymous": [{"braze_id": "b-1"}], "known": [{"external_id": "u"}]}


class Braze:
    """Stands where both clients do; rejects calls that hold `odd` with `error`."""

    endpoint = "https://rest.iad-01.braze.com"
    name = "mixpanel"

    def __init__(self, odd: str = "", error: BridgeError | None = None) -> None:
        self.odd, self.error = odd, error
        self.key = "key-1"
        self.calls: list[Sequence[Mapping[str, Any]]] = []
        self.named: list[tuple[str, str, datetime]] = []

    def account(self) -> str:
        return self.key

    def find_device(self, device_id: str) -> Sequence[Mapping[str, object]]:
        return DEVICES.get(device_id, [])

    def find_identifiers(self, key: str, value: str) -> Sequence[Mapping[str, object]]:
        return DEVICES.get(value, []) if key == "device_id" else []

    def track(self, attributes: Sequence[Mapping[str, Any]]) -> TrackReply:
        self._take(attributes)
        return TrackReply({})

    def change(self, cohort: str, changes: Sequence[Mapping[str, Any]]) -> None:
        assert cohort == "7"
        self._take(changes)

    def name_cohort(self, cohort: str, name: str, created_at: datetime) -> None:
        self.named.append((cohort, name, created_at))

    def _take(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self.calls.append(objects)
        if self.error and self.odd in repr(objects):
            raise self.error


def attribute(braze: Any, **options: Any) -> Route:
    defaults: dict[str, Any] = {"devices": Devices(), "attribute": "cohorts"}
    return AttributeRoute(braze, **defaults | options)


def partner(braze: Any, **options: Any) -> Route:
    return PartnerRoute(braze, NOW, **options)


ROUTES = pytest.mark.parametrize("make", [attribute, partner])


def why(results: Sequence[Pushed]) -> list[str | None]:
    """The reason of each rejected change; None for the others."""
    return [result.reason for result in results]


def user(name: str, present: bool = True) -> Change:
    return Change(Identifier(Kind.EXTERNAL_ID, name), present)


@ROUTES
@pytest.mark.parametrize("count", [0, 1, 75, 76, 1000, 1001, 2500])
def test_a_call_holds_no_more_than_braze_takes_and_none_is_made_in_vain(
    make: Any, count: int
) -> None:
    braze = Braze()
    changes = [user(f"u{n}", present=n % 3 > 0) for n in range(count)]
    assert why(push(make(braze), "7", "Trial", changes)) == [None] * count
    if make is attribute:
        sizes = [len(call) for call in braze.calls]
        cap = 75
    else:
        sizes = [
            sum(len(each.get(kind, ())) for each in call for kind in KINDS)
            for call in braze.calls
        ]
        cap = 1000
    assert sum(sizes) == count
    assert max(sizes, default=0) <= cap
    assert len(sizes) == -(-count // cap)


@ROUTES
def test_a_user_whom_braze_rejects_without_naming_it_is_found_and_the_rest_is_written(
    make: Any,
) -> None:
    braze = Braze("'u-odd'", Rejected("braze_400"))
    changes = [user(f"u{n}") for n in range(70)]
    changes.insert(33, user("u-odd", present=False))
    results = push(make(braze), "7", "Trial", changes)
    assert [n for n, result in enumerate(results) if result.reason] == [33]
    assert results[33].reason == "braze_400"
    assert len(braze.calls) <= 15


@ROUTES
@pytest.mark.parametrize("error", [CredentialsRejected, RetryableError])
def test_a_rejected_key_and_an_outage_are_nobodys_fault(
    make: Any, error: type[RetryableError]
) -> None:
    with pytest.raises(error):
        push(make(Braze("", error("braze"))), "7", "", [user("u1"), user("u2")])


@ROUTES
def test_the_destination_changes_with_what_it_is_made_of_and_with_nothing_else(
    make: Any,
) -> None:
    braze = Braze()
    first = make(braze).destination()
    assert first == make(Braze()).destination()
    assert len(first) == 12
    assert int(first, 16) >= 0
    braze.key = "key-2"
    assert make(braze).destination() != first, "the key stands for the workspace"
    moved = Braze()
    moved.endpoint = "https://rest.fra-02.braze.eu"
    assert make(moved).destination() != first


@ROUTES
def test_a_key_rotated_under_a_named_workspace_is_the_same_destination(
    make: Any,
) -> None:
    braze = Braze()
    before = make(braze, workspace="brand-a").destination()
    braze.key = "key-2"
    assert make(braze, workspace="brand-a").destination() == before
    assert make(braze, workspace="brand-b").destination() != before


def test_every_setting_of_the_place_is_in_the_destination() -> None:
    other = Braze()
    other.name = "segment"
    routes = [
        attribute(Braze()),
        attribute(Braze(), attribute="other"),
        attribute(Braze(), form=CohortForm.BOOLEAN),
        attribute(Braze(), value=CohortValue.NAME),
        partner(Braze()),
        partner(other),
    ]
    assert len({route.destination() for route in routes}) == len(routes)


def test_only_the_partner_route_publishes_the_name() -> None:
    braze = Braze()
    attribute(braze).name("7", "Trial")
    assert (braze.named, braze.calls) == ([], [])
    partner(braze).name("7", "Trial")
    assert braze.named == [("7", "Trial", NOW)]


def test_an_email_address_and_a_phone_number_are_rejected_on_the_partner_route() -> (
    None
):
    braze = Braze()
    changes = [
        Change(Identifier(Kind.EMAIL, "ada@example.com"), True),
        user("u1"),
        Change(Identifier(Kind.PHONE, "+15550100017"), False),
    ]
    results = push(partner(braze), "7", "", changes)
    assert why(results) == ["attribute_route_only", None, "attribute_route_only"]
    assert braze.calls == [[{"user_ids": ["u1"]}]]


def test_r4_r5_joiners_and_leavers_of_all_kinds_go_in_one_partner_call() -> None:
    braze = Braze()
    push(
        partner(braze),
        "7",
        "Trial",
        [
            user("u1"),
            Change(Identifier(Kind.DEVICE, "d1"), True),
            user("u2", present=False),
            Change(Identifier(Kind.ALIAS, "a1", "amplitude"), True),
        ],
    )
    assert braze.calls == [
        [
            {
                "user_ids": ["u1"],
                "device_ids": ["d1"],
                "aliases": [{"alias_name": "a1", "alias_label": "amplitude"}],
            },
            {"user_ids": ["u2"], "should_remove": True},
        ]
    ]
