from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from eeg2speech.checkpoints.training_record import Material
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import TEST_SPLITS, Batch, Condition, Segment, SplitName
from eeg2speech.data.loading.checks import (
    check_choice,
    check_conditions,
    check_content,
    check_kind,
    check_number,
    check_store,
    check_whole,
    keep_sounds,
    stimuli_with_sound,
)
from eeg2speech.data.loading.material import material_of, refuse_known_sounds
from eeg2speech.data.loading.sampler import KeyedBatchSampler, PlainLoader, ResumableLoader
from eeg2speech.data.loading.scaling import Scaling, fit_scalings
from eeg2speech.data.loading.splits import Split, assign_splits, some_stimuli
from eeg2speech.data.loading.windows import Augment, WindowDataset, cut_windows, read_montage
from eeg2speech.data.simulation.embedded import embedded_store
from eeg2speech.data.simulation.simulator import Simulation
from eeg2speech.data.store.store import Description, Store

CHECKED = 32
"""Number of training windows, evenly spaced, whose content is checked before training."""
RATE = 100
"""EEG samples per second of every stage: one sample is one hop of both mel front ends."""


class EEGAudioDataModule(pl.LightningDataModule):
    """Windows of EEG with the speech that was heard, spoken or imagined, for all three stages.

    Segments of a prepared store are split by stimulus and subject (``Split``), scaled per channel and cut into windows.
    Every loader yields a ``Batch``: scaled EEG, (B, C, T), electrode positions in metres, the sound at 16 kHz where a
    stage needs it, and indices of subject, stimulus, label and recording. Windows are read from a memory map. Their
    order and augmentation depend on ``seed``, epoch and index alone, so that a resumed run repeats them exactly.

    The data module has the loaders ``train``, ``val`` and one per test split (``unseen_stimulus``, ``unseen_subject``,
    ``unseen_both``); ``setup`` must be called before them, which Lightning does.

    Example:
        >>> data = EEGAudioDataModule(audio=True, batch_size=8)  # the embedded dataset
        >>> data.prepare_data(); data.setup()
        >>> next(iter(data.train_dataloader()))["eeg"].shape
        torch.Size([8, 32, 320])

    Args:
        store: Folder of a prepared store; unset: the embedded dataset of simulated EEG.
        window: Length of a window in seconds.
        hop: Distance of the starts of two training windows in seconds; unset: half a window. Windows of validation and
            test do not overlap.
        batch_size: Windows per step and device.
        split: Stimuli and subjects that are held out for validation and test.
        train_fraction: Share of the training stimuli that are trained on, at least one. Validation and test do not
            depend on it, and the stimuli of a smaller share are part of those of a larger one.
        hard_negatives: Number of windows of one stimulus that follow each other in a training batch as hard negatives;
            ``batch_size`` must be a multiple of it.
        conditions: Use only segments of these conditions (``listening``, ``overt``, ``imagined``, ``rest``).
        scaling: ``train`` fits the scale of every channel on training segments; subjects without any get the median
            over the others. ``recording`` fits on each whole recording, test segments included.
        clamp: Scaled EEG is limited to +- this many robust standard deviations.
        audio: Also load the sound of each window.
        lag: Delay in seconds of the EEG of a window after its sound; may be negative.
        augment: Random changes to training windows, all off by default.
        simulation: Settings of the embedded dataset.
        workers: Processes that read windows; 0 reads in the main process, which is fast from a memory map.
        pin_memory: Page-locked batches, for transfer to a GPU.
        seed: Seed of the order of training windows and of augmentation.

    Attributes:
        allow_seen: Allow a test on sounds or subjects that the model was trained on; the results then report them.
            ``--allow_seen true`` sets it.
        datasets: Windows by split, after ``setup``.
        store: The prepared store, after ``setup``.
        scalings: Scaling by recording, after ``setup``.

    Raises:
        ConfigError: A setting is out of its range or does not fit the data.
    """

    allow_seen = False

    def __init__(
        self,
        store: Path | None = None,
        window: float = 3.2,
        hop: float | None = None,
        batch_size: int = 64,
        split: Split = Split(),  # noqa: B008
        train_fraction: float = 1.0,
        hard_negatives: int = 1,
        conditions: list[Condition] | None = None,
        scaling: Literal["train", "recording"] = "train",
        clamp: float = 20.0,
        audio: bool = False,
        lag: float = 0.0,
        augment: Augment = Augment(),  # noqa: B008
        simulation: Simulation = Simulation(),  # noqa: B008
        workers: int = 0,
        pin_memory: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        store = check_store(store)
        check_number("window", window, 0)
        hop = window / 2 if hop is None else hop
        check_number("hop", hop, 0)
        check_number("clamp", clamp, 0, infinite=True)
        check_number("lag", lag, -math.inf)
        check_number("train_fraction", train_fraction, 0)
        for key, whole, least in (("batch_size", batch_size, 1), ("workers", workers, 0), ("seed", seed, None)):
            check_whole(key, whole, least)
        check_kind("split", split, Split)
        check_kind("augment", augment, Augment)
        check_kind("simulation", simulation, Simulation)
        check_kind("audio", audio, bool)
        check_kind("pin_memory", pin_memory, bool)
        check_choice("split.by", split.by, ("stimulus", "subject", "both"))
        check_choice("scaling", scaling, ("train", "recording"))
        check_conditions(conditions)
        check_whole("hard_negatives", hard_negatives)
        if hard_negatives < 1 or batch_size % hard_negatives:
            raise ConfigError(
                f"hard_negatives={hard_negatives} must be 1 or more, and batch_size={batch_size} a multiple of it "
                "(data.hard_negatives, data.batch_size)"
            )
        self.samples, self.hop = round(window * RATE), max(1, round(hop * RATE))
        if abs(self.samples / RATE - window) > 1e-9:
            raise ConfigError(f"window={window} s is not a whole number of {1000 // RATE} ms samples (data.window)")
        self.store_path, self.window, self.batch_size, self.split = store, window, batch_size, split
        self.conditions, self.scaling, self.clamp, self.audio = conditions, scaling, clamp, audio
        self.augment, self.simulation, self.workers = augment, simulation, workers
        self.pin_memory, self.seed, self.lag = pin_memory, seed, lag
        self.train_fraction, self.hard_negatives = train_fraction, hard_negatives
        self.datasets: dict[SplitName, WindowDataset] = {}

    @property
    def subject_names(self) -> list[str]:
        """Subject labels, in the order of a batch's ``subject``; available before ``prepare_data``."""
        if self.store_path is None:
            return self.simulation.subject_names
        return Store(self.store_path).subjects

    @property
    def channels(self) -> int:
        """Number of electrodes of the largest montage; available before ``prepare_data``."""
        if self.store_path is None:
            return len(self.simulation.electrodes)
        return max(recording.channels for recording in Store(self.store_path).recordings)

    def prepare_data(self) -> None:
        """Simulate the embedded dataset if it is used and not in the cache."""
        if self.store_path is None:
            embedded_store(self.simulation)

    def setup(self, stage: str | None = None) -> None:
        """Open the store, split its segments, fit the scaling and cut windows.

        Raises:
            ConfigError: A setting does not fit the data.
            DataError: The store is damaged, or nothing can be learned from it.
        """
        if self.datasets:
            return
        self.store = Store(self.store_path or embedded_store(self.simulation))
        if self.store.rate != RATE:
            raise ConfigError(
                f"{self.store.root}: EEG at {self.store.rate:g} Hz, the models work at {RATE} Hz; "
                f"prepare it with --preprocessing.rate {RATE}"
            )
        by_split = self._split_segments()
        self.scalings = self._fit_scalings(by_split["train"])
        for split in ("train", "val", *TEST_SPLITS):
            if by_split.get(split):
                self.datasets[split] = self._dataset(split, by_split[split])
        if stage == "fit":
            check_content(self.batches("train", CHECKED), self.audio)

    @property
    def description(self) -> Description:
        """Description of the store; after ``setup``."""
        return self.store.description

    @property
    def test_splits(self) -> list[SplitName]:
        """Names of the test splits, in the order of ``test_dataloader``."""
        return [split for split in TEST_SPLITS if split in self.datasets]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled windows; the order depends on the seed and the epoch alone."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Windows of held-out stimuli (or of the validation subjects)."""
        return self._loader("val")

    def test_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader per test split; see ``test_splits``."""
        return [self._loader(split) for split in self.test_splits]

    def predict_dataloader(self) -> list[PlainLoader]:
        """The loaders of the test splits."""
        return [PlainLoader(loader) for loader in self.test_dataloader()]

    def batches(
        self, split: SplitName, most: int | None = None, lag: float | None = None, audio: bool = True
    ) -> Iterable[Batch]:
        """Read windows of a split outside of training, without augmentation.

        Args:
            split: Name of the split.
            most: Read this many windows, evenly spaced; None reads all.
            lag: Replaces the ``lag`` of the data module.
            audio: Read the sounds too, if the data module does.
        """
        later = round((self.lag if lag is None else lag) * RATE)
        windows, sound = self.datasets[split].windows, self.audio and audio
        plain = WindowDataset(self.store, windows, self.scalings, self.samples, self.clamp, sound, lag=later)
        count = len(plain) if most is None else min(most, len(plain))
        chosen = [i * len(plain) // count for i in range(count)]
        for start in range(0, count, self.batch_size):
            yield plain.__getitems__([(i, 0) for i in chosen[start : start + self.batch_size]])

    def subjects_of(self, split: SplitName) -> list[str]:
        """Labels of the subjects whose windows are in a split."""
        recordings = {window.recording for window in self.datasets[split].windows}
        return sorted({self.store.recordings[index].subject for index in recordings})

    def material(self, split: SplitName) -> Material:
        """Sounds, subjects and recordings whose windows are in a split."""
        dataset = self.datasets.get(split)
        segments = {} if dataset is None else dict.fromkeys(window.segment for window in dataset.windows)
        return material_of(self.store, segments)

    def training_data(self) -> dict[str, Any]:
        """What determines the segments that are trained on, in plain values."""
        return {
            "name": str(self.description.name),
            "store": str(self.store.root),
            "fingerprint": str(self.store.fingerprint),
            "simulation": self.simulation.settings() if self.store_path is None else None,
            "split": asdict(self.split),
            "conditions": None if self.conditions is None else [str(condition) for condition in self.conditions],
            "train_fraction": float(self.train_fraction),
            "scaling": str(self.scaling),
            "new_subjects": bool(self.split.val_subjects),
        }

    def sounds_in(self, split: SplitName) -> int:
        """Number of different sounds in a split."""
        return self.datasets[split].sounds

    def channel_names(self, recording: int) -> list[str]:
        """Names of a recording's channels in the order of the batch, by its index."""
        row = self.store.recordings[recording]
        montage = read_montage(self.store, row, self.scalings[row.recording])
        channels = self.store.channels(row.recording)
        return [channels[index].name for index in montage.order]

    def summary(self) -> dict[str, object]:
        """Name of the dataset and number of windows in each split, for the log."""
        return {
            "data": self.description.name,
            "simulated": self.description.simulated,
            "windows": {split: len(dataset) for split, dataset in self.datasets.items()},
        }

    def _split_segments(self) -> dict[SplitName, list[Segment]]:
        """Segments of each split, of the chosen conditions and, if sound is used, with a sound."""
        segments = [s for s in self.store.segments if not self.conditions or s.condition in self.conditions]
        if not segments:
            there = sorted({segment.condition for segment in self.store.segments})
            raise ConfigError(
                f"{self.store.root}: no segment with conditions={self.conditions}, it has {there} (data.conditions)"
            )
        longest = max(segment.duration for segment in segments)
        if self.window > longest + 0.5 / RATE:
            raise ConfigError(
                f"window={self.window} s is longer than the longest segment of {self.store.root}, {longest:g} s "
                "(data.window)"
            )
        sounds = stimuli_with_sound(self.store, segments) if self.audio else None
        subject_of = {recording.recording: recording.subject for recording in self.store.recordings}
        by_split: dict[SplitName, list[Segment]] = defaultdict(list)
        for segment, split in zip(segments, assign_splits(self.split, segments, subject_of), strict=True):
            if split is not None:
                by_split[split].append(segment)
        if sounds is not None:
            by_split = keep_sounds(by_split, sounds)
        refuse_known_sounds(self.store, by_split)
        by_split["train"] = some_stimuli(by_split["train"], self.train_fraction, self.split.seed)
        return by_split

    def _fit_scalings(self, train: list[Segment]) -> dict[str, Scaling]:
        fit_on: dict[str, list[Segment]] = defaultdict(list)
        if self.scaling == "train":
            for segment in train:
                fit_on[segment.recording].append(segment)
        else:
            for recording in self.store.recordings:
                for first, stop in self.store.blocks(recording):
                    block = Segment(recording.recording, first / RATE, (stop - first) / RATE, "", 0, "rest")
                    fit_on[recording.recording].append(block)
        return fit_scalings(self.store, fit_on)

    def _dataset(self, split: SplitName, segments: list[Segment]) -> WindowDataset:
        hop = self.hop if split == "train" else self.samples
        windows = cut_windows(segments, self.store.recordings, RATE, self.samples, hop)
        if not windows:
            raise ConfigError(
                f"{split} has no segment as long as window={self.window} s; choose a shorter one (data.window) or "
                "another data.split"
            )
        augment = self.augment if split == "train" and self.augment != Augment() else None
        lag = round(self.lag * RATE)
        return WindowDataset(self.store, windows, self.scalings, self.samples, self.clamp, self.audio, augment, lag)

    def _loader(self, split: SplitName, shuffle: bool = False) -> ResumableLoader:
        dataset = self.datasets[split]
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        blocks = dataset.stimulus_blocks(self.hard_negatives) if shuffle and self.hard_negatives > 1 else None
        sampler = KeyedBatchSampler(len(dataset), self.batch_size, self.seed, shuffle, rank, world, blocks)
        if not shuffle and len(dataset) < world:  # on every rank, as the others would wait for one without windows
            raise ConfigError(
                f"{split} has {len(dataset)} windows for {world} devices; use fewer devices (trainer.devices) or "
                "another data.split"
            )
        if not len(sampler):
            raise ConfigError(
                f"{len(dataset)} training windows do not fill a batch of {self.batch_size} on each of {world} "
                "devices (data.batch_size, data.hop)"
            )
        return ResumableLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=_as_is,
            num_workers=self.workers,
            pin_memory=self.pin_memory and torch.cuda.is_available(),
            persistent_workers=self.workers > 0,
        )


def _as_is(batch: Any) -> Any:
    return batch
