"""`bridge backfill`: the history from here, and by Step Functions in an emulator."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from moto import mock_aws

from bridge.currents.decode.record import decode
from cli.backfill import LagGuard, newest, start, stop
from cli.stack import Resources, RunningStack, StackError
from functions.currents_loader import app as loader_app
from sandbox.braze.currents import CurrentsSource, avro_file
from tests.infrastructure.conftest import template
from tests.infrastructure.resources import of_type
from tests.integration.operator import Aws, Operator
from tests.integration.stack import REGION, Context

__all__ = ["template"]

OPEN = "users.messages.email.Open"
ACCOUNT = "123456789012"


def history(folder: Path, files: int = 3, events: int = 40) -> list[str]:
    """Avro files in a folder; the ids of their events."""
    source = CurrentsSource([f"u{n}" for n in range(9)], 1_700_000_000, seed=3)
    ids: list[str] = []
    for number in range(files):
        made = [source.event(OPEN) for _ in range(events)]
        ids += [event["id"] for event in made]
        path = folder / f"date=2025-01-0{number + 1}" / "a+b c.avro"
        path.parent.mkdir(parents=True)
        path.write_bytes(avro_file(OPEN, made))
    return ids


def streamed(operator: Operator) -> list[str]:
    records = operator.stream_records()
    return [e.event["id"] for r in records for e in decode(r["Data"])]


def test_a_folder_is_loaded_once(operator: Operator, aws: Aws, tmp_path: Path) -> None:
    ids = history(tmp_path / "history")
    command = f"backfill load {tmp_path}/history --state {tmp_path}/state --json"
    status, said = operator.run(command)
    assert status == 0
    counts = json.loads(said.splitlines()[0])["counts"]
    assert counts == {"events": 120, "files": 3}
    assert streamed(operator) == ids
    status, said = operator.run(command)
    counts = json.loads(said.splitlines()[0])["counts"]
    assert counts == {"files that were loaded before": 3}
    assert streamed(operator) == ids


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_run_that_was_stopped_goes_on(
    operator: Operator, aws: Aws, tmp_path: Path, number: int
) -> None:
    ids = history(tmp_path / "history")
    command = f"backfill load {tmp_path}/history --state {tmp_path}/state"
    aws.fail = lambda operation, at: (
        KeyboardInterrupt() if (operation, at) == ("PutRecords", number) else None
    )
    assert operator.run(command)[0] == 130
    aws.heal()
    assert operator.run(command)[0] == 0
    assert streamed(operator) == ids, "nothing twice, nothing lost"


def test_a_prefix_of_a_bucket_is_loaded_and_damage_is_counted(
    operator: Operator, aws: Aws, tmp_path: Path
) -> None:
    ids = history(tmp_path / "history", files=1)
    (path,) = (tmp_path / "history").rglob("*.avro")
    operator.s3.put_object(Bucket="data", Key="old/a.avro", Body=path.read_bytes())
    operator.s3.put_object(Bucket="data", Key="old/b.avro", Body=b"Obj\x01damage")
    operator.s3.put_object(Bucket="data", Key="old/notes.txt", Body=b"no Avro")
    status, said = operator.run(f"backfill load s3://data/old/ --state {tmp_path}/s")
    assert status == 0
    assert "1  files with damage: bad_avro" in said
    assert streamed(operator) == ids


def test_it_waits_while_the_importer_is_behind() -> None:
    lags = iter([900, 400, 100])
    slept: list[float] = []
    said: list[str] = []
    guard = LagGuard(
        lambda: next(lags), said.append, clock=lambda: 0.0, sleep=slept.append
    )
    guard()
    assert len(slept) == 2
    assert "15 min behind" in said[0]
    guard()
    assert next(lags, None) is None, "looked at a moment ago"


# In AWS


def definition(template: dict[str, Any]) -> str:
    """The machine's definition as CloudFormation would resolve it."""
    values = {
        "AWS::Partition": "aws",
        "BackfillBucket": "history",
        "DataBucket": "data",
        "BackfillPaceAlarm": "pace",
        "CurrentsLoaderFunction.Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:l",
    }

    def resolved(value: Any) -> Any:
        match value:
            case {"Ref": name}:
                return values[name]
            case {"Fn::GetAtt": [name, attribute]}:
                return values[f"{name}.{attribute}"]
            case {"Fn::Sub": text}:
                for name, known in values.items():
                    text = text.replace(f"${{{name}}}", known)
                return text
            case dict():
                return {name: resolved(each) for name, each in value.items()}
            case list():
                return [resolved(each) for each in value]
        return value

    machine = of_type(template, "AWS::StepFunctions::StateMachine")
    text = json.dumps(resolved(machine["BackfillStateMachine"]["Definition"]))
    # The emulator's grammar takes a number with a fraction alone here.
    text = text.replace(
        '"ToleratedFailurePercentage": 100', '"ToleratedFailurePercentage": 100.0'
    )
    return text.replace('"Seconds": 60', '"Seconds": 1')


@pytest.fixture
def machine(
    template: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[RunningStack, list[str]]]:
    """The state machine in an emulator, and the keys that the loader was given.

    The real handler loads them; no function is emulated.
    """
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name, value in {
        "AWS_DEFAULT_REGION": REGION,
        "POWERTOOLS_SERVICE_NAME": "test",
        "CURRENTS_STREAM": "currents",
        "DATA_BUCKET": "data",
    }.items():
        monkeypatch.setenv(name, value)
    keys: list[str] = []
    original: Any = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: BaseClient, operation: str, arguments: Any) -> Any:
        if operation != "Invoke":
            return original(client, operation, arguments)
        event = json.loads(arguments["Payload"])
        keys.append(event["backfill"]["key"])
        loader_app.handler(event, Context(600))
        return {
            "StatusCode": 200,
            "Payload": io.BytesIO(b"null"),
            "ExecutedVersion": "$LATEST",
            "ResponseMetadata": {"HTTPHeaders": {}},
        }

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    loader_app.loader.cache_clear()
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        s3 = boto3.client("s3", REGION)
        where: Any = {"LocationConstraint": REGION}
        for bucket in ("history", "data"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        boto3.client("kinesis", REGION).create_stream(
            StreamName="currents", ShardCount=1
        )
        boto3.client("cloudwatch", REGION).put_metric_alarm(
            AlarmName="pace",
            Namespace="AWS/Lambda",
            MetricName="IteratorAge",
            Period=60,
            EvaluationPeriods=1,
            Threshold=300_000,
            ComparisonOperator="GreaterThanThreshold",
            Statistic="Maximum",
        )
        arn = boto3.client("stepfunctions", REGION).create_state_machine(
            name="bridge-backfill",
            definition=definition(template),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/backfill",
        )["stateMachineArn"]
        resources = Resources(BackfillStateMachine=arn)
        yield RunningStack(resources, "", "", {"region_name": REGION}), keys
    loader_app.loader.cache_clear()


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_machine_has_the_loader_load_every_file_of_the_prefix(
    machine: tuple[RunningStack, list[str]], tmp_path: Path
) -> None:
    stack, keys = machine
    ids = history(tmp_path)
    s3 = boto3.client("s3", REGION)
    for path in sorted(tmp_path.rglob("*.avro")):
        key = f"currents/{path.relative_to(tmp_path)}"
        s3.put_object(Bucket="history", Key=key, Body=path.read_bytes())
    s3.put_object(Bucket="history", Key="other/x.avro", Body=b"")
    boto3.client("cloudwatch", REGION).set_alarm_state(
        AlarmName="pace", StateValue="ALARM", StateReason="behind"
    )
    # One at a time: the emulator's own stores are not safe for threads.
    start(stack, "currents/", 1)
    time.sleep(1.5)
    assert keys == [], "the importer is behind"
    with pytest.raises(StackError, match="is running"):
        start(stack, "currents/", 2)
    boto3.client("cloudwatch", REGION).set_alarm_state(
        AlarmName="pace", StateValue="OK", StateReason="near"
    )
    eventually(lambda: (run := newest(stack)) is not None and not run.is_running)
    run = newest(stack)
    assert run is not None
    assert run.status == "SUCCEEDED"
    assert sorted(keys) == sorted(
        f"currents/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*.avro")
    )
    kinesis = boto3.client("kinesis", REGION)
    iterator = kinesis.get_shard_iterator(
        StreamName="currents",
        ShardId="shardId-000000000000",
        ShardIteratorType="TRIM_HORIZON",
    )["ShardIterator"]
    records: Any = kinesis.get_records(ShardIterator=iterator)["Records"]
    found = [e.event["id"] for r in records for e in decode(r["Data"])]
    assert sorted(found) == sorted(ids)


def test_a_running_backfill_is_stopped(
    machine: tuple[RunningStack, list[str]], tmp_path: Path
) -> None:
    stack, keys = machine
    boto3.client("s3", REGION).put_object(Bucket="history", Key="c/x.avro", Body=b"")
    boto3.client("cloudwatch", REGION).set_alarm_state(
        AlarmName="pace", StateValue="ALARM", StateReason="behind"
    )
    name = start(stack, "c/", 1)
    time.sleep(1)
    assert stop(stack) == [name]
    eventually(lambda: (run := newest(stack)) is not None and not run.is_running)
    assert stop(stack) == []
    assert keys == []


def test_a_stack_without_a_machine_says_what_to_do(operator: Operator) -> None:
    for command in ("start", "watch", "stop"):
        status, said = operator.run(f"backfill {command}")
        assert status == 1
        assert "BackfillBucket=" in said
