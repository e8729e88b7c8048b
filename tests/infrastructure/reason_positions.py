"""Where the code states a reason: found in its syntax trees, not by running it.

A reason is the first argument of one of our errors or of a result that carries one
(`Filtered`, `Skipped`), the keyword `reason`, the key of a count of skipped or rejected
members, or a text of several words that a function returns or yields. Members of
`Reason` are found wherever they stand.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = [
    path
    for folder in ("layers/application/bridge", "functions")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "reasons.py"
]
RESULTS = {"Filtered", "Skipped"}
COUNTS = {"skipped", "rejected"}
SEVERAL_WORDS = re.compile(r"[a-z]+(_[a-z0-9]+)+")


@dataclass
class Found:
    """Fixed texts, texts with varying parts (as `…`), and members of the enum."""

    texts: set[str] = field(default_factory=set)
    patterns: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)


def find(sources: list[str]) -> Found:
    """All reasons that these modules state."""
    trees = [ast.parse(source) for source in sources]
    carriers = _errors(trees) | RESULTS
    constants = _constants(trees)
    found = Found()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _name(node.value) == "Reason":
                found.members.add(node.attr)
            for expression in _positions(node, carriers):
                _add(expression, constants, found)
            for part in _returned(node):
                if SEVERAL_WORDS.fullmatch(part):
                    found.texts.add(part)
    return found


def mentioned(sources: list[str]) -> set[str]:
    """Every text of several words, wherever it stands, and every named text."""
    trees = [ast.parse(source) for source in sources]
    return set(_constants(trees).values()) | {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SEVERAL_WORDS.fullmatch(node.value)
    }


def _errors(trees: list[ast.Module]) -> set[str]:
    """Our error classes: `BridgeError` and whatever derives from it."""
    bases = {
        node.name: {_name(base) for base in node.bases}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    errors = {"BridgeError"}
    while more := {n for n, of in bases.items() if of & errors} - errors:
        errors |= more
    return errors


def _constants(trees: list[ast.Module]) -> dict[str, str]:
    """Texts that have a name in their module."""
    return {
        target.id: node.value.value
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def _positions(node: ast.AST, carriers: set[str]) -> Iterator[ast.expr]:
    if isinstance(node, ast.ClassDef) and node.name in carriers:
        yield from _super_arguments(node)
    if isinstance(node, ast.Call):
        if _name(node.func) in carriers:
            yield from node.args[:1]
        yield from (each.value for each in node.keywords if each.arg == "reason")
    if isinstance(node, ast.Subscript) and _name(node.value) in COUNTS:
        yield node.slice


def _super_arguments(error: ast.ClassDef) -> Iterator[ast.expr]:
    for node in ast.walk(error):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Call)
            and _name(node.func.value.func) == "super"
        ):
            yield from node.args[:1]


def _add(expression: ast.expr, constants: dict[str, str], found: Found) -> None:
    match expression:
        case ast.Constant(value=str(text)) if text:
            found.texts.add(text)
        case ast.Name(id=name) if name in constants:
            found.texts.add(constants[name])
        case ast.JoinedStr(values=parts):
            found.patterns.add(
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in parts
                )
            )
        case ast.IfExp(body=one, orelse=other):
            _add(one, constants, found)
            _add(other, constants, found)


def _returned(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Return | ast.Yield) and node.value:
        yield from _texts(node.value)


def _texts(expression: ast.expr) -> Iterator[str]:
    """The texts that an expression can be, alone or in a tuple."""
    match expression:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from _texts(one)
            yield from _texts(other)
        case ast.BoolOp(values=parts) | ast.Tuple(elts=parts):
            for part in parts:
                yield from _texts(part)


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
