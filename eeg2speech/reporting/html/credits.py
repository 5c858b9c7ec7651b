"""Whose data, weights and methods a run rests on, and under which licence they may be used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from eeg2speech.reporting.html.origin import Origin
from eeg2speech.reporting.html.run import Run
from eeg2speech.reporting.html.views import Cell, Row, Section, Table

UNKNOWN = "not known here; ask its source before you use or share"
WEIGHTS = ("encoder_weights", "audio_weights", "components", "aligner")
"""Settings of the model that name weights from elsewhere."""
HUB = {
    "cvssp/audioldm2": ("CC BY-NC-SA 4.0, by its model card: not for commercial use", "Liu et al. 2024, AudioLDM 2"),
    "cvssp/audioldm2-large": ("CC BY-NC-SA 4.0, by its model card: not for commercial use", "Liu et al. 2024"),
    "anhnct/audioldm2_gigaspeech": ("CreativeML OpenRAIL-M, by its model card", "Liu et al. 2024, AudioLDM 2"),
    "gaunernst/vit_base_patch16_1024_128.audiomae_as2m": (
        UNKNOWN,
        "Huang et al. 2022, Masked autoencoders that listen",
    ),
}
"""Licence and citation of published weights, as their pages stated them in 2024."""
METHODS = {
    "MAEEGTask": (
        "He et al. 2021, Masked autoencoders are scalable vision learners, arXiv 2111.06377",
        "Chien et al. 2022, MAEEG, arXiv 2211.02625",
    ),
    "AudioMAETask": ("Huang et al. 2022, Masked autoencoders that listen, NeurIPS",),
    "AlignmentTask": ("van den Oord et al. 2018, Contrastive predictive coding (InfoNCE), arXiv 1807.03748",),
    "DiffusionTask": ("Liu et al. 2024, AudioLDM 2, IEEE/ACM TASLP 32, 2871-2883",),
}
SOFTWARE = "MNE-Python: Gramfort et al. 2013, Frontiers in Neuroscience 7, 267"


class Credit(NamedTuple):
    """Something that others made.

    Attributes:
        what: It.
        licence: Under which it may be used.
        cite: What to cite.
    """

    what: str
    licence: str
    cite: str


def credits_section(run: Run, task: str, origin: Origin) -> Section:
    """Table of everything that the run rests on, and the methods."""
    rows = [
        Row(credit.what, (Cell(credit.licence), Cell(credit.cite)))
        for credit in (*_data(origin), *_weights(run), Credit("eeg2speech", "Apache-2.0", "this software"))
    ]
    methods = "; ".join((*METHODS.get(task, ()), SOFTWARE))
    table = Table("Data, weights and software", ("What", "Licence", "Cite"), rows)
    return Section("Citations and licences", f"Methods: {methods}.", (table,))


def _data(origin: Origin) -> Iterable[Credit]:
    about = origin.description
    if about is None:
        yield Credit(f"Data: {origin.name}", UNKNOWN, f"see dataset.json of the store ({origin.store}), not found here")
        return
    source = f"{about.citation} ({about.source})" if about.source else about.citation
    yield Credit(f"Data: {about.name}", about.license or UNKNOWN, source)
    if origin.store == "embedded dataset":
        yield Credit("Embedded speech", "Apache-2.0", "rendered with hibari-tts; no person speaks")


def _weights(run: Run) -> Iterable[Credit]:
    settings = run.settings
    audio = settings.get("audio")
    within = audio.get("init_args") if isinstance(audio, dict) else None
    found = {f"model.init_args.{key}": settings.get(key) for key in WEIGHTS}
    if isinstance(within, dict):
        found["model.init_args.audio.init_args.weights"] = within.get("weights")
    for key, value in found.items():
        if isinstance(value, str) and value:
            yield _weight(key, value)


def _weight(key: str, value: str) -> Credit:
    what = f"Weights: {value} ({key})"
    if value == "tiny":
        return Credit(what, "Apache-2.0", "made by eeg2speech from the training part of the embedded speech")
    if value.startswith("hf_hub:"):
        return Credit(what, *HUB.get(value.removeprefix("hf_hub:"), (UNKNOWN, "see its model card")))
    return Credit(what, "that of the data it was trained on", "a file or run of your own; see the report of that run")
