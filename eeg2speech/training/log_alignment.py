from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray

from eeg2speech.core.types import Batch
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.evaluation.controls import embed_split, window_labels
from eeg2speech.metrics import Embeddings
from eeg2speech.metrics.geometry import modality_gap
from eeg2speech.metrics.results import AlignmentResult, ElectrodeImportance
from eeg2speech.metrics.summary import split_title
from eeg2speech.plotting import Figure, importance_topomap, response_figure
from eeg2speech.quality.decoding import Response, mean_response
from eeg2speech.reporting.tensorboard.alignment_figures import embedding_figures, result_figures
from eeg2speech.reporting.tensorboard.pictures import show_picture
from eeg2speech.reporting.tensorboard.projector import Cloud, write_projector
from eeg2speech.tasks.alignment import AlignmentTask
from eeg2speech.training.progress import tracked
from eeg2speech.training.steps import OccasionalCallback, step_of


class LogAlignment(OccasionalCallback):
    """Draws the embeddings of EEG and sound in TensorBoard; after a test also as files in ``<run>/pictures``.

    At validations: similarities, cosines and both sides on their principal components. After a test, of every split,
    these and the results of ``EvaluateAlignment``: retrieval against the size of the gallery, the lag curve and
    electrode importance; and of all data the response that speech evokes. ``EvaluateAlignment`` comes before this
    callback in the list.

    Args:
        windows: Validation windows that are drawn, evenly spread.
        tested: The same of each test split.
        projected: Windows in TensorBoard's embedding projector; 0 leaves it out.
        occasions: How many validations of a run are drawn, spread evenly from the first to the last; 0 for none.
    """

    def __init__(self, windows: int = 300, tested: int = 2000, projected: int = 300, occasions: int = 10) -> None:
        super().__init__(occasions)
        self.windows, self.tested, self.projected = windows, tested, projected
        self._rows: dict[str, list[NDArray[Any]]] = {}

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop the windows of the validation before."""
        self._rows = {}

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the embeddings of the task; of several devices, those of the first."""
        if not _logged(trainer, pl_module):
            return
        total = len(trainer.datamodule.datasets["val"])  # type: ignore[attr-defined]
        count = min(self.windows, total)
        chosen = torch.isin(batch["index"].cpu(), torch.arange(count) * total // count)
        for name, values in ({"eeg": outputs["eeg"], "sound": outputs["sound"]} | window_labels(batch)).items():
            self._rows.setdefault(name, []).append(values.detach().cpu()[chosen].numpy())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the gap between both sides, and now and then draw validation windows."""
        data, logger, step = trainer.datamodule, trainer.logger, trainer.global_step  # type: ignore[attr-defined]
        if not self._rows or not isinstance(logger, TensorBoardLogger):
            return
        embeddings = Embeddings(**{name: np.concatenate(values) for name, values in self._rows.items()})
        self._rows = {}
        first, _ = embeddings.gallery()
        logger.experiment.add_scalar("val/modality_gap", modality_gap(embeddings.eeg, embeddings.sound[first]), step)
        if not self.occasions.due(trainer):
            return
        title = _title(data, "validation", f"step {step}")
        for name, figure in embedding_figures(embeddings, data.store.stimuli, data.store.subjects, title).items():
            logger.experiment.add_figure(f"val/{name}", figure, step)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw every test split."""
        folder = Path(trainer.log_dir or trainer.default_root_dir) / "pictures"  # a collective: every rank calls it
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, AlignmentTask) or not isinstance(data, EEGAudioDataModule):
            return
        if not trainer.is_global_zero:
            return
        logger = trainer.logger if isinstance(trainer.logger, TensorBoardLogger) else None
        result: AlignmentResult | None = pl_module.results.get("alignment")
        step = step_of(trainer, pl_module)
        clouds: dict[str, Cloud] = {}

        def show(name: str, figure: Figure) -> None:
            show_picture(figure, folder / f"{name.replace('/', '_')}.png", logger, f"test/{name}", step)

        for split in tracked(trainer, "Drawing splits")(data.test_splits):
            title = _title(data, split_title(split))
            embeddings = embed_split(pl_module, data, split, most=self.tested)
            figures = embedding_figures(embeddings, data.store.stimuli, data.store.subjects, title)
            if result is not None:
                figures |= result_figures(result.splits[split], title)
                if (importance := result.splits[split].electrodes) is not None:
                    figures["electrodes"] = _importance_figure(importance, title)
            for name, figure in figures.items():
                show(f"{split}/{name}", figure)
            if self.projected:
                clouds[split] = self._cloud(embeddings, data)
        if logger is not None and clouds:
            write_projector(Path(logger.log_dir), clouds)
        response = mean_response(data.store, track=tracked(trainer, "Response to sound, subjects"))
        if response is not None:
            show("response", _response_figure(response, data))
        rank_zero_info(f"Pictures written to {folder}")

    def _cloud(self, embeddings: Embeddings, data: EEGAudioDataModule) -> Cloud:
        """Some windows and their sounds, for the projector."""
        count = len(embeddings.key)
        rows = np.unique(np.linspace(0, count - 1, min(count, self.projected)).astype(int))
        sounds = rows[np.unique(embeddings.key[rows], return_index=True)[1]]
        stimuli, subjects = data.store.stimuli, data.store.subjects
        facts = [["EEG", stimuli[embeddings.stimulus[row]], subjects[embeddings.subject[row]]] for row in rows]
        facts += [["sound", stimuli[embeddings.stimulus[row]], "none"] for row in sounds]
        vectors = np.concatenate([embeddings.eeg[rows], embeddings.sound[sounds]])
        return Cloud(vectors, ("modality", "stimulus", "subject"), facts)


def _importance_figure(importance: ElectrodeImportance, title: str) -> Figure:
    about = f"{title}\n{importance.zeroed} electrodes around each set to zero; in brackets: may be noise"
    value, low = (np.array([getattr(drop.mrr_drop, name) for drop in importance.drops]) for name in ("value", "low"))
    positions = np.array([drop.position for drop in importance.drops])
    return importance_topomap(value, low, positions, [drop.name for drop in importance.drops], about)


def _response_figure(found: Response, data: EEGAudioDataModule) -> Figure:
    title = _title(data, "response to the envelope", f"mean of {found.subjects} subjects")
    return response_figure(found.lags, found.weights, found.positions, title)


def _logged(trainer: pl.Trainer, pl_module: pl.LightningModule) -> bool:
    """Whether this is a validation of an alignment with TensorBoard, on the first device."""
    return (
        trainer.is_global_zero
        and not trainer.sanity_checking
        and isinstance(trainer.logger, TensorBoardLogger)
        and isinstance(pl_module, AlignmentTask)
        and isinstance(trainer.datamodule, EEGAudioDataModule)  # type: ignore[attr-defined]
    )


def _title(data: EEGAudioDataModule, *parts: str) -> str:
    return ", ".join([*(["SIMULATED EEG"] if data.description.simulated else []), *parts])
