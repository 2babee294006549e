"""A circuit breaker: what has just failed is left alone for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Breaker:
    """Lets pass until `failures` in a row; then nothing for `pause` seconds, then one try at a
    time, each failure doubling the pause up to `longest`. `clock` gives seconds. Safe to use from
    several threads."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        failures: int = 2,
        pause: float = 10.0,
        longest: float = 300.0,
    ) -> None:
        self._clock = clock
        self._allowed = failures
        self._pause = pause
        self._longest = longest
        self._failed = 0
        self._until = 0.0
        self._lock = threading.Lock()

    @property
    def closed(self) -> bool:
        """Whether nothing speaks against trying."""
        return self._failed < self._allowed

    def admit(self) -> bool:
        """Whether to try now. Of those who ask after a pause, one may."""
        with self._lock:
            if self.closed:
                return True
            if self._clock() < self._until:
                return False
            self._until = self._clock() + self._pause  # the others wait for how this one goes
            return True

    def failed(self) -> None:
        with self._lock:
            self._failed += 1
            if not self.closed:
                doubled = self._pause * 2 ** (self._failed - self._allowed)
                self._until = self._clock() + min(doubled, self._longest)

    def worked(self) -> None:
        with self._lock:
            self._failed = 0
