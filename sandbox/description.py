"""What a running sandbox tells about itself: every address, name and credential."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.accounts import Accounts
from sandbox.aws_server.process import (
    ACCESS_KEY_ID,
    REGION,
    SECRET_ACCESS_KEY,
    AwsServer,
)
from sandbox.cloudformation.stack import Stack
from sandbox.cloudformation.template import Template

DESCRIPTION = Path(".sandbox/description.json")
"""Where the operator's command looks for a running sandbox."""


@contextmanager
def shown_to_the_command(
    description: Mapping[str, Any], file: Path = DESCRIPTION
) -> Iterator[None]:
    """Keep the description in a file as long as the sandbox runs.

    It holds keys, so it is for its owner alone. A sandbox that was started later has
    replaced it, and keeps its own.
    """
    text = json.dumps(description, indent=2) + "\n"
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(text)
    try:
        yield
    finally:
        if file.is_file() and file.read_text() == text:
            file.unlink()


def describe(
    template: Template,
    stack: Stack,
    aws: AwsServer,
    api_urls: Mapping[str, tuple[str, str]],
    vendor_urls: Mapping[str, str],
    accounts: Accounts,
    logs: Path,
) -> dict[str, Any]:
    """The description as JSON; `vendor_urls` by vendor.

    `api_urls` by API id: where it listens, and what the paths of its routes follow.
    """
    outputs = template.outputs()
    for api_id, (url, _) in api_urls.items():
        deployed = f"https://{api_id}.execute-api.{REGION}.amazonaws.com"
        outputs = {name: each.replace(deployed, url) for name, each in outputs.items()}
    webhook = _secret(template, aws, "WebhookSecret")
    currents = _secret(template, aws, "CurrentsSecret")
    return {
        "aws_endpoint_url": aws.url,
        "region": REGION,
        "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": SECRET_ACCESS_KEY,
        "api_url": next((url for _, url in api_urls.values()), None),
        "webhook_url": outputs.get("WebhookUrl"),
        "webhook_username": webhook.get("username"),
        "webhook_password": webhook.get("password"),
        "currents_url": outputs.get("CurrentsUrl"),
        "currents_token": currents.get("token"),
        "braze_url": vendor_urls["braze"],
        "braze_rest_api_key": accounts.braze_rest_api_key,
        "mixpanel_url": vendor_urls["mixpanel"],
        "mixpanel_project_id": accounts.mixpanel_project_id,
        "mixpanel_project_token": accounts.mixpanel_project_token,
        "mixpanel_service_account_username": accounts.mixpanel_service_account_username,
        "mixpanel_service_account_secret": accounts.mixpanel_service_account_secret,
        "mixpanel_api_secret": accounts.mixpanel_api_secret,
        "outputs": outputs,
        "parameters": dict(template.parameters),
        "resources": {name: template.identify(name).ref for name in template.resources},
        "functions": {name: each.name for name, each in stack.functions.items()},
        "logs": str(logs),
    }


def _secret(template: Template, aws: AwsServer, logical_id: str) -> dict[str, Any]:
    """The JSON of a secret; empty where the template has none of this name."""
    if logical_id not in template.resources:
        return {}
    arn = template.identify(logical_id).ref
    content = aws.client("secretsmanager").get_secret_value(SecretId=arn)
    return dict(json.loads(content["SecretString"]))
