"""The wire of Braze's cohort import for partners, as we offer it to a sender (pure).

Source: Braze docs, "Cohort import": its paths, its texts, its limit. A sender that is
set up with a data import key and a REST endpoint can be pointed at us unchanged. The
envelope is validated as Braze validates it; identifiers are checked one by one later.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bridge.braze.partner_cohorts import IDS_PER_CALL
from bridge.braze.partner_cohorts.keys import STRUCK, find_key, strike, strike_keys
from bridge.errors import MalformedInput
from bridge.reasons import Reason

MAX_COHORT_ID = 100
MAX_NAME = 255

WRONG_PARTNER_KEY = "Invalid Partner API key"
WRONG_IMPORT_KEY = "Invalid client secret"
WRONG_COHORT = "cohort_id must be a valid string"
WRONG_CHANGES = (
    "cohort_changes must be an array of objects each with key user_ids and/or "
    "device_ids mapping to an array of strings, or an aliases object"
)
TOO_MANY = "Only 1,000 user_ids, device_ids, and aliases are allowed per request"
WRONG_NAME = "name must be a non-empty string"
WRONG_TIME = "created_at must be a valid time as ISO-8601 string"

IDENTIFIER_FIELDS = frozenset({"user_ids", "device_ids", "aliases"})
SECRET_FIELDS = ("partner_api_key", "client_secret")

type Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Keys:
    """What a call presents as its two keys; values may be of any JSON type."""

    partner_api_key: object = field(repr=False)
    client_secret: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Naming:
    """A call that names a cohort."""

    cohort_id: str
    name: str


@dataclass(frozen=True, slots=True)
class CohortChange:
    """Users who join, or who leave; an alias is (name, label)."""

    present: bool
    user_ids: Sequence[str] = ()
    device_ids: Sequence[str] = ()
    aliases: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class CohortChanges:
    """A call that changes members; its changes are in order."""

    cohort_id: str
    changes: Sequence[CohortChange]


def keys_of(data: Json) -> Keys:
    """The keys in a body that was read."""
    return Keys(*(data.get(name) for name in SECRET_FIELDS))


def keys_in(body: bytes) -> Keys:
    """The keys in a body that was not read, as far as a small look finds them."""
    return Keys(*(find_key(body, name) for name in SECRET_FIELDS))


def without_keys(body: bytes, data: Json | None) -> bytes:
    """The body with all keys struck out, so that it may be stored.

    `data` is the body as it was read; if it is None, all bytes but the keys stay.
    """
    if data is None:
        return strike_keys(body)
    struck = {name: STRUCK for name in SECRET_FIELDS if name in data}
    text = strike_keys(json.dumps({**data, **struck}).encode())
    # A key may also be in a field where it does not belong.
    for name in SECRET_FIELDS:
        text = strike(text, json.dumps(data.get(name)).strip('"').encode())
    return text


def read_naming(data: Json) -> Naming:
    """Read a call that names a cohort; raises `MalformedInput` with Braze's text."""
    cohort_id = _cohort_id(data)
    name = data.get("name")
    if not (isinstance(name, str) and name.strip() and _is_text(name)):
        raise MalformedInput(Reason.NAME, WRONG_NAME, field="name")
    try:
        datetime.fromisoformat(data.get("created_at") or "")
    except (TypeError, ValueError):
        raise MalformedInput(
            Reason.CREATED_AT, WRONG_TIME, field="created_at"
        ) from None
    return Naming(cohort_id, name[:MAX_NAME])


def read_changes(data: Json) -> CohortChanges:
    """Read a call that changes members; raises `MalformedInput` with Braze's text."""
    cohort_id = _cohort_id(data)
    listed = data.get("cohort_changes")
    if not isinstance(listed, list):
        raise _wrong_changes()
    changes = [_cohort_change(each) for each in listed]
    ids = sum(
        len(each.user_ids) + len(each.device_ids) + len(each.aliases)
        for each in changes
    )
    if ids > IDS_PER_CALL:
        raise MalformedInput(Reason.TOO_MANY_IDS, TOO_MANY, field="cohort_changes")
    return CohortChanges(cohort_id, changes)


def _cohort_id(data: Json) -> str:
    value = data.get("cohort_id")
    if isinstance(value, str) and 0 < len(value) <= MAX_COHORT_ID and _is_text(value):
        return value
    raise MalformedInput(Reason.COHORT_ID, WRONG_COHORT, field="cohort_id")


def _cohort_change(value: object) -> CohortChange:
    if not isinstance(value, dict) or not IDENTIFIER_FIELDS & {*value}:
        raise _wrong_changes()
    removes = value.get("should_remove", False)
    if not isinstance(removes, bool):
        raise _wrong_changes()
    return CohortChange(
        not removes,
        _texts(value.get("user_ids", [])),
        _texts(value.get("device_ids", [])),
        [*_aliases(value.get("aliases", []))],
    )


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _wrong_changes()
    return value


def _aliases(value: object) -> Iterator[tuple[str, str]]:
    """The docs say "an aliases object"; senders write an array of them."""
    aliases = [value] if isinstance(value, dict) else value
    if not isinstance(aliases, list):
        raise _wrong_changes()
    for each in aliases:
        alias = each if isinstance(each, dict) else {}
        name, label = alias.get("alias_name"), alias.get("alias_label")
        if not (isinstance(name, str) and isinstance(label, str) and label):
            raise _wrong_changes()
        yield name, label


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong_changes() -> MalformedInput:
    return MalformedInput(Reason.COHORT_CHANGES, WRONG_CHANGES, field="cohort_changes")
