"""The customer's rules: which events are sent, and what a document may say."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bridge.currents.mapping.catalog import CATALOG, CUSTOM_EVENT, PURCHASE
from bridge.currents.mapping.result import Filtered, Sent
from bridge.currents.mapping.rules import Rules, RulesUnusable, is_sampled, read_rules
from bridge.currents.mapping.transform import Mapper
from bridge.errors import MalformedInput
from bridge.settings import AnonymousUsers
from tests.unit.currents.braze_events import BRAZE_EVENTS, both_forms

ARRIVED = 1_895_518_000.0
KEY = "a key of the customer's"
SKIP, DEVICE = AnonymousUsers.SKIP, AnonymousUsers.DEVICE
KINDS = {kind.type: kind for kind in BRAZE_EVENTS}
SAMPLE = Path(__file__).parents[4] / "events" / "currents_rules.json"
CLICK = "users.messages.email.Click"


def event(event_type: str = CLICK, **properties: Any) -> dict[str, Any]:
    named = {"name": "wishlist_add"} if event_type == CUSTOM_EVENT else {}
    return {
        "event_type": event_type,
        "id": "1b4c0f5e-7a52-4b5e-9a5c-3f0d2a6c8e11",
        "time": 1_767_225_600,
        "user": {"external_user_id": "cust-42", "device_id": "d-1", "user_id": "b-1"},
        "properties": named | properties,
    }


def mapped(
    given: Any, *, anonymous: AnonymousUsers = SKIP, **rules: Any
) -> Sent | Filtered:
    document = read_rules(json.dumps(rules).encode())
    return Mapper(anonymous, document, KEY).transform(given, b"", ARRIVED)


def sent(given: Any, **rules: Any) -> dict[str, Any]:
    result = mapped(given, **rules)
    assert isinstance(result, Sent), result
    return result.event


def properties(given: Any, **rules: Any) -> dict[str, Any]:
    found: dict[str, Any] = sent(given, **rules)["properties"]
    return found


def digest(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


# Events


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"include": ["users.messages.*"]}, None),
        ({"include": [CLICK]}, None),
        ({"include": ["Email *"]}, None),
        ({"include": ["message"]}, None),
        ({"include": ["behavior"]}, "not_included"),
        ({"include": ["users.messages.email"]}, "not_included"),
        ({"include": []}, "not_included"),
        ({"exclude": ["users.messages.email.*"]}, "exclude users.messages.email.*"),
        ({"exclude": ["users.behaviors.*", CLICK]}, f"exclude {CLICK}"),
        ({"include": [CLICK], "exclude": ["*"]}, "exclude *"),
    ],
)
def test_r11_the_customer_chooses_which_events_are_sent(
    rules: dict[str, Any], expected: str | None
) -> None:
    result = mapped(event(), **rules)
    assert (result.rule if isinstance(result, Filtered) else None) == expected


@pytest.mark.parametrize(
    ("pattern", "called", "expected"),
    [
        ("users.*.*.Abort", "users.messages.sms.Abort", True),
        ("users.*.*.Abort", "users.messages.Abort", False),
        ("users.*.*.Abort", "users.messages.sms.Abort.x", False),
        ("*a*ab", "aab", True),
        ("*a*ab", "ab", False),
        ("*", "two\nlines", True),
        ("a?c", "abc", False),
        ("a?c", "a?c", True),
        ("[ab] *", "[ab] x", True),
        ("[ab] *", "a x", False),
        ("a\\*", "a\\b", True),
        ("users.*", "Users.x", False),
    ],
)
def test_only_the_star_is_special(pattern: str, called: str, expected: bool) -> None:
    rule = Rules(include=(pattern,)).filtering(called, "", "")
    assert (rule is None) == expected


LONG_TYPE = """
from bridge.currents.mapping.rules import Rules
pattern, called = "users.*.*.*.Abort", "users." + "." * 900_000
print(Rules(include=(pattern,)).filtering(called, called, ""))
print(Rules(include=(pattern,)).filtering(called + "Abort", called, ""))
"""


def test_m1_no_type_however_long_holds_the_rules_up() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", LONG_TYPE],
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
        timeout=20,  # stepwise it would take years
    )
    assert done.stdout.split() == [b"not_included", b"None"]


@pytest.mark.parametrize("family", ["message", "behavior"])
def test_r11_either_kind_can_be_had_alone(family: str) -> None:
    mapper = Mapper(SKIP, Rules(include=(family,)))
    for kind in BRAZE_EVENTS:
        result = mapper.transform(both_forms(kind, 1)[0], b"", ARRIVED)
        assert isinstance(result, Sent) == (kind.family == family), kind.type


def test_custom_events_can_be_chosen_by_their_name() -> None:
    rules: Any = {"exclude": ["[Braze Custom Event] debug_*"]}
    assert isinstance(mapped(event(CUSTOM_EVENT), **rules), Sent)
    debug = event(CUSTOM_EVENT) | {"properties": {"name": "debug_tap"}}
    assert mapped(debug, **rules) == Filtered("exclude [Braze Custom Event] debug_*")


@pytest.mark.parametrize("called", [CLICK, "Email Click"])
def test_an_event_is_renamed_by_either_of_its_names(called: str) -> None:
    assert sent(event(), rename_events={called: "Mail Click"})["event"] == "Mail Click"


def test_one_custom_event_is_renamed_alone() -> None:
    rules = {"rename_events": {"[Braze Custom Event] wishlist_add": "Wishlist Add"}}
    assert sent(event(CUSTOM_EVENT), **rules)["event"] == "Wishlist Add"
    other = event(CUSTOM_EVENT) | {"properties": {"name": "level_up"}}
    assert sent(other, **rules)["event"] == "[Braze Custom Event] level_up"


def test_a_sample_keeps_whole_users_and_the_same_ones_each_time() -> None:
    rules: Any = {"sample": [{"events": ["message"], "keep": 0.2}]}
    users = [f"cust-{number}" for number in range(5_000)]
    kept = set()
    for user in users:
        results = []
        for kind in (CLICK, "users.messages.sms.Send"):
            drawn = event(kind)
            drawn["user"]["external_user_id"] = user
            results.append(mapped_once(rules).transform(drawn, b"", ARRIVED))
        assert len({type(result) for result in results}) == 1
        if isinstance(results[0], Sent):
            kept.add(user)
        else:
            assert results[0] == Filtered("sample message")
    assert 0.17 < len(kept) / len(users) < 0.23
    assert {user for user in users if is_sampled(user, 0.1)} < kept
    behaviour = event("users.behaviors.Uninstall")
    assert isinstance(mapped(behaviour, **rules), Sent)


_mappers: dict[str, Mapper] = {}


def mapped_once(rules: dict[str, Any]) -> Mapper:
    text = json.dumps(rules)
    if text not in _mappers:
        _mappers[text] = Mapper(SKIP, read_rules(text.encode()), KEY)
    return _mappers[text]


def test_of_two_samples_the_first_counts() -> None:
    everybody: Any = {"events": ["*"], "keep": 1}
    nobody: Any = {"events": ["*"], "keep": 0}
    assert isinstance(mapped(event(), sample=[everybody, nobody]), Sent)
    assert isinstance(mapped(event(), sample=[nobody, everybody]), Filtered)


@pytest.mark.parametrize(
    "name", [" $merge", "\0$merge", "\n\t$merge", "\u200b$merge", "\ufeff token\0"]
)
def test_invisible_characters_do_not_hide_a_reserved_name(name: str) -> None:
    with pytest.raises(MalformedInput, match="reserved"):
        mapped(event(name))
    made = properties(event(**{name: "x"}))
    assert made[f"[Braze] {name}"] == "x"


@pytest.mark.parametrize("name", ["to ken", "a $", "ip address"])
def test_a_name_that_only_resembles_a_reserved_one_is_sent_unchanged(name: str) -> None:
    assert sent(event(name))["event"] == name


# The document


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ("{", "the document"),
        ("[]", "the document"),
        ('{"exlude": []}', "exlude"),
        ('{"include": "users.*"}', "include"),
        ('{"sample": [{"events": ["*"], "keep": 2}]}', "sample.0.keep"),
        ('{"sample": [{"events": [], "keep": 1}]}', "sample.0.events"),
        ('{"personal": "burn"}', "personal"),
        ('{"drop_properties": ["url", "time"]}', "drop_properties.1"),
        ('{"hash_properties": ["external_user_id"]}', "hash_properties.0"),
        ('{"rename_events": {"a.b": "$merge"}}', "rename_events.a.b"),
        ('{"rename_events": {"a.b": " $merge"}}', "rename_events.a.b"),
        ('{"rename_properties": {"url": "distinct_id"}}', "rename_properties.url"),
        ('{"rename_properties": {"url": "campaign_id"}}', "campaign_id"),
        ('{"rename_properties": {"url": "x", "app_id": "x"}}', "renamed to x"),
        ('{"rename_properties": {"message_extras.a": "x"}}', "message_extras.a"),
        ('{"drop_properties": ["url"], "hash_properties": ["url"]}', "url"),
    ],
)
def test_a_wrong_document_is_rejected_with_the_name_of_the_entry(
    document: str, named: str
) -> None:
    with pytest.raises(RulesUnusable) as caught:
        read_rules(document.encode())
    assert named in str(caught.value)
    assert caught.value.reason == "rules_unusable"


def test_entries_that_name_nothing_known_are_listed() -> None:
    rules = Rules(
        include=("users.messages.*", "behavior", "[Braze Custom Event] x"),
        exclude=("users.mesages.*",),
        drop_properties=("emial_address", "custom_properties.email", "$device"),
    )
    assert list(rules.unknown_names()) == [
        "exclude: users.mesages.* is no known event",
        "drop_properties: emial_address is no known property",
    ]


def test_without_rules_every_event_is_sent_as_the_catalog_says() -> None:
    mapper, ruled = Mapper(SKIP), Mapper(SKIP, Rules())
    for kind in KINDS.values():
        nested, _ = both_forms(kind, 1)
        assert mapper.transform(nested, b"", 2e9) == ruled.transform(nested, b"", 2e9)


def test_the_version_tells_rules_apart_that_may_give_other_values() -> None:
    versions = Counter(
        mapper.version
        for mapper in (
            Mapper(SKIP),
            Mapper(SKIP, Rules(rename_events={CLICK: "x"})),
            Mapper(SKIP, Rules(rename_events={CLICK: "y"})),
            Mapper(SKIP, Rules(hash_properties=("url",)), "one key"),
            Mapper(SKIP, Rules(hash_properties=("url",)), "another key"),
            Mapper(DEVICE),
        )
    )
    assert set(versions.values()) == {1}


def test_the_sample_file_is_right_and_names_only_what_is_known() -> None:
    rules = read_rules(SAMPLE.read_bytes())
    assert list(rules.unknown_names()) == []
    assert rules.hashes
    assert PURCHASE in CATALOG
