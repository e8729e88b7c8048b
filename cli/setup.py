"""Enter the vendors' keys, and show what to enter at the vendors.

A key is asked without echo, shown to its vendor and stored only if the vendor takes it;
what a secret holds beside it stays.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from bridge.aws.clients import error_code
from bridge.credentials import CurrentsCredentials, Secret, WebhookCredentials
from bridge.errors import BridgeError
from bridge.settings import CohortRoute
from cli.check import braze_calls, call_mixpanel
from cli.stack import RunningStack, StackError

TRIES = 3
LOGINS = ("service_account_username", "service_account_secret", "project_id")
SINGLES = ("project_token", "api_secret")

type Entered = dict[str, str]


@dataclass(frozen=True)
class Terminal:
    """How to ask with and without echo, and how to say that something is wrong."""

    ask: Callable[[str], str]
    ask_secretly: Callable[[str], str]
    wrong: Callable[[str], None]
    right: Callable[[str], None]


@dataclass(frozen=True)
class _Given:
    """Stands where Secrets Manager does, for keys that are not stored yet."""

    text: str

    def get_secret_value(self, **_: str) -> dict[str, str]:
        return {"SecretString": self.text}


def enter_keys(stack: RunningStack, terminal: Terminal) -> bool:
    """Ask for the keys of both vendors and store those that they take.

    False if keys are still missing, or were not taken.
    """
    secrets = stack.client("secretsmanager")
    return all(
        [
            _enter(stack, terminal, secrets, "BrazeSecret", _ask_braze, _try_braze),
            _enter(
                stack, terminal, secrets, "MixpanelSecret", _ask_mixpanel, _try_mixpanel
            ),
        ]
    )


def _enter(
    stack: RunningStack,
    terminal: Terminal,
    secrets: Any,
    name: str,
    ask: Callable[[RunningStack, Terminal, str], Entered],
    attempt: Callable[[RunningStack, Any], None],
) -> bool:
    arn = stack.resources[name]
    present = _present(secrets, arn)
    keep = "; Enter keeps the present one" if present else ""
    for _ in range(TRIES):
        entered = ask(stack, terminal, keep)
        if not entered and not present:
            terminal.wrong(f"{name} is still empty: run setup again")
            return False
        content = _merged(present, entered)
        try:
            attempt(stack, _Given(json.dumps(content)))
        except BridgeError as error:
            terminal.wrong(str(error))
            continue
        if entered:
            secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(content))
        terminal.right(f"{name}: {'stored' if entered else 'unchanged'}, and taken")
        return True
    terminal.wrong(f"{name} is as it was")
    return False


def _present(secrets: Any, arn: str) -> dict[str, Any]:
    """What a secret holds; empty if it has no value, or none that is an object."""
    try:
        text = secrets.get_secret_value(SecretId=arn).get("SecretString", "")
    except ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return {}
        raise
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _merged(present: Mapping[str, Any], entered: Entered) -> dict[str, Any]:
    """A new login of Mixpanel replaces the other kinds, one of which would win."""
    replaced = (
        {*LOGINS, *SINGLES} if {*entered} & {*LOGINS, *SINGLES} else frozenset[str]()
    )
    kept = {name: value for name, value in present.items() if name not in replaced}
    return {**kept, **entered}


def _ask_braze(stack: RunningStack, terminal: Terminal, keep: str) -> Entered:
    names = (
        {
            "partner_api_key": "Braze partner key",
            "data_import_key": "Braze data import key",
        }
        if stack.route is CohortRoute.PARTNER
        else {
            "rest_api_key": "Braze REST API key, with users.track and users.export.ids"
        }
    )
    asked = {
        name: terminal.ask_secretly(f"{what} (hidden{keep}): ").strip()
        for name, what in names.items()
    }
    return {name: value for name, value in asked.items() if value}


def _try_braze(stack: RunningStack, given: Any) -> None:
    for _, call in braze_calls(stack, given):
        call()


def _ask_mixpanel(_: RunningStack, terminal: Terminal, keep: str) -> Entered:
    kind = "Mixpanel service account, user name (empty: project token instead"
    username = terminal.ask(f"{kind}{keep and ', or the present login'}): ").strip()
    if not username:
        token = terminal.ask_secretly(f"Mixpanel project token (hidden{keep}): ")
        return {"project_token": token.strip()} if token.strip() else {}
    secret = terminal.ask_secretly("Mixpanel service account, secret (hidden): ")
    project = terminal.ask("Mixpanel project id: ")
    return dict(zip(LOGINS, (username, secret.strip(), project.strip()), strict=True))


def _try_mixpanel(stack: RunningStack, given: Any) -> None:
    call_mixpanel(stack, given)


@dataclass(frozen=True)
class Screen:
    """Where to click at a vendor, and what to enter there."""

    path: str
    fields: Sequence[tuple[str, str]]
    then: str = ""


def screens(stack: RunningStack) -> Iterator[Screen]:
    """What is to be entered at both vendors; raises `StackError`."""
    secrets = stack.client("secretsmanager")
    webhook = Secret(
        stack.resources["WebhookSecret"], WebhookCredentials, client=secrets
    ).get()
    if not webhook.credentials:
        raise StackError("WebhookSecret has no credentials: see docs/configuration.md")
    login = webhook.credentials[0]
    yield Screen(
        "Mixpanel > Data > Destinations > Add Destination > Webhook",
        (
            ("URL", _output(stack, "WebhookUrl")),
            ("user name", login.username),
            ("password", login.password.get_secret_value()),
        ),
        "then, in a cohort: Export to > the webhook; add the property that holds "
        "Braze's external id to the properties to export",
    )
    if webhook.opens_import:
        yield Screen(
            "a sender of Braze's cohort import",
            (
                ("REST endpoint", _output(stack, "CohortImportUrl")),
                ("data import key", webhook.data_import_keys[0].get_secret_value()),
            ),
        )
    currents = Secret(
        stack.resources["CurrentsSecret"], CurrentsCredentials, client=secrets
    ).get()
    yield Screen(
        "Braze > Partner Integrations > Data Export > Create New Current > "
        "Custom HTTP Export",
        (
            ("endpoint", _output(stack, "CurrentsUrl")),
            ("bearer token", currents.tokens[0].get_secret_value()),
        ),
    )
    role = stack.outputs.get("CurrentsRoleArn")
    yield Screen(
        "or, instead: … > Create New Current > Amazon S3 Data Export",
        (
            ("bucket", _output(stack, "CurrentsBucketName")),
            (
                "AWS role ARN",
                role
                or 'none yet: make deploy SET="BrazeAccountId=… BrazeExternalId=…"'
                " with what that screen shows",
            ),
        ),
    )


def _output(stack: RunningStack, name: str) -> str:
    if name not in stack.outputs:
        raise StackError(f"the stack has no output {name}: is it of this release?")
    return stack.outputs[name]
