"""Accepted writes that are not applied yet: Braze answers first, and writes later.

Two requests for one user may be applied in either order. Source: Braze docs, "POST:
Track users".
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

type Write = Callable[[], None]


@dataclass(slots=True)
class Backlog:
    """Applies each write `delay` seconds after it came; with None, at `apply_all`.

    `swap` is the share of writes that overtake the one before, if it is still waiting.
    """

    delay: float | None = 0.0
    swap: float = 0.0
    seed: int = 1
    _waiting: list[Write] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _rng: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._rng.seed(self.seed)

    def put(self, write: Write) -> None:
        """Take a write; without a delay it is applied at once."""
        if self.delay == 0.0:
            write()
            return
        with self._lock:
            overtakes = bool(self._waiting) and self._rng.random() < self.swap
            self._waiting.insert(len(self._waiting) - overtakes, write)
        if self.delay is not None:
            timer = threading.Timer(self.delay, self._apply_next)
            timer.daemon = True
            timer.start()

    def _apply_next(self) -> None:
        # Under the lock, so that no write overtakes between the pop and the call.
        with self._lock:
            if self._waiting:
                self._waiting.pop(0)()

    def apply_all(self) -> int:
        """Apply the waiting writes; how many there were."""
        with self._lock:
            applied = len(self._waiting)
            while self._waiting:
                self._waiting.pop(0)()
            return applied

    def clear(self) -> None:
        """Drop the waiting writes."""
        with self._lock:
            self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)
