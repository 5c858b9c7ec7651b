from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.checkpoints.training_record import list_words, seen_text, verdict_words
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.types import SplitName
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.store.writer import audio_hash
from eeg2speech.evaluation.audio_gallery import AudioGallery
from eeg2speech.evaluation.generated_clips import GeneratedSplit, embed_training_clips, generate_split
from eeg2speech.evaluation.speech_results import compare_variants, plain
from eeg2speech.evaluation.speech_variants import SAMPLED, diffusion_run, evenly
from eeg2speech.metrics.speech import left_out
from eeg2speech.metrics.word_error import whisper
from eeg2speech.reporting.console.speech_tables import print_identification, print_quality, print_trained, print_verdict
from eeg2speech.reporting.tensorboard.speech_examples import (
    clip_names,
    log_clips,
    save_picture,
    speech_pictures,
    write_clips,
)
from eeg2speech.training.progress import counted
from eeg2speech.training.steps import step_of

if TYPE_CHECKING:
    from eeg2speech.tasks.diffusion import DiffusionTask

HELD_OUT: SplitName = "unseen_stimulus"
"""The list that the verdict rests on where there is one: new sounds, to people whose EEG was trained on."""


class EvaluateSpeech(Callback):
    """Asks after a test of stage 3 whether what it speaks came from the EEG, and how good it sounds.

    Windows of every test list are spoken by several arms, each from the same noise: from EEG, from what cannot know the
    sound (noise in place of EEG, EEG of another trial of the same subject, no condition at all), and from the recording
    (its own LOA, which is the ceiling of any EEG, and through autoencoder and vocoder alone). Each clip is then to be
    found among all real sounds of its list, in the space of the audio encoder. A verdict follows from that alone, as
    it alone has a chance level; figures of quality, the Frechet distance, and how near clips are to training sounds
    stand beside it. Clips and pictures go to the run's folder. ``WriteResults`` stands behind.

    Args:
        windows: Of each list, of as many different sounds as can be; unset: all.
        lists: Which test lists, as far as the data has them; all of its lists if unset or if it has none of these.
        permutations: Shuffles of the sounds; a verdict in favour needs 1000.
        training: Training windows whose sounds clips are compared with, evenly spread.
        examples: Windows of each list whose clips are written as wav files and drawn.
        batch: Clips that a device samples at once.
        whisper: Folder of a model of faster-whisper (``pip install faster-whisper``), for word error rates against what
            it hears in the recording; unset: none.
    """

    __test__ = False  # not a test of ours, whatever its name

    def __init__(
        self,
        windows: int | None = 64,
        lists: Sequence[SplitName] | None = None,
        permutations: int = 1000,
        training: int = 1000,
        examples: int = 4,
        batch: int = 16,
        whisper: Path | None = None,
    ) -> None:
        for name, value in (("windows", windows), ("training", training), ("batch", batch)):
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} must be 1 or more (trainer.callbacks, EvaluateSpeech.{name})")
        self.windows, self.lists, self.permutations = windows, lists, permutations
        self.training, self.examples, self.batch, self.whisper = training, examples, batch, whisper

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Speak on all devices; compare, print and write on the first."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # a collective: every rank asks
        run = diffusion_run(trainer, pl_module)
        if run is None:
            return
        task, data = run
        task.eval()
        splits = [split for split in data.test_splits if split in (self.lists or data.test_splits)] or data.test_splits
        transcribe = None if self.whisper is None else whisper(self.whisper)
        training = embed_training_clips(task, data, self.training)
        with counted(trainer, "Speaking clips", self._clips(data, splits)) as advance:
            spoken = {
                split: generate_split(
                    trainer, task, data, split, training, self.windows, self.examples, self.batch, advance, transcribe
                )
                for split in splits
            }  # fmt: skip
        if trainer.is_global_zero:
            found = {split: self._report(trainer, task, data, split, spoken[split], folder) for split in splits}
            task.results["diffusion"] = self._summary(task, data, found)
            rank_zero_info(f"Clips written to {folder / 'clips'}, pictures to {folder / 'pictures'}")

    def _clips(self, data: EEGAudioDataModule, splits: Sequence[SplitName]) -> int:
        """How many have to be sampled."""
        return sum(len(evenly(len(data.datasets[split]), self.windows)) for split in splits) * len(SAMPLED)

    def _report(
        self,
        trainer: pl.Trainer,
        task: DiffusionTask,
        data: EEGAudioDataModule,
        split: SplitName,
        spoken: GeneratedSplit,
        folder: Path,
    ) -> dict[str, Any]:
        """Print a list's results, write its clips and pictures, and return the results in plain values."""
        seen, simulated = seen_text(task.results, split), data.description.simulated
        results, words = compare_variants(spoken, self.permutations, seen), list_words(split, seen)
        trained, stimuli = trained_stimuli(task, data, spoken.heard), len(np.unique(spoken.heard.stimulus))
        print_identification(words, results, simulated)
        print_quality(words, results, simulated)
        print_trained(trained, stimuli)
        print_verdict(words, results)
        write_clips(folder / "clips" / split, spoken)
        found = plain(results) | {"stimuli": stimuli, "stimuli of the pretrained parts": trained}
        title = ("SIMULATED EEG, " if simulated else "") + split.replace("_", " ")
        names = clip_names(data, split, spoken.rows[spoken.kept])
        for name, figure in speech_pictures(spoken, found, names, title).items():
            save_picture(figure, folder / "pictures" / f"{split}_{name}.png")
            if isinstance(trainer.logger, TensorBoardLogger):
                trainer.logger.experiment.add_figure(f"test/{split}/{name}", figure, step_of(trainer, task))
        if isinstance(trainer.logger, TensorBoardLogger):
            log_clips(trainer.logger, split, spoken, step_of(trainer, task), simulated)
        return found

    def _summary(self, task: DiffusionTask, data: EEGAudioDataModule, found: dict[SplitName, Any]) -> dict[str, Any]:
        judged = next(split for split in (HELD_OUT, *found) if split in found)
        verdict = found[judged]["verdict"]
        word = verdict_words(
            verdict, "EEG carries speech information", "no speech information from EEG", key="informed"
        )
        rank_zero_info(f"Verdict on {judged.replace('_', ' ')}: {word}")
        sampler = {name: getattr(task.sampler, name) for name in ("solver", "steps", "guidance")}
        return {
            "verdict": {"list": judged, "in words": word, **verdict},
            "measure": "identification of generated clips among all real sounds of the list, cosine of LOA tokens "
            "averaged over steps, 95 % bootstrap intervals over stimuli",
            "window": data.window,
            "sampler": sampler,
            "left out": left_out(),
            "lists": found,
        }


def trained_stimuli(task: DiffusionTask, data: EEGAudioDataModule, heard: AudioGallery) -> list[str]:
    """Stimuli of a list that the pretrained parts say they were trained on, by the hash of their samples."""
    known = task.model.trained_sounds
    names = [data.store.stimuli[stimulus] for stimulus in np.unique(heard.stimulus)]
    return [name for name in names if audio_hash(data.store.audio_file(name)).hex() in known]
