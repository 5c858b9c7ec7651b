"""`eeg2speech sweep`: every combination of some settings with several seeds, and the differences between them."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from typing import Any

from eeg2speech.cli import run_checked
from eeg2speech.cli.output import print_json
from eeg2speech.cli.sweep_config import Levels, SweepConfig, data_options, folder_name, read_sweep
from eeg2speech.core.config_files import content_hash
from eeg2speech.core.errors import INTERRUPTED, ConfigError, DiskError, Eeg2SpeechError
from eeg2speech.core.files import to_jsonable, write_json
from eeg2speech.core.folder_locks import sole_writer
from eeg2speech.core.paths import expanded
from eeg2speech.core.progress import in_words

GROUPS: dict[str, list[str]] = {}
EXAMPLES = """
    eeg2speech sweep configs/sweeps/pretraining.yaml runs/pretraining --seeds 3
    eeg2speech sweep configs/sweeps/levels.yaml runs/levels --fresh_data --json
"""
DONE = "sweep_options.json"
"""File in the folder of a finished run: its options, and a hash of its configs."""


def sweep(
    config: Path,
    out: Path,
    seeds: int = 3,
    fresh_data: bool = False,
    options: list[str] | None = None,
    threads: int = 2,
    allow_seen: bool = False,
    json: bool = False,
) -> int:
    """Fit and test every combination of some settings with several seeds, and compare them.

    Finished runs are skipped. Runs whose options or config files have changed are renamed and run again. A run that
    fails is reported and does not stop the others. Results are written to OUT/sweep.json.

    Args:
        config: YAML file of the sweep, or the name of one in the package, e.g. sweeps/pretraining.
        out: Folder for all runs and sweep.json.
        seeds: Number of seeds, which set the initial weights and the order of training.
        fresh_data: Simulate different subjects for each seed (embedded dataset).
        options: Options that are added to every fit and test, e.g.
            '[--data.simulation.snr=-25,--trainer.max_steps=300]'.
        threads: Cores that a run may use.
        allow_seen: Continue if splits of unseen sounds or subjects contain training sounds or subjects.
        json: Print the content of OUT/sweep.json instead of tables.
    """
    from eeg2speech.cli.sweep_report import read_run, report
    from eeg2speech.cli.sweep_tables import print_report

    if seeds < 1 or threads < 1:
        raise ConfigError(f"--seeds {seeds} and --threads {threads} must be 1 or more")
    out = expanded(out).resolve()
    runs = Runs(read_sweep(config), out, options or [], fresh_data, allow_seen=allow_seen)
    conditions = [(levels, seed) for seed in range(seeds) for levels in runs.config.conditions()]
    durations: list[float] = []
    with _limited_threads(threads), sole_writer(out, "sweep", "OUT", patience=0.0):
        for number, (levels, seed) in enumerate(conditions, 1):
            left = ""
            if durations:
                seconds = (len(conditions) - number + 1) * sum(durations) / len(durations)
                left = f", about {in_words(seconds)} left"
            name = f"{folder_name(levels)}, seed {seed}"
            print(f"[{number}/{len(conditions)}] {name}{left}", file=sys.stderr, flush=True)
            started = time.perf_counter()
            if runs.run(levels, seed):
                durations.append(time.perf_counter() - started)
    found = [read_run(runs.folder(*key) / "test.json", *key) for key in conditions if key_of(*key) not in runs.failed]
    figures = report(runs.config, found)
    content = {**figures, "seeds": seeds, "fresh_data": fresh_data, "failed": runs.failed}
    write_json(out / "sweep.json", to_jsonable(content))
    if json:
        print_json(content)
    else:
        print_report(figures)
        print(f"Results written to {out / 'sweep.json'}")
    for name, reason in runs.failed.items():
        print(f"error: {name}: {reason}", file=sys.stderr)
    return int(bool(runs.failed))


def key_of(levels: Levels, seed: int) -> str:
    """Run folder of a condition inside the sweep's, e.g. ``pretrained-all/seed0``."""
    return f"{folder_name(levels)}/seed{seed}"


@dataclass
class Runs:
    """The runs of a sweep.

    Attributes:
        config: Configuration of the sweep.
        out: Folder of the sweep.
        everywhere: Options of every fit and test.
        fresh_data: Each seed simulates other subjects.
        failed: Reasons of failures, by condition and seed.
        allow_seen: Continue if splits of unseen sounds or subjects contain trained ones.
    """

    config: SweepConfig
    out: Path
    everywhere: list[str]
    fresh_data: bool
    failed: dict[str, str] = field(default_factory=dict)
    allow_seen: bool = False

    def folder(self, levels: Levels, seed: int) -> Path:
        """Run folder of a condition."""
        return self.out / key_of(levels, seed)

    def run(self, levels: Levels, seed: int) -> bool:
        """Run a condition and its earlier stages; False if it was finished before."""
        from lightning.fabric.utilities.exceptions import MisconfigurationException

        given = self.config.options_of(levels)
        try:
            for name in self.config.prepare:
                if any(f"{{{name}}}" in option for option in given):
                    folder = self._prepare(name, levels, seed)
                    given = [option.replace(f"{{{name}}}", str(folder)) for option in given]
            return self._finish(self.config.config, given, self.folder(levels, seed), seed, tested=True)
        except DiskError:
            raise
        except (Eeg2SpeechError, MisconfigurationException, RuntimeError, ValueError, OSError) as error:
            reason = self.failed[key_of(levels, seed)] = _reason(error)
            print(f"error: {reason}", file=sys.stderr)
            return True

    def _prepare(self, name: str, levels: Levels, seed: int) -> Path:
        """Fit an earlier stage; its run folder."""
        key = f"prepared/{folder_name(self.config.prepared_for(levels))}/{name}/seed{seed}"
        if key in self.failed:
            raise ConfigError(f"{key} failed before: {self.failed[key]}")
        given = data_options(self.config.options_of(levels))
        try:
            self._finish(self.config.prepare[name], given, self.out / key, seed, tested=False)
        except (Eeg2SpeechError, RuntimeError, ValueError, OSError) as error:
            self.failed[key] = _reason(error)
            raise
        return self.out / key

    def _finish(self, config: list[Path], given: list[str], folder: Path, seed: int, tested: bool) -> bool:
        """Fit, and test if wanted; False if that was done before with the same options."""
        from eeg2speech.cli.lightning import trainer_config

        options = [*(f"--config={file}" for file in config), *self.everywhere, *given, *self._common(seed)]
        wanted = {"options": options, "configs": content_hash([*config, trainer_config()])}
        if _finished(folder, wanted, tested):
            return False
        options_here = [*options, f"--run={folder}"]
        folder.mkdir(parents=True, exist_ok=True)
        _run_logged(["fit", *options_here], folder)
        if tested:
            allowed = f"--allow_seen={str(self.allow_seen).lower()}"
            _run_logged(["test", *options_here, "--ckpt_path=best", allowed], folder)
        write_json(folder / DONE, wanted)
        return True

    def _common(self, seed: int) -> list[str]:
        fresh = [f"--data.simulation.seed={seed}"] if self.fresh_data else []
        quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
        return [f"--seed_everything={seed}", f"--data.seed={seed}", *fresh, *quiet]


def _finished(folder: Path, wanted: dict[str, Any], tested: bool) -> bool:
    there = (folder / DONE).is_file() and (not tested or (folder / "test.json").is_file())
    return there and bool(loads((folder / DONE).read_text(encoding="utf-8")) == wanted)


def _run_logged(argv: list[str], folder: Path) -> None:
    """Run a stage and write what it prints into ``<run>.log``."""
    log = folder.with_name(f"{folder.name}.log")
    try:
        with log.open("a", encoding="utf-8") as stream, contextlib.redirect_stdout(stream):
            run_checked(argv)
    except SystemExit as left:
        if left.code == INTERRUPTED:
            raise KeyboardInterrupt from left
        options = " ".join(option for option in argv[1:] if not option.startswith("--config="))
        raise ConfigError(f"{argv[0]} refused its options (see above): {options}") from left


@contextlib.contextmanager
def _limited_threads(count: int) -> Iterator[None]:
    """Let torch use a number of cores, and Lightning print warnings alone."""
    import lightning.pytorch  # noqa: F401  # sets the levels of its loggers
    import torch

    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    cores, levels = torch.get_num_threads(), [logger.level for logger in loggers]
    torch.set_num_threads(count)
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        torch.set_num_threads(cores)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
