"""Tests a parrot on some devices: ``python -m tests.training.fake_speech_on_two_ranks STORE RUN DEVICES``."""

from __future__ import annotations

import sys
from pathlib import Path

import lightning.pytorch as pl

from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.training import EvaluateSpeech, WriteResults
from tests.training.fake_speech_task import WINDOW, Parrot


def main(store: str, run: str, devices: str) -> None:
    data = EEGAudioDataModule(store=Path(store), window=WINDOW, batch_size=8, audio=True)
    data.setup()
    trainer = pl.Trainer(
        default_root_dir=run, logger=False, accelerator="cpu", devices=int(devices), enable_progress_bar=False,
        callbacks=[EvaluateSpeech(windows=7, splits=["unseen_both"], training=50, examples=3, batch=2), WriteResults()],
        strategy="ddp" if int(devices) > 1 else "auto", use_distributed_sampler=False,
    )  # fmt: skip
    trainer.test(Parrot(data, skill=0.5), datamodule=data, verbose=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
