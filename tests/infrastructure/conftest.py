"""The template, as it is written and as SAM expands it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]


class _NoManagedPolicies:
    """Stands where SAM would ask IAM; every function brings a role of its own."""

    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """As written."""
    parsed = yaml_parse((ROOT / "template.yaml").read_text())
    assert isinstance(parsed, dict)
    return parsed


@pytest.fixture(scope="session")
def expanded(template: dict[str, Any]) -> dict[str, Any]:
    """As CloudFormation gets it, for a deployed artifact in S3."""
    given = json.loads(json.dumps(template))
    for resource in given["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            if name in resource.get("Properties", {}):
                resource["Properties"][name] = "s3://bucket/key"
    parameters = {
        name: str(parameter.get("Default", parameter.get("AllowedValues", ["x"])[0]))
        for name, parameter in given["Parameters"].items()
    }
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    result = transform(given, parameters, _NoManagedPolicies())
    assert isinstance(result, dict)
    return result
