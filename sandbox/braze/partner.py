"""Braze's cohort import for partners: both secrets stand in the body.

Source: Braze docs, "Cohort import". The key of the error text and the answer to a users
call for a cohort without a name are not documented.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.braze.track import alias_error
from sandbox.braze.workspace import Workspace

IDS_PER_CALL = 1000
CHANGES = (
    "cohort_changes must be an array of objects each with key user_ids and/or "
    "device_ids mapping to an array of strings, or an aliases object"
)
TOO_MANY = "Only 1,000 user_ids, device_ids, and aliases are allowed per request"
_KINDS = ("user_ids", "device_ids", "aliases")

type Reply = tuple[int, dict[str, Any]]


@dataclass(slots=True)
class PartnerAccess:
    """Who may call: `disabled` are import keys whose owner has not enabled the partner.

    `error_key` is where an error's text stands; with `naming_first`, a users call for a
    cohort that has no name is rejected.
    """

    partner_keys: set[str]
    import_keys: set[str]
    disabled: set[str] = field(default_factory=set)
    error_key: str = "message"
    naming_first: bool = False

    def rejection(self, body: Mapping[str, Any]) -> str | None:
        """Why both secrets do not open the door; a secret is echoed, as Braze does."""
        partner_key, secret = body.get("partner_api_key"), body.get("client_secret")
        if not isinstance(partner_key, str) or partner_key not in self.partner_keys:
            return "Invalid Partner API key"
        if isinstance(secret, str) and secret in self.disabled:
            return f"Partner not enabled for client with client secret: {secret}"
        if not isinstance(secret, str) or secret not in self.import_keys:
            return "Invalid client secret"
        return None


def is_partner_path(path: str) -> bool:
    """`/partners/{partner}/cohorts` and `/partners/{partner}/cohorts/users`."""
    parts = path.split("/")
    known = parts[3:] in (["cohorts"], ["cohorts", "users"])
    return parts[:2] == ["", "partners"] and known and bool(parts[2])


def partner_call(
    workspace: Workspace,
    path: str,
    body: Mapping[str, Any],
    access: PartnerAccess,
    put: Callable[[Callable[[], None]], None],
) -> Reply:
    """Answer one call of either path; `put` takes the write that changes members."""
    cohort_id = body.get("cohort_id")
    rejection = access.rejection(body)
    if rejection:
        return 401, {access.error_key: rejection}
    if not isinstance(cohort_id, str) or not cohort_id:
        return 400, {access.error_key: "cohort_id must be a valid string"}
    if path.endswith("/users"):
        changes: Any = body.get("cohort_changes")
        wrong = _wrong_changes(changes)
        if access.naming_first and cohort_id not in workspace.cohorts:
            wrong = wrong or "cohort_id must be a valid string"
        if wrong:
            return 400, {access.error_key: wrong}

        def write() -> None:
            for change in changes:
                workspace.change_cohort(cohort_id, change)

        put(write)
        return 201, {"message": "success"}
    wrong = _wrong_name(body)
    if wrong:
        return 400, {access.error_key: wrong}
    workspace.name_cohort(cohort_id, body["name"])
    return 201, {"message": "success"}


def _wrong_name(body: Mapping[str, Any]) -> str | None:
    name = body.get("name")
    if not isinstance(name, str) or not name:
        return "name must be a non-empty string"
    try:
        datetime.fromisoformat(body.get("created_at") or "")
    except (TypeError, ValueError):
        return "created_at must be a valid time as ISO-8601 string"
    return None


def _wrong_changes(changes: Any) -> str | None:
    if not isinstance(changes, list) or not all(map(_is_change, changes)):
        return CHANGES
    ids = sum(len(change.get(kind, ())) for change in changes for kind in _KINDS)
    return TOO_MANY if ids > IDS_PER_CALL else None


def _is_change(change: object) -> bool:
    if not isinstance(change, dict) or not set(_KINDS) & set(change):
        return False
    lists = [change[kind] for kind in _KINDS if kind in change]
    if not all(isinstance(each, list) for each in lists):
        return False
    texts = [*change.get("user_ids", ()), *change.get("device_ids", ())]
    if not all(isinstance(text, str) for text in texts):
        return False
    flag = change.get("should_remove", False)
    aliases = change.get("aliases", ())
    return isinstance(flag, bool) and not any(map(alias_error, aliases))
