"""What `make run` prints at its end: a table for each flow, and what to try next."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class CohortRow:
    """The members of the cohort at both vendors after a sync."""

    sync: str
    mixpanel: set[str]
    braze: set[str]

    @property
    def equal(self) -> bool:
        return self.mixpanel == self.braze


@dataclass
class Flow:
    """How many events of one type were sent, and what became of them."""

    sent: int = 0
    delivered: int = 0
    filtered: int = 0
    quarantined: int = 0

    @property
    def accounted(self) -> int:
        return self.delivered + self.filtered + self.quarantined

    @property
    def closed(self) -> bool:
        return self.sent == self.accounted


def show(
    console: Console, cohorts: Iterable[CohortRow], flows: Mapping[str, Flow]
) -> None:
    """Print both tables; `flows` are by event type."""
    console.print()
    console.print(_cohort_table(cohorts))
    console.print(_event_table(flows))


def _cohort_table(rows: Iterable[CohortRow]) -> Table:
    table = Table(
        title="Members of the cohort «Trial, day 10»",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("after the")
    for vendor in ("in Mixpanel", "in Braze"):
        table.add_column(vendor, justify="right")
    table.add_column("the same")
    for row in rows:
        counts = f"{len(row.mixpanel):,}", f"{len(row.braze):,}"
        table.add_row(row.sync, *counts, _yes_or_no(row.equal))
    return table


def _event_table(flows: Mapping[str, Flow]) -> Table:
    table = Table(
        title="Events, and what became of them",
        title_justify="left",
        show_footer=True,
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("Braze event", footer="all", no_wrap=True)
    for name in ("sent", "delivered", "filtered", "quarantined"):
        total = sum(getattr(flow, name) for flow in flows.values())
        table.add_column(name, justify="right", footer=f"{total:,}")
    closed = all(flow.closed for flow in flows.values())
    table.add_column("adds up", footer=_yes_or_no(closed))
    for event, flow in flows.items():
        numbers = (flow.sent, flow.delivered, flow.filtered, flow.quarantined)
        counts = (f"{number:,}" for number in numbers)
        table.add_row(_short(event), *counts, _yes_or_no(flow.closed))
    return table


def _short(event_type: str) -> str:
    for prefix in ("users.", "messages.", "behaviors."):
        event_type = event_type.removeprefix(prefix)
    return event_type


def _yes_or_no(right: bool) -> str:
    return "[green]yes[/]" if right else "[bold red]NO[/]"


def show_hints(
    console: Console, description: Mapping[str, Any], file: Path, page: str
) -> None:
    """Print where everything is, and commands to try; `file` holds the description.

    `page` is the address of the live page.
    """
    url, token = description["currents_url"], description["currents_token"]
    login = f"{description['webhook_username']}:{description['webhook_password']}"
    console.print("\n[bold]The local cloud is running[/]; Ctrl-C stops it.")
    console.print(f"Both flows, moving, on a page: [bold]{page}[/]\n\nTry:\n")
    for line in (
        "# send a page of a cohort, as Mixpanel does",
        f"curl -u {login} {description['webhook_url']} \\",
        '    -d "$(jq -r .body events/cohort_webhook.json)"',
        "# send events, as Braze does",
        f"curl -H 'Authorization: Bearer {token}' \\",
        f'    {url} -d "$(jq -r .body events/currents_receiver.json)"',
        "# see what the vendors have",
        f"curl {description['braze_url']}/_stand_in/state",
        f"curl {description['mixpanel_url']}/_stand_in/state",
        "# see what waits, and what is in quarantine",
        ".venv/bin/bridge status",
    ):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(f"\n  logs: {description['logs']}", soft_wrap=True)
    console.print(f"  all names and addresses: {file}")
