"""Probes of a frozen encoder: how well subjects and labels are classified from its features."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from eeg2speech.baselines.probes import band_power, probe
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.progress import Counted, uncounted
from eeg2speech.core.seeding import mix
from eeg2speech.core.types import Batch, SplitName
from eeg2speech.data.loading.datamodule import RATE, EEGAudioDataModule
from eeg2speech.evaluation.models import check_splits
from eeg2speech.inference.encoders import EEGEncoder
from eeg2speech.metrics import Estimate
from eeg2speech.metrics.results import ProbedTarget, SeenSplits
from eeg2speech.models import ViTEncoder
from eeg2speech.tasks import Task

KINDS: tuple[Literal["linear", "knn"], ...] = ("linear", "knn")
Columns = dict[str, NDArray[Any]]


def evaluate_probes(
    model: Task | EEGEncoder,
    data: EEGAudioDataModule,
    windows: int = 1000,
    seen: SeenSplits | None = None,
    counted: Counted = uncounted,
) -> dict[str, ProbedTarget]:
    """Probe a frozen encoder, the same encoder with random weights, and band power.

    Subjects are classified on held-out windows of stimuli that the classifier was not fitted on; labels (phonemes) on
    windows of subjects that it was not fitted on.

    Args:
        model: Whose encoder.
        data: After ``setup``, with windows as in training.
        windows: Windows used, evenly spread.
        seen: What of the splits was trained on, where it was compared already.
        counted: Shows the progress.

    Returns:
        By target, ``subject`` and ``label``; a target with too few classes or groups is left out.

    Raises:
        ConfigError: The data module has no test split, or one that is not unseen; see
            ``EEGAudioDataModule.allow_seen``. Or the encoder is a ``StepEncoder``.
    """
    if not isinstance(model.encoder, ViTEncoder):
        raise ConfigError(
            f"probes are for a ViTEncoder, whose tokens have a mean; this encoder is a {type(model.encoder).__name__} "
            "(trainer.callbacks: remove ProbeEncoder)"
        )
    if seen is None:
        check_splits(model, data)
    torch.manual_seed(mix(0, 1))
    device = next(model.encoder.parameters()).device
    untrained = type(model.encoder)(**model.encoder.config).to(device)
    encoders = {"encoder": model.encoder, "untrained_encoder": untrained}
    found: dict[str, ProbedTarget | None] = {}
    several_subjects, labelled = len(data.store.subjects) > 1, bool(data.store.labels)
    with counted("Probing", (several_subjects + labelled) * (len(encoders) + 1)) as done:
        if several_subjects:
            held_out: list[SplitName] = [split for split in data.datasets if split != "train"]
            features, columns = _features(data, held_out, encoders, windows)
            if len(np.unique(columns["subject"])) > 1:
                found["subject"] = probe_target(features, columns["subject"], columns["stimulus"], "stimulus", done)
        if labelled:
            features, columns = _features(data, list(data.datasets), encoders, windows)
            known = columns["label"] >= 0
            subject, label = columns["subject"][known], columns["label"][known]
            if len(np.unique(subject)) > 1 and len(np.unique(label)) > 1:
                kept = {name: values[known] for name, values in features.items()}
                found["label"] = probe_target(kept, label, subject, "subject", done)
    return {target: result for target, result in found.items() if result is not None}


def probe_target(
    features: Mapping[str, NDArray[Any]],
    labels: NDArray[Any],
    groups: NDArray[Any],
    grouped_by: Literal["stimulus", "subject"],
    done: Callable[[int], object] = lambda count: None,
) -> ProbedTarget | None:
    """Classify one target from each kind of features; those with too few classes or groups are left out and warned of.

    Args:
        features: By name, (n, D) each.
        labels: Class of each row, (n,).
        groups: Rows of one group are never both fitted and tested on, (n,).
        grouped_by: What the groups are.
        done: Called with 1 after each kind of features.

    Returns:
        None where no kind of features could be probed.
    """
    accuracy: dict[str, dict[str, Estimate]] = {}
    tested = 0
    for name, values in features.items():
        try:
            results = {kind: probe(values, labels, groups, kind) for kind in KINDS}
        except DataError as error:
            rank_zero_warn(f"{name.replace('_', ' ')} is not probed, {str(error).removeprefix('probe: ')}")
        else:
            accuracy[name] = {kind: Estimate(r.accuracy, r.low, r.high, r.chance) for kind, r in results.items()}
            tested = max(result.n for result in results.values())
        done(1)
    return ProbedTarget(grouped_by, tested, accuracy) if accuracy else None


@torch.no_grad()
def _features(
    data: EEGAudioDataModule, splits: list[SplitName], encoders: Mapping[str, ViTEncoder], windows: int
) -> tuple[Columns, Columns]:
    """Features of windows by name, (n, D), and their subjects, stimuli and labels, (n,)."""
    total = sum(len(data.datasets[split]) for split in splits)
    features: dict[str, list[NDArray[Any]]] = {name: [] for name in (*encoders, "band_power")}
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in ("subject", "stimulus", "label")}
    same_channels = len({r.channels for r in data.store.recordings}) == 1
    for split in splits:
        share = max(1, round(windows * len(data.datasets[split]) / total))
        for batch in data.batches(split, share):
            for name, encoder in encoders.items():
                features[name].append(_pooled(encoder, batch))
            if same_channels:  # band power has no value for another montage
                features["band_power"].append(band_power(batch["eeg"].numpy(), RATE))
            for name, values in columns.items():
                values.append(batch[name].numpy())  # type: ignore[literal-required]
    joined = {name: np.concatenate(values) for name, values in features.items() if values}
    return joined, {name: np.concatenate(values) for name, values in columns.items()}


def _pooled(encoder: ViTEncoder, batch: Batch) -> NDArray[Any]:
    device = next(encoder.parameters()).device
    eeg, positions, mask = (batch[key].to(device) for key in ("eeg", "positions", "channel_mask"))
    exists = None if bool(mask.all()) else mask
    frozen = encoder if not encoder.training else copy.deepcopy(encoder).eval()
    tokens = frozen(eeg, positions, exists)
    pooled: NDArray[Any] = frozen.pool(tokens, exists).float().cpu().numpy()
    return pooled
