"""`eeg2speech sweep`: every combination of some settings, with several seeds, and what differs between them."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from typing import Any

from eeg2speech.cli.sweep_plan import Levels, Plan, folder_name, read_plan, what_is_heard
from eeg2speech.core.config_files import content_hash
from eeg2speech.core.errors import INTERRUPTED, ConfigError, DiskError, Eeg2SpeechError
from eeg2speech.core.files import to_jsonable, write_json
from eeg2speech.core.paths import expanded
from eeg2speech.core.progress import in_words

GROUPS: dict[str, list[str]] = {}
EXAMPLES = """
    eeg2speech sweep configs/sweeps/pretraining.yaml runs/pretraining --seeds 3
    eeg2speech sweep configs/sweeps/levels.yaml runs/levels --fresh_data --json
"""
DONE = "sweep_options.json"
"""Stands in a run folder once a sweep has finished with it: the options it was run with, and a hash of its configs."""


def sweep(
    plan: Path,
    out: Path,
    seeds: int = 3,
    fresh_data: bool = False,
    options: list[str] | None = None,
    threads: int = 2,
    allow_seen: bool = False,
    json: bool = False,
) -> int:
    """Fit and test every combination of some settings with several seeds, and compare them.

    What is finished is skipped; what fails is reported and does not stop the rest. The figures go into OUT/sweep.json.
    What was run with other options or config files is set aside and run again.

    Args:
        plan: YAML file of the sweep, or the name of one of the package's, e.g. sweeps/pretraining.
        out: Folder that all runs go into, and sweep.json.
        seeds: How many; each starts from other weights and trains in another order.
        fresh_data: Each seed also simulates other people (embedded dataset).
        options: For every fit and test, e.g. '[--data.simulation.snr=-25,--trainer.max_steps=300]'.
        threads: Cores that a run may use.
        allow_seen: Go on where sounds or subjects that were trained on are in lists of unseen ones.
        json: Print the content of OUT/sweep.json instead of tables.
    """
    import lightning.pytorch  # noqa: F401  # sets the levels of its loggers
    import torch

    from eeg2speech.cli.machine import print_json
    from eeg2speech.cli.sweep_report import read_run, report
    from eeg2speech.cli.sweep_tables import print_report
    from eeg2speech.core.folder_locks import sole_writer

    if seeds < 1 or threads < 1:
        raise ConfigError(f"--seeds {seeds} and --threads {threads} must be 1 or more")
    out = expanded(out).resolve()
    runs = Runs(read_plan(plan), out, options or [], fresh_data, allow_seen=allow_seen)
    conditions = [(levels, seed) for seed in range(seeds) for levels in runs.plan.conditions()]
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    cores, verbosity = torch.get_num_threads(), [logger.level for logger in loggers]
    torch.set_num_threads(threads)
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    clock = Clock(len(conditions))
    try:
        with sole_writer(out, "sweep", "OUT", patience=0.0):
            for number, (levels, seed) in enumerate(conditions, 1):
                name = f"{folder_name(levels)}, seed {seed}"
                print(f"[{number}/{len(conditions)}] {name}{clock.left()}", file=sys.stderr, flush=True)
                clock.note(runs.run(levels, seed))
    finally:
        torch.set_num_threads(cores)
        for logger, level in zip(loggers, verbosity, strict=True):
            logger.setLevel(level)
    found = [read_run(runs.folder(*key) / "test.json", *key) for key in conditions if key_of(*key) not in runs.failed]
    figures = report(runs.plan, found)
    content = {**figures, "seeds": seeds, "fresh data": fresh_data, "failed": runs.failed}
    write_json(out / "sweep.json", to_jsonable(content))
    if json:
        print_json(content)
    else:
        print_report(figures)
        print(f"Figures written to {out / 'sweep.json'}")
    for name, reason in runs.failed.items():
        print(f"error: {name}: {reason}", file=sys.stderr)
    return int(bool(runs.failed))


def key_of(levels: Levels, seed: int) -> str:
    """Run folder of a condition inside the sweep's, e.g. ``pretrained-all/seed0``."""
    return f"{folder_name(levels)}/seed{seed}"


@dataclass
class Clock:
    """Guesses how long the rest takes; runs that were found finished count for nothing."""

    runs: int
    seconds: list[float] = field(default_factory=list)
    skipped: int = 0

    def note(self, seconds: float | None) -> None:
        """Count a run; None if there was nothing to do."""
        if seconds is None:
            self.skipped += 1
        else:
            self.seconds.append(seconds)

    def left(self) -> str:
        """In words, empty before the first run."""
        if not self.seconds:
            return ""
        left = (self.runs - self.skipped - len(self.seconds)) * sum(self.seconds) / len(self.seconds)
        return f", about {in_words(left)} left"


@dataclass
class Runs:
    """The runs of a sweep.

    Attributes:
        plan: What to run.
        out: Folder of the sweep.
        everywhere: Options of every fit and test.
        fresh_data: Each seed simulates other people.
        failed: Why, by condition and seed.
        allow_seen: Test lists that are not unseen, too.
    """

    plan: Plan
    out: Path
    everywhere: list[str]
    fresh_data: bool
    failed: dict[str, str] = field(default_factory=dict)
    allow_seen: bool = False

    def folder(self, levels: Levels, seed: int) -> Path:
        """Run folder of a condition."""
        return self.out / key_of(levels, seed)

    def run(self, levels: Levels, seed: int) -> float | None:
        """Run a condition, unless it is finished, and the stages before it.

        Returns:
            Seconds it took; None if it was finished.
        """
        from lightning.fabric.utilities.exceptions import MisconfigurationException

        started = time.perf_counter()
        given = self.plan.options_of(levels)
        try:
            for name in self.plan.prepare:
                if any(f"{{{name}}}" in option for option in given):
                    folder = self._prepare(name, levels, seed)
                    given = [option.replace(f"{{{name}}}", str(folder)) for option in given]
            if not self._finish(self.plan.config, given, self.folder(levels, seed), seed, tested=True):
                return None
        except DiskError:
            raise
        except (Eeg2SpeechError, MisconfigurationException, RuntimeError, ValueError, OSError) as error:
            reason = self.failed[key_of(levels, seed)] = _reason(error)
            print(f"error: {reason}", file=sys.stderr)
        return time.perf_counter() - started

    def _prepare(self, name: str, levels: Levels, seed: int) -> Path:
        key = f"prepared/{folder_name(self.plan.prepared_for(levels))}/{name}/seed{seed}"
        if key in self.failed:
            raise ConfigError(f"{key} failed before: {self.failed[key]}")
        given = what_is_heard(self.plan.options_of(levels))
        try:
            self._finish(self.plan.prepare[name], given, self.out / key, seed, tested=False)
        except (Eeg2SpeechError, RuntimeError, ValueError, OSError) as error:
            self.failed[key] = _reason(error)
            raise
        return self.out / key

    def _finish(self, config: list[Path], given: list[str], folder: Path, seed: int, tested: bool) -> bool:
        """Fit, and test if wanted; False if that was done before with the same options."""
        options = [*(f"--config={file}" for file in config), *self.everywhere, *given, *self._common(seed)]
        wanted = {"options": options, "configs": content_hash(config)}
        if _finished(folder, wanted, tested):
            return False
        options_here = [*options, f"--run={folder}"]
        folder.mkdir(parents=True, exist_ok=True)
        _stage(["fit", *options_here], folder)
        if tested:
            _stage(["test", *options_here, "--ckpt_path=best", f"--allow_seen={str(self.allow_seen).lower()}"], folder)
        write_json(folder / DONE, wanted)
        return True

    def _common(self, seed: int) -> list[str]:
        fresh = [f"--data.simulation.seed={seed}"] if self.fresh_data else []
        quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
        return [f"--seed_everything={seed}", f"--data.seed={seed}", *fresh, *quiet]


def _finished(folder: Path, wanted: dict[str, Any], tested: bool) -> bool:
    there = (folder / DONE).is_file() and (not tested or (folder / "test.json").is_file())
    return there and bool(loads((folder / DONE).read_text(encoding="utf-8")) == wanted)


def _stage(argv: list[str], folder: Path) -> None:
    """Run a stage and keep what it prints out of the way, in ``<run>.log``."""
    from eeg2speech.cli.lightning import run_stage

    log = folder.with_name(f"{folder.name}.log")
    try:
        with log.open("a", encoding="utf-8") as stream, contextlib.redirect_stdout(stream):
            run_stage(argv)
    except SystemExit as left:
        if left.code == INTERRUPTED:
            raise KeyboardInterrupt from left
        raise ConfigError(f"{argv[0]} refused its options (see above): {_listed(argv[1:])}") from left


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _listed(options: list[str]) -> str:
    return " ".join(option for option in options if not option.startswith("--config="))


COMMAND = sweep
