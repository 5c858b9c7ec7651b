"""Every line of every ``sh`` block in the README and in ``docs/pages`` is held to something that it can break.

Lines are run in an empty folder with ``configs`` in it, and with the files that the page's own blocks are
(``# mine.yaml``). Words in capitals (STORE) stand for what a reader puts there. What each kind is held to:

=========================================  ============================================================================
``eeg2speech fit|validate|test|predict``   parsed by the real command with ``--print_config`` behind it: every file that
                                           it reads and every name of a setting is checked
``eeg2speech plan``                        as of ``fit``
``eeg2speech sweep``                       parsed by the real command; its config and conditions, too
``eeg2speech`` and another tool            parsed by the real command, which is stopped before it does anything
``python -m eeg2speech``                   as ``eeg2speech``; ``python -m eeg2speech.X``: the module is there
``python FILE.py``                         the page holds the file, and it compiles
``make TARGET``                            ``make -n``
``sbatch``, ``configs/slurm/*.sh``         the script is there, executable if run by name, and ``bash -n`` takes it;
                                           what follows is parsed as what the script hands it to
``pip install 'eeg2speech[EXTRA]'``        ``pyproject.toml`` has the extra; ``-e .`` likewise
``export NAME=...``, ``NAME=... command``  the package, a script or Python itself knows the variable; words for a stage
                                           of ``pipeline.sh`` are parsed as of ``fit``
``.venv/bin/NAME``, ``source``             the name is one that the project's environment has
``squeue``, ``scancel`` and their like     named below; not run, as they need a cluster
=========================================  ============================================================================

A line of any other kind fails. ``test_walk.py`` runs them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import jsonargparse
import pytest
import yaml

from eeg2speech.cli import STAGES, TOOLS, main
from tests.docs.blocks import PAGES, ROOT, Command, blocks, commands, made_of, words_of, write_files

COMMANDS = commands()
CLUSTER = {"sinfo", "squeue", "scancel", "sacct", "scontrol", "tail"}
"""SLURM's own commands, and what reads its logs."""
ENVIRONMENT = {"activate", "eeg2speech", "pre-commit", "python"}
"""What ``make install-dev`` leaves in ``.venv/bin``, as far as pages name it."""
KNOWN = {"PYTHONPATH", "OMP_NUM_THREADS"}
"""Variables of Python and of BLAS."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, to be in, that has the configs."""
    for name in ("configs", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_line_is_one_that_works(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(command.page, place)
    check(words_of(command.text), monkeypatch)


def test_there_are_commands_in_the_readme_and_in_the_pages() -> None:
    assert len({command.page for command in COMMANDS}) > 5
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("line", ["eeg2speach fit", "rm -rf /", "FOO=1 make demo", "make nothing", "sbatch gone.sh",
                                  "eeg2speech fit --config configs/maeeg.yaml --data.windw 3",
                                  "eeg2speech fit --config configs/gone.yaml", "eeg2speech export a b --no",
                                  "eeg2speech doctor a | head", "pip install 'eeg2speech[gone]'"])  # fmt: skip
def test_a_line_that_does_not_work_fails(line: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        check(words_of(line), monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_other_blocks_are_what_they_say(page: Path) -> None:
    for block in blocks():
        if block.page == page and block.language == "python":
            compile(block.text, f"{page.name}:{block.line}", "exec")
            _check_imports(block.text)
        elif block.page == page and block.language == "yaml":
            yaml.safe_load(block.text)
        elif block.page == page:
            assert block.language in ("sh", "text", ""), f"{page.name}:{block.line}: ```{block.language}"


def _check_imports(text: str) -> None:
    """What a block takes from the package must be there."""
    for module, names in re.findall(r"^from (eeg2speech[\w.]*) import ([\w, ]+)", text, re.MULTILINE):
        imported = importlib.import_module(module)
        for name in names.split(", "):
            assert hasattr(imported, name.strip()), f"{module} has no {name}"


def check(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold a line to what its kind is held to."""
    assert not [word for word in words if set(word) <= set("|&;<>")], "a page shows one command a line"
    while found := re.fullmatch(r"([A-Z_]+)=(.*)", words[0]):
        _check_variable(found[1])
        if (stage := Path(f"configs/{found[1].lower()}.yaml")).is_file():  # words for a stage of pipeline.sh
            _check_stage(["fit", "--config", str(stage), *found[2].split()])
        if found[1] == "PYTHONPATH":
            monkeypatch.syspath_prepend(found[2])
        words = words[1:]
    first, rest = words[0], words[1:]
    if first == ".venv/bin/eeg2speech":
        first = "eeg2speech"
    kinds: dict[str, Callable[[], None]] = {
        "eeg2speech": lambda: _check_eeg2speech(rest, monkeypatch),
        "python": lambda: _check_python(rest, monkeypatch),
        "make": lambda: _check_make(rest),
        "sbatch": lambda: _check_script(rest, monkeypatch),
        "pip": lambda: _check_pip(rest),
        "export": lambda: _check_variable(rest[0].partition("=")[0]),
        "source": lambda: _check_environment(rest[0]),
    }
    if first in kinds:
        kinds[first]()
    elif first.startswith("configs/"):
        assert os.access(first, os.X_OK), f"{first} cannot be run"
        _check_bash(Path(first))
    elif first.startswith(".venv/"):
        _check_environment(first)
    else:
        assert first in CLUSTER, f"a line of unknown kind: {' '.join(words)}"


def _check_eeg2speech(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if words[0] in STAGES or words[0] == "plan":
        _check_stage(words)
    else:
        assert words[0] in TOOLS or words[0].startswith("-"), words[0]
        _check_parsed(words, monkeypatch)
        if words[0] == "sweep" and Path(words[1]).suffix == ".yaml":
            _check_sweep(Path(words[1]))
    for word in words:
        assert not word.startswith(("configs/", "tests/")) or Path(word).exists(), f"{word} is not there"


def _check_stage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*words, "--print_config"])
    assert left.value.code == 0


class StoppedError(Exception):
    """A command has read its options, and goes no further."""


def _check_parsed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopping(kind: type[argparse.ArgumentParser]) -> Callable[..., None]:
        parse = kind.parse_args

        def stop(parser: argparse.ArgumentParser, *args: object, **kwargs: object) -> None:
            parse(parser, *args, **kwargs)
            raise StoppedError

        return stop

    with monkeypatch.context() as patched:
        for kind in (argparse.ArgumentParser, jsonargparse.ArgumentParser):
            patched.setattr(kind, "parse_args", stopping(kind))
        asks = {"--help", "--version"} & set(words)
        with pytest.raises(SystemExit if asks else StoppedError) as left:
            main(words)
        assert not asks or left.value.code == 0


def _check_sweep(config: Path) -> None:
    from eeg2speech.cli.sweep_config import read_sweep

    read = read_sweep(config)
    assert list(read.conditions())


def _check_python(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if words[:2] == ["-m", "eeg2speech"]:
        _check_eeg2speech(words[2:], monkeypatch)
    elif words[0] == "-m":
        assert importlib.util.find_spec(words[1]) is not None
    else:
        compile(Path(words[0]).read_text(), words[0], "exec")


def _check_make(words: list[str]) -> None:
    made_of(words)


def _check_script(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    while words[0].startswith("-"):
        assert re.fullmatch(r"--[a-z-]+=\S+", words[0]), f"{words[0]}: give sbatch's options as --name=value"
        words = words[1:]
    script, rest = Path(words[0]), words[1:]
    _check_bash(script)
    handed = {"stage.sbatch": ["fit"], "prepare_array.sbatch": ["prepare"]}
    if rest:
        _check_eeg2speech([*handed[script.name], *rest], monkeypatch)


def _check_bash(script: Path) -> None:
    assert script.is_file(), f"{script} is not there"
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _check_pip(words: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert words[0] == "install"
    for word in words[1:]:
        found = re.fullmatch(r"(?:eeg2speech|\.)(?:\[([\w,]+)\])?", word)
        if word not in ("-e", "--editable"):
            assert found, f"{word}: is neither this package nor an extra of it"
            assert set((found[1] or "").split(",")) <= {"", *project["optional-dependencies"]}, word


def _check_variable(name: str) -> None:
    places = [*(ROOT / "eeg2speech").rglob("*.py"), *(ROOT / "configs/slurm").iterdir()]
    assert name in KNOWN or any(re.search(rf"\b{name}\b", file.read_text()) for file in places), f"nothing reads {name}"


def _check_environment(path: str) -> None:
    folder, _, name = path.rpartition("/")
    assert folder == ".venv/bin", path
    assert name in ENVIRONMENT, f"{path}: not in the project's environment"
