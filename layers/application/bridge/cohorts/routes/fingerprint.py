"""Identifies where the pushes of a route go, by a short digest."""

from typing import Protocol

from bridge.digest import digest


class Account(Protocol):
    """The part of a Braze client that identifies the workspace."""

    @property
    def endpoint(self) -> str:
        """Base URL of Braze."""

    def account(self) -> str:
        """The key that opens the workspace."""


def fingerprint(client: Account, workspace: str, *parts: str) -> str:
    """Digest of endpoint, workspace and whatever else decides where membership lands.

    A workspace with a name stays the same when its key is rotated; without one the key
    identifies it, since a key belongs to one workspace.
    """
    where = ("named", workspace) if workspace else ("key", client.account())
    return digest(client.endpoint, *where, *parts)[:12]
