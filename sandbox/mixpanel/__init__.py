"""A stand-in for Mixpanel: it receives imports, answers queries and sends cohort syncs.

    with MixpanelStandIn(project_id="9", project_token="t") as mixpanel:
        mixpanel.faults.plan("429", times=2)
        mixpanel.visible()  # what a query would show: key → event
        mixpanel.events     # every copy

    cohort = Cohort("8120045", "Trial", {"u-1": {}})
    sync = CohortSync(cohort, webhook_url, username, password, dialect=Dialect())
    sync.run()              # the first in full, then the difference

With curl, below the base URL (JSON in, JSON out):

    GET  /_stand_in/state
    GET  /_stand_in/events
    POST /_stand_in/cohorts  {"id": "7", "name": "Trial", "members": ["u-1", "u-2"]}
    POST /_stand_in/sync     {"id": "7", "url": "http://127.0.0.1:1/cohorts",
                              "username": "mixpanel", "password": "...",
                              "dialect": "documented"}
    POST /_stand_in/faults   {"next": [{"kind": "503", "times": 2}], "rates": {}}
    POST /_stand_in/reset

A second sync of the same cohort to the same URL sends the difference. The kinds of
fault are the keys of `faults.BEFORE` (nothing is stored), of `faults.AFTER` (it is
stored, and the answer is broken) and "wrong region, silent".
"""

from sandbox.mixpanel.cohorts import NAMED_DIALECTS, Cohort, Dialect
from sandbox.mixpanel.imports import ImportLimits
from sandbox.mixpanel.rules import Project
from sandbox.mixpanel.server import MixpanelStandIn
from sandbox.mixpanel.sync import CohortSync, SyncResult

__all__ = [
    "NAMED_DIALECTS",
    "Cohort",
    "CohortSync",
    "Dialect",
    "ImportLimits",
    "MixpanelStandIn",
    "Project",
    "SyncResult",
]
