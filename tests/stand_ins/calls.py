"""What the tests of the stand-ins send: calls, events and attributes objects."""

import base64
import gzip
from collections.abc import Callable
from typing import Any

import requests

REST_KEY = "rest-key"
NOW = 1_800_000_000.0

type Call = Callable[..., requests.Response]


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def import_body(
    url: str,
    body: bytes,
    query: str = "strict=1",
    auth: str = "token:",
    content_type: str = "application/json",
) -> requests.Response:
    return requests.post(
        f"{url}/import?{query}",
        data=gzip.compress(body),
        headers={
            "authorization": basic(auth),
            "content-type": content_type,
            "content-encoding": "gzip",
        },
        timeout=5,
    )


def event(**changes: Any) -> dict[str, Any]:
    properties = {"time": int(NOW) - 9, "distinct_id": "u", "$insert_id": "id-1"}
    return {"event": "Email Open", "properties": properties | changes}


def adds(value: str, **user: Any) -> dict[str, Any]:
    return {**user, "_update_existing_only": True, "cohorts": {"add": [value]}}
