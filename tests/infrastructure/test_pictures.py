"""The pictures of the README show what there is, and are light."""

from pathlib import Path
from xml.etree import ElementTree as ET

from scripts.architecture_picture import (
    ARROWS,
    BOXES,
    HEIGHT,
    NAMESPACE,
    WIDTH,
    picture,
)

ROOT = Path(__file__).parents[2]


def test_the_architecture_has_every_function_and_no_other() -> None:
    functions = {app.parent.name for app in ROOT.glob("functions/*/app.py")}
    assert {box.name for box in BOXES if box.kind == "function"} == functions


def test_queue_and_stream_are_named_as_in_the_template() -> None:
    template = (ROOT / "template.yaml").read_text()
    for name in ("CohortQueue", "CurrentsStream"):
        assert f"\n  {name}:\n" in template
        assert name in {box.name for box in BOXES}


def test_no_box_covers_another_and_every_arrow_ends_at_one() -> None:
    for box in BOXES:
        assert 0 <= box.x <= WIDTH - box.width
        assert 0 <= box.y <= HEIGHT - box.height
        for other in BOXES:
            apart = (
                box is other
                or box.x + box.width < other.x
                or other.x + other.width < box.x
                or box.y + box.height < other.y
                or other.y + other.height < box.y
            )
            assert apart, (box.name, other.name)
    for arrow in ARROWS:
        for x, y in (arrow.points[0], arrow.points[-1]):
            assert any(
                box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height
                for box in BOXES
            ), arrow


def test_the_drawing_is_well_formed_and_asks_no_other_address() -> None:
    drawn = picture()
    ET.fromstring(drawn)  # noqa: S314 - our own
    assert drawn.count("://") == drawn.count(f'xmlns="{NAMESPACE}"') == 1


def test_the_picture_of_the_page_is_light() -> None:
    assert 0 < (ROOT / "docs" / "live.png").stat().st_size < 300_000
