from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.checkpoints.parts import export_part, export_parts, part_names, read_checkpoint


class ExportEncoder(Callback):
    """Exports the parts of the best checkpoint, else of the last, into the run's folder when training ends.

    The encoder goes into ``<run>/encoder``. A stage with more parts also exports all of them into a folder with the
    name of the part that contains the others, e.g. ``<run>/aligner``.
    """

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Export once, on the first rank."""
        run = Path(trainer.log_dir or trainer.default_root_dir)  # a collective: every rank calls it
        saver = trainer.checkpoint_callback
        if not trainer.is_global_zero or not isinstance(saver, ModelCheckpoint):
            return
        # a run that resumed from another folder may have the path of the best checkpoint there
        source = next((file for file in (saver.best_model_path, saver.last_model_path) if _is_in(saver, file)), None)
        if source is None:
            return
        rank_zero_info(f"Encoder of {source} written to {export_part(Path(source), run / 'encoder')}")
        names = part_names(read_checkpoint(Path(source)))
        if len(names) > 1:
            whole = run / names[-1]
            export_parts(Path(source), whole)
            rank_zero_info(f"All parts ({', '.join(names)}) written to {whole}")


def _is_in(saver: ModelCheckpoint, file: str) -> bool:
    return Path(file).is_file() and Path(file).parent.resolve() == Path(saver.dirpath or ".").resolve()
