"""The template keeps the promises that only a template can keep."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from bridge import settings
from bridge.observability import METRICS_NAMESPACE, Metric

APPS = Path(__file__).parents[2] / "functions"
FUNCTIONS: dict[str, type[settings.Settings]] = {
    "CohortWebhook": settings.CohortWebhookSettings,
    "CohortConsumer": settings.CohortConsumerSettings,
    "CohortSweeper": settings.CohortSweeperSettings,
    "CurrentsReceiver": settings.CurrentsReceiverSettings,
    "CurrentsLoader": settings.CurrentsLoaderSettings,
    "CurrentsImporter": settings.CurrentsImporterSettings,
}

type Template = dict[str, Any]


def of_type(template: Template, kind: str) -> dict[str, Any]:
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def statements(template: Template) -> Iterator[tuple[str, Any]]:
    """Each statement of the policies of roles."""
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for policy in role.get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement
    for name, policy in of_type(template, "AWS::IAM::RolePolicy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            yield name, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_what_sam_makes_of_it_has_no_errors(expanded: Template) -> None:
    config = ManualArgs(regions=["eu-west-1"])
    found = lint(json.dumps(expanded), config=config)
    assert [f"{m.rule.id} {m.message}" for m in found] == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_has_a_role_of_its_own_and_no_managed_policy(
    expanded: Template, function: str
) -> None:
    roles = of_type(expanded, "AWS::IAM::Role")
    assert set(roles) == {f"{name}Role" for name in FUNCTIONS}
    assert "ManagedPolicyArns" not in roles[f"{function}Role"]
    made = of_type(expanded, "AWS::Lambda::Function")[f"{function}Function"]
    assert made["Role"] == {"Fn::GetAtt": [f"{function}Role", "Arn"]}


def test_no_policy_allows_every_action_or_every_resource(expanded: Template) -> None:
    for name, statement in statements(expanded):
        for action in as_list(statement["Action"]):
            assert "*" not in action, name
        for resource in as_list(statement["Resource"]):
            assert resource != "*", name


@pytest.mark.parametrize(
    ("role", "secret"),
    [
        ("CohortWebhook", "WebhookSecret"),
        ("CohortConsumer", "BrazeSecret"),
        ("CurrentsReceiver", "CurrentsSecret"),
        ("CurrentsLoader", None),
        ("CurrentsImporter", "MixpanelSecret"),
    ],
)
def test_each_function_reads_its_own_secret_alone(
    expanded: Template, role: str, secret: str | None
) -> None:
    readable = [
        statement["Resource"]
        for name, statement in statements(expanded)
        if name == f"{role}Role"
        and "secretsmanager:GetSecretValue" in as_list(statement["Action"])
    ]
    assert readable == ([{"Ref": secret}] if secret else [])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_logs_go_to_a_group_with_retention(expanded: Template, function: str) -> None:
    made = of_type(expanded, "AWS::Lambda::Function")[f"{function}Function"]
    group = made["LoggingConfig"]["LogGroup"]["Ref"]
    assert group == f"{function}LogGroup"
    groups = of_type(expanded, "AWS::Logs::LogGroup")
    assert "RetentionInDays" in groups[group]
    assert all("RetentionInDays" in each for each in groups.values())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_environment_is_what_the_settings_ask_for(
    expanded: Template, function: str
) -> None:
    made = of_type(expanded, "AWS::Lambda::Function")[f"{function}Function"]
    given = set(made["Environment"]["Variables"])
    common = {
        "LOG_LEVEL",
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_METRICS_NAMESPACE",
        "PYDANTIC_DISABLE_PLUGINS",
    }
    asked = {name.upper() for name in FUNCTIONS[function].model_fields}
    # For tests alone; on AWS the region gives the host.
    assert given - common == asked - {"MIXPANEL_URL"}
    namespace = made["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
    assert namespace == METRICS_NAMESPACE


def test_both_mappings_report_partial_failures(expanded: Template) -> None:
    mappings = of_type(expanded, "AWS::Lambda::EventSourceMapping")
    assert len(mappings) == 2
    for mapping in mappings.values():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_stream_is_read_from_its_start_and_gives_up_to_the_bucket(
    expanded: Template,
) -> None:
    (mapping,) = (
        mapping
        for mapping in of_type(expanded, "AWS::Lambda::EventSourceMapping").values()
        if "StartingPosition" in mapping
    )
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == -1
    destination = mapping["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == {"Fn::GetAtt": ["DataBucket", "Arn"]}
    (stream,) = of_type(expanded, "AWS::Kinesis::Stream").values()
    assert stream["RetentionPeriodHours"] * 3600 > mapping["MaximumRecordAgeInSeconds"]
    assert stream["StreamEncryption"]["EncryptionType"] == "KMS"


def test_the_queue_is_fifo_with_room_for_an_outage(expanded: Template) -> None:
    queues = of_type(expanded, "AWS::SQS::Queue")
    queue, dead = queues["CohortQueue"], queues["CohortDeadLetterQueue"]
    consumer = of_type(expanded, "AWS::Lambda::Function")["CohortConsumerFunction"]
    assert queue["FifoQueue"] is True
    assert dead["FifoQueue"] is True
    assert queue["VisibilityTimeout"] >= 6 * consumer["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 200
    assert queue["MessageRetentionPeriod"] == dead["MessageRetentionPeriod"] == 1209600


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
    expiring = [rule["Prefix"] for rule in data["LifecycleConfiguration"]["Rules"]]
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


def test_plain_http_is_refused_by_every_queue_and_bucket(expanded: Template) -> None:
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


@pytest.mark.parametrize("name", ["LedgerTable", "DataBucket", "CurrentsBucket"])
def test_data_outlives_the_stack(expanded: Template, name: str) -> None:
    resource = expanded["Resources"][name]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"


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
    logged = json.loads(api["AccessLogSettings"]["Format"])
    for value in logged.values():
        assert not re.search("header|body|authorizer|querystring", value)
    assert api["DefaultRouteSettings"]["ThrottlingRateLimit"] > 0


def test_alarms_name_metrics_that_exist_and_reach_a_service(
    expanded: Template,
) -> None:
    named = set()
    services = {
        function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]["Fn::Sub"]
        for function in of_type(expanded, "AWS::Lambda::Function").values()
    }
    for alarm in of_type(expanded, "AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmDescription"]
        if alarm["Namespace"] == METRICS_NAMESPACE:
            named.add(Metric(alarm["MetricName"]))
            (dimension,) = alarm["Dimensions"]
            assert dimension["Name"] == "service"
            assert dimension["Value"]["Fn::Sub"] in services
    assert named >= {
        Metric.UNAUTHORIZED,
        Metric.CREDENTIALS_REFUSED,
        Metric.ACCOUNTS_UNBALANCED,
        Metric.EVENTS_QUARANTINED,
        Metric.MASS_REJECTIONS,
        Metric.PAGES_QUARANTINED,
    }


def test_whoever_puts_aside_or_puts_off_wakes_somebody(expanded: Template) -> None:
    """As the functions' own code counts it."""
    alarms = {
        (alarm["MetricName"], alarm["Dimensions"][0]["Value"]["Fn::Sub"])
        for alarm in of_type(expanded, "AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == METRICS_NAMESPACE
    }
    counted = {
        (metric.value, f"${{AWS::StackName}}/{app.parent.name}")
        for app in APPS.glob("*/app.py")
        for metric in Metric
        if metric.name.endswith(("_QUARANTINED", "PAGES_PUT_OFF", "CALLS_PUT_OFF"))
        and f"Metric.{metric.name}" in app.read_text()
    }
    assert len(counted) == 6
    assert counted <= alarms


@pytest.mark.parametrize(
    "metric",
    ["ApproximateAgeOfOldestMessage", "IteratorAge", "Errors", "Throttles"],
)
def test_the_platforms_own_alarms_are_there(expanded: Template, metric: str) -> None:
    alarms = of_type(expanded, "AWS::CloudWatch::Alarm").values()
    assert [alarm for alarm in alarms if alarm["MetricName"] == metric]


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
        ("email=x", False),
        ("alias=x", False),
        ("external_id=", False),
        ("", False),
    ],
)
def test_identifiers_are_judged_like_in_the_code(
    template: Template, identifiers: str, good: bool
) -> None:
    from bridge.cohorts.identity import IdentifiersError, parse_sources

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


def test_the_webhook_has_brazes_paths_too(template: Template) -> None:
    """R2: a sender with a data import key and a REST endpoint can be pointed here."""
    functions = of_type(template, "AWS::Serverless::Function")
    events = functions["CohortWebhookFunction"]["Events"].values()
    assert {(e["Properties"]["Method"], e["Properties"]["Path"]) for e in events} == {
        ("POST", "/cohorts"),
        ("POST", "/partners/{partner}/cohorts"),
        ("POST", "/partners/{partner}/cohorts/users"),
    }


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


LEDGER = {
    "CohortWebhook": {"BatchGetItem", "Query", "UpdateItem"},
    "CohortConsumer": {"BatchGetItem", "BatchWriteItem", "Query", "UpdateItem"},
    "CohortSweeper": {"BatchGetItem", "Query", "UpdateItem"},
}
"""What each function calls of DynamoDB; the local cloud checks no permission."""


@pytest.mark.parametrize("function", LEDGER)
def test_a_role_allows_what_its_function_does_to_the_ledger(
    expanded: Template, function: str
) -> None:
    allowed = {
        action.removeprefix("dynamodb:")
        for name, statement in statements(expanded)
        if name.startswith(f"{function}Role")
        for action in as_list(statement["Action"])
        if action.startswith("dynamodb:")
    }
    assert allowed == LEDGER[function]


@pytest.mark.parametrize("function", ["CohortConsumer", "CurrentsLoader"])
def test_who_reads_objects_may_list_them(expanded: Template, function: str) -> None:
    """Without that S3 calls an object that is gone forbidden."""
    actions = {
        action
        for name, statement in statements(expanded)
        if name.startswith(f"{function}Role")
        for action in as_list(statement["Action"])
    }
    assert "s3:ListBucket" in actions
