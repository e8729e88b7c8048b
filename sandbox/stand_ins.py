"""Starts the stand-ins for Braze and Mixpanel with the sandbox's own accounts.

They are imported only when asked for: a stack pointed at other servers runs without
them.
"""

# ruff: noqa: PLC0415 - see above

from typing import TYPE_CHECKING

from sandbox.accounts import Accounts

if TYPE_CHECKING:
    from sandbox.braze import BrazeStandIn
    from sandbox.mixpanel import MixpanelStandIn


def start_braze(accounts: Accounts) -> "tuple[BrazeStandIn, str]":
    """A Braze that takes the sandbox's keys, and its URL."""
    from sandbox.braze import BrazeStandIn

    stand_in = BrazeStandIn(
        rest_api_keys=[accounts.braze_rest_api_key],
        partner_keys=[accounts.braze_partner_api_key],
        import_keys=[accounts.braze_data_import_key],
    )
    return stand_in, stand_in.start()


def start_mixpanel(accounts: Accounts) -> "tuple[MixpanelStandIn, str]":
    """A Mixpanel with the sandbox's project, and its URL."""
    from sandbox.mixpanel import MixpanelStandIn

    stand_in = MixpanelStandIn(
        project_id=accounts.mixpanel_project_id,
        project_token=accounts.mixpanel_project_token,
        api_secret=accounts.mixpanel_api_secret,
        service_accounts={
            accounts.mixpanel_service_account_username: (
                accounts.mixpanel_service_account_secret
            )
        },
    )
    return stand_in, stand_in.start()
