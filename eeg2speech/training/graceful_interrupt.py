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
    """Ctrl-C, SIGTERM and SIGUSR1 finish the step, save and leave; nothing is lost and nothing done twice.

    Handlers only set a flag. Ranks agree on it between two steps, also in validation, so that none waits for another in
    a collective operation; it is enough that one of them is told. Then one checkpoint is written beside and renamed:

    - Ctrl-C writes ``last.ckpt`` and leaves with status 130; a second Ctrl-C leaves at once.
    - SIGTERM and SIGUSR1, by which clusters take a machine away, write ``preempted.ckpt`` and leave with status 75. A
      SLURM job asks to be started again, and then goes on from there.

    A validation that was due or under way is done, from its beginning, by the run that goes on. The last step of a run
    is not left before its validation: there is nothing to go on with.

    Lightning's own handlers, which save in the middle of collective operations, are kept out, and with them its
    broadcast before every step.

    Args:
        every_n_steps: Optimizer steps, or validation batches, between two agreements of the ranks.
    """

    def __init__(self, every_n_steps: int = 1) -> None:
        if every_n_steps < 1:
            raise ConfigError(f"every_n_steps={every_n_steps} is not positive (GracefulInterrupt.every_n_steps)")
        self.every_n_steps = every_n_steps
        self._taken: list[signal.Signals] = []
        self._group: Any = None
        self._steps = 0
        self._asked = 0
        self._validation_to_do = False
        self._trained = self._gathering = False
        self._common_batches: list[int] = []
        self._validated = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take over what a cluster sends, before Lightning would."""
        if stage != "fit":
            return
        self._steps = self._asked = 0
        self._validation_to_do = self._trained = self._gathering = False
        # last, so that others have done their part of a step when this one leaves; Lightning goes through the old list
        others = [callback for callback in trainer.callbacks if callback is not self]  # type: ignore[attr-defined]
        trainer.callbacks = [*others, self]  # type: ignore[attr-defined]
        self._taken += note.take(*PREEMPTING)
        trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave if asked to while starting."""
        if trainer.world_size > 1:  # over the network, not the device: no step has to be waited for
            self._group = torch.distributed.new_group(backend="gloo")
        if self._agree(trainer):
            self._leave(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over SIGINT."""
        self._taken += note.take(signal.SIGINT)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Leave between two optimizer steps if asked to; gradients that are being gathered would be lost."""
        self._trained = True
        self._gathering = bool((batch_idx + 1) % trainer.accumulate_grad_batches) and not trainer.is_last_batch
        if self._gathering:
            return
        self._steps += 1
        if self._steps % self.every_n_steps or not self._agree(trainer) or _finishing(trainer):
            return
        if not _validation_follows(trainer):
            self._leave(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave before validation if asked to in the step before it."""
        if not _in_fit(trainer):
            return
        counts: Any = trainer.fit_loop.epoch_loop.val_loop.batch_progress.total
        counts.ready = counts.started = self._validated = counts.completed  # where on_save_checkpoint told otherwise
        if self._gathering or _finishing(trainer):
            return
        self._common_batches = self._least([int(count) for count in trainer.num_val_batches])
        if self._agree(trainer):
            self._leave_validation(trainer)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Leave validation, which may take longer than a cluster waits."""
        here = _in_fit(trainer) and not self._gathering and not _finishing(trainer)
        if not here or (batch_idx + 1) % self.every_n_steps:
            return
        # ranks may have one batch more than others, and must not wait for these
        if batch_idx < self._common_batches[dataloader_idx] and self._agree(trainer):
            self._leave_validation(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let Lightning, when it goes on from here, begin with the validation; else it would pass it over."""
        if self._validation_to_do:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            progress.update(total=_in_first_batch(self._validated), current=_in_first_batch(0), is_last_batch=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give signals back, and remove the checkpoint of an earlier pre-emption once a newer one is there."""
        self._give_back()
        folder = _folder(trainer)
        preempted, last = folder / "preempted.ckpt", folder / "last.ckpt"
        both = trainer.is_global_zero and preempted.is_file() and last.is_file()
        if both and last.stat().st_mtime_ns >= preempted.stat().st_mtime_ns:
            preempted.unlink()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give signals back."""
        self._give_back()

    def _agree(self, trainer: pl.Trainer) -> int:
        """The signal that any rank was sent, 0 for none."""
        self._asked, step, minus_step = self._most([note.number, trainer.global_step, -trainer.global_step])
        if step != -minus_step:
            raise ConfigError(
                f"ranks stand at steps {-minus_step} to {step}: they resumed from different checkpoints (ckpt_path); "
                "the run folder must be on a disk that all nodes see alike"
            )
        return self._asked

    def _most(self, numbers: list[int]) -> list[int]:
        if self._group is None:
            return numbers
        shared = torch.tensor(numbers)
        torch.distributed.all_reduce(shared, op=torch.distributed.ReduceOp.MAX, group=self._group)
        return [int(number) for number in shared]

    def _least(self, numbers: list[int]) -> list[int]:
        return [-number for number in self._most([-number for number in numbers])]

    def _leave_validation(self, trainer: pl.Trainer) -> NoReturn:
        self._validation_to_do = True
        self._leave(trainer)

    def _leave(self, trainer: pl.Trainer) -> NoReturn:
        """Save, ask SLURM for another start, and leave; all ranks together, so that none is killed as a straggler.

        Nothing is saved if this process has trained nothing: it came as far as what is on the disk.
        """
        interrupted = self._asked == signal.SIGINT
        if interrupted:  # a second Ctrl-C leaves at once
            note.give_back(signal.SIGINT)
        name = "last.ckpt" if interrupted else "preempted.ckpt"
        saved = self._save(trainer, name) if self._trained else "nothing was trained, nothing saved"
        if trainer.is_global_zero:
            rank_zero_info(f"\nStopped at step {trainer.global_step}: {saved}. {_how_to_go_on(interrupted)}")
        self._most([0])
        raise SystemExit((INTERRUPTED if interrupted else PREEMPTED) if _status_counts(trainer) else 0)

    def _save(self, trainer: pl.Trainer, name: str) -> str:
        file = _folder(trainer) / name
        partial = file.with_name(f"{name}.partial")  # saving is collective: every rank names the same file
        if trainer.is_global_zero:
            partial.unlink(missing_ok=True)  # of a process that was killed while it wrote
        trainer.save_checkpoint(partial)
        if not trainer.is_global_zero:
            return ""
        try:  # a full disk is a warning there, and other ranks must not be left waiting for this one
            partial.replace(file)
        except OSError as error:
            return f"{file} could not be saved ({error.strerror}), an earlier checkpoint has to do"
        return f"saved {file}"

    def _give_back(self) -> None:
        note.give_back(*self._taken)
        self._taken = []


def _how_to_go_on(interrupted: bool) -> str:
    go_on = "Go on with the same command and --ckpt_path auto"
    if interrupted or slurm.job() is None:
        return go_on
    reason = slurm.requeue()
    return f"Not asked SLURM for another start ({reason}). {go_on}" if reason else "SLURM was asked to start it again"


def _folder(trainer: pl.Trainer) -> Path:
    return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints"  # a collective: every rank asks


def _in_fit(trainer: pl.Trainer) -> bool:
    return trainer.state.fn == "fit" and not trainer.sanity_checking


def _finishing(trainer: pl.Trainer) -> bool:
    """Whether the last step is done: Lightning would go on from here with nothing, not even the last validation."""
    if 0 <= trainer.max_steps <= trainer.global_step:
        return True
    epochs = trainer.max_epochs
    return epochs is not None and 0 <= epochs <= trainer.current_epoch + 1 and trainer.is_last_batch


def _validation_follows(trainer: pl.Trainer) -> bool:
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    return fetcher is not None and not loop.val_loop.skip and loop._should_check_val_fx(fetcher)


def _in_first_batch(before: int) -> dict[str, int]:
    """Lightning's progress of a validation that stopped in its first batch, after some in earlier validations."""
    return {"ready": before + 1, "started": before + 1, "processed": before, "completed": before}


def _status_counts(trainer: pl.Trainer) -> bool:
    """Whether this rank's status says how the run ended.

    Of ranks that Lightning started itself only the first one's does; it takes another's for a crash, and kills it.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return trainer.is_global_zero or environment is None or environment.creates_processes_externally


def _nothing() -> None:
    """In place of what Lightning would do."""
