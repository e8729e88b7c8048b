"""Aggregated records give their user records, and damage is found."""

import hashlib

import pytest

from bridge.currents.decode.kpl import MAGIC, user_records
from bridge.errors import MalformedInput
from tests.unit.currents.record_bytes import ONE_LINERS, aggregate, field

OTHER_FIELDS = {
    "a varint": bytes([4 << 3 | 0, 0xFF, 0x01]),
    "eight bytes": bytes([4 << 3 | 1]) + b"12345678",
    "four bytes": bytes([4 << 3 | 5]) + b"1234",
    "a text": field(4, b"tag"),
}
RECORD = field(3, field(3, b"data"))


def signed(message: bytes) -> bytes:
    return MAGIC + message + hashlib.md5(message, usedforsecurity=False).digest()


def test_user_records_come_in_their_order() -> None:
    assert user_records(aggregate(*ONE_LINERS)) == ONE_LINERS


@pytest.mark.parametrize("kind", OTHER_FIELDS)
def test_a_field_of_another_kind_is_skipped(kind: str) -> None:
    other = OTHER_FIELDS[kind]
    assert user_records(signed(other + RECORD + other)) == [b"data"]


@pytest.mark.parametrize(
    "data",
    [
        signed(RECORD)[:-1] + b"x",
        signed(RECORD[:-1]),
        signed(bytes([3 << 3 | 2]) + b"\xff" * 12),
        signed(bytes([3 << 3 | 3])),
        signed(b"\x80"),
    ],
    ids=["digest", "cut field", "endless varint", "unknown wire type", "cut tag"],
)
def test_damage_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedInput) as caught:
        user_records(data)
    assert caught.value.reason == "bad_aggregate"
