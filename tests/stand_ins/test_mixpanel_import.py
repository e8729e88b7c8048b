"""The stand-in Mixpanel on /import, by the numbers of its event rules."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import requests

from sandbox.mixpanel import ImportLimits, MixpanelStandIn, Project
from tests.stand_ins.calls import NOW, Call, basic, event, import_body

type Break = Callable[[dict[str, Any]], object]


def test_valid_events_are_imported(mixpanel: MixpanelStandIn, send: Call) -> None:
    answer = send(event(), event(**{"$insert_id": "id-2"}))
    expected = {"code": 200, "num_records_imported": 2, "status": "OK"}
    assert (answer.status_code, answer.json()) == (200, expected)
    assert len(mixpanel.visible()) == 2


def test_lines_are_taken_like_an_array(mixpanel: MixpanelStandIn) -> None:
    lines = b"\n".join(orjson.dumps(event(n=number)) for number in range(3)) + b"\n\n"
    answer = import_body(mixpanel.url, lines, content_type="application/x-ndjson")
    assert answer.json()["num_records_imported"] == 3


# The order of checks


def test_the_size_comes_before_the_credentials(mixpanel: MixpanelStandIn) -> None:
    answer = import_body(mixpanel.url, b"x" * 10_000_001, auth="wrong:")
    assert answer.status_code == 413
    assert answer.json()["error"] == "request exceeds max limit of 2097152 bytes"
    assert import_body(mixpanel.url, b"x" * 9_999_999, auth="wrong:").status_code == 401


@pytest.mark.parametrize(
    ("auth", "query", "status"),
    [
        ("token:", "strict=1", 200),
        ("secret:", "strict=1", 200),
        ("bridge:pass", "strict=1&project_id=9", 200),
        ("bridge:pass", "strict=1", 401),
        ("bridge:pass", "strict=1&project_id=8", 401),
        ("bridge:wrong", "strict=1&project_id=9", 401),
        ("reader:pass", "strict=1&project_id=9", 401),
        ("token:x", "strict=1", 401),
        ("token", "strict=1", 401),
        ("other:", "strict=1", 401),
        (":", "strict=1", 401),
    ],
)
def test_credentials(send: Call, auth: str, query: str, status: int) -> None:
    assert send(event(), auth=auth, query=query).status_code == status


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 401),
        ("Basic", 401),
        ("Bearer token", 401),
        ("Basic =", 401),
        ("Basic token:", 200),
    ],
)
def test_odd_authorization_headers(
    mixpanel: MixpanelStandIn, header: str, status: int
) -> None:
    answer = requests.post(
        f"{mixpanel.url}/import/",
        data=orjson.dumps([event()]),
        headers={"authorization": header},
        timeout=5,
    )
    assert answer.status_code == status


@pytest.mark.parametrize(
    "limits", [ImportLimits(events_per_minute=2), ImportLimits(bytes_per_minute=300)]
)
def test_a_rolling_minute_limits_events_and_bytes_without_retry_after(
    limits: ImportLimits,
) -> None:
    now = [NOW]
    with MixpanelStandIn(limits=limits, clock=lambda: now[0]) as mixpanel:

        def send() -> requests.Response:
            return import_body(mixpanel.url, orjson.dumps([event(), event()]))

        assert send().status_code == 200
        limited = send()
        assert limited.status_code == 429
        assert "retry-after" not in limited.headers
        assert limited.json()["error"].startswith("Project exceeded rate limits.")
        now[0] += 60
        assert send().status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}", b"[]", b"1", b"[NaN]", b"[" * 100_000, b"\xff"]
)
def test_a_body_without_events_is_400(mixpanel: MixpanelStandIn, body: bytes) -> None:
    answer = import_body(mixpanel.url, body)
    assert answer.status_code == 400
    assert "failed_records" not in answer.json()


def test_bad_gzip_is_400(mixpanel: MixpanelStandIn) -> None:
    headers = {"authorization": basic("token:"), "content-encoding": "gzip"}
    for body in (b"no gzip", b"\x1f\x8b\x08"):
        answer = requests.post(
            f"{mixpanel.url}/import", data=body, headers=headers, timeout=5
        )
        assert answer.status_code == 400


@pytest.mark.parametrize("status", [400, 413])
def test_2000_events_a_call(status: Any) -> None:
    with MixpanelStandIn(
        project=Project(too_many=status), clock=lambda: NOW
    ) as mixpanel:
        for count, expected in ((2000, 200), (2001, status)):
            body = orjson.dumps([event()] * count)
            assert import_body(mixpanel.url, body).status_code == expected


# The rules of an event


def breaking(change: Break) -> dict[str, Any]:
    broken = event(**{"$insert_id": "id-2"})
    change(broken)
    return broken


def setting(**changes: Any) -> Break:
    return lambda broken: broken["properties"].update(changes)


def without(name: str) -> Break:
    return lambda broken: broken["properties"].pop(name)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (lambda e: e.pop("properties"), "", "event must be an object"),
        (lambda e: e.update(properties=[]), "", "event must be an object"),
        (
            lambda e: e.update(event=" "),
            "event",
            "'event' must not be missing or blank",
        ),
        (lambda e: e.update(event=[]), "event", "'event' must not be missing or blank"),
        (without("time"), "properties.time", "must not be missing"),
        (setting(time="soon"), "properties.time", "seconds since epoch"),
        (setting(time=1.5e9), "properties.time", "seconds since epoch"),
        (setting(time=True), "properties.time", "seconds since epoch"),
        (setting(time=31_535_999), "properties.time", "1971"),
        (setting(time=int(NOW) + 3601), "properties.time", "must not be in the future"),
        (
            setting(time=(int(NOW) + 3601) * 1000),
            "properties.time",
            "must not be in the future",
        ),
        (without("distinct_id"), "properties.distinct_id", "must not be missing"),
        (setting(distinct_id="Anonymous"), "properties.distinct_id", "reserved"),
        (setting(distinct_id=0), "properties.distinct_id", "reserved"),
        (without("$insert_id"), "$insert_id", "must not be missing"),
        (setting(**{"$insert_id": ""}), "$insert_id", "must not be missing"),
        (setting(**{"$insert_id": "a" * 37}), "$insert_id", "36 bytes"),
        (
            setting(**{"$insert_id": "a_b"}),
            "$insert_id",
            "must only contain alphanumeric or hyphen '-' characters",
        ),
        (setting(**{"$insert_id": "NULL"}), "$insert_id", "reserved"),
        (setting(**{f"p{n}": n for n in range(255)}), "properties", "255"),
        (setting(deep=[[[[1]]]]), "properties.deep", "nested"),
        (setting(wide={f"k{n}": n for n in range(255)}), "properties.wide", "large"),
        (setting(long=list(range(255))), "properties.long", "large"),
        (setting(huge=["x" * 500_000] * 2), "", "1 MB"),
    ],
)
def test_rules_1_to_16_fail_one_event_and_import_the_others(
    mixpanel: MixpanelStandIn, send: Call, change: Break, field: str, message: str
) -> None:
    answer = send(event(), breaking(change))
    assert answer.status_code == 400
    content = answer.json()
    assert (content["code"], content["status"]) == (400, "Bad Request")
    assert content["error"] == "some data points in the request failed validation"
    assert content["num_records_imported"] == 1
    (failed,) = content["failed_records"]
    assert (failed["index"], failed["field"]) == (1, field)
    assert message in failed["message"]
    assert len(mixpanel.visible()) == 1


def test_rule_1_an_event_that_is_no_object_fails_alone(send: Call) -> None:
    failed = send(event(), "text", None, 7).json()["failed_records"]
    assert [record["index"] for record in failed] == [1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        setting(time=31_536_000),
        setting(time=int(NOW) + 3600),
        setting(distinct_id=""),
        setting(**{"$insert_id": "a" * 36}),
        setting(**{f"p{n}": n for n in range(251)}),
        setting(deep=[[[1]]]),
        setting(long=list(range(254))),
        setting(large="x" * 500_000),
    ],
)
def test_what_is_just_within_a_rule_is_imported(send: Call, change: Break) -> None:
    assert send(breaking(change)).status_code == 200


def test_rule_7_a_time_within_the_next_hour_becomes_now(
    mixpanel: MixpanelStandIn, send: Call
) -> None:
    send(event(time=int(NOW) + 60), event(time=int(NOW + 60) * 1000 + 5))
    assert [e["properties"]["time"] for e in mixpanel.events] == [NOW, NOW * 1000]
    assert {key[2] for key in mixpanel.visible()} == {int(NOW) * 1000}


@pytest.mark.parametrize(
    ("simplified", "ids", "distinct_id"),
    [
        (True, {"$user_id": "u", "$device_id": "d"}, "u"),
        (True, {"$device_id": "d"}, "$device:d"),
        (True, {"$device_id": "$device:d"}, "$device:d"),
        (True, {"distinct_id": "x", "$user_id": "u"}, "u"),
        (False, {"$user_id": "u", "$device_id": "d"}, None),
        (False, {"distinct_id": "x", "$user_id": "u"}, "x"),
    ],
)
def test_rule_8_only_simplified_projects_derive_the_distinct_id(
    simplified: bool, ids: dict[str, str], distinct_id: str | None
) -> None:
    with MixpanelStandIn(
        project=Project(simplified=simplified), clock=lambda: NOW
    ) as mixpanel:
        made = event()
        del made["properties"]["distinct_id"]
        made["properties"] |= ids
        answer = import_body(mixpanel.url, orjson.dumps([made]))
        assert answer.status_code == (200 if distinct_id else 400)
        assert [key[1] for key in mixpanel.visible()] == [distinct_id] * answer.ok


def test_rule_10_an_event_without_insert_id_may_get_one_that_never_matches() -> None:
    with MixpanelStandIn(
        project=Project(missing_insert_id="generate"), clock=lambda: NOW
    ) as mixpanel:
        made = event()
        del made["properties"]["$insert_id"]
        for _ in range(2):
            assert import_body(mixpanel.url, orjson.dumps([made])).ok
        assert len(mixpanel.visible()) == 2


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\\ud800"])
def test_rule_17_a_text_that_is_not_utf8_fails_its_event_alone(
    mixpanel: MixpanelStandIn, text: bytes
) -> None:
    bad = orjson.dumps(event(utm_source="HERE")).replace(b"HERE", text)
    answer = import_body(mixpanel.url, b"[" + orjson.dumps(event()) + b"," + bad + b"]")
    (failed,) = answer.json()["failed_records"]
    assert failed["index"] == 1
    assert failed["message"] == (
        "properties.utm_source is invalid: string should be valid utf8"
    )
    assert len(mixpanel.visible()) == 1


def test_rules_18_and_19_long_texts_and_names_are_cut_without_an_error(
    mixpanel: MixpanelStandIn, send: Call
) -> None:
    made = event(text="é" * 256, **{"n" * 256: 1})
    made["event"] = "e" * 256
    assert send(made).status_code == 200
    ((name, *_), stored) = next(iter(mixpanel.visible().items()))
    assert name == "e" * 255
    assert stored["properties"]["text"] == "é" * 255
    assert stored["properties"]["n" * 255] == 1


@pytest.mark.parametrize("name", ["$identify", "$create_alias", "$merge"])
def test_rule_21_identity_events_fail_the_whole_request_in_simplified_projects(
    mixpanel: MixpanelStandIn, send: Call, name: str
) -> None:
    content = send(event(), {"event": name, "properties": {}}).json()
    assert content["num_records_imported"] == 0
    (text,) = content["failed_records"]
    assert text.startswith("identity events are not allowed when project is using")
    assert not mixpanel.events


def test_rule_21_other_projects_take_identity_events() -> None:
    with MixpanelStandIn(
        project=Project(simplified=False), clock=lambda: NOW
    ) as mixpanel:
        made = {**event(), "event": "$merge"}
        assert import_body(mixpanel.url, orjson.dumps([made])).status_code == 200


def test_rule_22_ignored_events_vanish_without_an_error(
    mixpanel: MixpanelStandIn, send: Call
) -> None:
    made = [
        event(**{"$ignore": value, "$insert_id": f"id-{number}"})
        for number, value in enumerate((True, "yes", "", False, None))
    ]
    assert send(*made).json()["num_records_imported"] == 5
    assert sorted(key[3] for key in mixpanel.visible()) == ["id-2", "id-3", "id-4"]


@pytest.mark.parametrize(
    ("mode", "content"), [("text", b"1"), ("json", b'{"error": null, "status": 1}')]
)
def test_without_strict_the_bad_ones_vanish(mode: Any, content: bytes) -> None:
    with MixpanelStandIn(
        project=Project(lenient_answer=mode), clock=lambda: NOW
    ) as mixpanel:
        body = orjson.dumps([event(), event(time=None)])
        answer = import_body(mixpanel.url, body, query="strict=0")
        assert (answer.status_code, answer.content) == (200, content)
        assert len(mixpanel.events) == 1


# What is stored, and what is seen


def test_every_copy_is_kept_and_the_newest_of_a_key_is_seen(
    mixpanel: MixpanelStandIn, send: Call
) -> None:
    send(event(), event(color="red"), event(time=int(NOW) - 8))
    send(event(color="blue"))
    assert len(mixpanel.events) == 4
    seen = [each["properties"].get("color") for each in mixpanel.visible().values()]
    assert seen == ["blue", None]


@pytest.mark.parametrize(
    "change",
    [{"distinct_id": "v"}, {"time": int(NOW) - 8}, {"$insert_id": "id-2"}],
)
def test_each_part_of_the_key_tells_events_apart(
    mixpanel: MixpanelStandIn, send: Call, change: dict[str, Any]
) -> None:
    send(event(), event(**change), {**event(), "event": "Email Click"})
    assert len(mixpanel.visible()) == 3


def test_seconds_and_milliseconds_of_one_moment_are_one_event(
    mixpanel: MixpanelStandIn, send: Call
) -> None:
    send(event(), event(time=(int(NOW) - 9) * 1000))
    assert len(mixpanel.visible()) == 1


@pytest.mark.parametrize(
    ("properties", "request_geo", "city"),
    [
        ({"ip": "203.0.113.7"}, True, "Sandbox"),
        ({"ip": "0"}, True, None),
        ({"ip": 0}, True, None),
        ({}, True, "(server)"),
        ({}, False, None),
    ],
)
def test_the_ip_becomes_a_place_and_is_not_stored(
    properties: dict[str, Any], request_geo: bool, city: str | None
) -> None:
    with MixpanelStandIn(
        project=Project(request_geo=request_geo), clock=lambda: NOW
    ) as mixpanel:
        import_body(mixpanel.url, orjson.dumps([event(**properties)]))
        (stored,) = mixpanel.events
    assert stored["properties"].get("$city") == city
    assert "ip" not in stored["properties"]
    assert stored["properties"]["$import"] is True
    assert stored["properties"]["mp_processing_time_ms"] == int(NOW) * 1000


def test_a_hot_shard_renames_what_is_too_much_copies_included() -> None:
    with MixpanelStandIn(project=Project(hot_shard=3), clock=lambda: NOW) as mixpanel:
        made = [event()] * 3 + [event(**{"$insert_id": "late"})]
        made += [event(distinct_id="other"), event(time=int(NOW) - 86_400)]
        assert import_body(mixpanel.url, orjson.dumps(made)).status_code == 200
        names = Counter(key[0] for key in mixpanel.visible())
        assert names == {"Email Open": 3, "$hotshard_events": 1}
        hot = mixpanel.events[3]["properties"]
    assert hot["distinct_id"] == ""
    assert hot["mp_original_event_name"] == "Email Open"
    assert hot["mp_original_distinct_id"] == "u"
