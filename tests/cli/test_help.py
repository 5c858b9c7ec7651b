"""What --help says, at 80 columns, and how quickly."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from typing import get_args, get_type_hints

import pytest

from eeg2speech.cli import STAGES, TOOLS, help, main, plan, prepare
from eeg2speech.core.errors import INTERRUPTED, PREEMPTED
from eeg2speech.data.readers import READERS
from eeg2speech.planning import GPUS, Assumptions

HELPS = [[], *([name] for name in (*STAGES, *TOOLS)), *(["prepare", name] for name in prepare.NAMES)]
COMMANDS = [words for words in HELPS if words]
LIGHT = [name for name in TOOLS if name != "prepare"]


def help_of(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        main([*words, "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_a_help_is_short_and_ends_in_an_example(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    text = help_of(words, capsys, monkeypatch)
    lines = text.splitlines()
    assert lines[0].startswith(" ".join(["usage: eeg2speech", *words]))
    assert [line for line in lines if len(line) > 80] == []
    assert len(lines) < 160
    assert any(line in ("example:", "examples:") for line in lines)
    assert not any(word in text for word in ("<class", "Optional[", "Union[", "null)", "%(", "==SUPPRESS=="))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_of_an_example_is_the_commands_own(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    text = help_of(words, capsys, monkeypatch)
    examples = text.rpartition("example")[2].splitlines()[1:]
    assert examples
    assert all(line.startswith("  " + " ".join(["eeg2speech", *words])) for line in examples), examples


def test_the_bare_help_names_every_command_and_every_exit_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    text = help_of([], capsys, monkeypatch)
    assert sorted(name for group in help.COMMANDS.values() for name in group) == sorted([*STAGES, *TOOLS])
    assert all(f"  {name} " in text for name in (*STAGES, *TOOLS))
    assert set(help.STATUS) == {0, 1, 2, PREEMPTED, INTERRUPTED}
    assert all(f"  {code} " in text for code in help.STATUS)


def test_helps_import_nothing_heavy():
    code = (
        "import sys; from eeg2speech.cli import main\n"
        f"for words in {[[], *([name] for name in (*STAGES, *TOOLS))]!r}:\n"
        "    try: main([*words, '--help'])\n"
        "    except SystemExit: pass\n"
        "print(sorted({'torch', 'mne', 'lightning', 'matplotlib', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_help_of_a_dataset_does_not_import_filters():
    code = (
        "import sys; from eeg2speech.cli import main\n"
        "try: main(['prepare', 'feis', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'lightning', 'matplotlib', 'scipy.signal', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_is_known_without_importing_it_is_as_it_is_there():
    assert sorted(prepare.NAMES) == sorted([*READERS, "demo"])
    assert plan.PlanOptions().assumptions() == Assumptions()
    assert sorted(get_args(get_type_hints(plan.PlanOptions)["gpu"])) == sorted(GPUS)


def test_all_options_are_there_if_asked_for(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main(["fit", "--help=all"])
    assert left.value.code == 0
    assert "--trainer.gradient_clip_val" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        main(["fit", "--model.help", "eeg2speech.tasks.MAEEGTask"])
    assert left.value.code == 0
    assert "--model.masking" in capsys.readouterr().out


@pytest.mark.parametrize("name", LIGHT)
def test_options_of_functions_stand_under_titles_that_exist(name: str):
    module = import_module(f"eeg2speech.cli.{name}")
    if hasattr(module, name):
        known = set(inspect.signature(getattr(module, name)).parameters)
        assert {option for group in module.GROUPS.values() for option in group} <= known
