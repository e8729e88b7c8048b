"""The stand-in Mixpanel when something goes wrong on purpose, and asked over HTTP."""

from typing import Any

import pytest
import requests

from sandbox.mixpanel import MixpanelStandIn
from sandbox.mixpanel.faults import BEFORE
from tests.stand_ins.calls import Call, basic, event

STALLS = {"stall before"}
"""They take a minute; the tests of the server have one."""


@pytest.mark.parametrize("kind", sorted(set(BEFORE) - STALLS))
def test_a_fault_before_the_call_stores_nothing(
    mixpanel: MixpanelStandIn, send: Call, kind: str
) -> None:
    mixpanel.faults.plan(kind)
    if kind == "reset before":
        with pytest.raises(requests.ConnectionError):
            send(event())
    else:
        status = 401 if kind == "wrong region" else int(kind[:3])
        assert send(event()).status_code == status
    assert not mixpanel.events
    assert send(event()).status_code == 200


def test_an_answer_can_be_lost_after_the_events_were_taken(
    mixpanel: MixpanelStandIn, send: Call
) -> None:
    mixpanel.faults.plan("reset after")
    with pytest.raises(requests.ConnectionError):
        send(event())
    assert send(event()).status_code == 200
    assert (len(mixpanel.events), len(mixpanel.visible())) == (2, 1)


def test_another_region_may_take_everything_and_keep_nothing(
    mixpanel: MixpanelStandIn, send: Call
) -> None:
    mixpanel.faults.plan("wrong region, silent")
    answer = send(event())
    assert (answer.status_code, answer.json()["num_records_imported"]) == (200, 1)
    assert not mixpanel.events


def test_errors_of_the_edge_are_html(mixpanel: MixpanelStandIn, send: Call) -> None:
    mixpanel.faults.plan("502")
    answer = send(event())
    assert answer.headers["content-type"] == "text/html"
    assert answer.content.startswith(b"<html>")


RECORD = {
    "index": 1,
    "insert_id": "id-1",
    "field": "properties.time",
    "message": "'properties.time' is invalid: must not be missing",
}


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        ("", [RECORD]),
        ("$insert_id", [{**RECORD, "insert_id": None, "$insert_id": "id-1"}]),
        ("no index", [{**RECORD, "index": None}]),
        ("index only", [{"index": 1}]),
        ("texts", [RECORD["message"]]),
        ("no list", None),
        ("status number", [RECORD]),
        ("no error", [RECORD]),
    ],
)
def test_a_400_has_eight_shapes(
    mixpanel: MixpanelStandIn, send: Call, kind: str, records: Any
) -> None:
    mixpanel.faults.plan(kind)
    content = send(event(), event(time=None)).json()
    for record in records or ():
        if isinstance(record, dict):
            for absent in [key for key, value in record.items() if value is None]:
                del record[absent]
    assert content["failed_records"] == records
    assert ("error" in content) == (kind != "no error")
    assert content["status"] == (0 if kind == "status number" else "Bad Request")
    assert content["num_records_imported"] == 1
    assert len(mixpanel.events) == 1


def test_a_400_can_contradict_itself(mixpanel: MixpanelStandIn, send: Call) -> None:
    mixpanel.faults.plan("odd index")
    content = send(event(), event(time=None)).json()
    assert content["failed_records"] == [RECORD | {"index": 2_001}]
    mixpanel.faults.plan("odd count")
    content = send(event(), event(time=None)).json()
    assert (content["num_records_imported"], content["failed_records"]) == (2, [RECORD])


def test_a_shape_of_the_400_leaves_a_200_alone(
    mixpanel: MixpanelStandIn, send: Call
) -> None:
    for kind in ("$insert_id", "no index", "texts", "no list", "no error"):
        mixpanel.faults.plan(kind)
        assert send(event()).json()["status"] == "OK"


def test_a_slow_answer_comes_in_the_end(mixpanel: MixpanelStandIn, send: Call) -> None:
    mixpanel.faults.plan("slow")
    assert send(event()).elapsed.total_seconds() >= 1


def test_a_fault_that_does_not_exist_is_an_error(mixpanel: MixpanelStandIn) -> None:
    with pytest.raises(ValueError, match="reset after"):
        mixpanel.faults.plan("resets")
    url = f"{mixpanel.url}/_stand_in/faults"
    for plan in ({"next": [{"kind": "resets"}]}, {"rates": {"resets": 0.1}}):
        assert requests.post(url, json=plan, timeout=5).status_code == 400


def test_it_can_be_inspected_and_set_over_http(
    mixpanel: MixpanelStandIn, send: Call
) -> None:
    send(event(), event(), event(**{"$ignore": True}))
    url = f"{mixpanel.url}/_stand_in"
    state = requests.get(f"{url}/state", timeout=5).json()
    assert (state["copies"], state["visible"], state["ignored"]) == (2, 1, 1)
    assert state["by_event"] == {"Email Open": 1}
    assert state["calls"] == {"/import": 1}
    (shown,) = requests.get(f"{url}/events", timeout=5).json()
    assert shown["event"] == "Email Open"
    plan = {"next": [{"kind": "503", "times": 1}]}
    assert requests.post(f"{url}/faults", json=plan, timeout=5).status_code == 200
    assert send(event()).status_code == 503
    requests.post(f"{url}/reset", timeout=5)
    assert mixpanel.state()["copies"] == 0


def test_other_paths_and_methods_are_rejected(mixpanel: MixpanelStandIn) -> None:
    for path, status in (("/imports", 404), ("/_stand_in/x", 404), ("/import", 405)):
        headers = {"authorization": basic("token:")}
        answer = requests.get(mixpanel.url + path, headers=headers, timeout=5)
        assert answer.status_code == status
