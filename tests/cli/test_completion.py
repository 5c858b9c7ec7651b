"""The script of `eeg2speech completion`, in a real bash."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from eeg2speech.cli import STAGES, TOOLS, main

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="no bash here")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a user keeps it, in a file."""
    file = tmp_path_factory.mktemp("completion") / "new" / "eeg2speech"
    assert main(["completion", "bash", "--out", str(file)]) == 0
    return file


def completed(script: Path, *words: str, place: Path = ROOT) -> set[str]:
    """What Tab offers for the last word."""
    tab = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_eeg2speech; printf "%s\\n" "${COMPREPLY[@]}"'
    line = f"source {script}; {tab}"
    run = subprocess.run(
        [str(BASH), "-c", line, "bash", "eeg2speech", *words], capture_output=True, text=True, check=True, cwd=place
    )
    assert run.stderr == ""
    return set(run.stdout.split())


def test_bash_takes_it(script: Path):
    subprocess.run([str(BASH), "-n", str(script)], check=True)


def test_commands_are_completed(script: Path):
    assert completed(script, "do") == {"doctor"}
    assert completed(script, "") == {*STAGES, *TOOLS}
    assert completed(script, "prepare", "fe") == {"feis"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fit", "--trainer.max_st"], {"--trainer.max_steps"}),
        (["fit", "--config", "configs/maeeg.yaml", "--data.batch"], {"--data.batch_size"}),
        (["fit", "--model.init_args.encoder_w"], {"--model.init_args.encoder_weights"}),
        (["doctor", "stores/mine", "--ht"], {"--html"}),
        (["prepare", "feis", "--preprocessing.not"], {"--preprocessing.notch"}),
        (["plan", "--gpu", ""], {"a100", "h100", "rtx4090", "v100"}),
        (["generate", "--unit", "w"], {"windows"}),
        (["completion", ""], {"bash", "zsh", "tcsh"}),
    ],
)
def test_options_and_their_values_are_completed(script: Path, words: list[str], expected: set[str]):
    assert completed(script, *words) == expected


def test_config_files_and_checkpoints_are_completed(script: Path):
    assert completed(script, "fit", "--config", "configs/mae") == {"configs/maeeg.yaml", "configs/maeeg"}
    assert completed(script, "fit", "--ckpt_path", "") == {"best", "last", "auto"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fit", "--config", "mae"], {"maeeg", "maeeg/audiomae", "maeeg/feis"}),
        (["plan", "--alignment", "alignment/l"], {"alignment/loa", "alignment/long"}),
        (["test", "--trainer", "trainer/"], {"trainer/cpu", "trainer/ddp", "trainer/slurm"}),
        (["sweep", "sweeps/l"], {"sweeps/levels"}),
        (["prepare", "bids", "--config", "mae"], set()),
    ],
)
def test_names_of_configurations_are_completed_where_they_are_taken(script: Path, words: list[str], expected: set[str]):
    assert completed(script, *words) == expected


def test_files_are_completed_beside_names_of_configurations(script: Path, tmp_path: Path):
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "maeeg.yaml").touch()
    assert completed(script, "fit", "--config", "m", place=tmp_path) == {
        "mine.yaml", "maeeg.yaml", "maeeg", "maeeg/audiomae", "maeeg/feis",
    }  # fmt: skip


def test_a_tab_is_quick(script: Path):
    started = time.perf_counter()
    completed(script, "fit", "--data.")
    assert time.perf_counter() - started < 2


def test_other_shells_have_one_too(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "zsh"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("#compdef eeg2speech")
    assert "--trainer.max_steps" in text
