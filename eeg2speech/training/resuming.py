"""Checkpoints that a command starts from, and checks that it does not overwrite later results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.core import slurm
from eeg2speech.core.config_files import named_configs
from eeg2speech.core.errors import ConfigError, DataError

_NEWEST = ("preempted.ckpt", "last.ckpt")


def find_checkpoint(name: str | None, run: Path, command: str, argv: Sequence[str]) -> Path | None:
    """The checkpoint that a command starts from; None for a new run, or for a model that is not trained.

    Args:
        name: A file, ``best``, ``last`` or, in fit, ``auto``; None for the default.
        run: Run folder.
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        argv: Words of the command line.

    Raises:
        ConfigError: There is no such checkpoint.
        DataError: A run is to be continued, and none of its checkpoints can be read.
    """
    fitting, folder = command == "fit", run / "checkpoints"
    if name is None and not fitting and (folder / "best.ckpt").is_file():
        name = "best"
        rank_zero_info(f"{command}: the model is {folder / 'best.ckpt'}; --ckpt_path names another")
    if name in ("last", "best", "auto"):
        check_place(argv, name)
    if fitting and (name == "auto" or slurm.continues(run)):
        newest = newest_checkpoint(run)
        if newest is not None or name == "auto":
            return newest
    if name is None:
        if fitting:
            return None
        if (folder / "last.ckpt").is_file():
            raise ConfigError(f"{folder}: holds no best.ckpt; --ckpt_path last takes last.ckpt")
        rank_zero_info(f"{command}: {run} holds no best.ckpt and no --ckpt_path is given; the model is untrained")
        return None
    if name in ("last", "best"):
        file = folder / f"{name}.ckpt"
        if not file.is_file():
            raise ConfigError(
                f"{file}: no such checkpoint (ckpt_path={name}, run={run}); "
                "train first with `eeg2speech fit`, or name another --run"
            )
        return file
    if not Path(name).is_file():
        raise ConfigError(f"{name}: no such checkpoint (ckpt_path); give a file, `last` or `best`, or to fit `auto`")
    return Path(name)


def newest_checkpoint(run: Path) -> Path | None:
    """The newer of the checkpoints of pre-emption and of the last validation in a run folder; None if there is none.

    A damaged one is skipped with a warning.

    Raises:
        DataError: There are some, and none can be read.
    """
    files = [file for name in _NEWEST if (file := run / "checkpoints" / name).is_file()]
    files.sort(key=lambda file: file.stat().st_mtime_ns, reverse=True)
    damage = []
    for file in files:
        try:
            read_checkpoint(file)
        except DataError as error:
            damage.append(str(error))
            continue
        if damage:
            rank_zero_warn(f"{'; '.join(damage)}. Going on from the older {file}")
        return file
    if damage:
        raise DataError(f"{'; '.join(damage)}; --run names another folder to start anew in")
    return None


def is_of(checkpoint: Path, run: Path) -> bool:
    """Whether a checkpoint, or the file that it links to, is in a run folder."""
    return (run / "checkpoints").resolve() in (checkpoint.parent.resolve(), checkpoint.resolve().parent)


def check_stage(file: Path, checkpoint: Mapping[str, Any], class_path: str) -> None:
    """Check that a checkpoint is of the stage that the config is for.

    Raises:
        ConfigError: It is of another stage.
    """
    settings = checkpoint.get("hyper_parameters")
    theirs = str(settings.get("_class_path", "")) if isinstance(settings, dict) else ""
    theirs, ours = theirs.rpartition(".")[2], class_path.rpartition(".")[2]
    if theirs and theirs != ours:
        raise ConfigError(
            f"{file}: a checkpoint of {theirs}, while the config is for {ours} (ckpt_path, model.class_path); later "
            "stages load a run through model.encoder_weights or model.aligner"
        )


def check_newest(checkpoint: Path, run: Path) -> None:
    """Check that a run which continues in its own folder starts from its last checkpoint.

    Raises:
        ConfigError: It would overwrite a later one.
    """
    if not is_of(checkpoint, run) or checkpoint.name in _NEWEST:
        return
    step = int(read_checkpoint(checkpoint).get("global_step", 0))
    for name in _NEWEST:
        later = run / "checkpoints" / name
        with suppress(DataError):  # missing or damaged: nothing to lose
            reached = int(read_checkpoint(later).get("global_step", 0))
            if reached > step:
                raise ConfigError(
                    f"{checkpoint}: at step {step}; going on from it would write over {later} of step {reached}: "
                    "name another folder (--run), or go on from the last (--ckpt_path last)"
                )


def check_results(checkpoint: Path, run: Path) -> None:
    """Check that the test of a checkpoint does not overwrite the results of another run.

    Args:
        checkpoint: Checkpoint to test.
        run: Folder that the results go into.

    Raises:
        ConfigError: The checkpoint is in another run's folder, and this folder holds results.
    """
    folder, results = checkpoint.resolve().parent, run / "test.json"
    if results.is_file() and folder.name == "checkpoints" and folder.parent != run.resolve():
        raise ConfigError(
            f"{results}: holds the results of another run than that of {checkpoint}; give --run {folder.parent}, or a "
            "folder that holds none"
        )


def check_place(argv: Sequence[str], name: str) -> None:
    """Check that a checkpoint given by name belongs to the run that a saved config lies in.

    A run's config.yaml names the folder it was written into, which another run may use since this one was renamed.

    Args:
        argv: Words of the command line.
        name: Of the checkpoint, e.g. "best".

    Raises:
        ConfigError: A config is in the folder of one run and names another.
    """
    if any(word == "--run" or word.startswith("--run=") for word in argv):
        return
    for file in map(Path, named_configs(argv)):
        if not file.is_file() or not (file.parent / "checkpoints").is_dir():
            continue
        run = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("run")
        if run is not None and Path(run).resolve() != file.parent.resolve():
            raise ConfigError(
                f"{file}: contains run={run}, but is in the folder of another run, {file.parent}; "
                f"select the run of {name!r}: --run {file.parent} or --run {run}"
            )
