"""Stage 2 with MAEEG, SimpleConv and EEGNet at equal CPU time, beside CCA, ridge regression and the ideal observer.

    python -m tests.benchmarks.peers OUT [--snr -20 -25] [--seeds 1 2 3] [--seconds 600]
    python -m tests.benchmarks.peers OUT --models simpleconv --seeds 101 102 --validation --set model.init_args.width=64

Each fit is `eeg2speech fit` of the shipped config on the embedded data, one thread, with the seed for the simulation,
the split and the weights, and random initial weights unless --stage1 names an encoder. The CPU seconds of a fit are
those of the steps, reading windows included, and of what is fitted before the first step; a short run measures both and
sets `trainer.max_steps`, on which the learning-rate schedule depends. Validations (four a fit, for all networks) and
tests are not counted. Every finished fit is a file in OUT, and is not repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console

from eeg2speech.metrics.intervals import over_repetitions

NETWORKS = {
    "maeeg": ["--model.init_args.matched_filters=0"],
    "matched": [],
    "simpleconv": ["--config=configs/alignment/simpleconv.yaml"],
    "eegnet": ["--config=configs/alignment/eegnet.yaml"],
}
"""Settings of each network, after those of configs/alignment.yaml."""
MAEEG = ("maeeg", "matched")
"""Networks whose encoder is that of stage 1."""
LINEAR = {"cca": ["cca_own", "cca_pooled"], "ridge": ["ridge_own", "ridge_pooled"]}
"""Decoders in the results of every network's test, by the names that they have there."""
ROWS = {
    "maeeg": "MAEEG", "matched": "MAEEG with matched filters", "simpleconv": "SimpleConv", "eegnet": "EEGNet",
    "cca_own": "CCA, fitted to each person", "cca_pooled": "CCA, pooled",
    "ridge_own": "ridge, fitted to each person", "ridge_pooled": "ridge, pooled",
    "ideal_observer": "ceiling: ideal observer",
}  # fmt: skip
MEASURES = {"top1": "top-1", "top10": "top-10", "mrr": "MRR"}
SPLITS = {"unseen_stimulus": "unseen sounds", "unseen_subject": "unseen person", "unseen_both": "both"}
WARM, MEASURED = 5, 20
"""First steps of the short run, which are not counted, and those that are."""
VALIDATIONS = 4
NEVER = 10**9


class CPUClock(Callback):
    """Writes the CPU seconds before the first step, and those of each step, reading windows included."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.times: list[float] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start, before the task fits what has no gradient."""
        self.times = [time.process_time()]

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, index: int) -> None:
        """A step ends where the next begins, so that all callbacks are in it."""
        self.times.append(time.process_time())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write."""
        start, *steps = (after - before for before, after in zip(self.times, self.times[1:], strict=False))
        self.file.write_text(json.dumps({"start": start, "steps": steps[WARM:]}))


def run(command: str, words: Sequence[str]) -> None:
    """Run a command of the package on one thread.

    Raises:
        RuntimeError: It fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "eeg2speech", command, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"eeg2speech {command} {' '.join(words)}\n{done.stderr[-3000:]}")


def words_of(model: str, snr: float, seed: int, options: argparse.Namespace) -> list[str]:
    """Configs and settings of a fit and of its test."""
    weights = str(options.stage1) if options.stage1 is not None and model in MAEEG else "null"
    snr_text = "-.inf" if math.isinf(snr) else f"{snr:g}"
    return [
        "--config=configs/alignment.yaml", *NETWORKS[model], f"--model.init_args.encoder_weights={weights}",
        "--model.init_args.audio_weights=null", f"--data.simulation.snr={snr_text}", f"--data.simulation.seed={seed}",
        f"--data.split.seed={seed}", f"--seed_everything={seed}", "--trainer.accelerator=cpu", "--trainer.devices=1",
        "--trainer.enable_progress_bar=false", *(f"--{setting}" for setting in options.set),
    ]  # fmt: skip


def key_of(model: str, options: argparse.Namespace) -> str:
    """Name of the measurements and fits of a network with these settings."""
    settings = [options.seconds, sorted(options.set), str(options.stage1) if model in MAEEG else ""]
    return f"{model}_{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]}"


def steps_for(model: str, snr: float, options: argparse.Namespace) -> dict[str, float]:
    """Steps that take the CPU seconds of a fit, a multiple of the validations; measured once for all fits."""
    file = options.out / f"{key_of(model, options)}_steps.json"
    if not file.is_file():
        scratch = options.out / "runs" / f"{key_of(model, options)}_steps"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        clock = f"{{class_path: tests.benchmarks.peers.CPUClock, init_args: {{file: {scratch / 'clock.json'}}}}}"
        run("fit", [
            *words_of(model, snr, 0, options), f"--trainer.max_steps={WARM + MEASURED + 1}",
            f"--trainer.val_check_interval={NEVER}", f"--trainer.callbacks+={clock}", f"--run={scratch / 'run'}",
        ])  # fmt: skip
        measured = json.loads((scratch / "clock.json").read_text())
        step = statistics.median(measured["steps"])
        count = (options.seconds - measured["start"]) / step / VALIDATIONS
        if count < 1:
            raise SystemExit(f"{model}: --seconds {options.seconds:g} is less than {VALIDATIONS} steps take")
        found = {"steps": VALIDATIONS * int(count), "start_seconds": measured["start"], "step_seconds": step}
        file.write_text(json.dumps(found, indent=1))
        shutil.rmtree(scratch)
    steps: dict[str, float] = json.loads(file.read_text())
    return steps


def fitted(model: str, snr: float, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Results of a network, after fitting and testing it if that was not done before."""
    kind = "val" if options.validation else "test"
    name = f"{key_of(model, options)}_{snr:g}dB_{seed}"
    file = options.out / f"{name}_{kind}.json"
    if not file.is_file():
        length = steps_for(model, snr, options)
        folder = options.out / "runs" / name
        words = [
            *words_of(model, snr, seed, options), f"--run={folder}", f"--trainer.max_steps={length['steps']}",
            f"--trainer.val_check_interval={length['steps'] // VALIDATIONS}",
        ]  # fmt: skip
        if not (folder / "fitted").exists():  # a fit that was killed starts again
            shutil.rmtree(folder, ignore_errors=True)
            run("fit", words)
            (folder / "fitted").touch()
        found: dict[str, Any] = {"model": model, "snr": snr, "seed": seed, "settings": options.set, **length}
        found["val_mrr"] = best_validation(folder / "checkpoints/last.ckpt")
        if not options.validation:
            run("test", [*words, "--ckpt_path=best"])
            found["splits"] = json.loads((folder / "test.json").read_text())["alignment"]["splits"]
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(found))
        partial.rename(file)
    results: dict[str, Any] = json.loads(file.read_text())
    return results


def best_validation(checkpoint: Path) -> float:
    """Highest ``val/mrr`` of the run of a checkpoint."""
    callbacks = torch.load(checkpoint, map_location="cpu", weights_only=True)["callbacks"]
    (score,) = (state["best_model_score"] for state in callbacks.values() if "best_model_score" in state)
    return float(score)


def estimate(values: Sequence[float]) -> str:
    """Mean over seeds, with a 95 % interval of Student's t if there are several."""
    found = over_repetitions(values)
    if len(values) < 2:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def table(found: dict[str, list[dict[str, Any]]], rows: Sequence[str]) -> str:
    """A Markdown table for one SNR.

    Args:
        found: Results of each network, one per seed.
        rows: Networks, and decoders as the results name them.
    """
    heads = [f"{split}, {measure}" for split in SPLITS.values() for measure in MEASURES.values()]
    lines = [f"| | {' | '.join(heads)} | aligned |", "|---" * (len(heads) + 2) + "|"]
    for row in rows:
        results = found.get(row) or next(iter(found.values()))  # linear decoders do not depend on the network
        name = "model" if row in found else row
        cells = []
        for split in SPLITS:
            figures = [result["splits"][split]["figures"].get(name) for result in results]
            values = [figure for figure in figures if figure is not None]
            cells += [estimate([one[measure]["value"] for one in values]) if values else "" for measure in MEASURES]
        verdicts = [result["splits"][split]["verdict"]["aligned"] for result in results for split in SPLITS]
        cells.append(f"{sum(verdicts)} of {len(verdicts)}" if row in found else "")
        lines.append(f"| {ROWS[row]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(options: argparse.Namespace) -> None:
    """Fit what is missing, and print a table for each SNR."""
    networks = [model for model in options.models if model in NETWORKS]
    rows = [*networks, *(name for model in options.models for name in LINEAR.get(model, ())), "ideal_observer"]
    options.out.mkdir(parents=True, exist_ok=True)
    console = Console()
    for snr in options.snr:
        found: dict[str, list[dict[str, Any]]] = {model: [] for model in networks}
        for seed in options.seeds:
            for model in networks:
                result = fitted(model, snr, seed, options)
                found[model].append(result)
                console.print(
                    f"{model} {snr:g} dB, seed {seed}: {result['steps']} steps of {result['step_seconds']:.2f} s, "
                    f"val/mrr {result['val_mrr']:.3f}",
                    style="dim",
                )
        print(f"\nSIMULATED EEG, {snr:g} dB, {options.seconds:g} CPU s a fit, seeds {options.seeds}\n")
        if options.validation:
            print("| | best val/mrr |\n|---|---|")
            for model, results in found.items():
                print(f"| {ROWS[model]} | {estimate([result['val_mrr'] for result in results])} |")
        else:
            print(table(found, rows))


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the results and runs")
    parser.add_argument(
        "--snr", type=float, nargs="+", default=[-20.0], help="levels of the response, dB; none: --snr=-inf"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--seconds", type=float, default=600, help="CPU seconds of a fit, one thread")
    parser.add_argument(
        "--models",
        default="maeeg,matched,simpleconv,eegnet,cca,ridge",
        help="networks and linear decoders, with commas",
    )
    parser.add_argument("--stage1", type=Path, help="encoder that MAEEG starts from; not given: random weights")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="setting of all fits")
    parser.add_argument("--validation", action="store_true", help="read the best val/mrr only; no test")
    options = parser.parse_args(words)
    options.models = options.models.split(",")
    unknown = [model for model in options.models if model not in NETWORKS | LINEAR]
    if unknown or not NETWORKS.keys() & set(options.models):
        parser.error(
            f"--models {','.join(options.models)}: name at least one of {', '.join(NETWORKS)}, then cca, ridge"
        )
    options.out = options.out.resolve()
    return options


if __name__ == "__main__":
    main(parsed())
