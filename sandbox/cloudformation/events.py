"""Reads the parts of a template that say what invokes a function.

Limits that AWS checks when it creates a mapping are checked here too, so that a stack
that would not deploy does not run.
"""

from collections.abc import Mapping
from typing import Any

from sandbox.cloudformation.intrinsics import TemplateError
from sandbox.cloudformation.settings import (
    ApiSettings,
    AsyncSettings,
    FunctionSettings,
    KinesisSource,
    Route,
    SqsSource,
)
from sandbox.cloudformation.template import Template, api_id

_API_PROPERTIES = {
    "AccessLogSettings",
    "DefaultRouteSettings",
    "Description",
    "FailOnWarnings",
    "Name",
    "PropagateTags",
    "RouteSettings",
    "StageName",
    "Tags",
}


def sqs_source(function: str, properties: Mapping[str, Any]) -> SqsSource:
    """The mapping of an `SQS` event."""
    scaling = properties.get("ScalingConfig") or {}
    concurrency = scaling.get("MaximumConcurrency")
    _reject(properties, "FilterCriteria", "ProvisionedPollerConfig")
    return SqsSource(
        function=function,
        queue_arn=properties["Queue"],
        batch_size=int(properties.get("BatchSize", 10)),
        window=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
        report_failures=_reports(properties),
        maximum_concurrency=None if concurrency is None else int(concurrency),
    )


def check_queue(
    template: Template, source: SqsSource, function: FunctionSettings
) -> None:
    """Raises TemplateError where AWS would not create the mapping."""
    for logical_id, queue in template.of_type("AWS::SQS::Queue").items():
        if template.identify(logical_id).attributes["Arn"] != source.queue_arn:
            continue
        visibility = int(queue.get("VisibilityTimeout", 30))
        if visibility < function.timeout:
            raise TemplateError(
                f"Queue visibility timeout: {visibility} seconds is less than "
                f"Function timeout: {function.timeout} seconds ({logical_id})"
            )
        fifo = as_text(queue.get("FifoQueue")) == "true"
        if fifo and (source.window or source.batch_size > 10):
            raise TemplateError(
                f"{logical_id}: a FIFO queue has no batching window and 10 a batch"
            )
        if source.batch_size > 10 and source.window < 1:
            raise TemplateError(f"{logical_id}: over 10 a batch needs a window of 1 s")
        return
    raise TemplateError(f"{source.function} polls a queue that is not in the template")


def kinesis_source(function: str, properties: Mapping[str, Any]) -> KinesisSource:
    """The mapping of a `Kinesis` event."""
    _reject(properties, "FilterCriteria", "TumblingWindowInSeconds")
    position = properties["StartingPosition"]
    if position not in ("TRIM_HORIZON", "LATEST"):
        raise TemplateError(f"the sandbox does not know StartingPosition {position}")
    destination = properties.get("DestinationConfig") or {}
    return KinesisSource(
        function=function,
        stream_arn=properties["Stream"],
        starting_position=position,
        batch_size=int(properties.get("BatchSize", 100)),
        window=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
        report_failures=_reports(properties),
        bisect=as_text(properties.get("BisectBatchOnFunctionError")) == "true",
        retries=int(properties.get("MaximumRetryAttempts", -1)),
        maximum_age=int(properties.get("MaximumRecordAgeInSeconds", -1)),
        parallelization=int(properties.get("ParallelizationFactor", 1)),
        on_failure=(destination.get("OnFailure") or {}).get("Destination"),
    )


def http_route(function: str, properties: Mapping[str, Any]) -> Route:
    """The route of an `HttpApi` event; without an ApiId it is of SAM's own API."""
    _reject(properties, "Auth", "RouteSettings")
    api = properties.get("ApiId", api_id("ServerlessHttpApi"))
    version = properties.get("PayloadFormatVersion", "2.0")
    if str(version) != "2.0":
        raise TemplateError(f"{function}: payload format {version} is not supported")
    path = properties.get("Path", "$default")
    return Route(function, api, str(properties.get("Method", "ANY")).upper(), path)


def api_settings(logical_id: str, properties: Mapping[str, Any]) -> ApiSettings:
    """An HTTP API of the template."""
    if unknown := set(properties) - _API_PROPERTIES:
        raise TemplateError(
            f"the sandbox does not know {sorted(unknown)} of an HTTP API ({logical_id})"
        )
    rate, burst = _limits(properties.get("DefaultRouteSettings") or {})
    own = properties.get("RouteSettings") or {}
    return ApiSettings(
        api_id(logical_id),
        properties.get("StageName", "$default"),
        rate,
        burst,
        {route: _limits(each) for route, each in own.items()},
    )


def _limits(settings: Mapping[str, Any]) -> tuple[float | None, int]:
    """Rate and burst."""
    rate = settings.get("ThrottlingRateLimit")
    burst = int(settings.get("ThrottlingBurstLimit", 5000))
    return None if rate is None else float(rate), burst


def async_settings(properties: Mapping[str, Any]) -> AsyncSettings:
    """The asynchronous invocation of a function of the template."""
    configuration = properties.get("EventInvokeConfig") or {}
    destinations = configuration.get("DestinationConfig") or {}
    dead_letter = properties.get("DeadLetterQueue") or {}
    return AsyncSettings(
        retries=int(configuration.get("MaximumRetryAttempts", 2)),
        maximum_age=float(configuration.get("MaximumEventAgeInSeconds", 21_600)),
        on_failure=(destinations.get("OnFailure") or {}).get("Destination"),
        on_success=(destinations.get("OnSuccess") or {}).get("Destination"),
        dead_letter_queue=dead_letter.get("TargetArn"),
    )


def notification_filters(
    notification_filter: Mapping[str, Any] | None,
) -> tuple[tuple[str, str], ...]:
    """The filters as (prefix or suffix, value)."""
    key_filter = (notification_filter or {}).get("S3Key") or {}
    rules = key_filter.get("Rules", ())
    return tuple((rule["Name"].lower(), rule["Value"]) for rule in rules)


def _reports(properties: Mapping[str, Any]) -> bool:
    return "ReportBatchItemFailures" in (properties.get("FunctionResponseTypes") or ())


def _reject(properties: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if properties.get(name):
            raise TemplateError(f"the sandbox does not know the event property {name}")


def as_text(value: Any) -> str:
    """A scalar as CloudFormation passes it on: `true` and `false` in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
