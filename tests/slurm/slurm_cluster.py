"""A SLURM of one node on loopback: munge, slurmctld and slurmd as root, without systemd, cgroups and accounting."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "srun")
_SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
CONFIG = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmctldPort={port}
SlurmdPort={port_of_node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
MailProg=/bin/true
SwitchType=switch/none
PropagateResourceLimits=NONE
# more processors than a small machine has, so that two tasks fit
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=2,bf_interval=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=lab Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def program(name: str) -> str | None:
    """Where a program of SLURM's is, also where only root looks."""
    return shutil.which(name, path=_SEARCHED)


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


class Lab:
    """SLURM in a folder of its own.

    Args:
        folder: Of keys, sockets, logs and state; its path must be short, as those of sockets are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: list[str] = []
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "MASTER_", "WORLD_", "PMI"))}
        self.environment = {**clean, "PATH": _SEARCHED, "SLURM_CONF": str(folder / "slurm.conf")}

    def up(self) -> None:
        """Start the daemons and wait for the node."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        host = socket.gethostname().split(".")[0]
        ports = dict(zip(("port", "port_of_node"), _free_ports(2), strict=True))
        (self.folder / "slurm.conf").write_text(CONFIG.format(host=host, folder=self.folder, **ports))
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log"}
        files["seed-file"] = "munge.seed"
        self.run("munged", "--force", *(f"--{option}={self.folder / name}" for option, name in files.items()))
        self.run("slurmctld", "-f", str(self.folder / "slurm.conf"))
        self.run("slurmd", "-f", str(self.folder / "slurm.conf"), "-N", host)
        if not wait(lambda: self.run("sinfo", "-h", "-o", "%t", check=False).startswith("idle"), 30):
            logs = {file.name: file.read_text()[-500:] for file in self.folder.glob("*.log")}
            raise RuntimeError(f"SLURM did not come up: {logs}")

    def down(self) -> None:
        """Cancel what runs and stop the daemons, by the process ids that they wrote."""
        self.run("scancel", "--user=root", check=False)
        wait(lambda: not self.run("squeue", "-h", check=False), 40)
        for name in ("slurmd.pid", "slurmctld.pid", "munge.pid"):
            if (file := self.folder / name).is_file():
                number = int(file.read_text())
                os.kill(number, 15)
                wait(lambda process=Path(f"/proc/{number}"): not process.exists(), 10)

    def run(self, *words: str, check: bool = True, **more: str) -> str:
        """Run a program of SLURM's and give what it printed."""
        done = subprocess.run(
            [program(words[0]) or words[0], *words[1:]],
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
        return done.stdout.strip()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
