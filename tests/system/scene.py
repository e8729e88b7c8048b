"""A local cloud with something to see on every screen of the operator's command.

`python -m tests.system.scene` starts it and keeps it until Ctrl-C.
"""

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import requests

from sandbox.braze.currents import CurrentsSource
from sandbox.cloud import Cloud
from sandbox.description import DESCRIPTION, shown_to_the_command
from sandbox.mixpanel import Cohort
from tests.system.syncs import AT_ONCE

PARAMETERS = {
    **AT_ONCE,
    "Identifiers": "external_id=$braze_external_id",
    "EventRules": "rules/currents.json",
}
RULES = {"exclude": ["users.messages.email.Open"]}
TRIAL, ENDED = "8120045", "8120046"
PEOPLE = 120
BLOCKED, UNKNOWN, LEFT, NAMELESS = "u9", "u11", "u7", "d120"


def play(cloud: Cloud) -> None:
    """Sync two cohorts and send events, some of which have something wrong."""
    s3, resources = cloud.client("s3"), cloud.description["resources"]
    s3.put_object(
        Bucket=resources["DataBucket"],
        Key=PARAMETERS["EventRules"],
        Body=json.dumps(RULES).encode(),
    )
    _sync_cohorts(cloud)
    _send_events(cloud)
    cloud.drain(60)


def _sync_cohorts(cloud: Cloud) -> None:
    braze: Any = cloud.braze
    mixpanel: Any = cloud.mixpanel
    for number in range(1, PEOPLE + 3):
        if f"u{number}" != UNKNOWN:
            braze.workspace.add_user(external_id=f"u{number}")
    braze.workspace.blocked.add(BLOCKED)
    members = {f"d{n}": {"$braze_external_id": f"u{n}"} for n in range(1, PEOPLE)}
    trial = Cohort(TRIAL, "Trial, day 10", {**members, NAMELESS: {}})
    ended = Cohort(ENDED, "Ended in spring", dict(list(members.items())[:8]))
    for cohort in (trial, ended):
        mixpanel.cohorts[cohort.id] = cohort
        sync(cloud, cohort.id)
    del trial.members["d7"]
    trial.members["d121"] = {"$braze_external_id": "u121"}
    sync(cloud, TRIAL)


def sync(cloud: Cloud, cohort: str) -> None:
    """One sync of a cohort, as Mixpanel does it, until Braze has it."""
    mixpanel: Any = cloud.mixpanel
    description = cloud.description
    login = description["webhook_username"], description["webhook_password"]
    result = mixpanel.sync(
        cohort, description["webhook_url"], username=login[0], password=login[1]
    )
    if not result.success:
        raise RuntimeError(result.message)
    cloud.drain(60)


def _send_events(cloud: Cloud) -> None:
    people = [f"u{number}" for number in range(1, PEOPLE)]
    source = CurrentsSource(people, int(time.time()) - 3600, anonymous=0.05, seed=5)
    events = [source.event() for _ in range(400)]
    for event in events[::100]:
        event["time"] = "yesterday"
    for event in events[1::200]:
        del event["event_type"]
    session = requests.Session()
    session.trust_env = False
    session.headers["authorization"] = f"Bearer {cloud.description['currents_token']}"
    for start in range(0, len(events), 100):
        body = {"events": events[start : start + 100]}
        url = cloud.description["currents_url"]
        session.post(url, json=body, timeout=60).raise_for_status()


def main() -> int:
    """Start the scene and keep it until a signal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with Cloud(Path(".aws-sam/build"), parameters=PARAMETERS) as cloud:
        play(cloud)
        with shown_to_the_command(cloud.description):
            sys.stderr.write(f"the scene is set: {DESCRIPTION}\n")
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main())
