"""What a template says about functions and about what invokes them, as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """A function; `timeout` in seconds, `memory` in MB, `reserved` is concurrency."""

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
    """How a function is invoked asynchronously (EventInvokeConfig).

    `maximum_age` is in seconds; the last three are ARNs or None.
    """

    retries: int = 2
    maximum_age: float = 21_600
    on_failure: str | None = None
    on_success: str | None = None
    dead_letter_queue: str | None = None


@dataclass(frozen=True, slots=True)
class SqsSource:
    """A queue that a function polls; `window` is the batching window in seconds."""

    function: str
    queue_arn: str
    batch_size: int = 10
    window: float = 0
    report_failures: bool = False
    maximum_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class KinesisSource:
    """A stream that a function polls; `window` and `maximum_age` are in seconds.

    `retries` and `maximum_age` of -1 are without limit, as in the template.
    """

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

    @property
    def key(self) -> str:
        """As API Gateway names the route."""
        return self.path if self.path == "$default" else f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """An HTTP API; `rate` and `burst` are its default route throttling.

    `limits` are the rate and burst of routes that have their own, by route key.
    """

    api_id: str
    stage: str = "$default"
    rate: float | None = None
    burst: int = 5000
    limits: Mapping[str, tuple[float | None, int]] = field(default_factory=dict)

    def throttling(self, route_key: str) -> tuple[float | None, int]:
        """Rate and burst of one route."""
        return self.limits.get(route_key, (self.rate, self.burst))
