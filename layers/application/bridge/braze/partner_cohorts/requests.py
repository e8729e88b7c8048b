"""The wire of Braze's cohort import for partners, as we call it (pure).

Source: Braze docs, "Cohort import". Both secrets stand in the body and a refusal may
repeat one of them. Unknown users are dropped without a word and nobody is created.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from bridge.braze.users_track import read_reply as read_track_reply
from bridge.errors import Rejected
from bridge.transport import Reply

type Json = dict[str, object]


def names(partner: str) -> str:
    """Path of the call that names a cohort."""
    return f"/partners/{partner}/cohorts"


def users(partner: str) -> str:
    """Path of the call that changes members."""
    return f"/partners/{partner}/cohorts/users"


def naming(cohort: str, name: str, created_at: datetime) -> Json:
    """Name a cohort, or rename it; a name must not be empty."""
    return {
        "cohort_id": cohort,
        "name": name.strip() or cohort,
        "created_at": created_at.isoformat(),
    }


def changing(cohort: str, changes: Sequence[Mapping[str, object]]) -> Json:
    """Change members; adds and removals go in one call."""
    return {"cohort_id": cohort, "cohort_changes": changes}


def change(
    user_ids: Iterable[str],
    device_ids: Iterable[str],
    aliases: Iterable[Mapping[str, str]],
    *,
    present: bool,
) -> Json:
    """Users who join or leave, each kind under a key of its own; empty if nobody."""
    kinds: Mapping[str, list[object]] = {
        "user_ids": [*user_ids],
        "device_ids": [*device_ids],
        "aliases": [*aliases],
    }
    told: Json = {kind: ids for kind, ids in kinds.items() if ids}
    return told if present or not told else {**told, "should_remove": True}


def read_reply(reply: Reply) -> None:
    """Judge an answer: nothing is returned where all of the call was taken.

    Raises as `track.read_reply`. The body of a success is not documented, so any that
    names no failure will do.
    """
    if read_track_reply(reply, 0, "the partner key, the data import key").vague:
        raise Rejected("braze_rejected", "Braze refuses a part of the call")
