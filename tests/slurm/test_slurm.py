"""Stage 1 as a job of a real SLURM: two ranks, stopped in every way that a cluster has; nothing lost or repeated."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.slurm.slurm_cluster import PROGRAMS, Lab, program, wait

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).parents[2]
STEPS, EVERY = 24, 8
LONG = 240
"""Seconds that a busy machine may take for what should take ten."""
WHOLE = sorted(
    [*(("step", n) for n in range(1, STEPS + 1)), *(("validation", n) for n in range(EVERY, STEPS + 1, EVERY))]
)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """SLURM, where there are root and the packages."""
    missing = [name for name in PROGRAMS if program(name) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and `apt-get install slurmctld slurmd slurm-client munge`; missing: {missing}")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        lab = Lab(Path(folder))
        try:
            lab.up()
            yield lab
        finally:
            lab.down()


class Job:
    """Stage 1 on the tiny store, submitted with configs/slurm/stage.sbatch."""

    def __init__(
        self, lab: Lab, folder: Path, store: Path, *options: str, pause: float = 0.2, words: tuple = ()
    ) -> None:
        self.lab, self.folder = lab, folder
        folder.mkdir(exist_ok=True)
        command = folder / "eeg2speech"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m eeg2speech "$@"\n')
        command.chmod(0o755)
        fit = ["--config", str(ROOT / "configs/maeeg.yaml"), "--config", str(ROOT / "tests/conf/tiny.yaml")]
        fit += ["--data.store", str(store), "--run", str(folder / "run"), "--trainer.max_steps", str(STEPS)]
        fit += [f"--trainer.val_check_interval={EVERY}", "--data.batch_size=4"]
        fit += [f"--trainer.callbacks+={{class_path: tests.slurm.traced.Trace, init_args: {{pause: {pause}}}}}", *words]
        self.id = lab.run(
            *("sbatch", "--parsable", "--ntasks-per-node=2", "--cpus-per-task=1", "-o", str(folder / "log"), *options),
            *(str(ROOT / "configs/slurm/stage.sbatch"), *fit),
            EEG2SPEECH=str(command),
            TRAINER=str(ROOT / "tests/slurm/two_processors.yaml"),
            PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            OMP_NUM_THREADS="1",
        )

    def shown(self, name: str) -> str:
        found = re.search(
            rf"\b{name}=(\S+)", self.lab.run("scontrol", "show", "job", "--oneliner", self.id, check=False)
        )
        return found[1] if found else ""

    def trace(self, rank: int = 0) -> list[tuple[int, str, str]]:
        file = self.folder / f"trace.{rank}"
        rows = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [(int(start), what, value) for start, what, value in rows]

    def done(self, rank: int = 0, start: int | None = None) -> list[tuple[str, int]]:
        """Steps and validations, in any start or in one."""
        return sorted(
            (what, int(value))
            for number, what, value in self.trace(rank)
            if what != "start" and start in (None, number)
        )

    def reaches(self, step: int) -> bool:
        return wait(lambda: ("step", step) in self.done() or self.ended(), LONG) and ("step", step) in self.done()

    def ended(self) -> bool:
        return self.shown("JobState") in ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL")

    def starts_again(self, seconds: float = LONG) -> bool:
        """Wait until SLURM has the job back in its queue."""
        return wait(lambda: self.shown("Restarts") >= "1", seconds)

    def completes(self) -> bool:
        return wait(self._ended_in_haste, LONG) and self.shown("JobState") == "COMPLETED"

    def _ended_in_haste(self) -> bool:
        if self.shown("JobState") == "PENDING":  # a job that is started again would wait for two minutes
            self.lab.run("scontrol", "update", f"JobId={self.id}", "StartTime=now", check=False)
            time.sleep(0.5)
        return self.ended()

    def log(self) -> str:
        return (self.folder / "log").read_text()[-3000:] if (self.folder / "log").exists() else "no log"

    def weights(self) -> dict[str, torch.Tensor]:
        return torch.load(self.folder / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]


Submit = Callable[..., Job]


@pytest.fixture
def submit(lab: Lab, tmp_path: Path, tiny_store: Path) -> Iterator[Submit]:
    jobs: list[Job] = []

    def new(*options: str, folder: str = "job", **more) -> Job:
        jobs.append(Job(lab, tmp_path / folder, tiny_store, *options, **more))
        return jobs[-1]

    yield new
    for job in jobs:
        lab.run("scancel", job.id, check=False)
    wait(lambda: not lab.run("squeue", "-h", check=False), 40)


@pytest.fixture(scope="session")
def whole(lab: Lab, tmp_path_factory: pytest.TempPathFactory, tiny_store: Path) -> Job:
    """A run that nobody stopped."""
    job = Job(lab, tmp_path_factory.mktemp("whole") / "job", tiny_store, pause=0)
    assert job.completes(), job.log()
    return job


def all_done_once(job: Job) -> None:
    """Every step and validation in one of the starts, all of them in one folder."""
    for rank in (0, 1):
        assert job.done(rank) == WHOLE
    assert not (job.folder / "run.1").exists()
    assert not (job.folder / "run/checkpoints/preempted.ckpt").exists()


def ranks(job: Job) -> list[list[str]]:
    """What each rank said of itself, at every start that came to training."""
    return [[value for _, what, value in job.trace(rank) if what == "start"] for rank in (0, 1)]


def nothing_lost(job: Job, whole: Job) -> None:
    all_done_once(job)
    ours, theirs = job.weights(), whole.weights()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


FROM_SLURM = ["SLURMEnvironment:0/2", "SLURMEnvironment:1/2"]


def stopped_by(submit: Submit, name: str) -> Job:
    """A job that got a signal in the middle, was started again once, and completed."""
    job = submit()
    assert job.reaches(11), job.log()
    job.lab.run("scancel", f"--signal={name}", job.id)
    assert job.starts_again(), job.log()
    assert job.completes(), job.log()
    assert job.shown("Restarts") == "1"
    return job


def test_a_signal_saves_and_starts_again(submit: Submit):
    job = stopped_by(submit, "USR1")
    assert ranks(job) == [[rank] * 2 for rank in FROM_SLURM]  # in both starts
    all_done_once(job)


@pytest.mark.slow  # a run more, to compare with
def test_weights_after_a_signal_are_those_of_a_run_without(submit: Submit, whole: Job):
    nothing_lost(stopped_by(submit, "TERM"), whole)


@pytest.mark.slow
def test_ranks_come_from_slurm(whole: Job):
    assert ranks(whole) == [[rank] for rank in FROM_SLURM]
    assert whole.done(0) == whole.done(1) == WHOLE


@pytest.mark.slow
def test_a_more_urgent_job_takes_the_machine(submit: Submit, whole: Job):
    job = submit()
    assert job.reaches(5), job.log()
    job.lab.run("sbatch", "--partition=urgent", "--ntasks=4", "-o", "/dev/null", "--wrap", "sleep 1")
    assert job.starts_again(), job.log()
    assert job.completes(), job.log()
    nothing_lost(job, whole)


@pytest.mark.slow  # tests/training/test_preemption.py has it without a cluster
def test_a_signal_while_starting_is_kept(submit: Submit, whole: Job):
    job = submit(pause=0)
    assert wait(lambda: job.shown("JobState") == "RUNNING", LONG)
    time.sleep(2.5)  # in the imports
    job.lab.run("scancel", "--signal=USR1", job.id)
    assert job.starts_again(), job.log()
    assert job.completes(), job.log()
    assert job.done(start=0) == []
    nothing_lost(job, whole)


@pytest.mark.slow
def test_a_cancelled_job_stays_cancelled(submit: Submit):
    job = submit()
    assert job.reaches(3), job.log()
    job.lab.run("scancel", job.id)
    assert wait(lambda: job.shown("JobState") == "CANCELLED" and not job.lab.run("squeue", "-h"), LONG), job.log()
    assert "Not requeued by SLURM" in job.log()
    assert (job.folder / "run/checkpoints/preempted.ckpt").is_file()


@pytest.mark.slow
def test_a_job_without_srun_says_so(lab: Lab, tmp_path: Path):
    lab.run(
        *("sbatch", "--ntasks-per-node=2", "-o", str(tmp_path / "log")),
        *("--wrap", f"{sys.executable} -m eeg2speech fit --config {ROOT / 'configs/maeeg.yaml'}; echo status $?"),
        PYTHONPATH=str(ROOT),
    )
    log = tmp_path / "log"
    assert wait(lambda: log.exists() and "status" in log.read_text(), LONG)
    assert "SLURM_NTASKS=2" in log.read_text()
    assert "status 1" in log.read_text()


@pytest.mark.slow
def test_a_time_limit_stops_nothing(submit: Submit, whole: Job):
    # SLURM counts minutes, and may send the signal up to one earlier than asked: 30 to 90 s after the start
    job = submit("--time=2", "--signal=USR1@30", pause=4.0)
    assert job.starts_again(), job.log()
    job.lab.run("scontrol", "update", f"JobId={job.id}", "TimeLimit=10")
    assert job.completes(), job.log()
    nothing_lost(job, whole)
