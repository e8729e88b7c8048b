"""Mixpanel's Query API, as the command asks it."""

from bridge.credentials import MixpanelCredentials, Secret
from bridge.errors import BridgeError
from bridge.mixpanel.query_api import QueryClient
from bridge.transport import RetryPolicy, Transport
from cli.stack import RunningStack

SECONDS = 60.0
"""Mixpanel works an answer out; a large cohort takes a while."""


def query_client(stack: RunningStack) -> QueryClient:
    """A client that tries once: every try counts among the sixty of the hour."""
    transport = Transport(
        "mixpanel",
        stack.mixpanel_query_url,
        policy=RetryPolicy(attempts=1),
        read_timeout=SECONDS,
    )
    secret = Secret(
        stack.resources["MixpanelSecret"],
        MixpanelCredentials,
        client=stack.client("secretsmanager"),
    )
    return QueryClient(transport, secret, lambda: SECONDS)


def sizes(stack: RunningStack) -> tuple[dict[str, int], str]:
    """How many members Mixpanel counts, by cohort; or why it cannot be asked."""
    try:
        return query_client(stack).cohort_sizes(), ""
    except BridgeError as error:
        return {}, str(error)
