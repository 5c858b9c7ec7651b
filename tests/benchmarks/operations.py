"""What it costs to be stoppable, and what a second process brings.

    python -m tests.benchmarks.operations [--steps 40] [--rounds 3]

Steps of stages 1 and 2 as they are shipped, one thread a process, without validation. Arms take turns, so that a busy
machine slows all of them; ratios of the medians count. Weak scaling wants as many idle cores as processes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.table import Table

WARM = 5
"""First steps, which are not counted."""
NEVER = 10**9
STAGES = {
    "1": ["--config=configs/maeeg.yaml"],
    "2": [
        "--config=configs/alignment.yaml",
        "--model.init_args.encoder_weights=null",
        "--model.init_args.audio_weights=null",
    ],
}


class Clock(Callback):
    """Writes the seconds of each step of the first rank."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.times = [0.0]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start."""
        self.times = [time.perf_counter()]

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        """A step ends where the next begins, so that all callbacks are in it."""
        self.times.append(time.perf_counter())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write."""
        if trainer.is_global_zero:
            steps = [b - a for a, b in zip(self.times[1:], self.times[2:], strict=False)]
            self.file.write_text(json.dumps(steps[WARM:]))


def step_times(stage: str, steps: int, ranks: int, every: int | None, skip: bool) -> list[float]:
    """Seconds of steps of a run of its own.

    Args:
        stage: 1 or 2.
        steps: Of the run.
        ranks: Processes.
        every: Steps between agreements on a signal; None for never.
        skip: Look whether a step is finite.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps.json"
        interrupt = (
            f"{{class_path: eeg2speech.training.GracefulInterrupt, init_args: {{every_n_steps: {every or NEVER}}}}}"
        )
        callbacks = ["{class_path: eeg2speech.training.StepSeed}", interrupt]
        callbacks += ["{class_path: eeg2speech.training.SkipNonFinite}"] if skip else []
        callbacks += [f"{{class_path: tests.benchmarks.operations.Clock, init_args: {{file: {file}}}}}"]
        words = [
            *STAGES[stage], f"--trainer.max_steps={steps + WARM}", f"--trainer.val_check_interval={NEVER}",
            f"--trainer.devices={ranks}", f"--trainer.strategy={'ddp' if ranks > 1 else 'auto'}",
            "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_checkpointing=false",
            "--trainer.logger=false", f"--run={folder}/run", f"--trainer.callbacks=[{', '.join(callbacks)}]",
        ]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "eeg2speech", "fit", *words],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if not file.is_file():
            raise RuntimeError(done.stderr[-2000:])
        times: list[float] = json.loads(file.read_text())
        return times


def main(steps: int, rounds: int) -> None:
    """Measure all arms in turns."""
    arms: dict[tuple[str, int, str], tuple[int | None, bool]] = {}
    for stage in STAGES:
        for ranks in (1, 2):
            arms[stage, ranks, "neither"] = (None, False)
            arms[stage, ranks, "asks every step"] = (1, False)
            arms[stage, ranks, "asks, and looks for nan"] = (1, True)
    seen: dict[tuple[str, int, str], list[float]] = {arm: [] for arm in arms}
    for _ in range(rounds):
        for (stage, ranks, name), (every, skip) in arms.items():
            seen[stage, ranks, name] += step_times(stage, steps, ranks, every, skip)
    table = Table(title=f"{rounds} x {steps} steps, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for column in ("stage", "processes", "", "ms a step", "to neither", "windows/s to one process"):
        table.add_column(column, justify="right")
    middle = {arm: statistics.median(times) for arm, times in seen.items()}
    for stage, ranks, name in arms:
        own = middle[stage, ranks, name]
        table.add_row(
            stage, str(ranks), name, f"{1e3 * own:.1f}", f"{own / middle[stage, ranks, 'neither']:.3f}",
            f"{ranks * middle[stage, 1, name] / own:.2f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    main(given.steps, given.rounds)
