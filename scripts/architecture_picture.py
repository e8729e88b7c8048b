"""Write docs/architecture.svg, both flows; `--check` fails where it is stale.

What stands where is declared here, in the units of the picture. Run by `make docs` and
`make check`; a test holds the boxes to be the functions and the stores of the template.
"""

import sys
from html import escape
from pathlib import Path
from typing import Literal, NamedTuple

from scripts.pages import write_or_check

PICTURE = Path(__file__).parents[1] / "docs" / "architecture.svg"
NAMESPACE = "http://www.w3.org/2000/svg"
WIDTH, HEIGHT = 1100, 436

type Kind = Literal["mixpanel", "braze", "function", "store", "door"]


class Box(NamedTuple):
    """A box and what stands in it: a name, and what it is."""

    name: str
    what: str
    kind: Kind
    x: int
    y: int
    width: int
    height: int = 52


class Arrow(NamedTuple):
    """A line through points to its head; `label` stands above its first piece."""

    points: tuple[tuple[int, int], ...]
    label: str = ""


BOXES = (
    Box("Mixpanel", "cohorts, events", "mixpanel", 20, 20, 124, 396),
    Box("Braze", "users, Currents", "braze", 956, 20, 124, 396),
    # Cohorts, from left to right
    Box(
        "cohort_maintenance",
        "every ten minutes, from the ledger",
        "function",
        518,
        20,
        208,
    ),
    Box("HTTP API", "/cohorts, /partners", "door", 212, 104, 132),
    Box("cohort_webhook", "accepts pages", "function", 376, 104, 140),
    Box("CohortQueue", "SQS, FIFO by cohort", "store", 548, 104, 148),
    Box("cohort_consumer", "applies, resolves, pushes", "function", 728, 104, 162),
    Box("pages", "S3", "store", 212, 188, 132),
    Box("ledger", "DynamoDB: versions of each member", "store", 376, 188, 514),
    # Events, from right to left
    Box("HTTP API", "/currents", "door", 792, 280, 98),
    Box("currents_receiver", "packs", "function", 614, 280, 146),
    Box("bucket", "S3: Avro files", "store", 792, 364, 98),
    Box("currents_loader", "reads on from a checkpoint", "function", 614, 364, 146),
    Box("CurrentsStream", "Kinesis", "store", 448, 280, 134, 136),
    Box("currents_importer", "maps, delivers", "function", 260, 280, 156),
    Box("quarantine", "S3: the bytes, the reason", "store", 260, 364, 156),
)
ARROWS = (
    Arrow(((144, 130), (212, 130)), "sync"),
    Arrow(((344, 130), (376, 130))),
    Arrow(((516, 130), (548, 130))),
    Arrow(((696, 130), (728, 130))),
    Arrow(((890, 130), (956, 130)), "users"),
    Arrow(((400, 156), (400, 172), (278, 172), (278, 188))),
    Arrow(((446, 156), (446, 188))),
    Arrow(((809, 156), (809, 188))),
    Arrow(((622, 72), (622, 104))),
    Arrow(((956, 306), (890, 306)), "HTTP"),
    Arrow(((792, 306), (760, 306))),
    Arrow(((614, 306), (582, 306))),
    Arrow(((956, 390), (890, 390)), "files"),
    Arrow(((792, 390), (760, 390))),
    Arrow(((614, 390), (582, 390))),
    Arrow(((448, 306), (416, 306))),
    Arrow(((260, 306), (144, 306)), "import"),
    Arrow(((338, 332), (338, 364))),
)
LINES = (
    (212, 92, "Cohorts, Mixpanel → Braze"),
    (260, 268, "Events, Braze → Mixpanel"),
)

STYLE = """
    text {
      fill: #1b1f26;
      font: 13px "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial,
        sans-serif;
    }
    .what, .label { font-size: 11px; fill: #5d636e; }
    .name { font-weight: 600; }
    .flow { font-size: 13px; font-weight: 600; fill: #5d636e; }
    rect { fill: #fff; stroke: #c9c5bc; stroke-width: 1.3; }
    .paper { fill: #f6f4f0; stroke: none; }
    .function { fill: #e4f1ef; stroke: #0f766a; }
    .mixpanel { fill: #edeafb; stroke: #6a55d6; }
    .braze { fill: #fbece4; stroke: #bd4e1c; }
    .door { stroke-dasharray: 4 3; }
    polyline { fill: none; stroke: #6b717c; stroke-width: 1.4; }
    marker path { fill: #6b717c; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e9ebef; }
      .what, .label, .flow { fill: #a3abb8; }
      rect { fill: #1a1f27; stroke: #4a5361; }
      .paper { fill: #12151a; }
      .function { fill: #12302d; stroke: #45c1ad; }
      .mixpanel { fill: #262146; stroke: #a192fa; }
      .braze { fill: #3a2216; stroke: #f58f5c; }
      polyline { stroke: #8a93a1; }
      marker path { fill: #8a93a1; }
    }
"""

HEAD = (
    '  <marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto"><path d="M0 0.6 8 4 0 7.4Z"/></marker>'
)


def picture() -> str:
    """The whole drawing."""
    return "\n".join(
        (
            f'<svg xmlns="{NAMESPACE}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            "  <title>The two flows of the bridge</title>",
            f"  <desc>{escape(description())}</desc>",
            f"  <style>{STYLE}  </style>",
            HEAD,
            f'  <rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="14"/>',
            *map(_arrow, ARROWS),
            *map(_box, BOXES),
            *(
                f'  <text class="flow" x="{x}" y="{y}">{escape(text)}</text>'
                for x, y, text in LINES
            ),
            "</svg>",
            "",
        )
    )


def description() -> str:
    """For those who do not see it."""
    return (
        "Cohorts: Mixpanel's sync calls cohort_webhook through the HTTP API; it stores "
        "pages in S3, registers them in the ledger and enqueues them; cohort_consumer "
        "applies them and writes to Braze; cohort_maintenance resends what has no "
        "message. Events: Braze Currents comes over HTTP to currents_receiver or as "
        "Avro files through S3 to currents_loader; both write to the stream, from "
        "which currents_importer delivers to Mixpanel and fills the quarantine."
    )


def _box(box: Box) -> str:
    middle, centre = box.x + box.width // 2, box.y + box.height // 2
    return (
        f'  <rect class="{box.kind}" x="{box.x}" y="{box.y}" width="{box.width}" '
        f'height="{box.height}" rx="9"/>\n'
        f'  <text class="name" x="{middle}" y="{centre - 2}" text-anchor="middle">'
        f"{escape(box.name)}</text>\n"
        f'  <text class="what" x="{middle}" y="{centre + 14}" text-anchor="middle">'
        f"{escape(box.what)}</text>"
    )


def _arrow(arrow: Arrow) -> str:
    points = " ".join(f"{x},{y}" for x, y in arrow.points)
    line = f'  <polyline points="{points}" marker-end="url(#head)"/>'
    if not arrow.label:
        return line
    (x, y), (to, _) = arrow.points[:2]
    return (
        f'{line}\n  <text class="label" x="{(x + to) // 2}" y="{y - 6}" '
        f'text-anchor="middle">{escape(arrow.label)}</text>'
    )


if __name__ == "__main__":
    sys.exit(write_or_check(PICTURE, picture()))
