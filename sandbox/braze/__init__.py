"""A stand-in for Braze.

    with BrazeStandIn(rest_api_keys=["key"]) as braze:
        braze.workspace.add_user(external_id="u-1")
        braze.faults.plan("429", times=2, path="/users/track")

Over HTTP: `GET /_stand_in/state`, `POST /_stand_in/users` with a list of users,
`POST /_stand_in/faults` with `{"next": [{"kind": "503", "times": 2}], "rates": {}}`,
`POST /_stand_in/reset`. Kinds of fault: 423, 429, 429 bare, 500, 502, 503, 504,
reset before, reset after, stall, slow, empty, {}, html, errors null, errors text,
errors no index, fatal message.
"""

from sandbox.braze.server import BrazeStandIn
from sandbox.braze.workspace import Workspace

__all__ = ["BrazeStandIn", "Workspace"]
