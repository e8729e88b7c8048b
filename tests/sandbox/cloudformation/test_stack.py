"""Reading a built template: intrinsics, globals, parameters, and what is an error."""

from pathlib import Path
from typing import Any

import pytest

from sandbox.cloudformation.intrinsics import Identity, Resolver, TemplateError
from sandbox.cloudformation.stack import Stack
from sandbox.cloudformation.template import Template
from tests.sandbox.small_stack import TEMPLATE, build

ENDPOINT = "http://127.0.0.1:4566"


def read(folder: Path, text: str = TEMPLATE, **parameters: str) -> Template:
    return Template(build(folder, text), parameters, "us-east-1", ENDPOINT)


def resolve(value: Any) -> Any:
    template = {
        "Mappings": {"Hosts": {"eu": {"host": "api-eu"}}},
        "Conditions": {"Yes": {"Fn::Equals": ["a", "a"]}, "No": {"Fn::Not": [True]}},
    }
    known = {"Queue": Identity("url", {"Arn": "arn"})}
    values = {"Region": "eu", "List": ["a", "b"], "AWS::Region": "us-east-1"}
    return Resolver(template, values, lambda name: known[name]).resolve(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Region"}, "eu"),
        ({"Ref": "Queue"}, "url"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "arn"),
        ({"Fn::GetAtt": "Queue.Arn"}, "arn"),
        ({"Fn::Sub": "${Region}/${Queue.Arn}/${!Kept}/${AWS::Region}"},
         "eu/arn/${Kept}/us-east-1"),
        ({"Fn::Sub": ["${x}-${Region}", {"x": {"Ref": "Queue"}}]}, "url-eu"),
        ({"Fn::Join": [",", {"Ref": "List"}]}, "a,b"),
        ({"Fn::Split": ["-", "a-b"]}, ["a", "b"]),
        ({"Fn::Select": [1, {"Fn::Split": ["-", "a-b"]}]}, "b"),
        ({"Fn::If": ["Yes", 1, 2]}, 1),
        ({"Fn::If": ["No", 1, 2]}, 2),
        ({"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, "b": 2}, {"b": 2}),
        ({"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]}, False),
        ({"Fn::Or": [{"Condition": "Yes"}, {"Condition": "No"}]}, True),
        ({"Fn::FindInMap": ["Hosts", {"Ref": "Region"}, "host"]}, "api-eu"),
    ],
)  # fmt: skip
def test_intrinsics(value: Any, expected: Any) -> None:
    """AWS CloudFormation Template Reference, "Intrinsic function reference"
    (intrinsic-function-reference)."""
    assert resolve(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"Fn::Cidr": ["10.0.0.0/16", 1, 8]},
        {"Fn::ImportValue": "x"},
        {"Fn::GetAtt": ["Queue", "Unknown"]},
        {"Fn::FindInMap": ["Hosts", "us", "host"]},
        {"Fn::If": ["Maybe", 1, 2]},
        "{{resolve:ssm:name}}",
    ],
)
def test_what_is_not_known_is_an_error(value: Any) -> None:
    """AWS CloudFormation Template Reference, "Intrinsic function reference"
    (intrinsic-function-reference)."""
    with pytest.raises(TemplateError):
        resolve(value)


def test_globals_are_merged_into_functions(tmp_path: Path) -> None:
    """AWS SAM Developer Guide, "Globals section of the AWS SAM template", "Overridable
    globals" (sam-specification-template-anatomy-globals)."""
    own = TEMPLATE.replace("CodeUri: Broken,", "CodeUri: Broken, Timeout: 7,")
    stack = Stack(read(tmp_path, own))
    broken, function = stack.functions["Broken"], stack.functions["Probe"]
    assert (broken.timeout, function.timeout) == (7, 2)
    assert function.environment["SHARED"] == "from globals"
    assert function.environment["GREETING"] == "hello"
    assert function.layers == (tmp_path / "Layer",)
    assert function.code == tmp_path / "Probe"


def test_parameters_override_defaults(tmp_path: Path) -> None:
    """AWS CloudFormation User Guide, "Parameters" (parameters-section-structure)."""
    stack = Stack(read(tmp_path, Greeting="hi"))
    assert stack.functions["Probe"].environment["GREETING"] == "hi"


@pytest.mark.parametrize(
    "declaration",
    [
        "{Type: String}",
        "{Type: String, Default: hello, AllowedValues: [hi]}",
        "{Type: String, Default: hello, AllowedPattern: '[a-d]+'}",
    ],
)
def test_a_parameter_without_a_good_value_is_an_error(
    tmp_path: Path, declaration: str
) -> None:
    """AWS CloudFormation User Guide, "Parameters" (parameters-section-structure)."""
    text = TEMPLATE.replace("{Type: String, Default: hello}", declaration)
    with pytest.raises(TemplateError, match="parameter Greeting"):
        read(tmp_path, text)


def test_names_and_arns_are_those_of_the_aws_server(tmp_path: Path) -> None:
    """AWS CloudFormation Template Reference, return values of the resource types
    (aws-template-resource-type-ref)."""
    template = read(tmp_path)
    queue = template.identify("Queue")
    account = "123456789012"
    assert queue.ref == f"{ENDPOINT}/{account}/sandbox-Queue.fifo"
    assert (
        queue.attributes["Arn"] == f"arn:aws:sqs:us-east-1:{account}:sandbox-Queue.fifo"
    )
    assert template.identify("Bucket").attributes["Arn"].startswith("arn:aws:s3:::")
    assert template.identify("Role").attributes["Arn"] == (
        f"arn:aws:iam::{account}:role/sandbox-Role"
    )


def test_a_condition_leaves_a_resource_out(tmp_path: Path) -> None:
    """AWS CloudFormation User Guide, "Conditions" (conditions-section-structure)."""
    text = TEMPLATE.replace(
        "Resources:\n", "Conditions: {Never: !Equals [a, b]}\nResources:\n"
    ).replace("  Broken:\n", "  Broken:\n    Condition: Never\n")
    assert "Broken" not in Stack(read(tmp_path, text)).functions


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("AWS::IAM::Role", "AWS::Events::Rule", "AWS::Events::Rule"),
        ("VisibilityTimeout: 12", "VisibilityTimeout: 1", "visibility timeout"),
        ("StartingPosition: TRIM_HORIZON", "StartingPosition: AT_TIMESTAMP", "AT_TIME"),
        ("Type: S3\n", "Type: SNS\n", "SNS"),
        ("FailOnWarnings: true", "CorsConfiguration: true", "CorsConfiguration"),
        ("Path: /probe}", "Path: /probe, Auth: {Authorizer: A}}", "Auth"),
    ],
)
def test_what_the_sandbox_cannot_run_is_an_error(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    """AWS Lambda Developer Guide, "Creating and configuring an Amazon SQS event source
    mapping" (services-sqs-configure): the visibility timeout; the others are the
    sandbox's own rule that nothing is skipped in silence."""
    assert old in TEMPLATE
    with pytest.raises(TemplateError, match=message):
        Stack(read(tmp_path, TEMPLATE.replace(old, new)))


def test_a_missing_build_says_what_to_do(tmp_path: Path) -> None:
    """The sandbox's own rule."""
    with pytest.raises(TemplateError, match="make build"):
        Template(tmp_path, {}, "us-east-1", ENDPOINT)
