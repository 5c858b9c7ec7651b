"""Facts about the data of a run: what tasks use of them, and what a checkpoint keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import TEST_SPLITS
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.store.store import Store


@dataclass(frozen=True)
class DataInfo:
    """Facts about the data of a run, which may also be a program's own data module or loaders.

    Attributes:
        module: Data module of the run; None if there is none.
    """

    module: pl.LightningDataModule | None = None

    @property
    def windows(self) -> EEGAudioDataModule | None:
        """The data module if it is the package's; None for a program's own data."""
        return self.module if isinstance(self.module, EEGAudioDataModule) else None

    @property
    def training_windows(self) -> EEGAudioDataModule:
        """The package's data module, whose training windows a stage is fitted on beside the gradient steps.

        Raises:
            ConfigError: The run has other data.
        """
        if self.windows is None:
            raise ConfigError(
                f"datamodule={type(self.module).__name__}: this stage trains on windows of EEGAudioDataModule; pass one"
            )
        return self.windows

    @property
    def subjects(self) -> list[str] | None:
        """Labels of the subjects, in the order of a batch's ``subject``; None where the data has no labels."""
        names = getattr(self.module, "subject_names", None)
        return None if names is None else [str(name) for name in names]

    @property
    def test_splits(self) -> list[str]:
        """Names of the test splits, in the order of the test loaders."""
        return [str(split) for split in getattr(self.module, "test_splits", TEST_SPLITS)]

    @property
    def batch_size(self) -> int | None:
        """Windows per step and device; None where the data has none."""
        size = getattr(self.module, "batch_size", None)
        return None if size is None else int(size)

    def indices_in(self, subjects: Sequence[str], unlabelled: Sequence[str]) -> list[int]:
        """Index of each subject of the data in ``subjects``; -1 for a subject that is not there.

        Args:
            subjects: Labels in the order of a model.
            unlabelled: Labels of the subjects where the data has none.
        """
        names = unlabelled if self.subjects is None else self.subjects
        return [subjects.index(name) if name in subjects else -1 for name in names]


def training_data_info(data: pl.LightningDataModule, subjects: Sequence[str] | None = None) -> dict[str, Any]:
    """What a checkpoint keeps of the data, so that a new recording can be prepared as the training recordings were.

    Args:
        data: Data module of the training. For a data module of another class, only the labels of the subjects are kept.
        subjects: Labels in the order of the model, instead of those of the data module.

    Returns:
        Plain values: name of the dataset, its source, licence and citation, and whether it is simulated, ``window``
        and ``lag`` in seconds, ``clamp`` in robust standard deviations, settings of the ``preprocessing``, labels of
        ``subjects``, ``montages`` as names and types of channels in the order of the files and their positions in
        metres, null where unknown, and ``learned_from``: the settings that decide which segments are trained on.
    """
    info = DataInfo(data)
    names = info.subjects if subjects is None else [str(name) for name in subjects]
    kept: dict[str, Any] = {} if names is None else {"subjects": names}
    windows = info.windows
    if windows is None:
        return kept
    about, prefix = windows.description, "preprocessing."
    return kept | {
        "name": str(about.name),
        "simulated": bool(about.simulated),
        "source": str(about.source),
        "license": str(about.license),
        "citation": str(about.citation),
        "window": float(windows.window),
        "lag": float(windows.lag),
        "clamp": float(windows.clamp),
        "preprocessing": {
            key.removeprefix(prefix): list(value) if isinstance(value, tuple) else value
            for key, value in about.settings.items()
            if key.startswith(prefix)
        },
        "montages": _montages(windows.store),
        "learned_from": windows.training_data(),
    }


def _montages(store: Store) -> list[dict[str, Any]]:
    """Each list of channels once, with the positions in the first recording that has it."""
    montages: dict[tuple[tuple[str, str], ...], list[list[float] | None]] = {}
    for recording in store.recordings:
        channels = store.channels(recording.recording)
        positions = [[float(c.x), float(c.y), float(c.z)] for c in channels]
        finite = [position if all(map(math.isfinite, position)) else None for position in positions]
        montages.setdefault(tuple((channel.name, channel.type) for channel in channels), finite)
    return [
        {"names": [name for name, _ in channels], "types": [kind for _, kind in channels], "positions": positions}
        for channels, positions in montages.items()
    ]
