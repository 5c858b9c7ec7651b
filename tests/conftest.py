from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"] = "off"  # Lightning 2.6 uses what jsonargparse will rename
if "PYTEST_XDIST_WORKER" in os.environ:  # a process per core: more threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

from eeg2speech.core.signals import PREEMPTING, note
from tests.tiny_stores import write_store

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process ends up working alone."""
    items.sort(key=lambda item: item.get_closest_marker("slurm") is None)


@pytest.fixture(autouse=True)
def independent() -> Iterator[None]:
    """Random draws and handlers of signals do not depend on the tests before."""
    torch.manual_seed(0)
    yield
    note.give_back(*PREEMPTING, signal.SIGINT)


@pytest.fixture(autouse=True)
def _parsers_built_once() -> None:
    """Build the parsers of the stages once per process, as that takes a third of the time of a tiny run.

    Processes that tests start build their own.
    """
    module = sys.modules.get("eeg2speech.cli.lightning")  # not imported for tests that need none
    if module is None or module in _SHARING:
        return
    _SHARING.append(module)
    build, built = module.StageCLI.setup_parser, {}

    def setup_parser(cli: Any, *settings: Any) -> None:
        file = module.trainer_config()  # may be one of the current folder, whose values become defaults
        if not file.is_file():
            build(cli, *settings)
            return
        key = (type(cli), repr(settings), repr(cli.trainer_defaults), file.resolve(), file.read_bytes())
        if key not in built:
            build(cli, *settings)
            made = {name: value for name, value in vars(cli).items() if name in _OF_PARSERS}
            parsers = [cli.parser, *made.get("_subcommand_parsers", {}).values()]
            built[key] = made, [(parser, dict(vars(parser))) for parser in parsers]
        made, parsers = built[key]
        vars(cli).update(made)
        for parser, fresh in parsers:  # a command leaves marks, such as that its configuration was to be printed
            vars(parser).clear()
            vars(parser).update(fresh)

    module.StageCLI.setup_parser = setup_parser


_SHARING: list[Any] = []
_OF_PARSERS = ("parser", "_subcommand_parsers", "_subcommand_method_arguments")

settings.register_profile("here", deadline=None, database=None)  # slow machines; nothing written into the work tree
settings.load_profile("here")


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four subjects, eight electrodes, eight stimuli of four seconds."""
    return write_store(tmp_path_factory.mktemp("tiny") / "store")


@pytest.fixture(scope="session")
def ragged_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Subjects with 6, 9, 8 and 8 electrodes, and labels."""
    return write_store(tmp_path_factory.mktemp("ragged") / "store", channels=(6, 9, 8, 8), labels=True)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Gives a folder that one of the processes of the tests makes, for all to read."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tested_alignment(made_once: Callable[[str, Callable[[Path], None]], Path], tiny_store: Path) -> Path:
    """A run of stage 2 with all its callbacks, fitted for a few steps and tested; only to be read."""

    def make(folder: Path) -> None:
        from eeg2speech.cli import main

        configs = ("configs/alignment.yaml", "tests/conf/tiny_alignment.yaml")
        given = [*(f"--config={ROOT / name}" for name in configs), f"--data.store={tiny_store}"]
        assert main(["fit", *given, f"--run={folder / 'run'}"]) == 0
        assert main(["test", *given, f"--run={folder / 'run'}", "--ckpt_path=best"]) == 0

    return made_once("alignment", make) / "run"
