from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.generation import GeneratedSplit
from eeg2speech.evaluation.speech import evaluate_speech, generate_splits
from eeg2speech.metrics.hearing import check_hearing
from eeg2speech.metrics.results import SpeechSplit
from eeg2speech.metrics.summary import split_title
from eeg2speech.metrics.word_error import whisper
from eeg2speech.reporting.console import print_speech
from eeg2speech.reporting.tensorboard.pictures import show_picture
from eeg2speech.reporting.tensorboard.speech_examples import (
    clip_names,
    log_clips,
    speech_pictures,
    write_clips,
)
from eeg2speech.training.log_speech import diffusion_run
from eeg2speech.training.progress import counted
from eeg2speech.training.steps import step_of


class EvaluateSpeech(Callback):
    """Evaluates after a test of stage 3 whether generated speech carries information from the EEG, and its quality.

    See ``evaluation.speech.evaluate_speech``. Clips and pictures go to the run's folder. ``WriteResults`` comes after
    this callback in the list.

    Args:
        windows: Of each split, of as many different sounds as possible; unset: all.
        splits: Which test splits, as far as the data has them; all if unset or if the data has none of these.
        permutations: Shuffles of the sounds; a verdict in favour needs 1000.
        training: Training windows whose sounds clips are compared with, evenly spread.
        examples: Windows of each split whose clips are written as wav files and drawn.
        batch: Clips that a device generates at once.
        whisper: Folder of a model of faster-whisper (``pip install faster-whisper``), for word error rates against its
            text of the recording; unset: none.
        judge: ``encoder`` folder of a run of ``configs/audiomae.yaml``, in whose space clips are identified; unset: the
            encoder that comes with the package. Nothing in the tested model may have used it.
        hearing: Also compute word error rates by pocketsphinx, DNSMOS and the similarity of voices; needs ``pip install
            'eeg2speech[hearing]'`` and a second per clip.
        starts: Noise levels at which sampling starts (``sampler.start``), for a curve of identification against the
            Frechet distance on the judged split.

    Raises:
        ConfigError: A number of windows or clips is below 1, or the packages of ``hearing`` are not installed.
    """

    def __init__(
        self,
        windows: int | None = 64,
        splits: Sequence[SplitName] | None = None,
        permutations: int = 1000,
        training: int = 1000,
        examples: int = 4,
        batch: int = 16,
        whisper: Path | None = None,
        judge: Path | None = None,
        hearing: bool = False,
        starts: Sequence[float] = (),
    ) -> None:
        for name, value in (("windows", windows), ("training", training), ("batch", batch)):
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} must be 1 or more (trainer.callbacks, EvaluateSpeech.{name})")
        self.windows, self.splits, self.permutations = windows, splits, permutations
        self.training, self.examples, self.batch = training, examples, batch
        self.whisper, self.judge, self.hearing = whisper, judge, hearing
        if hearing:
            check_hearing()
        if not all(0 < start <= 1 for start in starts):
            raise ConfigError(
                f"starts={list(starts)} must be above 0 and at most 1 (trainer.callbacks, EvaluateSpeech.starts)"
            )
        self.starts = starts

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Generate on all devices; evaluate, print and write on the first."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # a collective: every rank calls it
        run = diffusion_run(trainer, pl_module)
        if run is None:
            return
        task, data = run
        transcribe = None if self.whisper is None else whisper(self.whisper)
        generated = generate_splits(
            task, data, self.windows, self.splits, self.training, self.examples, self.batch, transcribe,
            self.judge, self.hearing, self.starts, partial(counted, trainer),
        )  # fmt: skip
        if not trainer.is_global_zero:
            return
        result = evaluate_speech(task, data, self.permutations, generated, task.results.get("seen"))
        task.results["speech"] = result
        print_speech(result, data.description.simulated)
        for split, clips in generated.items():
            self._show(trainer, data, split, clips, result.splits[split], folder, step_of(trainer, task))
        rank_zero_info(f"Clips written to {folder / 'clips'}, pictures to {folder / 'pictures'}")

    def _show(
        self,
        trainer: pl.Trainer,
        data: EEGAudioDataModule,
        split: SplitName,
        generated: GeneratedSplit,
        result: SpeechSplit,
        folder: Path,
        step: int,
    ) -> None:
        """Write the clips and pictures of a split, into the folder and for TensorBoard."""
        simulated = data.description.simulated
        logger = trainer.logger if isinstance(trainer.logger, TensorBoardLogger) else None
        write_clips(folder / "clips" / split, generated)
        title = ("SIMULATED EEG, " if simulated else "") + split_title(split)
        names = clip_names(data, split, generated.rows[generated.kept])
        for name, figure in speech_pictures(generated, result, names, title).items():
            file = folder / "pictures" / f"{split}_{name}.png"
            show_picture(figure, file, logger, f"test/{split}/{name}", step)
        if logger is not None:
            log_clips(logger, split, generated, step, simulated)
