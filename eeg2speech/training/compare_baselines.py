from __future__ import annotations

from functools import partial

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.reconstruction import ReconstructionComparison, evaluate_reconstruction
from eeg2speech.metrics.results import MODEL
from eeg2speech.reporting.console.reconstruction import print_reconstruction
from eeg2speech.tasks import MAEEGTask
from eeg2speech.training.progress import counted


class CompareBaselines(Callback):
    """Compares the error of the model on hidden patches with that of baselines on the same masks.

    The normalised mean squared error (NMSE) is 1 for predicting the training mean. Baselines are fitted on training
    windows. Each validation prints the comparison; a test prints it for every test split, with 95 % bootstrap
    intervals over stimuli. See ``evaluation.reconstruction.evaluate_reconstruction``.

    Args:
        windows: Validation windows compared, evenly spread. Tests compare all windows of their splits: errors differ
            so much from window to window that a part of them misleads.
        training_windows: Training windows that baselines are fitted on.
        kriging: In tests, also compare with space-time kriging, the strongest and slowest baseline.
    """

    def __init__(self, windows: int = 96, training_windows: int = 1500, kriging: bool = True) -> None:
        self.windows, self.training_windows, self.kriging = windows, training_windows, kriging
        self._comparison = ReconstructionComparison(training_windows)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print and log the comparison on validation windows."""
        run = _comparable(trainer, pl_module)
        if run is None or trainer.sanity_checking:
            return
        nmse = self._comparison.compare(*run, "val", self.windows)
        own = nmse.pop(MODEL)
        others = ", ".join(f"{name} {estimate.value:.3f}" for name, estimate in nmse.items())
        rank_zero_info(f"step {trainer.global_step}: NMSE on hidden patches {own.value:.3f} ({others})")
        if trainer.logger is not None:
            scalars = {f"val/baselines/{name}": estimate.value for name, estimate in nmse.items()}
            trainer.logger.log_metrics(scalars, trainer.global_step)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the table of every test split and keep it for ``test.json``."""
        run = _comparable(trainer, pl_module)
        if run is None:
            return
        task, data = run
        result = evaluate_reconstruction(
            task, data, self.kriging, self.training_windows, task.results.get("seen"), partial(counted, trainer)
        )
        task.results["reconstruction"] = result
        print_reconstruction(result, data.description.simulated)


def _comparable(trainer: pl.Trainer, module: pl.LightningModule) -> tuple[MAEEGTask, EEGAudioDataModule] | None:
    """The task and its data on the first device; None where errors are of normalised patches, in another unit."""
    data = getattr(trainer, "datamodule", None)
    if not isinstance(module, MAEEGTask) or not isinstance(data, EEGAudioDataModule):
        return None
    return (module, data) if trainer.is_global_zero and not module.autoencoder.normalize_target else None
