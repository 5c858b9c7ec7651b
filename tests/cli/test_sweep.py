"""A sweep as users start it, in-process and tiny."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import yaml

from eeg2speech.cli import lightning, main
from eeg2speech.cli.sweep import DONE, Runs, _finished
from eeg2speech.cli.sweep_config import read_sweep
from eeg2speech.core.config_files import content_hash
from eeg2speech.core.errors import DiskError
from eeg2speech.core.folder_locks import sole_writer

ROOT = Path(__file__).parents[2]
LITTLE = {"permutations": 20, "lags": [0.0], "linear": False, "electrodes": 0}
CALLBACKS = [
    {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"monitor": "val/loss", "filename": "best", "auto_insert_metric_name": False},
    },
    {"class_path": "eeg2speech.training.ExportEncoder"},
    {"class_path": "eeg2speech.training.EvaluateAlignment", "init_args": LITTLE},
    {"class_path": "eeg2speech.training.WriteResults"},
]
TRAINER = {"max_steps": 2, "val_check_interval": 2, "callbacks": CALLBACKS}


def write_plan(folder: Path, **changes) -> Path:
    overlay = folder / "quick.yaml"
    overlay.write_text(yaml.safe_dump({"trainer": TRAINER, "data": {"split": {"by": "stimulus"}}}))
    plan = {
        "config": [str(ROOT / "configs/alignment.yaml"), str(ROOT / "tests/conf/tiny_alignment.yaml"), "quick.yaml"],
        "prepare": {"maeeg": [str(ROOT / "configs/maeeg.yaml"), str(ROOT / "tests/conf/tiny.yaml"), "quick.yaml"]},
        "factors": {
            "encoder": {
                "untrained": [],
                "pretrained": ["--model.init_args.encoder_weights={maeeg}/encoder"],
            }
        },
    } | changes
    file = folder / "plan.yaml"
    file.write_text(yaml.safe_dump(plan, sort_keys=False))
    return file


def sweep(plan: Path, out: Path, store: Path, *more: str) -> int:
    options = json.dumps([f"--data.store={store}"])
    return main(["sweep", str(plan), str(out), "--seeds", "1", "--threads", "1", "--options", options, *more])


def test_a_sweep_runs_reports_and_goes_on(
    tmp_path: Path, tiny_store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    plan, out = write_plan(tmp_path), tmp_path / "out"
    assert sweep(plan, out, tiny_store) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"out", "plan.yaml", "quick.yaml"}
    found = json.loads((out / "sweep.json").read_text())
    assert [condition["levels"] for condition in found["conditions"]] == [
        {"encoder": "untrained"},
        {"encoder": "pretrained"},
    ]
    figures = [condition["splits"]["unseen_stimulus"]["figures"] for condition in found["conditions"]]
    single = json.loads((out / "untrained/seed0/test.json").read_text())["alignment"]["splits"]["unseen_stimulus"]
    assert figures[0]["model"]["mrr"]["mean"] == single["figures"]["model"]["mrr"]["value"]
    (difference,) = found["differences"]
    expected = figures[1]["model"]["mrr"]["mean"] - figures[0]["model"]["mrr"]["mean"]
    assert difference["splits"]["unseen_stimulus"]["mrr"]["mean"] == pytest.approx(expected)
    assert difference["splits"]["unseen_stimulus"]["mrr"]["low"] is None  # one seed has no interval
    used = yaml.safe_load((out / "pretrained/seed0/config.yaml").read_text())
    assert used["model"]["init_args"]["encoder_weights"] == str(out / "prepared/all/maeeg/seed0/encoder")
    assert "pretrained - untrained" in capsys.readouterr().out

    def times():
        return {path: path.stat().st_mtime_ns for path in out.rglob("test.json")}

    before = times()
    capsys.readouterr()
    assert sweep(plan, out, tiny_store, "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((out / "sweep.json").read_text()) == found
    assert times() == before
    (out / "pretrained/seed0/test.json").unlink()
    assert sweep(plan, out, tiny_store) == 0
    now = times()
    assert {path for path, time in now.items() if before.get(path) != time} == {out / "pretrained/seed0/test.json"}


def test_a_changed_config_is_run_again(tmp_path: Path):
    (tmp_path / "part.yaml").write_text("max_steps: 4")
    (tmp_path / "a.yaml").write_text("trainer: part.yaml\nmodel: {name: other}")
    first = content_hash([tmp_path / "a.yaml"])
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / DONE).write_text(json.dumps({"options": ["--x=1"], "configs": first}))
    assert _finished(folder, {"options": ["--x=1"], "configs": content_hash([tmp_path / "a.yaml"])}, tested=False)
    (tmp_path / "part.yaml").write_text("max_steps: 5")
    assert not _finished(folder, {"options": ["--x=1"], "configs": content_hash([tmp_path / "a.yaml"])}, tested=False)


def test_a_second_sweep_is_kept_out(tmp_path: Path, tiny_store: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    with sole_writer(out, "sweep"):
        assert sweep(write_plan(tmp_path), out, tiny_store) == 1
    assert "out: in use by another process (sweep, process" in capsys.readouterr().err
    out.write_text("")
    assert sweep(write_plan(tmp_path), out, tiny_store) == 1
    assert "out: a file, not a folder; name another (OUT)" in capsys.readouterr().err


def test_a_full_disk_ends_a_sweep(tmp_path: Path, tiny_store: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "config.yaml")

    monkeypatch.setattr(lightning, "StageCLI", full)
    runs = Runs(read_sweep(write_plan(tmp_path)), tmp_path / "out", [], False)
    with pytest.raises(DiskError, match=r"config\.yaml: No space left"):
        runs.run({"encoder": "untrained"}, 0)


def test_what_fails_is_reported_and_the_rest_is_run(
    tmp_path: Path, tiny_store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    window = {"bad": ["--data.window=0.7"], "worse": ["--data.windw=0.64"], "good": []}
    plan = write_plan(tmp_path, prepare={}, factors={"window": window})
    assert sweep(plan, tmp_path / "out", tiny_store) == 1
    found = json.loads((tmp_path / "out/sweep.json").read_text())
    assert [condition["levels"] for condition in found["conditions"]] == [{"window": "good"}]
    assert set(found["failed"]) == {"bad/seed0", "worse/seed0"}
    assert "data.window" in found["failed"]["bad/seed0"]
    error = capsys.readouterr().err
    assert "did you mean --data.window?" in error
    assert "error: bad/seed0: " in error


def test_earlier_stages_have_the_data_options_of_the_condition(tmp_path: Path):
    factors = {
        "person": {"a": ["--data.split.test_subjects=[a]"], "b": ["--data.split.test_subjects=[b]"]},
        "pairs": {"few": ["--data.train_fraction=0.1"], "all": []},
    }
    plan = read_sweep(write_plan(tmp_path, factors=factors))
    prepared = [plan.prepared_for(levels) for levels in plan.conditions()]
    assert prepared == [{"person": "a"}, {"person": "a"}, {"person": "b"}, {"person": "b"}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": ["gone.yaml"]}, ["gone.yaml", "config"]),
        ({"factor": {}}, ["prepare", "factors"]),
        ({"factors": {"a": {"b": ["--x", "1"]}}}, ["factors.a.b", "--data.train_fraction=0.1"]),
        ({"factors": {"a": {"b/c": []}}}, ["'b/c'"]),
        ({"factors": {"a": []}}, ["factors.a"]),
        ({"over": "person"}, ["over=person", "encoder"]),
    ],
)
def test_mistakes_in_a_config_get_one_line(
    tmp_path: Path, changes: dict, words: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(["sweep", str(write_plan(tmp_path, **changes)), str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "\n" not in error
    assert all(word in error for word in words), error


@pytest.mark.parametrize("plan", sorted((ROOT / "configs/sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_sweep_holds_options_that_its_stage_accepts(plan: Path, capsys: pytest.CaptureFixture[str]):
    read = read_sweep(plan)
    configs = [f"--config={file}" for file in read.config]
    levels = {name: list(of) for name, of in read.factors.items()}
    for row in range(max(map(len, levels.values()))):  # every level at least once, those of all factors together
        options = read.options_of({name: of[row % len(of)] for name, of in levels.items()})
        assert all("{" not in option or option.split("{")[1].split("}")[0] in read.prepare for option in options)
        with pytest.raises(SystemExit) as left:
            main(["fit", *configs, *options, "--print_config"])
        assert left.value.code == 0, capsys.readouterr().err
