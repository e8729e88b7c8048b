"""A Braze and a Mixpanel of their own for each test, and how they are called."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests

from sandbox.braze import BrazeStandIn
from sandbox.mixpanel import MixpanelStandIn
from tests.stand_ins.calls import NOW, REST_KEY, Call, import_body


@pytest.fixture
def braze() -> Iterator[BrazeStandIn]:
    with BrazeStandIn(
        rest_api_keys=[REST_KEY],
        partner_keys=["pk"],
        import_keys=["dik"],
        clock=lambda: NOW,
    ) as running:
        for user in ("u-1", "u-2"):
            running.workspace.add_user(external_id=user)
        running.workspace.add_user(aliases={"label": "a-1"}, devices=["d-1"])
        running.workspace.add_user(external_id="u-3", devices=["d-3"])
        yield running


@pytest.fixture
def call(braze: BrazeStandIn) -> Call:
    def post(
        path: str, body: Any, key: str = REST_KEY, **options: Any
    ) -> requests.Response:
        headers = {"authorization": f"Bearer {key}"}
        return requests.post(
            braze.url + path, json=body, headers=headers, timeout=5, **options
        )

    return post


@pytest.fixture
def track(call: Call) -> Call:
    def post(*attributes: Any) -> requests.Response:
        return call("/users/track", {"attributes": list(attributes)})

    return post


@pytest.fixture
def mixpanel() -> Iterator[MixpanelStandIn]:
    with MixpanelStandIn(
        project_id="9",
        project_token="token",
        api_secret="secret",
        service_accounts={"bridge": "pass", "reader": "pass"},
        roles={"reader": "analyst"},
        clock=lambda: NOW,
    ) as running:
        yield running


@pytest.fixture
def send(mixpanel: MixpanelStandIn) -> Call:
    def post(*events: Any, **options: str) -> requests.Response:
        return import_body(mixpanel.url, orjson.dumps(events), **options)

    return post
