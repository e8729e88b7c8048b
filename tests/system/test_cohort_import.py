"""A sender of Braze's cohort import through the built webhook and out on each route."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.cloud import Cloud
from tests.system.syncs import AT_ONCE

COHORT = "8120045"


@pytest.fixture(scope="module", params=["attribute", "partner"])
def cloud(request: pytest.FixtureRequest, built: Path) -> Iterator[Cloud]:
    with Cloud(built, parameters=AT_ONCE | {"CohortRoute": request.param}) as running:
        yield running


class Sender:
    """Speaks the protocol as Mixpanel does: a name, then differences in calls."""

    def __init__(self, cloud: Cloud, partner_key: str, import_key: str) -> None:
        self.url = f"{cloud.description['api_url']}/partners/mixpanel/cohorts"
        self.keys = {"partner_api_key": partner_key, "client_secret": import_key}
        self.sent: set[str] = set()
        self.session = requests.Session()
        self.session.trust_env = False

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        content = {**self.keys, "cohort_id": COHORT, **body}
        answer = self.session.post(self.url + path, json=content, timeout=60)
        return answer.status_code, answer.json()

    def name(self, name: str) -> None:
        created = "2031-04-05T06:07:08Z"
        assert self.post("", name=name, created_at=created) == SUCCESS

    def sync(self, members: set[str], **kinds: Any) -> None:
        changes = [(each, True) for each in sorted(members - self.sent)]
        changes += [(each, False) for each in sorted(self.sent - members)]
        for start in range(0, len(changes), 1000):
            chunk = changes[start : start + 1000]
            joins = {"user_ids": [each for each, joins in chunk if joins]} | kinds
            leaves = [each for each, joins in chunk if not joins]
            cohort_changes = [joins, {"user_ids": leaves, "should_remove": True}]
            assert self.post("/users", cohort_changes=cohort_changes) == SUCCESS
        self.sent = members


SUCCESS = (201, {"message": "success"})


def store(cloud: Cloud, partner_keys: list[str], import_keys: list[str]) -> None:
    description = cloud.description
    secret = {
        "username": description["webhook_username"],
        "password": description["webhook_password"],
        "partner_api_keys": partner_keys,
        "data_import_keys": import_keys,
    }
    cloud.client("secretsmanager").put_secret_value(
        SecretId=description["resources"]["WebhookSecret"],
        SecretString=json.dumps(secret),
    )


def people(first: int, last: int) -> set[str]:
    return {f"person-{number}" for number in range(first, last)}


def by_partner(cloud: Cloud) -> bool:
    return cloud._parameters["CohortRoute"] == "partner"


def members(cloud: Cloud) -> set[str]:
    braze: Any = cloud.braze
    if by_partner(cloud):
        return set(braze.workspace.partner_cohort(COHORT))
    value = f"mixpanel_{COHORT}"
    return set(braze.workspace.cohort_members("mixpanel_cohorts", value))


def test_r1_r2_r3_r4_r5_r6_the_cohort_arrives_and_keys_rotate_without_a_rejection(
    cloud: Cloud,
) -> None:
    braze: Any = cloud.braze
    space = braze.workspace
    for person in sorted(people(0, 1_400)):
        space.add_user(external_id=person)
    space.add_user(external_id="by-alias", aliases={"amplitude": "a-1"})
    anonymous = space.add_user(devices=["d-1"]).name
    space.add_user(external_id="logged-in", devices=["d-2"])
    users = len(space.profiles)
    others = {
        "aliases": [{"alias_name": "a-1", "alias_label": "amplitude"}],
        "device_ids": ["d-1", "d-2"],
    }
    found = {"by-alias", anonymous}
    store(cloud, ["partner-key-old"], ["import-key-old"])
    sender = Sender(cloud, "partner-key-old", "import-key-old")

    sender.name("Trial")
    sender.sync(people(0, 1_200) | {"a stranger"})
    for kind in ("423", "503", "reset before", "reset after"):
        braze.faults.plan(kind)
    sender.sync(people(300, 1_300), **others)
    cloud.drain(120)
    assert members(cloud) == people(300, 1_300) | found
    assert len(space.profiles) == users, "nobody is created"

    # A new key is valid from the moment it is stored, the old one until it is not.
    store(
        cloud,
        ["partner-key-new", "partner-key-old"],
        ["import-key-new", "import-key-old"],
    )
    rotated = Sender(cloud, "partner-key-new", "import-key-new")
    rotated.sent = sender.sent
    rotated.sync(people(300, 1_310))
    sender.sent = rotated.sent
    sender.sync(people(310, 1_310))
    rotated.sent = sender.sent
    store(cloud, ["partner-key-new"], ["import-key-new"])
    rotated.name("Trial, week 2")
    rotated.sync(people(310, 320))
    cloud.drain(120)
    assert members(cloud) == people(310, 320) | found
    other = "/users/" if by_partner(cloud) else "/partners/"
    assert not [path for path in space.calls if path.startswith(other)]


def test_a_wrong_key_is_answered_in_brazes_words_and_reaches_no_log(
    cloud: Cloud,
) -> None:
    store(cloud, ["canary-partner-key"], ["canary-import-key"])
    wrong = Sender(cloud, "canary-partner-key", "canary-wrong-key")
    status, body = wrong.post("/users", cohort_changes=[])
    # Until the secret was read since the key came, it may be a new one.
    early = (503, "not accepted just now, try again")
    refusals = ("Invalid Partner API key", "Invalid client secret")
    assert (status, body["message"]) in {early, *((401, each) for each in refusals)}
    for log in Path(cloud.description["logs"]).glob("Cohort*.log"):
        text = log.read_text()
        assert "canary" not in text
        assert "person-1" not in text
