"""What the integration tests start from: AWS on moto, both vendors, the operator."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from moto import mock_aws

from cli.stack import Resources, RunningStack
from functions.cohort_consumer import app as consumer
from functions.cohort_webhook import app as webhook
from functions.currents_importer import app as importer
from sandbox.braze import BrazeStandIn
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.clock import Clock
from tests.integration.importer import NOW
from tests.integration.operator import (
    LOGINS,
    NAME,
    TEMPLATE,
    Aws,
    Operator,
    Vendors,
)
from tests.integration.stack import (
    IMPORT_KEY,
    PARTNER_KEY,
    PROJECT_TOKEN,
    REGION,
    REST_KEY,
    Stack,
    deployed,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with deployed(monkeypatch) as running:
        yield running


@pytest.fixture
def braze(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrazeStandIn]:
    """Braze with the three members of the sample page, and a cold consumer on it."""
    with BrazeStandIn(rest_api_keys=[REST_KEY]) as running:
        monkeypatch.setenv("BRAZE_REST_ENDPOINT", running.url)
        consumer.consumer.cache_clear()
        webhook.webhook.cache_clear()
        monkeypatch.setattr(
            consumer.consumer().braze.transport, "_sleep", lambda _: None
        )
        for user in ("cust-00017", "cust-00018"):
            running.workspace.add_user(external_id=user)
        running.workspace.add_user(devices=["0f6a1c1e-7d0a-4f2b-9d53-2b1c7a9e4d10"])
        yield running


@pytest.fixture
def mixpanel(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MixpanelStandIn]:
    """Mixpanel, and a cold importer on it."""
    importer.importer.cache_clear()
    with MixpanelStandIn(project_token=PROJECT_TOKEN, clock=lambda: NOW) as running:
        monkeypatch.setenv("MIXPANEL_URL", running.url)
        monkeypatch.setattr(importer.importer().transport, "_sleep", lambda _: None)
        yield running


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "test")
    with mock_aws():
        boto3.client("cloudformation", REGION).create_stack(
            StackName=NAME, TemplateBody=json.dumps(TEMPLATE)
        )
        secrets = boto3.client("secretsmanager", REGION)
        for name, login in LOGINS.items():
            secrets.create_secret(Name=name, SecretString=json.dumps(login))
        calls = Aws()
        original: Any = BaseClient._make_api_call  # type: ignore[attr-defined]

        def call(client: BaseClient, operation: str, arguments: Any) -> Any:
            return calls.call(
                operation, arguments, partial(original, client, operation)
            )

        monkeypatch.setattr(BaseClient, "_make_api_call", call)
        yield calls


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    """Both take the keys of `LOGINS`."""
    braze = BrazeStandIn(
        rest_api_keys=[REST_KEY], partner_keys=[PARTNER_KEY], import_keys=[IMPORT_KEY]
    )
    with braze, MixpanelStandIn(project_token=PROJECT_TOKEN) as mixpanel:
        yield Vendors(braze, mixpanel)


@pytest.fixture
def operator(
    aws: Aws,
    vendors: Vendors,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Operator:
    """All is well: each secret is set, the vendors take them, the rules are right."""
    deployed = RunningStack.deployed

    def with_stand_ins(name: str, region: str | None) -> RunningStack:
        found = deployed(name, region)
        # moto's CloudFormation makes no secrets; here the names are both ids.
        return replace(
            found,
            resources=Resources({**found.resources, **{each: each for each in LOGINS}}),
            braze_url=vendors.braze.url,
            mixpanel_url=vendors.mixpanel.url,
            mixpanel_query_url=vendors.mixpanel.url,
        )

    monkeypatch.setattr(RunningStack, "deployed", with_stand_ins)
    made = Operator(capsys, vendors)
    made.put_rules(b'{"exclude": ["users.messages.email.Open"]}')
    aws.calls.clear()
    return made
