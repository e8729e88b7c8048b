"""Creates a template's queues, streams, tables, buckets and secrets at the AWS server.

A property is passed on or known to mean nothing here; any other is an error.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.cloudformation.intrinsics import Identity, TemplateError
from sandbox.cloudformation.template import Template

type Client = Callable[[str], Any]

_QUEUE_ATTRIBUTES = {
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "VisibilityTimeout",
}
_TABLE_ARGUMENTS = {
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "ProvisionedThroughput",
}
# Encryption, tags, lifecycles and guards: true of the account, unseen by a client here.
_WITHOUT_LOCAL_MEANING = {
    "AWS::DynamoDB::Table": {
        "DeletionProtectionEnabled",
        "PointInTimeRecoverySpecification",
        "SSESpecification",
        "Tags",
    },
    "AWS::Kinesis::Stream": {"StreamEncryption", "Tags"},
    "AWS::S3::Bucket": {
        "BucketEncryption",
        "LifecycleConfiguration",
        "LoggingConfiguration",
        "NotificationConfiguration",
        "OwnershipControls",
        "PublicAccessBlockConfiguration",
        "Tags",
        # Nobody reads earlier versions here; they would make a bucket undeletable.
        "VersioningConfiguration",
    },
    "AWS::SQS::Queue": {
        "KmsDataKeyReusePeriodSeconds",
        "KmsMasterKeyId",
        "RedriveAllowPolicy",
        "SqsManagedSseEnabled",
        "Tags",
    },
    "AWS::SecretsManager::Secret": {"Description", "KmsKeyId", "Tags"},
}


def create(
    template: Template, client: Client, secret_values: Mapping[str, str]
) -> None:
    """`secret_values` are for the secrets an operator fills in, by logical id."""
    for logical_id in template.of_type("AWS::SecretsManager::Secret"):
        value = secret_values.get(logical_id)
        _create_secret(template, client("secretsmanager"), logical_id, value)
    queues = template.of_type("AWS::SQS::Queue")
    # A dead-letter queue must exist before the queue that names it.
    for logical_id in sorted(queues, key=lambda name: "RedrivePolicy" in queues[name]):
        create_queue(template, client("sqs"), logical_id)
    for logical_id in template.of_type("AWS::Kinesis::Stream"):
        _create_stream(template, client("kinesis"), logical_id)
    for logical_id in template.of_type("AWS::DynamoDB::Table"):
        create_table(template, client("dynamodb"), logical_id)
    for logical_id in template.of_type("AWS::S3::Bucket"):
        _create_bucket(template, client("s3"), logical_id)


def _create_secret(
    template: Template, secrets: Any, logical_id: str, value: str | None
) -> None:
    _check(template, logical_id, {"Name", "SecretString", "GenerateSecretString"})
    properties = template.properties(logical_id)
    value = properties.get("SecretString") or value
    if generate := properties.get("GenerateSecretString"):
        value = _generated(secrets, generate)
    name = properties.get("Name") or template.name(logical_id)
    content = {} if value is None else {"SecretString": value}
    arn = secrets.create_secret(Name=name, **content)["ARN"]
    # The ARN ends in six random characters of the service's choice.
    template.set_identity(logical_id, Identity(arn, {"Arn": arn, "Id": arn}))


def _generated(secrets: Any, generate: Mapping[str, Any]) -> str:
    arguments = dict(generate)
    content = arguments.pop("SecretStringTemplate", None)
    key = arguments.pop("GenerateStringKey", None)
    password = secrets.get_random_password(**arguments)["RandomPassword"]
    if content is None:
        return str(password)
    return json.dumps({**json.loads(content), str(key): password})


def create_queue(template: Template, sqs: Any, logical_id: str) -> str:
    """Its URL; its dead-letter queue must exist."""
    _check(template, logical_id, _QUEUE_ATTRIBUTES | {"QueueName"})
    properties = template.properties(logical_id)
    attributes = {
        name: json.dumps(value) if isinstance(value, dict) else str(value).lower()
        for name, value in properties.items()
        if name in _QUEUE_ATTRIBUTES
    }
    for name in ("DeduplicationScope", "FifoThroughputLimit"):
        if name in properties:
            attributes[name] = properties[name]
    name = template.identify(logical_id).attributes["QueueName"]
    return str(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def _create_stream(template: Template, kinesis: Any, logical_id: str) -> None:
    known = {"Name", "ShardCount", "RetentionPeriodHours", "StreamModeDetails"}
    _check(template, logical_id, known)
    properties = template.properties(logical_id)
    name = template.identify(logical_id).ref
    arguments: dict[str, Any] = {}
    if "StreamModeDetails" in properties:
        arguments["StreamModeDetails"] = properties["StreamModeDetails"]
    if arguments.get("StreamModeDetails", {}).get("StreamMode") != "ON_DEMAND":
        arguments["ShardCount"] = int(properties.get("ShardCount", 1))
    kinesis.create_stream(StreamName=name, **arguments)
    hours = int(properties.get("RetentionPeriodHours", 24))
    if hours > 24:
        kinesis.increase_stream_retention_period(
            StreamName=name, RetentionPeriodHours=hours
        )


def create_table(
    template: Template, dynamodb: Any, logical_id: str, name: str = ""
) -> None:
    """Under the template's name, or another."""
    known = _TABLE_ARGUMENTS | {"TableName", "TimeToLiveSpecification"}
    _check(template, logical_id, known)
    properties = template.properties(logical_id)
    name = name or template.identify(logical_id).ref
    arguments = {key: properties[key] for key in _TABLE_ARGUMENTS & set(properties)}
    dynamodb.create_table(TableName=name, **arguments)
    if lifetime := properties.get("TimeToLiveSpecification"):
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=lifetime)


def _create_bucket(template: Template, s3: Any, logical_id: str) -> None:
    _check(template, logical_id, {"BucketName"})
    name = template.identify(logical_id).ref
    place = {}
    if template.region != "us-east-1":
        constraint = {"LocationConstraint": template.region}
        place = {"CreateBucketConfiguration": constraint}
    s3.create_bucket(Bucket=name, **place)


def _check(template: Template, logical_id: str, known: set[str]) -> None:
    resource = template.resources[logical_id]
    unknown = set(resource["Properties"]) - known
    unknown -= _WITHOUT_LOCAL_MEANING[resource["Type"]]
    if unknown:
        raise TemplateError(
            f"the sandbox does not know {resource['Type']} {sorted(unknown)}"
            f" ({logical_id})"
        )
