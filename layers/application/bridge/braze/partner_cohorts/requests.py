"""The wire of Braze's cohort import for partners, from the caller's side (pure).

Source: Braze docs, "Cohort import". Both secrets are sent in the body, and a rejection
may repeat one of them. Unknown users are ignored silently, and no user is created.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from bridge.braze.users_track import read_reply as read_track_reply
from bridge.errors import Rejected
from bridge.reasons import Reason
from bridge.transport import Reply

type Json = dict[str, object]


def names(partner: str) -> str:
    """The path of the call that names a cohort."""
    return f"/partners/{partner}/cohorts"


def users(partner: str) -> str:
    """The path of the call that changes members."""
    return f"/partners/{partner}/cohorts/users"


def naming(cohort: str, name: str, created_at: datetime) -> Json:
    """The body that names a cohort; an empty name is replaced by the cohort's id."""
    return {
        "cohort_id": cohort,
        "name": name.strip() or cohort,
        "created_at": created_at.isoformat(),
    }


def changing(cohort: str, changes: Sequence[Mapping[str, object]]) -> Json:
    """The body that changes members; one call may both add and remove."""
    return {"cohort_id": cohort, "cohort_changes": changes}


def change(
    user_ids: Iterable[str],
    device_ids: Iterable[str],
    aliases: Iterable[Mapping[str, str]],
    *,
    present: bool,
) -> Json:
    """One change: users who join, or leave; empty if there are none."""
    kinds: Mapping[str, list[object]] = {
        "user_ids": [*user_ids],
        "device_ids": [*device_ids],
        "aliases": [*aliases],
    }
    listed: Json = {kind: ids for kind, ids in kinds.items() if ids}
    return listed if present or not listed else {**listed, "should_remove": True}


def read_reply(reply: Reply) -> None:
    """Read an answer; returns if Braze accepted the whole call.

    Raises as `users_track.read_reply`. The body of a success is undocumented, so any
    2xx that names no failure is one, whatever its `message`.
    """
    keys = "the partner key, the data import key"
    if read_track_reply(reply, 0, keys, any_message=True).vague:
        raise Rejected(Reason.BRAZE_REJECTED, "Braze rejects a part of the call")
