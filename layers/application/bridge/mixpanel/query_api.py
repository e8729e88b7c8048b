"""Mixpanel's Query API: how many members its cohorts have, and who they are.

Source: Mixpanel docs, "Query API" (cohorts/list, engage). It takes sixty queries an
hour of a project, and a service account alone. Only the operator's command asks it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bridge.credentials import MixpanelCredentials, Secret
from bridge.errors import BridgeError, CredentialsRejected, RetryableError
from bridge.reasons import Reason
from bridge.transport import Reply, Transport

QUERIES_PER_HOUR = 60
PAGE_SIZE = 1000
"""Profiles a page, as the docs show it; the answer says what it is."""

HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}


class MembersPage(NamedTuple):
    """One page of a cohort's profiles: `$distinct_id` and the properties asked for.

    Later pages need the `session`, and show the cohort as it was at the first one.
    """

    session: str
    number: int
    page_size: int
    total: int
    profiles: Sequence[Mapping[str, Any]]

    @property
    def is_last(self) -> bool:
        """A page that is not full is the last one."""
        return len(self.profiles) < self.page_size


class QueryClient:
    """Asks with the current credentials; `time_left` gives the seconds for a call.

    Raises `CredentialsRejected`, `RetryableError`, and `BridgeError` where the secret
    holds no service account.
    """

    def __init__(
        self,
        transport: Transport,
        secret: Secret[MixpanelCredentials],
        time_left: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._secret = secret
        self._time_left = time_left

    def cohort_sizes(self) -> dict[str, int]:
        """Members of each cohort of the project, by its id; one query."""
        listed = self._ask("cohorts/list", {})
        try:
            return {str(each["id"]): int(each["count"]) for each in listed}
        except (TypeError, KeyError, ValueError):
            raise _unclear() from None

    def members(
        self, cohort: str, properties: Sequence[str], session: str = "", number: int = 0
    ) -> MembersPage:
        """One page of members, counted from 0; one query."""
        form = {
            "filter_by_cohort": f'{{"id":{int(cohort)}}}',
            "output_properties": json.dumps([*properties]),
            "page": str(number),
        }
        if session:
            form["session_id"] = session
        answer = self._ask("engage", form)
        try:
            return MembersPage(
                str(answer["session_id"]),
                int(answer["page"]),
                int(answer.get("page_size") or PAGE_SIZE),
                int(answer["total"]),
                [
                    {"$distinct_id": each["$distinct_id"], **each["$properties"]}
                    for each in answer["results"]
                ],
            )
        except (TypeError, KeyError, ValueError, AttributeError):
            raise _unclear() from None

    def _ask(self, what: str, form: Mapping[str, str]) -> Any:
        credentials = self._secret.get()
        if not credentials.query:
            raise BridgeError(
                Reason.NO_SERVICE_ACCOUNT,
                "Mixpanel's query API takes a service account only; the Mixpanel "
                "secret has none (`setup` stores one)",
            )
        return _read(
            self._transport.post(
                f"/api/query/{what}",
                urlencode(form).encode(),
                headers=HEADERS,
                params=credentials.query,
                auth=credentials.basic_auth(),
                time_left=self._time_left,
            )
        )


def _read(reply: Reply) -> Any:
    if reply.status in {401, 403}:
        raise CredentialsRejected(
            f"mixpanel_{reply.status}",
            "Mixpanel's query API rejects the service account, its project or region "
            f"(status {reply.status})",
        )
    if reply.status != 200:
        raise RetryableError(
            f"mixpanel_{reply.status}",
            f"Mixpanel's query API answered with status {reply.status}: does it know "
            "the cohort?",
        )
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        raise _unclear() from None


def _unclear() -> RetryableError:
    return RetryableError(
        Reason.MIXPANEL_QUERY, "Mixpanel's query API gave an answer of another shape"
    )
