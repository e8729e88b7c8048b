"""Events over the wire: Currents by HTTP and by S3 through the real functions."""

import json
import time
from collections import Counter
from typing import Any

import requests

from bridge.quarantine import from_lines
from sandbox.braze.currents import CurrentsSource, avro_file, avro_key
from sandbox.cloud import Cloud

FILE_TYPE = "users.messages.email.Open"


def post(cloud: Cloud, body: bytes, token: str | None = None) -> int:
    description = cloud.description
    session = requests.Session()
    session.trust_env = False
    return session.post(
        description["currents_url"],
        data=body,
        headers={"authorization": f"Bearer {token or description['currents_token']}"},
        timeout=60,
    ).status_code


def quarantined(cloud: Cloud) -> Counter[bytes]:
    s3 = cloud.client("s3")
    bucket = cloud.description["resources"]["DataBucket"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="quarantine/currents/")
    found: Counter[bytes] = Counter()
    for entry in listed.get("Contents", ()):
        content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        found.update(item.original for item in from_lines(content))
    return found


def test_events_by_http_and_by_file_with_faults_are_all_accounted_for(
    cloud: Cloud,
) -> None:
    mixpanel: Any = cloud.mixpanel
    for kind in ("503", "reset after", "429", "$insert_id", "no index", "slow"):
        mixpanel.faults.plan(kind)
    source = CurrentsSource(["u-1", "u-2"], int(time.time()) - 7200, anonymous=0.1)
    events = [source.event() for _ in range(900)]
    poison = []
    for event in events[::100]:
        event["time"] = "yesterday"
        poison.append(json.dumps(event).encode())
    file = [source.event(FILE_TYPE) for _ in range(400)]
    for start in range(0, len(events), 100):
        lines = [json.dumps(event).encode() for event in events[start : start + 100]]
        body = b'{"events":[' + b",".join(lines) + b"]}"
        # Braze delivers at least once.
        assert [post(cloud, body), post(cloud, body)] == [200, 200]
    cloud.client("s3").put_object(
        Bucket=cloud.description["resources"]["CurrentsBucket"],
        Key=avro_key(FILE_TYPE),
        Body=avro_file(FILE_TYPE, file),
    )
    cloud.drain(120)
    wanted = {
        event["id"]
        for event in events + file
        if event["user"]["external_user_id"] and event["time"] != "yesterday"
    }
    shown = Counter(key[3] for key in mixpanel.visible())
    assert set(shown) >= wanted
    assert {times for each, times in shown.items() if each in wanted} == {1}
    assert not {e["id"] for e in events + file} - wanted & set(shown)
    assert set(quarantined(cloud)) >= set(poison)


def test_a_wrong_token_is_401_and_an_empty_call_a_probe(cloud: Cloud) -> None:
    assert post(cloud, b"{}", token="wrong") == 401
    assert post(cloud, b"") == 200


def test_what_is_no_currents_body_is_kept_and_answered_2xx(cloud: Cloud) -> None:
    body = b"canary body that is no JSON"
    assert post(cloud, body) == 200
    assert body in quarantined(cloud)


def test_the_sandbox_prints_one_line_of_json_and_stops_on_sigterm(built: Any) -> None:
    import signal
    import subprocess
    import sys

    command = [sys.executable, "-m", "sandbox", "--build-dir", str(built)]
    command += ["--mixpanel-url", "http://127.0.0.1:9"]
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        description = json.loads(process.stdout.readline())
        assert description["mixpanel_url"] == "http://127.0.0.1:9"
        assert description["webhook_url"].startswith("http://127.0.0.1:")
        assert description["resources"]["CohortQueue"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
