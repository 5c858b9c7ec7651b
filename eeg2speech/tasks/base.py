from __future__ import annotations

import inspect
import io
import math
import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torchmetrics import MeanMetric

from eeg2speech.checkpoints import frozen
from eeg2speech.checkpoints.parts import canonical, canonical_state, differences, load_into, read_checkpoint, read_part
from eeg2speech.checkpoints.training_record import KEY, Learned, TrainingRecord, merged, read_records
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Batch
from eeg2speech.models import StepEncoder, ViTEncoder
from eeg2speech.tasks.optimizers import WarmupCosine, decay_groups, scaled_rate
from eeg2speech.tasks.provenance import begin_training, check_unseen, known_records, records_of
from eeg2speech.tasks.training_data import DataInfo, training_data_info

Stage = Literal["train", "val", "test"]
_SHARDING = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)
"""Strategies that shard the weights over devices, which checkpoints and weight averaging here do not support."""


class Task(pl.LightningModule):
    """Base of the three stages: steps, optimizer, schedule, and checkpoints that describe how to rebuild their parts.

    Args:
        optimizer: Makes the optimizer from parameter groups.
        warmup: Share of the run's steps over which the learning rate rises.
        reference_batch: Windows per step that the optimizer's learning rate is meant for; it is scaled linearly with
            the effective batch (windows per device x devices x accumulated steps). 0: no scaling.
        encoder_weights: Checkpoint or exported folder whose encoder this run starts from.

    Raises:
        ConfigError: The warm-up or the reference batch is out of its range.
    """

    learned: Learned = "pairs"
    """Kind of data that the stage is trained on."""

    def __init__(
        self, optimizer: OptimizerCallable, warmup: float, reference_batch: int, encoder_weights: Path | None
    ) -> None:
        super().__init__()
        if not 0 <= warmup <= 1:
            raise ConfigError(f"warmup={warmup} is not a share of the run's steps from 0 to 1 (model.warmup)")
        if reference_batch < 0:
            raise ConfigError(f"reference_batch={reference_batch} is below 0 (model.reference_batch)")
        self.optimizer_factory = optimizer
        self.warmup, self.reference_batch, self.encoder_weights = warmup, reference_batch, encoder_weights
        self._means = nn.ModuleDict()
        self.trained_steps = 0
        """Optimizer steps that the weights of a loaded checkpoint were trained for."""
        self.results: dict[str, Any] = {}
        """Results of tests by section; callbacks add theirs, and ``WriteResults`` writes them to ``test.json``."""
        self.training_records: list[TrainingRecord] | None = []
        """Every training that the weights come from; None where a checkpoint has no record."""

    @property
    @abstractmethod
    def encoder(self) -> ViTEncoder | StepEncoder:
        """The EEG encoder (of sound in ``AudioMAETask``), which later stages start from."""

    @abstractmethod
    def step(self, batch: Batch, stage: Stage, split: str) -> dict[str, Any]:
        """Compute the loss of a batch.

        Args:
            batch: Windows.
            stage: ``train``, ``val`` or ``test``.
            split: Name of the split: the stage, or one of the test splits.

        Returns:
            ``loss``, and what callbacks draw.
        """

    @property
    def data_info(self) -> DataInfo:
        """Facts about the data of the run; of no data where the task has no trainer."""
        return DataInfo(getattr(self._trainer, "datamodule", None))

    @property
    def parts(self) -> dict[str, tuple[nn.Module, dict[str, Any]]]:
        """Parts that can be read from a checkpoint and rebuilt: by name, the module and its class and config."""
        return {"encoder": (self.encoder, {"class": type(self.encoder).__name__, "config": self.encoder.config})}

    def lr_scale(self, name: str) -> float:
        """Learning rate of the parameter with this name, as a multiple of the optimizer's."""
        return 1.0

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Train on a batch."""
        outputs = self.step(batch, "train", "train")
        self.log("train/loss", outputs["loss"], prog_bar=True, batch_size=len(batch["eeg"]))
        return outputs

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Validate on a batch."""
        outputs = self.step(batch, "val", "val")
        self.log_mean("val/loss", outputs["loss"], len(batch["eeg"]), prog_bar=True)
        return outputs

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """Test on a batch of one of the test splits."""
        split = self.data_info.test_splits[dataloader_idx]
        outputs = self.step(batch, "test", split)
        self.log_mean(f"test/{split}/loss", outputs["loss"], len(batch["eeg"]))
        return outputs

    def log_mean(self, name: str, value: Tensor, count: int, prog_bar: bool = False) -> None:
        """Log a mean over the windows of all processes, in validation and tests.

        Lightning's own mean rounds the average number of windows per process down to an integer.

        Args:
            name: Key of the log.
            value: Mean over the windows of this batch.
            count: Number of windows in this batch.
            prog_bar: Show it beside the progress bar.
        """
        if name not in self._means:
            # NaN stays NaN; nan_strategy="disable" of torchmetrics 1.9 forgets the counts
            self._means[name] = MeanMetric(nan_strategy=math.nan).to(value.device)
        mean = cast(MeanMetric, self._means[name])
        mean.update(value.detach().clone(), count)
        self.log(name, mean, prog_bar=prog_bar, add_dataloader_idx=False, metric_attribute=f"_means.{name}")

    def setup(self, stage: str) -> None:
        """Load the encoder that the run starts from. A resumed run then overwrites it with its checkpoint.

        Raises:
            ConfigError: ``encoder_weights`` does not exist, or is of another class than a ``StepEncoder``.
        """
        if stage == "fit" and self.encoder_weights is not None:
            name = None if isinstance(self.encoder, ViTEncoder) else type(self.encoder).__name__
            if not self.encoder_weights.exists():
                remedy = "train stage 1 first, `eeg2speech fit --config configs/maeeg.yaml`, or set it to null"
                if name is not None:
                    remedy = f"stage 1 trains no {name}; name a run of stage 2 with one, or set it to null"
                raise ConfigError(
                    f"{self.encoder_weights}: no such checkpoint or folder (model.encoder_weights); {remedy} for "
                    "random weights"
                )
            described, weights, _ = read_part(self.encoder_weights, "encoder")
            if name is not None and described.get("class") != name:
                raise ConfigError(
                    f"{self.encoder_weights}: a {described.get('class')}, where the encoder is a {name}; set it to "
                    "null for random weights (model.encoder_weights)"
                )
            load_into(self.encoder, weights, f"{self.encoder_weights} (model.encoder_weights)")
            self.inherit(records_of(self.encoder_weights))

    def inherit(self, records: list[TrainingRecord]) -> None:
        """Add the training records of weights that this run starts from."""
        self.training_records = merged([*known_records(self), *records])

    def on_fit_start(self) -> None:
        """Record the training data, and warn of held-out splits that earlier stages were trained on.

        Raises:
            ConfigError: The run's strategy shards the weights over devices.
        """
        if isinstance(self.trainer.strategy, _SHARDING):
            raise ConfigError(
                f"trainer.strategy={type(self.trainer.strategy).__name__} shards the weights over GPUs, which no stage "
                "needs: each fits on one; use ddp (configs/trainer/ddp.yaml)"
            )
        begin_training(self)

    def on_train_end(self) -> None:
        """Keep the number of steps that the weights were trained for."""
        self.trained_steps = self.trainer.global_step

    def on_validation_start(self) -> None:
        """Outside of training, refuse a validation split that the weights were trained on."""
        if self.trainer.state.fn == "validate":
            check_unseen(self, ["val"])

    def on_test_start(self) -> None:
        """Refuse test splits that the weights were trained on."""
        check_unseen(self, self.data_info.test_splits)

    def configure_optimizers(self) -> Any:
        """Make the optimizer, without weight decay on biases and norms, and a learning-rate schedule per step.

        Raises:
            ConfigError: A setting of the optimizer or the trainer would leave the weights as they are.
        """
        _check_run(self.trainer)
        groups = decay_groups(self, self.lr_scale)
        if not groups:
            raise ConfigError("all weights are frozen; train some of them (model.trainable, model.encoder_lr_scale)")
        try:
            optimizer = self.optimizer_factory(cast(Any, groups))
        except ValueError as error:
            raise ConfigError(f"{error} (model.optimizer)") from error
        trainer = self.trainer
        per_device = self.data_info.batch_size or self.reference_batch
        batch = per_device * trainer.world_size * trainer.accumulate_grad_batches
        if self.reference_batch:
            for group in optimizer.param_groups:
                group["lr"] = scaled_rate(group["lr"], batch, self.reference_batch)
        rate = max(group["lr"] for group in optimizer.param_groups)
        if not rate > 0:
            raise ConfigError(f"lr={rate:g} must be above 0 to train (model.optimizer.lr)")
        for group in optimizer.param_groups:
            group["lr"] *= group["relative_rate"]
        rank_zero_info(
            f"Learning rate {rate:.3g} at an effective batch of {batch}: {per_device} windows x {trainer.world_size} "
            f"devices x {trainer.accumulate_grad_batches} accumulated steps"
        )
        total = trainer.estimated_stepping_batches
        if math.isinf(total):
            raise ConfigError("the run has no end: set trainer.max_steps or trainer.max_epochs for the cosine schedule")
        schedule = WarmupCosine(optimizer, max(1, round(self.warmup * total)), int(total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step", "name": "lr"}}

    def save_settings(self) -> None:
        """Store the constructor's arguments in checkpoints, as plain values only; to be called in the constructor.

        On the command line these are the configuration. Modules and functions that a program passed are left out, as
        a checkpoint must load without unpickling objects.
        """
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is an instance of `nn.Module`.*")
            self.save_hyperparameters(ignore=["encoder_weights"], frame=frame.f_back, logger=False)
        constructors = [vars(base)["__init__"] for base in type(self).__mro__ if "__init__" in vars(base)]
        accepted = {name for constructor in constructors for name in inspect.signature(constructor).parameters}
        for name, value in list(self.hparams.items()):
            # the command links more of the data to every stage than each one accepts
            unused = not name.startswith("_") and name not in accepted
            if unused or not _is_plain(value):
                del self.hparams[name]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add descriptions of the parts and of the data, and remove the prefixes that wrappers add to names."""
        names = {id(module): name for name, module in self.named_modules()}
        checkpoint["parts"] = {
            part: {"prefix": canonical(names[id(module)] + "."), **described}
            for part, (module, described) in self.parts.items()
        }
        checkpoint["state_dict"] = canonical_state(checkpoint["state_dict"])
        checkpoint[frozen.NAMES] = [
            canonical(name) for name, value in self.named_parameters() if not value.requires_grad
        ]
        if self.data_info.module is not None:
            checkpoint["data"] = training_data_info(self.data_info.module, getattr(self, "subjects", None))
        if self.training_records:
            checkpoint.setdefault("data", {})[KEY] = [record.to_dict() for record in self.training_records]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read the training records, and add the prefixes of this model's wrappers to names.

        Raises:
            ConfigError: Lightning's own reader has left out the frozen weights.
            DataError: The weights are those of another model.
        """
        if frozen.FILE in checkpoint:
            raise ConfigError(
                f"the frozen weights are in {checkpoint[frozen.FILE]} beside the checkpoint, which Lightning's own "
                "reader does not read; add eeg2speech.training.AtomicCheckpoint (trainer.callbacks)"
            )
        self.trained_steps = int(checkpoint.get("global_step", 0))
        self.training_records = read_records(checkpoint.get("data", {}), "the checkpoint (ckpt_path)")
        names = dict(zip(canonical_state(self.state_dict()), self.state_dict(), strict=True))
        checkpoint["state_dict"] = {names.get(k, k): v for k, v in checkpoint["state_dict"].items()}
        if found := differences(self.state_dict(), checkpoint["state_dict"]):
            raise DataError(
                f"the checkpoint (ckpt_path) does not fit this {type(self).__name__}; {found}; use the config.yaml of "
                "the run that wrote it"
            )

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As Lightning's, without unpickling objects, and with the frozen weights that lie beside the checkpoint."""
        whole = io.BytesIO()
        torch.save(read_checkpoint(Path(checkpoint_path)), whole)
        whole.seek(0)
        return super().load_from_checkpoint(whole, *args, **kwargs)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Log the norm of the gradient before it is clipped."""
        if self.trainer.global_step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            squares = [p.grad.detach().square().sum() for p in self.parameters() if p.grad is not None]
            if squares:  # empty where a callback skips the step
                self.log("train/grad_norm", cast(Tensor, sum(squares)).sqrt())


def _check_run(trainer: pl.Trainer) -> None:
    """Refuse settings that Lightning accepts although no weight would be trained with them."""
    for key in ("max_steps", "max_epochs", "limit_train_batches", "val_check_interval", "accumulate_grad_batches"):
        if getattr(trainer, key) == 0:
            raise ConfigError(f"{key}=0 must be above 0 to train (trainer.{key})")
    clip = trainer.gradient_clip_val
    if clip is not None and clip < 0:
        raise ConfigError(
            f"gradient_clip_val={clip:g} would reverse gradients; 0 switches clipping off (trainer.gradient_clip_val)"
        )


def eeg_arguments(batch: Batch, subject_index: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Arguments of an aligner's EEG side.

    Args:
        batch: Windows.
        subject_index: Index in the model of each subject of the data, -1 for unseen subjects, (subjects of the data,).

    Returns:
        EEG, (B, C, T); positions, (B, C, 3); True where a channel exists, (B, C), or None if all do; index of each
        window's subject in the model, (B,).
    """
    mask = batch["channel_mask"]
    subject = subject_index.to(batch["subject"].device)[batch["subject"]]
    return batch["eeg"], batch["positions"], None if bool(mask.all()) else mask, subject


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(v) for v in value.values())
    if isinstance(value, list | tuple):
        return all(_is_plain(v) for v in value)
    # not `isinstance`: numpy's float is a float, and is pickled as an object of numpy
    return value is None or type(value) in (str, int, float, bool)
