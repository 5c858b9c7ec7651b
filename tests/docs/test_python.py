"""The examples of docs/pages/python.md run from top to bottom as they stand there, on tiny models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import eeg2speech
from eeg2speech.audio import write_audio
from eeg2speech.models.audioldm2 import rebuild
from eeg2speech.tasks.training_data import training_data_info
from tests.docs.blocks import ROOT, blocks
from tests.inference.recordings import make_raw, members, open_data, prepare_store, wave
from tests.inference.untrained import write_runs
from tests.speech_stub import StubSampler, StubSpeech

PAGE = ROOT / "docs/pages/python.md"


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the page names: a recording, a sound, and exports of the three stages."""
    made = tmp_path_factory.mktemp("made")
    data = open_data(prepare_store(made / "store"))
    run = write_runs(made / "runs", data)
    for stage, part in (("maeeg", "encoder"), ("alignment", "aligner")):
        eeg2speech.load(run / stage / "checkpoints/best.ckpt").save_pretrained(tmp_path / "runs" / stage / part)
    _export_stub(tmp_path / "runs/diffusion/speech", data)
    monkeypatch.setattr(rebuild, "rebuild_speech", lambda *_: (StubSpeech(), StubSampler()))
    monkeypatch.chdir(tmp_path)
    make_raw(1).save("me_raw.fif", verbose="ERROR")
    write_audio(Path("story.flac"), np.tile(wave(3), 12))
    Path("story.flac").rename("story.wav")  # libsndfile looks into the file
    return tmp_path


def _export_stub(folder: Path, data: Any) -> None:
    from eeg2speech.checkpoints.exports import Part, write_export

    parts = {name: Part({"class": "Stub", "config": {}}, {"gain": torch.ones(1)}) for name in ("encoder", "speech")}
    write_export(folder, parts, {}, training_data_info(data))


def test_the_examples_run_in_order(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = {}
    lines = [block for block in blocks("python") if block.page == PAGE]
    assert len(lines) > 9
    for block in lines:
        exec(compile(block.text, f"python.md:{block.line}", "exec"), found)
    assert found["similarity"].shape == (62, 75)
    assert np.allclose(found["same"].vectors, found["model"].embed_raw(found["raw"]).vectors, atol=2e-6)
    assert found["trials"].epochs.tolist() == [index for index in range(10) for _ in range(6)]
    assert len(found["features"]) == 62
    assert found["decision"].choice.shape == (62,)
    assert soundfile.info("speech.wav").frames == len(found["speech"]) == 40 * 16_000
    assert found["logits"].shape == (4, 2)
    assert np.array_equal(found["again"].embed_raw(found["raw"], "sub-01").vectors, found["eeg"].vectors)
    assert "lacks 1 of the 8 electrodes" in capsys.readouterr().out
    vectors = found["embed_and_prepare"](members("raw", found["raw"], subject=1))
    assert np.array_equal(vectors[0].vectors, found["features"].vectors)
    assert (place / "stores/mine/dataset.json").is_file()
