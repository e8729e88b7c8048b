"""How the value of a property is read where Braze's two forms write it differently."""

import struct
from collections.abc import Callable

import orjson

_FLOAT = struct.Struct("<f")

type Read = Callable[[object], object]


def shortest_float32(value: object) -> object:
    """The shortest decimal that denotes the same 32-bit float.

    Over HTTP a number has more digits than in storage, and both must be the same in
    Mixpanel, so both go through 32 bits. Unlike rounding to seven digits, this keeps
    the cents of 123456.78. A value that is no number is returned unchanged.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        single = _float32(value)
    except OverflowError:
        return value
    for digits in (6, 7, 8):
        short = float(f"{single:.{digits}g}")
        if _float32(short) == single:
            return short
    return float(f"{single:.9g}")


def _float32(value: float) -> float:
    (single,) = _FLOAT.unpack(_FLOAT.pack(value))
    return float(single)


def as_text(value: object) -> object:
    """A boolean as JSON spells it; any other value unchanged."""
    return str(value).lower() if isinstance(value, bool) else value


def parse_json_text(value: object) -> object:
    """The value that a JSON text holds; any other value unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
