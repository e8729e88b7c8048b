"""No event is located where our function runs; the customer's places stay theirs."""

from typing import Any

import pytest

from functions.currents_importer import app
from sandbox.braze.currents import KINDS, flat
from sandbox.mixpanel import MixpanelStandIn
from tests.integration.importer import NONE_FAILED, batch, source
from tests.integration.stack import Context, Stack

PLACES = ("$city", "$region", "mp_country_code")


def delivered(mixpanel: MixpanelStandIn, event: Any) -> dict[str, Any]:
    """Delivered twice: the second time a process knows the type, the fast path."""
    for _ in range(2):
        mixpanel.events.clear()
        assert app.handler(batch(event), Context()) == NONE_FAILED
    (shown,) = mixpanel.visible().values()
    properties: dict[str, Any] = shown["properties"]
    return properties


@pytest.mark.parametrize("event_type", KINDS)
@pytest.mark.parametrize("in_storage", [False, True])
def test_an_event_has_no_place(
    stack: Stack, mixpanel: MixpanelStandIn, event_type: str, in_storage: bool
) -> None:
    event = source().event(event_type)
    given = {"event_type": event_type, **flat(event)} if in_storage else event
    assert not delivered(mixpanel, given).keys() & set(PLACES)


def test_an_event_on_the_full_path_has_none_either(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    event = source().event() | {"id": "no id that Mixpanel takes"}
    event["properties"]["ip"] = "203.0.113.7"
    properties = delivered(mixpanel, event)
    assert not properties.keys() & set(PLACES)
    assert properties["[Braze] ip"] == "203.0.113.7"


def test_a_reshaped_event_has_none_either(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    event = source().event()
    event["properties"] |= {f"p{number}": number for number in range(400)}
    assert not delivered(mixpanel, event).keys() & set(PLACES)


def test_the_customers_own_places_are_sent_as_they_are(
    stack: Stack, mixpanel: MixpanelStandIn
) -> None:
    event = source().event("users.behaviors.CustomEvent")
    event["event_type"] = "users.behaviors.Location"
    event["properties"] = {"latitude": 52.52, "longitude": 13.405}
    properties = delivered(mixpanel, event)
    assert (properties["latitude"], properties["longitude"]) == (52.52, 13.405)
    assert not properties.keys() & set(PLACES)
