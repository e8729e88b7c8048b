"""What the page says: after each action one sentence about what the bridge does."""

from collections.abc import Mapping, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence; `tone` is calm, good, warn or bad."""

    text: str
    tone: str = "calm"


WELCOME = (
    "Everything here runs on this machine: press “Sync now” to send Mixpanel's cohort "
    "to Braze, or take the tour."
)
SYNCING = (
    "Mixpanel sends its pages; each is stored and registered before it is answered 200."
)
EVENTS = "Braze's events are in the stream; the importer gathers them for five seconds, then sends them in one call."
EVENTS_DONE = "Every event is in Mixpanel, or filtered by a named rule: those here have no external id."
POISON = "Among forty events one has no time, one has three hundred properties too many, and one is too large."
POISON_DONE = "The good events went through; the odd ones are in quarantine with their reason and their bytes, one of them reshaped and delivered."
REPEAT = "Braze had no answer and sends its last call once more."
REPEAT_DONE = "Mixpanel has every copy, and shows each event once: a copy has the same $insert_id, time and name."
DIALECT = "Another sender, with a cohort of its own: the bridge knows none of its habits yet and learns them from its calls."

_MOVED = {
    "join": "{n} people join in Mixpanel; Braze hears of it with the next sync.",
    "leave": "{n} people leave in Mixpanel; the next sync names them as removed.",
    "come_back": "{n} people come back; if Braze still has them, nothing is written for them.",
    "identify": "{n} anonymous people log in: Mixpanel's next diff swaps their device for a user id, which Braze knows.",
    "change_identifier": "{n} people get another external id; no diff names them, so the next sync lists everybody and the bridge moves them.",
}
_NOBODY = {
    "join": "Everybody is in already.",
    "leave": "There is nobody left to leave.",
    "come_back": "Nobody has left since.",
    "identify": "Everybody is identified by now.",
    "change_identifier": "There is nobody in the cohort.",
}


def moved(what: str, number: int) -> str:
    """After so many people moved."""
    return _MOVED[what].format(n=number) if number else _NOBODY[what]


def accepted(calls: int, switches: Mapping[str, bool]) -> str:
    """A sync of so many pages that Mixpanel counts."""
    if switches["braze_outage"]:
        return f"All {calls} pages are accepted; Braze does not answer, so they wait in the queue and Mixpanel need not know."
    return f"All {calls} pages are accepted; the queue hands them to Braze one by one."


def failed(calls: int) -> str:
    """A sync that was given up after so many pages."""
    return f"Mixpanel gave up after {calls} pages and will forget this sync; the bridge keeps it open, and rolls it back once the next sync proves that it failed."


def synced(difference: int, fates: Set[str]) -> tuple[str, str]:
    """After a sync that was processed; `difference` in people, `fates` of its pages."""
    if difference:
        return (
            f"{difference} people still differ: a sync is not complete yet, or a member waits for Braze.",
            "warn",
        )
    because = ""
    if fates & {"request lost", "answer lost"}:
        because = "lost pages came again, and "
    elif "repeated" in fates:
        because = "repeated pages changed nothing, and "
    return (
        f"Braze has exactly Mixpanel's cohort: {because}only what differed was written.",
        "good",
    )


def replayed(counts: Mapping[str, int]) -> str:
    """What the operator's replay did; `counts` are its own."""
    back = counts.get("replayed", 0)
    left = ", ".join(
        f"{number} {why.removeprefix('left: ')}"
        for why, number in counts.items()
        if why != "replayed"
    )
    goes = f"{back} event goes" if back == 1 else f"{back} events go"
    stays = (
        f"; what cannot be mapped or is delivered already stays ({left})"
        if left
        else ""
    )
    return f"{goes} back into the stream{stays}."


SWITCHED: Mapping[str, tuple[str, str]] = {
    "lost_request": (
        "One page in three will not arrive; Mixpanel sends it again, and until all pages are in, the sync stays open.",
        "Requests arrive again.",
    ),
    "lost_answer": (
        "One answer in three gets lost; Mixpanel sends a page that the bridge has already, and its content tells.",
        "Answers arrive again.",
    ),
    "abort": (
        "Mixpanel will give its syncs up after the first page; a sync without all of its pages never becomes complete.",
        "Syncs run to their end again; the next one proves which earlier one failed, and its changes are rolled back.",
    ),
    "duplicate": (
        "One page in three comes twice; the second time it changes nothing.",
        "Pages come once again.",
    ),
    "braze_429": (
        "Braze turns four calls in ten down; the consumer waits as long as Braze asks.",
        "Braze takes every call again.",
    ),
    "braze_outage": (
        "Braze is down: pages are accepted all the same, and wait in the queue in their order.",
        "Braze is back; the queue continues by itself, at the latest when its pause ends.",
    ),
    "mixpanel_429": (
        "Mixpanel turns four calls in ten down; the importer waits and sends the same events again.",
        "Mixpanel takes every call again.",
    ),
    "mixpanel_outage": (
        "Mixpanel is down: events stay in the stream, for six days if need be.",
        "Mixpanel is back; the stream continues where it stood.",
    ),
    "kill_consumer": (
        "The consumer will be killed just after its next call to Braze took effect.",
        "The consumer lives.",
    ),
    "kill_importer": (
        "The importer will be killed just after its next call to Mixpanel took effect.",
        "The importer lives.",
    ),
    "rules": (
        "A rules file leaves out SMS events and drops one property; a new importer reads it at once, a warm one within three minutes.",
        "The rules file is empty again: every event is wanted.",
    ),
}
"""By switch: what is said when it is turned on, and off."""

RECOVERED = {
    "braze_outage": "Braze is back, and the queue has delivered everything that waited, in its order.",
    "mixpanel_outage": "Mixpanel is back, and the stream has delivered everything that waited.",
}

KILLED = {
    "kill_consumer": "Killed: Braze has the write and the ledger does not; the message comes again, and what is unknown is written once more.",
    "kill_importer": "Killed: Mixpanel has the events and the stream does not know; they are sent again under the same keys and show once.",
}
