"""Runs that are told to make room at any moment, and go on as if they had not been."""

from __future__ import annotations

import builtins
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forked
import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.plugins.environments import SLURMEnvironment

from eeg2speech import cli
from eeg2speech.cli import main
from eeg2speech.core import slurm
from eeg2speech.core.errors import ConfigError
from eeg2speech.core.signals import SignalNote
from eeg2speech.training import GracefulInterrupt

ROOT = Path(__file__).parents[2]
HERE = "tests.training.signal_callbacks"
Fit = Callable[..., int]


@pytest.fixture(autouse=True)
def _outside_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)


def words(store: Path, run: Path | str, *more: str) -> list[str]:
    configs = (ROOT / "configs/maeeg.yaml", ROOT / "tests/conf/tiny.yaml", ROOT / "tests/conf/bare.yaml")
    given = [word for config in configs for word in ("--config", str(config))]
    return ["fit", *given, "--data.store", str(store), "--run", str(run), f"--trainer.callbacks+={HERE}.Done", *more]


def tell(name: str, moment: str = "step", at: int = 0, rank: int = 0) -> str:
    told = f"{{name: {name}, moment: {moment}, at: {at}, rank: {rank}}}"
    return f"--trainer.callbacks+={{class_path: {HERE}.Tell, init_args: {told}}}"


@pytest.fixture
def fit(tmp_path: Path, tiny_store: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    monkeypatch.chdir(tmp_path)

    def run(name: str, *more: str) -> int:
        try:
            return main(words(tiny_store, f"runs/{name}", *more))
        except SystemExit as left:
            return int(left.code or 0)

    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_store: Path) -> Path:
    """A run that nobody stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main(words(tiny_store, run)) == 0
    return run


def same(ours: object, theirs: object) -> bool:
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


def as_if_not_stopped(run: Path, whole: Path) -> None:
    assert (run / "done").read_text() == (whole / "done").read_text()  # nothing lost, nothing done twice
    ours, theirs = (torch.load(folder / "checkpoints/last.ckpt", weights_only=True) for folder in (run, whole))
    for key in ("global_step", "epoch", "state_dict", "optimizer_states", "lr_schedulers", "loops"):
        assert same(ours[key], theirs[key]), key
    assert not (run / "checkpoints/preempted.ckpt").exists()
    assert not run.with_name(f"{run.name}.1").exists()


STATUS = {"SIGTERM": 75, "SIGUSR1": 75, "SIGINT": 130}
MOMENTS = [("start", 0), ("step", 3), ("validation", 4), ("saving", 4)]


QUICK = {
    ("SIGTERM", "start", 0), ("SIGUSR1", "step", 3), ("SIGINT", "step", 5), ("SIGTERM", "validation", 4),
    ("SIGTERM", "saving", 4),
}  # fmt: skip
"""Each signal and each moment at least once."""


@pytest.mark.parametrize(
    ("name", "moment", "at"),
    [
        pytest.param(name, *when, marks=() if (name, *when) in QUICK else pytest.mark.slow)
        for name in STATUS
        for when in [*MOMENTS, ("step", 0), ("step", 5)]
    ],
)
def test_one_process_goes_on_where_it_was_told_to_leave(
    fit: Fit, whole: Path, tmp_path: Path, name: str, moment: str, at: int
):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    assert fit("cut", tell(name, moment, at)) == STATUS[name]
    assert [signal.getsignal(number) for number in numbers] == before
    saved = tmp_path / "runs/cut/checkpoints" / ("last.ckpt" if name == "SIGINT" else "preempted.ckpt")
    assert saved.is_file() == (moment != "start")
    assert fit("cut", "--ckpt_path", "auto") == 0
    as_if_not_stopped(tmp_path / "runs/cut", whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", STATUS)
@pytest.mark.parametrize(("moment", "at"), MOMENTS)
def test_two_ranks_leave_together_when_one_is_told(
    tiny_store: Path, tmp_path: Path, whole_of_two: Path, name: str, moment: str, at: int
):
    run, log = tmp_path / "run", tmp_path / "log"
    rank = -1 if name == "SIGINT" else 0 if moment == "saving" else 1
    told = forked.run(words(tiny_store, run, *PAIR, tell(name, moment, at, rank)), log, 2)
    assert told == [STATUS[name]] * 2, said(tmp_path)
    assert forked.run(words(tiny_store, run, *PAIR, "--ckpt_path", "auto"), log, 2) == [0, 0], said(tmp_path)
    as_if_not_stopped(run, whole_of_two)


PAIR = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.batch_size", "4"]


@pytest.fixture(scope="module")
def whole_of_two(tmp_path_factory: pytest.TempPathFactory, tiny_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("two")
    assert forked.run(words(tiny_store, folder / "run", *PAIR), folder / "log", 2) == [0, 0], said(folder)
    return folder / "run"


def said(folder: Path) -> str:
    return "".join(file.read_text()[-3000:] for file in sorted(folder.glob("log.*")))


AGAIN = [("step", 1), ("step", 3), ("validation", 4), ("step", 4), ("step", 6)]


@pytest.mark.parametrize(
    "moments", [AGAIN[:1] + AGAIN[2:4], pytest.param(AGAIN, marks=pytest.mark.slow)], ids=["three", "five"]
)
def test_a_run_may_be_stopped_again_and_again(fit: Fit, whole: Path, tmp_path: Path, moments: list[tuple[str, int]]):
    for moment, at in moments:
        assert fit("cut", tell("SIGTERM", moment, at), "--ckpt_path", "auto") == 75
    assert fit("cut", "--ckpt_path", "auto") == 0
    as_if_not_stopped(tmp_path / "runs/cut", whole)


@pytest.mark.parametrize(("moment", "at"), [("step", 7), ("validation", 8)])
def test_the_last_step_is_finished(fit: Fit, whole: Path, tmp_path: Path, moment: str, at: int):
    assert fit("cut", tell("SIGTERM", moment, at)) == 0
    as_if_not_stopped(tmp_path / "runs/cut", whole)


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 75), pytest.param("SIGINT", 130, marks=pytest.mark.slow)])
def test_gradients_being_gathered_are_not_lost(fit: Fit, tmp_path: Path, name: str, status: int):
    gathered = ["--trainer.accumulate_grad_batches", "2", "--trainer.max_steps", "4", "--data.batch_size", "4"]
    assert fit("whole", *gathered) == 0
    assert fit("cut", tell(name, "step", 2), *gathered) == status
    assert fit("cut", *gathered, "--ckpt_path", "auto") == 0
    as_if_not_stopped(tmp_path / "runs/cut", tmp_path / "runs/whole")


def test_gradients_being_gathered_over_a_validation_are_not_lost(fit: Fit, tmp_path: Path):
    gathered = ["--trainer.accumulate_grad_batches", "2", "--trainer.max_steps", "4", "--data.batch_size", "4"]
    gathered += ["--trainer.val_check_interval", "3"]
    assert fit("whole", *gathered) == 0
    assert fit("cut", tell("SIGTERM", "validation", 1), *gathered) == 75
    assert torch.load(tmp_path / "runs/cut/checkpoints/preempted.ckpt", weights_only=True)["global_step"] == 2
    assert fit("cut", *gathered, "--ckpt_path", "auto") == 0
    ours, theirs = (tmp_path / f"runs/{name}" for name in ("cut", "whole"))
    assert (ours / "done").read_text() == (theirs / "done").read_text()


def test_a_second_ctrl_c_leaves_at_once_even_after_another_signal():
    note, before = SignalNote(), signal.getsignal(signal.SIGINT)
    assert note.take(signal.SIGINT, signal.SIGTERM) == [signal.SIGINT, signal.SIGTERM]
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        note.give_back(signal.SIGINT, signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before
    assert note.number == 0


def command(store: Path, run: Path, *more: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "eeg2speech", *words(store, run, *more)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_signal_in_the_imports_is_kept(
    tiny_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],  # streams of its own, whose settings the console script changes
):
    """The console script, told when it is about to import what takes seconds."""
    told, imported = [], builtins.__import__

    def importing(name: str, *more: Any, **named: Any) -> Any:
        if name == "eeg2speech.cli.lightning" and not told:
            told.append(name)
            os.kill(os.getpid(), signal.SIGTERM)
        return imported(name, *more, **named)

    monkeypatch.setattr(sys, "argv", ["eeg2speech", *words(tiny_store, tmp_path / "run")])
    monkeypatch.setattr(builtins, "__import__", importing)
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # a signal that is not kept must not end the tests
    try:
        with pytest.raises(SystemExit, match="75"):
            cli.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == ["eeg2speech.cli.lightning"]
    assert "nothing was trained" in caplog.text
    assert not (tmp_path / "run/done").exists()


@pytest.mark.slow
def test_a_signal_in_the_imports_of_a_process_is_kept(tiny_store: Path, tmp_path: Path):
    process = command(tiny_store, tmp_path / "run")
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 75, said
    assert "nothing was trained" in said
    assert not (tmp_path / "run/done").exists()


def test_auto_starts_anew_where_there_is_nothing(fit: Fit, whole: Path, tmp_path: Path):
    assert fit("cut", "--ckpt_path", "auto") == 0
    as_if_not_stopped(tmp_path / "runs/cut", whole)


def test_a_full_disk_costs_the_steps_since_the_last_checkpoint(
    fit: Fit, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    checkpoints = tmp_path / "runs/cut/checkpoints"
    with monkeypatch.context() as patched:
        save = pl.Trainer.save_checkpoint

        def full(trainer: pl.Trainer, file: Path, *more: object) -> None:
            if "preempted" not in str(file):
                save(trainer, file, *more)

        patched.setattr(pl.Trainer, "save_checkpoint", full)
        # half a file that a killed process left must not pass for what could not be saved
        left = f"--trainer.callbacks+={{class_path: {HERE}.LeaveHalf}}"
        assert fit("cut", left, tell("SIGTERM", "step", 5)) == 75
    assert sorted(file.name for file in checkpoints.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert "could not be saved" in caplog.text
    assert fit("cut", "--ckpt_path", "auto") == 0
    done = (tmp_path / "runs/cut/done").read_text().split("\n")
    again = [line for line in done if line not in ("step 5", "step 6")]
    assert again == [line for line in (whole / "done").read_text().split("\n") if line not in ("step 5", "step 6")]
    assert done.count("step 5") == done.count("step 6") == 2


def test_a_damaged_checkpoint_is_passed_over(fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    checkpoints = tmp_path / "runs/cut/checkpoints"
    assert fit("cut", tell("SIGTERM", "step", 5)) == 75
    (checkpoints / "preempted.ckpt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.warns(UserWarning, match=r"preempted\.ckpt: not a readable checkpoint.*older .*last\.ckpt"):
        assert fit("cut", "--ckpt_path", "auto") == 0
    for name in ("preempted.ckpt", "last.ckpt"):
        (checkpoints / name).write_bytes(b"cut short")
    assert fit("cut", "--ckpt_path", "auto") == 1
    assert "--run names another folder" in capsys.readouterr().err


def test_a_job_that_is_started_again_goes_on(fit: Fit, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = tmp_path / "runs/cut"
    shutil.copytree(whole, run)  # an earlier run, finished
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(slurm, "requeue", lambda: None)
    assert fit("cut", tell("SIGTERM", "step", 5)) == 75
    assert run.with_name("cut.1").is_dir()
    shutil.rmtree(run.with_name("cut.1"))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert fit("cut") == 0
    as_if_not_stopped(run, whole)


def test_a_job_never_goes_on_from_another_jobs_run(fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLURM_JOB_ID", "6")
    short = "--trainer.max_steps=4"
    assert fit("cut", "--seed_everything", "1", short) == 0
    # started again before it had come to putting the earlier run aside
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert fit("cut", short) == 0
    assert (tmp_path / "runs/cut.1").is_dir()
    assert (tmp_path / "runs/cut/done").read_text().startswith("step 1\n")


def test_lightnings_own_handlers_stay_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    # two private names of Lightning's; without them it saves in the middle of collective operations
    for name, value in {"NTASKS": "1", "JOB_ID": "7", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setattr(SLURMEnvironment, "_validate_srun_used", staticmethod(lambda: None))
    seen: list[object] = []

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            seen.extend(signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1))

    trainer = pl.Trainer(
        max_steps=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[GracefulInterrupt(), Look()],
        plugins=[SLURMEnvironment(auto_requeue=True)],
    )
    loop = trainer.fit_loop.epoch_loop
    assert callable(trainer._signal_connector.register_signal_handlers)
    assert callable(loop._broadcast_sigterm_tensor)
    model = BoringModel()
    trainer.fit(model, torch.utils.data.DataLoader(torch.randn(2, 32)))
    assert [getattr(handler, "__qualname__", handler) for handler in seen] == ["SignalNote._note"] * 2
    assert "register_signal_handlers" in vars(trainer._signal_connector)
    assert "_broadcast_sigterm_tensor" in vars(loop)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"NTASKS": "2"}, "put srun before"),
        ({"NTASKS": "2", "STEP_ID": "0"}, "--ntasks-per-node"),
        ({"NTASKS": "2", "STEP_ID": "0", "NTASKS_PER_NODE": "2"}, None),
        ({"NTASKS": "1"}, None),
        ({"NTASKS": "2", "JOB_NAME": "bash"}, None),
    ],
)
def test_tasks_that_nobody_starts_are_not_waited_for(
    given: dict[str, str], said: str | None, monkeypatch: pytest.MonkeyPatch
):
    for name, value in {"JOB_ID": "7", **given}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    if said is None:
        slurm.check_launch()
    else:
        with pytest.raises(ConfigError, match=said):
            slurm.check_launch()


@pytest.mark.parametrize(
    ("state", "status", "asked", "reason"),
    [("RUNNING", 0, True, None), ("COMPLETING", 0, False, "cancelled"), ("RUNNING", 1, True, "disabled")],
)
def test_one_of_an_array_is_started_again_unless_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, status: int, asked: bool, reason: str | None
):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(
        f'#!/bin/sh\nif [ $1 = show ]; then echo "JobId=9 JobState={state} Reason=None"; exit 0; fi\n'
        f'echo "$@" >> {tmp_path}/asked\necho disabled >&2\nexit {status}\n'
    )
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name, value in {"JOB_ID": "9", "ARRAY_JOB_ID": "7", "ARRAY_TASK_ID": "2"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    answer = slurm.requeue()
    assert answer is None if reason is None else reason in str(answer)
    assert (tmp_path / "asked").exists() == asked
    assert not asked or (tmp_path / "asked").read_text() == "requeue 7_2\n"


def test_ranks_that_stand_at_different_steps_are_told_apart(monkeypatch: pytest.MonkeyPatch):
    callback = GracefulInterrupt()
    monkeypatch.setattr(callback, "_maximum", lambda numbers: [0, 12, -8])
    with pytest.raises(ConfigError, match="steps 8 to 12"):
        callback._exchange(SimpleNamespace(global_step=8))
