"""Roles, proved by traffic: what one lacks is denied, and what it allows is used."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import cloud as clouds
from sandbox.braze.currents import CurrentsSource, avro_file, avro_key
from sandbox.cloud import Cloud
from sandbox.cloudformation import roles
from sandbox.cloudformation.stack import Stack
from sandbox.cloudformation.template import Template
from tests.system.claims import record_claim
from tests.system.syncs import AT_ONCE
from tests.system.test_currents import post as post_events

OPENED = "users.messages.email.Open"
RULES = "rules/currents.json"
STARTED = int(time.time()) - 7200

ELSEWHERE = {
    # AWS Lambda Developer Guide, "Using Lambda with Kinesis": its poller needs these.
    ("CurrentsImporterFunction", "kinesis:DescribeStream"),
    ("CurrentsImporterFunction", "kinesis:DescribeStreamSummary"),
    # Written when one member alone crashes the process: tests/model has the crashes.
    ("CohortConsumerFunction", "s3:PutObject"),
}
"""Allowed, and not used here; nothing but these, and what Lambda logs."""


def page(session: str, *members: str, cohort: str = "1") -> dict[str, Any]:
    return {
        "action": "members",
        "parameters": {
            "mixpanel_project_id": "1",
            "mixpanel_cohort_id": cohort,
            "mixpanel_session_id": session,
            "page_info": {"page_count": 1, "total_pages": 1},
            "members": [{"mixpanel_distinct_id": each} for each in members],
        },
    }


def post_page(cloud: Cloud, body: bytes) -> int:
    import requests

    description = cloud.description
    session = requests.Session()
    session.trust_env = False
    session.auth = (description["webhook_username"], description["webhook_password"])
    return session.post(description["webhook_url"], data=body, timeout=60).status_code


def without(monkeypatch: pytest.MonkeyPatch, function: str, action: str) -> None:
    """Take an action out of a function's role."""

    def fewer(template: Any) -> dict[str, list[tuple[str, str]]]:
        found = roles.grants(template)
        found[function] = [each for each in found[function] if each[0] != action]
        return found

    monkeypatch.setattr(clouds, "grants", fewer)


@pytest.mark.parametrize(
    ("function", "action", "log"),
    [
        ("CohortWebhookFunction", "sqs:SendMessage", "queue_unavailable"),
        ("CohortWebhookFunction", "s3:PutObject", "page_store_unavailable"),
        ("CohortWebhookFunction", "secretsmanager:GetSecretValue", "secret_unavail"),
        ("CohortWebhookFunction", "dynamodb:UpdateItem", "ledger_unavailable"),
    ],
)
def test_what_a_role_lacks_is_denied_as_in_aws(
    built: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    action: str,
    log: str,
) -> None:
    without(monkeypatch, function, action)
    with Cloud(built, parameters=AT_ONCE) as cloud:
        assert post_page(cloud, json.dumps(page("s", "u-1")).encode()) == 503
        text = (Path(cloud.description["logs"]) / f"{function}.log").read_text()
    assert log in text
    assert "AccessDenied" in text or action.startswith("secrets")


def cohorts(cloud: Cloud) -> None:
    """Two syncs, one that cannot be read, a page that is gone, a message of nobody."""
    names, braze = cloud.description["resources"], cloud.braze
    s3: Any = cloud.client("s3")
    for user in ("u-1", "u-2"):
        braze.workspace.add_user(external_id=user)  # type: ignore[union-attr]
    assert post_page(cloud, b"{") == 400
    # The second under the same session, which restarts the first.
    assert post_page(cloud, json.dumps(page("s1", "u-1", "u-2")).encode()) == 200
    cloud.drain(60)
    assert post_page(cloud, json.dumps(page("s1", "u-2")).encode()) == 200
    cloud.drain(60)
    for session, members in (("s3", ("u-1", "u-2")), ("s4", ("u-1",))):
        assert post_page(cloud, json.dumps(page(session, *members)).encode()) == 200
        cloud.drain(60)
    braze.faults.plan("401", times=2, path="/users/track")  # type: ignore[union-attr]
    assert post_page(cloud, json.dumps(page("s5", "u-2", cohort="3")).encode()) == 200
    cloud.drain(60)
    assert post_page(cloud, json.dumps(page("s2", "u-1", cohort="2")).encode()) == 200
    pages = s3.list_objects_v2(Bucket=names["DataBucket"], Prefix="pages/1/2/")
    for each in pages.get("Contents", ()):
        s3.delete_object(Bucket=names["DataBucket"], Key=each["Key"])
    cloud.client("sqs").send_message(
        QueueUrl=names["CohortQueue"],
        MessageBody="odd",
        MessageGroupId="g",
        MessageDeduplicationId="g",
    )
    cloud.drain(60)
    cloud.invoke("CohortMaintenanceFunction", {})
    cloud.drain(60)


def events(cloud: Cloud) -> None:
    """The rules are missing at first; then by HTTP and by file, sound and not."""
    names, source = cloud.description["resources"], CurrentsSource(["u-1"], STARTED)
    s3: Any = cloud.client("s3")
    odd = source.event() | {"time": "yesterday"}
    for body in (json.dumps({"events": [source.event(), odd]}).encode(), b"not json"):
        assert post_events(cloud, body) == 200
    file = avro_file(OPENED, [source.event(OPENED) for _ in range(50)])
    for key, content in ((avro_key(OPENED), file), ("damaged.avro", b"no Avro")):
        s3.put_object(Bucket=names["CurrentsBucket"], Key=key, Body=content)
    s3.put_object(Bucket=names["CurrentsBucket"], Key="gone.avro", Body=file)
    s3.delete_object(Bucket=names["CurrentsBucket"], Key="gone.avro")
    time.sleep(8)
    s3.put_object(Bucket=names["DataBucket"], Key=RULES, Body=b'{"exclude": []}')
    cloud.drain(60)


def given_up(cloud: Cloud) -> None:
    """Records expire, and a file cannot be loaded."""
    names, source = cloud.description["resources"], CurrentsSource(["u-1"], STARTED)
    mixpanel: Any = cloud.mixpanel
    mixpanel.faults.plan("503", times=50)
    assert post_events(cloud, json.dumps([source.event()]).encode()) == 200
    s3: Any = cloud.client("s3")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if s3.list_objects_v2(Bucket=names["DataBucket"], Prefix="aws/")["KeyCount"]:
            break
        time.sleep(0.5)
    cloud.client("kinesis").delete_stream(StreamName=names["CurrentsStream"])
    file = avro_file(OPENED, [source.event(OPENED) for _ in range(5)])
    s3.put_object(Bucket=names["CurrentsBucket"], Key="z.avro", Body=file)
    sqs: Any = cloud.client("sqs")
    url = names["CurrentsLoaderDeadLetterQueue"]
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages")


class Hasty(Stack):
    """A stack whose records expire at once and whose loader is always late."""

    def __init__(self, template: Template) -> None:
        super().__init__(template)
        self.streams = [replace(each, maximum_age=1) for each in self.streams]
        loader = self.functions["CurrentsLoaderFunction"]
        self.functions["CurrentsLoaderFunction"] = replace(loader, timeout=60)


def test_no_role_allows_what_nothing_uses(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cloud(built, parameters={**AT_ONCE, "EventRules": RULES}) as cloud:
        cohorts(cloud)
        events(cloud)
        unused = cloud.unused_permissions()
    monkeypatch.setattr(clouds, "Stack", Hasty)
    with Cloud(built, parameters=AT_ONCE, retry_waits=(0.1, 0.1)) as cloud:
        file = avro_file(OPENED, [CurrentsSource(["u"], STARTED).event(OPENED)])
        bucket = cloud.description["resources"]["CurrentsBucket"]
        cloud.client("s3").put_object(Bucket=bucket, Key="a.avro", Body=file)
        cloud.drain(60)
        given_up(cloud)
        later = cloud.unused_permissions()
    # A secret has another ARN in each of the two.
    left = {(f, a, r) for f, a, r in unused if (f, a, r) in later or "secret" in a}
    left = {each for each in left if not each[1].startswith("logs:")}
    record_claim(
        row="Permissions",
        size="6 roles, each call that a function signs",
        faults="a page and a file that are gone, records that expire, a lost stream",
        claim="what a role lacks is denied; it allows nothing that nobody uses",
        result=f"{len(left - {e for e in left if e[:2] in ELSEWHERE})} unused",
    )
    assert {(f, a) for f, a, _ in left} == ELSEWHERE, left
