"""Signals that end a run: a handler notes them, and the run reacts to them between two steps.

A handler must do nothing else, because it may interrupt any code of the process, for example a collective operation
that other ranks wait for.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

PREEMPTING = (signal.SIGUSR1, signal.SIGTERM)
"""Signals that clusters send before they take a machine away."""


class SignalNote:
    """Installs handlers that note the signals received."""

    def __init__(self) -> None:
        self._received: set[int] = set()
        self._before: dict[int, Any] = {}
        self._owner = os.getpid()

    @property
    def number(self) -> int:
        """The highest signal received, 0 for none: SIGTERM outranks SIGUSR1, which outranks Ctrl-C."""
        return max(self._received, default=0)

    def take(self, *numbers: signal.Signals) -> list[signal.Signals]:
        """Install the handler for signals; in the main thread only.

        Returns:
            The signals for which it was not installed before.
        """
        if threading.current_thread() is not threading.main_thread():
            return []
        self._owner = os.getpid()
        new = [number for number in numbers if number not in self._before]
        for number in new:
            self._before[number] = signal.signal(number, self._note)
        return new

    def give_back(self, *numbers: signal.Signals) -> None:
        """Restore the earlier handlers of signals, and forget that the signals were received."""
        for number in numbers:
            if number in self._before:
                signal.signal(number, self._before.pop(number) or signal.SIG_DFL)
            self._received.discard(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a forked worker inherits the handler, and the main process decides
            return
        if number == signal.SIGINT and number in self._received:
            self.give_back(signal.SIGINT)
            raise KeyboardInterrupt
        self._received.add(number)


note = SignalNote()
"""Signals of this process. The command installs the handler before its slow imports, so that none is lost there."""
