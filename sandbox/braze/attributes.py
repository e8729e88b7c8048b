"""What a value in an attributes object does to an attribute (pure).

Source: Braze docs, "User attributes object" and "Arrays". Arrays keep the order in
which their values came, because that decides what falls out when one is full.
"""

from collections.abc import Iterable
from typing import Any

MAX_TEXT = 255
_ADDING, _REMOVING = ("add", "$add"), ("remove", "$remove")


def operate(before: Any, operation: Any, max_array: int) -> Any:
    """The value after a set, unset, `add`, `remove` or `inc`; None where unset."""
    if isinstance(operation, list):
        return _newest(_distinct(operation), max_array)
    if isinstance(operation, str):
        return operation[:MAX_TEXT]
    if not isinstance(operation, dict):
        return operation
    if "inc" in operation:
        started = isinstance(before, int | float) and not isinstance(before, bool)
        return (before if started else 0) + operation["inc"]
    if not {*_ADDING, *_REMOVING} & set(operation):
        return operation
    values = list(before) if isinstance(before, list) else []
    # The order of the two within one object is not documented.
    for value in _values(operation, _ADDING):
        if value in values:
            values.remove(value)
        values.append(value)
    for value in _values(operation, _REMOVING):
        if value in values:
            values.remove(value)
    if not values and before is None:
        return None
    return _newest(values, max_array)


def is_noop(before: Any, after: Any) -> bool:
    """Whether a write changed nothing; the order within an array does not count."""
    if isinstance(before, list) and isinstance(after, list):
        return sorted(map(repr, before)) == sorted(map(repr, after))
    return bool((before or None) == (after or None))


def data_points(operation: Any) -> int:
    """What one attribute costs: one, and one for each value added or removed.

    A write that changes nothing costs the same.
    """
    if isinstance(operation, dict):
        named = [*_values(operation, _ADDING), *_values(operation, _REMOVING)]
        return max(1, len(named))
    return 1


def has_good_shape(operation: Any) -> bool:
    """Whether `add` and `remove` hold arrays and `inc` holds an integer."""
    if not isinstance(operation, dict):
        return True
    if "inc" in operation and type(operation["inc"]) is not int:
        return False
    return all(
        isinstance(operation[key], list)
        for key in (*_ADDING, *_REMOVING)
        if key in operation
    )


def _values(operation: dict[str, Any], keys: Iterable[str]) -> list[Any]:
    return [value for key in keys for value in operation.get(key, ())]


def _distinct(values: Iterable[Any]) -> list[Any]:
    # Values can be objects, which are not hashable.
    distinct: list[Any] = []
    for value in values:
        if value not in distinct:
            distinct.append(value)
    return distinct


def _newest(values: list[Any], max_array: int) -> list[Any]:
    return values[max(0, len(values) - max_array) :]
