"""A stand-in for Braze: its REST API over a workspace in memory.

    with BrazeStandIn(rest_api_keys=["k"], partner_keys=["p"], import_keys=["i"]) as b:
        b.workspace.add_user(external_id="u-1", aliases={"label": "name"})
        b.faults.plan("429", times=2, path="/users/track")
        b.workspace.cohort_members("mixpanel_cohorts", "mixpanel_7")  # names of users
        b.workspace.partner_cohort("7")

A user's name is the external id, or the Braze id where there is none. Counters of the
workspace: `data_points`, `noop_writes`, `unknown_users`, `calls` by path.

With curl, below the base URL (JSON in, JSON out):

    GET  /_stand_in/state
    POST /_stand_in/users   [{"external_id": "u-1", "devices": ["d"]}]
    POST /_stand_in/faults  {"next": [{"kind": "503", "times": 2, "path": ""}],
                             "rates": {"429": 0.1}}
    POST /_stand_in/apply   applies the writes that are still waiting
    POST /_stand_in/reset

The kinds of fault are the keys of `faults.BEFORE` (nothing is written) and
`faults.AFTER` (it is written, and the answer is broken).
"""

from sandbox.braze.rate_limits import RateLimit
from sandbox.braze.server import BrazeStandIn
from sandbox.braze.workspace import Workspace

__all__ = ["BrazeStandIn", "RateLimit", "Workspace"]
