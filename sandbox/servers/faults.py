"""Faults on demand, for the stand-ins: the next calls of a path, or a share of all.

A plan is deterministic: `once` and `times` are used up in order, and the shares are
drawn from a seeded source.
"""

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """`rates` is the share of calls by kind of fault; `seed` makes it repeatable."""

    rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 1
    _planned: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _rng: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._rng.seed(self.seed)

    def plan(self, kind: str, times: int = 1, path: str = "") -> None:
        """The next `times` calls of the path (all paths if empty) meet this fault."""
        with self._lock:
            self._planned += [(path, kind)] * times

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._planned.clear()
            self.rates = {}

    def next(self, path: str) -> str | None:
        """The fault that a call of this path meets, if any."""
        with self._lock:
            for index, (wanted, kind) in enumerate(self._planned):
                if wanted in {"", path}:
                    del self._planned[index]
                    return kind
            drawn = self._rng.random()
            for kind, share in self.rates.items():
                if drawn < share:
                    return kind
                drawn -= share
            return None
