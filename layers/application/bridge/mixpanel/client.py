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


class LoginPause:
    """How long to wait after a failed login; it outlives the client.

    Only an operator can correct a login, and the stream would deliver the batch again
    at once.
    """

    BASE, CEILING, MARGIN = 2.0, 60.0, 2.0

    def __init__(self) -> None:
        self._failures = 0

    def succeeded(self) -> None:
        """Begin with the shortest pause the next time."""
        self._failures = 0

    def failed(self, time_left: float) -> float:
        """Seconds to wait: they double, within the time that is left."""
        seconds: float = min(self.BASE * 2**self._failures, self.CEILING)
        self._failures += seconds < self.CEILING
        return max(0.0, min(seconds, time_left - self.MARGIN))


class MixpanelClient:
    """Imports events; `time_left` gives the seconds that bound every call."""

    def __init__(
        self,
        transport: Transport,
        secret: Secret[MixpanelCredentials],
        compress: Callable[[bytes], bytes],
        time_left: Callable[[], float],
        login_pause: LoginPause | None = None,
    ) -> None:
        self._transport = transport
        self._secret = secret
        self._compress = compress
        self._time_left = time_left
        self._login_pause = login_pause or LoginPause()

    def import_events(self, lines: Sequence[bytes]) -> ImportReply:
        """Send up to 2,000 events, each a line of JSON.

        Raises as `read_reply`, after a pause where the credentials are rejected, and
        `RetryableError` where no answer comes.
        """
        try:
            reply = self._import(lines)
        except CredentialsRejected:
            self._transport.pause(self._login_pause.failed(self._time_left()))
            raise
        self._login_pause.succeeded()
        return reply

    def _import(self, lines: Sequence[bytes]) -> ImportReply:
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
