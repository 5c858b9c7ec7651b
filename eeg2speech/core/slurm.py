"""What SLURM tells a job in its environment, and what a job asks of SLURM."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.files import written_beside

_RECORD = "slurm_job"
_INTERACTIVE = ("bash", "interactive")  # names by which Lightning knows that a person sits there


def job() -> str | None:
    """Id of this job as ``scontrol`` takes it, the same after a requeue; None outside a job and in interactive ones."""
    if os.environ.get("SLURM_JOB_NAME") in _INTERACTIVE:
        return None
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '0')}"
    return os.environ.get("SLURM_JOB_ID")


def check_launch() -> None:
    """See that ``srun`` started one process per task.

    Raises:
        ConfigError: A process would wait for others that nobody starts.
    """
    tasks = int(os.environ.get("SLURM_NTASKS") or 1)
    if tasks == 1 or job() is None or "TORCHELASTIC_RUN_ID" in os.environ:
        return
    if "SLURM_STEP_ID" not in os.environ:
        raise ConfigError(
            f"SLURM_NTASKS={tasks}, but only one process was started and would wait for the others: "
            "put srun before the command, as configs/slurm/stage.sbatch does, or ask for one task"
        )
    if "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ConfigError(f"--ntasks={tasks} does not say how many are on a node: use --nodes and --ntasks-per-node")


def record_job(folder: Path) -> None:
    """Write into a run folder which job works in it."""
    if name := _name():
        folder.mkdir(parents=True, exist_ok=True)
        with written_beside(folder / _RECORD) as partial:
            partial.write_text(f"{name}\n", encoding="utf-8")


def continues(folder: Path) -> bool:
    """Whether this job was started again after it had begun to work in a run folder.

    The number of restarts alone does not tell: the job may have been stopped before it put an earlier run aside.
    """
    if int(os.environ.get("SLURM_RESTART_COUNT") or 0) == 0:
        return False
    record = folder / _RECORD
    return record.is_file() and record.read_text(encoding="utf-8").strip() == _name()


def requeue() -> str | None:
    """Ask SLURM to start this job again, unless it is being ended already.

    SLURM then starts it again by itself if it took the machine for another job, and shall not if somebody cancelled it.

    Returns:
        None if it will be started again, else why not.
    """
    name = job()
    if name is None:
        return "not in a SLURM job"
    try:
        shown = _ask("show", "job", "--oneliner", name)
        state = re.search(r"\bJobState=(\w+)", shown.stdout)
        if state and state[1] != "RUNNING":
            return f"job {name} is {state[1]}: cancelled, out of time, or to be started again by SLURM itself"
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
