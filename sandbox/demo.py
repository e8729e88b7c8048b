"""`make run`: both flows once through the local cloud, with the result on the screen.

It ends with an error if Braze's cohort is not Mixpanel's, or if an event that went in
is neither in Mixpanel, nor filtered, nor in the quarantine.
"""

import argparse
import json
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from bridge.quarantine import from_lines
from sandbox.braze.currents import BATCH, CurrentsSource, avro_file, avro_key
from sandbox.cloud import Cloud
from sandbox.cloudformation.intrinsics import TemplateError
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
DESCRIPTION = Path(".sandbox/description.json")

console = Console(highlight=False)


@contextmanager
def step(what: str, total: int) -> Iterator[Any]:
    """A bar that moves as work is done, and stays when it is."""
    columns = (
        TextColumn("  {task.description:<46}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done=1: progress.advance(task, done)


@dataclass
class Flow:
    """What one row of the events table says."""

    sent: int = 0
    delivered: int = 0
    filtered: int = 0
    quarantined: int = 0

    @property
    def settled(self) -> int:
        return self.delivered + self.filtered + self.quarantined

    @property
    def closed(self) -> bool:
        return self.sent == self.settled


@dataclass
class Demo:
    """The main job, once."""

    cloud: Cloud
    sent: Counter[str] = field(default_factory=Counter)
    types: dict[str, str] = field(default_factory=dict)
    cohorts: list[tuple[str, int, int, bool]] = field(default_factory=list)

    def run(self) -> bool:
        """Whether everything came out right."""
        console.print("\n[bold]Cohorts, Mixpanel → Braze[/]")
        self._sync_cohort()
        console.print("\n[bold]Events, Braze → Mixpanel[/]")
        self._send_events()
        flows = self._flows()
        self._show(flows)
        right = all(row[3] for row in self.cohorts)
        return right and all(flow.closed for flow in flows.values())

    # Cohorts

    def _sync_cohort(self) -> None:
        braze: Any = self.cloud.braze
        told = self.cloud.description
        for number in range(PEOPLE + JOINED):
            braze.workspace.add_user(external_id=f"person-{number}")
        members: dict[str, dict[str, Any]] = {
            f"person-{number}": {} for number in range(PEOPLE)
        }
        cohort = Cohort("8120045", "Trial, day 10", members)
        sync = CohortSync(
            cohort,
            told["webhook_url"],
            told["webhook_username"],
            told["webhook_password"],
        )
        self._sync("first sync, everybody", sync)
        for number in range(LEFT):
            del cohort.members[f"person-{number}"]
        for number in range(PEOPLE, PEOPLE + JOINED):
            cohort.members[f"person-{number}"] = {}
        self._sync(f"second sync, {JOINED} joined and {LEFT} left", sync)

    def _sync(self, what: str, sync: CohortSync) -> None:
        workspace = self.cloud.braze.workspace  # type: ignore[union-attr]
        before = workspace.cohort_members(ATTRIBUTE, VALUE)
        wanted = set(sync.cohort.members)
        with step(what, len(wanted ^ before)) as advance:
            result = sync.run()
            if not result.success:
                console.print(f"  the sync failed: {result.message}")
            shown = 0
            until = time.monotonic() + DRAIN_SECONDS
            while time.monotonic() < until:
                now = workspace.cohort_members(ATTRIBUTE, VALUE)
                advance(len(before ^ now) - shown)
                shown = len(before ^ now)
                if now == wanted:
                    break
                time.sleep(0.2)
            self.cloud.drain(DRAIN_SECONDS)
        held = workspace.cohort_members(ATTRIBUTE, VALUE)
        self.cohorts.append((what, len(wanted), len(held), held == wanted))

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
        told = self.cloud.description
        session = requests.Session()
        session.trust_env = False
        session.headers["authorization"] = f"Bearer {told['currents_token']}"
        with step("over HTTP, 100 a call", HTTP_EVENTS) as advance:
            for start in range(0, HTTP_EVENTS, BATCH):
                body = {"events": events[start : start + BATCH]}
                response = session.post(told["currents_url"], json=body, timeout=60)
                response.raise_for_status()
                advance(BATCH)
        file = [source.event(FILE_TYPE) for _ in range(FILE_EVENTS)]
        self._note(file)
        with step("one Avro file through S3", 1) as advance:
            self.cloud.client("s3").put_object(
                Bucket=told["resources"]["CurrentsBucket"],
                Key=avro_key(FILE_TYPE),
                Body=avro_file(FILE_TYPE, file),
            )
            advance()
        with step("delivered, filtered or put aside", HTTP_EVENTS + FILE_EVENTS) as bar:
            shown = 0
            until = time.monotonic() + DRAIN_SECONDS
            while time.monotonic() < until and shown < HTTP_EVENTS + FILE_EVENTS:
                settled = sum(flow.settled for flow in self._flows().values())
                bar(settled - shown)
                shown = settled
                time.sleep(0.2)
            self.cloud.drain(DRAIN_SECONDS)

    def _note(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.sent[event["event_type"]] += 1
            self.types[event["id"]] = event["event_type"]

    def _flows(self) -> dict[str, Flow]:
        """What became of the events, asked of the far ends and not of the bridge."""
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
        """By event type, as the importer's log has it."""
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

    # Result

    def _show(self, flows: dict[str, Flow]) -> None:
        cohorts = Table(
            title="Cohort «Trial, day 10»", title_justify="left", box=SIMPLE_HEAD
        )
        cohorts.add_column("after the")
        for column in ("Mixpanel", "Braze"):
            cohorts.add_column(column, justify="right")
        cohorts.add_column("equal")
        for what, wanted, held, equal in self.cohorts:
            cohorts.add_row(what, f"{wanted:,}", f"{held:,}", _mark(equal))
        events = Table(
            title="Events", title_justify="left", show_footer=True, box=SIMPLE_HEAD
        )
        total = Flow(
            sum(flow.sent for flow in flows.values()),
            sum(flow.delivered for flow in flows.values()),
            sum(flow.filtered for flow in flows.values()),
            sum(flow.quarantined for flow in flows.values()),
        )
        events.add_column("Braze event", footer="all", no_wrap=True)
        for name in ("sent", "delivered", "filtered", "quarantined"):
            footer = f"{getattr(total, name):,}"
            events.add_column(name, justify="right", footer=footer)
        closed = all(flow.closed for flow in flows.values())
        events.add_column("closes", footer=_mark(closed))
        for event, flow in flows.items():
            numbers = (flow.sent, flow.delivered, flow.filtered, flow.quarantined)
            name = event.removeprefix("users.").removeprefix("messages.")
            name = name.removeprefix("behaviors.")
            events.add_row(name, *(f"{n:,}" for n in numbers), _mark(flow.closed))
        console.print()
        console.print(cohorts)
        console.print(events)


def _mark(right: bool) -> str:
    return "[green]yes[/]" if right else "[bold red]NO[/]"


def _keep(cloud: Cloud) -> None:
    """Tell where everything is, until Ctrl-C."""
    told = cloud.description
    DESCRIPTION.write_text(json.dumps(told, indent=2) + "\n")
    credentials = f"{told['webhook_username']}:{told['webhook_password']}"
    console.print("\n[bold]Left up[/]; Ctrl-C ends it. Send a page, or look inside:\n")
    for line in (
        f"curl -u {credentials} {told['webhook_url']} \\",
        '    -d "$(jq -r .body events/cohort_webhook.json)"',
        f"curl -H 'Authorization: Bearer {told['currents_token']}' \\",
        f'    {told["currents_url"]} -d "$(jq -r .body events/currents_receiver.json)"',
        f"curl {told['braze_url']}/_stand_in/state",
        f"curl {told['mixpanel_url']}/_stand_in/state",
        ".venv/bin/bridge status",
    ):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(f"\n  logs: {told['logs']}", soft_wrap=True)
    console.print(f"  every name and address: {DESCRIPTION}")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


def main() -> int:
    """Run the demo; 1 if something did not come out right."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cloud up")
    parser.add_argument("--build-dir", type=Path, default=Path(".aws-sam/build"))
    options = parser.parse_args()
    if options.keep:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    began = time.monotonic()
    console.print("[bold]Local cloud[/]: the built template, its functions and queues")
    shutil.rmtree(LOGS, ignore_errors=True)
    try:
        with Cloud(options.build_dir, logs=LOGS) as cloud:
            console.print(f"  up after {time.monotonic() - began:.1f} s")
            right = Demo(cloud).run()
            seconds = time.monotonic() - began
            if right:
                console.print(f"[green]All accounts close[/] ({seconds:.0f} s).")
            else:
                console.print(f"[bold red]Something is wrong[/], see {LOGS}/")
            if options.keep:
                _keep(cloud)
    except TemplateError as error:
        console.print(f"[bold red]{error}[/]")
        return 1
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
