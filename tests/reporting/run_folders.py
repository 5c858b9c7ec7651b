"""Run folders like those that fit and test write, with invented results."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import yaml
from torch.utils.tensorboard import SummaryWriter

from eeg2speech.metrics import Effect, Estimate, Verdict
from eeg2speech.metrics.frechet import Frechet
from eeg2speech.metrics.identification import Memorisation
from eeg2speech.metrics.results import (
    RESULTS_FILE,
    VERSION,
    AlignmentResult,
    AlignmentSplit,
    ElectrodeDrop,
    ElectrodeImportance,
    EvaluatedCheckpoint,
    EvaluatedData,
    GalleryResult,
    LagResult,
    NullSummary,
    ProbedTarget,
    ReconstructionResult,
    ReconstructionSplit,
    RegressionComparison,
    Results,
    RetrievalResult,
    SpeechResult,
    SpeechSplit,
    VariantResult,
    judge_reconstruction,
    write_results,
)
from eeg2speech.metrics.verdict import SpeechVerdict
from eeg2speech.plotting import Figure


def figure(value: float, chance: float = 0.1) -> Estimate:
    return Estimate(value, value - 0.05, value + 0.05, chance)


def png() -> bytes:
    stream = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(stream, format="png", dpi=20)
    return stream.getvalue()


def null(low: float, high: float, percentile_99: float, observed: float = 0.5) -> NullSummary:
    return NullSummary(observed, 0.1, low, high, percentile_99, 0.001, 8.0, 1000, 85)


def alignment_test(aligned: bool = True, simulated: bool = True) -> Results:
    mrr = figure(0.8 if aligned else 0.12)
    row = {"mrr": mrr, "top1": figure(0.7), "top10": figure(0.9), "median_rank": figure(2.0, 40.0)}
    reasons = ["MRR 0.800 exceeds everything" if aligned else "too low"]
    nulls = {"mrr": null(0.07, 0.18, 0.193, mrr.value), "top10": null(0.07, 0.18, 0.193, 0.9)}
    lags = [LagResult(-0.1, figure(0.02)), LagResult(0.0, mrr), LagResult(0.1, figure(0.03))]
    split = AlignmentSplit(
        windows=595,
        gallery=85,
        verdict=Verdict(aligned, reasons, 0.001, Effect(8.0, 8.0)),
        figures={"model": row, "cca_own": row},
        protocol_windows={"match_2023": figure(0.8)},
        controls_mrr={"noise": figure(0.057), "zeros": figure(0.061)},
        permutations=nulls,
        retrieval=[RetrievalResult("eeg_to_sound", None, 85.0, who, 85, row) for who in (None, "sub-07")],
        galleries={"top1": [GalleryResult(10, figure(0.9), null(0.05, 0.15, 0.2)),
                            GalleryResult(85, figure(0.7), null(0.0, 0.05, 0.06))]},
        lag_curve=lags,
        geometry={"modality_gap": 0.2},
        audio_block_cka=[0.1],
        electrodes=ElectrodeImportance(2, [ElectrodeDrop("Cz", (0.0, 0.0, 0.1), figure(0.2, 0.0))]),
    )  # fmt: skip
    found = AlignmentResult("unseen_stimulus", "retrieval", 3.2, "steps", {"unseen_stimulus": split})
    return replace(_test("AlignmentTask", simulated), alignment=found)


def speech_test(simulated: bool = True) -> Results:
    shares = {"truth": 1.0, "loa": 0.99, "eeg": 0.27, "mel_regression": 0.44, "noise": 0.06}
    variants = {
        name: VariantResult(
            clips=45,
            identification=[GalleryResult(10, figure(share), null(0.05, 0.17, 0.192, share))],
            identification_log_mel=[GalleryResult(10, figure(share), null(0.05, 0.17, 0.192, share))],
            quality={} if name == "truth" else {"mel_corr": figure(share)},
            missing={"pesq": 1},
            frechet=Frechet(1.5, 85, 45, 0.7),
            memorised=Memorisation(0.02, 0.93),
        )
        for name, share in shares.items()
    }
    verdict = SpeechVerdict(
        True, ["0.27 exceeds"], 10, figure(0.27), 0.001, Effect(6.0, 2.7), {"noise": figure(0.21, 0.0)}
    )
    regression = RegressionComparison(figure(-0.17, 0.0), figure(-0.2, 0.0))
    split = SpeechSplit(45, 85, 9, [], verdict, regression, variants)
    found = SpeechResult(
        "unseen_stimulus", "identification", 3.2, {"steps": 50}, {"pesq": "not installed"}, {"unseen_stimulus": split}
    )
    return replace(_test("DiffusionTask", simulated), speech=found)


def reconstruction_test(simulated: bool = True) -> Results:
    nmse = {
        "model": Estimate(0.3, 0.28, 0.32, 1.0), "kriging": Estimate(0.5, 0.45, 0.55, 1.0),
        "mean": Estimate(1.0, 1.0, 1.0, 1.0),
    }  # fmt: skip
    other = nmse | {"kriging": Estimate(0.2, 0.19, 0.21, 1.0)}
    splits = {
        name: ReconstructionSplit(60, one, judge_reconstruction(one))
        for name, one in {"unseen_both": other, "unseen_stimulus": nmse}.items()
    }
    found = ReconstructionResult("unseen_stimulus", "NMSE", {"ratio": 0.8}, splits)
    probes = {"subject": ProbedTarget("stimulus", 90, {"encoder": {"linear": figure(0.6), "knn": figure(0.5)}})}
    return replace(_test("MAEEGTask", simulated), reconstruction=found, probes=probes)


def _test(stage: str, simulated: bool) -> Results:
    windows = {"train": 1000, "val": 50, "unseen_stimulus": 595}
    data = EvaluatedData("demo", simulated, "store", "ab12", {"by": "stimulus", "seed": 0}, None, windows)
    return Results(VERSION, "0.2.0", stage, EvaluatedCheckpoint(None, None, 40), data=data)


def make_run(folder: Path, task: str, test: Results | None, store: str | None = None) -> Path:
    """A run with a config, TensorBoard events and, if given, a test."""
    folder.mkdir(parents=True)
    config = {
        "seed_everything": 3,
        "trainer": {"max_steps": 40},
        "model": {"class_path": f"eeg2speech.tasks.{task}", "init_args": {"encoder_weights": "runs/maeeg/encoder"}},
        "data": {"store": store, "window": 3.2, "batch_size": 8, "simulation": {"subjects": 8, "snr": -20.0}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if test is not None:
        write_results(folder / RESULTS_FILE, test)
    with SummaryWriter(str(folder)) as writer:
        for step in (10, 20, 30, 40):
            writer.add_scalar("train/loss", 1 / step, step)
            writer.add_scalar("lr/pg1", 0.01, step)
        writer.add_scalar("val/loss", 0.5, 40)
        writer.add_image("val/reconstruction", np.random.default_rng(0).random((3, 20, 30)), 40)
    return folder


def add_pictures(folder: Path, *names: str) -> None:
    (folder / "pictures").mkdir()
    for name in names:
        (folder / "pictures" / f"{name}.png").write_bytes(png())


def add_sounds(folder: Path, windows: int = 1) -> None:
    out = folder / "clips" / "unseen_stimulus"
    out.mkdir(parents=True)
    wave = np.sin(2 * np.pi * 440 * np.arange(8000) / 16_000) / 2
    for window in range(windows):
        for variant in ("truth", "round_trip", "eeg", "noise"):
            soundfile.write(out / f"{window:05d}_{variant}.wav", wave, 16_000)
