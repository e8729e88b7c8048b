"""Forget a cohort, or a person: find what is held, delete it, say what expires when."""

import csv
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.aws.clients import answering
from bridge.cohorts.adapters.dynamodb_ledger import DynamoLedger
from bridge.cohorts.adapters.forgetting import cohort_items, person_items
from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.adapters.s3_reports import report_prefix
from bridge.cohorts.cohort_messages import ReleaseMessage
from bridge.cohorts.intake.accept import Arrival, accept_page
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.rules.counts import IN, counted_as
from bridge.cohorts.rules.identifiers import Identifier
from bridge.mixpanel.cohort_webhook import Action
from bridge.quarantine import QuarantinedItem, from_lines, to_lines
from cli.cohorts import ledger_of, now_ms, queue_of, table_of
from cli.members import possible_keys
from cli.quarantined import objects
from cli.stack import RunningStack, StackError

POLL_SECONDS = 0.5

EXPIRES = (
    ("the stream", "events on their way, for 7 days"),
    ("Braze's files in the Currents bucket", "for 30 days"),
    ("earlier versions of what was rewritten", "for a day"),
    ("backups of the ledger (point in time)", "for 35 days"),
    ("a warm process's look-up of a device", "for 15 minutes"),
)
"""What cannot be looked through, and when it is gone by itself."""


def remove_from_braze(
    stack: RunningStack,
    key: CohortKey,
    advance: Callable[[int], None],
    say: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Feed an empty full list, release it, and wait until nobody is in any more.

    Raises `StackError` if the cohort is being synced meanwhile.
    """
    ledger, queue = ledger_of(stack), queue_of(stack)
    cohort = ledger.cohort(key)
    before = cohort.counts.get(IN, 0)
    if not before:
        return
    sender = max(cohort.senders, key=lambda each: cohort.senders[each], default="")
    at = now_ms()
    accepted = accept_page(
        Arrival(
            key,
            "",
            f"{sender}forget-{at}",
            Action.FULL,
            1,
            1,
            [],
            Counter(),
            sender=sender,
        ),
        at,
        ledger=ledger,
        pages=S3PageStore(stack.client("s3"), stack.resources["DataBucket"]),
        queue=queue,
    )
    is_released, last_change = False, time.monotonic()
    while True:
        cohort = ledger.cohort(key)
        if cohort.newest != accepted.seq:
            raise StackError(
                f"Mixpanel still syncs cohort {key.cohort}: disconnect it there first"
            )
        if cohort.held_removal == accepted.seq and not is_released:
            queue.send(ReleaseMessage(key=key, seq=accepted.seq))
            is_released = True
        now = cohort.counts.get(IN, 0)
        if now != before:
            advance(before - now)
            before, last_change = now, time.monotonic()
        if cohort.baseline == accepted.seq and not now:
            return
        if time.monotonic() - last_change > 60:
            say("nothing has changed for a minute; `status` says what waits and why")
            last_change = time.monotonic()
        sleep(POLL_SECONDS)


def forget_cohort(
    stack: RunningStack, key: CohortKey, advance: Callable[[int], None]
) -> Counter[str]:
    """Delete all that is held of a cohort; how much of what. Safe to repeat."""
    table = table_of(stack)
    deleted: Counter[str] = Counter()
    s3, bucket = stack.client("s3"), stack.resources["DataBucket"]
    place = key.place.replace("#", "/")
    for what, prefix in (("pages", f"pages/{place}/"), ("reports", report_prefix(key))):
        for entry in objects(s3, bucket, prefix):
            with answering("page_store"):
                s3.delete_object(Bucket=bucket, Key=entry["Key"])
            deleted[what] += 1
    for items in cohort_items(table, key):
        table.delete_all(items)
        deleted["items of the ledger"] += len(items)
        advance(len(items))
    return deleted


@dataclass
class Person:
    """A person in the bridge: by cohort the ledger's keys, and all names."""

    names: set[str]
    keys: dict[CohortKey, list[str]] = field(default_factory=dict)
    distinct_ids: dict[CohortKey, list[str]] = field(default_factory=dict)


def find_person(stack: RunningStack, ledger: DynamoLedger, user: str) -> Person:
    """Everybody who has this identifier or distinct id, in all cohorts."""
    person = Person({user})
    wanted = possible_keys(stack.identifiers, user)
    for known in list(ledger.cohorts()):
        key = known.key
        places = ledger.places(key, [user])
        keys = wanted.union(*(place.keys for place in places.values()))
        found = ledger.members(key, sorted(keys))
        named = keys & {n for each in ledger.open_pushes(key) for n in each.keys}
        if not (found or places or named):
            continue
        profiles = {each for member in found.values() for each in member.profiles}
        profiles |= places.keys()
        person.keys[key] = sorted(named.union(found))
        person.distinct_ids[key] = sorted(profiles)
        person.names |= profiles
        person.names |= {Identifier.from_key(each).value for each in person.keys[key]}
    return person


def forget_in_ledger(
    stack: RunningStack, ledger: DynamoLedger, person: Person, *, dry_run: bool
) -> Counter[str]:
    """Delete a person's items in all cohorts; how many cohorts and members."""
    table = table_of(stack)
    done: Counter[str] = Counter()
    for key, keys in person.keys.items():
        done["cohorts"] += 1
        done["members of the ledger"] += len(keys)
        done["profiles in its index"] += len(person.distinct_ids[key])
        if dry_run:
            continue
        _forget_in_pushes(ledger, key, keys)
        change: Counter[str] = Counter()
        for member in ledger.members(key, keys).values():
            if name := counted_as(member):
                change[name] -= 1
        table.delete_all(person_items(key, keys, person.distinct_ids[key]))
        ledger.count(key, change)
    return +done


def _forget_in_pushes(
    ledger: DynamoLedger, key: CohortKey, members: Sequence[str]
) -> None:
    """Else the person would come back as a member of whom nothing is known."""
    for begun in ledger.open_pushes(key):
        others = [each for each in begun.keys if each not in members]
        if len(others) < len(begun.keys):
            ledger.end_push(key, begun)
            if others:
                ledger.begin_push(key, replace(begun, keys=others))


def forget_in_store(
    stack: RunningStack,
    person: Person,
    advance: Callable[[int], None],
    *,
    dry_run: bool,
) -> Counter[str]:
    """Take a person out of pages, reports and quarantine; how many lines of which."""
    s3, bucket = stack.client("s3"), stack.resources["DataBucket"]
    done: Counter[str] = Counter()
    for what, prefix, without in (
        ("lines of stored pages", "pages/", _page_without),
        ("lines of reports", "reports/", _report_without),
        ("quarantined items", "quarantine/", _quarantine_without),
    ):
        for entry in objects(s3, bucket, prefix):
            advance(1)
            key = entry["Key"]
            if key.endswith(".file"):
                done["quarantined files that were not looked through"] += 1
                continue
            with answering("page_store"):
                found = s3.get_object(Bucket=bucket, Key=key)
                content = found["Body"].read()
            if not _may_hold(content, person, is_quarantine=prefix == "quarantine/"):
                continue
            rest, number = without(content, person.names)
            done[what] += number
            if dry_run or not number:
                continue
            with answering("page_store"):
                if rest:
                    s3.put_object(
                        Bucket=bucket,
                        Key=key,
                        Body=rest,
                        ContentType=found["ContentType"],
                    )
                else:
                    s3.delete_object(Bucket=bucket, Key=key)
    return +done


def _may_hold(content: bytes, person: Person, *, is_quarantine: bool) -> bool:
    """A quick look; the originals in the quarantine are base64."""
    return is_quarantine or any(
        json.dumps(name)[1:-1].encode() in content or name.encode() in content
        for name in person.names
    )


def _page_without(content: bytes, names: set[str]) -> tuple[bytes, int]:
    rows = json.loads(content)
    kept = [row for row in rows if not _is_named(row[0], row[1], names)]
    return json.dumps(kept, separators=(",", ":")).encode(), len(rows) - len(kept)


def _is_named(distinct_id: str, key: str, names: set[str]) -> bool:
    return distinct_id in names or bool(key and Identifier.from_key(key).value in names)


def _report_without(content: bytes, names: set[str]) -> tuple[bytes, int]:
    lines = list(csv.reader(io.StringIO(content.decode("utf-8", "replace"))))
    head, rows = lines[:1], lines[1:]
    kept = [row for row in rows if not {row[0], row[2]} & names]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(head + kept)
    return (text.getvalue().encode() if kept else b""), len(rows) - len(kept)


def _quarantine_without(content: bytes, names: set[str]) -> tuple[bytes, int]:
    items = list(from_lines(content))
    kept = [item for item in items if not _speaks_of(item, names)]
    return to_lines(kept), len(items) - len(kept)


def _speaks_of(item: QuarantinedItem, names: set[str]) -> bool:
    if item.key and item.key[1] in names:
        return True
    return any(text in names for text in _texts(item.original))


def _texts(original: bytes) -> Iterator[str]:
    """Every text and number in an item, as text; its words if it is no JSON."""
    try:
        waiting: list[Any] = [json.loads(original)]
    except (ValueError, RecursionError):
        text = original.decode("utf-8", "replace")
        yield from "".join(
            c if c.isalnum() or c in "@._-:$" else " " for c in text
        ).split()
        return
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
        else:
            yield str(each)


def count_stored(stack: RunningStack, prefixes: Sequence[str]) -> int:
    """How many objects there are to look through."""
    s3, bucket = stack.client("s3"), stack.resources["DataBucket"]
    return sum(1 for prefix in prefixes for _ in objects(s3, bucket, prefix))
