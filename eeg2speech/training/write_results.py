from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech import __version__
from eeg2speech.core.files import sha256_of, to_jsonable, write_json
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.tasks import Task
from eeg2speech.training.steps import step_of

RESULTS, UNTRAINED = "test.json", "test.untrained.json"
"""Files in a run's folder: what a test found, and that of a model which was not trained."""


class WriteResults(Callback):
    """Writes what a test found into ``<run>/test.json``, once all callbacks have added their results.

    It names the checkpoint, the store, the split and what the model was trained on. A figure that does not exist is
    null. Figures of a model that was not trained go into ``test.untrained.json``.
    """

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write after every callback's ``on_test_end``, wherever this one stands in the list."""
        if stage != "test":
            return
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # a collective: every rank asks
        if not trainer.is_global_zero or not isinstance(pl_module, Task):
            return
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("test/")}
        data = trainer.datamodule  # type: ignore[attr-defined]
        about = {**data.summary(), **_tested_on(data)} if isinstance(data, EEGAudioDataModule) else {}
        about |= {"checkpoint": _checkpoint(trainer, pl_module), "trained_on": _trained_on(pl_module)}
        content = {"eeg2speech": __version__, **about, "metrics": metrics, **pl_module.results}
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / (RESULTS if step_of(trainer, pl_module) else UNTRAINED)
        write_json(file, to_jsonable(content))
        rank_zero_info(f"Results written to {file}")


def _checkpoint(trainer: pl.Trainer, task: Task) -> dict[str, Any]:
    """Which weights were tested; without a file where a program trained and tested in one go."""
    file = None if trainer.ckpt_path is None else Path(trainer.ckpt_path)
    there = file is not None and file.is_file()
    return {
        "path": None if file is None else str(file.resolve()),
        "sha256": sha256_of(file) if file is not None and there else None,
        "step": step_of(trainer, task),
    }


def _tested_on(data: EEGAudioDataModule) -> dict[str, Any]:
    """Store, and what chose the test lists from it."""
    described = data.training_data()
    store = {"path": str(data.store.root.resolve()), "fingerprint": described["fingerprint"]}
    return {"store": store, "split": described["split"], "conditions": described["conditions"]}


def _trained_on(task: Task) -> list[dict[str, Any]] | None:
    """The trainings that the weights come from, in short; None where no record says."""
    if task.training_records is None:
        return None
    return [
        {
            "stage": record.stage,
            "learned": record.learned,
            "sounds": len(set(record.trained.sounds.values())),
            "subjects": sorted(record.trained.subjects.values()),
            **{key: record.data.get(key) for key in ("name", "store", "fingerprint", "split", "conditions")},
        }
        for record in task.training_records
    ]
