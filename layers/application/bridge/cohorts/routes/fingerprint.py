"""Where the pushes of a route go: one short word that changes when the place does."""

from typing import Protocol

from bridge.digest import digest


class Account(Protocol):
    """A client of Braze, as far as it says where it goes."""

    @property
    def endpoint(self) -> str:
        """Braze's address."""

    def account(self) -> str:
        """The key that opens the workspace."""


def fingerprint(client: Account, workspace: str, *parts: str) -> str:
    """Hash of endpoint, workspace and whatever else decides where membership lands.

    A workspace that has been given a name keeps it when its key is rotated; without
    one the key stands for it, since a key belongs to one workspace.
    """
    where = ("named", workspace) if workspace else ("key", client.account())
    return digest(client.endpoint, *where, *parts)[:12]
