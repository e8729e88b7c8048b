"""Check each secret and the vendors' answers to it, before a flow meets a mistake.

Nothing is written at a vendor: Braze is asked for a user that does not exist, or sent a
cohort change without members, and Mixpanel is sent an empty import, which it rejects
only after it has accepted the credentials.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.braze.client import BrazeClient, PartnerClient
from bridge.cohorts.rules.identifiers import parse_sources
from bridge.credentials import (
    BrazeCredentials,
    CurrentsCredentials,
    MixpanelCredentials,
    Secret,
    SecretModel,
    WebhookCredentials,
)
from bridge.currents.rules_source import RulesFile, hashing_key
from bridge.currents.stream.pack import compress
from bridge.errors import BridgeError
from bridge.mixpanel.client import MixpanelClient
from bridge.settings import CohortRoute
from bridge.transport import RetryPolicy, Transport
from cli.stack import RunningStack

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SECRETS: dict[str, type[SecretModel]] = {
    "WebhookSecret": WebhookCredentials,
    "CurrentsSecret": CurrentsCredentials,
    "BrazeSecret": BrazeCredentials,
    "MixpanelSecret": MixpanelCredentials,
}
ONE_TRY = RetryPolicy(attempts=1)
SECONDS = 15.0


@dataclass(frozen=True)
class Finding:
    """One check; `problem` is empty where it passed."""

    what: str
    problem: str = ""


def check(stack: RunningStack) -> Iterator[Finding]:
    """Run each check in turn."""
    secrets = stack.client("secretsmanager")
    for name, model in SECRETS.items():
        secret = _secret(stack, secrets, name, model)
        yield _tried(f"{name} has a value of the right shape", secret.get)
    partner = stack.route is CohortRoute.PARTNER
    yield _tried(
        f"Identifiers can be used on the {stack.route} route",
        lambda: parse_sources(stack.identifiers, partner=partner),
    )
    if stack.rules_key:
        yield _tried(
            f"{stack.rules_key} has rules that can be used",
            lambda: _read_rules(stack, secrets),
        )
    for what, call in braze_calls(stack, secrets):
        yield _tried(what, call)
    yield _tried("Mixpanel takes the login", lambda: call_mixpanel(stack, secrets))


def _tried(what: str, attempt: Callable[[], object]) -> Finding:
    try:
        attempt()
    except BridgeError as error:
        return Finding(what, str(error))
    return Finding(what)


def _secret[T: SecretModel](
    stack: RunningStack, secrets: "SecretsManagerClient", name: str, model: type[T]
) -> Secret[T]:
    return Secret(stack.resources[name], model, client=secrets)


def _read_rules(stack: RunningStack, secrets: "SecretsManagerClient") -> None:
    file = RulesFile(stack.client("s3"), stack.resources["DataBucket"], stack.rules_key)
    secret = _secret(stack, secrets, "MixpanelSecret", MixpanelCredentials)
    hashing_key(file.read(), secret)


def braze_calls(
    stack: RunningStack, secrets: "SecretsManagerClient"
) -> Iterator[tuple[str, Callable[[], object]]]:
    """A call for each route that the secret has keys for, and what it shows."""
    transport = Transport("braze", stack.braze_url, policy=ONE_TRY)
    secret = _secret(stack, secrets, "BrazeSecret", BrazeCredentials)
    rest = BrazeClient(transport, secret, lambda: SECONDS)
    partner = PartnerClient(transport, secret, lambda: SECONDS, stack.partner)
    try:
        keys = secret.get()
    except BridgeError:
        keys = BrazeCredentials()
    as_partner = bool(keys.partner_api_key)
    if keys.rest_api_key or not as_partner:
        yield "Braze takes the REST key", lambda: rest.find_device("bridge-check")
    if as_partner:
        what = "Braze takes the partner key and the data import key"
        yield what, lambda: partner.change("bridge-check", [])


def call_mixpanel(stack: RunningStack, secrets: "SecretsManagerClient") -> None:
    """Send Mixpanel an import of nothing; raises where it does not take the login."""
    transport = Transport("mixpanel", stack.mixpanel_url, policy=ONE_TRY)
    secret = _secret(stack, secrets, "MixpanelSecret", MixpanelCredentials)
    client = MixpanelClient(transport, secret, compress, lambda: SECONDS)
    client.import_events([])
