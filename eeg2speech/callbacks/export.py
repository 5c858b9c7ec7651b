from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.checkpoint import export_part


class ExportEncoder(Callback):
    """Writes the encoder of the best checkpoint, else of the last, into ``<run>/encoder`` when training ends."""

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Export once, on the first rank."""
        saver = trainer.checkpoint_callback
        if not trainer.is_global_zero or not isinstance(saver, ModelCheckpoint):
            return
        source = saver.best_model_path or saver.last_model_path
        if source:
            out = export_part(Path(source), Path(trainer.log_dir or trainer.default_root_dir) / "encoder")
            rank_zero_info(f"Encoder of {source} written to {out}")
