"""The stand-in Mixpanel's query side, with which a cohort can be reconciled."""

from typing import Any

import pytest
import requests

from sandbox.mixpanel import Cohort, MixpanelStandIn
from tests.stand_ins.calls import basic

LIST = "/api/query/cohorts/list?project_id=9"
ENGAGE = "/api/query/engage?project_id=9"


@pytest.fixture(autouse=True)
def cohorts(mixpanel: MixpanelStandIn) -> None:
    members: dict[str, dict[str, Any]] = {f"u{n}": {"plan": n} for n in range(2500)}
    members["no profile"] = {}
    mixpanel.cohorts["7"] = Cohort("7", "Trial", members, project_id="9")


def ask(
    mixpanel: MixpanelStandIn, path: str, auth: str = "reader:pass", **form: str
) -> requests.Response:
    headers = {"authorization": basic(auth)}
    return requests.post(mixpanel.url + path, data=form, headers=headers, timeout=5)


def test_the_list_counts_every_cohort_and_its_ids_are_numbers(
    mixpanel: MixpanelStandIn,
) -> None:
    (cohort,) = ask(mixpanel, LIST).json()
    assert (cohort["id"], cohort["project_id"], cohort["count"]) == (7, 9, 2501)
    assert cohort["name"] == "Trial"


def test_members_come_in_pages_of_one_session(mixpanel: MixpanelStandIn) -> None:
    first = ask(mixpanel, ENGAGE, filter_by_cohort='{"id": 7}').json()
    assert (first["page_size"], first["total"], first["page"]) == (1000, 2501, 0)
    found = list(first["results"])
    mixpanel.cohorts["7"].members.clear()
    for page in (1, 2):
        session = first["session_id"]
        more = ask(mixpanel, ENGAGE, page=str(page), session_id=session).json()
        found += more["results"]
    assert len(more["results"]) < 1000, "a short page is the last"
    assert len({each["$distinct_id"] for each in found}) == 2501


def test_who_has_no_profile_can_be_left_out(mixpanel: MixpanelStandIn) -> None:
    content = ask(
        mixpanel, ENGAGE, filter_by_cohort='{"id": 7}', include_all_users="false"
    )
    assert content.json()["total"] == 2500


def test_properties_can_be_chosen(mixpanel: MixpanelStandIn) -> None:
    content = ask(
        mixpanel, ENGAGE, filter_by_cohort='{"id": 7}', output_properties='["x"]'
    )
    assert content.json()["results"][0] == {"$distinct_id": "u0", "$properties": {}}


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"filter_by_cohort": "7"},
        {"filter_by_cohort": '{"id": 8}'},
        {"page": "1"},
        {"page": "one"},
        {"output_properties": "{"},
    ],
)
def test_a_question_that_makes_no_sense_is_400(
    mixpanel: MixpanelStandIn, form: dict[str, str]
) -> None:
    assert ask(mixpanel, ENGAGE, **form).status_code == 400


@pytest.mark.parametrize(
    ("auth", "path"),
    [
        ("token:", LIST),
        ("reader:wrong", LIST),
        ("reader:pass", "/api/query/cohorts/list"),
        ("reader:pass", "/api/query/cohorts/list?project_id=8"),
    ],
)
def test_queries_need_a_service_account_and_a_project(
    mixpanel: MixpanelStandIn, auth: str, path: str
) -> None:
    assert ask(mixpanel, path, auth=auth).status_code == 401


def test_sixty_queries_an_hour(mixpanel: MixpanelStandIn) -> None:
    statuses = [ask(mixpanel, LIST).status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]


def test_me_shows_what_an_account_may_reach(mixpanel: MixpanelStandIn) -> None:
    content = ask(mixpanel, "/api/app/me").json()
    assert content["results"]["projects"]["9"]["role"] == "analyst"
    assert ask(mixpanel, "/api/app/me", auth="reader:wrong").status_code == 401
