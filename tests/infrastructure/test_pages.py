"""What the pages point at exists: files of the tree, pages and their headings."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BRIDGE = ROOT / "layers" / "application" / "bridge"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "bench" / "README.md",
    ROOT / "sandbox" / "README.md",
]
TREES = ("bench", "cli", "docs", "events", "functions", "sandbox", "scripts", "tests")
PREFIXES = {"aws/lambda/"}
"""Of the data bucket, and no folders of ours."""

OURS = sorted(each.name for each in BRIDGE.iterdir() if each.is_dir())

_CODE = re.compile(r"`([\w./]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def paths(page: Path) -> Iterator[str]:
    """Paths in code type: below a folder of the tree, or of our package."""
    for path in _CODE.findall(page.read_text()):
        head, slash, rest = path.partition("/")
        if slash and head in {*TREES, *OURS} and (rest.endswith((".py", "/"))):
            yield path


def headings(page: Path) -> set[str]:
    """The anchors of a page, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_paths_of_a_page_exist(page: Path) -> None:
    missing = [
        path
        for path in paths(page)
        if path not in PREFIXES
        and not (ROOT / path).exists()
        and not (BRIDGE / path).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(page.read_text()):
        target, _, anchor = link.partition("#")
        if target.startswith("http"):
            continue
        to = (page.parent / target).resolve() if target else page
        if not to.exists() or (anchor and anchor not in headings(to)):
            broken.append(link)
    assert broken == []


def test_paths_and_links_are_found() -> None:
    architecture = ROOT / "docs" / "architecture.md"
    assert "cohorts/intake/accept.py" in {*paths(architecture)}
    assert "who-retries-what" in headings(architecture)
    assert len(_LINK.findall((ROOT / "README.md").read_text())) > 10


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    decisions = sorted(folder.glob("0*.md"))
    assert len(decisions) > 20
    for decision in decisions:
        title = decision.read_text().partition("\n")[0].removeprefix("# ")
        row = f"| {decision.name[:4]} | [{title}]({decision.name}) | "
        assert row in index, decision.name


def test_every_code_of_the_tests_is_in_the_legend() -> None:
    legend = (ROOT / "docs" / "legend.md").read_text()
    tests = "\n".join(
        path.read_text()
        for path in (ROOT / "tests").rglob("*.py")
        if path.name != "test_claims.py"
    )
    codes = {*re.findall(r"\b[ABS]-[a-z]{3,}\b|\bB-401\b", tests)}
    assert {"A-kill", "B-soak", "S-canary"} <= codes
    assert [code for code in sorted(codes) if f"| {code} |" not in legend] == []
    code = "\n".join(path.read_text() for path in BRIDGE.rglob("*.py"))
    required = {*re.findall(r"\bR(?:1[0-4]|[1-9])\b", code)}
    assert "R6" in required
    assert [each for each in sorted(required) if f"| {each} |" not in legend] == []
