"""Checks of what comes from outside: strict JSON, and what a model finds wrong (pure).

No message quotes a value: senders' bodies hold personal data, and ours hold secrets.
"""

import json
import math
from typing import Any, NamedTuple

from pydantic import ValidationError

from bridge.errors import MalformedInput
from bridge.reasons import Reason

MAX_DIGITS = 310
"""Of an integer; no field has so long a one, and as a float it is then infinite."""


class Problem(NamedTuple):
    """One thing that a model finds wrong; `field` is a dotted path, empty for all."""

    field: str
    message: str


def problems(error: ValidationError) -> list[Problem]:
    """Everything that pydantic found wrong, in order; at least one."""
    return [
        Problem(".".join(map(str, item["loc"])), item["msg"])
        for item in error.errors(include_input=False, include_url=False)
    ]


def describe(error: ValidationError, whole: str = "") -> str:
    """Everything that pydantic found wrong, as one line of text.

    `whole` names the input where no single field is at fault.
    """
    return "; ".join(
        ": ".join(filter(None, (field or whole, message)))
        for field, message in problems(error)
    )


def load_object(body: bytes) -> dict[str, Any]:
    """Read a body that must be one JSON object, every part of which is read.

    What two readers could read differently is malformed: a repeated key, NaN, Infinity.
    Raises `MalformedInput` with a message that a customer can act on.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedInput(Reason.NOT_UTF8, "the body is not UTF-8 text") from None
    return _object(text, _STRICT)


class Repeating(dict[str, Any]):
    """An object that holds some keys more than once.

    Where the values of a key differ, it holds the list of them, which nobody takes for
    one of them.
    """

    repeated: frozenset[str] = frozenset()


def load_leniently(body: bytes) -> dict[str, Any]:
    """Read a body that must be one JSON object, of which only parts are read.

    What would be malformed stays where it stands, for whoever reads that part: NaN and
    Infinity, a number that is too long (as infinity), bytes that are not UTF-8 (as lone
    surrogates), and an object that is a `Repeating`. Raises `MalformedInput`.
    """
    return _object(body.decode("utf-8-sig", "surrogateescape"), _LENIENT)


def check_read_keys(data: dict[str, Any], keys: frozenset[str]) -> None:
    """Raise `MalformedInput` if the keys that are read can be read in two ways.

    Each of them may occur once in an object of `load_leniently`, with a finite value.
    """
    repeated = data.repeated if isinstance(data, Repeating) else frozenset()
    for key in sorted(keys & {*data}):
        value = data[key]
        if key in repeated or (isinstance(value, float) and not math.isfinite(value)):
            raise _ambiguous(key)


def _object(text: str, decoder: json.JSONDecoder) -> dict[str, Any]:
    try:
        data = decoder.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise MalformedInput(
            Reason.NOT_JSON, f"the body is not JSON: {error.msg} at {where}"
        ) from None
    except RecursionError:
        raise MalformedInput(Reason.TOO_DEEP, "the body is nested too deeply") from None
    except ValueError:
        raise _ambiguous() from None
    if not isinstance(data, dict):
        raise MalformedInput(Reason.NOT_AN_OBJECT, "the body must be a JSON object")
    return data


def _ambiguous(key: str = "") -> MalformedInput:
    return MalformedInput(
        Reason.NOT_JSON,
        f"{key or 'the body'} is not JSON that we take: a key occurs twice, a number "
        "is too long, or NaN or Infinity is used",
        field=key,
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Reject repeated keys: if the last one won, an add could become a removal."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _repeating(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keep all values of a repeated key: to read one of them would be a guess."""
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    values: dict[str, list[Any]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    repeating = Repeating(
        (key, found[0] if all(each == found[0] for each in found) else found)
        for key, found in values.items()
    )
    repeating.repeated = frozenset(key for key in values if len(values[key]) > 1)
    return repeating


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
_LENIENT = json.JSONDecoder(object_pairs_hook=_repeating, parse_int=_integer)
