"""What a run depended on beside its settings: code, packages, machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eeg2speech.reporting.html.run import Run, section
from eeg2speech.reporting.html.views import Cell, Row, Section, Table

SHOWN = ("torch", "lightning", "numpy", "scipy", "mne", "diffusers", "transformers", "timm", "torchmetrics")


def environment_section(run: Run) -> Section:
    """Every environment that the run was started in."""
    if not run.environments:
        tested = (run.test or {}).get("eeg2speech")
        version = f" It was tested with eeg2speech {tested}." if tested else ""
        return Section(
            "Environment", "Not recorded: the run has no environment.json, which eeg2speech.training.WriteEnvironment "
            f"writes at the start of every fit.{version}",
        )  # fmt: skip
    return Section("Environment", tables=[_table(name, found) for name, found in run.environments.items()], folded=True)


def _table(name: str, found: Mapping[str, Any]) -> Table:
    hardware, devices = section(dict(found), "hardware"), section(dict(found), "devices")
    packages, git = section(dict(found), "packages"), found.get("git")
    revision = "not known"
    if isinstance(git, dict):
        changed = {True: ", with changes that are not committed", None: ""}.get(git.get("changed"), "")
        revision = f"{git.get('revision')}{changed}"
    gpus = [str(gpu.get("name")) for gpu in hardware.get("gpus") or [] if isinstance(gpu, dict)]
    memory = hardware.get("memory")
    facts = {
        "eeg2speech": found.get("eeg2speech"),
        "Commit": revision,
        "Python": found.get("python"),
        "System": hardware.get("system"),
        "Processor": f"{hardware.get('processor')}, {hardware.get('cores')} cores, {hardware.get('threads')} threads",
        "Memory": f"{memory / 2**30:.0f} GiB" if isinstance(memory, int) else None,
        "GPUs": ", ".join(gpus) or "none",
        "Devices": f"{devices.get('world_size')} on {devices.get('nodes')} nodes, {devices.get('strategy')}, "
        f"precision {devices.get('precision')}",
        "Seeds": ", ".join(f"{key} {value}" for key, value in section(dict(found), "seed").items()),
        "Resumed from": found.get("resumed_from"),
        "Packages": ", ".join(f"{key} {packages[key]}" for key in SHOWN if key in packages)
        + f"; {len(packages)} in all, listed in {name}",
    }
    rows = [Row(key, (Cell(str(value)),)) for key, value in facts.items() if value]
    return Table(name, ("What", "Value"), rows)
