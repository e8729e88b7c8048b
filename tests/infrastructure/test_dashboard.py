"""The dashboard shows metrics that exist, each graph with a line of explanation."""

import json
import re
from typing import Any

import pytest

from bridge.observability import METRICS_NAMESPACE, Metric
from tests.infrastructure.resources import FUNCTIONS, Template, of_type

AWS_METRICS = {
    "AWS/DynamoDB": {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"},
    "AWS/Kinesis": {
        "IncomingBytes",
        "IncomingRecords",
        "WriteProvisionedThroughputExceeded",
    },
    "AWS/Lambda": {"Duration", "IteratorAge"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
}
SERVICES = {re.sub("(?<!^)(?=[A-Z])", "_", name).lower() for name in FUNCTIONS}


@pytest.fixture
def widgets(template: Template) -> list[dict[str, Any]]:
    (made,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    found: list[dict[str, Any]] = json.loads(made["DashboardBody"]["Fn::Sub"])[
        "widgets"
    ]
    return found


def graphs(widgets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in widgets if each["type"] == "metric"]


def test_every_metric_exists(widgets: list[dict[str, Any]]) -> None:
    for graph in graphs(widgets):
        for namespace, metric, dimension, value, _ in graph["properties"]["metrics"]:
            if namespace != METRICS_NAMESPACE:
                assert metric in AWS_METRICS[namespace]
                continue
            assert metric in {*Metric}
            assert dimension == "service"
            assert value.removeprefix("${AWS::StackName}/") in SERVICES


def test_every_resource_exists(
    template: Template, widgets: list[dict[str, Any]]
) -> None:
    named = set(re.findall(r"\$\{(\w+)(?:\.\w+)?\}", json.dumps(widgets)))
    assert len(named) > 8
    assert named - template["Resources"].keys() == set()


def test_every_graph_stands_below_its_explanation(
    widgets: list[dict[str, Any]],
) -> None:
    texts = {(e["x"], e["y"]): e for e in widgets if e["type"] == "text"}
    assert len(graphs(widgets)) == 12
    for graph in graphs(widgets):
        text = texts[graph["x"], graph["y"] - 2]
        title = graph["properties"]["title"]
        assert text["properties"]["markdown"].startswith(f"**{title}.** ")
        assert text["width"] == graph["width"]


def test_nothing_lies_over_another(widgets: list[dict[str, Any]]) -> None:
    taken: set[tuple[int, int]] = set()
    for each in widgets:
        cells = {
            (x, y)
            for x in range(each["x"], each["x"] + each["width"])
            for y in range(each["y"], each["y"] + each["height"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
