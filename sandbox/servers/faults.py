"""Faults on demand, for the stand-ins: the next calls of a path, or a share of all.

They are repeatable: planned faults are used up in order, and the shares are drawn from
a seeded source.
"""

import random
import threading
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Faults:
    """`kinds` are those that exist; `rates` is the share of calls by kind of fault."""

    kinds: frozenset[str]
    rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 1
    _planned: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _rng: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._rng.seed(self.seed)

    def plan(self, kind: str, times: int = 1, path: str = "") -> None:
        """Let the next `times` calls of the path (any, if empty) meet this fault.

        The empty kind lets a call through, so that a later one can be hit. Raises
        ValueError for a kind that does not exist.
        """
        self._check({kind})
        with self._lock:
            self._planned += [(path, kind)] * times

    def load(self, plan: Mapping[str, Any]) -> None:
        """Replace `rates` and plan each of `next`, as JSON; raises ValueError."""
        planned = plan.get("next", ())
        rates = plan.get("rates", {})
        self._check({*rates, *(each.get("kind") for each in planned)})
        self.rates = rates
        for each in planned:
            self.plan(**each)

    def _check(self, kinds: Set[str]) -> None:
        if unknown := kinds - {""} - self.kinds:
            known = ", ".join(sorted(self.kinds))
            raise ValueError(f"{sorted(unknown)} are none of {known}")

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
