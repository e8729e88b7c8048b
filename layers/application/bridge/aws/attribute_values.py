"""DynamoDB's attribute values, of the types that the ledger stores (pure).

Strings, whole numbers, booleans, sets of strings or of numbers, and maps of all these.
Source: DynamoDB API, "AttributeValue". boto3 converts every type, but adds its resource
and transfer modules to each cold start (decision 0041).
"""

from collections.abc import Mapping
from typing import Any


def serialize(value: Any) -> dict[str, Any]:
    """A Python value as DynamoDB's API has it; raises `TypeError` for other types."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case dict():
            return {"M": {name: serialize(item) for name, item in value.items()}}
        case set() | frozenset() if value:
            if all(isinstance(item, str) for item in value):
                return {"SS": list(value)}
            if all(type(item) is int for item in value):
                return {"NS": [str(item) for item in value]}
    raise TypeError(f"no attribute value for a {type(value).__name__}")


def deserialize(value: Mapping[str, Any]) -> Any:
    """The inverse of `serialize`; raises `TypeError` for other types."""
    ((kind, content),) = value.items()
    match kind:
        case "BOOL" | "S":
            return content
        case "N":
            return int(content)
        case "M":
            return {name: deserialize(item) for name, item in content.items()}
        case "SS":
            return set(content)
        case "NS":
            return {int(item) for item in content}
    raise TypeError(f"attribute values of type {kind} are not stored here")
