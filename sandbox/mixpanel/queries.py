"""Mixpanel's query side, as far as reconciling a cohort needs it.

Source: Mixpanel docs, "Query API" (cohorts/list, engage). Cohort ids are integers here
and texts in the webhook. The shape of /api/app/me is not documented: this one is ours.
"""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.mixpanel.cohorts import Cohort
from sandbox.servers.web import Answer

PAGE_SIZE = 1000
QUERIES_PER_HOUR = 60
HOUR = 3600
_INVALID = 400


class Queries:
    """Answers about `cohorts`, sixty times an hour; `clock` is in epoch seconds."""

    def __init__(
        self,
        project_id: str,
        cohorts: Mapping[str, Cohort],
        clock: Callable[[], float],
        page_size: int = PAGE_SIZE,
        per_hour: int = QUERIES_PER_HOUR,
    ) -> None:
        self._project_id = project_id
        self._cohorts = cohorts
        self._clock = clock
        self._page_size = page_size
        self._per_hour = per_hour
        self._asked: list[float] = []
        self._sessions: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def within_limit(self) -> bool:
        """Count one more query of the last hour."""
        with self._lock:
            now = self._clock()
            self._asked = [at for at in self._asked if now - at < HOUR]
            if len(self._asked) >= self._per_hour:
                return False
            self._asked.append(now)
            return True

    def list_cohorts(self) -> Answer:
        """`/api/query/cohorts/list`."""
        return Answer(
            200,
            [
                {
                    "id": int(cohort.id),
                    "name": cohort.name,
                    "description": cohort.description,
                    "count": len(cohort.members),
                    "created": "2026-01-01 00:00:00",
                    "is_visible": 1,
                    "project_id": int(self._project_id),
                }
                for cohort in list(self._cohorts.values())
            ],
        )

    def engage(self, form: Mapping[str, str]) -> Answer:
        """`/api/query/engage`: the profiles of one cohort, page by page.

        Later pages need the `session_id` of the first and show the cohort as it was.
        """
        try:
            page = int(form.get("page", "0"))
            wanted = json.loads(form.get("output_properties", "null"))
        except ValueError:
            return _wrong("page or output_properties cannot be read")
        session = form.get("session_id", "")
        with self._lock:
            if page and session not in self._sessions:
                return _wrong("a later page needs the session_id of the first")
            if not page:
                profiles = self._profiles(form)
                if profiles is None:
                    return _wrong("filter_by_cohort must be {'id': <known cohort>}")
                session = f"{int(self._clock())}-{len(self._sessions)}"
                self._sessions[session] = profiles
            profiles = self._sessions[session]
        start = page * self._page_size
        return Answer(
            200,
            {
                "page": page,
                "page_size": self._page_size,
                "session_id": session,
                "status": "ok",
                "total": len(profiles),
                "results": [
                    _limited(profile, wanted)
                    for profile in profiles[start : start + self._page_size]
                ],
            },
        )

    def _profiles(self, form: Mapping[str, str]) -> list[dict[str, Any]] | None:
        """The profiles of all members; None for an unknown cohort."""
        try:
            cohort_id = str(json.loads(form["filter_by_cohort"])["id"])
        except (KeyError, TypeError, ValueError):
            return None
        if cohort_id not in self._cohorts:
            return None
        everybody = form.get("include_all_users", "true").lower() != "false"
        return [
            {"$distinct_id": distinct_id, "$properties": dict(properties)}
            for distinct_id, properties in self._cohorts[cohort_id].members.items()
            if properties or everybody
        ]

    def me(self, username: str, role: str) -> Answer:
        """`/api/app/me`: what a service account may reach."""
        projects = {self._project_id: {"name": "Sandbox", "role": role}}
        results = {"user_name": username, "projects": projects}
        return Answer(200, {"status": "ok", "results": results})


def _limited(profile: dict[str, Any], wanted: Any) -> dict[str, Any]:
    if not isinstance(wanted, list):
        return profile
    properties = profile["$properties"].items()
    return profile | {"$properties": {k: v for k, v in properties if k in wanted}}


def _wrong(text: str) -> Answer:
    return Answer(_INVALID, {"error": text, "status": "error"})
