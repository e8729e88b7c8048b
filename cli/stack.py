"""Where a running stack is: names of its resources and addresses of the vendors.

CloudFormation describes a deployed stack, a file the one of the local cloud.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bridge.aws.clients import CONFIG, error_code
from bridge.settings import (
    CohortRoute,
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
    """Logical id → physical id, and how to reach AWS and the vendors."""

    resources: Mapping[str, str]
    braze_url: str
    mixpanel_url: str
    aws: Mapping[str, Any]
    partner: str = "mixpanel"
    rules_key: str = ""
    without_user: EventsWithoutUser = EventsWithoutUser.SKIP
    identifiers: str = CohortWebhookSettings.model_fields["identifiers"].default
    route: CohortRoute = CohortRoute.ATTRIBUTE
    outputs: Mapping[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client of one AWS service."""
        return boto3.client(service, **{"config": CONFIG, **self.aws})

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
            return cls(
                resources,
                parameters["BrazeRestEndpoint"],
                MixpanelRegion(parameters["MixpanelRegion"]).ingestion_url,
                aws,
                partner=parameters["BrazePartner"],
                rules_key=parameters["EventRules"],
                identifiers=parameters["Identifiers"],
                route=CohortRoute(parameters["CohortRoute"]),
                outputs={
                    each["OutputKey"]: each["OutputValue"]
                    for each in stack.get("Outputs", ())
                },
                without_user=EventsWithoutUser(
                    parameters.get("EventsWithoutUser", EventsWithoutUser.SKIP)
                ),
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
                rules_key=described.get("rules_key", ""),
                outputs=described.get("outputs", {}),
            )
        except (OSError, ValueError, LookupError, TypeError):
            text = f"{description} cannot be read: is `make run KEEP=1` running?"
            raise StackError(text) from None
