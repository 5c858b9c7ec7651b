"""A trained model of stage 3 in Python: recordings of EEG in, speech out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from eeg2speech.audio import RATE, Waveform
from eeg2speech.audio.files import write_wav
from eeg2speech.audio.stitching import Stitcher, cover
from eeg2speech.checkpoints.exports import Part, export_names, parts_of
from eeg2speech.checkpoints.parts import part_names, read_checkpoint, read_data, read_part
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.seeding import mix, name_key
from eeg2speech.core.types import Batch, RawRecording
from eeg2speech.data.files.raw import BaseEpochs, BaseRaw
from eeg2speech.data.loading.scaling import Scaling, fit_scalings
from eeg2speech.data.store.store import Store
from eeg2speech.inference.arguments import (
    moved_to,
    of_array,
    of_epochs,
    of_raw,
    path_of,
    subject_of_training,
    waveform_of,
)
from eeg2speech.inference.clips import Clip
from eeg2speech.inference.hub import Published
from eeg2speech.inference.training_data import TrainingDataInfo

if TYPE_CHECKING:  # diffusers takes seconds to import
    from eeg2speech.models.audioldm2.sampling import Sampler
    from eeg2speech.models.audioldm2.speech import SpeechDiffusion

PART = "speech"
"""Name of the model in checkpoints and exports."""
OVERLAP = 0.32
"""Seconds that a window has in common with the next: two steps."""
BATCH = 8
"""Windows that are generated at once."""


class SpeechGenerator(Published):
    """A trained model that speaks for recordings which it meets as it met those it was trained on.

    Args:
        model: Trained.
        sampler: How latents are drawn.
        trained_on: What it was trained on.
        device: Where it computes, e.g. ``cuda``.
        batch_size: Windows that are generated at once.
        remembered: What the checkpoint says of its data.
        global_step: Step of training that the model is from.
        described: Class and config of the model; without them it cannot be saved.
        provenance: Where its weights come from; kept by ``save_pretrained``.
        source: Where it was loaded from, with the run's ``test.json`` for the model card nearby; None for nowhere.
    """

    rate = RATE
    """Samples per second of what it says."""

    def __init__(
        self,
        model: SpeechDiffusion,
        sampler: Sampler,
        trained_on: TrainingDataInfo,
        device: str = "cpu",
        batch_size: int = BATCH,
        remembered: Mapping[str, Any] | None = None,
        global_step: int = 0,
        described: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(f"batch_size={batch_size} must be 1 or more")
        self.model = moved_to(device, model).eval()
        self.trained_on, self.sampler, self.device, self.batch_size = trained_on, sampler, device, batch_size
        self.remembered, self.global_step = dict(remembered or {}), global_step
        self.described, self.provenance, self.source = dict(described or {}), dict(provenance or {}), source

    @property
    def any_montage(self) -> bool:
        """Whether electrodes are known by their positions alone."""
        return self.model.aligner is not None and self.model.aligner.any_montage

    def sample_with(
        self,
        solver: Literal["dpm", "ddim"] | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Sampler:
        """Change how latents are drawn; what is None stays as it is."""
        old = self.sampler
        self.sampler = type(old)(
            old.solver if solver is None else solver,
            old.steps if steps is None else steps,
            old.guidance if guidance is None else guidance,
        )
        return self.sampler

    def generate_windows(self, batch: Batch, subjects: Sequence[str], seeds: Sequence[int]) -> NDArray[np.float32]:
        """Speak for windows of scaled EEG.

        Args:
            batch: As a data module hands out; its sound is not looked at.
            subjects: Labels that ``batch["subject"]`` points into; one from training has a subject layer of its own,
                anyone else gets the mean layer.
            seeds: One for each window.

        Returns:
            Waveforms in [-1, 1] with a peak of about 0.5, (B, S) at 16 kHz.

        Raises:
            DataError: What is generated is not finite.
        """
        known = {label: place for place, label in enumerate(self.trained_on.subjects)}
        places = torch.tensor([known.get(subjects[index], -1) for index in batch["subject"].tolist()])
        mask = None if bool(batch["channel_mask"].all()) else batch["channel_mask"].to(self.device)
        with torch.inference_mode():
            loa = self.model.loa_of_eeg(
                batch["eeg"].to(self.device), batch["positions"].to(self.device), mask, places.to(self.device)
            )
            sound = self.model.waveform(self.sampler.sample(self.model, loa, loa.shape[1], seeds))
        samples = round(batch["eeg"].shape[-1] / self.trained_on.preprocessing.rate * RATE)
        waves = sound[:, :samples].float().cpu().numpy()
        if not np.isfinite(waves).all():
            raise DataError("the model generates NaN; it did not train well, or needs a higher precision")
        return waves

    def generate_clips(
        self,
        store: Store,
        scalings: dict[str, Scaling],
        clips: Sequence[Clip],
        subjects: Sequence[str],
        seed: int = 0,
        overlap: float = OVERLAP,
    ) -> Iterator[tuple[int, Waveform, bool]]:
        """Speak for stretches of a store, batch by batch, however long they are.

        A window's noise depends on the seed, its recording and where it starts, so that it does not matter with which
        others it shares a batch.

        Args:
            store: Prepared as the training recordings were.
            scalings: By recording.
            clips: What to speak for.
            subjects: Labels of the store's people; see ``generate_windows``.
            seed: Of the noise.
            overlap: Seconds over which a window is faded into the next, at most what they have in common.

        Yields:
            Index of the clip, its next samples at 16 kHz, and whether these came with a new window.
        """
        rate = round(RATE / self.trained_on.preprocessing.rate)  # sound samples for one of EEG
        windows = [window for clip in clips for window in clip.windows]
        owners = [index for index, clip in enumerate(clips) for _ in clip.windows]
        data = self.trained_on.dataset(store, windows, scalings)
        keys = {index: name_key(recording.recording) for index, recording in enumerate(store.recordings)}
        fade = round(overlap * RATE)
        stitcher, current = Stitcher(fade), -1
        for first in range(0, len(windows), self.batch_size):
            chosen = range(first, min(first + self.batch_size, len(windows)))
            batch = data.__getitems__([(i, 0) for i in chosen])
            seeds = [mix(seed, keys[windows[i].recording], windows[i].start) for i in chosen]
            for i, wave in zip(chosen, self.generate_windows(batch, subjects, seeds), strict=True):
                if owners[i] != current:
                    if current >= 0:
                        yield current, stitcher.finish(), False
                    stitcher, current = Stitcher(fade), owners[i]
                yield current, stitcher.add(wave, (windows[i].start - clips[current].first) * rate), True
        yield current, stitcher.finish(), False

    def generate_raw(
        self, raw: BaseRaw, subject: str | None = None, seed: int = 0, overlap: float = OVERLAP
    ) -> Waveform:
        """Speak for the whole of an ``mne.io.Raw``, prepared as the training recordings were.

        Overlapping windows are cross-faded; they never cross a break of the recording, and stretches shorter than a
        window stay silent. The EEG is read ``lag`` seconds later than its sound, as in training.

        Args:
            raw: Unfiltered, in volts or teslas as mne has it; channels of other types than those of training
                (``trained_on.types``) are passed over.
            subject: Label from training, whose subject layer is used; None for the mean layer.
            seed: Of the noise that speech is made from.
            overlap: Seconds that a window has in common with the next.

        Returns:
            Waveform in [-1, 1] at 16 kHz, as long as the recording, (samples,).

        Raises:
            DataError: Channels are missing, or the recording is too short, too slow or mostly bad.
            ConfigError: The overlap is longer than half a window, the seed is no whole number, or nobody of that label
                was in the training data.
        """
        return self._speak(of_raw(raw, self.trained_on), subject, seed, overlap)

    def generate_epochs(
        self, epochs: BaseEpochs, subject: str | None = None, seed: int = 0, overlap: float = OVERLAP
    ) -> list[Waveform]:
        """Generate for each of ``mne.Epochs``; see ``generate_raw`` and ``AlignmentModel.embed_epochs``.

        Args:
            epochs: All of one subject, at least as long as a window of training.
            subject: See ``generate_raw``.
            seed: See ``generate_raw``.
            overlap: See ``generate_raw``.

        Returns:
            A waveform for each epoch, as long as that.

        Raises:
            DataError: As ``generate_raw``.
            ConfigError: As ``generate_raw``.
        """
        wave = self._speak(of_epochs(epochs, self.trained_on), subject, seed, overlap)
        return list(np.array_split(wave, len(epochs)))

    def write(self, file: str | Path, wave: Waveform) -> None:
        """Write what it said as a 16-bit wav file at 16 kHz.

        Raises:
            DataError: It is no waveform.
            DiskError: It cannot be written.
        """
        write_wav(path_of(file), waveform_of(wave, RATE)[0])

    def generate_eeg(
        self,
        eeg: ArrayLike | Tensor,
        rate: float,
        channels: Sequence[str],
        positions: ArrayLike | Tensor | None = None,
        subject: str | None = None,
        seed: int = 0,
        overlap: float = OVERLAP,
        types: str | Sequence[str] | None = None,
    ) -> Waveform:
        """Speak for an array or a tensor of EEG as ``generate_raw`` does for a recording.

        Args:
            eeg: Volts (teslas, teslas per metre) in float32 or float64, (channels, samples).
            rate: Samples per second.
            channels: Names of the channels.
            positions: Metres in head coordinates, NaN where unknown, (channels, 3); None to find all by name.
            subject: See ``generate_raw``.
            seed: See ``generate_raw``.
            overlap: See ``generate_raw``.
            types: See ``AlignmentModel.embed_eeg``.

        Raises:
            DataError: As ``generate_raw``, or names, types and positions do not go with the array.
            ConfigError: As ``generate_raw``.
        """
        recording = of_array(eeg, rate, channels, positions, types, self.trained_on)
        return self._speak(recording, subject, seed, overlap)

    def overlap_samples(self, overlap: float) -> int:
        """EEG samples of an overlap in seconds.

        Raises:
            ConfigError: It is negative, or longer than half a window.
        """
        number = isinstance(overlap, int | float | np.integer | np.floating) and not isinstance(overlap, bool)
        if not number or not 0 <= overlap <= self.trained_on.window / 2:
            raise ConfigError(
                f"overlap={overlap} s must be 0 or more and at most half of the {self.trained_on.window:g} s window"
            )
        return round(overlap * self.trained_on.preprocessing.rate)

    def _parts(self) -> dict[str, Part]:
        if not self.described or self.model.aligner is None:
            raise ConfigError(
                "this SpeechGenerator was not loaded, so that nothing says how to rebuild it; use load_generator"
            )
        encoder, drawn = self.model.aligner.encoder, self.sampler
        sampler = {"solver": drawn.solver, "steps": drawn.steps, "guidance": drawn.guidance}
        described = {**self.described, "config": {**self.described["config"], "sampler": sampler}}
        own = {k: v for k, v in self.model.state_dict().items() if k not in self.model.frozen_names}
        inner = {"class": type(encoder).__name__, "config": encoder.config}
        return parts_of({"encoder": (inner, encoder.state_dict(), "aligner.encoder."), PART: (described, own, "")})

    @classmethod
    def _load(cls, source: Path, device: str) -> SpeechGenerator:
        return load_generator(source, device)

    def _speak(self, raw: RawRecording, subject: str | None, seed: int, overlap: float) -> Waveform:
        common = self.overlap_samples(overlap)
        label = subject_of_training(subject, self.trained_on) or ""
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise ConfigError(f"seed={seed!r} must be a whole number")
        store = self.trained_on.prepare(raw, fixed=not self.any_montage)
        (recording,) = store.recordings
        clips = []
        for piece in store.segments:
            first, stop = (round(time * store.rate) for time in (piece.onset, piece.onset + piece.duration))
            starts = cover(min(stop, recording.samples) - first, self.trained_on.samples, common)
            if starts:
                clips.append(Clip("", 0, piece, first, stop, tuple(first + start for start in starts)))
        scalings = fit_scalings(store, {recording.recording: store.segments})
        sound = np.zeros(round(recording.samples / store.rate * RATE), np.float32)
        written = [round(clip.first / store.rate * RATE) for clip in clips]
        for index, wave, _ in self.generate_clips(store, scalings, clips, [label], seed, overlap):
            sound[written[index] : written[index] + len(wave)] = wave
            written[index] += len(wave)
        return np.clip(sound, -1.0, 1.0)


def load_generator(source: str | Path, device: str = "cpu", components: str | Path | None = None) -> SpeechGenerator:
    """Load a trained model of stage 3.

    Args:
        source: Checkpoint of a run, or folder that ``eeg2speech export`` or the end of ``eeg2speech fit`` wrote.
        device: Where it computes, e.g. ``cuda``.
        components: Folder or hub id of AudioLDM 2's parts, where they have moved since training.

    Raises:
        DataError: There is no such model, it is damaged, or its components are others than those it was trained with.
    """
    source = path_of(source)
    _refuse_earlier_stages(source)
    described, weights, provenance = read_part(source, PART)
    remembered = read_data(source)
    trained_on = TrainingDataInfo.of(remembered, str(source))
    from eeg2speech.models.audioldm2.rebuild import rebuild_speech

    model, sampler = rebuild_speech(described, weights, str(source), components)
    step = int(provenance.get("global_step", 0))
    return SpeechGenerator(
        model, sampler, trained_on, device, remembered=remembered, global_step=step, described=described,
        provenance=provenance, source=source,
    )  # fmt: skip


def _refuse_earlier_stages(source: Path) -> None:
    parts = export_names(source) if source.is_dir() else part_names(read_checkpoint(source))
    if PART not in parts:
        what = "an aligner" if "aligner" in parts else "an encoder" if "encoder" in parts else "a model"
        raise DataError(
            f"{source}: {what} that cannot speak; train stage 3 first, `eeg2speech fit --config configs/diffusion.yaml`"
        )
