"""Every shipped configuration is one that the command accepts, and overlays arrive where they point."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from eeg2speech.cli import main

CONFIGS = Path(__file__).parents[1] / "configs"
STAGES = sorted(CONFIGS.glob("*.yaml"))
OVERLAYS = [(stage, overlay) for stage in STAGES for overlay in sorted((CONFIGS / stage.stem).glob("*.yaml"))]


def parsed(capsys: pytest.CaptureFixture[str], *argv: str) -> dict:
    with pytest.raises(SystemExit) as left:
        main(["fit", *argv, "--print_config"])
    assert left.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("stage", STAGES, ids=lambda path: path.stem)
def test_each_stage_parses_into_its_own_run_folder(stage: Path, capsys: pytest.CaptureFixture[str]):
    config = parsed(capsys, "--config", str(stage))
    assert config["run"] == f"runs/{stage.stem}"
    own = yaml.safe_load(stage.read_text())["trainer"]["callbacks+"]
    shared = yaml.safe_load((CONFIGS / "parts/trainer.yaml").read_text())["callbacks"]
    names = [callback["class_path"] for callback in config["trainer"]["callbacks"]]
    assert names == [callback["class_path"] for callback in shared + own]


@pytest.mark.parametrize(("stage", "overlay"), OVERLAYS, ids=lambda path: path.stem)
def test_each_overlay_changes_what_it_names_and_keeps_the_rest(
    stage: Path, overlay: Path, capsys: pytest.CaptureFixture[str]
):
    base = parsed(capsys, "--config", str(stage))
    config = parsed(capsys, "--config", str(stage), "--config", str(overlay))

    def check(wanted: object, got: object, before: object) -> None:
        if isinstance(wanted, dict) and isinstance(got, dict):
            for key, value in wanted.items():
                check(value, got[key], before.get(key) if isinstance(before, dict) else None)
        else:
            assert got == wanted

    check(yaml.safe_load(overlay.read_text()), config, base)
    assert config["trainer"]["callbacks"] == base["trainer"]["callbacks"]
    assert config["model"]["class_path"] == base["model"]["class_path"]


@pytest.mark.parametrize("part", sorted((CONFIGS / "parts").glob("encoder_*.yaml")), ids=lambda path: path.stem)
def test_each_encoder_part_takes_the_place_of_the_default(part: Path, capsys: pytest.CaptureFixture[str]):
    config = parsed(capsys, "--config", str(CONFIGS / "maeeg.yaml"), "--model.init_args.encoder", str(part))
    wanted = yaml.safe_load(part.read_text())["init_args"]
    got = config["model"]["init_args"]["encoder"]["init_args"]
    assert {key: got[key] for key in wanted} == wanted
