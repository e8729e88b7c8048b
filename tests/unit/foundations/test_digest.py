"""One digest of several texts: their borders count, and any text is taken."""

from bridge.digest import digest


def test_where_one_part_ends_and_the_next_begins_matters() -> None:
    texts = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("1:a", "b")]
    assert len({digest(*parts) for parts in texts}) == len(texts)


def test_the_digest_of_known_texts_stays_the_same() -> None:
    """The queue de-duplicates by it, and the ledger stores the first twelve digits."""
    assert digest("3300471", "8120045").startswith("5929d11331eedf19")


def test_half_a_character_is_taken() -> None:
    assert len(digest("\ud800")) == 64
