"""The folder of a run: it keeps the config of every start, and a new run never overwrites an earlier one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from jsonargparse import Namespace
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info

from eeg2speech.core import slurm
from eeg2speech.core.errors import ConfigError, DiskError
from eeg2speech.core.folder_locks import without_guests
from eeg2speech.training.resuming import is_of

_EVENTS = "events.out.tfevents.*"
_RESULTS = ("checkpoints", "test.json", _EVENTS)
"""Files by which a run is recognised; a config alone may have been written by the user."""
_INPUTS = ("data", "model", "ckpt_path")


class SaveRunConfig(SaveConfigCallback):
    """Saves the config of every start: ``config.yaml``, then ``config.1.yaml``, and so on.

    A start that does not continue from a checkpoint in its folder first renames an earlier run there to ``<run>.1``,
    and back if the start fails before training begins.
    """

    _aside: tuple[Path, Path] | None = None  # the run folder, and the new folder of the earlier run
    _trained = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Choose the file name before the parent class writes the config."""
        folder = Path(trainer.log_dir or ".")  # a collective call, on every rank
        if trainer.is_global_zero and not self.already_saved:
            if stage == "fit":
                if not goes_on(folder, self.config):
                    self._set_aside(folder, trainer.loggers)
                slurm.record_job(folder)
            self.config_filename = _reserved(folder, Path(self.config_filename))
        self.overwrite = True
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the folder from now on."""
        self._trained = True

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the files of a run that did not begin, and restore an earlier run."""
        if self._trained or trainer.state.fn != "fit":
            return
        for logger in trainer.loggers:
            _forget_events(logger)  # it would also write into the earlier run
        if self._aside is None:
            return
        folder, aside = self._aside
        if not (folder / "checkpoints").exists():  # else pre-empted while starting: continued later
            shutil.rmtree(folder, ignore_errors=True)
            aside.replace(folder)
            rank_zero_info(f"Nothing was trained: the earlier run is in {folder} again")

    def _set_aside(self, folder: Path, loggers: Iterable[Logger]) -> None:
        for logger in loggers:
            _forget_events(logger)  # opened in the folder on starting; not part of the earlier run
        if holds_run(folder):
            aside = set_aside(folder, self.config)
            self._aside = folder, aside
            source = self.config.get("ckpt_path")
            hint = f"this one goes on from {source}" if source else "--ckpt_path last would have continued it"
            rank_zero_info(f"The earlier run in {folder} is now {aside}; {hint}")


def holds_run(folder: Path) -> bool:
    """Whether a folder holds the results of a run."""
    return any(next(folder.glob(name), None) is not None for name in _RESULTS)


def goes_on(folder: Path, config: Mapping[str, Any] | Namespace) -> bool:
    """Whether a start continues the run in a folder, by its ``ckpt_path`` or as a requeued SLURM job."""
    source = config.get("ckpt_path")
    return slurm.continues(folder) or (source is not None and is_of(Path(source), folder))


def check_apart(folder: Path, store: Path | None, argv: Sequence[str]) -> None:
    """Check that a run has a folder of its own.

    Raises:
        ConfigError: The name is empty, e.g. an unset variable, or the folder is inside the store.
    """
    if "--run=" in argv or ("--run", "") in pairwise(argv):
        raise ConfigError("run is empty: name a folder (--run)")
    if store is not None and folder.resolve().is_relative_to(Path(store).resolve()):
        raise ConfigError(f"run={folder}: lies in the store {store}; name another folder (--run)")


def check_movable(folder: Path, config: Mapping[str, Any] | Namespace) -> None:
    """Check that the folder of an earlier run can be renamed.

    Args:
        folder: Folder of the run.
        config: Config of the new start.

    Raises:
        ConfigError: The current folder or an input of the new run is inside.
    """
    here = folder.resolve()
    if Path.cwd().is_relative_to(here):
        raise ConfigError(
            f"run={folder}: holds an earlier run, which cannot be set aside, as the current folder is in it; "
            "name another folder (--run) or go on with it (--ckpt_path last)"
        )
    for key, file in _inputs(config):
        if any(place.is_relative_to(here) for place in (file.resolve(), file.parent.resolve() / file.name)):
            raise ConfigError(
                f"{key}={file}: lies in run={folder}, where a start from scratch would set the earlier run aside; "
                "name another folder (--run)"
            )


def set_aside(folder: Path, config: Mapping[str, Any] | Namespace) -> Path:
    """Rename the folder of an earlier run, so that a new run starts in an empty one.

    Args:
        folder: Folder of the run.
        config: Config of the new run.

    Returns:
        Its new name.

    Raises:
        ConfigError: As ``check_movable``, or another process writes into the folder.
        DiskError: It cannot be renamed.
    """
    check_movable(folder, config)
    folder = Path(os.path.normpath(folder))
    with without_guests(folder):
        count = 1
        while os.path.lexists(aside := folder.with_name(f"{folder.name}.{count}")):
            count += 1
        try:
            folder.replace(aside)
        except OSError as error:
            raise DiskError(
                f"{folder}: the earlier run there cannot be renamed to {aside} ({error.strerror}); "
                "name another folder (--run)"
            ) from error
    return aside


def _inputs(config: Mapping[str, Any] | Namespace) -> Iterator[tuple[str, Path]]:
    """Existing files and folders that a config names as inputs, by key."""
    pending: list[tuple[str, Any]] = [(key, config.get(key)) for key in _INPUTS]
    while pending:
        key, value = pending.pop()
        if isinstance(value, Namespace):
            value = vars(value)
        if isinstance(value, dict):
            pending += [(f"{key}.{name}", inner) for name, inner in value.items()]
        elif isinstance(value, list | tuple):
            pending += [(key, inner) for inner in value]
        elif isinstance(value, str | os.PathLike):
            with suppress(OSError, ValueError):
                if Path(value).exists():
                    yield key, Path(value)


def _reserved(folder: Path, name: Path) -> str:
    """The first free name of a config; the file is created at once, as a test may start beside a training."""
    folder.mkdir(parents=True, exist_ok=True)
    count, free = 0, name.name
    while True:
        try:
            (folder / free).touch(exist_ok=False)
        except FileExistsError:
            count += 1
            free = f"{name.stem}.{count}{name.suffix}"
        else:
            return free


def _forget_events(logger: Logger) -> None:
    """Remove the event file that Lightning opens on starting; the next logged value opens a new one."""
    logger.finalize("aborted")
    if isinstance(logger, TensorBoardLogger) and logger._experiment is not None:
        ours = Path(logger.log_dir).glob(f"events.out.tfevents.*.{os.getpid()}.*")
        if newest := max(ours, key=lambda file: file.stat().st_mtime_ns, default=None):
            newest.unlink()
        logger._experiment = None
