"""Where a running stack is: names of its resources and addresses of the vendors.

A deployed stack is asked through CloudFormation; the local cloud has written its
description to a file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from bridge.settings import MixpanelRegion


class StackError(Exception):
    """The stack cannot be found or asked; the message says what to do."""


@dataclass(frozen=True)
class RunningStack:
    """Logical id → physical id, and how to reach AWS and the vendors."""

    resources: Mapping[str, str]
    braze_url: str
    mixpanel_url: str
    aws: Mapping[str, Any]
    partner: str = "mixpanel"
    rules_key: str = ""

    def client(self, service: str) -> Any:
        """A client of one AWS service."""
        return boto3.client(service, **self.aws)

    @classmethod
    def deployed(cls, name: str, region: str | None) -> "RunningStack":
        """Ask CloudFormation; raises `StackError`."""
        aws: dict[str, Any] = {"region_name": region} if region else {}
        try:
            formation: Any = boto3.client("cloudformation", **aws)
            (stack,) = formation.describe_stacks(StackName=name)["Stacks"]
            pages = formation.get_paginator("list_stack_resources").paginate(
                StackName=name
            )
            resources = {
                each["LogicalResourceId"]: each.get("PhysicalResourceId", "")
                for page in pages
                for each in page["StackResourceSummaries"]
            }
        except (BotoCoreError, ClientError) as error:
            raise StackError(f"cannot read the stack {name}: {error}") from None
        given = {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]}
        region_of_project = MixpanelRegion(given["MixpanelRegion"])
        return cls(
            resources,
            given["BrazeRestEndpoint"],
            region_of_project.ingestion_url,
            aws,
            partner=given["BrazePartner"],
            rules_key=given["EventRules"],
        )

    @classmethod
    def local(cls, description: Path) -> "RunningStack":
        """Read what the local cloud wrote; raises `StackError`."""
        try:
            told = json.loads(description.read_text())
        except (OSError, ValueError):
            text = f"{description} cannot be read: is `make run KEEP=1` running?"
            raise StackError(text) from None
        aws = {
            "region_name": told["region"],
            "endpoint_url": told["aws_endpoint_url"],
            "aws_access_key_id": told["aws_access_key_id"],
            "aws_secret_access_key": told["aws_secret_access_key"],
        }
        return cls(
            told["resources"],
            told["braze_url"],
            told["mixpanel_url"],
            aws,
            rules_key=told.get("rules_key", ""),
        )
