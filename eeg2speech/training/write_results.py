from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech import __version__
from eeg2speech.core.files import sha256_of
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.metrics.results import (
    RESULTS_FILE,
    UNTRAINED_FILE,
    VERSION,
    EvaluatedCheckpoint,
    EvaluatedData,
    Results,
    TrainingSummary,
    write_results,
)
from eeg2speech.tasks import Task
from eeg2speech.training.steps import step_of


class WriteResults(Callback):
    """Writes the results of a test into ``<run>/test.json``.

    It names the checkpoint, the store, the split and what the model was trained on; see ``metrics.results.Results``.
    Results of a model that was not trained go into ``test.untrained.json``.
    """

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write after ``on_test_end`` of all callbacks, so that the order of the callbacks does not matter."""
        if stage != "test":
            return
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # a collective: every rank calls it
        if not trainer.is_global_zero or not isinstance(pl_module, Task):
            return
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / (RESULTS_FILE if step_of(trainer, pl_module) else UNTRAINED_FILE)
        write_results(file, gather_results(trainer, pl_module))
        rank_zero_info(f"Results written to {file}")


def gather_results(trainer: pl.Trainer, task: Task) -> Results:
    """Results that the callbacks of a test left in ``task.results``, and the facts about the test."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    return Results(
        version=VERSION,
        eeg2speech=__version__,
        stage=type(task).__name__,
        checkpoint=_checkpoint(trainer, task),
        metrics={k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("test/")},
        data=_evaluated(data) if isinstance(data, EEGAudioDataModule) else None,
        trained_on=_trained_on(task),
        **task.results,
    )


def _checkpoint(trainer: pl.Trainer, task: Task) -> EvaluatedCheckpoint:
    file = None if trainer.ckpt_path is None else Path(trainer.ckpt_path)
    there = file is not None and file.is_file()
    return EvaluatedCheckpoint(
        path=None if file is None else str(file.resolve()),
        sha256=sha256_of(file) if file is not None and there else None,
        step=step_of(trainer, task),
    )


def _evaluated(data: EEGAudioDataModule) -> EvaluatedData:
    return EvaluatedData(
        name=data.description.name,
        simulated=data.description.simulated,
        store=str(data.store.root.resolve()),
        fingerprint=str(data.store.fingerprint),
        split=asdict(data.split),
        conditions=None if data.conditions is None else [str(condition) for condition in data.conditions],
        windows={split: len(dataset) for split, dataset in data.datasets.items()},
    )


def _trained_on(task: Task) -> list[TrainingSummary] | None:
    """The trainings that the weights come from, in short; None where no record exists."""
    if task.training_records is None:
        return None
    return [
        TrainingSummary(
            record.stage,
            record.learned,
            len(set(record.trained.sounds.values())),
            sorted(record.trained.subjects.values()),
            *(record.data.get(key) for key in ("name", "store", "fingerprint", "split", "conditions")),
        )
        for record in task.training_records
    ]
