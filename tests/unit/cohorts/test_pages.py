"""The members of a page as S3 keeps them."""

import pytest

from bridge.cohorts.pages import Listed, read_page, write_page
from bridge.cohorts.rules.identifiers import Identifier, Kind
from bridge.errors import PermanentError

MEMBERS = [
    Listed("p1", Identifier(Kind.EXTERNAL_ID, "ü:1")),
    Listed("p2", Identifier(Kind.ALIAS, "a:7", "label:x"), 2),
    Listed("$device:d", Identifier(Kind.DEVICE, "d"), 1),
    Listed("p3", None, reason="no_identifier"),
]


@pytest.mark.parametrize("members", [[], MEMBERS])
def test_a_page_reads_back_as_written(members: list[Listed]) -> None:
    assert read_page(write_page(members)) == members


@pytest.mark.parametrize("content", [b"", b"{", b"7", b'[["p1"]]', b'[["p1","x:u"]]'])
def test_a_damaged_page_is_a_permanent_error_without_its_content(
    content: bytes,
) -> None:
    with pytest.raises(PermanentError) as caught:
        read_page(content)
    assert caught.value.reason == "page_unreadable"
    assert "p1" not in str(caught.value)
