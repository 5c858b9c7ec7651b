from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.core import slurm
from eeg2speech.core.errors import INTERRUPTED, PREEMPTED, ConfigError
from eeg2speech.core.signals import PREEMPTING, note


class GracefulInterrupt(Callback):
    """On Ctrl-C, SIGTERM and SIGUSR1, finishes the step, saves a checkpoint and exits: no step is lost or repeated.

    The handlers only set a flag. The ranks exchange it between two steps, also in validation, so that none of them
    waits for another in a collective operation; a signal to one rank is enough. Then a checkpoint is written:

    - After Ctrl-C, ``last.ckpt``, and the run exits with status 130; a second Ctrl-C exits at once. - After SIGTERM and
    SIGUSR1, which clusters send before they take a machine away, ``preempted.ckpt``, and the run exits with status 75.
    A SLURM job is requeued, and resumes from that checkpoint.

    The resumed run repeats a validation that was due or running, from its beginning. After the last step of a run the
    validation is always finished, as no training is left to resume.

    Lightning's own handlers save in the middle of collective operations; they are disabled, and with them Lightning's
    broadcast before every step.

    Args:
        every_n_steps: Optimizer steps, or validation batches, between two exchanges of the ranks.
    """

    def __init__(self, every_n_steps: int = 1) -> None:
        if every_n_steps < 1:
            raise ConfigError(f"every_n_steps={every_n_steps} is not positive (GracefulInterrupt.every_n_steps)")
        self.every_n_steps = every_n_steps
        self._taken: list[signal.Signals] = []
        self._group: Any = None
        self._steps = 0
        self._signal = 0
        self._validation_due = False
        self._trained = self._accumulating = False
        self._common_batches: list[int] = []
        self._validated = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Install the handlers for a cluster's signals, and disable Lightning's."""
        if stage != "fit":
            return
        self._steps = self._signal = 0
        self._validation_due = self._trained = self._accumulating = False
        # last, so that the other callbacks have finished a step before the exit; a new list, as Lightning iterates over
        # the old one
        others = [callback for callback in trainer.callbacks if callback is not self]  # type: ignore[attr-defined]
        trainer.callbacks = [*others, self]  # type: ignore[attr-defined]
        self._taken += note.take(*PREEMPTING)
        trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Exit if a signal came during the start."""
        if trainer.world_size > 1:  # gloo needs no device, so that the exchange does not wait for a step
            self._group = torch.distributed.new_group(backend="gloo")
        if self._exchange(trainer):
            self._exit(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the handler for Ctrl-C."""
        self._taken += note.take(signal.SIGINT)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Exit between two optimizer steps after a signal, but not within an accumulated step."""
        self._trained = True
        self._accumulating = bool((batch_idx + 1) % trainer.accumulate_grad_batches) and not trainer.is_last_batch
        if self._accumulating:
            return
        self._steps += 1
        if self._steps % self.every_n_steps or not self._exchange(trainer) or _is_last_step(trainer):
            return
        if not _validation_follows(trainer):
            self._exit(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Exit before a validation after a signal in the step before it."""
        if not _in_fit(trainer):
            return
        counts: Any = trainer.fit_loop.epoch_loop.val_loop.batch_progress.total
        counts.ready = counts.started = self._validated = counts.completed  # which on_save_checkpoint may have changed
        if self._accumulating or _is_last_step(trainer):
            return
        self._common_batches = self._minimum([int(count) for count in trainer.num_val_batches])
        if self._exchange(trainer):
            self._exit_validation(trainer)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Exit within a validation, which may take longer than a cluster waits."""
        may_exit = _in_fit(trainer) and not self._accumulating and not _is_last_step(trainer)
        if not may_exit or (batch_idx + 1) % self.every_n_steps:
            return
        # a rank may have one batch more than others, and must not wait for them
        if batch_idx < self._common_batches[dataloader_idx] and self._exchange(trainer):
            self._exit_validation(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Make Lightning begin with the validation when it resumes from this checkpoint; else it would skip it."""
        if self._validation_due:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            progress.update(total=_in_first_batch(self._validated), current=_in_first_batch(0), is_last_batch=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the handlers, and remove the checkpoint of an earlier pre-emption if there is a newer one."""
        self._restore_handlers()
        folder = _folder(trainer)
        preempted, last = folder / "preempted.ckpt", folder / "last.ckpt"
        both = trainer.is_global_zero and preempted.is_file() and last.is_file()
        if both and last.stat().st_mtime_ns >= preempted.stat().st_mtime_ns:
            preempted.unlink()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the handlers."""
        self._restore_handlers()

    def _exchange(self, trainer: pl.Trainer) -> int:
        """Exchange signals among the ranks: the number of one that any of them received, 0 for none."""
        self._signal, step, minus_step = self._maximum([note.number, trainer.global_step, -trainer.global_step])
        if step != -minus_step:
            raise ConfigError(
                f"the ranks are at steps {-minus_step} to {step}: they resumed from different checkpoints (ckpt_path); "
                "put the run folder on a disk that all nodes share"
            )
        return self._signal

    def _maximum(self, numbers: list[int]) -> list[int]:
        if self._group is None:
            return numbers
        shared = torch.tensor(numbers)
        torch.distributed.all_reduce(shared, op=torch.distributed.ReduceOp.MAX, group=self._group)
        return [int(number) for number in shared]

    def _minimum(self, numbers: list[int]) -> list[int]:
        return [-number for number in self._maximum([-number for number in numbers])]

    def _exit_validation(self, trainer: pl.Trainer) -> NoReturn:
        self._validation_due = True
        self._exit(trainer)

    def _exit(self, trainer: pl.Trainer) -> NoReturn:
        """Save, requeue the SLURM job, and exit; all ranks together, so that none is killed while it still works.

        Nothing is saved if this process has not trained a step: the checkpoint on the disk is the same.
        """
        interrupted = self._signal == signal.SIGINT
        if interrupted:  # a second Ctrl-C exits at once
            note.give_back(signal.SIGINT)
        name = "last.ckpt" if interrupted else "preempted.ckpt"
        saved = self._save(trainer, name) if self._trained else "nothing was trained, nothing saved"
        if trainer.is_global_zero:
            rank_zero_info(f"\nStopped at step {trainer.global_step}: {saved}. {_how_to_resume(interrupted)}")
        self._maximum([0])
        raise SystemExit((INTERRUPTED if interrupted else PREEMPTED) if _status_counts(trainer) else 0)

    def _save(self, trainer: pl.Trainer, name: str) -> str:
        file = _folder(trainer) / name
        partial = file.with_name(f"{name}.partial")  # saving is collective: every rank names the same file
        if trainer.is_global_zero:
            partial.unlink(missing_ok=True)  # of a process that was killed while it wrote
        trainer.save_checkpoint(partial)
        if not trainer.is_global_zero:
            return ""
        try:  # the file is missing if the disk is full; an error here would leave the other ranks waiting
            partial.replace(file)
        except OSError as error:
            return f"{file} could not be saved ({error.strerror}), use an earlier checkpoint"
        return f"saved {file}"

    def _restore_handlers(self) -> None:
        note.give_back(*self._taken)
        self._taken = []


def _how_to_resume(interrupted: bool) -> str:
    resume = "Resume with the same command and --ckpt_path auto"
    if interrupted or slurm.job() is None:
        return resume
    reason = slurm.requeue()
    return f"Not requeued by SLURM ({reason}). {resume}" if reason else "The job is requeued by SLURM"


def _folder(trainer: pl.Trainer) -> Path:
    return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"  # a collective: every rank calls it


def _in_fit(trainer: pl.Trainer) -> bool:
    return trainer.state.fn == "fit" and not trainer.sanity_checking


def _is_last_step(trainer: pl.Trainer) -> bool:
    """Whether the last step is done; from a checkpoint here Lightning would resume nothing, not even the validation."""
    if 0 <= trainer.max_steps <= trainer.global_step:
        return True
    epochs = trainer.max_epochs
    return epochs is not None and 0 <= epochs <= trainer.current_epoch + 1 and trainer.is_last_batch


def _validation_follows(trainer: pl.Trainer) -> bool:
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    return fetcher is not None and not loop.val_loop.skip and loop._should_check_val_fx(fetcher)


def _in_first_batch(before: int) -> dict[str, int]:
    """Lightning's progress of a validation that stopped in its first batch, after ``before`` earlier batches."""
    return {"ready": before + 1, "started": before + 1, "processed": before, "completed": before}


def _status_counts(trainer: pl.Trainer) -> bool:
    """Whether this rank may exit with the status of the run.

    If Lightning started the ranks itself, only the first may: Lightning takes the status of another for a crash.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return trainer.is_global_zero or environment is None or environment.creates_processes_externally


def _nothing() -> None:
    """Replaces a method of Lightning that must not run."""
