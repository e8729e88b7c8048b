"""What the role of each function allows, in it or beside it, as the template has it."""

from typing import Any

from sandbox.cloudformation.intrinsics import TemplateError
from sandbox.cloudformation.template import Template


def grants(template: Template) -> dict[str, list[tuple[str, str]]]:
    """Pairs of action and resource by the function's logical id.

    Only functions whose role is in the template with policies of its own. Resources
    must exist already: a secret's ARN is known only then.
    """
    roles = template.of_type("AWS::IAM::Role")
    beside = template.of_type("AWS::IAM::Policy").values()
    allowed: dict[str, list[tuple[str, str]]] = {}
    for function, properties in template.of_type("AWS::Serverless::Function").items():
        for name, role in roles.items():
            identity = template.identify(name)
            if properties.get("Role") != identity.attributes["Arn"]:
                continue
            policies = [
                *role.get("Policies", ()),
                *(each for each in beside if identity.ref in each["Roles"]),
            ]
            if policies:
                allowed[function] = [
                    pair for policy in policies for pair in _pairs(policy)
                ]
    return allowed


def _pairs(policy: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = []
    for statement in policy["PolicyDocument"]["Statement"]:
        if statement["Effect"] != "Allow" or "Condition" in statement:
            raise TemplateError("the sandbox knows only Allow, without a condition")
        pairs += [
            (action, resource)
            for action in _list(statement["Action"])
            for resource in _list(statement["Resource"])
        ]
    return pairs


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
