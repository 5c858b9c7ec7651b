"""Folders on machines where the user has no home."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from eeg2speech.cli import main
from eeg2speech.core.cache import cache_folder, check_hub_cache
from eeg2speech.core.errors import ConfigError
from eeg2speech.data.store.store import Store
from eeg2speech.models.audio.audiomae import read_audiomae
from eeg2speech.models.audioldm2.files import find_components

ROOT = Path(__file__).parents[2]


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder to be in, as a user that the system does not know, without HOME: ``docker run --user 12345``."""

    def unknown(asked: object) -> None:
        raise KeyError(f"getpwuid(): uid not found: {asked}")

    for name in ("HOME", "USER", "LOGNAME", "EEG2SPEECH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_home_the_cache_asks_for_a_folder(homeless: Path):
    with pytest.raises(ConfigError, match="home folder is not known; set EEG2SPEECH_CACHE to a folder you can write"):
        cache_folder()
    assert not list(homeless.iterdir())  # none that is named ~


def test_without_a_home_a_chosen_cache_serves(homeless: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EEG2SPEECH_CACHE", str(homeless / "cache"))
    assert cache_folder() == homeless / "cache"
    monkeypatch.delenv("EEG2SPEECH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(homeless / "other"))
    assert cache_folder() == homeless / "other/eeg2speech"


@pytest.mark.parametrize("chosen", ["~/cache", "~nobody-here/cache"])
def test_a_cache_in_an_unknown_home_is_named(chosen: str, homeless: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EEG2SPEECH_CACHE", chosen)
    with pytest.raises(ConfigError, match=rf"EEG2SPEECH_CACHE={chosen}: the home folder is not known"):
        cache_folder()


def test_fit_on_the_embedded_data_costs_a_line(homeless: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["fit", "--config", "maeeg", "--config", str(ROOT / "tests/conf/tiny.yaml")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: no folder for the cache")


def test_a_run_folder_of_a_config_begins_with_the_home_folder(
    tmp_path: Path, tiny_store: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("mine.yaml").write_text("run: ~/maeeg\ntrainer: {max_steps: 1, limit_val_batches: 0, callbacks: []}\n")
    configs = ["--config", "maeeg", "--config", str(ROOT / "tests/conf/tiny.yaml"), "--config", "mine.yaml"]
    assert main(["fit", *configs, "--data.store", str(tiny_store)]) == 0
    assert (tmp_path / "home/maeeg/config.yaml").is_file()
    assert not Path("~").exists()


@pytest.mark.parametrize("opened", [Store, read_audiomae, find_components])
def test_paths_of_unknown_users_are_named(opened: type[Store]):
    with pytest.raises(ConfigError, match="~nobody-here/x: the home folder is not known; give the path in full"):
        opened("~nobody-here/x")


@pytest.mark.parametrize(
    "words",
    [
        ["doctor", "~nobody-here/x"],
        ["fit", "--config", "maeeg", "--data.store=~nobody-here/x"],
        ["prepare", "bids", "~nobody-here/x", "out"],
        ["prepare", "demo", "embedded", "~nobody-here/x"],
        ["report", "~nobody-here/x"],
        ["generate", "--out", "~nobody-here/x"],
        ["sweep", "sweeps/levels", "~nobody-here/x"],
    ],
)
def test_commands_name_a_path_of_an_unknown_user(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ~nobody-here/x: the home folder is not known")
    assert not list(tmp_path.iterdir())


def test_downloads_never_go_into_a_folder_named_tilde(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "~/.cache/huggingface/hub")
    with pytest.raises(ConfigError, match="set HF_HOME"):
        read_audiomae("hf_hub:somebody/something")
    with pytest.raises(ConfigError, match="set HF_HOME"):
        find_components("hf_hub:somebody/something")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/cache/hub")
    check_hub_cache()
