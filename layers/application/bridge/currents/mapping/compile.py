"""What becomes of events of one type: worked out once, so that an event costs little.

A plan joins the catalog, the properties and the customer's rules. For each property it
holds its name in Mixpanel, or LEFT_OUT, or a function that writes what takes some work.
"""

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.braze.currents_event import FLAT_KEYS, FLAT_PROPERTIES
from bridge.currents.mapping.properties import (
    OWN_PROPERTIES,
    PERSONAL,
    Read,
    is_reserved,
    mapped_properties,
    parse_json_text,
)
from bridge.currents.mapping.property_mapper import (
    LEFT_OUT,
    Action,
    Out,
    PropertyMapper,
)
from bridge.currents.mapping.rules import Personal, Rules
from bridge.errors import MalformedInput

MAX_UNKNOWN = 1_000
"""Names of one type that are kept in mind; a producer may make them up."""

_GONE = object()

type Digest = Callable[[object], str]


@dataclass(frozen=True, slots=True)
class CompiledProperties:
    """Actions by property, for the nested form and for the flat one."""

    nested: dict[str, Action]
    flat: dict[str, Action]
    unknown: Callable[[str], Action]
    nested_mapper: PropertyMapper
    flat_mapper: PropertyMapper


def keyed_digest(key: bytes) -> Digest:
    """HMAC-SHA256 in hex, of the text or of the JSON with sorted keys."""

    def digest(value: object) -> str:
        if isinstance(value, str):
            content = value.encode("utf-8", "surrogatepass")
        else:
            try:
                content = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
            except orjson.JSONEncodeError:
                raise MalformedInput("not_text", "a value is no valid text") from None
        return hmac.digest(key, content, "sha256").hex()

    return digest


def compile_properties(
    event_type: str, rules: Rules, digest: Digest
) -> CompiledProperties:
    """The plan of one event type."""
    mapped = mapped_properties(event_type)
    sources: dict[str, set[str]] = {}
    for name, (target, _) in mapped.items():
        sources.setdefault(target, set()).add(name)
    nested: dict[str, Action] = {}
    for name, (target, read) in mapped.items():
        if not target:
            nested[name] = LEFT_OUT
            continue
        # A rule may call a property as either form of Braze or Mixpanel calls it.
        ruling = _Ruling(rules, sources[target] | {target})
        if name in OWN_PROPERTIES:
            nested[name] = _own(name, rules, ruling, digest)
        else:
            nested[name] = _action(target, read, ruling, digest)
    flat = nested | dict.fromkeys(FLAT_KEYS - {"device_id"}, LEFT_OUT)
    if own := FLAT_PROPERTIES.get(event_type):
        flat["properties"] = nested[own]

    new: dict[str, Action] = {}

    def unknown(name: str) -> Action:
        """A field that is newer than the catalog goes through under its own name."""
        if name not in new:
            if len(new) >= MAX_UNKNOWN:
                new.clear()
            # What Mixpanel would take for its own must not vanish in it.
            target = f"[Braze] {name}" if is_reserved(name) else name
            new[name] = _action(target, None, _Ruling(rules, {name}), digest)
        return new[name]

    taken = frozenset({*sources, *rules.rename_properties.values()})
    mappers = (PropertyMapper(actions, taken, unknown) for actions in (nested, flat))
    return CompiledProperties(nested, flat, unknown, *mappers)


class _Ruling:
    """What the rules say about one property, known by any of some names."""

    def __init__(self, rules: Rules, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        named = self.names & {
            *rules.drop_properties,
            *rules.hash_properties,
        }
        by_default = rules.personal if self.names & PERSONAL else Personal.KEEP
        self.drop = bool(self.names & set(rules.drop_properties)) or (
            not named and by_default is Personal.DROP
        )
        self.hash = bool(self.names & set(rules.hash_properties)) or (
            not named and by_default is Personal.HASH
        )
        self.renamed = next(
            (to for name, to in rules.rename_properties.items() if name in self.names),
            None,
        )
        self.drop_inside = self._inside(rules.drop_properties)
        self.hash_inside = self._inside(rules.hash_properties)

    def _inside(self, paths: Iterable[str]) -> list[str]:
        return [
            path[len(name) + 1 :]
            for path in paths
            for name in self.names
            if path.startswith(f"{name}.")
        ]


def _action(target: str, read: Read | None, ruling: _Ruling, digest: Digest) -> Action:
    target = ruling.renamed or target
    if ruling.drop:
        return LEFT_OUT
    drop, hashed = ruling.drop_inside, ruling.hash_inside
    if not (drop or hashed or ruling.hash):
        if read is None:
            return target

        def write(out: Out, value: Any) -> None:
            out[target] = read(value)

        return write

    def write_ruled(out: Out, value: Any) -> None:
        value = read(value) if read else value
        if drop or hashed:
            value = _strip(value, drop, hashed, digest)
        if value is not _GONE:
            out[target] = digest(value) if ruling.hash else value

    return write_ruled


def _own(name: str, rules: Rules, ruling: _Ruling, digest: Digest) -> Action:
    """The customer's own properties, each under its prefix."""
    if ruling.drop:
        return LEFT_OUT
    prefix = ruling.renamed or OWN_PROPERTIES[name]
    drop, hashed = ruling.drop_inside, ruling.hash_inside
    renamed = {
        path.partition(".")[2]: to
        for path, to in rules.rename_properties.items()
        if path.startswith(f"{name}.")
    }

    def write(out: Out, value: Any) -> None:
        value = parse_json_text(value)
        if drop or hashed:
            value = _strip(value, drop, hashed, digest)
            if value is _GONE:
                return
        if not isinstance(value, dict):
            out[prefix] = digest(value) if ruling.hash else value
            return
        for key, each in value.items():
            if each is not None:
                target = renamed.get(key) or f"{prefix} {key}"
                out[target] = digest(each) if ruling.hash else each

    return write


def _strip(value: Any, drop: list[str], hashed: list[str], digest: Digest) -> Any:
    """The value without what stands at the paths; _GONE if it cannot be looked into.

    At each level a path may be a key, or a key, a dot and a path below it: keys with
    dots are found in either reading.
    """
    value = parse_json_text(value)
    if isinstance(value, str):
        return _GONE
    if isinstance(value, list):
        items = [_strip(each, drop, hashed, digest) for each in value]
        return [each for each in items if each is not _GONE]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, each in value.items():
        if key in drop:
            continue
        below = f"{key}."
        inner_drop = [path[len(below) :] for path in drop if path.startswith(below)]
        inner_hash = [path[len(below) :] for path in hashed if path.startswith(below)]
        inner = each
        if inner_drop or inner_hash:
            inner = _strip(each, inner_drop, inner_hash, digest)
        if inner is not _GONE:
            hides = key in hashed and inner is not None
            kept[key] = digest(inner) if hides else inner
    return kept
