"""Braze's cohort import for partners: both secrets stand in the body."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sandbox.braze.workspace import Workspace

IDS_PER_CALL = 1000
_PATH_PARTS = 4  # "", partners, <partner>, cohorts
_CHANGES = (
    "cohort_changes must be an array of objects each with key user_ids and/or "
    "device_ids mapping to an array of strings, or an aliases object"
)
_KINDS = ("user_ids", "device_ids", "aliases")

type Reply = tuple[int, dict[str, Any]]


def partner_call(
    workspace: Workspace,
    path: str,
    body: Mapping[str, Any],
    partner_keys: set[str],
    import_keys: set[str],
) -> Reply:
    """`/partners/{partner}/cohorts` and `/partners/{partner}/cohorts/users`."""
    parts = path.split("/")
    if len(parts) < _PATH_PARTS or parts[3:] not in (["cohorts"], ["cohorts", "users"]):
        return 404, {"message": "Invalid URL"}
    if body.get("partner_api_key") not in partner_keys:
        return 401, {"message": "Invalid Partner API key"}
    secret = body.get("client_secret")
    if secret not in import_keys:
        text = f"Partner not enabled for client with client secret: {secret}"
        return 401, {"message": text}
    cohort_id = body.get("cohort_id")
    if not isinstance(cohort_id, str) or not cohort_id:
        return 400, {"message": "cohort_id must be a valid string"}
    if parts[-1] == "users":
        return _change(workspace, cohort_id, body.get("cohort_changes"))
    return _name(workspace, cohort_id, body)


def _name(workspace: Workspace, cohort_id: str, body: Mapping[str, Any]) -> Reply:
    name = body.get("name")
    if not isinstance(name, str) or not name:
        return 400, {"message": "name must be a non-empty string"}
    try:
        datetime.fromisoformat(body.get("created_at") or "")
    except (TypeError, ValueError):
        text = "created_at must be a valid time as ISO-8601 string"
        return 400, {"message": text}
    workspace.name_cohort(cohort_id, name)
    return 201, {"message": "success"}


def _change(workspace: Workspace, cohort_id: str, changes: Any) -> Reply:
    if not isinstance(changes, list) or not all(map(_is_change, changes)):
        return 400, {"message": _CHANGES}
    ids = sum(len(change.get(kind, ())) for change in changes for kind in _KINDS)
    if ids > IDS_PER_CALL:
        text = "Only 1,000 user_ids, device_ids, and aliases are allowed per request"
        return 400, {"message": text}
    for change in changes:
        workspace.change_cohort(cohort_id, change)
    return 201, {"message": "success"}


def _is_change(change: Any) -> bool:
    if not isinstance(change, dict) or not set(_KINDS) & set(change):
        return False
    texts = [*change.get("user_ids", ()), *change.get("device_ids", ())]
    aliases = change.get("aliases", ())
    return all(isinstance(text, str) for text in texts) and all(
        isinstance(alias, dict) and {"alias_name", "alias_label"} <= set(alias)
        for alias in aliases
    )
