"""What AWS knows before a deployment: who is asking, and what became of the stack."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

QUICK = Config(connect_timeout=5, read_timeout=15, retries={"total_max_attempts": 2})
CREATED_BY_US = "BrazeRestEndpoint"
"""A parameter that every bridge has, and hardly any other stack."""

POLL_SECONDS = 10
MAX_WAIT_SECONDS = 3600


class DeploymentError(Exception):
    """Nothing can be deployed as things are; the message says what to do."""


@dataclass(frozen=True)
class Present:
    """A stack as it is: its status, empty if there is none, and its parameters."""

    status: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether there is something that an update would change."""
        return self.status not in {"", "REVIEW_IN_PROGRESS"}


def profiles() -> list[str]:
    """The profiles of the user's AWS configuration."""
    return botocore.session.Session().available_profiles


def usual_region(profile: str) -> str:
    """The region that the user's configuration names for a profile, or empty."""
    session = botocore.session.Session(profile=profile or None)
    return str(session.get_config_variable("region") or "")


class Account:
    """AWS in one region, as one profile; raises `DeploymentError`."""

    def __init__(self, profile: str, region: str) -> None:
        try:
            self._session = boto3.Session(
                profile_name=profile or None, region_name=region
            )
        except BotoCoreError as error:
            raise _unreachable(error) from None

    def client(self, service: str) -> Any:
        """A client that gives up soon."""
        return self._session.client(service, config=QUICK)

    def number(self) -> str:
        """The number of the account, which shows that the credentials are taken."""
        try:
            return str(self.client("sts").get_caller_identity()["Account"])
        except (BotoCoreError, ClientError) as error:
            raise _unreachable(error) from None

    def stack(self, name: str) -> Present:
        """The stack of that name."""
        try:
            answer = self.client("cloudformation").describe_stacks(StackName=name)
        except ClientError as error:
            # CloudFormation's word for a name that it does not know.
            if error.response["Error"]["Code"] == "ValidationError":
                return Present()
            raise _unreachable(error) from None
        except BotoCoreError as error:
            raise _unreachable(error) from None
        (found,) = answer["Stacks"]
        parameters = {
            each["ParameterKey"]: each.get("ParameterValue", "")
            for each in found.get("Parameters", ())
        }
        if parameters and CREATED_BY_US not in parameters:
            raise DeploymentError(
                f"{name} is a stack already, and no bridge: choose another name"
            )
        return Present(found["StackStatus"], parameters)

    def delete_stack(self, name: str) -> None:
        """Delete a stack whose creation failed."""
        try:
            self.client("cloudformation").delete_stack(StackName=name)
        except (BotoCoreError, ClientError) as error:
            raise _unreachable(error) from None


def when_ready(
    account: Account,
    name: str,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Present:
    """The stack once it can be deployed, whatever an earlier try left.

    Waits for what still goes on, and deletes what a failed creation left: it holds
    nothing yet. Raises `DeploymentError` where only a person can help.
    """
    waited = 0
    while True:
        present = account.stack(name)
        status = present.status
        if status in {"UPDATE_ROLLBACK_FAILED", "DELETE_FAILED"}:
            raise DeploymentError(_HELP[status].format(name=name))
        if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"}:
            say(f"the creation of {name} had failed; what is left of it is deleted")
            account.delete_stack(name)
        elif not status.endswith("_IN_PROGRESS") or status == "REVIEW_IN_PROGRESS":
            return present
        elif waited == 0:
            say(f"CloudFormation is still at work on {name} ({status}); waiting")
        if waited >= MAX_WAIT_SECONDS:
            raise DeploymentError(f"{name} is still {status}: try again later")
        sleep(POLL_SECONDS)
        waited += POLL_SECONDS


_HELP = {
    "UPDATE_ROLLBACK_FAILED": (
        "an update of {name} failed, and so did going back. CloudFormation's events "
        "say why; then: aws cloudformation continue-update-rollback --stack-name {name}"
    ),
    "DELETE_FAILED": (
        "{name} could not be deleted. CloudFormation's events say why; delete it in "
        "the console, or choose another name"
    ),
}


def _unreachable(error: Exception) -> DeploymentError:
    """What to do about an AWS that does not answer, or that denies."""
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        if "Expired" in code:
            text = "the AWS credentials have expired: log in again"
        elif code in {"InvalidClientTokenId", "SignatureDoesNotMatch"}:
            text = "AWS does not know these credentials: `aws configure` sets them"
        else:
            text = f"AWS denied {error.operation_name}: {code}"
        return DeploymentError(
            f"{text} (docs/deploy.md names the rights that it takes)"
        )
    kind = type(error).__name__
    hint = {
        "NoCredentialsError": "no AWS credentials: `aws configure` or `aws sso login`",
        "ProfileNotFound": "the AWS configuration has no such profile",
        "EndpointConnectionError": "AWS cannot be reached: is there a network, and is "
        "the region right?",
        "ConnectTimeoutError": "AWS cannot be reached: is there a network?",
    }
    return DeploymentError(hint.get(kind, f"AWS cannot be reached ({kind})"))
