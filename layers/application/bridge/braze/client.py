"""Calls Braze's REST API with the key of the day."""

import json
from collections.abc import Callable, Mapping, Sequence

from bridge.braze.track import TrackReply, read_export, read_reply
from bridge.credentials import BrazeCredentials, Secret
from bridge.errors import CredentialsRefused, RetryableError
from bridge.transport import Reply, Transport

USER_AGENT = "mixpanel-braze-bridge"


class BrazeClient:
    """users/track and users/export/ids; `time_left` bounds every call, in seconds."""

    def __init__(
        self,
        transport: Transport,
        secret: Secret[BrazeCredentials],
        time_left: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._secret = secret
        self._time_left = time_left

    def track(self, attributes: Sequence[Mapping[str, object]]) -> TrackReply:
        """Write up to 75 attributes objects; raises as `read_reply`."""
        return self._call(
            "/users/track",
            {"attributes": attributes},
            lambda reply: read_reply(reply, len(attributes)),
        )

    def find_device(self, device_id: str) -> Sequence[Mapping[str, object]]:
        """The profiles that own a device: `external_id` if identified, `braze_id`."""
        return self._call(
            "/users/export/ids",
            {
                "device_id": device_id,
                "fields_to_export": ["external_id", "braze_id"],
            },
            read_export,
        )

    def _call[T](
        self, path: str, body: Mapping[str, object], read: Callable[[Reply], T]
    ) -> T:
        content = json.dumps(body).encode()
        try:
            return read(self._post(path, content, self._secret.get()))
        except CredentialsRefused:
            # The key may have been changed a moment ago: look once more.
            return read(self._post(path, content, self._secret.refreshed()))

    def _post(self, path: str, content: bytes, credentials: BrazeCredentials) -> Reply:
        key = credentials.rest_api_key.get_secret_value()
        try:
            headers = {
                "Authorization": f"Bearer {key}".encode("latin-1").decode("latin-1"),
                "Content-Type": "application/json",
                "User-Agent": USER_AGENT,
            }
        except UnicodeEncodeError:
            raise RetryableError(
                "secret_unusable", "the Braze REST key holds odd characters"
            ) from None
        return self._transport.post(
            path, content, headers=headers, time_left=self._time_left
        )
