"""Identifies where the pushes of a route go, by a short digest."""

import hashlib
from typing import Protocol


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
    identity = (client.endpoint, *where, *parts)
    text = "".join(f"{len(part)}:{part}" for part in identity)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
