"""Mixpanel's own list of a cohort's members, fetched page by page and kept in a file.

Sixty queries an hour make a large cohort a matter of hours, so that an interrupted
fetch goes on where it was. The file holds ids of people: it is for its owner alone, and
deleted when it has been compared.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bridge.cohorts.messages import CohortKey
from bridge.cohorts.rules.identifiers import (
    DISTINCT_ID_KEYS,
    Matched,
    match_member,
    parse_sources,
)
from bridge.errors import RetryableError
from bridge.mixpanel.query_api import (
    PAGE_SIZE,
    QUERIES_PER_HOUR,
    MembersPage,
    QueryClient,
)
from bridge.settings import CohortRoute
from cli.stack import RunningStack, StackError

FOLDER = Path(".bridge")
FRESH_SECONDS = 86_400
"""An older list is begun anew: it shows the cohort as it was."""

HOUR = 3600.0
LIMITED_PAUSE = 60.0
"""Seconds until Mixpanel is asked again after it was asked too often."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS fetched (
    began INTEGER, session TEXT, pages INTEGER, total INTEGER, done INTEGER
);
CREATE TABLE IF NOT EXISTS listed (
    distinct_id TEXT PRIMARY KEY, key TEXT, entry INTEGER, reason TEXT,
    seen INTEGER DEFAULT 0
);
CREATE INDEX IF NOT EXISTS by_key ON listed (key);
"""


class Pacer:
    """Keeps to sixty queries an hour, of all runs on this machine together."""

    def __init__(
        self,
        folder: Path,
        project: str,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = folder / f"queries-{quote(project, safe='')[:100]}.sqlite"
        self._say, self._clock, self._sleep = say, clock, sleep

    def before_a_query(self) -> None:
        """Wait until one more is allowed, and count it."""
        while True:
            now = self._clock()
            with closing(connect(self._path)) as file, file as transaction:
                transaction.execute("CREATE TABLE IF NOT EXISTS asked (at REAL)")
                transaction.execute("DELETE FROM asked WHERE at <= ?", (now - HOUR,))
                number, first = transaction.execute(
                    "SELECT count(*), min(at) FROM asked"
                ).fetchone()
                if number < QUERIES_PER_HOUR:
                    transaction.execute("INSERT INTO asked VALUES (?)", (now,))
                    return
            wait = first + HOUR - now
            self._say(f"Mixpanel takes 60 queries an hour: waiting {wait / 60:.0f} min")
            self._sleep(max(wait, 0.1))

    def limited(self) -> None:
        """Wait after Mixpanel has said that it was asked too often."""
        self._say("Mixpanel was asked too often, perhaps by others: waiting a minute")
        self._sleep(LIMITED_PAUSE)


def seconds_for(members: int) -> float:
    """How long it takes at least to list so many members."""
    queries = members // PAGE_SIZE + 1
    return max(0, queries - QUERIES_PER_HOUR) * HOUR / QUERIES_PER_HOUR + queries


@dataclass
class MixpanelList:
    """What was fetched of one cohort; `began` is in ms since the epoch."""

    file: sqlite3.Connection
    path: Path
    began: int = 0
    session: str = ""
    pages: int = 0
    total: int = 0
    is_done: bool = False

    def forget(self) -> None:
        """Delete the file."""
        self.file.close()
        self.path.unlink(missing_ok=True)


@contextmanager
def opened(
    folder: Path, stack: RunningStack, key: CohortKey, *, fresh: bool
) -> Iterator[MixpanelList]:
    """The list as far as it was fetched; raises `StackError` if another run has it."""
    name = f"{stack.name or 'local'}-{key.group[:16]}.sqlite"
    path = folder / name
    if fresh:
        path.unlink(missing_ok=True)
    file = connect(path)
    try:
        file.executescript(SCHEMA)
        # Held to the end: a second run on the same list would mix the two up.
        file.execute("PRAGMA locking_mode = EXCLUSIVE")
        file.execute("BEGIN IMMEDIATE")
        file.commit()
    except sqlite3.OperationalError:
        file.close()
        raise StackError(f"another run is at work on {path}") from None
    found = MixpanelList(file, path)
    row = file.execute("SELECT * FROM fetched").fetchone()
    if row and time.time() - row[0] / 1000 < FRESH_SECONDS:
        found.began, found.session, found.pages, found.total, done = row
        found.is_done = bool(done)
    try:
        yield found
    finally:
        file.close()


def connect(path: Path) -> sqlite3.Connection:
    """A file that only its owner may read; raises `StackError`."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        return sqlite3.connect(path, timeout=0.2)
    except (OSError, sqlite3.Error) as error:
        raise StackError(f"{path} cannot be written: {error}") from None


def fetch(
    listed: MixpanelList,
    client: QueryClient,
    pacer: Pacer,
    stack: RunningStack,
    key: CohortKey,
    advance: Callable[[int], None],
) -> None:
    """Fetch what is missing, and note the identifier of each member.

    Raises what the client raises; what was fetched until then is kept.
    """
    sources = parse_sources(
        stack.identifiers, partner=stack.route is CohortRoute.PARTNER
    )
    properties = [s.property for s in sources if s.property not in DISTINCT_ID_KEYS]
    if not listed.began:
        with listed.file as transaction:
            transaction.execute("DELETE FROM listed")
            transaction.execute("DELETE FROM fetched")
    elif listed.pages:
        advance(_count(listed))
    while not listed.is_done:
        began = listed.began or int(time.time() * 1000)
        page = _page(client, pacer, key, properties, listed)
        with listed.file as transaction:
            for profile in page.profiles:
                distinct_id = str(profile["$distinct_id"])
                found = match_member(
                    {**profile, "mixpanel_distinct_id": distinct_id}, sources
                )
                row = (
                    (distinct_id, found.identifier.key, found.entry, "")
                    if isinstance(found, Matched)
                    else (distinct_id, "", 0, found.reason)
                )
                transaction.execute(
                    "INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?, 0)", row
                )
            listed.began, listed.session = began, page.session
            listed.pages, listed.total = listed.pages + 1, page.total
            listed.is_done = page.is_last
            transaction.execute("DELETE FROM fetched")
            transaction.execute(
                "INSERT INTO fetched VALUES (?, ?, ?, ?, ?)",
                (began, page.session, listed.pages, page.total, page.is_last),
            )
        advance(len(page.profiles))


def _page(
    client: QueryClient,
    pacer: Pacer,
    key: CohortKey,
    properties: list[str],
    listed: MixpanelList,
) -> MembersPage:
    while True:
        pacer.before_a_query()
        try:
            return client.members(key.cohort, properties, listed.session, listed.pages)
        except RetryableError as error:
            if error.reason != "mixpanel_status_429":
                raise
        pacer.limited()


def _count(listed: MixpanelList) -> int:
    number: int = listed.file.execute("SELECT count(*) FROM listed").fetchone()[0]
    return number
