"""Who may call a Mixpanel project: a service account, its token, its API secret.

Source: Mixpanel docs, "Authentication" and "Service Accounts". A role that is too low
and a project that is not named get the same 401 as a wrong password.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.servers.web import Call

WRONG = "Invalid credentials"
WRONG_ACCOUNT = "Invalid service account credentials"
NO_PROJECT = (
    "Unauthorized, invalid project secret. See docs for more information: "
    "https://developer.mixpanel.com/reference/authentication#project-secret"
)
IMPORTING_ROLES = frozenset({"owner", "admin"})


@dataclass(slots=True)
class Credentials:
    """`singles` are token and API secret; `service_accounts` is user name → secret.

    `roles` is user name → role, admin where it is not given.
    """

    project_id: str
    singles: set[str]
    service_accounts: dict[str, str]
    roles: dict[str, str] = field(default_factory=dict)

    def import_rejection(self, call: Call) -> str | None:
        """Why a call may not import; None where it may."""
        username, password = _basic(call.headers)
        if username in self.service_accounts:
            role = self.roles.get(username, "admin")
            rejection = self.query_rejection(call)
            return rejection or (None if role in IMPORTING_ROLES else WRONG)
        if password and "project_id" in call.query:
            return WRONG_ACCOUNT
        return None if username in self.singles and not password else WRONG

    def query_rejection(self, call: Call) -> str | None:
        """Why a call may not query: that takes a service account of any role."""
        username, password = _basic(call.headers)
        if "project_id" not in call.query:
            return NO_PROJECT
        if call.query["project_id"] != self.project_id:
            return WRONG
        return None if self.account_of(username, password) else WRONG_ACCOUNT

    def account_of(self, username: str, password: str) -> str | None:
        """The user name of a service account, if its secret is right."""
        known = self.service_accounts.get(username)
        return username if known is not None and known == password else None

    def caller(self, call: Call) -> str | None:
        """The service account that calls, whatever project it means."""
        return self.account_of(*_basic(call.headers))


def _basic(headers: Mapping[str, str]) -> tuple[str, str]:
    """User name and password; two empty texts where the header is no good."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = encoded  # they are also taken as they are
    username, colon, password = decoded.partition(":")
    # A token without its colon is a common mistake, and a 401.
    return (username, password) if colon else ("", "")
