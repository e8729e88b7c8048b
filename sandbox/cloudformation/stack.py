"""The functions of a built template and what invokes them, as typed settings.

Limits AWS checks when a mapping is created are checked here too, so that a stack that
would not deploy does not run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.cloudformation.intrinsics import TemplateError
from sandbox.cloudformation.template import WITHOUT_LOCAL_MEANING, Template, api_id

KNOWN_TYPES = WITHOUT_LOCAL_MEANING | {
    "AWS::DynamoDB::Table",
    "AWS::Kinesis::Stream",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
    "AWS::Serverless::Function",
    "AWS::Serverless::HttpApi",
    "AWS::Serverless::LayerVersion",
}

_API_PROPERTIES = {
    "AccessLogSettings",
    "DefaultRouteSettings",
    "Description",
    "FailOnWarnings",
    "Name",
    "PropagateTags",
    "StageName",
    "Tags",
}

# Nothing fires these here: a schedule is tried by invoking its function by hand.
_EVENTS_BY_HAND = {"Schedule", "ScheduleV2"}


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """A function; `timeout` in seconds, `memory` in MB, `reserved` concurrency."""

    logical_id: str
    name: str
    arn: str
    handler: str
    code: Path
    layers: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: int = 3
    memory: int = 128
    reserved: int | None = None


@dataclass(frozen=True, slots=True)
class AsyncSettings:
    """How a function is invoked asynchronously (EventInvokeConfig); ARNs or None."""

    retries: int = 2
    maximum_age: float = 21_600
    on_failure: str | None = None
    on_success: str | None = None
    dead_letter_queue: str | None = None


@dataclass(frozen=True, slots=True)
class SqsSource:
    """A queue a function polls; `window` in seconds."""

    function: str
    queue_arn: str
    batch_size: int = 10
    window: float = 0
    report_failures: bool = False
    maximum_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class KinesisSource:
    """`retries` and `maximum_age` of -1 mean without end, as in the template."""

    function: str
    stream_arn: str
    starting_position: str = "LATEST"
    batch_size: int = 100
    window: float = 0
    report_failures: bool = False
    bisect: bool = False
    retries: int = -1
    maximum_age: int = -1
    parallelization: int = 1
    on_failure: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """An S3 notification; `filters` are (prefix or suffix, value)."""

    function: str
    bucket: str
    events: tuple[str, ...]
    filters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A route of an HTTP API; `method` may be ANY, `path` may be $default."""

    function: str
    api: str
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """An HTTP API; `rate` and `burst` are its default route throttling."""

    api_id: str
    stage: str = "$default"
    rate: float | None = None
    burst: int = 5000


class Stack:
    """Everything that runs, read from one template."""

    def __init__(self, template: Template) -> None:
        self.functions: dict[str, FunctionSettings] = {}
        self.asynchronous: dict[str, AsyncSettings] = {}
        self.queues: list[SqsSource] = []
        self.streams: list[KinesisSource] = []
        self.objects: list[ObjectSource] = []
        self.routes: list[Route] = []
        self.apis: dict[str, ApiSettings] = {}
        for logical_id, resource in template.resources.items():
            if resource["Type"] not in KNOWN_TYPES:
                raise TemplateError(
                    f"the sandbox does not know {resource['Type']} ({logical_id})"
                )
        for logical_id, api in template.of_type("AWS::Serverless::HttpApi").items():
            self.apis[api_id(logical_id)] = _api(logical_id, api)
        for logical_id in template.of_type("AWS::Serverless::Function"):
            self._read_function(template, logical_id)
        for logical_id, bucket in template.of_type("AWS::S3::Bucket").items():
            self._read_notifications(template, logical_id, bucket)

    def _read_function(self, template: Template, logical_id: str) -> None:
        properties = template.properties(logical_id)
        identity = template.identify(logical_id)
        variables = (properties.get("Environment") or {}).get("Variables") or {}
        reserved = properties.get("ReservedConcurrentExecutions")
        self.functions[logical_id] = FunctionSettings(
            logical_id=logical_id,
            name=identity.ref,
            arn=identity.attributes["Arn"],
            handler=properties["Handler"],
            code=(template.build_dir / properties["CodeUri"]).resolve(),
            layers=tuple(Path(layer) for layer in properties.get("Layers", ())),
            environment={name: _text(value) for name, value in variables.items()},
            timeout=int(properties.get("Timeout", 3)),
            memory=int(properties.get("MemorySize", 128)),
            reserved=None if reserved is None else int(reserved),
        )
        _require_folders(self.functions[logical_id])
        self.asynchronous[logical_id] = _asynchronous(properties)
        for name, event in (properties.get("Events") or {}).items():
            self._read_event(template, logical_id, name, event)

    def _read_event(
        self, template: Template, function: str, name: str, event: Mapping[str, Any]
    ) -> None:
        properties = event.get("Properties") or {}
        match event["Type"]:
            case "HttpApi":
                route = _route(function, properties)
                self.apis.setdefault(route.api, ApiSettings(route.api))
                self.routes.append(route)
            case "SQS":
                source = _sqs(function, properties)
                _check_queue(template, source, self.functions[function])
                self.queues.append(source)
            case "Kinesis":
                self.streams.append(_kinesis(function, properties))
            case "S3":
                rules = _rules(properties.get("Filter"))
                events = properties["Events"]
                listed = (events,) if isinstance(events, str) else tuple(events)
                self.objects.append(
                    ObjectSource(function, properties["Bucket"], listed, rules)
                )
            case other if other not in _EVENTS_BY_HAND:
                raise TemplateError(f"the sandbox does not know {other} ({name})")

    def _read_notifications(
        self, template: Template, logical_id: str, bucket: Mapping[str, Any]
    ) -> None:
        configuration = bucket.get("NotificationConfiguration") or {}
        if unknown := set(configuration) - {"LambdaConfigurations"}:
            raise TemplateError(f"{logical_id}: no notifications to {sorted(unknown)}")
        by_arn = {settings.arn: name for name, settings in self.functions.items()}
        for entry in configuration.get("LambdaConfigurations", ()):
            if entry["Function"] not in by_arn:
                raise TemplateError(f"{logical_id} notifies an unknown function")
            self.objects.append(
                ObjectSource(
                    by_arn[entry["Function"]],
                    template.identify(logical_id).ref,
                    (entry["Event"],),
                    _rules(entry.get("Filter")),
                )
            )


def _require_folders(function: FunctionSettings) -> None:
    for folder in (function.code, *function.layers):
        if not folder.is_dir():
            raise TemplateError(f"{folder} is missing: run `make build` again")


def _sqs(function: str, properties: Mapping[str, Any]) -> SqsSource:
    scaling = properties.get("ScalingConfig") or {}
    concurrency = scaling.get("MaximumConcurrency")
    _refuse(properties, "FilterCriteria", "ProvisionedPollerConfig")
    return SqsSource(
        function=function,
        queue_arn=properties["Queue"],
        batch_size=int(properties.get("BatchSize", 10)),
        window=float(properties.get("MaximumBatchingWindowInSeconds", 0)),
        report_failures=_reports(properties),
        maximum_concurrency=None if concurrency is None else int(concurrency),
    )


def _check_queue(
    template: Template, source: SqsSource, function: FunctionSettings
) -> None:
    for logical_id, queue in template.of_type("AWS::SQS::Queue").items():
        if template.identify(logical_id).attributes["Arn"] != source.queue_arn:
            continue
        visibility = int(queue.get("VisibilityTimeout", 30))
        if visibility < function.timeout:
            raise TemplateError(
                f"Queue visibility timeout: {visibility} seconds is less than "
                f"Function timeout: {function.timeout} seconds ({logical_id})"
            )
        fifo = _text(queue.get("FifoQueue")) == "true"
        if fifo and (source.window or source.batch_size > 10):
            raise TemplateError(
                f"{logical_id}: a FIFO queue has no batching window and 10 a batch"
            )
        if source.batch_size > 10 and source.window < 1:
            raise TemplateError(f"{logical_id}: over 10 a batch needs a window of 1 s")
        return
    raise TemplateError(f"{source.function} polls a queue that is not in the template")


def _kinesis(function: str, properties: Mapping[str, Any]) -> KinesisSource:
    _refuse(properties, "FilterCriteria", "TumblingWindowInSeconds")
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
        bisect=_text(properties.get("BisectBatchOnFunctionError")) == "true",
        retries=int(properties.get("MaximumRetryAttempts", -1)),
        maximum_age=int(properties.get("MaximumRecordAgeInSeconds", -1)),
        parallelization=int(properties.get("ParallelizationFactor", 1)),
        on_failure=(destination.get("OnFailure") or {}).get("Destination"),
    )


def _api(logical_id: str, properties: Mapping[str, Any]) -> ApiSettings:
    if unknown := set(properties) - _API_PROPERTIES:
        raise TemplateError(
            f"the sandbox does not know {sorted(unknown)} of an HTTP API ({logical_id})"
        )
    limits = properties.get("DefaultRouteSettings") or {}
    rate = limits.get("ThrottlingRateLimit")
    return ApiSettings(
        api_id(logical_id),
        properties.get("StageName", "$default"),
        None if rate is None else float(rate),
        int(limits.get("ThrottlingBurstLimit", 5000)),
    )


def _route(function: str, properties: Mapping[str, Any]) -> Route:
    _refuse(properties, "Auth", "RouteSettings")
    api = properties.get("ApiId", api_id("ServerlessHttpApi"))
    version = properties.get("PayloadFormatVersion", "2.0")
    if str(version) != "2.0":
        raise TemplateError(f"{function}: payload format {version} is not supported")
    path = properties.get("Path", "$default")
    return Route(function, api, str(properties.get("Method", "ANY")).upper(), path)


def _asynchronous(properties: Mapping[str, Any]) -> AsyncSettings:
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


def _rules(
    notification_filter: Mapping[str, Any] | None,
) -> tuple[tuple[str, str], ...]:
    rules: Iterator[Mapping[str, str]] = iter(
        ((notification_filter or {}).get("S3Key") or {}).get("Rules", ())
    )
    return tuple((rule["Name"].lower(), rule["Value"]) for rule in rules)


def _reports(properties: Mapping[str, Any]) -> bool:
    return "ReportBatchItemFailures" in (properties.get("FunctionResponseTypes") or ())


def _refuse(properties: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if properties.get(name):
            raise TemplateError(f"the sandbox does not know the event property {name}")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
