"""SLURM: the job's environment variables, and requeueing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.files import written_beside

_RECORD = "slurm_job"
_INTERACTIVE = ("bash", "interactive")  # job names that Lightning takes for interactive


def job() -> str | None:
    """Id of this job for ``scontrol``, the same after a requeue; None outside a job and in interactive jobs."""
    if os.environ.get("SLURM_JOB_NAME") in _INTERACTIVE:
        return None
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '0')}"
    return os.environ.get("SLURM_JOB_ID")


def check_launch() -> None:
    """Check that ``srun`` started one process per task.

    Raises:
        ConfigError: This process would wait for others that are not started.
    """
    tasks = int(os.environ.get("SLURM_NTASKS") or 1)
    if tasks == 1 or job() is None or "TORCHELASTIC_RUN_ID" in os.environ:
        return
    if "SLURM_STEP_ID" not in os.environ:
        raise ConfigError(
            f"SLURM_NTASKS={tasks}, but only one process was started and would wait for the others: "
            "put srun before the command, as configs/slurm/stage.sbatch does, or request one task"
        )
    if "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ConfigError(f"--ntasks={tasks} does not set the tasks per node: use --nodes and --ntasks-per-node")


def record_job(folder: Path) -> None:
    """Write the id of this job into a run folder."""
    if name := _name():
        folder.mkdir(parents=True, exist_ok=True)
        with written_beside(folder / _RECORD) as partial:
            partial.write_text(f"{name}\n", encoding="utf-8")


def continues(folder: Path) -> bool:
    """Whether this job was restarted after it had begun to work in a run folder.

    The number of restarts is not enough: the job may have been stopped before it set an earlier run aside.
    """
    if int(os.environ.get("SLURM_RESTART_COUNT") or 0) == 0:
        return False
    record = folder / _RECORD
    return record.is_file() and record.read_text(encoding="utf-8").strip() == _name()


def requeue() -> str | None:
    """Ask SLURM to requeue this job, unless the job is already ending.

    In that case SLURM requeues it itself if it was pre-empted, and must not if it was cancelled.

    Returns:
        None if it will be requeued, else why not.
    """
    name = job()
    if name is None:
        return "not in a SLURM job"
    try:
        shown = _ask("show", "job", "--oneliner", name)
        state = re.search(r"\bJobState=(\w+)", shown.stdout)
        if state and state[1] != "RUNNING":
            return f"job {name} is {state[1]}: cancelled, out of time, or requeued by SLURM itself"
        asked = _ask("requeue", name)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"scontrol requeue {name}: {error}"
    reason = asked.stderr.strip() or f"status {asked.returncode}"
    return f"scontrol requeue {name}: {reason}" if asked.returncode else None


def _ask(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["scontrol", *words], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603, S607


def _name() -> str | None:
    name = job()
    return name and f"{os.environ.get('SLURM_CLUSTER_NAME', '')} {name}".strip()
