"""A stand-in for Mixpanel: it receives imports and sends cohort syncs.

    with MixpanelStandIn(project_token="t") as mixpanel:
        ...
        mixpanel.visible()  # what a query would show

    cohort = Cohort("8120045", "Trial", {"u-1": {}})
    CohortSync(cohort, webhook_url, username, password).run()

Over HTTP: `GET /_stand_in/state`, `GET /_stand_in/events`, `POST /_stand_in/reset`, and
`POST /_stand_in/faults` with `{"next": [{"kind": "429", "times": 2}], "rates": {}}`.
Kinds of fault: 401, 413, 429, 500, 502, 503, reset before, reset after, stall, slow,
and for a 400: $insert_id, no index, texts, status number, no list, no error.
"""

from sandbox.mixpanel.cohorts import NAMED_DIALECTS, Cohort, CohortSync, Dialect
from sandbox.mixpanel.server import MixpanelStandIn

__all__ = ["NAMED_DIALECTS", "Cohort", "CohortSync", "Dialect", "MixpanelStandIn"]
