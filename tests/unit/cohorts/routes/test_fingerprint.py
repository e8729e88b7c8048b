"""The fingerprint of a destination."""

from dataclasses import dataclass

import pytest

from bridge.cohorts.routes.fingerprint import fingerprint


@dataclass
class Client:
    endpoint: str = "https://rest.iad-01.braze.com"
    key: str = "key-1"

    def account(self) -> str:
        return self.key


HERE = fingerprint(Client(), "", "attribute", "cohorts")


@pytest.mark.parametrize(
    "other",
    [
        fingerprint(Client(endpoint="https://rest.fra-02.braze.eu"), "", "attribute"),
        fingerprint(Client(key="key-2"), "", "attribute", "cohorts"),
        fingerprint(Client(), "", "attributecohorts"),
        fingerprint(Client(), "", "attribute", "other"),
        fingerprint(Client(), "key-1", "attribute", "cohorts"),
    ],
)
def test_whatever_decides_where_membership_lands_changes_it(other: str) -> None:
    assert other != HERE


def test_a_key_rotated_in_a_named_workspace_does_not_change_it() -> None:
    first = fingerprint(Client(key="key-1"), "brand-a", "partner")
    assert fingerprint(Client(key="key-2"), "brand-a", "partner") == first


def test_it_is_short_and_shows_no_key() -> None:
    assert len(HERE) == 12
    assert int(HERE, 16) >= 0
