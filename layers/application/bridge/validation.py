"""JSON as we take it from senders: what could be read in two ways is refused (pure)."""

import json
from typing import Any

from bridge.errors import MalformedInput


def load_object(body: bytes) -> dict[str, Any]:
    """Read a body that is one JSON object.

    Raises `MalformedInput` with a message that a customer can act on and that never
    quotes the body, which holds personal data.
    """
    try:
        data = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError:
        raise MalformedInput("not_utf8", "the body is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise MalformedInput(
            "not_json", f"the body is not JSON: {error.msg} at {where}"
        ) from None
    except RecursionError:
        raise MalformedInput("too_deep", "the body is nested too deeply") from None
    except ValueError:
        raise MalformedInput(
            "not_json",
            "the body is not JSON that we take: a key stands twice, a number is too "
            "long, or NaN or Infinity is used",
        ) from None
    if not isinstance(data, dict):
        raise MalformedInput("not_an_object", "the body must be a JSON object")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse doubled keys: the last one winning can turn an add into a removal."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
