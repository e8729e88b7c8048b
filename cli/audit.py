"""Ask Braze what it holds of a cohort's members, and compare it with the ledger."""

import hashlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched

from bridge.braze.client import BrazeClient
from bridge.cohorts.adapters.s3_pages import S3PageStore
from bridge.cohorts.cohort_messages import CorrectMessage
from bridge.cohorts.messages import CohortKey
from bridge.cohorts.pages import Listed, write_page
from bridge.cohorts.rules.identifiers import Identifier, Kind
from bridge.cohorts.rules.model import Cohort
from bridge.credentials import BrazeCredentials, Secret
from bridge.mixpanel.cohort_webhook import MEMBERS_PER_CALL
from bridge.settings import CohortForm, CohortRoute, CohortValue
from bridge.transport import Transport
from cli.cohorts import ledger_of, now_ms, queue_of
from cli.members import WORDS, State, members, state_of
from cli.stack import RunningStack, StackError

IDS_PER_CALL = 50
"""External ids and aliases together (Braze docs, "Export user profile")."""

CALLS_PER_SECOND = 4.0
"""Braze takes 250 look-ups a minute of a workspace; the bridge's own are among them."""

SECONDS = 60.0
FIELDS = ("external_id", "braze_id", "user_aliases", "devices", "custom_attributes")
LACKING, LEFT_IN, UNKNOWN = "lacking", "there though out", "unknown to Braze"
DIFFERENCES = frozenset({LACKING, LEFT_IN})


@dataclass(frozen=True)
class Audited:
    """One member: what the ledger says, and what Braze does."""

    key: str
    identifier: str
    kind: str
    ledger: State
    what: str


@dataclass(frozen=True)
class Subject:
    """A member to ask Braze for."""

    key: str
    state: State


def subjects(stack: RunningStack, key: CohortKey) -> Iterator[Subject]:
    """The members of whom the ledger knows what Braze holds.

    Raises `StackError` on the partner route: its cohorts cannot be read.
    """
    if stack.route is CohortRoute.PARTNER:
        raise StackError(
            "Braze shows nobody the members of a partner's cohort; audit needs the "
            "attribute route"
        )
    for member, cohort in members(ledger_of(stack), key):
        state, _ = state_of(member, cohort)
        if state in {State.IN, State.OUT}:
            yield Subject(member.key, state)


def sampled(
    found: Iterable[Subject], number: int, rng: random.Random | None = None
) -> tuple[list[Subject], int]:
    """So many of them, each as likely as any other; and how many there were."""
    draw = rng or random.Random()  # noqa: S311 - a sample, no secret
    chosen: list[Subject] = []
    total = 0
    for each in found:
        total += 1
        if len(chosen) < number:
            chosen.append(each)
        elif (place := draw.randrange(total)) < number:
            chosen[place] = each
    return chosen, total


def calls_for(found: Sequence[Subject]) -> int:
    """How many calls of Braze it takes to ask for these."""
    many = sum(each.key[0] in {Kind.EXTERNAL_ID, Kind.ALIAS} for each in found)
    return -(-many // IDS_PER_CALL) + len(found) - many


def audit(
    stack: RunningStack,
    cohort: Cohort,
    cohort_id: str,
    found: Iterable[Subject],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Audited]:
    """What Braze holds of each member; raises as `BrazeClient.find_users`."""
    transport = Transport("braze", stack.braze_url, read_timeout=SECONDS)
    secret = Secret(
        stack.resources["BrazeSecret"],
        BrazeCredentials,
        client=stack.client("secretsmanager"),
    )
    client = BrazeClient(transport, secret, lambda: 10 * SECONDS)
    together: list[Subject] = []
    for each in found:
        identifier = Identifier.from_key(each.key)
        if identifier.kind in {Kind.EXTERNAL_ID, Kind.ALIAS}:
            together.append(each)
            if len(together) == IDS_PER_CALL:
                yield from _asked(client, stack, cohort, cohort_id, together)
                together = []
                sleep(1 / CALLS_PER_SECOND)
        else:
            yield from _asked(client, stack, cohort, cohort_id, [each])
            sleep(1 / CALLS_PER_SECOND)
    if together:
        yield from _asked(client, stack, cohort, cohort_id, together)


def _asked(
    client: BrazeClient,
    stack: RunningStack,
    cohort: Cohort,
    cohort_id: str,
    found: Sequence[Subject],
) -> Iterator[Audited]:
    profiles = client.find_users(_question(found), FIELDS)
    holding: dict[str, bool] = {}
    for profile in profiles:
        holds = _holds(profile, stack, cohort, cohort_id)
        for key in _keys(profile, found):
            holding[key] = holding.get(key, False) or holds
    for each in found:
        identifier = Identifier.from_key(each.key)
        what = _what(each.state, holding.get(each.key))
        yield Audited(
            each.key, identifier.value, WORDS[identifier.kind], each.state, what
        )


def _question(found: Sequence[Subject]) -> dict[str, object]:
    identifiers = [Identifier.from_key(each.key) for each in found]
    first = identifiers[0]
    if first.kind is Kind.DEVICE:
        return {"device_id": first.value}
    if first.kind is Kind.EMAIL:
        return {"email_address": first.value}
    if first.kind is Kind.PHONE:
        return {"phone": first.value}
    external = [each.value for each in identifiers if each.kind is Kind.EXTERNAL_ID]
    aliases = [
        {"alias_name": each.value, "alias_label": each.label}
        for each in identifiers
        if each.kind is Kind.ALIAS
    ]
    asked = {"external_ids": external, "user_aliases": aliases}
    return {name: value for name, value in asked.items() if value}


def _keys(profile: Mapping[str, object], found: Sequence[Subject]) -> Iterator[str]:
    """The ledger's keys of a profile, among those that were asked for."""
    if len(found) == 1:
        yield found[0].key
        return
    external = profile.get("external_id")
    if isinstance(external, str):
        yield Identifier(Kind.EXTERNAL_ID, external).key
    aliases = profile.get("user_aliases")
    for alias in aliases if isinstance(aliases, list) else []:
        name, label = alias.get("alias_name"), alias.get("alias_label")
        if isinstance(name, str) and isinstance(label, str):
            yield Identifier(Kind.ALIAS, name, label).key


def _holds(
    profile: Mapping[str, object], stack: RunningStack, cohort: Cohort, cohort_id: str
) -> bool:
    """Whether the profile's attribute says that it is in the cohort."""
    attributes = profile.get("custom_attributes")
    found = attributes if isinstance(attributes, dict) else {}
    if stack.form is CohortForm.BOOLEAN:
        return found.get(f"{stack.attribute}_{cohort_id}".strip()) is True
    listed = found.get(stack.attribute)
    name = cohort.first_name.strip()[:255].strip()
    by_name = stack.value is CohortValue.NAME and bool(name)
    value = name if by_name else f"mixpanel_{cohort_id}"
    return isinstance(listed, list) and value in listed


def _what(state: State, holds: bool | None) -> str:
    if holds is None:
        return UNKNOWN if state is State.IN else "as it should be"
    if state is State.IN and not holds:
        return LACKING
    if state is State.OUT and holds:
        return LEFT_IN
    return "as it should be"


def correct(stack: RunningStack, key: CohortKey, keys: Iterable[str]) -> int:
    """Have the consumer bring these members to what the ledger says; how many."""
    pages = S3PageStore(stack.client("s3"), stack.resources["DataBucket"])
    queue, at = queue_of(stack), now_ms()
    number = 0
    for chunk in batched(keys, MEMBERS_PER_CALL, strict=False):
        content = write_page(Listed("", Identifier.from_key(each)) for each in chunk)
        name = hashlib.sha256(content).hexdigest()[:32]
        pages.put(key, name, content)
        queue.send(CorrectMessage(key=key, digest=name, at=at))
        number += len(chunk)
    return number
