"""Calls Mixpanel's Import API with the credentials of the day."""

from collections.abc import Callable, Sequence

from bridge.credentials import MixpanelCredentials, Secret
from bridge.errors import CredentialsRejected, RetryableError
from bridge.mixpanel.import_api import ImportReply, read_reply, write_body
from bridge.transport import Reply, RetryPolicy, Transport

POLICY = RetryPolicy(attempts=6, base=2.0, ceiling=60.0, jitter=(1.0, 5.0))
"""Mixpanel's own figures for 429, 502 and 503."""

ANSWER_SECONDS = 45.0
"""An answer may be slow; what takes longer than this is a call that hangs."""

HEADERS = {"Content-Type": "application/json", "Content-Encoding": "gzip"}


class MixpanelClient:
    """/import; `time_left` bounds every call, in seconds."""

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
        """Send up to 2,000 events, each as JSON; raises as `read_reply`."""
        body = self._compress(write_body(lines))
        try:
            return read_reply(self._post(body, self._secret.get()), lines)
        except CredentialsRejected:
            # They may have been changed a moment ago: look once more.
            return read_reply(self._post(body, self._secret.refreshed()), lines)

    def _post(self, body: bytes, credentials: MixpanelCredentials) -> Reply:
        login = credentials.basic_auth()
        try:
            "".join(login).encode("latin-1")
        except UnicodeEncodeError:
            raise RetryableError(
                "secret_unusable", "the Mixpanel login holds odd characters"
            ) from None
        return self._transport.post(
            "/import",
            body,
            headers=HEADERS,
            params={"strict": "1", **credentials.query},
            auth=login,
            time_left=self._time_left,
        )
