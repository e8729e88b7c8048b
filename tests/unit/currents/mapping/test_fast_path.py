"""The fast path gives what the full path gives, for any event, in fewer steps."""

import json
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.currents.decode.record import Decoded
from bridge.currents.delivery.batch import StreamRecord
from bridge.currents.delivery.deliver import Delivery
from bridge.currents.delivery.outcome import Outcome
from bridge.currents.delivery.prepare import prepare
from bridge.currents.delivery.warm_state import WarmState
from bridge.currents.mapping.catalog import CUSTOM_EVENT, PURCHASE
from bridge.currents.mapping.dedup_key import REDACTED
from bridge.currents.mapping.fast_path import fast_path
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.rules import Rules
from bridge.currents.mapping.transform import Mapper
from bridge.mixpanel.distinct_ids import PLACEHOLDERS
from bridge.mixpanel.import_api import Failure, ImportReply
from bridge.settings import AnonymousUsers
from tests.unit.currents.braze_events import BRAZE_EVENTS, BrazeEvent, both_forms

ARRIVED = 1_895_518_000.5
SKIP, DEVICE = AnonymousUsers.SKIP, AnonymousUsers.DEVICE
RULES = {
    "exclude": ["Email Send"],
    "sample": [{"events": ["behavior"], "keep": 0.5}],
    "rename_events": {"Email Open": "Opened"},
    "rename_properties": {"device_id": "phone", "campaign_name": "wingspan"},
    "drop_properties": ["mood", "device_model", "custom_properties.a"],
    "hash_properties": ["email_address", "tail"],
}
# Each serves all examples, so that its property mappers have learnt names.
MAPPERS = [
    Mapper(SKIP),
    Mapper(DEVICE),
    Mapper(SKIP, Rules.model_validate(RULES), "a key of sixteen characters"),
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", " ", "null", " NULL ", "[REDACTED]", "cust-1", "é", "{}"])
    | st.sampled_from(["0" * 37, "a-b", "a b", "00000000-0000-0000-0000-000000000000"])
    | st.integers(0, 2 * 10**9)
    | st.integers(10**12, 2 * 10**12)
)
values: st.SearchStrategy[Any] = st.one_of(
    scalars,
    st.lists(scalars, max_size=2),
    st.dictionaries(st.sampled_from(["a", "a.b", "b"]), scalars, max_size=2),
)
IDS = ("id", "time", "event_type", "external_user_id", "user_id", "device_id")
NAMES = (
    *("wingspan", "mood", "tail", "name", "$device", "ip", "[Purchase property] a"),
    *("device_model", "device_id", "properties", "user", "events", "machine_open"),
    *("campaign_name", "custom_properties", "purchase_properties", "price"),
)


@st.composite
def events(draw: st.DrawFn) -> Any:
    """An event of either form, sound or with some values changed."""
    kinds = st.sampled_from(BRAZE_EVENTS) | st.sampled_from(BRAZE_EVENTS[:12])
    event: Any = both_forms(draw(kinds), draw(st.integers(0, 3)))[draw(st.booleans())]
    if draw(st.booleans()):
        event["id"] = draw(st.sampled_from(["shared", "shared-too"]))
    for _ in range(draw(st.integers(0, 2))):
        parts = [event, event.get("user"), event.get("properties")]
        part = draw(st.sampled_from([each for each in parts if isinstance(each, dict)]))
        name = draw(st.sampled_from(IDS) | st.sampled_from(NAMES))
        if draw(st.booleans()):
            part[name] = draw(values)
        else:
            part.pop(name, None)
    return event


class Mixpanel:
    """Accepts all but every seventh event."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def import_events(self, lines: Sequence[bytes]) -> ImportReply:
        self.lines += lines
        odd = range(6, len(lines), 7)
        return ImportReply({at: Failure("time", "odd") for at in odd})


def delivered(mapper: Mapper, data: bytes) -> tuple[Any, ...]:
    mixpanel = Mixpanel()
    record = StreamRecord("shard:1", ARRIVED, data)
    outcome: Outcome = Delivery(
        mixpanel, mapper, lambda: 300.0, WarmState(), breaker=False
    ).run([record])
    assert outcome.accounts.closed
    lines = [orjson.loads(line) for line in mixpanel.lines]
    as_json = orjson.dumps(lines, option=orjson.OPT_SORT_KEYS)
    by_event = {event: dict(+counts) for event, counts in outcome.by_event.items()}
    return as_json, outcome.accounts, by_event, dict(outcome.quarantined)


@settings(deadline=None)
@given(
    st.lists(events(), min_size=1, max_size=9),
    st.sampled_from(MAPPERS),
    st.sampled_from(["%s", ' {"events": %s}', "\n%s,"]),
)
def test_both_paths_agree(found: list[Any], mapper: Mapper, form: str) -> None:
    data = (form % json.dumps(found)).encode()
    with patch("bridge.currents.delivery.deliver.fast_path", return_value=None):
        expected = delivered(mapper, data)
    assert delivered(mapper, data) == expected


@settings(deadline=None)
@given(events(), st.sampled_from(MAPPERS))
def test_both_paths_agree_for_an_event_alone(event: Any, mapper: Mapper) -> None:
    data = json.dumps(event).encode()
    with patch("bridge.currents.delivery.deliver.fast_path", return_value=None):
        expected = delivered(mapper, data)
    assert delivered(mapper, data) == expected


(OPEN,) = (
    each for each in BRAZE_EVENTS if each.type == "users.messages.pushnotification.Open"
)
ODD: list[dict[str, Any]] = [
    *(
        {"id": each}
        for each in [*sorted(PLACEHOLDERS), "a_b", "a" * 37, " a", "A-", 7, None]
    ),
    *(
        {"external_user_id": each}
        for each in [*sorted(PLACEHOLDERS), " Null ", " ", 5, True]
    ),
    *({"external_user_id": each} for each in [REDACTED, REDACTED.lower(), "", None]),
    *({"time": each} for each in [1.5, True, "5", -1, 10**9, 10**13, 10**40, None]),
    *({"device_id": each} for each in ["there", "", 7, None]),
    *({"event_type": each} for each in ["", "new", "$merge", CUSTOM_EVENT, 5, []]),
    *({"name": each, "event_type": CUSTOM_EVENT} for each in ["n", "5", 5, " ", None]),
    {"campaign_name": "known", "wingspan": "a name that a rule gives to the other"},
    {"url": "x" * 1_000_000},
]


@pytest.mark.parametrize("mapper", MAPPERS, ids=["skip", "device", "rules"])
@pytest.mark.parametrize("form", ["nested", "flat"])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(odd)[:50])
def test_both_paths_agree_for_what_is_odd(
    odd: dict[str, Any], form: str, mapper: Mapper
) -> None:
    usual = both_forms(OPEN, 1)[form == "flat"]
    event = json.loads(json.dumps(usual))
    user, given = event.get("user", event), event.get("properties", event)
    for name, value in odd.items():
        part = event if name in {"id", "time", "event_type"} else given
        (user if name in {"external_user_id", "device_id"} else part)[name] = value
    # Beside a good one, and twice: with a contradiction, one of the two is another.
    other = json.loads(json.dumps(event))
    other.get("properties", other)["mood"] = "changed"
    event.get("properties", event)["mood"] = "first"
    data = json.dumps([event, usual, usual, other, event]).encode()
    with patch("bridge.currents.delivery.deliver.fast_path", return_value=None):
        expected = delivered(mapper, data)
    for _ in range(3):
        assert delivered(mapper, data) == expected


def with_devices(of_user: Any, of_event: Any, *, reverse: bool) -> dict[str, Any]:
    """A usual event with a device in both places, its keys in either order."""
    event = both_forms(OPEN, 1)[0]
    event["user"]["device_id"] = of_user
    event["properties"]["device_id"] = of_event
    keys = sorted(event, reverse=reverse)  # `properties` before `user`, or behind it
    return {key: event[key] for key in keys}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("of_user", "of_event", "sent"),
    [
        ("u", "p", "p"),
        ("u", None, "u"),
        (None, "p", "p"),
        ("u", "", ""),
        ("", "p", "p"),
    ],
)
@pytest.mark.parametrize("rename", [{}, {"device_id": "phone"}], ids=["", "renamed"])
def test_of_two_devices_the_one_among_the_properties_is_sent_on_both_paths(
    of_user: Any, of_event: Any, sent: str, *, reverse: bool, rename: dict[str, str]
) -> None:
    event = with_devices(of_user, of_event, reverse=reverse)
    mapper = Mapper(SKIP, Rules.model_validate({"rename_properties": rename}))
    decoded = Decoded(json.dumps(event).encode(), event)
    full, fast = prepare(decoded, ARRIVED, mapper), _try(event, mapper)
    assert not isinstance(full, Filtered)
    assert fast is not None, "it takes the fast path"
    for line, _ in (full, fast):
        made = orjson.loads(line)
        name = rename.get("device_id", "device_id")
        assert made["properties"][name] == sent
        assert "device_id" not in made["properties"].keys() - {name}


@pytest.mark.parametrize("reverse", [False, True])
def test_of_two_devices_the_users_own_is_who_an_anonymous_user_is(
    *, reverse: bool
) -> None:
    event = with_devices("u", "p", reverse=reverse)
    event["user"]["external_user_id"] = None
    as_json, *_ = delivered(Mapper(DEVICE), json.dumps([event]).encode())
    (made,) = orjson.loads(as_json)
    assert made["properties"]["distinct_id"] == "$device:u"
    assert made["properties"]["device_id"] == "p"


every_type = pytest.mark.parametrize("kind", BRAZE_EVENTS, ids=lambda kind: kind.type)


@every_type
def test_a_usual_event_of_either_form_takes_the_fast_path(kind: BrazeEvent) -> None:
    mapper = Mapper(SKIP)
    for form in (0, 1):
        event = both_forms(kind, 1)[form]
        if form == 0:
            event["properties"]["wingspan"] = 3
        decoded = Decoded(json.dumps(event).encode(), event)
        for _ in range(2):  # the first compiles the type, the second learns new names
            prepare(decoded, ARRIVED, mapper)
            paths = [_try(event, mapper) for _ in range(2)]
        assert paths[1] is not None
        if kind.type in {CUSTOM_EVENT, PURCHASE}:
            assert not isinstance(paths[1], Filtered)


def _try(event: Any, mapper: Mapper) -> Any:
    return fast_path(event, ARRIVED, mapper, None)
