from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray
from rich.table import Table

from eeg2speech.baselines.probes import ProbeResult, band_power, probe
from eeg2speech.core.console import table_console
from eeg2speech.core.errors import DataError
from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch, SplitName
from eeg2speech.data.loading.datamodule import RATE, EEGAudioDataModule
from eeg2speech.models import ViTEncoder
from eeg2speech.tasks import Task
from eeg2speech.training.progress import counted

KINDS: tuple[Literal["linear", "knn"], ...] = ("linear", "knn")


class ProbeEncoder(Callback):
    """Asks after a test what can be read from the frozen encoder: who was recorded, and what was heard.

    Linear and nearest-neighbour classifiers on pooled features, beside the same on an encoder with random weights and
    on band power. Subjects are told apart on windows of stimuli that the classifier was not fitted on; labels
    (phonemes) on subjects that it was not fitted on.

    Args:
        windows: Windows used, evenly spread.
    """

    def __init__(self, windows: int = 1000) -> None:
        self.windows = windows

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Probe, print a table and keep it for ``test.json``."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero or not isinstance(pl_module, Task) or not isinstance(data, EEGAudioDataModule):
            return
        torch.manual_seed(mix(0, 1))
        untrained = type(pl_module.encoder)(**pl_module.encoder.config).to(pl_module.device)
        encoders = {"encoder": pl_module.encoder, "untrained encoder": untrained}
        targets = (len(data.store.subjects) > 1) + bool(data.store.labels)
        with counted(trainer, "Probing", targets * (len(encoders) + 1)) as done:
            results = self._results(data, encoders, done)
        if results:
            pl_module.results["probes"] = {
                target: {name: {kind: vars(r) for kind, r in kinds.items()} for name, kinds in rows.items()}
                for target, rows in results.items()
            }
            _print(results, data.description.simulated)

    def _results(
        self, data: EEGAudioDataModule, encoders: dict[str, ViTEncoder], done: Callable[[int], object]
    ) -> dict[str, dict[str, dict[str, ProbeResult]]]:
        results = {}
        unseen: list[SplitName] = [split for split in data.datasets if split != "train"]
        # subjects are told apart on windows that nothing was trained on
        if len(data.store.subjects) > 1:
            features, facts = self._features(data, unseen, encoders)
            if len(np.unique(facts["subject"])) > 1:
                results["subject, stimulus-held-out"] = _probe(features, facts["subject"], facts["stimulus"], done)
        if data.store.labels:
            features, facts = self._features(data, list(data.datasets), encoders)
            known = facts["label"] >= 0
            if len(np.unique(facts["subject"][known])) > 1 and len(np.unique(facts["label"][known])) > 1:
                kept = {name: values[known] for name, values in features.items()}
                results["label, subject-held-out"] = _probe(kept, facts["label"][known], facts["subject"][known], done)
        return {target: rows for target, rows in results.items() if rows}

    @torch.no_grad()
    def _features(
        self, data: EEGAudioDataModule, splits: list[SplitName], encoders: dict[str, ViTEncoder]
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        total = sum(len(data.datasets[split]) for split in splits)
        features: dict[str, list[NDArray[Any]]] = {name: [] for name in (*encoders, "band power")}
        facts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("subject", "stimulus", "label")}
        same_channels = len({r.channels for r in data.store.recordings}) == 1
        for split in splits:
            share = max(1, round(self.windows * len(data.datasets[split]) / total))
            for batch in data.batches(split, share):
                for name, encoder in encoders.items():
                    features[name].append(_pooled(encoder, batch))
                if same_channels:  # band power has no answer to another montage
                    features["band power"].append(band_power(batch["eeg"].numpy(), RATE))
                for name, values in facts.items():
                    values.append(batch[name].numpy())  # type: ignore[literal-required]
        joined = {name: np.concatenate(values) for name, values in features.items() if values}
        return joined, {name: np.concatenate(values) for name, values in facts.items()}


def _pooled(encoder: ViTEncoder, batch: Batch) -> NDArray[Any]:
    device = next(encoder.parameters()).device
    eeg, positions, mask = (batch[key].to(device) for key in ("eeg", "positions", "channel_mask"))
    exists = None if bool(mask.all()) else mask
    frozen = encoder if not encoder.training else copy.deepcopy(encoder).eval()
    tokens = frozen(eeg, positions, exists)
    pooled: NDArray[Any] = frozen.pool(tokens, exists).float().cpu().numpy()
    return pooled


def _probe(
    features: dict[str, NDArray[Any]], labels: NDArray[Any], groups: NDArray[Any], done: Callable[[int], object]
) -> dict[str, dict[str, ProbeResult]]:
    """By features and kind; nothing where classes and groups are too few, which is no reason to lose the test."""
    found: dict[str, dict[str, ProbeResult]] = {}
    for name, values in features.items():
        try:
            found[name] = {kind: probe(values, labels, groups, kind) for kind in KINDS}
        except DataError as error:
            rank_zero_warn(f"{name} is not probed, {str(error).removeprefix('probe: ')}")
        done(1)
    return found


def _print(results: dict[str, dict[str, dict[str, ProbeResult]]], simulated: bool) -> None:
    title = "Probes: balanced accuracy [95 %]"
    table = Table(title=title + (", SIMULATED EEG" if simulated else ""))
    for column in ("probe", "features", *KINDS, "chance"):
        table.add_column(column, overflow="fold")
    for target, rows in results.items():
        for name, kinds in rows.items():
            cells = [f"{r.accuracy:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in kinds.values()]
            table.add_row(target, name, *cells, f"{kinds['linear'].chance:.3f}")
    table_console().print(table)
