"""The functions of a built template and all that invokes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.cloudformation.events import (
    api_settings,
    as_text,
    async_settings,
    check_queue,
    http_route,
    kinesis_source,
    notification_filters,
    sqs_source,
)
from sandbox.cloudformation.intrinsics import TemplateError
from sandbox.cloudformation.settings import (
    ApiSettings,
    AsyncSettings,
    FunctionSettings,
    KinesisSource,
    ObjectSource,
    Route,
    SqsSource,
)
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

# Nothing fires these here: to try a schedule, invoke its function by hand.
_EVENTS_BY_HAND = {"Schedule", "ScheduleV2"}


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
            self.apis[api_id(logical_id)] = api_settings(logical_id, api)
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
            environment={name: as_text(value) for name, value in variables.items()},
            timeout=int(properties.get("Timeout", 3)),
            memory=int(properties.get("MemorySize", 128)),
            reserved=None if reserved is None else int(reserved),
        )
        _require_folders(self.functions[logical_id])
        self.asynchronous[logical_id] = async_settings(properties)
        for name, event in (properties.get("Events") or {}).items():
            self._read_event(template, logical_id, name, event)

    def _read_event(
        self, template: Template, function: str, name: str, event: Mapping[str, Any]
    ) -> None:
        properties = event.get("Properties") or {}
        match event["Type"]:
            case "HttpApi":
                route = http_route(function, properties)
                self.apis.setdefault(route.api, ApiSettings(route.api))
                self.routes.append(route)
            case "SQS":
                source = sqs_source(function, properties)
                check_queue(template, source, self.functions[function])
                self.queues.append(source)
            case "Kinesis":
                self.streams.append(kinesis_source(function, properties))
            case "S3":
                filters = notification_filters(properties.get("Filter"))
                events = properties["Events"]
                listed = (events,) if isinstance(events, str) else tuple(events)
                self.objects.append(
                    ObjectSource(function, properties["Bucket"], listed, filters)
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
                    notification_filters(entry.get("Filter")),
                )
            )


def _require_folders(function: FunctionSettings) -> None:
    for folder in (function.code, *function.layers):
        if not folder.is_dir():
            raise TemplateError(f"{folder} is missing: run `make build` again")
