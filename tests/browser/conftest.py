"""A browser, and a tiny run of each stage for it to look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from audioldm2_tiny import LOA, write_tiny

from eeg2speech.checkpoints.exports import Part, write_export
from eeg2speech.cli import main
from eeg2speech.models import SpectrogramViT
from tests.browser.browser import NAMES, Browser, chromium, temporary_profile

ROOT = Path(__file__).parents[2]
CALLBACKS = """
trainer:
  max_steps: 4
  val_check_interval: 2
  callbacks:
  - class_path: eeg2speech.training.WriteEnvironment
  - class_path: eeg2speech.training.SkipNonFinite
  - class_path: eeg2speech.training.AtomicCheckpoint
    init_args: {monitor: val/loss, filename: best, save_last: true, auto_insert_metric_name: false}
  - class_path: lightning.pytorch.callbacks.LearningRateMonitor
  - class_path: eeg2speech.training.LogThroughput
  - class_path: eeg2speech.training.ExportEncoder
"""
"""What stages 1 and 3 have; ``occasions`` and the like are as shipped."""
OWN = {
    "maeeg": """
  - class_path: eeg2speech.training.LogReconstruction
  - class_path: eeg2speech.training.CompareBaselines
    init_args: {windows: 8, training_windows: 12, kriging: false}
""",
    "diffusion": """
  - class_path: eeg2speech.training.EvaluateSpeech
    init_args: {windows: 4, splits: [unseen_stimulus], permutations: 20, training: 8, examples: 2}
  - class_path: eeg2speech.training.LogSpeech
""",
}
LAST = """
  - class_path: eeg2speech.training.WriteResults
  - class_path: eeg2speech.training.LogOverview
"""
TINY = {"maeeg": "tiny.yaml", "diffusion": "tiny_diffusion.yaml"}


def make_runs(folder: Path, store: Path, alignment: Path) -> Path:
    """Train and test stages 1 and 3 on a store, with a run of stage 2; the folder of the run folders."""
    components, runs = write_tiny(folder / "components", vocoder="istft"), folder / "runs"
    shutil.copytree(alignment, runs / "alignment")
    encoder = SpectrogramViT(width=LOA, depth=1, heads=2).encoder
    part = Part({"class": "ViTEncoder", "config": encoder.config}, dict(encoder.state_dict()))
    write_export(folder / "audio", {"encoder": part}, {}, {})
    handed_over = {
        "maeeg": [],
        "diffusion": [
            f"--model.init_args.aligner={runs / 'alignment/aligner'}", f"--model.init_args.components={components}",
            f"--model.init_args.audio_weights={folder / 'audio'}",
        ],
    }  # fmt: skip
    for stage, tiny in TINY.items():
        callbacks = folder / f"{stage}.yaml"
        callbacks.write_text(CALLBACKS.rstrip("\n") + OWN[stage].rstrip("\n") + LAST)
        configs = (ROOT / f"configs/{stage}.yaml", ROOT / "tests/conf" / tiny, callbacks)
        given = [*(f"--config={config}" for config in configs), f"--data.store={store}", f"--run={runs / stage}"]
        assert main(["fit", *given, *handed_over[stage]]) == 0
        assert main(["test", *given, *handed_over[stage], "--ckpt_path", "best"]) == 0
    return runs


@pytest.fixture(scope="session")
def runs(tiny_store: Path, tested_alignment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each stage, trained and tested."""
    return make_runs(tmp_path_factory.mktemp("seen"), tiny_store, tested_alignment)


@pytest.fixture(scope="module")  # an open page that draws takes half a core from the tests that follow
def browser() -> Iterator[Browser]:
    """Chromium, where it is installed."""
    program = chromium()
    if program is None:
        pytest.skip(f"needs a browser, e.g. `apt-get install chromium`; found none of {', '.join(NAMES)}")
    with temporary_profile() as profile:
        opened = Browser(program, Path(profile))
        try:
            yield opened
        finally:
            opened.close()
