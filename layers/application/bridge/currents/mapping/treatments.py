"""How one property reaches Mixpanel under the customer's rules.

A treatment is the property's name in Mixpanel, or LEFT_OUT, or a function that writes
what takes more than a name: a value to read or hash, or an object to look into.
"""

import hmac
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from bridge.currents.mapping.properties import OWN_PROPERTIES, PERSONAL
from bridge.currents.mapping.rules import Personal, Rules
from bridge.currents.mapping.values import Read, parse_json_text
from bridge.errors import MalformedInput
from bridge.reasons import Reason

LEFT_OUT = False
"""False rather than None, which `dict.get` returns for a name without a treatment."""

_OPAQUE = object()

type Out = dict[str, Any]
type Treatment = str | bool | Callable[[Out, Any], None]
type Digest = Callable[[object], str]
type NoteName = Callable[[str], object]

MAX_TARGETS = 1_000
"""Names of the customer's own that are remembered; a producer may make them up."""


def keyed_digest(key: bytes) -> Digest:
    """HMAC-SHA256 in hex, of a text, or of the JSON of any other value.

    Keys of the JSON are sorted. The digest raises `MalformedInput` for a text that is
    not valid Unicode.
    """

    def digest(value: object) -> str:
        if isinstance(value, str):
            content = value.encode("utf-8", "surrogatepass")
        else:
            try:
                content = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
            except orjson.JSONEncodeError:
                raise MalformedInput(
                    Reason.NOT_TEXT, "a value is no valid text"
                ) from None
        return hmac.digest(key, content, "sha256").hex()

    return digest


class PropertyRules:
    """The rules that apply to one property, under any of its names."""

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


def treat(
    target: str, read: Read | None, rules: PropertyRules, digest: Digest
) -> Treatment:
    """The treatment of one of Braze's properties, `target` in Mixpanel."""
    target = rules.renamed or target
    if rules.drop:
        return LEFT_OUT
    drop, hashed = rules.drop_inside, rules.hash_inside
    if not (drop or hashed or rules.hash):
        if read is None:
            return target

        def write(out: Out, value: Any) -> None:
            out[target] = read(value)

        return write

    def write_ruled(out: Out, value: Any) -> None:
        value = read(value) if read else value
        if drop or hashed:
            value = _strip(value, drop, hashed, digest)
        if value is not _OPAQUE:
            out[target] = digest(value) if rules.hash else value

    return write_ruled


def treat_own(
    name: str,
    rules: Rules,
    property_rules: PropertyRules,
    digest: Digest,
    note_name: NoteName = len,
) -> Treatment:
    """The treatment of the customer's own properties, which all get a prefix.

    `note_name` is given each of their names in Mixpanel when it is first met.
    """
    if property_rules.drop:
        return LEFT_OUT
    prefix = property_rules.renamed or OWN_PROPERTIES[name]
    drop, hashed = property_rules.drop_inside, property_rules.hash_inside
    renamed = {
        path.partition(".")[2]: to
        for path, to in rules.rename_properties.items()
        if path.startswith(f"{name}.")
    }

    targets: dict[str, str] = {}

    def target_of(key: str) -> str:
        if len(targets) >= MAX_TARGETS:
            targets.clear()
        targets[key] = target = renamed.get(key) or f"{prefix} {key}"
        note_name(target)
        return target

    def write(out: Out, value: Any) -> None:
        value = parse_json_text(value)
        if drop or hashed:
            value = _strip(value, drop, hashed, digest)
            if value is _OPAQUE:
                return
        if not isinstance(value, dict):
            out[prefix] = digest(value) if property_rules.hash else value
            return
        for key, each in value.items():
            if each is not None:
                target = targets.get(key) or target_of(key)
                out[target] = digest(each) if property_rules.hash else each

    return write


def _strip(value: Any, drop: list[str], hashed: list[str], digest: Digest) -> Any:
    """The value without what the paths name; _OPAQUE for a text that is not JSON.

    At each level a path may be a key, or a key, a dot and a path below it: a key that
    has dots is found under either reading.
    """
    value = parse_json_text(value)
    if isinstance(value, str):
        return _OPAQUE
    if isinstance(value, list):
        items = [_strip(each, drop, hashed, digest) for each in value]
        return [each for each in items if each is not _OPAQUE]
    if not isinstance(value, dict):
        return value
    stripped = {}
    for key, each in value.items():
        if key in drop:
            continue
        below = f"{key}."
        inner_drop = [path[len(below) :] for path in drop if path.startswith(below)]
        inner_hash = [path[len(below) :] for path in hashed if path.startswith(below)]
        inner = each
        if inner_drop or inner_hash:
            inner = _strip(each, inner_drop, inner_hash, digest)
        if inner is not _OPAQUE:
            is_hashed = key in hashed and inner is not None
            stripped[key] = digest(inner) if is_hashed else inner
    return stripped
