"""The built SAM template: parameters, globals and the identity of every resource.

Names are made here before anything exists, because functions, queues and policies name
each other in every order.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from sandbox.cloudformation.intrinsics import Identity, Resolver, TemplateError

ACCOUNT = "123456789012"
STACK = "sandbox"
STACK_UUID = "51af3dc0-da77-11e4-872e-1234567db123"
"""AWS makes a new one for each stack; here it is the same in each run."""

# Types that exist only for permissions, observability or the control plane.
WITHOUT_LOCAL_MEANING = frozenset(
    {
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::CompositeAlarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::IAM::RolePolicy",
        "AWS::KMS::Alias",
        "AWS::KMS::Key",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::Logs::MetricFilter",
        "AWS::Logs::QueryDefinition",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueueInlinePolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::SecretsManager::ResourcePolicy",
    }
)

# Service and resource part of an ARN, and the property that may give the name.
_NAMED = {
    "AWS::DynamoDB::Table": ("dynamodb", "table/", "TableName"),
    "AWS::IAM::ManagedPolicy": ("iam", "policy/", "ManagedPolicyName"),
    "AWS::IAM::Role": ("iam", "role/", "RoleName"),
    "AWS::KMS::Key": ("kms", "key/", ""),
    "AWS::Kinesis::Stream": ("kinesis", "stream/", "Name"),
    "AWS::Logs::LogGroup": ("logs", "log-group:", "LogGroupName"),
    "AWS::S3::Bucket": ("s3", "", "BucketName"),
    "AWS::SNS::Topic": ("sns", "", "TopicName"),
    "AWS::SQS::Queue": ("sqs", "", "QueueName"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "secret:", "Name"),
    "AWS::Serverless::Function": ("lambda", "function:", "FunctionName"),
}
_REF_IS_ARN = {"AWS::SNS::Topic", "AWS::SecretsManager::Secret"}


class Template:
    """One built template with its parameters filled in.

    `resources` holds those whose condition is true, with the globals merged in and
    intrinsics still unresolved; `resolver` resolves them.
    """

    def __init__(
        self,
        build_dir: Path,
        parameters: Mapping[str, str],
        region: str,
        endpoint: str,
    ) -> None:
        path = build_dir / "template.yaml"
        if not path.is_file():
            raise TemplateError(f"there is no {path}: run `make build` first")
        self.build_dir = build_dir
        self.region = region
        self._endpoint = endpoint
        content = yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506
        self._identities: dict[str, Identity] = {}
        self.resources: dict[str, dict[str, Any]] = {}
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::Region": region,
            "AWS::StackId": (
                f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/{STACK}/{STACK_UUID}"
            ),
            "AWS::StackName": STACK,
            "AWS::URLSuffix": "amazonaws.com",
        }
        declared = content.get("Parameters") or {}
        self.parameters = _parameters(declared, parameters)
        values = {**pseudo, **self.parameters}
        self.resolver = Resolver(content, values, self.identify)
        defaults = content.get("Globals") or {}
        for logical_id, resource in content["Resources"].items():
            condition = resource.get("Condition")
            if condition is None or self.resolver.condition(condition):
                kind = resource["Type"].rpartition("::")[2]
                properties = resource.get("Properties") or {}
                if resource["Type"].startswith("AWS::Serverless::"):
                    properties = _merge(defaults.get(kind) or {}, properties)
                self.resources[logical_id] = {**resource, "Properties": properties}
        self._outputs = content.get("Outputs") or {}

    def of_type(self, *types: str) -> dict[str, dict[str, Any]]:
        """Resolved properties of the resources of these types, by logical id."""
        return {
            logical_id: self.properties(logical_id)
            for logical_id, resource in self.resources.items()
            if resource["Type"] in types
        }

    def properties(self, logical_id: str) -> dict[str, Any]:
        resolved = self.resolver.resolve(self.resources[logical_id]["Properties"])
        return dict(resolved)

    def outputs(self) -> dict[str, str]:
        return {
            name: str(self.resolver.resolve(output["Value"]))
            for name, output in self._outputs.items()
            if "Condition" not in output or self.resolver.condition(output["Condition"])
        }

    def identify(self, logical_id: str) -> Identity:
        if logical_id not in self._identities:
            self._identities[logical_id] = self._identity(logical_id)
        return self._identities[logical_id]

    def set_identity(self, logical_id: str, identity: Identity) -> None:
        """For the names only the service can give, such as a secret's ARN."""
        self._identities[logical_id] = identity

    def name(self, logical_id: str) -> str:
        """The name a resource has where the template gives none."""
        resource = self.resources[logical_id]
        name = f"{STACK}-{logical_id}"
        if resource["Type"] == "AWS::S3::Bucket":
            return f"{name}-{ACCOUNT}".lower()
        if resource["Type"] == "AWS::SQS::Queue":
            fifo = self.resolver.resolve(resource["Properties"].get("FifoQueue"))
            return f"{name}.fifo" if str(fifo).lower() == "true" else name
        return name

    def _identity(self, logical_id: str) -> Identity:
        if logical_id == "ServerlessHttpApi":
            return Identity(api_id(logical_id))
        if logical_id not in self.resources:
            raise TemplateError(f"there is no resource {logical_id}")
        resource = self.resources[logical_id]
        kind = resource["Type"]
        if kind == "AWS::Serverless::LayerVersion":
            return Identity(str(self.layer(logical_id)))
        if kind == "AWS::Serverless::HttpApi":
            host = f"{api_id(logical_id)}.execute-api.{self.region}.amazonaws.com"
            attributes = {
                "ApiEndpoint": f"https://{host}",
                "ApiId": api_id(logical_id),
            }
            return Identity(api_id(logical_id), attributes)
        if kind not in _NAMED:
            if kind in WITHOUT_LOCAL_MEANING:
                return Identity(self.name(logical_id))
            raise TemplateError(f"the sandbox does not know {kind} ({logical_id})")
        service, prefix, name_property = _NAMED[kind]
        given = self.resolver.resolve(resource["Properties"].get(name_property))
        name = str(given) if given else self.name(logical_id)
        place = {"s3": ":", "iam": f":{ACCOUNT}"}.get(
            service, f"{self.region}:{ACCOUNT}"
        )
        arn = f"arn:aws:{service}:{place}:{prefix}{name}"
        attributes = {"Arn": arn}
        if kind == "AWS::SQS::Queue":
            url = f"{self._endpoint}/{ACCOUNT}/{name}"
            return Identity(url, {**attributes, "QueueName": name, "QueueUrl": url})
        if kind == "AWS::S3::Bucket":
            attributes["DomainName"] = f"{name}.s3.amazonaws.com"
        if kind == "AWS::SNS::Topic":
            attributes |= {"TopicArn": arn, "TopicName": name}
        return Identity(arn if kind in _REF_IS_ARN else name, attributes)

    def layer(self, logical_id: str) -> Path:
        content = self.resources[logical_id]["Properties"]["ContentUri"]
        return (self.build_dir / str(self.resolver.resolve(content))).resolve()


def api_id(logical_id: str) -> str:
    """API Gateway's ids are ten lower-case letters and digits."""
    return (re.sub("[^a-z0-9]", "", logical_id.lower()) + "x" * 10)[:10]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, `!Ref` and the like."""


def _tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {name: loader.construct_mapping(node, deep=True)}
    raise TemplateError(f"!{suffix} on an unknown kind of YAML node")


_Loader.add_multi_constructor("!", _tag)
# A policy's version is a date to YAML and a string to CloudFormation.
_Loader.add_constructor(
    "tag:yaml.org,2002:timestamp",
    lambda loader, node: loader.construct_scalar(cast("yaml.ScalarNode", node)),
)


def _parameters(
    declared: Mapping[str, Any], given: Mapping[str, str]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, parameter in declared.items():
        if name not in given and "Default" not in parameter:
            raise TemplateError(f"parameter {name} has no default and no value")
        value = str(given.get(name, parameter.get("Default")))
        allowed = [str(item) for item in parameter.get("AllowedValues", [value])]
        if value not in allowed:
            raise TemplateError(f"parameter {name}: {value!r} is none of {allowed}")
        pattern = parameter.get("AllowedPattern")
        if pattern and not re.fullmatch(pattern, value):
            raise TemplateError(f"parameter {name}: {value!r} does not match {pattern}")
        is_list = parameter["Type"] in ("CommaDelimitedList", "List<Number>")
        values[name] = [v.strip() for v in value.split(",")] if is_list else value
    return values


def _merge(defaults: Any, own: Any) -> Any:
    """SAM's rule for Globals: maps merge, lists add up, anything else is replaced."""
    if isinstance(defaults, dict) and isinstance(own, dict):
        merged = dict(defaults)
        for key, value in own.items():
            merged[key] = _merge(defaults[key], value) if key in defaults else value
        return merged
    if isinstance(defaults, list) and isinstance(own, list):
        return [*defaults, *own]
    return own
