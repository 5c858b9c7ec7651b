"""Every dataset of `eeg2speech prepare`, with who writes files in its layout."""

from __future__ import annotations

from attention_files import write_dtu, write_kul
from bids_files import NAMES, volts, write_bids, write_recording
from brennan_files import write_brennan
from broderick_files import write_broderick
from ds004408_files import write_ds004408
from eav_files import write_eav
from feis_files import write_feis
from japaneeg_files import write_japaneeg
from karaone_files import write_karaone
from meg_masc_files import write_meg_masc
from single_words_files import write_single_words
from sparrkulee_files import write_published, write_sparrkulee
from vlaai_files import write_vlaai

THREE = ("01", "02", "03")


def write_files(root):
    for subject in THREE:
        write_recording(root / f"{subject}.edf", volts(len(NAMES), 1000, int(subject)))
    return root


CASES = {
    "bids edf": ("bids", lambda root: write_bids(root, THREE, suffix=".edf"), ()),
    "bids bdf": ("bids", lambda root: write_bids(root, THREE, suffix=".bdf"), ()),
    "bids brainvision": ("bids", lambda root: write_bids(root, THREE), ()),
    "bids eeglab": ("bids", lambda root: write_bids(root, THREE, suffix=".set"), ()),
    "bids fif": ("bids", lambda root: write_bids(root, THREE, suffix=".fif"), ()),
    "files": ("files", write_files, ()),
    "brennan": ("brennan", lambda root: write_brennan(root, ("S01", "S02", "S03")), ()),
    "brennan mat": ("brennan", lambda root: write_brennan(root, ("S01", "S02", "S03"), release=1), ()),
    "broderick": ("broderick", lambda root: write_broderick(root, (1, 2, 3)), ()),
    "broderick 7.3": ("broderick", lambda root: write_broderick(root, (1, 2, 3), version="7.3"), ()),
    "ds004408": ("ds004408", lambda root: write_ds004408(root, ("001", "002", "003")), ()),
    "dtu": ("dtu", lambda root: write_dtu(root, (1, 2, 3)), ()),
    "eav": ("eav", lambda root: write_eav(root, (1, 2, 3)), ()),
    "eav 7.3": ("eav", lambda root: write_eav(root, (1, 2, 3), hdf5=True), ()),
    "feis": ("feis", lambda root: write_feis(root, THREE), ()),
    "japaneeg": ("japaneeg", write_japaneeg, ()),
    "karaone": ("karaone", lambda root: write_karaone(root, ("MM05", "MM08", "MM09")), ()),
    "karaone set": (
        "karaone",
        lambda root: write_karaone(root, ("MM05", "MM08", "MM09"), cleaned=True),
        ("--cleaned=true",),
    ),
    "kul": ("kul", lambda root: write_kul(root, (1, 2, 3)), ()),
    "kul 7.3": ("kul", lambda root: write_kul(root, (1, 2, 3), version="7.3"), ()),
    "meg_masc": ("meg_masc", lambda root: write_meg_masc(root, THREE), ()),
    "single_words": ("single_words", lambda root: write_single_words(root, (1, 2, 3)), ()),
    "sparrkulee": ("sparrkulee", lambda root: write_sparrkulee(root, ("001", "002", "003")), ()),
    "sparrkulee published": (
        "sparrkulee",
        lambda root: write_published(root, ("001", "002", "003")),
        ("--published=true", "--preprocessing.upsample=true"),
    ),
    "vlaai": ("vlaai", lambda root: write_vlaai(root, (1, 2, 3), seconds=8.0), ("--preprocessing.upsample=true",)),
}  # fmt: skip
"""Name of the reader, who writes its files, and options that its files need."""
