"""Starts the stand-ins for Braze and Mixpanel with the sandbox's own accounts.

They are imported only when asked for, so that a stack pointed at other servers runs
without them.
"""

from typing import Any, Protocol

from sandbox.accounts import Accounts


class StandIn(Protocol):
    """What the sandbox needs of a stand-in; its own class has much more."""

    def start(self) -> str: ...
    def stop(self) -> None: ...
    def __getattr__(self, name: str) -> Any: ...


def start_braze(accounts: Accounts) -> tuple[StandIn, str]:
    from sandbox.braze import BrazeStandIn

    stand_in = BrazeStandIn(rest_api_keys=[accounts.braze_rest_api_key])
    return stand_in, stand_in.start()


def start_mixpanel(accounts: Accounts) -> tuple[StandIn, str]:
    from sandbox.mixpanel import MixpanelStandIn

    stand_in = MixpanelStandIn(
        project_id=accounts.mixpanel_project_id,
        project_token=accounts.mixpanel_project_token,
        api_secret=accounts.mixpanel_api_secret,
        service_account_username=accounts.mixpanel_service_account_username,
        service_account_secret=accounts.mixpanel_service_account_secret,
    )
    return stand_in, stand_in.start()
