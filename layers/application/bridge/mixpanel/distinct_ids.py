"""What Mixpanel makes of a `distinct_id`: a device's, or nobody's."""

DEVICE_PREFIX = "$device:"
"""Precedes the device id of an anonymous user: Mixpanel docs, "Identity Management"."""

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
        # Undocumented: an Android build id that two independent clients block as well.
        "lmy47d",
    }
)
"""Values that stand for no single user and that Mixpanel rejects as an id.

Source: Mixpanel docs, "Import Events", block list of `distinct_id` and `$insert_id`.
"""


def is_placeholder(value: str) -> bool:
    """Whether the value stands for nobody; case is ignored, as Mixpanel ignores it."""
    return value.strip().lower() in PLACEHOLDERS
