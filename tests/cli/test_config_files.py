"""Config files by path and by name, from a repository, an installed package and the current folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from eeg2speech.cli import main
from eeg2speech.cli.sweep_config import read_sweep
from eeg2speech.core import config_files
from eeg2speech.core.config_files import config_folder, config_names, find_config, find_configs
from eeg2speech.core.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, to be in."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def printed(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    with pytest.raises(SystemExit) as left:
        main([*argv, "--print_config"])
    assert left.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["maeeg", "maeeg.yaml", "configs/maeeg", "configs/maeeg.yaml", "./configs/maeeg.yaml"])
def test_a_configuration_of_the_package_is_found_from_any_folder(name: str):
    assert find_config(name) == ROOT / "configs/maeeg.yaml"
    assert find_configs(["fit", "--config", name, "-c", name, f"--config={name}"]) == [
        "fit", "--config", str(ROOT / "configs/maeeg.yaml"), "-c", str(ROOT / "configs/maeeg.yaml"),
        f"--config={ROOT / 'configs/maeeg.yaml'}",
    ]  # fmt: skip


def test_an_installed_package_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "site/eeg2speech/configs/alignment/loa.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(config_files, "PACKAGE", tmp_path / "site/eeg2speech")
    assert config_folder() == tmp_path / "site/eeg2speech/configs"
    assert find_config("alignment/loa") == find_config("configs/alignment/loa.yaml") == file
    assert config_names() == ["alignment/loa"]


@pytest.mark.parametrize("own", ["maeeg", "maeeg.yaml", "configs/maeeg.yaml"])
def test_a_file_in_the_current_folder_wins(own: str, place: Path):
    file = place / own
    file.parent.mkdir(exist_ok=True)
    file.touch()
    assert find_config("maeeg") == Path(own)
    (place / "alignment").mkdir()
    assert find_config("alignment") == ROOT / "configs/alignment.yaml"  # a folder is no config


def test_words_that_are_no_config_files_stay(place: Path):
    words = ["fit", "--run", "maeeg", "--ckpt_path=maeeg", "--trainer", "{max_steps: 3}", "--trainer=" + "x" * 5000,
             "--config", "gone", "--run=gone.yaml", "--data.simulation.snr", "-.inf", "gone.yaml"]  # fmt: skip
    assert find_configs(words) == words


@pytest.mark.parametrize("words", [["--trainer", "gone.yaml"], ["--model.init_args.encoder=gone.yaml"]])
def test_a_part_that_is_nowhere_is_named(words: list[str]):
    with pytest.raises(ConfigError, match=rf"gone.yaml: no such config file \({words[0].partition('=')[0]}\)"):
        find_configs(["fit", *words])


def test_parts_and_overlays_arrive_in_an_empty_folder(capsys: pytest.CaptureFixture[str]):
    config = printed(
        ["fit", "--config", "maeeg", "--config", "maeeg/audiomae", "--trainer", "configs/trainer/cpu.yaml",
         "--model.init_args.encoder", "configs/parts/encoder_tiny.yaml"], capsys,
    )  # fmt: skip
    assert config["run"] == "runs/maeeg_audiomae"
    assert config["trainer"]["accelerator"] == "cpu"
    assert config["trainer"]["max_steps"] > 0  # of maeeg.yaml, on parts/trainer.yaml
    assert config["model"]["init_args"]["encoder"]["init_args"]["width"] == 192


def test_names_come_in_a_process_that_is_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    words = ["fit", "--config", "audiomae"]
    monkeypatch.setattr("sys.argv", ["eeg2speech", *words, "--print_config"])
    assert printed(words, capsys)["run"] == "runs/audiomae"


def test_plans_of_sweeps_come_by_name_and_name_configs(place: Path):
    assert read_sweep(Path("sweeps/levels")).config == [ROOT / "configs/alignment.yaml"]
    (place / "maeeg.yaml").touch()
    Path("mine.yaml").write_text("config: [alignment, alignment/loa.yaml]\nprepare: {maeeg: maeeg.yaml}\n")
    plan = read_sweep(Path("mine.yaml"))
    assert plan.config == [ROOT / "configs/alignment.yaml", ROOT / "configs/alignment/loa.yaml"]
    assert plan.prepare == {"maeeg": [place / "maeeg.yaml"]}
    Path("mine.yaml").write_text("config: gone\n")
    with pytest.raises(ConfigError, match=r"here/gone: no such file \(config in mine.yaml"):
        read_sweep(Path("mine.yaml"))


def test_stage_2_is_planned_beside_a_file_of_ones_own(capsys: pytest.CaptureFixture[str]):
    from eeg2speech.cli.planned import _beside

    assert _beside(["mine.yaml"]) == ROOT / "configs/alignment.yaml"
    Path("alignment.yaml").touch()
    assert _beside(["mine.yaml"]) == Path("alignment.yaml")


def test_the_folder_is_printed(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main(["--configs"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"{ROOT / 'configs'}\n"
