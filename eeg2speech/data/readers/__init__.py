"""Readers of datasets, by their name in ``eeg2speech prepare``."""

from __future__ import annotations

from eeg2speech.data.readers.base import Reader
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.readers.bids_rules import packaged_readers
from eeg2speech.data.readers.brennan import Brennan
from eeg2speech.data.readers.broderick import Broderick
from eeg2speech.data.readers.dtu import DtuAttention
from eeg2speech.data.readers.eav import Eav
from eeg2speech.data.readers.feis import Feis
from eeg2speech.data.readers.files import Files
from eeg2speech.data.readers.karaone import KaraOne
from eeg2speech.data.readers.kul import KulAttention
from eeg2speech.data.readers.meg_masc import MegMasc
from eeg2speech.data.readers.single_words import SingleWords
from eeg2speech.data.readers.sparrkulee import SparrKULee
from eeg2speech.data.readers.vlaai import Vlaai

_READERS: list[type[Reader]] = [Bids, Files, Brennan, Broderick, DtuAttention, Eav, Feis, KaraOne, KulAttention]
_READERS += [MegMasc, SingleWords, SparrKULee, Vlaai, *packaged_readers()]
READERS = {reader.name: reader for reader in _READERS}
