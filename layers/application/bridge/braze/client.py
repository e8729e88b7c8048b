"""Calls Braze with the current keys: the REST API, and the partner's cohort import.

`time_left` gives the seconds that bound every call. A rejected key may have been
rotated a moment ago, so the secret is read once more before a rejection counts.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bridge.braze.partner_cohorts import requests
from bridge.braze.users_track import TrackReply, read_export, read_reply
from bridge.credentials import BrazeCredentials, Secret
from bridge.errors import CredentialsRejected, RetryableError
from bridge.reasons import Reason
from bridge.transport import Reply, Transport

HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "mixpanel-braze-bridge",
}


IDENTIFIER_FIELDS = (
    "external_id",
    "braze_id",
    "user_aliases",
    "devices",
    "email",
    "phone",
)


class _Client:
    """Base of both clients; `key` names the key that identifies the account."""

    key: str

    def __init__(
        self,
        transport: Transport,
        secret: Secret[BrazeCredentials],
        time_left: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._secret = secret
        self._time_left = time_left

    @property
    def endpoint(self) -> str:
        """The base URL of Braze's instance."""
        return self._transport.base_url

    def account(self) -> str:
        """The key by which Braze knows the workspace: to be hashed, never shown."""
        return self._with_credentials(lambda credentials: credentials.need(self.key))

    def _call[T](
        self, path: str, body: Mapping[str, object], read: Callable[[Reply], T]
    ) -> T:
        def post(credentials: BrazeCredentials) -> T:
            headers, content = self._signed(body, credentials)
            reply = self._transport.post(
                path,
                json.dumps(content).encode(),
                headers=HEADERS | headers,
                time_left=self._time_left,
            )
            return read(reply)

        return self._with_credentials(post)

    def _with_credentials[T](self, use: Callable[[BrazeCredentials], T]) -> T:
        try:
            return use(self._secret.get())
        except CredentialsRejected:
            return use(self._secret.refreshed())

    def _signed(
        self, body: Mapping[str, object], credentials: BrazeCredentials
    ) -> tuple[dict[str, str], Mapping[str, object]]:
        """Headers and body with the credentials added."""
        raise NotImplementedError


class BrazeClient(_Client):
    """Calls users/track and users/export/ids."""

    key = "rest_api_key"

    def track(self, attributes: Sequence[Mapping[str, object]]) -> TrackReply:
        """Write up to 75 attributes objects; raises as `read_reply`."""
        return self._call(
            "/users/track",
            {"attributes": attributes},
            lambda reply: read_reply(reply, len(attributes)),
        )

    def find_device(self, device_id: str) -> Sequence[Mapping[str, object]]:
        """The profiles of a device: `braze_id`, and `external_id` where identified."""
        return self._export({"device_id": device_id}, ["external_id", "braze_id"])

    def find_identifiers(self, key: str, value: str) -> Sequence[Mapping[str, object]]:
        """All identifiers of the profiles of a `device_id`, or of a `braze_id`."""
        return self._export({key: value}, IDENTIFIER_FIELDS)

    def find_users(
        self, whom: Mapping[str, object], fields: Sequence[str]
    ) -> Sequence[Mapping[str, object]]:
        """The profiles of up to 50 `external_ids` and `user_aliases`, or of one other.

        Whom Braze does not know is left out, and the order is Braze's.
        """
        return self._export(whom, fields)

    def _export(
        self, whom: Mapping[str, object], fields: Sequence[str]
    ) -> Sequence[Mapping[str, object]]:
        body = {**whom, "fields_to_export": [*fields]}
        return self._call("/users/export/ids", body, read_export)

    def _signed(
        self, body: Mapping[str, object], credentials: BrazeCredentials
    ) -> tuple[dict[str, str], Mapping[str, object]]:
        try:
            bearer = f"Bearer {credentials.need(self.key)}".encode("latin-1")
        except UnicodeEncodeError:
            raise RetryableError(
                Reason.SECRET_UNUSABLE, "the Braze REST key holds odd characters"
            ) from None
        return {"Authorization": bearer.decode("latin-1")}, body


class PartnerClient(_Client):
    """Calls the cohort import as the partner `name`."""

    key = "data_import_key"

    def __init__(
        self,
        transport: Transport,
        secret: Secret[BrazeCredentials],
        time_left: Callable[[], float],
        name: str,
    ) -> None:
        super().__init__(transport, secret, time_left)
        self.name = name

    def name_cohort(self, cohort: str, name: str, created_at: datetime) -> None:
        """Name or rename a cohort; raises as `requests.read_reply`."""
        body = requests.naming(cohort, name, created_at)
        self._call(requests.names(self.name), body, requests.read_reply)

    def change(self, cohort: str, changes: Sequence[Mapping[str, object]]) -> None:
        """Change up to 1,000 members; raises as `requests.read_reply`."""
        body = requests.changing(cohort, changes)
        self._call(requests.users(self.name), body, requests.read_reply)

    def _signed(
        self, body: Mapping[str, object], credentials: BrazeCredentials
    ) -> tuple[dict[str, str], Mapping[str, object]]:
        keys = {
            "partner_api_key": credentials.need("partner_api_key"),
            "client_secret": credentials.need("data_import_key"),
        }
        return {}, {**keys, **body}
