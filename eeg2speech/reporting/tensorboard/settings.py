"""The TensorBoard tab HPARAMS: settings and final figures, to compare runs by.

TensorBoard takes the list of columns from the first run that it reads. The columns are therefore the same for all
stages, and a stage leaves empty what it does not have.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import (
    DATA_TYPE_BOOL,
    DATA_TYPE_FLOAT64,
    DATA_TYPE_STRING,
    STATUS_SUCCESS,
    Experiment,
    HParamInfo,
    MetricInfo,
    MetricName,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.metrics.results import Results
from eeg2speech.metrics.summary import main_figures
from eeg2speech.reporting.tensorboard.layout import kind_of
from eeg2speech.tasks import Task

Setting = str | float | bool
SETTINGS: dict[str, type] = {
    "stage": str, "data": str, "snr": float, "seed": float, "steps": float, "batch": float,
    "optimizer": str, "lr": float, "width": float, "depth": float, "pretrained": bool, "window": float,
    "mask_ratio": float, "mask_kind": str,
    "loss": str, "similarity": str, "target": str,
    "components": str, "trainable": str, "guidance": float,
}  # fmt: skip
"""Columns and their types."""
FIRST = ("data", "lr", "seed", "stage", "steps")
"""The five columns that TensorBoard shows by default: those that are marked as different."""
JUDGED = "test/judged"
"""Prefix of the figures of the split that the verdict is based on."""
FIGURES = {
    f"{JUDGED}/verdict": "verdict, 1 is yes", f"{JUDGED}/nmse": "test NMSE", f"{JUDGED}/mrr": "test MRR",
    f"{JUDGED}/top10": "test top-10", f"{JUDGED}/identification": "test identification",
    "val/nmse": "last val NMSE", "val/mrr": "last val MRR", "val/top10": "last val top-10",
    "val/mel_corr/eeg": "last val mel r", "val/loss": "last val loss",
}  # fmt: skip
"""Tags of the scalars whose last value is shown, and their column titles."""
_TYPES = {str: DATA_TYPE_STRING, float: DATA_TYPE_FLOAT64, bool: DATA_TYPE_BOOL}


def columns_summary() -> Summary:
    """Summary of all columns."""
    experiment = Experiment(
        hparam_infos=[
            HParamInfo(name=name, type=_TYPES[kind], differs=name in FIRST) for name, kind in SETTINGS.items()
        ],
        metric_infos=[MetricInfo(name=MetricName(tag=tag), display_name=shown) for tag, shown in FIGURES.items()],
    )
    return _summary(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))


def start_summary(settings: Mapping[str, Setting]) -> Summary:
    """Summary of the settings of a run that starts."""
    info = SessionStartInfo(start_time_secs=time.time())
    for name, value in settings.items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, str):
            info.hparams[name].string_value = value
        else:
            info.hparams[name].number_value = value
    return _summary(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def end_summary() -> Summary:
    """Summary of a run that ended."""
    info = SessionEndInfo(status=STATUS_SUCCESS, end_time_secs=time.time())
    return _summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def _summary(tag: str, content: HParamsPluginData) -> Summary:
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(content))])


def settings_of(trainer: pl.Trainer, task: Task, data: EEGAudioDataModule) -> dict[str, Setting]:
    """The settings of a run that are columns."""
    about, encoder = data.description, task.encoder.config
    found: dict[str, Any] = {
        "stage": (kind_of(task) or type(task).__name__).removesuffix("Task"),
        "data": f"SIMULATED {about.name}" if about.simulated else about.name,
        "snr": data.simulation.snr if data.store_path is None else None,
        "seed": data.seed, "window": data.window, "steps": trainer.max_steps if trainer.max_steps > 0 else None,
        "batch": data.batch_size * trainer.world_size * trainer.accumulate_grad_batches,
        "width": task.encoder.width, "depth": encoder.get("depth"), "pretrained": task.encoder_weights is not None,
        **_optimizer(trainer), **_stage_settings(task),
    }  # fmt: skip
    return {name: kind(found[name]) for name, kind in SETTINGS.items() if found.get(name) is not None}


def _optimizer(trainer: pl.Trainer) -> dict[str, Any]:
    """Optimizer and highest learning rate after scaling to the batch; empty without an optimizer."""
    if not trainer.optimizers:
        return {}
    optimizer = trainer.optimizers[0]
    rates = [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]
    return {"optimizer": type(getattr(optimizer, "_optimizer", optimizer)).__name__, "lr": max(rates)}


def _stage_settings(task: Task) -> dict[str, Any]:
    """Settings that only one stage has."""
    settings: Mapping[str, Any] = task.hparams
    kind = kind_of(task)
    if kind in ("MAEEGTask", "AudioMAETask"):
        masking: Any = task.masking
        return {"mask_ratio": masking.ratio, "mask_kind": masking.kind}
    if kind == "AlignmentTask":
        return {"loss": type(task.loss).__name__, **{name: settings.get(name) for name in ("similarity", "target")}}
    if kind == "DiffusionTask":
        sampler: Any = task.sampler
        names = ("components", "trainable")
        return {"guidance": sampler.guidance, "pretrained": True, **{name: settings.get(name) for name in names}}
    return {}


def judged_figures(results: Results) -> dict[str, float]:
    """Final figures of a test, by tag."""
    return {f"{JUDGED}/{name}": value for name, value in main_figures(results).items()}
