"""One thing has one word: the words that were retired stand nowhere any more.

docs/architecture.md has the glossary. A word is found as a part of a name, too
(`old_word_count`), but not inside another word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "bench",
    "cli",
    "docs",
    "functions",
    "layers",
    "sandbox",
    "scripts",
    "tests",
    ".ci",
    ".github",
)
KINDS = {".py", ".md", ".yaml", ".yml", ".toml", ".html", ".js", ".css", ""}
BUILT = {"__pycache__"}


@dataclass(frozen=True)
class Retired:
    """A pattern for whole words, and what is said now.

    `unless` are contexts in which the words mean something else; `where` are the
    folders in which they are retired, if they are good English elsewhere.
    """

    words: str
    now: str
    unless: str = r"(?!)"
    where: tuple[str, ...] = ("",)

    def found(self, text: str, path: str = "") -> bool:
        """Whether a line of this file has one of the words."""
        if path and not path.startswith(self.where):
            return False
        rest = re.sub(self.unless, "", text, flags=re.IGNORECASE)
        return bool(_whole(self.words).search(rest))


def _whole(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{words})(?![a-z])", re.IGNORECASE)


VENDOR = r"(?:mixpanel|braze|vendors?)"
PRODUCT = ("layers/", "functions/", "cli/", "docs/", "README", "CHANGELOG", "template")
MAPPING = ("layers/application/bridge/currents/", "tests/unit/currents/")

RETIRED = [
    Retired(r"(?:\w+ )?aside|put-?aside", "quarantine"),
    Retired(r"put(?:s|ting)?[- ]offs?|put \w+ off", "defer"),
    Retired(r"(?:give|gives|gave|given|giving) (?:\w+ )?back", "defer, return"),
    Retired(r"hand(?:s|ed|ing)? (?:\w+ ){0,3}back", "defer"),
    Retired(rf"{VENDOR}(?: \w+)? refus(?:e|es|ed|ing|als?)", "rejected"),
    Retired(rf"refused by {VENDOR}|{VENDOR}'s? refusals?", "rejected"),
    Retired(r"spoils?|spoilt|spoiled|spoiling", "rejected"),
    Retired(r"floors?", "baseline", r"math\.floor"),
    Retired(r"dead", "aborted", r"dead[- _]?letter(?:s|ed)?|dead code"),
    Retired(
        r"died|dies|deaths?",
        "aborted",
        r"(?:process|function|consumer|webhook|it)\w* (?:dies|died)",
        PRODUCT,
    ),
    Retired(r"judg(?:e|es|ed|ing|ement|ements|ment)", "resolve, check, decide"),
    Retired(r"verdicts?", "resolution"),
    Retired(
        r"touch(?:es|ed|ing)?",
        "apply, record",
        r"\.touch\(|touch \$|untouched",
    ),
    Retired(r"settl(?:e|es|ed|ing)|unsettled", "rescan, finish"),
    Retired(r"sweep(?:s|er|ers|ing)?|swept", "rescan, removal, maintenance"),
    Retired(r"weigh(?:s|ed|ing)?", "measure removal"),
    Retired(
        r"told",
        "published name, or the verb for what happens",
        r"told (?:apart|otherwise|not\b|that\b)",
        PRODUCT,
    ),
    Retired(r"re-assert\w*", "reassert"),
    Retired(r"assert(?:s|ed|ing)? (?:\w+ ){0,2}again", "reassert"),
    Retired(r"again(?=: (?:bool|Callable)\b|=\w)", "reassert"),
    Retired(r"warily|ends_the_process", "crash poison"),
    Retired(r"lanes?", "property mapper"),
    Retired(r"express", "fast path"),
    Retired(r"plans?|planned", "compiled mapping", where=MAPPING),
    Retired(r"(?:go|goes|gone|going) on with", "resume"),
    Retired(r"(?-i:_?(?:MOST|LONGEST|LATEST)_[A-Z]\w*)", "MAX_"),
]


def pages() -> Iterator[Path]:
    """All that is written by hand, and the pages that are generated from it."""
    yield from (
        path for path in ROOT.iterdir() if path.is_file() and path.suffix in KINDS
    )
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in KINDS and not BUILT & {*path.parts}:
                yield path


LINES = [
    (f"{path.relative_to(ROOT)}:{number}", line)
    for path in pages()
    if path != Path(__file__) and path.name != "LICENSE"
    for number, line in enumerate(path.read_text().splitlines(), 1)
]


@pytest.mark.parametrize("retired", RETIRED, ids=lambda retired: retired.now)
def test_a_retired_word_stands_nowhere(retired: Retired) -> None:
    found = [
        f"{where}: {line.strip()}"
        for where, line in LINES
        if retired.found(line, where)
    ]
    assert found == [], f"say instead: {retired.now}"


@pytest.mark.parametrize(
    "line",
    [
        "an event that is put aside",
        "ASIDE = 1",
        "the page is given back to the queue",
        "Mixpanel has refused the event",
        "floor: int = 0",
        "is_dead = True",
        "the sync died half-way",
        "def sweep_cohort() -> None:",
        "told = 1",
        "lane, plan = 1, 2",
        "MOST_PAGES = 3",
        "apply(again=True)",
        "def push(*, again: bool) -> None:",
    ],
)
def test_a_retired_word_is_found(line: str) -> None:
    assert any(retired.found(line) for retired in RETIRED)


@pytest.mark.parametrize(
    "line",
    [
        "the dead-letter queue, CohortDeadLetterQueue, dead_letters",
        "math.floor(3.5)",
        "when the process dies",
        "a weight, an expression, an explanation, a planet, besides",
        "two events that can be told apart",
        "the page is refused with a 400",
        "try it again: the answer was lost",
        "a caller who must not be told that the key is wrong",
        "reasons.most_common(), longest_retry, at_most_six",
    ],
)
def test_other_words_are_let_alone(line: str) -> None:
    assert not any(retired.found(line) for retired in RETIRED)


def test_a_word_is_retired_where_it_was_ours() -> None:
    (plan,) = (each for each in RETIRED if each.now == "compiled mapping")
    assert plan.found("plan = 1", "layers/application/bridge/currents/mapping/x.py")
    assert not plan.found("plan = 1", "sandbox/braze/faults.py")


def test_all_folders_are_read() -> None:
    read = {where.partition("/")[0] for where, _ in LINES if "/" in where}
    assert {"layers", "functions", "cli", "sandbox", "tests", "docs", "bench"} <= read
