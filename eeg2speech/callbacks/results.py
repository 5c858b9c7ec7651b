from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech import __version__
from eeg2speech.data.datamodule import EEGAudioDataModule
from eeg2speech.files import strict, write_json
from eeg2speech.tasks import Task


class WriteResults(Callback):
    """Writes what a test found into ``<run>/test.json``; stands behind the callbacks that find it.

    A figure that does not exist is null.
    """

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write beside and rename."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # a collective: every rank asks
        if not trainer.is_global_zero or not isinstance(pl_module, Task):
            return
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("test/")}
        data = trainer.datamodule  # type: ignore[attr-defined]
        about = data.summary() if isinstance(data, EEGAudioDataModule) else {}
        content = {"eeg2speech": __version__, **about, "metrics": metrics, **pl_module.results}
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "test.json", strict(content))
        rank_zero_info(f"Results written to {folder / 'test.json'}")
