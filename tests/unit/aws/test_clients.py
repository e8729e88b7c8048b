"""Clients: made by our loader, and the same as botocore's own."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.session import get_session

from bridge.aws import clients

SERVICES = ("dynamodb", "kinesis", "s3", "secretsmanager", "sqs")


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_knows_what_botocores_own_knows(service: str) -> None:
    ours: Any = clients.create(service)
    theirs: Any = get_session().create_client(service)
    assert ours.meta.endpoint_url == theirs.meta.endpoint_url
    assert ours.meta.method_to_api_mapping == theirs.meta.method_to_api_mapping
    for operation in theirs.meta.service_model.operation_names:
        mine = ours.meta.service_model.operation_model(operation)
        reference = theirs.meta.service_model.operation_model(operation)
        for name in ("input_shape", "output_shape"):
            shapes = getattr(mine, name), getattr(reference, name)
            members = [shape and list(shape.members) for shape in shapes]
            assert members[0] == members[1]  # in their order, too


def test_a_service_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownServiceError, match="no-such-service"):
        clients.create("no-such-service")


def test_clients_share_one_session_and_keep_their_time_outs() -> None:
    one, other = clients.create("sqs"), clients.create("s3")
    assert one.meta.config.read_timeout == other.meta.config.read_timeout == 10
    assert clients._session() is clients._session()


def test_descriptions_are_read_plain_or_packed(tmp_path: Path) -> None:
    (tmp_path / "plain.json").write_text(json.dumps({"a": 1}))
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(b'{"b": 2}'))
    loader: Any = Loader(file_loader=clients._Files())
    assert loader.file_loader.load_file(str(tmp_path / "plain")) == {"a": 1}
    assert loader.file_loader.load_file(str(tmp_path / "packed")) == {"b": 2}
    assert loader.file_loader.load_file(str(tmp_path / "missing")) is None


def test_no_function_starts_boto3_or_the_parameters_of_powertools() -> None:
    """They would double what a cold start has to load; see decision 0041."""
    layer = Path(clients.__file__).parents[2]
    functions = sorted((layer.parents[1] / "functions").glob("*/app.py"))
    assert len(functions) == 6
    for app in functions:
        code = (
            "import sys, app; print(sorted({'boto3', 's3transfer', "
            "'aws_lambda_powertools.utilities.parameters'} & set(sys.modules)))"
        )
        path = f"{app.parent}:{layer}"
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code],
            env={"PYTHONPATH": path, "AWS_DEFAULT_REGION": "eu-west-1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (app.parent.name, done.stdout.strip()) == (app.parent.name, "[]")
