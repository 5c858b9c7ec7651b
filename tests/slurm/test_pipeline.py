"""The script that submits the three stages, with a stand-in for sbatch that writes down what it is given."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def submitted(tmp_path: Path, *options: str, **more: str) -> tuple[list[str], list[list[str]]]:
    """Ids that the script printed, and the words of every sbatch."""
    calls = tmp_path / "calls"
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(f'#!/bin/bash\nprintf "%s\\t" "$@" >> {calls}\necho >> {calls}\nwc -l < {calls}\n')
    sbatch.chmod(0o755)
    done = subprocess.run(
        [str(ROOT / "configs/slurm/pipeline.sh"), str(tmp_path / "store"), str(tmp_path / "runs"), *options],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", **more},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split(), [line.split("\t")[:-1] for line in calls.read_text().splitlines()]


def following(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


def test_stages_wait_for_and_take_what_was_before(tmp_path: Path):
    ids, calls = submitted(tmp_path, "--nodes=2", DIFFUSION="--trainer.max_steps 7")
    assert ids == ["1", "2", "3", "4"]
    waits = [[word for word in call if word.startswith("--dependency")] for call in calls]
    assert waits == [[], [], ["--dependency=afterok:1:2"], ["--dependency=afterok:3"]]
    runs = [Path(following(call, "--run")) for call in calls]
    assert [run.name for run in runs] == ["maeeg", "audiomae", "alignment", "diffusion"]
    assert following(calls[2], "--model.init_args.encoder_weights") == str(runs[0] / "encoder")
    assert following(calls[2], "--model.init_args.audio_weights") == str(runs[1] / "encoder")
    assert following(calls[3], "--model.init_args.aligner") == str(runs[2] / "aligner")
    assert calls[3][-2:] == ["--trainer.max_steps", "7"]
    for call in calls:
        assert "--nodes=2" in call[: call.index(str(ROOT / "configs/slurm/stage.sbatch"))]
        assert Path(following(call, "--config")).is_file()


def test_an_audio_encoder_that_is_there_is_taken(tmp_path: Path):
    ids, calls = submitted(tmp_path, AUDIO_WEIGHTS="/there/encoder")
    assert ids == ["1", "2", "3"]
    assert "--dependency=afterok:1" in calls[1]
    assert following(calls[1], "--model.init_args.audio_weights") == "/there/encoder"


def test_the_overlays_of_trainers_touch_nothing_of_a_stage():
    for file in (ROOT / "configs/trainer").glob("*.yaml"):
        assert not {"callbacks", "max_steps", "val_check_interval"} & yaml.safe_load(file.read_text()).keys(), file
