from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.audio.files import write_wav
from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.core.tables import append_row, read_table, write_table
from eeg2speech.core.types import Batch
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.inference.clips import window_clip
from eeg2speech.inference.generated_table import TABLE, Generated, GenerationSettings, row_of, sha256_of


class WriteSpeech(Callback):
    """Writes the speech that ``eeg2speech predict`` generates for windows of the test splits, and ``generated.tsv``.

    Every window becomes a wav file in a folder of the run; files of an earlier prediction there are removed. Other
    stages than the third are passed over. ``eeg2speech generate`` is for longer stretches and for other stores.

    Args:
        folder: Inside the run folder.
    """

    def __init__(self, folder: str = "predicted") -> None:
        self.folder = folder
        self._out = Path()
        self._checkpoint, self._step = "", 0

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Empty this rank's table."""
        run = Path(trainer.log_dir or trainer.default_root_dir)  # a collective: every rank calls it
        self._out = run / self.folder
        self._out.mkdir(parents=True, exist_ok=True)
        source = trainer.ckpt_path
        if source:
            file = Path(str(source))
            self._checkpoint, self._step = sha256_of(file), int(read_checkpoint(file).get("global_step", 0))
        if trainer.is_global_zero and (self._out / TABLE).is_file():
            for line in (self._out / TABLE).read_text(encoding="utf-8").splitlines()[1:]:  # also of older versions
                name = Path(line.split("\t")[0]).name
                if name.endswith(".wav"):
                    (self._out / name).unlink(missing_ok=True)
        write_table(self._table(trainer), Generated, [])
        trainer.strategy.barrier("speech_files")

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the files of a batch and their rows."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(outputs, dict) or "speech" not in outputs or not isinstance(data, EEGAudioDataModule):
            return
        split = data.test_splits[dataloader_idx]
        sampler = getattr(pl_module, "sampler", None)
        waves = outputs["speech"].float().cpu().numpy()
        for wave, index, seed in zip(waves, batch["index"].tolist(), batch["seed"].tolist(), strict=True):
            clip = window_clip(data.store, data.datasets[split].windows[index], data.samples, split)
            making = GenerationSettings(
                seed, str(getattr(sampler, "solver", "")), int(getattr(sampler, "steps", 0)),
                float(getattr(sampler, "guidance", 0.0)), float(getattr(sampler, "start", 1.0)), 0.0, "diffusion",
                self._checkpoint, self._step,
            )  # fmt: skip
            write_wav(self._out / clip.file, wave)
            append_row(self._table(trainer), row_of(clip, data.store, making))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Join the tables of all ranks; a window that two of them generated counts once."""
        trainer.strategy.barrier("speech_files")
        if not trainer.is_global_zero:
            return
        tables = sorted(self._out.glob(f"{TABLE}.rank*"))
        rows = {row.file: row for table in tables for row in read_table(table, Generated)}
        write_table(self._out / TABLE, Generated, sorted(rows.values(), key=lambda row: row.file))
        for table in tables:
            table.unlink()
        rank_zero_info(f"{len(rows)} wav files and {TABLE} written to {self._out}")

    def _table(self, trainer: pl.Trainer) -> Path:
        return self._out / f"{TABLE}.rank{trainer.global_rank}"
