"""A damaged block of an Avro file costs that block alone."""

import io
from contextlib import suppress

import fastavro
import pytest

from bridge.currents.decode.avro import DamagedBlocks, read_events
from bridge.errors import MalformedInput
from tests.unit.currents.intake.test_avro_file import KEY, SCHEMA, events

COUNT, BLOCK = 2_000, 4_000


def file_of_blocks(codec: str) -> bytes:
    content = io.BytesIO()
    fastavro.writer(
        content,
        SCHEMA,
        events(COUNT),
        codec=codec,
        sync_interval=BLOCK,
        sync_marker=b"m" * 16,
    )
    return content.getvalue()


def blocks_of(content: bytes) -> list[tuple[int, int]]:
    """Where each block begins, and its marker."""
    marks = []
    at = content.index(b"m" * 16) + 16
    while at < len(content):
        mark = content.index(b"m" * 16, at)
        marks.append((at, mark))
        at = mark + 16
    return marks


def read(content: bytes) -> tuple[list[str], int]:
    """The ids that are read, and how many blocks are damaged."""
    ids: list[str] = []
    try:
        ids.extend(event["id"] for event in read_events(KEY, io.BytesIO(content)))
    except DamagedBlocks as error:
        return ids, error.blocks
    return ids, 0


def lost(content: bytes, codec: str) -> tuple[int, int]:
    ids, damaged = read(content)
    whole, _ = read(file_of_blocks(codec))
    assert len(ids) == len(set(ids))
    assert ids == [each for each in whole if each in set(ids)], "in order"
    return len(whole) - len(ids), damaged


def overwrite(content: bytes, at: int, by: bytes) -> bytes:
    return content[:at] + by + content[at + len(by) :]


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_a_sound_file_is_read_whole(codec: str) -> None:
    ids, damaged = read(file_of_blocks(codec))
    assert (len(ids), damaged) == (COUNT, 0)
    assert len(blocks_of(file_of_blocks(codec))) > 5


@pytest.mark.parametrize("codec", ["null", "deflate"])
@pytest.mark.parametrize("where", ["size", "count", "begin"])
@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_block_with_damaged_bytes_costs_itself(
    codec: str, where: str, number: int
) -> None:
    content = file_of_blocks(codec)
    begin, _ = blocks_of(content)[number]
    at = {"count": begin, "size": begin + 2, "begin": begin + 5}[where]
    damaged = overwrite(content, at, b"\xff" * (12 if where == "begin" else 2))
    missing, blocks = lost(damaged, codec)
    assert blocks == 1
    assert missing <= COUNT / len(blocks_of(content)) * 1.5


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_damaged_marker_costs_nothing(number: int) -> None:
    content = file_of_blocks("null")
    _, mark = blocks_of(content)[number]
    assert lost(overwrite(content, mark, b"x" * 16), "null") == (0, 0)


def test_two_damaged_blocks_are_counted() -> None:
    content = file_of_blocks("deflate")
    for number in (1, 4):
        begin, _ = blocks_of(content)[number]
        content = overwrite(content, begin, b"\xff" * 30)
    missing, blocks = lost(content, "deflate")
    assert blocks == 2
    assert 0 < missing < COUNT / 2


def test_a_file_that_is_cut_costs_its_last_block() -> None:
    content = file_of_blocks("deflate")
    begin, _ = blocks_of(content)[-1]
    missing, blocks = lost(content[: begin + 30], "deflate")
    assert blocks == 1
    assert missing < COUNT / 3


def test_a_size_beyond_all_measure_is_damage_and_not_memory() -> None:
    content = file_of_blocks("null")
    begin, _ = blocks_of(content)[2]
    huge = b"\x02" + b"\xfe\xff\xff\xff\x7f"
    missing, blocks = lost(overwrite(content, begin, huge), "null")
    assert blocks == 1
    assert missing < COUNT / 3


@pytest.mark.parametrize("by", [b"\x00", b"\xff\xff\xff"])
def test_any_damage_ends_in_an_error_of_ours_or_in_none(by: bytes) -> None:
    content = file_of_blocks("deflate")[:9_000]
    for at in range(0, len(content), 97):
        with suppress(MalformedInput):
            list(read_events(KEY, io.BytesIO(overwrite(content, at, by))))
