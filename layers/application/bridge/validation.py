"""Checks of what comes from outside: strict JSON, and what a model finds wrong (pure).

No message quotes a value: senders' bodies hold personal data, and ours hold secrets.
"""

import json
from typing import Any, NamedTuple

from pydantic import ValidationError

from bridge.errors import MalformedInput
from bridge.reasons import Reason


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
    """Read a body that must be one JSON object.

    What two readers could read differently is malformed: a repeated key, NaN, Infinity.
    Raises `MalformedInput` with a message that a customer can act on.
    """
    try:
        data = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError:
        raise MalformedInput(Reason.NOT_UTF8, "the body is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise MalformedInput(
            Reason.NOT_JSON, f"the body is not JSON: {error.msg} at {where}"
        ) from None
    except RecursionError:
        raise MalformedInput(Reason.TOO_DEEP, "the body is nested too deeply") from None
    except ValueError:
        raise MalformedInput(
            Reason.NOT_JSON,
            "the body is not JSON that we take: a key occurs twice, a number is too "
            "long, or NaN or Infinity is used",
        ) from None
    if not isinstance(data, dict):
        raise MalformedInput(Reason.NOT_AN_OBJECT, "the body must be a JSON object")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Reject repeated keys: if the last one won, an add could become a removal."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
