"""A Mixpanel project on 127.0.0.1: routes, faults, and what a person with curl can do.

It receives imports, answers queries about its cohorts, and sends their syncs.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sandbox.mixpanel.cohorts import NAMED_DIALECTS, Cohort
from sandbox.mixpanel.credentials import Credentials
from sandbox.mixpanel.events import Event, Events, Key
from sandbox.mixpanel.faults import (
    AFTER,
    BEFORE,
    KINDS,
    LIMITED,
    WRONG_REGION_SILENT,
    error,
)
from sandbox.mixpanel.imports import ImportApi, ImportLimits
from sandbox.mixpanel.queries import Queries
from sandbox.mixpanel.rules import Project
from sandbox.mixpanel.sync import CohortSync, SyncResult
from sandbox.servers.faults import Faults
from sandbox.servers.web import Answer, Call, StandIn

_QUERIES = frozenset({"/api/query/cohorts/list", "/api/query/engage"})


class MixpanelStandIn(StandIn):
    """A Mixpanel on 127.0.0.1 with one project.

    `service_accounts` is user name → secret, `roles` user name → role. `project` holds
    the switches of the import side, `limits` its limits. `clock` gives epoch seconds;
    `sleep` is how a sync that was asked for over HTTP waits between retries.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        project_id: str = "1",
        project_token: str = "token",  # noqa: S107 - of a stand-in
        api_secret: str = "secret",  # noqa: S107
        service_accounts: Mapping[str, str] | None = None,
        roles: Mapping[str, str] | None = None,
        project: Project | None = None,
        limits: ImportLimits | None = None,
        faults: Faults | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.faults = faults or Faults(KINDS)
        self.calls: Counter[str] = Counter()
        self.cohorts: dict[str, Cohort] = {}
        self.project = project or Project()
        self.credentials = Credentials(
            project_id,
            {project_token, api_secret},
            dict(service_accounts or {}),
            dict(roles or {}),
        )
        self._clock = clock
        self._sleep = sleep
        self._events = Events(self.project)
        self._imports = ImportApi(
            self.project,
            self.credentials,
            self._events,
            limits or ImportLimits(),
            clock,
        )
        self.queries = Queries(project_id, self.cohorts, clock)
        self._syncs: dict[tuple[str, str], CohortSync] = {}
        super().__init__(port)

    @property
    def project_id(self) -> str:
        return self.credentials.project_id

    @property
    def service_accounts(self) -> dict[str, str]:
        """User name → secret; may be replaced, as after a rotation."""
        return self.credentials.service_accounts

    @service_accounts.setter
    def service_accounts(self, accounts: dict[str, str]) -> None:
        self.credentials.service_accounts = accounts

    @property
    def events(self) -> list[Event]:
        """Every copy that was taken: the raw view, which is never deduplicated."""
        return self._events.copies

    def visible(self) -> dict[Key, Event]:
        """What a query shows: one event a key, the newest copy."""
        return self._events.visible()

    def respond(self, call: Call) -> Answer:
        """Answer one call, with a fault if one is planned."""
        if call.path.startswith("/_stand_in/"):
            try:
                return self._inspect(call)
            except (ValueError, TypeError, AttributeError) as problem:
                return error(400, "Bad Request", f"cannot be read: {problem}")
        self.calls[call.path] += 1
        if call.path.rstrip("/") == "/import":
            return self._import(call)
        if call.path in _QUERIES:
            return self._query(call)
        if call.path == "/api/app/me":
            caller = self.credentials.caller(call)
            if caller is None:
                return error(401, "Unauthorized", "Invalid credentials")
            return self.queries.me(caller, self.credentials.roles.get(caller, "admin"))
        return error(404, "Not Found", "no such path")

    def _import(self, call: Call) -> Answer:
        if call.method != "POST":
            return error(405, "Method Not Allowed", "use POST")
        fault = self.faults.next("/import")
        if not fault:
            return self._imports.answer(call)
        if fault in BEFORE:
            return BEFORE[fault]
        if fault == WRONG_REGION_SILENT:
            return self._imports.answer(call, store=False)
        # Looked up first: a fault that does not exist must not store anything.
        change = AFTER[fault]
        return change(self._imports.answer(call))

    def _query(self, call: Call) -> Answer:
        rejection = self.credentials.query_rejection(call)
        if rejection:
            return error(401, "Unauthorized", rejection)
        if not self.queries.within_limit():
            return error(429, "Too Many Requests", LIMITED)
        if call.path.endswith("/list"):
            return self.queries.list_cohorts()
        return self.queries.engage(call.form() | dict(call.query))

    def sync(self, cohort_id: str, url: str, **options: Any) -> SyncResult:
        """Sync one of `cohorts` to a webhook; `options` are those of `CohortSync`.

        The same cohort and URL are the same sync, with the options of its first run;
        the second sends the difference. A paused one is connected anew.
        """
        key = cohort_id, url
        if key not in self._syncs or self._syncs[key].paused:
            options = {"clock": self._clock, "sleep": self._sleep} | options
            self._syncs[key] = CohortSync(self.cohorts[cohort_id], url, **options)
        return self._syncs[key].run()

    def reset(self) -> None:
        """Forget events, cohorts, syncs and faults."""
        self._events.clear()
        self.cohorts.clear()
        self._syncs.clear()
        self.calls.clear()
        self.faults.clear()

    # What a person with curl can do

    def _inspect(self, call: Call) -> Answer:
        match call.method, call.path.removeprefix("/_stand_in/"):
            case "GET", "state":
                return Answer(200, self.state())
            case "GET", "events":
                return Answer(200, list(self.visible().values()))
            case "POST", "faults":
                self.faults.load(call.json())
                return Answer(200, {})
            case "POST", "cohorts":
                return self._put_cohort(call.json())
            case "POST", "sync":
                return self._run_sync(call.json())
            case "POST", "reset":
                self.reset()
                return Answer(200, {})
        return error(404, "Not Found", "no such path")

    def state(self) -> dict[str, Any]:
        """What an operator would look up, as JSON."""
        visible = self.visible()
        return {
            "copies": len(self.events),
            "visible": len(visible),
            "ignored": self._events.ignored,
            "by_event": dict(Counter(key[0] for key in visible)),
            "calls": dict(self.calls),
            "cohorts": {
                cohort.id: {"name": cohort.name, "members": len(cohort.members)}
                for cohort in list(self.cohorts.values())
            },
        }

    def _put_cohort(self, given: Mapping[str, Any]) -> Answer:
        """Make a cohort or change it: a list of distinct ids, or id → properties."""
        cohort_id = str(given.get("id", ""))
        if not cohort_id.isdecimal():
            return error(400, "Bad Request", "id must be digits")
        made = Cohort(cohort_id, f"Cohort {cohort_id}", project_id=self.project_id)
        cohort = self.cohorts.setdefault(cohort_id, made)
        cohort.name = given.get("name", cohort.name)
        members = given.get("members")
        if members is not None:
            has = members if isinstance(members, dict) else {}
            cohort.members = {
                str(person): dict(has.get(person, {})) for person in members
            }
        return Answer(200, {"id": cohort.id, "members": len(cohort.members)})

    def _run_sync(self, given: Mapping[str, Any]) -> Answer:
        dialect = NAMED_DIALECTS.get(given.get("dialect", "documented"))
        if dialect is None or given.get("id") not in self.cohorts or "url" not in given:
            text = f"needs id, url; dialect is one of {', '.join(NAMED_DIALECTS)}"
            return error(400, "Bad Request", text)
        result = self.sync(
            given["id"],
            given["url"],
            username=given.get("username", ""),
            password=given.get("password", ""),
            dialect=dialect,
            rng=random.Random(given.get("seed", 1)),  # noqa: S311 - orders pages
        )
        return Answer(200, asdict(result))
