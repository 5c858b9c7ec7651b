"""A trained model of stage 3: speech from recordings of EEG."""

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
from eeg2speech.checkpoints.parts import part_names, read_checkpoint, read_part
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
from eeg2speech.models.registry import describe

if TYPE_CHECKING:  # diffusers takes seconds to import
    from eeg2speech.models.audioldm2.sampling import Sampler
    from eeg2speech.models.audioldm2.speech import SpeechDiffusion

PART = "speech"
"""Name of the model in checkpoints and exports."""
OVERLAP = 0.32
"""Overlap of neighbouring windows in seconds: two steps."""
BATCH = 8
"""Windows that are generated at once."""
Method = Literal["diffusion", "regression"]
METHODS: tuple[Method, ...] = ("diffusion", "regression")


class SpeechGenerator(Published):
    """A trained model that generates speech from recordings, which are prepared as in its training.

    Args:
        model: Trained network.
        sampler: Solver of the diffusion.
        training_data: See ``Published``.
        device: See ``Published``.
        batch_size: Windows that are generated at once.
        method: See ``load_generator``.
        described: Class and config of the network; without them the model cannot be saved.
        provenance: See ``Published``.
        source: See ``Published``.

    Raises:
        ConfigError: The batch size is below 1, or the device or the method does not exist.
    """

    rate = RATE
    """Samples per second of generated speech."""

    def __init__(
        self,
        model: SpeechDiffusion,
        sampler: Sampler,
        training_data: TrainingDataInfo,
        device: str = "cpu",
        batch_size: int = BATCH,
        method: Method = "diffusion",
        described: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        super().__init__(training_data, device, provenance, source)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(f"batch_size={batch_size} must be 1 or more")
        if method not in METHODS:
            raise ConfigError(f"method={method!r} is none of {', '.join(METHODS)}")
        self.method = method
        self.model = moved_to(device, model).eval()
        self.sampler, self.batch_size, self.described = sampler, batch_size, dict(described or {})

    @property
    def global_step(self) -> int:
        """Training step of the weights; 0 if it is not known."""
        return int(self.provenance.get("global_step", 0))

    @property
    def any_montage(self) -> bool:
        """Whether electrodes are identified by their positions, so that any montage can be used."""
        return self.model.aligner is not None and self.model.aligner.any_montage

    def sample_with(
        self,
        solver: Literal["dpm", "ddim"] | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        start: float | None = None,
    ) -> Sampler:
        """Change settings of the sampler; None leaves a setting as it is."""
        old = self.sampler
        self.sampler = type(old)(
            old.solver if solver is None else solver,
            old.steps if steps is None else steps,
            old.guidance if guidance is None else guidance,
            old.start if start is None else start,
        )
        return self.sampler

    def generate_windows(self, batch: Batch, subjects: Sequence[str], seeds: Sequence[int]) -> NDArray[np.float32]:
        """Generate speech for windows of scaled EEG.

        Args:
            batch: Of a data module; its sound is not used.
            subjects: Labels that ``batch["subject"]`` indexes; labels from training use their own subject layer, others
                the mean layer.
            seeds: One for each window.

        Returns:
            Waveforms in [-1, 1] with a peak of about 0.5, (B, S) at 16 kHz.

        Raises:
            DataError: The generated samples are not finite.
        """
        index_of = {label: index for index, label in enumerate(self.training_data.subjects)}
        indices = torch.tensor([index_of.get(subjects[index], -1) for index in batch["subject"].tolist()])
        mask = None if bool(batch["channel_mask"].all()) else batch["channel_mask"].to(self.device)
        eeg = batch["eeg"].to(self.device), batch["positions"].to(self.device), mask, indices.to(self.device)
        with torch.inference_mode():
            steps = self.model.eeg_steps(*eeg)
            if self.method == "regression":
                sound = self.model.vocode(self.model.mel_of_steps(steps))
            else:
                latents = self.sampler.sample(self.model, self.model.condition(steps), steps.shape[1], seeds)
                sound = self.model.waveform(latents)
        samples = round(batch["eeg"].shape[-1] / self.training_data.preprocessing.rate * RATE)
        waves = sound[:, :samples].float().cpu().numpy()
        if not np.isfinite(waves).all():
            raise DataError("the model generates NaN; train it again with a lower learning rate or a higher precision")
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
        """Generate speech for stretches of a store of any length, batch by batch.

        The noise of a window depends on the seed, its recording and its start, but not on the rest of its batch.

        Args:
            store: Prepared as the training recordings were.
            scalings: By recording.
            clips: Stretches of EEG.
            subjects: Labels of the store's subjects; see ``generate_windows``.
            seed: Of the noise.
            overlap: Seconds of the cross-fade between windows, at most the seconds that they share.

        Yields:
            Index of the clip, its next samples at 16 kHz, and whether these came with a new window.
        """
        rate = round(RATE / self.training_data.preprocessing.rate)  # sound samples for one of EEG
        windows = [window for clip in clips for window in clip.windows]
        owners = [index for index, clip in enumerate(clips) for _ in clip.windows]
        data = self.training_data.dataset(store, windows, scalings)
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
        """Generate speech for a whole ``mne.io.Raw``, prepared as the training recordings were.

        Overlapping windows are cross-faded. No window contains a break of the recording, and parts shorter than a
        window stay silent. The EEG is read ``lag`` seconds later than its sound, as in training.

        Args:
            raw: Unfiltered, in volts or teslas as in mne; channels of other types than in training
                (``training_data.types``) are ignored.
            subject: Label from training, whose subject layer is used; None for the mean subject layer.
            seed: Of the noise that speech is generated from.
            overlap: Overlap of neighbouring windows in seconds.

        Returns:
            Waveform in [-1, 1] at 16 kHz, as long as the recording, (samples,).

        Raises:
            DataError: Channels are missing, or the recording is too short, too slow or mostly bad.
            ConfigError: The overlap is longer than half a window, the seed is not a whole number, or the label is not
                in the training data.
        """
        return self._generate(of_raw(raw, self.training_data), subject, seed, overlap)

    def generate_epochs(
        self, epochs: BaseEpochs, subject: str | None = None, seed: int = 0, overlap: float = OVERLAP
    ) -> list[Waveform]:
        """Generate speech for each of ``mne.Epochs``, a waveform of the epoch's length.

        Epochs are all of one subject and at least as long as a window of training; further arguments and errors as of
        ``generate_raw``. See ``AlignmentModel.embed_epochs`` for their filtering.
        """
        wave = self._generate(of_epochs(epochs, self.training_data), subject, seed, overlap)
        return list(np.array_split(wave, len(epochs)))

    def write(self, file: str | Path, wave: Waveform) -> None:
        """Write generated speech as a 16-bit wav file at 16 kHz.

        Raises:
            DataError: ``wave`` is not a waveform.
            DiskError: The file cannot be written.
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
        """Generate speech for an array or a tensor of EEG.

        ``eeg``, ``rate``, ``channels``, ``positions`` and ``types`` are those of ``AlignmentModel.embed_eeg``; the
        other arguments, the result and the errors are those of ``generate_raw``.
        """
        recording = of_array(eeg, rate, channels, positions, types, self.training_data)
        return self._generate(recording, subject, seed, overlap)

    def overlap_samples(self, overlap: float) -> int:
        """EEG samples of an overlap in seconds.

        Raises:
            ConfigError: The overlap is negative, or longer than half a window.
        """
        number = isinstance(overlap, int | float | np.integer | np.floating) and not isinstance(overlap, bool)
        if not number or not 0 <= overlap <= self.training_data.window / 2:
            raise ConfigError(
                f"overlap={overlap} s must be 0 or more and at most half of the {self.training_data.window:g} s window"
            )
        return round(overlap * self.training_data.preprocessing.rate)

    def _parts(self) -> dict[str, Part]:
        if not self.described or self.model.aligner is None:
            raise ConfigError(
                "this SpeechGenerator has no description to rebuild it from; load the model with load_generator"
            )
        encoder, used = self.model.aligner.encoder, self.sampler
        sampler = {name: getattr(used, name) for name in ("solver", "steps", "guidance", "start")}
        described = {**self.described, "config": {**self.described["config"], "sampler": sampler}}
        own = {k: v for k, v in self.model.state_dict().items() if k not in self.model.frozen_names}
        inner = (describe(encoder), encoder.state_dict(), "aligner.encoder.")
        return parts_of({"encoder": inner, PART: (described, own, "")})

    @classmethod
    def _load(cls, source: Path, device: str) -> SpeechGenerator:
        return load_generator(source, device)

    def _generate(self, raw: RawRecording, subject: str | None, seed: int, overlap: float) -> Waveform:
        common = self.overlap_samples(overlap)
        label = subject_of_training(subject, self.training_data) or ""
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise ConfigError(f"seed={seed!r} must be a whole number")
        store = self.training_data.prepare(raw, fixed=not self.any_montage)
        (recording,) = store.recordings
        clips = []
        for segment in store.segments:
            first, stop = (round(time * store.rate) for time in (segment.onset, segment.onset + segment.duration))
            starts = cover(min(stop, recording.samples) - first, self.training_data.samples, common)
            if starts:
                clips.append(Clip("", 0, segment, first, stop, tuple(first + start for start in starts)))
        scalings = fit_scalings(store, {recording.recording: store.segments})
        generated = np.zeros(round(recording.samples / store.rate * RATE), np.float32)
        written = [round(clip.first / store.rate * RATE) for clip in clips]
        for index, wave, _ in self.generate_clips(store, scalings, clips, [label], seed, overlap):
            generated[written[index] : written[index] + len(wave)] = wave
            written[index] += len(wave)
        return np.clip(generated, -1.0, 1.0)


def load_generator(
    source: str | Path, device: str = "cpu", components: str | Path | None = None, method: Method = "diffusion"
) -> SpeechGenerator:
    """Load a trained model of stage 3; errors as of ``eeg2speech.load``.

    Args:
        source: See ``eeg2speech.load``.
        device: See ``eeg2speech.load``.
        components: Folder or hub id of AudioLDM 2's components, if they have moved since training; they must be those
            of training.
        method: ``diffusion``, or ``regression`` for the spectrogram that linear regression predicts from EEG, through
            the vocoder: no sampling, so the seed does not matter. The test of stage 3 compares the two.
    """
    source = path_of(source)
    _refuse_earlier_stages(source)
    described, weights, provenance = read_part(source, PART)
    training_data = TrainingDataInfo.read(source)
    from eeg2speech.models.audioldm2.rebuild import rebuild_speech

    model, sampler = rebuild_speech(described, weights, str(source), components)
    return SpeechGenerator(
        model, sampler, training_data, device, method=method, described=described, provenance=provenance, source=source
    )


def _refuse_earlier_stages(source: Path) -> None:
    parts = export_names(source) if source.is_dir() else part_names(read_checkpoint(source))
    if PART not in parts:
        what = "an aligner" if "aligner" in parts else "an encoder" if "encoder" in parts else "a model"
        raise DataError(
            f"{source}: {what}, which generates no speech; train stage 3, `eeg2speech fit --config "
            "configs/diffusion.yaml`"
        )
