"""Split items by count and by bytes, as vendors limit their requests (pure)."""

from collections.abc import Callable, Iterable, Iterator, Sequence


def by_count[T](items: Sequence[T], count: int) -> Iterator[Sequence[T]]:
    """Yield slices of at most `count` items, in order."""
    for start in range(0, len(items), count):
        yield items[start : start + count]


def by_size[T](
    items: Iterable[T], count: int, size: int, measure: Callable[[T], int]
) -> Iterator[list[T]]:
    """Yield lists of at most `count` items whose `measure`s sum to at most `size`.

    An item larger than `size` is yielded alone: only the vendor can reject it.
    """
    chunk: list[T] = []
    total = 0
    for item in items:
        weight = measure(item)
        if chunk and (len(chunk) == count or total + weight > size):
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += weight
    if chunk:
        yield chunk


def halves[T](items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Cut in two: repeated, it finds the item that a vendor rejects but never names."""
    middle = len(items) // 2
    return items[:middle], items[middle:]
