"""`make run`: both flows once through the local cloud, and a table of what came out.

It ends with an error if Braze's cohort is not Mixpanel's, or if an event that was sent
is neither in Mixpanel, nor filtered, nor in quarantine.
"""

import argparse
import json
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bridge.quarantine import from_lines
from sandbox.braze.currents import BATCH, CurrentsSource, avro_file, avro_key
from sandbox.cloud import Cloud
from sandbox.cloudformation.intrinsics import TemplateError
from sandbox.demo_report import CohortRow, Flow, show, show_hints
from sandbox.description import DESCRIPTION, shown_to_the_command
from sandbox.mixpanel import Cohort, CohortSync

PEOPLE = 2_500
JOINED = 120
LEFT = 200
HTTP_EVENTS = 3_000
FILE_EVENTS = 500
FILE_TYPE = "users.messages.email.Open"
UNKNOWN = "(not readable)"
TOO_OLD = 1_199_145_600  # 2008
ATTRIBUTE, VALUE = "mixpanel_cohorts", "mixpanel_8120045"
DRAIN_SECONDS = 120

LOGS = Path(".sandbox/logs")

console = Console(highlight=False)


@contextmanager
def step(what: str, total: int) -> Iterator[Any]:
    """A progress bar; call what it yields to advance it, by one or by a number."""
    columns = (
        TextColumn("  {task.description:<46}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda number=1: progress.advance(task, number)


@dataclass
class Demo:
    """One run of both flows, and what was sent in it."""

    cloud: Cloud
    sent: Counter[str] = field(default_factory=Counter)
    types: dict[str, str] = field(default_factory=dict)
    cohorts: list[CohortRow] = field(default_factory=list)

    def run(self) -> bool:
        """Whether Braze has the cohort, and every event is accounted for."""
        console.print("\n[bold]Cohorts, Mixpanel → Braze[/]")
        self._sync_cohort()
        console.print("\n[bold]Events, Braze → Mixpanel[/]")
        self._send_events()
        flows = self._flows()
        show(console, self.cohorts, flows)
        return all(row.equal for row in self.cohorts) and all(
            flow.closed for flow in flows.values()
        )

    # Cohorts

    def _sync_cohort(self) -> None:
        braze: Any = self.cloud.braze
        description = self.cloud.description
        for number in range(PEOPLE + JOINED):
            braze.workspace.add_user(external_id=f"person-{number}")
        members: dict[str, dict[str, Any]] = {
            f"person-{number}": {} for number in range(PEOPLE)
        }
        cohort = Cohort("8120045", "Trial, day 10", members)
        sync = CohortSync(
            cohort,
            description["webhook_url"],
            description["webhook_username"],
            description["webhook_password"],
        )
        self._sync(f"first sync, {PEOPLE:,} members", sync)
        for number in range(LEFT):
            del cohort.members[f"person-{number}"]
        for number in range(PEOPLE, PEOPLE + JOINED):
            cohort.members[f"person-{number}"] = {}
        self._sync(f"second sync, {JOINED} joined and {LEFT} left", sync)

    def _sync(self, what: str, sync: CohortSync) -> None:
        workspace = self.cloud.braze.workspace  # type: ignore[union-attr]
        before = workspace.cohort_members(ATTRIBUTE, VALUE)
        expected = set(sync.cohort.members)
        with step(what, len(expected ^ before)) as advance:
            result = sync.run()
            if not result.success:
                console.print(f"  the sync failed: {result.message}")
            shown = 0
            until = time.monotonic() + DRAIN_SECONDS
            while time.monotonic() < until:
                now = workspace.cohort_members(ATTRIBUTE, VALUE)
                advance(len(before ^ now) - shown)
                shown = len(before ^ now)
                if now == expected:
                    break
                time.sleep(0.2)
            self.cloud.drain(DRAIN_SECONDS)
        members = workspace.cohort_members(ATTRIBUTE, VALUE)
        self.cohorts.append(CohortRow(what, expected, members))

    # Events

    def _send_events(self) -> None:
        people = [f"person-{number}" for number in range(PEOPLE)]
        source = CurrentsSource(people, int(time.time()) - 3600, anonymous=0.05)
        events = [source.event() for _ in range(HTTP_EVENTS)]
        for event in events[::200]:
            event["time"] = TOO_OLD
        for event in events[7::500]:
            event["time"] = "yesterday"
        self._note(events)
        description = self.cloud.description
        session = requests.Session()
        session.trust_env = False
        session.headers["authorization"] = f"Bearer {description['currents_token']}"
        with step("over HTTP, 100 a call", HTTP_EVENTS) as advance:
            url = description["currents_url"]
            for start in range(0, HTTP_EVENTS, BATCH):
                body = {"events": events[start : start + BATCH]}
                response = session.post(url, json=body, timeout=60)
                response.raise_for_status()
                advance(BATCH)
        file = [source.event(FILE_TYPE) for _ in range(FILE_EVENTS)]
        self._note(file)
        with step("one Avro file through S3", 1) as advance:
            self.cloud.client("s3").put_object(
                Bucket=description["resources"]["CurrentsBucket"],
                Key=avro_key(FILE_TYPE),
                Body=avro_file(FILE_TYPE, file),
            )
            advance()
        total = HTTP_EVENTS + FILE_EVENTS
        with step("delivered, filtered or quarantined", total) as advance:
            shown = 0
            until = time.monotonic() + DRAIN_SECONDS
            while time.monotonic() < until and shown < total:
                accounted = sum(flow.accounted for flow in self._flows().values())
                advance(accounted - shown)
                shown = accounted
                time.sleep(0.2)
            self.cloud.drain(DRAIN_SECONDS)

    def _note(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.sent[event["event_type"]] += 1
            self.types[event["id"]] = event["event_type"]

    def _flows(self) -> dict[str, Flow]:
        """What became of the events, by type, without asking the bridge."""
        flows = {event: Flow(sent=sent) for event, sent in sorted(self.sent.items())}
        mixpanel: Any = self.cloud.mixpanel
        for key in mixpanel.visible():
            flows[self.types[key[3]]].delivered += 1
        for event_type, filtered in self._filtered().items():
            flows[event_type].filtered = filtered
        for event_type, quarantined in self._quarantined().items():
            flows.setdefault(event_type, Flow()).quarantined = quarantined
        return flows

    def _filtered(self) -> Counter[str]:
        """By event type, from the importer's log."""
        log = Path(self.cloud.description["logs"]) / "CurrentsImporterFunction.log"
        filtered: Counter[str] = Counter()
        for line in log.read_text().splitlines():
            if '"by_event"' in line:
                for event, counts in json.loads(line)["by_event"].items():
                    filtered[event] += counts.get("filtered", 0)
        return filtered

    def _quarantined(self) -> Counter[str]:
        s3 = self.cloud.client("s3")
        bucket = self.cloud.description["resources"]["DataBucket"]
        found: Counter[str] = Counter()
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="quarantine/currents/")
        for entry in listed.get("Contents", ()):
            content = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            for item in from_lines(content):
                found[item.kind or UNKNOWN] += 1
        return found


def main() -> int:
    """Run the demo; 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cloud running")
    parser.add_argument("--build-dir", type=Path, default=Path(".aws-sam/build"))
    options = parser.parse_args()
    if options.keep:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    began = time.monotonic()
    console.print("[bold]Local cloud[/]: the built template, its functions and queues")
    shutil.rmtree(LOGS, ignore_errors=True)
    try:
        if options.keep:
            return _run_and_keep(options.build_dir, began)
        with Cloud(options.build_dir, logs=LOGS) as cloud:
            return 0 if _run(Demo(cloud), began) else 1
    except TemplateError as error:
        console.print(f"[bold red]{error}[/]")
        return 1


def _run(demo: Demo, began: float) -> bool:
    """Whether all is right; `began` is on the monotonic clock."""
    console.print(f"  up after {time.monotonic() - began:.1f} s")
    right = demo.run()
    seconds = time.monotonic() - began
    if right:
        console.print(
            "[green]Braze has Mixpanel's cohort, and every event is accounted "
            f"for[/] ({seconds:.0f} s)."
        )
    else:
        console.print(f"[bold red]Something is wrong[/], see {LOGS}/")
    return right


def _run_and_keep(build_dir: Path, began: float) -> int:
    """Run the demo, then leave its cloud up, with the live page; the exit status."""
    # Who does not keep it does not load the page.
    from sandbox.live.cloud import live_cloud  # noqa: PLC0415
    from sandbox.live.server import LivePage  # noqa: PLC0415
    from sandbox.live.world import World  # noqa: PLC0415

    with ExitStack() as opened:
        cloud, kills = opened.enter_context(live_cloud(build_dir, LOGS))
        demo = Demo(cloud)
        right = _run(demo, began)
        opened.enter_context(shown_to_the_command(cloud.description))
        world = World(cloud, kills, earlier=demo.types)
        page = opened.enter_context(LivePage(world))
        show_hints(console, cloud.description, DESCRIPTION, page.url)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
