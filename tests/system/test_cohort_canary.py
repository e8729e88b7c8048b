"""S-canary: secrets and personal values, searched wherever the cohort flow writes.

The queue is emptied by hand so that its messages can be read. Members' ids are
allowed where they are needed (pages, ledger, reports, quarantine); nothing else of
them anywhere.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.accounts import Accounts
from sandbox.cloud import Cloud
from tests.system.claims import record_claim
from tests.system.deliveries import delete, receive

PERSONAL = {
    "mail": "canary.ada@example.com",
    "phone": "+15550107777",
    "name": "Canary Lovelace",
    "city": "Canaryville",
}
IDS = ("canary-person-1", "canary-person-2")
FORGED = 'Trial\r\n{"level": "CRITICAL", "message": "forged-canary-line"}'


@pytest.fixture(scope="module")
def still_cloud(built: Path) -> Iterator[Cloud]:
    """Nothing polls; the keys of Braze are this test's own."""
    accounts = replace(Accounts(), braze_rest_api_key="canary-rest-key-91b7")
    with Cloud(built, concurrency=1, accounts=accounts) as running:
        running.pause()
        yield running


def body(session: str = "s-1", **changes: Any) -> dict[str, Any]:
    members = [
        {
            "mixpanel_distinct_id": person,
            "email": PERSONAL["mail"],
            "phone_number": PERSONAL["phone"],
            "first_name": PERSONAL["name"],
            "$city": PERSONAL["city"],
        }
        for person in IDS
    ]
    parameters: dict[str, Any] = {
        "mixpanel_project_id": "1",
        "mixpanel_cohort_id": "7",
        "mixpanel_cohort_name": FORGED,
        "mixpanel_session_id": session,
        "page_info": {"total_pages": 1, "page_count": 1},
        "members": members,
    }
    return {"action": "members", "parameters": parameters | changes}


def test_s_canary(still_cloud: Cloud) -> None:
    cloud = still_cloud
    description = cloud.description
    braze: Any = cloud.braze
    for person in IDS:
        braze.workspace.add_user(external_id=person)
    wrong = "canary-wrong-password-" + secrets.token_hex(4)
    answers: list[str] = []
    with requests.Session() as session:
        session.trust_env = False

        def post(content: bytes, password: str) -> int:
            response = session.post(
                description["webhook_url"],
                data=content,
                auth=(description["webhook_username"], password),
                headers={"content-type": "application/json"},
                timeout=60,
            )
            answers.append(response.text + str(response.headers))
            return response.status_code

        good = description["webhook_password"]
        whole = json.dumps(body()).encode()
        statuses = [
            post(whole, good),
            post(whole, wrong),
            post(whole[:-1], good),
            post(json.dumps(body(members=PERSONAL["mail"])).encode(), good),
            post(json.dumps(body("s-2", mixpanel_cohort_id="")).encode(), good),
        ]
        # A store that fails is where an exception would quote what was sent.
        bucket = description["resources"]["DataBucket"]
        empty_bucket(cloud, bucket)
        cloud.client("s3").delete_bucket(Bucket=bucket)
        statuses.append(post(json.dumps(body("s-3")).encode(), good))
        cloud.client("s3").create_bucket(Bucket=bucket)
        statuses += [post(json.dumps(body("s-4")).encode(), good)]
        statuses += [post(whole[:-1], good)]
    assert statuses == [200, 401, 400, 400, 400, 503, 200, 400]
    messages = process(cloud, ("401", "html", "fatal message", "errors text", ""))
    assert braze.workspace.cohort_members("mixpanel_cohorts", "mixpanel_7") == set(IDS)
    keys = [good, wrong, description["braze_rest_api_key"]]
    found = search(cloud, messages, answers, keys)
    record_claim(
        row="S-canary, cohorts",
        size=f"{len(keys)} secrets, {len(PERSONAL)} personal values, {len(IDS)} ids in "
        f"{found.pop('places')} places",
        faults="wrong password, malformed, Braze 401 that echoes the key, no bucket",
        claim="0 hits in logs, queues, objects (but the quarantine), answers",
        result=f"{sum(map(len, found.values()))} hits",
    )
    assert found == {
        "logs": [],
        "queues": [],
        "objects": [],
        "answers": [],
        "table": [],
    }


def empty_bucket(cloud: Cloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", ()):
        s3.delete_object(Bucket=bucket, Key=entry["Key"])


def process(cloud: Cloud, faults: tuple[str, ...]) -> list[str]:
    """Hand the messages to the consumer, a fault for each try; their texts."""
    braze: Any = cloud.braze
    seen = []
    while records := receive(cloud):
        for record in records:
            seen.append(json.dumps(record))
            for fault in faults:
                braze.faults.plan(fault, path="/users/track")
                event = {"Records": [record]}
                invocation = cloud.invoke("CohortConsumerFunction", event)
                seen.append(invocation.payload.decode())
                braze.faults.clear()
                if not json.loads(invocation.payload)["batchItemFailures"]:
                    break
            delete(cloud, record)
    return seen


def search(
    cloud: Cloud, messages: list[str], answers: list[str], keys: list[str]
) -> dict[str, Any]:
    """Hits by kind of place, and how many places were searched."""
    description = cloud.description
    secret = [*keys, *PERSONAL.values()]
    logs = [path.read_text() for path in Path(description["logs"]).glob("Cohort*.log")]
    s3, bucket = cloud.client("s3"), description["resources"]["DataBucket"]
    objects: list[tuple[str, str]] = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            objects.append((entry["Key"], content.decode()))
    table = cloud.client("dynamodb").scan(
        TableName=description["resources"]["LedgerTable"]
    )
    rows = [json.dumps(item, default=str) for item in table["Items"]]
    assert len(logs) == 3
    assert any("message processed" in log for log in logs)
    assert {key.split("/")[0] for key, _ in objects} == {
        "pages",
        "quarantine",
        "reports",
    }
    assert rows
    assert not any("\nforged-canary-line" in log for log in logs)
    places = {
        "logs": hits(logs, [*secret, *IDS, "forged-canary-line"]),
        "queues": hits(messages, [*secret, *IDS]),
        "objects": hits([text for _, text in objects], keys)
        + hits([t for key, t in objects if not key.startswith("quarantine/")], secret),
        "answers": hits(answers, [*secret, *IDS]),
        "table": hits(rows, secret),
    }
    searched = len(logs) + len(messages) + len(objects) + len(answers) + len(rows)
    return places | {"places": searched}


def hits(texts: list[str], canaries: list[str]) -> list[str]:
    return [canary for text in texts for canary in canaries if canary in text]
