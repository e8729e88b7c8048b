"""One running sandbox: the AWS server, the functions and everything that invokes them.

`Cloud` is the only class other code needs; the modules beside it each stand for one
part of AWS and know only what invokes what.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import boto3
from botocore.config import Config

from sandbox.accounts import Accounts
from sandbox.cloudformation import resources
from sandbox.cloudformation.intrinsics import TemplateError
from sandbox.cloudformation.stack import Stack
from sandbox.cloudformation.template import Template
from sandbox.event_sources.kinesis import KinesisMapping, Pace
from sandbox.event_sources.s3_notifications import ObjectNotifications
from sandbox.event_sources.sqs import SqsMapping
from sandbox.http_api.server import HttpApi
from sandbox.lambda_runtime.async_invoke import AsyncInvoker
from sandbox.lambda_runtime.destinations import Destinations
from sandbox.lambda_runtime.functions import LambdaFunction
from sandbox.lambda_runtime.invocation import Invocation
from sandbox.lambda_runtime.processes import ChildGroup
from sandbox.lambda_runtime.process_setup import lambda_environment, link_runtime
from sandbox.stand_ins import start_braze, start_mixpanel

if TYPE_CHECKING:
    from sandbox.braze import BrazeStandIn
    from sandbox.mixpanel import MixpanelStandIn

REGION = "us-east-1"
ACCESS_KEY_ID = "AKIASANDBOX000000000"
SECRET_ACCESS_KEY = "sandbox"  # noqa: S105 - the AWS server accepts anything

# Required at a deploy, of no consequence here: the functions are pointed elsewhere.
_PARAMETERS = {
    "MixpanelRegion": "US",
    "BrazeRestEndpoint": "https://rest.iad-01.braze.com",
}


class _Poller(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def idle(self) -> bool: ...


class Cloud:
    """The stack of `build_dir`, running from `start` to `stop`.

    `braze_url` and `mixpanel_url` put another loopback server in place of a stand-in;
    `parameters` override the template's; `concurrency` is the number of processes a
    function may have; `logs` is a folder for one log file a function. `clock` is the
    API's, in epoch seconds; `redelivery` shortens the wait after a crash of a queue's
    consumer, see `SqsMapping`.
    """

    def __init__(
        self,
        build_dir: Path | str,
        braze_url: str | None = None,
        mixpanel_url: str | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        concurrency: int = 2,
        api_port: int = 0,
        aws_port: int = 0,
        logs: Path | str | None = None,
        accounts: Accounts | None = None,
        pace: Pace | None = None,
        retry_waits: tuple[float, float] = (1.0, 2.0),
        redelivery: int | None = None,
        clock: Callable[[], float] = time.time,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.braze: BrazeStandIn | None = None
        self.mixpanel: MixpanelStandIn | None = None
        self.accounts = accounts or Accounts()
        self.description: dict[str, Any] = {}
        self._build_dir = Path(build_dir).resolve()
        self._braze_url = braze_url
        self._mixpanel_url = mixpanel_url
        self._parameters = dict(parameters or {})
        self._concurrency = concurrency
        self._api_port = api_port
        self._aws_port = aws_port
        self._logs = None if logs is None else Path(logs).resolve()
        self._pace = pace
        self._retry_waits = retry_waits
        self._redelivery = redelivery
        self._clock = clock
        self._overrides = dict(environment or {})
        self._endpoint = ""
        self._clients: dict[str, Any] = {}
        self._functions: dict[str, LambdaFunction] = {}
        self._pollers: list[_Poller] = []
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Raises TemplateError where the template asks for what is not here."""
        with contextlib.ExitStack() as opened:
            self._start(opened)
            self._opened = opened.pop_all()

    def stop(self) -> None:
        """Stop what invokes, then the functions, then the servers."""
        self._opened.close()

    def client(self, service: str) -> Any:
        """A boto3 client of the AWS server."""
        if service not in self._clients:
            self._clients[service] = boto3.session.Session().client(
                service,
                region_name=REGION,
                endpoint_url=self._endpoint,
                aws_access_key_id=ACCESS_KEY_ID,
                aws_secret_access_key=SECRET_ACCESS_KEY,
                config=Config(
                    max_pool_connections=50,
                    # A developer's proxy has no business on the loopback.
                    proxies={},
                    retries={"total_max_attempts": 2},
                    s3={"addressing_style": "path"},
                ),
            )
        return self._clients[service]

    def invoke(self, logical_id: str, event: Any) -> Invocation:
        """Invoke a function by hand, synchronously, with any JSON value."""
        return self._functions[logical_id].invoke(json.dumps(event).encode())

    def kill(self, logical_id: str) -> None:
        """SIGKILL for a process of a function, one at work if there is one."""
        self._functions[logical_id].kill()

    def pause(self) -> None:
        """Stop what polls queues and streams, for a test that delivers by hand."""
        for poller in self._pollers:
            poller.stop()
        self._pollers.clear()

    def drain(self, timeout: float = 60.0) -> None:
        """Wait until queues are empty, streams read and nothing is under way.

        Raises TimeoutError with the names of what is still busy.
        """
        until = time.monotonic() + timeout
        quiet = 0
        # Twice in a row, since one part may hand over to another that was looked at.
        while quiet < 2:
            busy = self._busy()
            quiet = 0 if busy else quiet + 1
            if busy and time.monotonic() >= until:
                raise TimeoutError(f"still busy: {', '.join(busy)}")
            time.sleep(0.05)

    def _busy(self) -> list[str]:
        names = [name for name, f in self._functions.items() if f.under_way]
        # A queue's length is dear to tell where it is long.
        return names or [
            type(part).__name__ for part in self._pollers if not part.idle()
        ]

    def _start(self, opened: contextlib.ExitStack) -> None:
        scratch = Path(tempfile.mkdtemp(prefix="sandbox-"))
        opened.callback(shutil.rmtree, scratch, ignore_errors=True)
        logs = self._logs or scratch / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        if not (self._build_dir / "template.yaml").is_file():
            raise TemplateError(f"nothing in {self._build_dir}: run `make build` first")
        children = ChildGroup()
        opened.callback(children.close)
        self._start_aws_server(children, logs, opened)
        template = Template(
            self._build_dir,
            {**_PARAMETERS, **self._parameters},
            REGION,
            self._endpoint,
        )
        resources.create(template, self.client, self.accounts.secret_values())
        stack = Stack(template)
        self._start_stand_ins(opened)
        runtime = link_runtime(scratch / "runtime")
        self._start_functions(stack, runtime, logs, children, opened)
        apis = self._start_apis(stack, opened)
        self._start_pollers(stack, opened)
        self.description = self._describe(template, stack, apis, logs)

    def _start_aws_server(
        self, children: ChildGroup, logs: Path, opened: contextlib.ExitStack
    ) -> None:
        package = Path(__file__).resolve().parent.parent
        with (logs / "aws.log").open("ab") as log:
            server = children.spawn(
                [
                    sys.executable,
                    "-m",
                    "sandbox.aws_server",
                    str(self._aws_port),
                ],
                env={**os.environ, "PYTHONPATH": str(package)},
                cwd=package,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        if server.stdout is None:
            raise AssertionError("stdout is a pipe")
        opened.callback(server.wait)
        opened.callback(server.kill)
        with server.stdout:
            port = server.stdout.readline().strip()
        if not port:
            raise RuntimeError(f"the AWS server did not start, see {logs / 'aws.log'}")
        self._endpoint = f"http://127.0.0.1:{int(port)}"
        opened.callback(self._close_clients)

    def _close_clients(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _start_stand_ins(self, opened: contextlib.ExitStack) -> None:
        if self._braze_url is None:
            self.braze, self._braze_url = start_braze(self.accounts)
            opened.callback(self.braze.stop)
        if self._mixpanel_url is None:
            self.mixpanel, self._mixpanel_url = start_mixpanel(self.accounts)
            opened.callback(self.mixpanel.stop)

    def _start_functions(
        self,
        stack: Stack,
        runtime: Path,
        logs: Path,
        children: ChildGroup,
        opened: contextlib.ExitStack,
    ) -> None:
        overrides = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "BRAZE_REST_ENDPOINT": str(self._braze_url),
            "MIXPANEL_URL": str(self._mixpanel_url),
            **self._overrides,
        }
        for logical_id, settings in stack.functions.items():
            variables = lambda_environment(settings, runtime, REGION, overrides)
            log = logs / f"{logical_id}.log"
            function = LambdaFunction(
                settings, variables, children, log, self._concurrency
            )
            opened.callback(function.close)
            self._functions[logical_id] = function

    def _start_apis(
        self, stack: Stack, opened: contextlib.ExitStack
    ) -> dict[str, HttpApi]:
        functions = {name: f.invoke for name, f in self._functions.items()}
        apis: dict[str, HttpApi] = {}
        for settings in stack.apis.values():
            api = HttpApi(
                settings,
                [route for route in stack.routes if route.api == settings.api_id],
                functions,
                port=0 if apis else self._api_port,
                clock=self._clock,
            )
            opened.callback(api.stop)
            api.start()
            apis[settings.api_id] = api
        return apis

    def _start_pollers(self, stack: Stack, opened: contextlib.ExitStack) -> None:
        destinations = Destinations(self.client)
        invokers = {
            name: AsyncInvoker(
                function.settings,
                stack.asynchronous[name],
                function.invoke,
                destinations,
                concurrency=self._concurrency,
                retry_waits=self._retry_waits,
            )
            for name, function in self._functions.items()
            if any(source.function == name for source in stack.objects)
        }
        pollers: list[_Poller] = list(invokers.values())
        for queue in stack.queues:
            function = self._functions[queue.function]
            places = min(self._concurrency, function.settings.reserved or 1_000)
            pollers.append(
                SqsMapping(
                    queue,
                    self.client("sqs"),
                    function.invoke,
                    places,
                    redelivery=self._redelivery,
                )
            )
        for stream in stack.streams:
            function = self._functions[stream.function]
            pollers.append(
                KinesisMapping(
                    stream,
                    self.client("kinesis"),
                    function.invoke,
                    function.settings.arn,
                    destinations,
                    self._pace,
                )
            )
        if stack.objects:
            submit = {name: invoker.submit for name, invoker in invokers.items()}
            pollers.append(ObjectNotifications(stack.objects, self.client, submit))
        opened.callback(self._stop_pollers)
        for poller in pollers:
            poller.start()
            self._pollers.append(poller)

    def _stop_pollers(self) -> None:
        # The functions go first: a mapping waits for its batch, and a handler may take
        # its time.
        for function in self._functions.values():
            function.close()
        with ThreadPoolExecutor(max(len(self._pollers), 1)) as pool:
            list(pool.map(lambda poller: poller.stop(), self._pollers))
        self._pollers.clear()

    def _describe(
        self,
        template: Template,
        stack: Stack,
        apis: Mapping[str, HttpApi],
        logs: Path,
    ) -> dict[str, Any]:
        outputs = template.outputs()
        for name, api in apis.items():
            deployed = f"https://{name}.execute-api.{REGION}.amazonaws.com"
            outputs = {
                key: value.replace(deployed, api.url) for key, value in outputs.items()
            }
        webhook = self._secret(template, "WebhookSecret")
        accounts = self.accounts
        return {
            "aws_endpoint_url": self._endpoint,
            "region": REGION,
            "aws_access_key_id": ACCESS_KEY_ID,
            "aws_secret_access_key": SECRET_ACCESS_KEY,
            "api_url": next((api.url for api in apis.values()), None),
            "webhook_url": outputs.get("WebhookUrl"),
            "webhook_username": webhook.get("username"),
            "webhook_password": webhook.get("password"),
            "currents_url": outputs.get("CurrentsUrl"),
            "currents_token": self._secret(template, "CurrentsSecret").get("token"),
            "braze_url": self._braze_url,
            "braze_rest_api_key": accounts.braze_rest_api_key,
            "mixpanel_url": self._mixpanel_url,
            "mixpanel_project_id": accounts.mixpanel_project_id,
            "mixpanel_project_token": accounts.mixpanel_project_token,
            "mixpanel_service_account_username": (
                accounts.mixpanel_service_account_username
            ),
            "mixpanel_service_account_secret": accounts.mixpanel_service_account_secret,
            "mixpanel_api_secret": accounts.mixpanel_api_secret,
            "outputs": outputs,
            "resources": {
                name: template.identify(name).ref for name in template.resources
            },
            "functions": {name: f.name for name, f in stack.functions.items()},
            "logs": str(logs),
        }

    def _secret(self, template: Template, logical_id: str) -> dict[str, Any]:
        if logical_id not in template.resources:
            return {}
        arn = template.identify(logical_id).ref
        content = self.client("secretsmanager").get_secret_value(SecretId=arn)
        return dict(json.loads(content["SecretString"]))
