"""A trained aligner in Python: recordings and sounds in, vectors and similarities out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from eeg2speech.checkpoints.exports import Part, parts_of
from eeg2speech.checkpoints.parts import read_data, read_part
from eeg2speech.core.errors import ConfigError
from eeg2speech.inference.arguments import as_array, moved_to, path_of
from eeg2speech.inference.audio_embedder import AudioEmbedder
from eeg2speech.inference.eeg_embedder import EEGEmbedder, Embeddings
from eeg2speech.inference.hub import Published
from eeg2speech.inference.training_data import TrainingDataInfo
from eeg2speech.models.aligner import Aligner
from eeg2speech.models.rebuild import rebuild_aligner

LONGER = 1e-2
"""By how much the length of a vector may differ from 1: those that were stored in half precision still pass."""

__all__ = ["AlignmentModel", "Embeddings", "Match", "load_aligner"]


@dataclass(frozen=True)
class Match:
    """Which of several sounds was heard.

    Attributes:
        similarity: Of each window with each candidate, from -1 to 1, (n, candidates).
        choice: The most similar candidate of each window, (n,).
        overall: The most similar candidate of all windows together.
    """

    similarity: NDArray[np.float32]
    choice: NDArray[np.intp]
    overall: int


class AlignmentModel(EEGEmbedder, AudioEmbedder, Published):
    """A trained aligner that meets recordings and sounds as it met those it was trained on.

    Args:
        aligner: Trained.
        trained_on: What it was trained on.
        device: Where it computes, e.g. ``cuda``.
        remembered: What its checkpoint says of the data; kept by ``save_pretrained``.
        provenance: Where its weights come from; kept likewise.
        source: Where it was loaded from, with the run's ``test.json`` for the model card nearby; None for nowhere.
    """

    def __init__(
        self,
        aligner: Aligner,
        trained_on: TrainingDataInfo,
        device: str = "cpu",
        remembered: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        self.aligner, self.trained_on, self.device = moved_to(device, aligner), trained_on, device
        self.remembered, self.provenance, self.source = dict(remembered or {}), dict(provenance or {}), source

    @property
    def any_montage(self) -> bool:
        """Whether electrodes are known by their positions alone."""
        return self.aligner.any_montage

    def score(self, eeg: Embeddings | NDArray[np.floating], sound: Embeddings | NDArray[np.floating]) -> NDArray[Any]:
        """Similarity of n windows of EEG with m windows of sound, from -1 to 1, (n, m).

        Raises:
            ConfigError: One of them holds no vectors of unit length, or theirs differ in size.
        """
        one, other = _unit_vectors(eeg, "EEG"), _unit_vectors(sound, "sound")
        if one.shape[1] != other.shape[1]:
            raise ConfigError(
                f"vectors of {one.shape[1]} and {other.shape[1]} features; embed EEG and sound with one and the same "
                "aligner"
            )
        similarity: NDArray[Any] = one @ other.T
        return similarity

    def match(
        self,
        eeg: Embeddings | NDArray[np.floating],
        sounds: Sequence[Embeddings | NDArray[np.floating]],
    ) -> Match:
        """Decide which of several sounds was heard: match or mismatch, with one imposter or more.

        Args:
            eeg: Windows of EEG.
            sounds: Candidates, each as many windows as there are of EEG, in the same order and with the same hop.

        Raises:
            ConfigError: There are fewer than two candidates, not as many windows of each, or no vectors of unit length.
        """
        vectors = _unit_vectors(eeg, "EEG")
        several = isinstance(sounds, Iterable) and not isinstance(sounds, Embeddings | str)
        candidates = [_unit_vectors(sound, "sound") for sound in sounds] if several else []
        lengths = [len(sound) for sound in candidates]
        if len(candidates) < 2 or any(length != len(vectors) for length in lengths):
            raise ConfigError(
                f"{len(vectors)} windows of EEG and candidates of {lengths} windows; give two candidates or more, "
                "each cut to the windows of the EEG"
            )
        if any(sound.shape != vectors.shape for sound in candidates):
            raise ConfigError(
                f"vectors of {vectors.shape[1]} features of EEG and {candidates[0].shape[1]} of sound; embed both with "
                "one and the same aligner"
            )
        similarity = np.stack([(vectors * sound).sum(1) for sound in candidates], axis=1)
        return Match(similarity, similarity.argmax(1), int(similarity.mean(0).argmax()))

    def _vectors(self, eeg: Tensor, positions: Tensor, channel_mask: Tensor | None, subjects: Tensor) -> Tensor:
        return self.aligner.embed_eeg(eeg, positions, channel_mask, subjects)

    def _sound_vectors(self, audio: Tensor) -> Tensor:
        return self.aligner.embed_sound(audio)

    def _parts(self) -> dict[str, Part]:
        encoder = self.aligner.encoder
        inner = {"class": type(encoder).__name__, "config": encoder.config}
        whole = (self.aligner.description, self.aligner.state_dict(), "")
        return parts_of({"encoder": (inner, encoder.state_dict(), "encoder."), "aligner": whole})

    @classmethod
    def _load(cls, source: Path, device: str) -> AlignmentModel:
        return load_aligner(source, device)


def _unit_vectors(given: Embeddings | NDArray[np.floating], what: str) -> NDArray[Any]:
    vectors = as_array(given)
    unit = vectors.ndim == 2 and vectors.dtype.kind == "f"
    if not unit or not (np.abs(np.linalg.norm(vectors, axis=1) - 1) < LONGER).all():
        raise ConfigError(
            f"{what} of type {vectors.dtype} and shape {vectors.shape}, where vectors of unit length are needed, "
            "(windows, features); embed it with embed_raw or embed_wav of an aligner"
        )
    return vectors


def load_aligner(source: str | Path, device: str = "cpu") -> AlignmentModel:
    """Load a trained aligner.

    Args:
        source: Folder that ``eeg2speech export`` or the end of ``eeg2speech fit`` wrote, or a checkpoint.
        device: Where it computes, e.g. ``cuda``.

    Raises:
        DataError: There is no aligner, it is damaged, or it does not say how its data were prepared.
    """
    source = path_of(source)
    described, weights, provenance = read_part(source, "aligner")
    remembered = read_data(source)
    trained_on = TrainingDataInfo.of(remembered, str(source))
    aligner = rebuild_aligner(described, weights, str(source))
    return AlignmentModel(aligner, trained_on, device, remembered, provenance, source)
