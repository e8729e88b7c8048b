"""What calls each function, and in which portions."""

from tests.infrastructure.resources import Template, meant, of_type


def mappings(template: Template) -> dict[str, dict[str, object]]:
    """By the function that is called; all but names."""
    return {
        meant(made["FunctionName"]): {
            name: value for name, value in made.items() if name != "FunctionName"
        }
        for made in of_type(template, "AWS::Lambda::EventSourceMapping").values()
    }


def arn(name: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, "Arn"]}


def test_messages_and_records_come_in_portions_of_which_a_part_may_fail(
    expanded: Template,
) -> None:
    assert mappings(expanded) == {
        "CohortConsumerFunction": {
            "EventSourceArn": arn("CohortQueue"),
            "BatchSize": 10,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 10},
        },
        "CurrentsImporterFunction": {
            "EventSourceArn": arn("CurrentsStream"),
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": 500,
            "MaximumBatchingWindowInSeconds": 5,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "BisectBatchOnFunctionError": True,
            "MaximumRecordAgeInSeconds": 518_400,
            "MaximumRetryAttempts": -1,
            "MetricsConfig": {"Metrics": ["EventCount"]},
            "DestinationConfig": {"OnFailure": {"Destination": arn("DataBucket")}},
        },
    }


def test_the_stream_is_encrypted(expanded: Template) -> None:
    (stream,) = of_type(expanded, "AWS::Kinesis::Stream").values()
    assert stream["StreamEncryption"]["EncryptionType"] == "KMS"


def test_every_new_file_of_currents_is_notified_whatever_its_name(
    expanded: Template,
) -> None:
    bucket = of_type(expanded, "AWS::S3::Bucket")["CurrentsBucket"]
    (notification,) = bucket["NotificationConfiguration"]["LambdaConfigurations"]
    assert meant(notification["Function"]) == "CurrentsLoaderFunction"
    assert notification["Event"] == "s3:ObjectCreated:*"
    assert "Filter" not in notification


def test_each_vendor_has_its_paths(template: Template) -> None:
    """R2: a sender with a data import key and a REST endpoint can be pointed here."""
    paths = {
        (name, event["Properties"]["Method"], event["Properties"]["Path"])
        for name, made in of_type(template, "AWS::Serverless::Function").items()
        for event in made["Events"].values()
        if event["Type"] == "HttpApi"
    }
    assert paths == {
        ("CohortWebhookFunction", "POST", "/cohorts"),
        ("CohortWebhookFunction", "POST", "/partners/{partner}/cohorts"),
        ("CohortWebhookFunction", "POST", "/partners/{partner}/cohorts/users"),
        ("CurrentsReceiverFunction", "POST", "/currents"),
    }
