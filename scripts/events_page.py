"""Write docs/events.md from the catalog; `--check` fails where the page is not current.

Run by `make docs` and `make check`.
"""

import sys
from itertools import groupby
from pathlib import Path

from bridge.currents.mapping.catalog import (
    CUSTOM_EVENT,
    CUSTOM_EVENT_PREFIX,
    EVENTS,
    OLDER_SPELLINGS,
    WITHOUT_EXTERNAL_ID,
    WITHOUT_USER,
)
from bridge.currents.mapping.dedup_key import MIN_TIME
from bridge.currents.mapping.properties import (
    FLOAT32,
    JSON_TEXT,
    OWN_PROPERTIES,
    PERSONAL,
    RENAMED,
    RENAMED_IN_PART,
    TEXT_BOOLEANS,
    WITHHELD,
)
from bridge.currents.mapping.result import Filtered
from bridge.currents.mapping.transform import NO_LOCATION, Mapper
from bridge.settings import AnonymousUsers, EventsWithoutUser
from scripts.pages import write_or_check

PAGE = Path(__file__).parents[1] / "docs" / "events.md"


def page() -> str:
    """The whole page as Markdown."""
    lines = [
        "# Events",
        "",
        "Generated from the catalog by `make docs`. Event types that are newer than",
        "the catalog are sent under their Braze name and reported in the log.",
        "",
        f"Every event carries `ip: {NO_LOCATION}`: otherwise Mixpanel would locate it",
        "in AWS's data centre. Braze's `latitude` and `longitude` are sent unchanged.",
        "",
    ]
    lines += _without_ids()
    families = sorted(EVENTS, key=lambda event: event.family)
    for family, events in groupby(families, key=lambda event: event.family):
        lines += [f"## {family.capitalize()}", "", "| Braze | Mixpanel |", "|---|---|"]
        for event in events:
            name = event.name
            if event.type == CUSTOM_EVENT:
                name = f"{CUSTOM_EVENT_PREFIX} *name*"
            lines.append(f"| `{event.type}` | {name} |")
        lines.append("")
    lines += ["## Properties", "", "| Braze | Mixpanel |", "|---|---|"]
    lines += [f"| `{name}` | `{renamed}` |" for name, renamed in RENAMED.items()]
    for name, (beginnings, renamed) in RENAMED_IN_PART.items():
        where = ", ".join(f"`{each}*`" for each in beginnings)
        lines.append(f"| `{name}` in {where} | `{renamed}` |")
    for name, prefix in OWN_PROPERTIES.items():
        lines.append(f"| each of `{name}` | `{prefix}` *name* |")
    for names, what in (
        (WITHHELD, "not sent"),
        (FLOAT32, "the shortest decimal that is the same 32-bit float"),
        (JSON_TEXT, "parsed"),
        (TEXT_BOOLEANS, "text, as in Braze"),
        (
            PERSONAL - WITHHELD,
            "personal: sent, unless the [rules](configuration.md#rules) say else",
        ),
    ):
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        lines.append(f"| {listed} | {what} |")
    lines += ["| any other | the same |", "", "Older spellings that are taken too:"]
    spellings = [f"`{old}` for `{new}`" for old, new in OLDER_SPELLINGS.items()]
    lines += [", ".join(spellings) + ".", ""]
    return "\n".join(lines)


def _without_ids() -> list[str]:
    """Which types never arrive under which settings, asked of the mapping itself."""
    lines = [
        "## What never arrives",
        "",
        "An event without an external id is filtered, unless the settings say else. Of",
        "these types no event has one, so that the settings decide about all of them:",
        "",
        "| type | `AnonymousUsers=skip` | `…=device` | and `EventsWithoutUser=send` |",
        "|---|---|---|---|",
    ]
    for event_type in sorted(WITHOUT_EXTERNAL_ID):
        fates = [
            _fate(event_type, anonymous, without_user)
            for anonymous, without_user in (
                (AnonymousUsers.SKIP, EventsWithoutUser.SKIP),
                (AnonymousUsers.DEVICE, EventsWithoutUser.SKIP),
                (AnonymousUsers.DEVICE, EventsWithoutUser.SEND),
            )
        ]
        lines.append(f"| `{event_type}` | {' | '.join(fates)} |")
    return [*lines, ""]


def _fate(
    event_type: str, anonymous: AnonymousUsers, without_user: EventsWithoutUser
) -> str:
    """What becomes of an event of a type that has no external id."""
    user = {} if event_type in WITHOUT_USER else {"user_id": "id"}
    event = {"event_type": event_type, "id": "id", "user": user, "properties": {}}
    mapped = Mapper(anonymous, without_user=without_user).transform(
        event | {"time": MIN_TIME}, b"", MIN_TIME + 1
    )
    if isinstance(mapped, Filtered):
        return f"never: `{mapped.rule}`"
    distinct_id = mapped.event["properties"]["distinct_id"]
    return "sent as `$device:…`" if distinct_id else "sent without a user"


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page()))
