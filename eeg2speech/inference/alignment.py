"""A trained aligner: embeddings of recordings and sounds, and their similarities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from eeg2speech.checkpoints.exports import Part, parts_of
from eeg2speech.checkpoints.parts import read_part
from eeg2speech.core.errors import ConfigError
from eeg2speech.inference.arguments import as_array, moved_to, path_of
from eeg2speech.inference.embedders import AudioEmbedder, EEGEmbedder, Embeddings
from eeg2speech.inference.hub import Published
from eeg2speech.inference.training_data import TrainingDataInfo
from eeg2speech.models.aligner import Aligner
from eeg2speech.models.rebuild import rebuild_aligner
from eeg2speech.models.registry import describe

LENGTH_TOLERANCE = 1e-2
"""Largest deviation of a vector's length from 1, so that vectors stored in half precision are accepted."""

__all__ = ["AlignmentModel", "Embeddings", "Match", "load_aligner"]


@dataclass(frozen=True)
class Match:
    """Which of several sounds matches the EEG.

    Attributes:
        similarity: Of each window with each candidate, from -1 to 1, (n, candidates).
        choice: The most similar candidate of each window, (n,).
        overall: The most similar candidate of all windows together.
    """

    similarity: NDArray[np.float32]
    choice: NDArray[np.intp]
    overall: int


class AlignmentModel(EEGEmbedder, AudioEmbedder, Published):
    """A trained aligner for recordings and sounds, which are prepared as in its training. Made by ``load_aligner``.

    ``aligner`` is the trained network; the other arguments are those of ``Published``.
    """

    def __init__(
        self,
        aligner: Aligner,
        training_data: TrainingDataInfo,
        device: str = "cpu",
        provenance: Mapping[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        super().__init__(training_data, device, provenance, source)
        self.aligner = moved_to(device, aligner)

    @property
    def any_montage(self) -> bool:
        """Whether electrodes are identified by their positions, so that any montage can be used."""
        return self.aligner.any_montage

    def score(self, eeg: Embeddings | NDArray[np.floating], sound: Embeddings | NDArray[np.floating]) -> NDArray[Any]:
        """Similarity of n windows of EEG with m windows of sound, from -1 to 1, (n, m).

        Raises:
            ConfigError: One of them does not hold vectors of unit length, or their sizes differ.
        """
        one, other = _unit_vectors(eeg, "EEG"), _unit_vectors(sound, "sound")
        if one.shape[1] != other.shape[1]:
            raise ConfigError(
                f"vectors of {one.shape[1]} and {other.shape[1]} features; embed EEG and sound with the same aligner"
            )
        similarity: NDArray[Any] = one @ other.T
        return similarity

    def match(
        self,
        eeg: Embeddings | NDArray[np.floating],
        sounds: Sequence[Embeddings | NDArray[np.floating]],
    ) -> Match:
        """Decide which of several sounds a subject listened to: match or mismatch, with one imposter or more.

        Args:
            eeg: Windows of EEG.
            sounds: Candidates, each with as many windows as the EEG, in the same order and with the same hop.

        Raises:
            ConfigError: There are fewer than two candidates, their numbers of windows differ, or the vectors are not of
                unit length or differ in size.
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
                "the same aligner"
            )
        similarity = np.stack([(vectors * sound).sum(1) for sound in candidates], axis=1)
        return Match(similarity, similarity.argmax(1), int(similarity.mean(0).argmax()))

    def _embed_eeg(self, eeg: Tensor, positions: Tensor, channel_mask: Tensor | None, subjects: Tensor) -> Tensor:
        return self.aligner.embed_eeg(eeg, positions, channel_mask, subjects)

    def _embed_sound(self, audio: Tensor) -> Tensor:
        return self.aligner.embed_sound(audio)

    def _parts(self) -> dict[str, Part]:
        encoder = self.aligner.encoder
        whole = (self.aligner.description, self.aligner.state_dict(), "")
        return parts_of({"encoder": (describe(encoder), encoder.state_dict(), "encoder."), "aligner": whole})

    @classmethod
    def _load(cls, source: Path, device: str) -> AlignmentModel:
        return load_aligner(source, device)


def _unit_vectors(given: Embeddings | NDArray[np.floating], what: str) -> NDArray[Any]:
    vectors = as_array(given)
    unit = vectors.ndim == 2 and vectors.dtype.kind == "f"
    if not unit or not (np.abs(np.linalg.norm(vectors, axis=1) - 1) < LENGTH_TOLERANCE).all():
        raise ConfigError(
            f"{what} of type {vectors.dtype} and shape {vectors.shape}, where vectors of unit length are needed, "
            "(windows, features); embed it with embed_raw or embed_wav of an aligner"
        )
    return vectors


def load_aligner(source: str | Path, device: str = "cpu") -> AlignmentModel:
    """Load a trained aligner; arguments and errors as of ``eeg2speech.load``."""
    source = path_of(source)
    described, weights, provenance = read_part(source, "aligner")
    training_data = TrainingDataInfo.read(source)
    aligner = rebuild_aligner(described, weights, str(source))
    return AlignmentModel(aligner, training_data, device, provenance, source)
