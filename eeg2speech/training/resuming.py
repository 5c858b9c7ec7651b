"""Where a run that was stopped goes on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from lightning.pytorch.utilities import rank_zero_warn

from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.core.config_files import named_configs
from eeg2speech.core.errors import ConfigError, DataError

_NAMES = ("preempted.ckpt", "last.ckpt")


def newest_checkpoint(run: Path) -> Path | None:
    """The newer of the checkpoints of pre-emption and of the last validation that a run folder holds; None for none.

    A damaged one is passed over with a warning.

    Raises:
        DataError: There are some, and none can be read.
    """
    there = [file for name in _NAMES if (file := run / "checkpoints" / name).is_file()]
    there.sort(key=lambda file: file.stat().st_mtime_ns, reverse=True)
    damage = []
    for file in there:
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
    """Whether a checkpoint is one of the run in a folder, by its own place or that of what it links to."""
    return (run / "checkpoints").resolve() in (checkpoint.parent.resolve(), checkpoint.resolve().parent)


def check_newest(checkpoint: Path, run: Path) -> None:
    """See that a run which goes on in its own folder does not do so from an older checkpoint than its last.

    Raises:
        ConfigError: It would write over the later one.
    """
    if not is_of(checkpoint, run) or checkpoint.name in _NAMES:
        return
    step = int(read_checkpoint(checkpoint).get("global_step", 0))
    for name in _NAMES:
        later = run / "checkpoints" / name
        with suppress(DataError):  # missing or damaged: nothing to lose
            reached = int(read_checkpoint(later).get("global_step", 0))
            if reached > step:
                raise ConfigError(
                    f"{checkpoint}: at step {step}; going on from it would write over {later} of step {reached}: "
                    "name another folder (--run), or go on from the last (--ckpt_path last)"
                )


def check_results(checkpoint: Path, run: Path) -> None:
    """See that the test of another run's checkpoint does not write over the results of a run.

    Args:
        checkpoint: To be tested.
        run: Folder that the results go into.

    Raises:
        ConfigError: It lies in another run's folder, and this one holds results.
    """
    folder, results = checkpoint.resolve().parent, run / "test.json"
    if results.is_file() and folder.name == "checkpoints" and folder.parent != run.resolve():
        raise ConfigError(
            f"{results}: holds the results of another run than that of {checkpoint}; give --run {folder.parent}, or a "
            "folder that holds none"
        )


def check_place(argv: Sequence[str], name: str) -> None:
    """See that a checkpoint given by name is looked for in the run that a saved config belongs to.

    A run's config.yaml says which folder it was written into, which may be another run's since it was set aside.

    Args:
        argv: Words of the command line.
        name: Of the checkpoint, e.g. "best".

    Raises:
        ConfigError: A config lies in the folder of a run and names another.
    """
    if any(word == "--run" or word.startswith("--run=") for word in argv):
        return
    for file in map(Path, named_configs(argv)):
        if not file.is_file() or not (file.parent / "checkpoints").is_dir():
            continue
        run = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("run")
        if run is not None and Path(run).resolve() != file.parent.resolve():
            raise ConfigError(
                f"{file}: says run={run}, but lies in the folder of another run, {file.parent}; "
                f"say whose {name!r} is meant: --run {file.parent} or --run {run}"
            )
