"""The accounts of one sandbox: random at every start, known to the stand-ins."""

import json
import secrets
from dataclasses import dataclass, field


def _token() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the bridge needs to reach the stand-in Braze and Mixpanel."""

    braze_rest_api_key: str = field(default_factory=_token, repr=False)
    braze_partner_api_key: str = field(default_factory=_token, repr=False)
    braze_data_import_key: str = field(default_factory=_token, repr=False)
    mixpanel_project_id: str = "2195193"
    mixpanel_project_token: str = field(default_factory=_token, repr=False)
    mixpanel_api_secret: str = field(default_factory=_token, repr=False)
    mixpanel_service_account_username: str = "sandbox.service-account"
    mixpanel_service_account_secret: str = field(default_factory=_token, repr=False)

    def secret_values(self) -> dict[str, str]:
        """For the secrets the operator fills in after a deploy, by logical id."""
        return {
            "BrazeSecret": json.dumps(
                {
                    "rest_api_key": self.braze_rest_api_key,
                    "partner_api_key": self.braze_partner_api_key,
                    "data_import_key": self.braze_data_import_key,
                }
            ),
            "MixpanelSecret": json.dumps(
                {
                    "service_account_username": self.mixpanel_service_account_username,
                    "service_account_secret": self.mixpanel_service_account_secret,
                    "project_id": self.mixpanel_project_id,
                }
            ),
        }
