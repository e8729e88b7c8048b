"""The defaults of the template carry what docs/scaling.md says they carry."""

from typing import Any

import pytest

from bridge.currents.delivery.send import SECONDS_FOR_A_CALL
from bridge.currents.stream.pack import BYTES_PER_RECORD, EVENTS_PER_RECORD
from bridge.mixpanel.import_api import EVENTS_PER_CALL
from bridge.transport import READ_TIMEOUT
from scripts import scaling_page
from scripts.scaling_page import Cohort, Events


def test_the_page_is_what_template_and_code_give() -> None:
    assert scaling_page.PAGE.read_text() == scaling_page.page()


def importer(template: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = template["Resources"]["CurrentsImporterFunction"]
    return dict(properties["Properties"])


def test_the_defaults_carry_a_thousand_events_a_second(
    template: dict[str, Any],
) -> None:
    least = Events(scaling_page.RATES[0], template)
    mapping = importer(template)["Events"]["Stream"]["Properties"]
    assert template["Parameters"]["StreamShards"]["Default"] >= least.shards
    assert mapping.get("ParallelizationFactor", 1) >= least.parallel
    limits = template["Resources"]["Api"]["Properties"]["DefaultRouteSettings"]
    assert limits["ThrottlingRateLimit"] * scaling_page.HEADROOM >= least.calls


def test_the_shards_one_may_order_carry_the_largest_rate(
    template: dict[str, Any],
) -> None:
    largest = Events(scaling_page.RATES[-1], template)
    assert template["Parameters"]["StreamShards"]["MaxValue"] >= largest.shards
    # The factor is cut off at ten, so that the busy importers are asked for too.
    assert largest.shards * largest.parallel >= largest.busy


def test_the_fullest_invocation_ends_in_its_time(template: dict[str, Any]) -> None:
    """6 MB of the best packed records, not what comes in one window."""
    events = scaling_page.PAYLOAD_BYTES / scaling_page.PACKED_BYTES
    vcpus = importer(template)["MemorySize"] / scaling_page.VCPU_MEMORY
    seconds = events * (
        scaling_page.EVENT_CPU / vcpus + scaling_page.IMPORT_SECONDS / EVENTS_PER_CALL
    )
    assert seconds <= importer(template)["Timeout"] - SECONDS_FOR_A_CALL
    assert importer(template)["Timeout"] - SECONDS_FOR_A_CALL > READ_TIMEOUT


def test_a_full_record_is_within_kinesis_limit() -> None:
    packed = min(
        BYTES_PER_RECORD / scaling_page.EVENT_BYTES * scaling_page.PACKED_BYTES,
        EVENTS_PER_RECORD * scaling_page.PACKED_BYTES,
    )
    assert packed <= scaling_page.SHARD_BYTES


@pytest.mark.parametrize("contract", scaling_page.CONTRACTS)
def test_one_consumer_stays_below_the_quota_of_its_contract(
    template: dict[str, Any], contract: scaling_page.Contract
) -> None:
    cohort = Cohort(scaling_page.COHORTS[-1], template, contract)
    assert cohort.calls_a_second <= contract.calls_a_second
    assert cohort.batch * cohort.page_seconds < cohort.timeout


def test_a_million_members_take_less_than_seven_minutes(
    template: dict[str, Any],
) -> None:
    assert Cohort(1_000_000, template).minutes < 7


def test_the_largest_cohort_is_through_before_its_messages_expire(
    template: dict[str, Any],
) -> None:
    queue = template["Resources"]["CohortQueue"]["Properties"]
    cohort = Cohort(scaling_page.COHORTS[-1], template)
    assert cohort.minutes * 60 < queue["MessageRetentionPeriod"]
