"""Values that Mixpanel refuses as an id because no single user is meant by them."""

PLACEHOLDERS = frozenset(
    {
        "00000000-0000-0000-0000-000000000000",
        "anon",
        "anonymous",
        "nil",
        "none",
        "null",
        "n/a",
        "na",
        "undefined",
        "unknown",
        "<nil>",
        "0",
        "-1",
        "true",
        "false",
        "[]",
        "{}",
        # Not in the docs: an Android build id that two independent clients also block.
        "lmy47d",
    }
)
"""Mixpanel docs, "Import Events", block list of `distinct_id` and `$insert_id`."""


def is_placeholder(value: str) -> bool:
    """Whether the value stands for nobody; compared without case, as Mixpanel does."""
    return value.strip().lower() in PLACEHOLDERS
