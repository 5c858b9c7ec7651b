from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.alignment import LAGS, evaluate_alignment
from eeg2speech.metrics.results import in_words
from eeg2speech.reporting.console.alignment import print_alignment
from eeg2speech.tasks.alignment import AlignmentTask
from eeg2speech.training.progress import counted


class EvaluateAlignment(Callback):
    """Evaluates after a test whether EEG and sound are aligned; see ``evaluation.alignment.evaluate_alignment``.

    Args:
        permutations: Shuffles of the sounds; a verdict in favour needs 1000.
        lags: Seconds that the EEG is read later than in training, for the lag curve.
        linear: Also fit ridge regression and canonical correlation analysis.
        electrodes: Windows of the judged split used for electrode importance; 0 leaves it out.
    """

    def __init__(
        self, permutations: int = 1000, lags: Sequence[float] = LAGS, linear: bool = True, electrodes: int = 200
    ) -> None:
        self.permutations, self.lags, self.linear, self.electrodes = permutations, list(lags), linear, electrodes

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate, print and keep the result for ``test.json``."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, AlignmentTask) or not isinstance(data, EEGAudioDataModule):
            return
        if not trainer.is_global_zero:
            return
        result = evaluate_alignment(
            pl_module, data, self.permutations, self.lags, self.linear, self.electrodes, pl_module.results.get("seen"),
            partial(counted, trainer),
        )  # fmt: skip
        pl_module.results["alignment"] = result
        print_alignment(result, data.description.simulated)
        rank_zero_info(f"Verdict on {in_words(result.judged)}: {result.verdict.words}")
