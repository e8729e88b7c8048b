"""Calls Mixpanel's Import API with the current credentials."""

from collections.abc import Callable, Sequence

from bridge.credentials import MixpanelCredentials, Secret
from bridge.errors import CredentialsRejected, RetryableError
from bridge.mixpanel.import_api import ImportReply, read_reply, write_body
from bridge.reasons import Reason
from bridge.transport import Reply, RetryPolicy, Transport

POLICY = RetryPolicy(attempts=6, base=2.0, ceiling=60.0, jitter=(1.0, 5.0))
"""The back-off that Mixpanel recommends for 429, 502 and 503."""

ANSWER_SECONDS = 45.0
"""An answer may be slow; a call that takes longer than this hangs."""

HEADERS = {"Content-Type": "application/json", "Content-Encoding": "gzip"}


class MixpanelClient:
    """Imports events; `time_left` gives the seconds that bound every call."""

    def __init__(
        self,
        transport: Transport,
        secret: Secret[MixpanelCredentials],
        compress: Callable[[bytes], bytes],
        time_left: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._secret = secret
        self._compress = compress
        self._time_left = time_left

    def import_events(self, lines: Sequence[bytes]) -> ImportReply:
        """Send up to 2,000 events, each a line of JSON.

        Raises as `read_reply`, and `RetryableError` where no answer comes.
        """
        body = self._compress(write_body(lines))
        try:
            return read_reply(self._post(body, self._secret.get()), lines)
        except CredentialsRejected:
            # The secret may have been rotated a moment ago: read it once more.
            return read_reply(self._post(body, self._secret.refreshed()), lines)

    def _post(self, body: bytes, credentials: MixpanelCredentials) -> Reply:
        login = credentials.basic_auth()
        try:
            "".join(login).encode("latin-1")
        except UnicodeEncodeError:
            raise RetryableError(
                Reason.SECRET_UNUSABLE, "the Mixpanel login holds odd characters"
            ) from None
        return self._transport.post(
            "/import",
            body,
            headers=HEADERS,
            params={"strict": "1", **credentials.query},
            auth=login,
            time_left=self._time_left,
        )
