"""Signals that ask a run to end soon: noted when they come, honoured between two steps.

Nothing else may happen in a handler: it runs in the middle of whatever the process does, be it a collective operation
that other ranks wait in.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

PREEMPTING = (signal.SIGUSR1, signal.SIGTERM)
"""What clusters send before they take a machine away."""


class SignalNote:
    """Takes signals over, and remembers that one came."""

    def __init__(self) -> None:
        self._came: set[int] = set()
        self._before: dict[int, Any] = {}
        self._owner = os.getpid()

    @property
    def number(self) -> int:
        """The highest that came, 0 if none did: SIGTERM outweighs SIGUSR1, which outweighs Ctrl-C."""
        return max(self._came, default=0)

    def take(self, *numbers: signal.Signals) -> list[signal.Signals]:
        """Take signals over, and say which were not taken before. Only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return []
        self._owner = os.getpid()
        new = [number for number in numbers if number not in self._before]
        for number in new:
            self._before[number] = signal.signal(number, self._note)
        return new

    def give_back(self, *numbers: signal.Signals) -> None:
        """Let signals do what they did before, and forget that they came."""
        for number in numbers:
            if number in self._before:
                signal.signal(number, self._before.pop(number) or signal.SIG_DFL)
            self._came.discard(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a worker that was forked inherits the handler, and the main process decides
            return
        if number == signal.SIGINT and number in self._came:
            self.give_back(signal.SIGINT)
            raise KeyboardInterrupt
        self._came.add(number)


note = SignalNote()
"""Of this process. The command takes signals before its slow imports, so that one that comes in them is not lost."""
