"""The figures of the page, computed in one place from one look at everything (pure)."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bridge.cohorts.rules.completeness import is_complete
from bridge.cohorts.rules.counts import IN
from bridge.cohorts.rules.model import Cohort, Sync
from bridge.cohorts.rules.outcomes import Outcome
from bridge.observability import Metric
from bridge.quarantine import QuarantinedItem
from bridge.reasons import Reason
from sandbox.live.people import Person
from sandbox.live.readings import MixpanelReading, Readings, reasons
from sandbox.mixpanel import Cohort as MixpanelCohort

CHANNELS = {
    "users.messages.email.": "Email",
    "users.messages.pushnotification.": "Push",
    "users.messages.inappmessage.": "In-app",
    "users.messages.contentcard.": "Content card",
    "users.messages.sms.": "SMS",
    "users.messages.whatsapp.": "WhatsApp",
    "users.messages.webhook.": "Webhook",
    "users.canvas.": "Canvas",
    "users.campaigns.": "Campaign",
    "users.behaviors.": "App",
}
"""Names by the beginning of the event type."""


def channel_of(event_type: str) -> str:
    """The channel of an event type; App where it is none of Braze's."""
    names = (n for start, n in CHANNELS.items() if event_type.startswith(start))
    return next(names, "App")


def figures(
    readings: Readings,
    cohort: MixpanelCohort,
    people: Mapping[str, Person],
) -> dict[str, Any]:
    """All figures as JSON; `people` are by the name of their user in Braze."""
    members = cohort_figures(readings, cohort, people)
    events = event_figures(readings)
    queue = readings.queue
    waits = queue.waiting + queue.in_flight + queue.dead_letters + events["on_the_way"]
    return {
        "cohort": members,
        "queue": {
            "waiting": queue.waiting,
            "in_flight": queue.in_flight,
            "dead_letters": queue.dead_letters,
        },
        "syncs": sync_rows(readings.ledger.cohort, readings.ledger.syncs),
        "writes": write_figures(readings),
        "events": events,
        "alarms": {
            "credentials_rejected": readings.metrics.of(Metric.CREDENTIALS_REJECTED)
        },
        "equal": not members["difference"] and not waits,
    }


def cohort_figures(
    readings: Readings,
    cohort: MixpanelCohort,
    people: Mapping[str, Person],
) -> dict[str, Any]:
    """Members on both sides, and how many users are in on one side alone."""
    braze = readings.braze.members
    expected = {
        user for user, person in people.items() if person.distinct_id in cohort.members
    }
    return {
        "id": cohort.id,
        "name": cohort.name,
        "mixpanel": len(cohort.members),
        "braze": len(braze),
        "ledger": readings.ledger.cohort.counts.get(IN, 0),
        "difference": len(expected ^ braze),
        "people": [
            {
                "in": person.distinct_id in cohort.members,
                "braze": user in braze,
                "anonymous": person.anonymous,
            }
            for user, person in people.items()
        ],
    }


def sync_rows(cohort: Cohort, syncs: Iterable[Sync]) -> list[dict[str, Any]]:
    """The newest syncs as the ledger has them, newest first; `seq` is in epoch ms."""
    rows = [
        {
            "seq": sync.seq,
            "kind": "full" if sync.full else "diff",
            "accepted": sum(pages.number for pages in sync.accepted.values()),
            "total": sum(sync.totals.values()),
            "processed": sync.processed,
            "state": sync_state(sync, cohort),
        }
        for sync in syncs
    ]
    return sorted(rows, key=lambda row: -row["seq"])


def sync_state(sync: Sync, cohort: Cohort) -> str:
    """The glossary's word for a sync; one below the baseline counts no more."""
    if sync.aborted or sync.seq in cohort.aborted:
        return "aborted"
    if sync.seq == cohort.baseline:
        return "baseline"
    if sync.seq == cohort.held_removal:
        return "held removal"
    if sync.seq < cohort.baseline:
        return "superseded"
    is_open = any(each.seq == sync.seq for each in cohort.syncs)
    complete = not is_open or (is_complete(sync, cohort) and sync.is_processed)
    return "complete" if complete else "open"


def write_figures(readings: Readings) -> dict[str, Any]:
    """Writes that were made, and those that a receiver without a memory would add.

    It would write every member of every page; the reports call these a no-op.
    """
    return {
        "made": readings.braze.data_points,
        "spared": readings.outcomes.get(Outcome.NO_OP, 0),
        "without_effect": readings.braze.noop_writes,
    }


def event_figures(readings: Readings) -> dict[str, Any]:
    """What became of the events: the accounts, in all and by channel."""
    sent, mixpanel, metrics = readings.sent, readings.mixpanel, readings.metrics
    quarantined, reshaped = _quarantined(readings.quarantine, mixpanel)
    visible_ids = {key[3] for key in mixpanel.visible}
    by_channel: dict[str, Counter[str]] = {
        name: Counter() for name in CHANNELS.values()
    }
    for id_, event in sent.items():
        counts = by_channel[channel_of(event.event_type)]
        counts["sent"] += 1
        counts["delivered"] += id_ in visible_ids
    for event_type, number in metrics.filtered_by_type.items():
        by_channel[channel_of(event_type)]["filtered"] += number
    for item in quarantined:
        by_channel[channel_of(item.kind)]["quarantined"] += 1
    rows = [_channel(name, counts) for name, counts in by_channel.items()]
    return {
        "sent": len(sent),
        "delivered": len(mixpanel.visible),
        "copies": mixpanel.copies,
        "filtered": sum(row["filtered"] for row in rows),
        "filtered_reasons": dict(metrics.filtered.most_common()),
        "reshaped": reshaped,
        "quarantined": len(quarantined),
        "quarantined_reasons": dict(reasons(quarantined).most_common()),
        "on_the_way": sum(row["on_the_way"] for row in rows),
        "lag": _lag(readings),
        "channels": rows,
    }


def _channel(name: str, counts: Counter[str]) -> dict[str, Any]:
    """What is sent has one of four fates; a repeated event was filtered twice."""
    rest = counts["sent"] - counts["delivered"] - counts["quarantined"]
    filtered = min(counts["filtered"], rest)
    return {
        "name": name,
        "sent": counts["sent"],
        "delivered": counts["delivered"],
        "filtered": filtered,
        "quarantined": counts["quarantined"],
        "on_the_way": rest - filtered,
    }


def _quarantined(
    items: Iterable[QuarantinedItem], mixpanel: MixpanelReading
) -> tuple[list[QuarantinedItem], int]:
    """The events that are in quarantine and not in Mixpanel; how many were reshaped.

    The same event can be quarantined more than once, and a replay leaves the object.
    """
    visible = {key[3] for key in mixpanel.visible}
    found: dict[str, QuarantinedItem] = {}
    reshaped: set[str] = set()
    for item in items:
        id_ = _event_id(item.original) or item.position
        if item.reason == Reason.RESHAPED:
            reshaped.add(id_)
        elif id_ not in visible:
            found[id_] = item
    return list(found.values()), len(reshaped)


def _event_id(original: bytes) -> str:
    """The id of a quarantined event, empty where it cannot be read."""
    try:
        event = json.loads(original)
    except ValueError:
        return ""
    return str(event.get("id", "")) if isinstance(event, dict) else ""


def _lag(readings: Readings) -> float:
    """Seconds from Braze's call to Mixpanel's import, of the event imported last."""
    imported, id_ = max(
        (
            (event["properties"]["mp_processing_time_ms"] / 1000, key[3])
            for key, event in readings.mixpanel.visible.items()
        ),
        default=(0.0, ""),
    )
    sent = readings.sent.get(id_)
    return round(max(0.0, imported - sent.at), 1) if sent else 0.0
