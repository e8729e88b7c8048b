"""Cohorts over the wire: Mixpanel's syncs through the real functions into Braze."""

import random
from itertools import count
from typing import Any

import pytest

from sandbox.cloud import Cloud
from sandbox.mixpanel import NAMED_DIALECTS, Cohort, CohortSync, Dialect

numbers = count(1)


def people(first: int, last: int) -> dict[str, dict[str, Any]]:
    return {f"person-{number}": {} for number in range(first, last)}


@pytest.fixture(scope="module", autouse=True)
def users(cloud: Cloud) -> None:
    braze: Any = cloud.braze
    for person in people(0, 3_000):
        braze.workspace.add_user(external_id=person)


def cohort_sync(
    cloud: Cloud, cohort: Cohort, dialect: Dialect | None = None, **options: Any
) -> CohortSync:
    description = cloud.description
    return CohortSync(
        cohort,
        description["webhook_url"],
        description["webhook_username"],
        description["webhook_password"],
        dialect=dialect,
        sleep=lambda _: None,
        rng=random.Random(1),
        **options,
    )


def members_at_braze(cloud: Cloud, cohort: Cohort) -> set[str]:
    braze: Any = cloud.braze
    members = braze.workspace.cohort_members(
        "mixpanel_cohorts", f"mixpanel_{cohort.id}"
    )
    assert isinstance(members, set)
    return members


def test_r1_r3_three_pages_then_a_difference_then_a_full_sync(cloud: Cloud) -> None:
    braze: Any = cloud.braze
    before = braze.workspace.noop_writes
    cohort = Cohort(f"{next(numbers)}", "Trial", people(0, 2_500))
    sync = cohort_sync(cloud, cohort)
    for members in (people(0, 2_500), people(100, 2_600), people(0, 1_000)):
        cohort.members = members
        assert sync.run().success
        cloud.drain(60)
        assert members_at_braze(cloud, cohort) == set(members)
    cohort.members = people(500, 700)
    # The removal guard holds so large a removal until a second full sync confirms it.
    for expected in (people(0, 1_000), people(500, 700)):
        sync.snapshot = None
        assert sync.run().success
        cloud.drain(60)
        assert members_at_braze(cloud, cohort) == set(expected)
    assert braze.workspace.noop_writes == before, "R8: nothing is written in vain"


@pytest.mark.parametrize("name", NAMED_DIALECTS)
def test_every_dialect_of_the_sender_ends_equal(cloud: Cloud, name: str) -> None:
    dialect = NAMED_DIALECTS[name]
    cohort = Cohort(f"{next(numbers)}", "Trial", people(0, 30))
    sync = cohort_sync(cloud, cohort, dialect, page_size=10)
    for members in (people(0, 30), people(5, 40), people(20, 60)):
        cohort.members = members
        assert sync.run().success
    cloud.drain(60)
    assert members_at_braze(cloud, cohort) == set(people(20, 60))


def test_an_aborted_sync_leaves_no_trace(cloud: Cloud) -> None:
    """Who joined in a sync that failed, and left before the next, is out again."""
    cohort = Cohort(f"{next(numbers)}", "Trial", people(0, 5))
    sync = cohort_sync(cloud, cohort, page_size=10)
    assert sync.run().success
    cohort.members = people(0, 25)
    real = sync._post
    sent = count()
    sync._post = lambda body: None if next(sent) >= 1 else real(body)
    assert not sync.run().success
    sync._post = real
    cohort.members = people(0, 6)
    assert sync.run().success
    cloud.drain(60)
    assert members_at_braze(cloud, cohort) == set(people(0, 6))


def test_a_braze_that_fails_delays_and_falsifies_nothing(cloud: Cloud) -> None:
    braze: Any = cloud.braze
    cohort = Cohort(f"{next(numbers)}", "Trial", people(0, 300))
    for kind in ("503", "reset before", "reset after", "429", "empty"):
        braze.faults.plan(kind, path="/users/track")
    assert cohort_sync(cloud, cohort).run().success
    cloud.drain(120)
    assert members_at_braze(cloud, cohort) == set(people(0, 300))


def test_a_wrong_password_pauses_the_sync_and_says_why(cloud: Cloud) -> None:
    cohort = Cohort(f"{next(numbers)}", "Trial", people(0, 3))
    description = cloud.description
    sync = CohortSync(
        cohort, description["webhook_url"], description["webhook_username"], "wrong"
    )
    result = sync.run()
    assert result.paused
    assert "password is wrong" in result.message


def test_no_secret_reaches_a_log_or_the_environment(cloud: Cloud) -> None:
    from pathlib import Path

    description = cloud.description
    secrets = [
        description[name]
        for name in (
            "webhook_password",
            "currents_token",
            "braze_rest_api_key",
            "mixpanel_project_token",
            "mixpanel_api_secret",
            "mixpanel_service_account_secret",
        )
    ]
    for log in Path(description["logs"]).glob("*.log"):
        text = log.read_text()
        assert not [name for name in secrets if name in text], log.name
        if log.name.startswith("Cohort"):
            assert "person-1" not in text
    for logical_id in ("CohortWebhookFunction", "CurrentsImporterFunction"):
        environment = cloud._functions[logical_id]._environment
        assert not set(secrets) & set(environment.values())
