from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn

import eeg2speech
from eeg2speech import __version__
from eeg2speech.core.files import write_json
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.reporting.tensorboard.text import ENVIRONMENT, environment_text
from eeg2speech.training.step_seed import StepSeed

NAME = "environment"
GIT_TIMEOUT_SECONDS = 20
"""Long enough for the slow file systems of clusters."""


class WriteEnvironment(Callback):
    """Writes code version, packages, seeds, data and machine of a run to ``<run>/environment.json``.

    Every start of a fit writes a file of its own (``environment.1.json`` and so on, as configs do), because a resumed
    run may use another machine or other versions. The TensorBoard tab TEXT shows the main entries.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file; a full disk gives a warning and does not stop the training."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # a collective call, on every rank
        if not trainer.is_global_zero:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            described = describe_environment(trainer)
            write_json(_free(folder), described)
        except OSError as error:
            rank_zero_warn(f"{folder}: the environment of the run is not recorded ({error}); the run goes on")
            return
        if isinstance(trainer.logger, TensorBoardLogger):
            typed = [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv[1:] else []
            text = environment_text(described, typed)
            trainer.logger.experiment.add_text(ENVIRONMENT, text, trainer.global_step)


def describe_environment(trainer: pl.Trainer) -> dict[str, Any]:
    """Code version, packages, seeds, data and machine of a run, as plain values."""
    return {
        "eeg2speech": __version__,
        "git": git_revision(Path(eeg2speech.__file__).parent),
        "python": platform.python_version(),
        "packages": _packages(),
        "seed": _seeds(trainer),
        "data": _data(getattr(trainer, "datamodule", None)),
        "hardware": _hardware(),
        "devices": {
            "accelerator": type(trainer.accelerator).__name__,
            "strategy": type(trainer.strategy).__name__,
            "precision": str(trainer.precision),
            "world_size": trainer.world_size,
            "nodes": trainer.num_nodes,
        },
        "resumed_from": None if trainer.ckpt_path is None else str(trainer.ckpt_path),
    }


def git_revision(folder: Path) -> dict[str, Any] | None:
    """The commit of a folder of code, and whether tracked files differ from it; None outside of git.

    A package that is installed inside another repository, as in a virtual environment, is not part of that repository.
    """
    git = shutil.which("git")
    if git is None or _git(git, folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    revision = _git(git, folder, "rev-parse", "HEAD")
    changed = _git(git, folder, "status", "--porcelain", "--untracked-files=no")
    return None if revision is None else {"revision": revision, "changed": None if changed is None else bool(changed)}


def _git(git: str, folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  # no argument is user input
            [git, "-C", str(folder), *words], capture_output=True, text=True, timeout=GIT_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _packages() -> dict[str, str]:
    """Versions of all installed packages, as pip lists them."""
    found = {str(package.metadata["Name"]): package.version for package in distributions()}
    return dict(sorted({**found, "torch": str(torch.__version__)}.items()))  # with its build, such as +cu126


def _seeds(trainer: pl.Trainer) -> dict[str, Any]:
    """All seeds of the run."""
    given = os.environ.get("PL_GLOBAL_SEED")
    steps = [callback.seed for callback in trainer.callbacks if isinstance(callback, StepSeed)]  # type: ignore[attr-defined]
    data = getattr(trainer, "datamodule", None)
    return {
        "seed_everything": None if given is None else int(given),
        "steps": steps[0] if steps else None,
        "data": getattr(data, "seed", None),
        "split": getattr(getattr(data, "split", None), "seed", None),
    }


def _data(data: Any) -> dict[str, Any] | None:
    """The store; its fingerprint covers recordings, stimuli and their timing."""
    if not isinstance(data, EEGAudioDataModule):
        return None
    store = data.store
    return {
        "name": store.description.name,
        "simulated": store.description.simulated,
        "root": str(store.root),
        "fingerprint": store.fingerprint,
    }


def _hardware() -> dict[str, Any]:
    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),  # the order of summation, and so rounding, depends on them
        "memory": _memory(),
        "gpus": [{"name": gpu.name, "memory": gpu.total_memory} for gpu in gpus],
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if gpus else None,  # type: ignore[no-untyped-call]
    }


def _processor() -> str:
    """Model of the CPU, whose vector instructions affect rounding."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _memory() -> int | None:
    """Bytes of main memory; None on Windows."""
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free(folder: Path) -> Path:
    """The first unused file name in a folder."""
    file, count = folder / f"{NAME}.json", 0
    while file.exists():
        count += 1
        file = folder / f"{NAME}.{count}.json"
    return file
