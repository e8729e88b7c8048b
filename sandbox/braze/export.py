"""Braze's `/users/export/ids`: profiles by their identifiers.

It reads what has been applied, which may lag behind what has been answered. Source:
Braze docs, "POST: Export user profile by identifier".
"""

from collections.abc import Mapping
from typing import Any

from sandbox.braze.track import alias_error
from sandbox.braze.workspace import Profile, Workspace, alias_key

IDS_PER_CALL = 50
TOO_MANY = "The max number of external_ids and aliases per request was exceeded"
_SINGLE = ("device_id", "email_address", "phone", "braze_id")
_ALONE = ("device_id", "email_address", "phone")
_KIND = {"device_id": "device", "email_address": "email"}

type Reply = tuple[int, dict[str, Any]]


def export(
    workspace: Workspace, body: Mapping[str, Any], *, fields_required: bool = True
) -> Reply:
    """Answer one call; `fields_required` as for accounts made since 2024-08-22."""
    wrong = _wrong(body, fields_required=fields_required)
    if wrong:
        return 400, {"message": wrong}
    ids = body.get("external_ids", [])
    aliases = body.get("user_aliases", [])
    keys = [("external_id", each) for each in ids]
    keys += [
        ("alias", alias_key(each["alias_label"], each["alias_name"]))
        for each in aliases
    ]
    keys += [(_KIND.get(key, key), body[key]) for key in _SINGLE if body.get(key)]
    with workspace.lock:
        found = {key: workspace.find(*key) for key in keys}
        # The order is not that of the question: here it is the newest profile first.
        profiles = sorted(
            {profile for profile in found.values() if profile},
            key=lambda profile: profile.braze_id,
            reverse=True,
        )
        fields = body.get("fields_to_export")
        users = [_exported(profile, fields) for profile in profiles]
    invalid = [each for each in ids if not found["external_id", each]]
    answer = {"users": users, "message": "success"}
    return 201, answer | ({"invalid_user_ids": invalid} if invalid else {})


def _wrong(body: Mapping[str, Any], *, fields_required: bool) -> str | None:
    ids, aliases = body.get("external_ids", []), body.get("user_aliases", [])
    if not isinstance(ids, list) or not isinstance(aliases, list):
        return "external_ids and user_aliases must be arrays"
    if len(ids) + len(aliases) > IDS_PER_CALL:
        return TOO_MANY
    if not all(isinstance(each, str) for each in ids) or any(map(alias_error, aliases)):
        return "external_ids must be strings and user_aliases must be alias objects"
    given = [key for key in _SINGLE if body.get(key) is not None]
    if not all(isinstance(body[key], str) for key in given):
        return f"{', '.join(_SINGLE)} must be strings"
    if len(set(given) & set(_ALONE)) > 1:
        return f"only one of {', '.join(_ALONE)} is allowed per request"
    if not ids and not aliases and not given:
        return "no identifier was given"
    if fields_required and not isinstance(body.get("fields_to_export"), list):
        return "fields_to_export must be an array of field names"
    return None


def _exported(profile: Profile, fields: list[str] | None) -> dict[str, Any]:
    """The fields that were asked for and are not empty; all of them if none were."""
    whole = {
        "external_id": profile.external_id,
        "braze_id": profile.braze_id,
        "user_aliases": [
            {"alias_name": name, "alias_label": label}
            for label, name in profile.aliases.items()
        ],
        "custom_attributes": dict(profile.attributes),
        "devices": [{"device_id": each} for each in sorted(profile.devices)],
        "email": profile.email,
        "phone": profile.phone,
    }
    if fields is None:
        # Old accounts get the whole profile, with Braze's former name in it.
        whole["appboy_id"] = profile.braze_id
    return {
        key: value
        for key, value in whole.items()
        if value and (fields is None or key in fields)
    }
