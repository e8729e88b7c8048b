"""The template's parameters, and what is wrong with a value of one (pure)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

OURS = "Architecture"
"""Not asked: it is what the layers are built for."""

_UNSAFE = re.compile(r"[\"'\\]")
"""What SAM would strip from a value, or read as something else."""

_ADDRESS = re.compile(r"(?:^|,) *(email|phone)=")
MAX_ATTRIBUTE_PREFIX = 150
"""Characters of CohortAttribute where CohortForm is boolean: a cohort's id follows."""


@dataclass(frozen=True)
class Parameter:
    """One parameter as the template declares it; None stands for no default."""

    name: str
    description: str
    default: str | None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    constraint: str = ""
    is_number: bool = False
    least: float | None = None
    most: float | None = None

    def problem(self, value: str) -> str:
        """What CloudFormation, or SAM on the way, would not take; empty if nothing."""
        if self.choices and value not in self.choices:
            return f"must be one of {', '.join(self.choices)}"
        if self.is_number:
            return self._number_problem(value)
        if _UNSAFE.search(value):
            return "must hold no quotation mark and no backslash"
        if self.pattern and not re.fullmatch(self.pattern, value):
            return self.constraint or f"must match {self.pattern}"
        return ""

    def _number_problem(self, value: str) -> str:
        if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
            return "must be a number"
        if self.least is not None and float(value) < self.least:
            return f"must be at least {self.least:g}"
        if self.most is not None and float(value) > self.most:
            return f"must be at most {self.most:g}"
        return ""


def read_parameters(template: Path) -> dict[str, Parameter]:
    """All parameters, in the template's order of its groups."""
    parsed = yaml_parse(template.read_text())
    declared: dict[str, Any] = parsed["Parameters"]
    groups = parsed["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    names = [*grouped, *(name for name in declared if name not in grouped)]
    return {name: _parameter(name, declared[name]) for name in names}


def _parameter(name: str, declared: Mapping[str, Any]) -> Parameter:
    default = declared.get("Default")
    return Parameter(
        name,
        " ".join(declared.get("Description", "").split()),
        None if default is None else str(default),
        tuple(map(str, declared.get("AllowedValues", ()))),
        declared.get("AllowedPattern", ""),
        declared.get("ConstraintDescription", ""),
        is_number=declared["Type"] == "Number",
        least=declared.get("MinValue"),
        most=declared.get("MaxValue"),
    )


def problems(
    parameters: Mapping[str, Parameter], values: Mapping[str, str]
) -> Iterator[str]:
    """What is wrong with values, alone and with each other."""
    for name, value in values.items():
        if name not in parameters:
            yield f"the template has no parameter {name}"
        elif problem := parameters[name].problem(value):
            yield f"{name} {problem}"
    defaults = {name: each.default or "" for name, each in parameters.items()}
    yield from _disagreements({**defaults, **values})


def _disagreements(values: Mapping[str, str]) -> Iterator[str]:
    """CloudFormation's patterns look at one parameter each."""
    address = _ADDRESS.search(values.get("Identifiers", ""))
    if values.get("CohortRoute") == "partner" and address:
        yield (
            f"Identifiers has {address[1]}, which CohortRoute=partner does not take: "
            "leave the entry out, or use CohortRoute=attribute"
        )
    attribute = values.get("CohortAttribute", "")
    if values.get("CohortForm") == "boolean" and len(attribute) > MAX_ATTRIBUTE_PREFIX:
        yield (
            f"CohortAttribute has more than {MAX_ATTRIBUTE_PREFIX} characters, which "
            "leaves CohortForm=boolean no room for a cohort's id"
        )
    braze = [bool(values.get(name)) for name in ("BrazeAccountId", "BrazeExternalId")]
    if len({*braze}) == 2:
        yield "BrazeAccountId and BrazeExternalId go together: give both or neither"


def shard_steps(present: int, wanted: int) -> list[int]:
    """The numbers of shards to go through; Kinesis at most doubles, or halves, at once.

    Amazon Kinesis Data Streams API Reference, "UpdateShardCount".
    """
    steps = []
    while present != wanted:
        if wanted > present:
            present = min(wanted, 2 * present)
        else:
            present = max(wanted, -(-present // 2))
        steps.append(present)
    return steps
