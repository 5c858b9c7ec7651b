"""Readers of datasets, by the name that ``eeg2speech prepare`` knows them by."""

from __future__ import annotations

from eeg2speech.data.readers.base import Reader
from eeg2speech.data.readers.feis import Feis

READERS: dict[str, type[Reader]] = {
    "feis": Feis,
}
