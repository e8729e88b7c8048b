"""Where a running stack is: names of its resources and addresses of the vendors.

CloudFormation describes a deployed stack, a file the one of the local cloud.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bridge.aws.clients import CONFIG, error_code
from bridge.settings import (
    AnonymousUsers,
    CohortConsumerSettings,
    CohortForm,
    CohortRoute,
    CohortValue,
    CohortWebhookSettings,
    EventsWithoutUser,
    MixpanelRegion,
)


class StackError(Exception):
    """The stack cannot be found or read; the message says what to do."""


class Resources(dict[str, str]):
    """Logical id → physical id; what the stack lacks raises `StackError`."""

    def __missing__(self, logical_id: str) -> str:
        raise StackError(f"the stack has no {logical_id}: is it of this release?")


@dataclass(frozen=True)
class RunningStack:
    """Logical id → physical id, and how to reach AWS and the vendors.

    `name` is empty for the local cloud, of which `logs` is the folder of log files.
    """

    resources: Mapping[str, str]
    braze_url: str
    mixpanel_url: str
    aws: Mapping[str, Any]
    partner: str = "mixpanel"
    rules_key: str = ""
    without_user: EventsWithoutUser = EventsWithoutUser.SKIP
    anonymous: AnonymousUsers = AnonymousUsers.SKIP
    identifiers: str = CohortWebhookSettings.model_fields["identifiers"].default
    route: CohortRoute = CohortRoute.ATTRIBUTE
    attribute: str = CohortConsumerSettings.model_fields["cohort_attribute"].default
    form: CohortForm = CohortForm.ARRAY
    value: CohortValue = CohortValue.ID
    outputs: Mapping[str, str] = field(default_factory=dict)
    mixpanel_query_url: str = ""
    name: str = ""
    logs: str = ""

    def client(self, service: str) -> Any:
        """A client of one AWS service."""
        return boto3.client(service, **{"config": CONFIG, **self.aws})

    @property
    def title(self) -> str:
        """What to call the stack on a screen."""
        return self.name or "the local cloud"

    @classmethod
    def deployed(cls, name: str, region: str | None) -> "RunningStack":
        """Ask CloudFormation; raises `StackError`."""
        aws: dict[str, Any] = {"region_name": region} if region else {}
        try:
            formation: Any = boto3.client("cloudformation", config=CONFIG, **aws)
            (stack,) = formation.describe_stacks(StackName=name)["Stacks"]
            pages = formation.get_paginator("list_stack_resources").paginate(
                StackName=name
            )
            resources = Resources(
                (each["LogicalResourceId"], each["PhysicalResourceId"])
                for page in pages
                for each in page["StackResourceSummaries"]
                if each.get("PhysicalResourceId")
            )
        except ClientError as error:
            code = error_code(error)
            # CloudFormation's word for a name that it does not know.
            why = "it is not in this region" if code == "ValidationError" else code
            raise StackError(f"cannot read the stack {name}: {why}") from None
        except BotoCoreError as error:
            kind = type(error).__name__
            raise StackError(f"cannot read the stack {name}: {kind}") from None
        parameters = {
            each["ParameterKey"]: each["ParameterValue"]
            for each in stack.get("Parameters", ())
        }
        try:
            region_of_mixpanel = MixpanelRegion(parameters["MixpanelRegion"])
            return cls(
                resources,
                parameters["BrazeRestEndpoint"],
                region_of_mixpanel.ingestion_url,
                aws,
                mixpanel_query_url=region_of_mixpanel.query_url,
                name=name,
                outputs={
                    each["OutputKey"]: each["OutputValue"]
                    for each in stack.get("Outputs", ())
                },
                **_settings(parameters, *REQUIRED),
            )
        except (KeyError, ValueError):
            text = f"the stack {name} is not a bridge, or not one of this release"
            raise StackError(text) from None

    @classmethod
    def local(cls, description: Path) -> "RunningStack":
        """Read the local cloud's description; raises `StackError`."""
        try:
            described = json.loads(description.read_text())
            aws = {
                "region_name": described["region"],
                "endpoint_url": described["aws_endpoint_url"],
                "aws_access_key_id": described["aws_access_key_id"],
                "aws_secret_access_key": described["aws_secret_access_key"],
                # A developer's proxy has no business on the loopback.
                "config": CONFIG.merge(Config(proxies={})),
            }
            return cls(
                Resources(described["resources"]),
                described["braze_url"],
                described["mixpanel_url"],
                aws,
                mixpanel_query_url=described["mixpanel_url"],
                outputs=described.get("outputs", {}),
                logs=described.get("logs", ""),
                **_settings(described.get("parameters", {})),
            )
        except (OSError, ValueError, LookupError, TypeError):
            text = f"{description} cannot be read: is `make run KEEP=1` running?"
            raise StackError(text) from None


REQUIRED = ("BrazePartner", "EventRules", "Identifiers", "CohortRoute")
"""Parameters that every release has had."""


def _settings(parameters: Mapping[str, str], *required: str) -> dict[str, Any]:
    """What the parameters of the template set; raises `KeyError` and `ValueError`."""
    fields: dict[str, tuple[str, Callable[[str], Any]]] = {
        "BrazePartner": ("partner", str),
        "EventRules": ("rules_key", str),
        "EventsWithoutUser": ("without_user", EventsWithoutUser),
        "AnonymousUsers": ("anonymous", AnonymousUsers),
        "Identifiers": ("identifiers", str),
        "CohortRoute": ("route", CohortRoute),
        "CohortAttribute": ("attribute", str),
        "CohortForm": ("form", CohortForm),
        "CohortValue": ("value", CohortValue),
    }
    return {
        field_name: read(parameters[name])
        for name, (field_name, read) in fields.items()
        if name in parameters or name in required
    }
