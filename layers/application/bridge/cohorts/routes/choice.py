"""The route that the settings choose, with what a warm process keeps of it."""

from collections.abc import Callable
from datetime import UTC, datetime

from bridge.braze.client import BrazeClient, PartnerClient
from bridge.braze.partner_cohorts import IDS_PER_CALL
from bridge.braze.users_track import OBJECTS_PER_CALL
from bridge.cohorts.ports.route import Route
from bridge.cohorts.routes.attribute import AttributeRoute
from bridge.cohorts.routes.devices import Devices
from bridge.cohorts.routes.halving import CallSize
from bridge.cohorts.routes.partner import PartnerRoute
from bridge.credentials import BrazeCredentials, Secret
from bridge.settings import CohortConsumerSettings, CohortRoute
from bridge.transport import Brake, Transport


class RouteChoice:
    """Makes the route of each message; the look-ups and call sizes stay warm."""

    def __init__(self, settings: CohortConsumerSettings, brake: Brake) -> None:
        self._settings = settings
        self.secret = Secret(settings.braze_secret_arn, BrazeCredentials)
        self.transport = Transport(
            "braze",
            settings.braze_rest_endpoint,
            calls_at_a_time=settings.calls_at_a_time,
            reserved=settings.braze_reserved_percent / 100,
            brake=brake,
        )
        self.devices = Devices()
        self._track_size = CallSize(OBJECTS_PER_CALL)
        self._import_size = CallSize(IDS_PER_CALL)

    def route(self, sent_at: float, time_left: Callable[[], float]) -> Route:
        """The route of a message that was sent at `sent_at` (epoch seconds)."""
        settings, braze = self._settings, (self.transport, self.secret, time_left)
        if settings.cohort_route is CohortRoute.PARTNER:
            return PartnerRoute(
                PartnerClient(*braze, settings.braze_partner),
                datetime.fromtimestamp(sent_at, UTC),
                settings.braze_workspace,
                self._import_size,
            )
        return AttributeRoute(
            BrazeClient(*braze),
            self.devices,
            attribute=settings.cohort_attribute,
            form=settings.cohort_form,
            value=settings.cohort_value,
            workspace=settings.braze_workspace,
            since=sent_at,
            size=self._track_size,
        )
