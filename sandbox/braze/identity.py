"""Braze's `/users/alias/new` and `/users/identify`.

Both answer success for what they silently did not do. Source: Braze docs, "POST:
Create new user aliases" and "POST: Identify users".
"""

from collections.abc import Mapping
from typing import Any

from sandbox.braze.track import alias_error
from sandbox.braze.workspace import Workspace, alias_key

ITEMS_PER_CALL = 50

type Reply = tuple[int, dict[str, Any]]


def new_aliases(workspace: Workspace, body: Mapping[str, Any]) -> Reply:
    """Add aliases to users by external id; without one, make an alias-only user."""
    items: Any = body.get("user_aliases")
    if not _is_list(items) or any(map(alias_error, items)):
        text = "'user_aliases' must be an array of at most 50 alias objects"
        return 400, {"message": text}
    with workspace.lock:
        for item in items:
            label, name = item["alias_label"], item["alias_name"]
            if item.get("external_id"):
                profile = workspace.find("external_id", item["external_id"])
                if profile:
                    workspace.add_alias(profile, label, name)
            elif not workspace.find("alias", alias_key(label, name)):
                workspace.add_user(aliases={label: name})
    return 201, {"aliases_processed": len(items), "message": "success"}


def identify(workspace: Workspace, body: Mapping[str, Any]) -> Reply:
    """Give alias-only users an external id, or merge them into the one that has it."""
    items: Any = body.get("aliases_to_identify")
    if not _is_list(items) or not all(map(_names_both, items)):
        text = "'aliases_to_identify' must be an array of at most 50 objects"
        return 400, {"message": text}
    with workspace.lock:
        for item in items:
            alias = item["user_alias"]
            key = alias_key(alias["alias_label"], alias["alias_name"])
            anonymous = workspace.find("alias", key)
            if not anonymous or anonymous.external_id:
                continue
            known = workspace.find("external_id", item["external_id"])
            if known:
                workspace.merge(anonymous, known)
            else:
                workspace.identify(anonymous, item["external_id"])
    return 201, {"aliases_processed": len(items), "message": "success"}


def _is_list(items: object) -> bool:
    return isinstance(items, list) and 0 < len(items) <= ITEMS_PER_CALL


def _names_both(item: object) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("external_id"), str)
        and bool(item["external_id"])
        and alias_error(item.get("user_alias")) is None
    )
