"""Readers of datasets, by the name that ``eeg2speech prepare`` knows them by."""

from __future__ import annotations

from eeg2speech.data.readers.base import Reader
from eeg2speech.data.readers.bids import Bids
from eeg2speech.data.readers.brennan import Brennan
from eeg2speech.data.readers.broderick import Broderick
from eeg2speech.data.readers.ds004408 import Ds004408
from eeg2speech.data.readers.dtu import DtuAttention
from eeg2speech.data.readers.eav import Eav
from eeg2speech.data.readers.feis import Feis
from eeg2speech.data.readers.files import Files
from eeg2speech.data.readers.japaneeg import JapanEeg
from eeg2speech.data.readers.karaone import KaraOne
from eeg2speech.data.readers.kul import KulAttention
from eeg2speech.data.readers.meg_masc import MegMasc
from eeg2speech.data.readers.single_words import SingleWords
from eeg2speech.data.readers.sparrkulee import SparrKULee
from eeg2speech.data.readers.vlaai import Vlaai

READERS: dict[str, type[Reader]] = {
    "bids": Bids,
    "files": Files,
    "brennan": Brennan,
    "broderick": Broderick,
    "ds004408": Ds004408,
    "dtu": DtuAttention,
    "eav": Eav,
    "feis": Feis,
    "japaneeg": JapanEeg,
    "karaone": KaraOne,
    "kul": KulAttention,
    "meg_masc": MegMasc,
    "single_words": SingleWords,
    "sparrkulee": SparrKULee,
    "vlaai": Vlaai,
}
