"""The template keeps the promises that only a template can keep."""

import json
import re
from pathlib import Path

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from bridge import settings
from bridge.observability import METRICS_NAMESPACE
from cli.remove import STAYS
from tests.infrastructure.resources import FUNCTIONS, Template, of_type

APPS = Path(__file__).parents[2] / "functions"


def test_what_sam_makes_of_it_has_no_errors(expanded: Template) -> None:
    config = ManualArgs(regions=["eu-west-1"])
    found = lint(json.dumps(expanded), config=config)
    assert [f"{m.rule.id} {m.message}" for m in found] == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_logs_go_to_a_group_with_retention(expanded: Template, function: str) -> None:
    made = of_type(expanded, "AWS::Lambda::Function")[f"{function}Function"]
    group = made["LoggingConfig"]["LogGroup"]["Ref"]
    assert group == f"{function}LogGroup"
    groups = of_type(expanded, "AWS::Logs::LogGroup")
    assert "RetentionInDays" in groups[group]
    assert all("RetentionInDays" in each for each in groups.values())


COMMON = {
    "LOG_LEVEL",
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_METRICS_NAMESPACE",
    "PYDANTIC_DISABLE_PLUGINS",
}
"""What every function gets, beside its settings."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_environment_is_what_the_settings_ask_for(
    expanded: Template, function: str
) -> None:
    made = of_type(expanded, "AWS::Lambda::Function")[f"{function}Function"]
    given = set(made["Environment"]["Variables"])
    asked = {name.upper() for name in FUNCTIONS[function].model_fields}
    # For tests alone; on AWS the region gives the host.
    assert given - COMMON == asked - {"MIXPANEL_URL"}
    assert given >= COMMON
    namespace = made["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
    assert namespace == METRICS_NAMESPACE


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_variable_holds_the_resource_or_parameter_of_its_name(
    template: Template, function: str
) -> None:
    made = of_type(template, "AWS::Serverless::Function")[f"{function}Function"]
    for name, value in made["Environment"]["Variables"].items():
        if name in COMMON:
            continue
        named = re.sub("_(ARN|URL)$", "", name).title().replace("_", "")
        assert value == {"Ref": {"RulesKey": "EventRules"}.get(named, named)}, name


def test_a_failed_notification_is_kept(expanded: Template) -> None:
    (config,) = of_type(expanded, "AWS::Lambda::EventInvokeConfig").values()
    destination = config["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == {"Fn::GetAtt": ["CurrentsLoaderDeadLetterQueue", "Arn"]}


def test_everything_at_rest_is_encrypted_and_private(expanded: Template) -> None:
    for queue in of_type(expanded, "AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True
    for bucket in of_type(expanded, "AWS::S3::Bucket").values():
        assert bucket["BucketEncryption"]
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["LifecycleConfiguration"]["Rules"]


def test_the_rules_for_events_never_expire(expanded: Template) -> None:
    data = of_type(expanded, "AWS::S3::Bucket")["DataBucket"]
    expiring = [
        rule["Prefix"]
        for rule in data["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    ]
    pattern = expanded["Parameters"]["EventRules"]["AllowedPattern"]
    assert re.match(pattern, "rules/currents.json")
    assert not any("rules/currents.json".startswith(prefix) for prefix in expiring)
    assert {"pages/", "quarantine/", "aws/"} <= set(expiring)
    (table,) = of_type(expanded, "AWS::DynamoDB::Table").values()
    assert table["SSESpecification"]["SSEEnabled"] is True
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert table["TimeToLiveSpecification"] == {
        "AttributeName": "expires_at",
        "Enabled": True,
    }


def test_plain_http_is_denied_by_every_queue_and_bucket(expanded: Template) -> None:
    refusing: set[str] = set()
    for kind in ("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"):
        for policy in of_type(expanded, kind).values():
            (statement,) = policy["PolicyDocument"]["Statement"]
            assert statement["Effect"] == "Deny"
            assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            targets = policy.get("Queues") or [policy["Bucket"]]
            refusing |= {target["Ref"] for target in targets}
    guarded = set(of_type(expanded, "AWS::SQS::Queue"))
    guarded |= set(of_type(expanded, "AWS::S3::Bucket"))
    assert refusing == guarded


def test_what_the_stack_holds_outlives_it_but_not_a_creation_that_failed(
    expanded: Template,
) -> None:
    """A bucket or a secret that a failed first deploy left would be in nobody's way,
    but nobody's too."""
    holding = {
        "AWS::DynamoDB::Table",
        "AWS::Kinesis::Stream",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
    }
    kept = {
        name
        for name, made in expanded["Resources"].items()
        if made.get("DeletionPolicy") == "RetainExceptOnCreate"
    }
    assert kept == {
        name for name, made in expanded["Resources"].items() if made["Type"] in holding
    }
    assert kept == set(STAYS)
    for name in kept:
        assert expanded["Resources"][name]["UpdateReplacePolicy"] == "Retain"


def test_no_secret_has_a_value_and_none_is_a_parameter(template: Template) -> None:
    secrets = of_type(template, "AWS::SecretsManager::Secret")
    assert len(secrets) == 4
    for secret in secrets.values():
        assert "SecretString" not in secret
    generated = {
        name for name, secret in secrets.items() if "GenerateSecretString" in secret
    }
    assert generated == {"WebhookSecret", "CurrentsSecret"}
    for name, parameter in template["Parameters"].items():
        assert not parameter.get("NoEcho"), name
        assert not re.search("secret|password|token|key", name, re.IGNORECASE)


def test_the_access_log_holds_no_header_and_no_body(template: Template) -> None:
    (api,) = of_type(template, "AWS::Serverless::HttpApi").values()
    logged = json.loads(api["AccessLogSettings"]["Format"]["Fn::Sub"])
    for value in logged.values():
        assert not re.search("header|body|authorizer|querystring", value)
    assert api["DefaultRouteSettings"]["ThrottlingRateLimit"] > 0


ENDPOINTS = {
    "https://rest.iad-01.braze.com": True,
    "https://rest.us-10.braze.com": True,
    "https://rest.fra-02.braze.eu": True,
    "http://rest.iad-01.braze.com": False,
    "https://rest.iad-01.braze.com/": False,
    "https://rest.iad-01.braze.com:8443": False,
    "https://rest.iad-01.braze.com.example.org": False,
    "https://user@rest.iad-01.braze.com": False,
    "https://rest.iad-01.braze.com#x": False,
    "https://rest.iad-01.braze.com?x": False,
    "https://rest.example.org/.braze.com": False,
    "https://rest.a.b.braze.com": False,
    "https://iad-01.braze.com": False,
    "https://rest.braze.example": False,
    "https://169.254.169.254": False,
    "http://127.0.0.1:80": False,
    "file:///etc/passwd": False,
    "": False,
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_keys_go_to_brazes_hosts_alone(template: Template, endpoint: str) -> None:
    pattern = template["Parameters"]["BrazeRestEndpoint"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, endpoint)) == ENDPOINTS[endpoint]


@pytest.mark.parametrize(
    ("identifiers", "good"),
    [
        ("external_id=$braze_external_id,external_id=mixpanel_distinct_id", True),
        ("alias:amplitude=user_ref,device=idfv", True),
        ("email=email,phone=tel,external_id=id", True),
        ("mail=x", False),
        ("email:label=x", False),
        ("alias=x", False),
        ("external_id=", False),
        ("", False),
    ],
)
def test_the_template_takes_the_identifiers_that_the_code_takes(
    template: Template, identifiers: str, good: bool
) -> None:
    from bridge.cohorts.rules.identifiers import IdentifiersError, parse_sources

    pattern = template["Parameters"]["Identifiers"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, identifiers)) == good
    if good:
        parse_sources(identifiers)
    else:
        with pytest.raises(IdentifiersError):
            parse_sources(identifiers)


def test_choices_of_the_cohort_route_are_those_of_the_code(template: Template) -> None:
    parameters = template["Parameters"]
    choices = {
        "CohortRoute": settings.CohortRoute,
        "CohortForm": settings.CohortForm,
        "CohortValue": settings.CohortValue,
    }
    fields = settings.CohortConsumerSettings.model_fields
    for name, choice in choices.items():
        assert parameters[name]["AllowedValues"] == [each.value for each in choice]
        default = fields[re.sub("(?<!^)([A-Z])", r"_\1", name).lower()].default
        assert parameters[name]["Default"] == default
    (pattern,) = fields["braze_partner"].metadata
    assert parameters["BrazePartner"]["AllowedPattern"] == pattern.pattern
    assert parameters["BrazePartner"]["Default"] == fields["braze_partner"].default
    assert parameters["BrazeWorkspace"]["Default"] == ""


def test_no_route_is_reached_without_the_stacks_own_path(expanded: Template) -> None:
    (stage,) = of_type(expanded, "AWS::ApiGatewayV2::Stage").values()
    secret = {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}
    assert stage["StageName"] == secret
    for name in ("WebhookUrl", "CohortImportUrl", "CurrentsUrl"):
        text, values = expanded["Outputs"][name]["Value"]["Fn::Sub"]
        assert text.startswith("${Api.ApiEndpoint}/${Path}")
        assert values == {"Path": secret}


def test_a_flood_at_one_route_leaves_the_others_open(expanded: Template) -> None:
    (stage,) = of_type(expanded, "AWS::ApiGatewayV2::Stage").values()
    routes = {
        f"{method.upper()} {path}"
        for api in of_type(expanded, "AWS::ApiGatewayV2::Api").values()
        for path, methods in api["Body"]["paths"].items()
        for method in methods
    }
    assert set(stage["RouteSettings"]) == routes
    for limits in stage["RouteSettings"].values():
        assert 0 < limits["ThrottlingRateLimit"] <= limits["ThrottlingBurstLimit"]


def test_concurrency_is_reserved_for_the_doors_by_parameter(
    expanded: Template,
) -> None:
    reserving = {
        name: made["ReservedConcurrentExecutions"]
        for name, made in of_type(expanded, "AWS::Lambda::Function").items()
        if "ReservedConcurrentExecutions" in made
    }
    assert set(reserving) == {"CohortWebhookFunction", "CurrentsReceiverFunction"}
    for value in reserving.values():
        condition, given, none = value["Fn::If"]
        assert condition == "HasDoorConcurrency"
        assert (given, none) == ({"Ref": "DoorConcurrency"}, {"Ref": "AWS::NoValue"})
    assert expanded["Parameters"]["DoorConcurrency"]["Default"] == 0


def test_outputs_say_where_to_point_the_vendors(template: Template) -> None:
    outputs = template["Outputs"]
    assert {
        "WebhookUrl",
        "WebhookSecretArn",
        "CurrentsUrl",
        "CurrentsSecretArn",
    } <= set(outputs)
    assert all(output["Description"] for output in outputs.values())


def test_every_function_folder_is_in_the_template(template: Template) -> None:
    folders = {f"functions/{app.parent.name}/" for app in APPS.glob("*/app.py")}
    functions = of_type(template, "AWS::Serverless::Function").values()
    assert {function["CodeUri"] for function in functions} == folders
