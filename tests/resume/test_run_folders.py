"""No start writes over another run, and no two processes write into one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forked
import pytest

from eeg2speech.checkpoints.parts import read_checkpoint
from eeg2speech.cli import lightning, main
from eeg2speech.cli.generate import _sole_writer as generating
from eeg2speech.core import folder_locks as at_work
from eeg2speech.core.errors import ConfigError, DiskError
from eeg2speech.core.folder_locks import first_rank, guest, sole_writer
from eeg2speech.training import AtomicCheckpoint
from eeg2speech.training.resuming import is_of
from eeg2speech.training.run_folder import holds_run, set_aside

ROOT = Path(__file__).parents[2]
Stage = Callable[..., int]


@pytest.fixture
def stage(tmp_path: Path, tiny_store: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Run a stage for four steps in an empty folder, without what takes long; other processes are not waited for."""
    monkeypatch.chdir(tmp_path)
    for name in ("PATIENCE", "LONG_PATIENCE"):
        monkeypatch.setattr(lightning, name, 0.0)
    monkeypatch.setattr(at_work, "PATIENCE", 0.0)
    return lambda command, *options: main([command, *words(tiny_store, *options)])


def words(store: Path, *options: str) -> list[str]:
    configs = ("configs/maeeg.yaml", "tests/conf/tiny.yaml", "tests/conf/bare.yaml")
    given = [f"--config={ROOT / name}" for name in configs]
    if not any(option.startswith("--run") for option in options):
        given.append("--run=runs/m")
    return [*given, f"--data.store={store}", "--trainer.max_steps=4", *options]


def content(folder: Path) -> dict[str, bytes]:
    """Of every file in a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def said(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture(scope="module")
def finished(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/m, and runs/m.1 that was put aside for it; only to be read."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", *words(tiny_store)]) == 0
        assert main(["fit", *words(tiny_store, "--seed_everything=5")]) == 0
    return folder


@pytest.fixture
def two_runs(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "runs", tmp_path / "runs")


@pytest.fixture
def one_run(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "runs/m.1", tmp_path / "runs/m")


EXPORT = "--trainer.callbacks+={class_path: eeg2speech.training.ExportEncoder}"


@pytest.fixture(scope="module")
def exported(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its export, and with a store and a checkpoint put into its folder; only to be read."""
    run = tmp_path_factory.mktemp("exported") / "runs/m"
    assert main(["fit", *words(tiny_store, f"--run={run}"), EXPORT]) == 0
    shutil.copytree(tiny_store, run / "store")
    (run / "old").mkdir()
    shutil.copy(run / "checkpoints/last.ckpt", run / "old/x.ckpt")
    return run


@pytest.mark.usefixtures("two_runs")
def test_going_on_with_an_older_run_sets_the_newer_aside(stage: Stage, tmp_path: Path):
    runs = tmp_path / "runs"
    older, newer = content(runs / "m.1"), content(runs / "m")
    assert stage("fit", "--ckpt_path=runs/m.1/checkpoints/last.ckpt", "--trainer.max_steps=8", EXPORT) == 0
    assert names(runs) == ["m", "m.1", "m.2"]
    assert content(runs / "m.1") == older
    assert content(runs / "m.2") == newer
    assert names(runs / "m/checkpoints") == ["best.ckpt", "last.ckpt"]
    best = read_checkpoint(runs / "m/checkpoints/best.ckpt")
    assert best["global_step"] == 8  # of what was trained here, not of the folder it came from
    assert (runs / "m/encoder/encoder.safetensors").is_file()


def test_the_best_of_another_folder_is_not_taken_for_this_ones(tmp_path: Path):
    here = tmp_path / "checkpoints"
    old = str(here / "best.ckpt")  # where it was written, before that folder was set aside
    state = {
        "best_model_path": old, "best_model_score": 0.1, "best_k_models": {old: 0.1}, "kth_best_model_path": old,
        "kth_value": 0.1, "last_model_path": str(here / "last.ckpt"), "dirpath": str(here), "monitor": "val/nmse",
    }  # fmt: skip
    for there in (False, True):
        saver = AtomicCheckpoint(dirpath=here, monitor="val/nmse", filename="best")
        if there:
            here.mkdir()
            (here / "best.ckpt").touch()
        saver.load_state_dict(dict(state))
        assert (saver.best_model_path, saver.best_k_models) == ((old, {old: 0.1}) if there else ("", {}))


@pytest.mark.usefixtures("one_run")
def test_an_older_checkpoint_of_the_same_run_is_refused(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "runs/m"
    (run / "checkpoints/best.ckpt").rename(run / "checkpoints/early.ckpt")
    assert stage("fit", "--trainer.max_steps=8", "--ckpt_path=last") == 0
    before = content(run)
    assert stage("fit", "--trainer.max_steps=8", "--ckpt_path=runs/m/checkpoints/early.ckpt") == 1
    assert "at step 4; going on from it would write over runs/m/checkpoints/last.ckpt of step 8" in said(capsys)
    assert content(run) == before
    other = ("--run=runs/other", "--ckpt_path=runs/m/checkpoints/early.ckpt", "--trainer.max_steps=6")
    assert stage("fit", *other) == 0
    assert content(run) == before


@pytest.mark.usefixtures("two_runs")
@pytest.mark.parametrize("command", ["fit", "validate"])
def test_a_name_means_the_run_its_config_lies_in(
    stage: Stage, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
):
    before = content(tmp_path / "runs")
    assert main([command, "--config", "runs/m.1/config.yaml", "--ckpt_path", "last"]) == 1
    line = said(capsys)
    assert "runs/m.1/config.yaml: contains run=runs/m" in line
    assert "--run runs/m.1 or --run runs/m" in line
    assert content(tmp_path / "runs") == before


@pytest.mark.usefixtures("two_runs", "stage")
def test_a_config_of_either_run_is_used_if_the_run_is_clear():
    assert main(["validate", "--config", "runs/m.1/config.yaml", "--run", "runs/m.1", "--ckpt_path", "last"]) == 0
    assert main(["validate", "--config", "runs/m/config.yaml", "--ckpt_path", "last"]) == 0


@pytest.mark.usefixtures("two_runs")
def test_a_start_that_fails_elsewhere_puts_the_newer_run_back(stage: Stage, tmp_path: Path):
    before = content(tmp_path / "runs")
    gone = "--model.init_args.encoder_weights=gone"
    assert stage("fit", "--ckpt_path=runs/m.1/checkpoints/last.ckpt", "--trainer.max_steps=8", gone) == 1
    assert content(tmp_path / "runs") == before


LEFT = ("test.json", "events.out.tfevents.1.host.2.3", "checkpoints/last.ckpt")


@pytest.mark.parametrize("left", LEFT)
def test_whatever_a_run_left_counts_as_a_run(tmp_path: Path, left: str):
    run, file = tmp_path / "m", tmp_path / "m" / left
    run.mkdir()
    assert not holds_run(run)
    file.parent.mkdir(exist_ok=True)
    file.write_text("of an earlier run")
    assert holds_run(run)
    assert set_aside(run, {}) == tmp_path / "m.1"
    assert content(tmp_path / "m.1") == {left: b"of an earlier run"}


@pytest.mark.parametrize("left", [LEFT[0], *(pytest.param(left, marks=pytest.mark.slow) for left in LEFT[1:])])
def test_whatever_a_run_left_is_set_aside(stage: Stage, tmp_path: Path, left: str):
    file = tmp_path / "runs/m" / left
    file.parent.mkdir(parents=True)
    file.write_text("of an earlier run")
    assert stage("fit", "--trainer.max_steps=1") == 0
    assert content(tmp_path / "runs/m.1") == {left: b"of an earlier run"}
    assert not (tmp_path / "runs/m/test.json").exists()
    assert len(list((tmp_path / "runs/m").glob("events.*"))) == 1


def test_a_folder_with_a_config_alone_is_used(stage: Stage, tmp_path: Path):
    (tmp_path / "runs/m").mkdir(parents=True)
    (tmp_path / "runs/m/config.yaml").write_text("trainer: {}")
    assert stage("fit", "--config=runs/m/config.yaml", "--trainer.max_steps=1") == 0
    assert names(tmp_path / "runs") == ["m"]
    assert (tmp_path / "runs/m/config.yaml").read_text() == "trainer: {}"
    assert (tmp_path / "runs/m/config.1.yaml").is_file()


@pytest.mark.parametrize("run", [".", pytest.param("../here", marks=pytest.mark.slow), "../link"])
def test_the_current_folder_is_never_moved(
    stage: Stage, tmp_path: Path, run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    assert stage("fit", f"--run={run}") == 0
    before = content(tmp_path / "here")
    assert stage("fit", f"--run={run}") == 1
    assert "the current folder is in it" in said(capsys)
    assert content(tmp_path / "here") == before
    assert names(tmp_path) == ["here", "link"]
    assert stage("fit", f"--run={run}", "--ckpt_path=last", "--trainer.max_steps=6") == 0
    assert read_checkpoint(tmp_path / "here/checkpoints/last.ckpt")["global_step"] == 6


@pytest.mark.parametrize(
    ("where", "option"),
    [("store", "--data.store"), ("encoder", "--model.init_args.encoder_weights"), ("old/x.ckpt", "--ckpt_path")],
)
def test_what_a_start_needs_is_not_set_aside(
    stage: Stage, tmp_path: Path, exported: Path, where: str, option: str, capsys: pytest.CaptureFixture[str]
):
    run = shutil.copytree(exported, tmp_path / "runs/m")
    before = content(run)
    assert stage("fit", f"{option}={run / where}") == 1
    assert f"{option.removeprefix('--')}={run / where}: lies in run=runs/m" in said(capsys)
    assert content(run) == before
    assert names(tmp_path / "runs") == ["m"]


@pytest.mark.parametrize("run", ["", "store", "store/deep/m"])
def test_a_run_has_a_folder_of_its_own(
    stage: Stage, tmp_path: Path, tiny_store: Path, run: str, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(tiny_store, tmp_path / "store")
    before = content(tmp_path)
    for command in ("fit", "validate"):
        assert stage(command, f"--run={run}", "--data.store=store") == 1
        assert said(capsys) == (
            f"error: run={run}: lies in the store store; name another folder (--run)"
            if run
            else "error: run is empty: name a folder (--run)"
        )
    assert content(tmp_path) == before
    assert names(tmp_path) == ["store"]


def test_a_checkpoint_is_of_a_run_by_any_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m/checkpoints").mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/checkpoints").symlink_to(tmp_path / "scratch")
    for file in ("m/checkpoints/last.ckpt", "m/last.ckpt", "scratch/last.ckpt"):
        (tmp_path / file).touch()
    (tmp_path / "alias").symlink_to(tmp_path / "m")
    (tmp_path / "alias.ckpt").symlink_to(tmp_path / "m/checkpoints/last.ckpt")
    run = Path("m")
    for own in ("m/checkpoints/last.ckpt", str(tmp_path / "m/checkpoints/last.ckpt"), "m/../m/checkpoints/last.ckpt",
                "alias/checkpoints/last.ckpt", "alias.ckpt"):  # fmt: skip
        assert is_of(Path(own), run), own
        assert is_of(Path(own), tmp_path / "alias"), own
    for other in ("m/last.ckpt", "scratch/last.ckpt"):
        assert not is_of(Path(other), run), other
    assert is_of(Path("scratch/last.ckpt"), Path("linked"))
    assert is_of(Path("linked/checkpoints/last.ckpt"), Path("linked"))


def test_a_link_is_renamed_and_what_it_names_stays(tmp_path: Path):
    (tmp_path / "scratch/checkpoints").mkdir(parents=True)
    (tmp_path / "m").symlink_to(tmp_path / "scratch")
    (tmp_path / "m.1").symlink_to(tmp_path / "gone")  # dangling, and taken all the same
    assert holds_run(tmp_path / "m")
    assert set_aside(tmp_path / "m", {}) == tmp_path / "m.2"
    assert names(tmp_path) == ["m.1", "m.2", "scratch"]
    assert (tmp_path / "m.2").resolve() == tmp_path / "scratch"


# two processes


@pytest.mark.usefixtures("one_run")
def test_a_second_fit_is_refused_and_tests_are_not(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    before = content(tmp_path / "runs/m")
    with sole_writer(Path("runs/m"), "fit"):
        for options in ((), ("--ckpt_path=last",), ("--run=runs/../runs/m",)):
            assert stage("fit", *options) == 1
            assert f"in use by another process (fit, process {os.getpid()} on {os.uname().nodename})" in said(capsys)
        assert content(tmp_path / "runs/m") == before
        assert names(tmp_path / "runs") == [".m.writing", "m"]
        assert stage("fit", "--run=runs/other") == 0
        assert stage("validate", "--ckpt_path=best") == 0
    assert names(tmp_path / "runs") == ["m", "other"]
    assert {name for name in names(tmp_path / "runs/m") if name.startswith("config")} == {
        "config.yaml",
        "config.1.yaml",
    }


@pytest.mark.usefixtures("one_run")
def test_a_folder_is_not_moved_from_under_a_test(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    checkpoints = content(tmp_path / "runs/m/checkpoints")
    with guest(Path("runs/m"), "test"):
        assert stage("fit") == 1
        assert "in use by another process (test, process" in said(capsys)
        assert content(tmp_path / "runs/m/checkpoints") == checkpoints
        assert stage("fit", "--ckpt_path=last", "--trainer.max_steps=6") == 0
    assert stage("fit") == 0
    assert names(tmp_path / "runs") == ["m", "m.1"]


def test_a_run_stays_where_speech_is_generated_into_it(tmp_path: Path):
    run = tmp_path / "m"
    (run / "checkpoints").mkdir(parents=True)
    with generating(run / "generated"):
        with pytest.raises(ConfigError, match=r"m: in use by another process \(generate"):
            set_aside(run, {})
        with pytest.raises(ConfigError, match=r"generated: in use .* \(--out\)"), generating(run / "generated"):
            pass
    assert names(run) == ["checkpoints"]
    assert set_aside(run, {}) == tmp_path / "m.1"


@pytest.mark.slow
def test_of_two_starts_at_once_each_run_is_whole(tiny_store: Path, tmp_path: Path):
    def start(seed: int) -> int:
        argv = words(tiny_store, f"--run={tmp_path / 'runs/m'}", f"--seed_everything={seed}")
        return forked.run(["fit", *argv], tmp_path / f"log{seed}")[0]

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(start, (1, 2)))
    folders = names(tmp_path / "runs")
    assert (statuses, folders) in (([0, 1], ["m"]), ([0, 0], ["m", "m.1"]))  # refused, or waited for the other's end
    for folder in folders:
        assert names(tmp_path / "runs" / folder / "checkpoints") == ["best.ckpt", "last.ckpt"]
        assert read_checkpoint(tmp_path / "runs" / folder / "checkpoints/last.ckpt")["global_step"] == 4
        assert len(list((tmp_path / "runs" / folder).glob("config*.yaml"))) == 1
        assert len(list((tmp_path / "runs" / folder).glob("events.*"))) == 1


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0", "GROUP_RANK": "1"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"NODE_RANK": "1"}, False),
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "3"}, False),
        ({"LOCAL_RANK": "0", "SLURM_PROCID": "3"}, True),
        ({"OMPI_COMM_WORLD_RANK": "1"}, False),
    ],
)
def test_one_rank_holds_the_folder_for_all(variables: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch):
    for name in (*at_work._RANKS, "NODE_RANK", "GROUP_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert first_rank() == first


# folders that cannot be made


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


NOT_MADE = [
    ("file", "a file, not a folder"),
    ("file/m", "Not a directory"),
    ("runs/" + "x" * 260, "File name too long"),
    ("runs/" + "x" * 250, "File name too long"),  # of the lock's
    ("dangling", "File exists"),
]


@pytest.mark.parametrize(
    ("command", "run", "reason"),
    [
        *(("fit", *case) for case in NOT_MADE),
        ("validate", *NOT_MADE[0]),
        *(pytest.param("validate", *case, marks=pytest.mark.slow) for case in NOT_MADE[1:]),
    ],
)
def test_a_folder_that_cannot_be_made_is_named_at_once(
    stage: Stage, tmp_path: Path, command: str, run: str, reason: str, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    assert stage(command, f"--run={run}") == 1
    line = said(capsys)
    assert reason in line
    assert line.endswith("(--run)")
    assert names(tmp_path) == ["dangling", "file"]


def test_a_read_only_disk_is_named(read_only: Path, tmp_path: Path):
    with pytest.raises(DiskError, match=r"m: cannot be written \(Read-only file system\)"):  # noqa: SIM117
        with sole_writer(read_only / "m", "fit"):
            pass


def test_a_start_that_fails_leaves_no_empty_folder(stage: Stage, tmp_path: Path):
    assert stage("fit", "--data.window=0.7") == 1
    assert names(tmp_path) == []
    (tmp_path / "runs/m").mkdir(parents=True)
    assert stage("fit", "--data.window=0.7") == 1
    assert names(tmp_path / "runs") == ["m"]  # it was there


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_a_seed_out_of_range_is_named(stage: Stage, seed: str, capsys: pytest.CaptureFixture[str]):
    assert stage("fit", f"--seed_everything={seed}") == 1
    assert f"seed_everything={seed} is not in 0 to 4294967295" in said(capsys)


def test_a_run_without_a_logger_trains(stage: Stage, tmp_path: Path):
    rate = "--trainer.callbacks+={class_path: lightning.pytorch.callbacks.LearningRateMonitor}"
    assert stage("fit", "--trainer.logger=false", "--trainer.max_steps=1", rate) == 0
    assert names(tmp_path / "runs/m") == ["checkpoints", "config.yaml"]
    assert stage("fit", "--trainer.logger=false", "--trainer.max_steps=1", rate) == 0
    assert names(tmp_path / "runs") == ["m", "m.1"]
