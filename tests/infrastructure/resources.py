"""How the tests of the template read it."""

import re
from collections.abc import Iterator
from typing import Any

from bridge import settings

FUNCTIONS: dict[str, type[settings.Settings]] = {
    "CohortWebhook": settings.CohortWebhookSettings,
    "CohortConsumer": settings.CohortConsumerSettings,
    "CohortMaintenance": settings.CohortMaintenanceSettings,
    "CurrentsReceiver": settings.CurrentsReceiverSettings,
    "CurrentsLoader": settings.CurrentsLoaderSettings,
    "CurrentsImporter": settings.CurrentsImporterSettings,
}

type Template = dict[str, Any]


def of_type(template: Template, kind: str) -> dict[str, Any]:
    """The properties of all resources of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def function(template: Template, name: str) -> dict[str, Any]:
    """One of `FUNCTIONS` in the expanded template."""
    made: dict[str, Any] = of_type(template, "AWS::Lambda::Function")[f"{name}Function"]
    return made


def statements(template: Template, role: str) -> Iterator[dict[str, Any]]:
    """All that a role allows, in it or beside it."""
    policies = list(of_type(template, "AWS::IAM::Role")[role].get("Policies", ()))
    policies += [
        policy
        for policy in of_type(template, "AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
    ]
    for policy in policies:
        yield from policy["PolicyDocument"]["Statement"]


def as_list(value: Any) -> list[Any]:
    """IAM takes one or many."""
    return value if isinstance(value, list) else [value]


def meant(value: Any) -> str:
    """A reference in words: `Queue` for its ref or ARN, `Bucket/pages/*` below it."""
    match value:
        case "*":
            return "*"
        case {"Ref": str(name)}:
            return name
        case {"Fn::GetAtt": [str(name), "Arn" | "QueueName"]}:
            return name
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(\w+)\.Arn\}", r"\1", text)
    raise ValueError(f"no reference: {value}")
