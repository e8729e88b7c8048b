"""What has been answered, in samconfig.toml: one environment a stack.

The file is SAM's own: `sam deploy --config-env NAME` reads the same answers.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit

PLACES = ("profile", "region", "stack_name")
"""Where a stack is, beside its parameters."""

FIXED = {"capabilities": "CAPABILITY_IAM", "resolve_s3": True}

_PAIR = re.compile(r"""(\w+)=("(?:\\.|[^"\\])*"|'[^']*'|\S*)""")


@dataclass
class Answers:
    """Of one environment; a place that is missing has not been answered yet."""

    places: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)


class SamConfig:
    """samconfig.toml; comments and what others wrote into it stay."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._document = tomlkit.parse(path.read_text() if path.exists() else "")
        self._document.setdefault("version", 0.1)

    def environments(self) -> Iterator[str]:
        """Their names."""
        return (n for n, v in self._document.items() if isinstance(v, Mapping))

    def read(self, environment: str) -> Answers:
        """What an environment has answers for."""
        found = self._document.get(environment, {})
        given = {
            **found.get("global", {}).get("parameters", {}),
            **found.get("deploy", {}).get("parameters", {}),
        }
        places = {name: str(given[name]) for name in PLACES if name in given}
        if "region" in places:
            # It is asked after the profile: none means the shell's own credentials.
            places.setdefault("profile", "")
        return Answers(places, _overrides(given.get("parameter_overrides", {})))

    def write(self, environment: str, answers: Answers) -> None:
        """Keep the answers of an environment, and change no other."""
        table: Any = self._document
        for name in (environment, "deploy", "parameters"):
            if name not in table:
                table[name] = tomlkit.table(is_super_table=name != "parameters")
            table = table[name]
        overrides = tomlkit.table()
        overrides.update(answers.parameters)
        for name in (*FIXED, *PLACES, "parameter_overrides"):
            table.pop(name, None)
        table.update({**FIXED, **{k: v for k, v in answers.places.items() if v}})
        table["parameter_overrides"] = overrides
        unfinished = self.path.with_suffix(".new")
        unfinished.write_text(tomlkit.dumps(self._document))
        unfinished.replace(self.path)


def _overrides(written: Any) -> dict[str, str]:
    """As a table, or as the text or list that SAM itself writes."""
    if isinstance(written, Mapping):
        return {str(name): str(value) for name, value in written.items()}
    text = written if isinstance(written, str) else " ".join(map(str, written))
    return {name: _unquoted(value) for name, value in _PAIR.findall(text)}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return value.replace('\\"', '"').replace("\\ ", " ")


def assignments(text: str) -> dict[str, str]:
    """`A=x "B=y z"` as pairs; raises `ValueError` where it is none."""
    words = shlex.split(text)
    pairs = [word.partition("=") for word in words]
    if not all(name and equals for name, equals, _ in pairs):
        raise ValueError("SET needs NAME=VALUE, several of them separated by blanks")
    return {name: value for name, _, value in pairs}
