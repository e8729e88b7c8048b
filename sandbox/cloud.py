"""One running sandbox: the AWS server, the functions and everything that invokes them.

`Cloud` is the one class that other code needs; each package beside it stands for one
part of AWS or for one vendor.
"""

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sandbox.accounts import Accounts
from sandbox.aws_server.process import (
    ACCESS_KEY_ID,
    REGION,
    SECRET_ACCESS_KEY,
    AwsServer,
    key_of,
)
from sandbox.cloudformation import resources
from sandbox.cloudformation.intrinsics import TemplateError
from sandbox.cloudformation.roles import grants
from sandbox.cloudformation.stack import Stack
from sandbox.cloudformation.template import Template
from sandbox.description import describe
from sandbox.event_sources.kinesis import Pace
from sandbox.event_sources.pollers import Poller, Tempo, make_pollers
from sandbox.http_api.server import HttpApi
from sandbox.lambda_runtime.functions import LambdaFunction
from sandbox.lambda_runtime.invocation import Invocation
from sandbox.lambda_runtime.process_setup import lambda_environment, link_runtime
from sandbox.lambda_runtime.processes import ChildGroup
from sandbox.stand_ins import start_braze, start_mixpanel

if TYPE_CHECKING:
    from sandbox.braze import BrazeStandIn
    from sandbox.mixpanel import MixpanelStandIn

# Required by the template, without effect here: the functions call the stand-ins.
_PARAMETERS = {
    "MixpanelRegion": "US",
    "BrazeRestEndpoint": "https://rest.iad-01.braze.com",
}


class Cloud:
    """The stack of `build_dir`, running from `start` to `stop`.

    `braze_url` and `mixpanel_url` put another loopback server in place of a stand-in;
    `parameters` override the template's; `concurrency` is the number of processes a
    function may have; `logs` is a folder, with one log file for each function; `clock`
    is the API's, in epoch seconds. See `Tempo` for `pace`, `retry_waits` (both in
    seconds) and `redelivery`.
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
        self._logs = None if logs is None else Path(logs).resolve()
        self._pace = pace
        self._retry_waits = retry_waits
        self._redelivery = redelivery
        self._clock = clock
        self._overrides = dict(environment or {})
        self._aws = AwsServer(aws_port)
        self._functions: dict[str, LambdaFunction] = {}
        self._pollers: list[Poller] = []
        self._grants: dict[str, list[tuple[str, str]]] = {}
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        *_: object,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Raises TemplateError where the template asks for what is not supported."""
        with contextlib.ExitStack() as opened:
            self._start(opened)
            self._opened = opened.pop_all()

    def stop(self) -> None:
        """Stop what invokes, then the functions, then the servers."""
        self._opened.close()

    def client(self, service: str) -> Any:
        """A boto3 client of the AWS server."""
        return self._aws.client(service)

    def invoke(self, logical_id: str, event: Any) -> Invocation:
        """Invoke a function by hand, synchronously, with any JSON value."""
        return self._functions[logical_id].invoke(json.dumps(event).encode())

    def variables(self, logical_id: str) -> dict[str, str]:
        """A function's variables as the template sets them, pointed at this cloud.

        For running the function elsewhere, such as in a container; without those that
        Lambda itself sets.
        """
        settings = self._functions[logical_id].settings
        return {**settings.environment, **self._pointed()}

    def _pointed(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self._aws.url,
            "BRAZE_REST_ENDPOINT": str(self._braze_url),
            "MIXPANEL_URL": str(self._mixpanel_url),
        }

    def kill(self, logical_id: str) -> None:
        """Send SIGKILL to a process of a function, to one at work if there is one."""
        self._functions[logical_id].kill()

    def pause(self) -> None:
        """Stop the pollers, for a test that delivers by hand."""
        for poller in self._pollers:
            poller.stop()
        self._pollers.clear()

    def drain(self, timeout: float = 60.0) -> None:
        """Wait until queues are empty, streams are read and no function runs.

        Raises TimeoutError, naming what is still busy.
        """
        until = time.monotonic() + timeout
        quiet = 0
        # Twice in a row, as one part may hand over to another that was seen idle.
        while quiet < 2:
            busy = self._busy()
            quiet = 0 if busy else quiet + 1
            if busy and time.monotonic() >= until:
                raise TimeoutError(f"still busy: {', '.join(busy)}")
            time.sleep(0.05)

    def _busy(self) -> list[str]:
        names = [name for name, f in self._functions.items() if f.under_way]
        # Asked last: to count a long queue is slow.
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
        self._aws.start(children, logs / "aws.log", scratch / "permissions")
        opened.callback(self._aws.stop)
        template = Template(
            self._build_dir,
            {**_PARAMETERS, **self._parameters},
            REGION,
            self._aws.url,
        )
        resources.create(template, self.client, self.accounts.secret_values())
        stack = Stack(template)
        self._grants = grants(template)
        self._aws.grant(self._grants)
        self._start_stand_ins(opened)
        runtime = link_runtime(scratch / "runtime")
        self._start_functions(stack, runtime, logs, children, opened)
        apis = self._start_apis(stack, opened)
        self._start_pollers(stack, opened)
        self.description = describe(
            template,
            stack,
            self._aws,
            {name: (api.url, api.invoke_url) for name, api in apis.items()},
            {"braze": str(self._braze_url), "mixpanel": str(self._mixpanel_url)},
            self.accounts,
            logs,
        )

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
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            **self._pointed(),
            **self._overrides,
        }
        for logical_id, settings in stack.functions.items():
            signed = {"AWS_ACCESS_KEY_ID": self._key_of(logical_id), **overrides}
            variables = lambda_environment(settings, runtime, REGION, signed)
            log = logs / f"{logical_id}.log"
            function = LambdaFunction(
                settings, variables, children, log, self._concurrency
            )
            opened.callback(function.close)
            self._functions[logical_id] = function

    def _key_of(self, function: str) -> str:
        """Its own, where its role is in the template; else one that may do anything."""
        return key_of(function) if function in self._grants else ACCESS_KEY_ID

    def unused_permissions(self) -> set[tuple[str, str, str]]:
        """What roles allow and nothing has used so far: function, action, resource."""
        used = self._aws.used()
        return {
            (function, action, resource)
            for function, allowed in self._grants.items()
            for action, resource in allowed
            if (key_of(function), action, resource) not in used
        }

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
        pollers = make_pollers(
            stack,
            self._functions,
            self.client,
            lambda function, service: self._aws.client(service, self._key_of(function)),
            Tempo(self._concurrency, self._retry_waits, self._redelivery, self._pace),
        )
        opened.callback(self._stop_pollers)
        for poller in pollers:
            poller.start()
            self._pollers.append(poller)

    def _stop_pollers(self) -> None:
        # The functions go first: a mapping waits for its batch, and a handler may run
        # for minutes.
        for function in self._functions.values():
            function.close()
        with ThreadPoolExecutor(max(len(self._pollers), 1)) as pool:
            list(pool.map(lambda poller: poller.stop(), self._pollers))
        self._pollers.clear()
