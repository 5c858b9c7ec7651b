"""Speech out of a trained model: from Python, and by `eeg2speech generate`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import mne
import numpy as np
import pytest
import soundfile
import torch

from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.seeding import mix, name_key
from eeg2speech.core.tables import read_table
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.simulation.simulator import Simulation
from eeg2speech.data.store.store import Store
from eeg2speech.inference.clips import cut_clips
from eeg2speech.inference.generated_table import Generated, sha256_of
from eeg2speech.inference.generator import SpeechGenerator, load_generator
from eeg2speech.inference.source_store import open_source_store
from eeg2speech.inference.training_data import TrainingDataInfo
from eeg2speech.models.audioldm2 import rebuild
from eeg2speech.tasks.training_data import training_data_info
from tests.data.stores import make_store, noise, segment
from tests.inference.recordings import LAG, NAMES, SPLIT, WINDOW, make_raw
from tests.speech_stub import StubSampler, StubSpeech


@pytest.fixture(scope="module")
def data(store) -> EEGAudioDataModule:
    data = EEGAudioDataModule(store, WINDOW, split=SPLIT, audio=True, lag=LAG, batch_size=64)
    data.setup()
    return data


@pytest.fixture(scope="module")
def ckpt(data, tmp_path_factory) -> Path:
    """What a run of stage 3 leaves behind, around the stub."""
    file = tmp_path_factory.mktemp("run") / "best.ckpt"
    return write_checkpoint(file, data)


def write_checkpoint(file: Path, data, parts=("encoder", "speech"), seed=0) -> Path:
    state = {f"{part}.gain": torch.full((1,), float(seed)) for part in parts}
    described = {part: {"prefix": f"{part}.", "class": "Stub", "config": {}} for part in parts}
    content = {"state_dict": state, "parts": described, "data": training_data_info(data), "global_step": 7, "epoch": 0}
    torch.save({**content, "pytorch-lightning_version": "2.6"}, file)
    return file


@pytest.fixture(autouse=True)
def stub(monkeypatch) -> StubSpeech:
    model = StubSpeech()
    monkeypatch.setattr(rebuild, "rebuild_speech", lambda *_: (model, StubSampler()))
    return model


@pytest.fixture
def generate(ckpt, store, tmp_path, capsys):
    def run(*options: str, out="out", status=0):
        words = ["generate", "--ckpt", str(ckpt), "--store", str(store), "--out", str(tmp_path / out), *options]
        assert main(words) == status
        return capsys.readouterr()

    return run


def rows(out: Path) -> list[Generated]:
    return read_table(out / "generated.tsv", Generated)


def waves(out: Path) -> dict[str, np.ndarray]:
    return {file.name: soundfile.read(file, dtype="float32")[0] for file in sorted(out.glob("*.wav"))}


def test_clips_do_not_depend_on_their_batch(ckpt, store, data, stub):
    speaker = load_generator(ckpt)
    origin = open_source_store(speaker.training_data, fixed=True, root=store)
    clips, _ = cut_clips(origin.store, "segments", 64, 32 // 2)
    made = []
    for size in (1, 4):
        speaker.batch_size = size
        pieces: dict[int, list[np.ndarray]] = {}
        for index, wave, _ in speaker.generate_clips(origin.store, origin.scalings, clips[:3], origin.subjects):
            pieces.setdefault(index, []).append(wave)
        made.append([np.concatenate(pieces[i]) for i in range(3)])
    assert {1, 4} <= set(stub.batches)
    for one, four in zip(*made, strict=True):
        assert len(one) == 4 * 16_000
        assert np.allclose(one, four, atol=1e-4)
    assert not np.allclose(made[0][0], made[0][1], atol=0.1)


def test_regression_generates_without_noise(ckpt, store, generate, tmp_path):
    for out, options in {"one": [], "other": ["--seed=5"], "diffusion": ["--method=diffusion"]}.items():
        generate("--limit=2", *(["--method=regression", *options] if out != "diffusion" else options), out=out)
    one, other, diffusion = (waves(tmp_path / out) for out in ("one", "other", "diffusion"))
    assert one.keys() == diffusion.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert not any(np.allclose(one[name], diffusion[name], atol=0.05) for name in one)
    assert {row.method for row in rows(tmp_path / "one")} == {"regression"}
    # a folder of the other method is made again
    assert "2 made now" in generate("--limit=2", "--method=regression", out="diffusion").out
    assert "0 made now" in generate("--limit=2", "--method=regression", out="diffusion").out
    with pytest.raises(ConfigError, match="method='magic' is none of diffusion, regression"):
        load_generator(ckpt, method="magic")


def test_windows_are_scaled_and_seeded_as_in_training(ckpt, store, data, stub, tmp_path):
    assert main(["generate", "--ckpt", str(ckpt), "--store", str(store), "--out", str(tmp_path), "--unit=windows"]) == 0
    speaker = load_generator(ckpt)
    for part in data.test_splits:
        (batch,) = data.batches(part)
        names = [data.store.recordings[i].recording for i in batch["recording"].tolist()]
        starts = [round(start * 100) for start in batch["start"].tolist()]
        seeds = [mix(0, name_key(name), start) for name, start in zip(names, starts, strict=True)]
        expected = speaker.generate_windows(batch, data.subject_names, seeds)
        stimuli = [data.store.stimuli[i] for i in batch["stimulus"].tolist()]
        for name, start, stimulus, wave in zip(names, starts, stimuli, expected, strict=True):
            found, _ = soundfile.read(tmp_path / f"{name}_{start / 100:08.2f}s_{stimulus}.wav")
            assert np.allclose(found, wave, atol=1e-4)


def test_every_file_has_a_row_that_says_what_it_is(generate, ckpt, store, tmp_path, data):
    printed = generate("--seed=3", "--steps=5", "--guidance=2")
    out = tmp_path / "out"
    table = rows(out)
    assert {row.file for row in table} == set(waves(out))
    assert {row.split for row in table} == {"unseen_stimulus", "unseen_subject", "unseen_both"}
    assert len(table) == sum(len({w.segment for w in data.datasets[part].windows}) for part in data.test_splits)
    segments = {(s.recording, s.stimulus): s for s in Store(store).segments}
    for row in table:
        segment = segments[row.recording, row.stimulus]
        assert (row.onset, row.duration, row.offset) == (segment.onset, segment.duration, 0.0)
        assert row.reference == str(store / f"audio/{row.stimulus}.flac")
        assert (row.eeg, row.dataset, row.condition, row.subject) == ("simulated", "waves", "listening", row.recording)
        assert (row.seed, row.steps, row.guidance, row.solver, row.overlap) == (3, 5, 2.0, "dpm", 0.32)
        assert (row.checkpoint, row.global_step) == (sha256_of(ckpt), 7)
        assert len(waves(out)[row.file]) == 16_000 * 4
    assert "simulated EEG of 4 subjects" in printed.out
    assert "note:" not in printed.err


def test_parts_are_those_of_the_run(generate, tmp_path, data):
    generate("--splits=[train,val,unseen_stimulus,unused]")
    found = {(row.recording, row.stimulus): row.split for row in rows(tmp_path / "out")}
    for part in ("train", "val", "unseen_stimulus"):
        heard = {(w.segment.recording, w.segment.stimulus) for w in data.datasets[part].windows}
        assert {pair for pair, said in found.items() if said == part} == heard
    assert {pair for pair, said in found.items() if said == "unused"}  # sounds of validation, of the held-out person


def test_a_whole_recording_is_one_file_as_long_as_its_eeg(generate, tmp_path, stub):
    generate("--unit=recordings", "--recordings=[sub-01,sub-03]", "--batch_size=4", "--overlap=0.16")
    (one, other) = rows(tmp_path / "out")
    assert (one.file, other.file) == ("sub-01.wav", "sub-03.wav")
    assert {len(wave) for wave in waves(tmp_path / "out").values()} == {16_000 * 40}
    assert "train" in one.split.split(",") + other.split.split(",")
    assert one.stimulus == one.reference == ""
    assert max(stub.batches) == 4  # however long the recording is


def test_a_second_run_makes_only_what_is_missing_or_other(generate, tmp_path):
    out = tmp_path / "out"
    generate("--limit=3")
    first = {file.name: file.stat().st_mtime_ns for file in out.glob("*.wav")}
    assert len(first) == 3
    assert "2 made now, 3 were there" in generate("--limit=5").out
    assert all((out / name).stat().st_mtime_ns == time for name, time in first.items())
    (out / sorted(first)[0]).unlink()
    assert "1 made now, 4 were there" in generate("--limit=5").out
    assert "0 made now, 5 were there" in generate("--limit=5", "--batch_size=3").out
    assert "5 made now, 0 were there" in generate("--limit=5", "--seed=1").out
    assert {row.seed for row in rows(out)} == {1}
    assert len(rows(out)) == 5


def test_a_killed_run_keeps_what_is_finished(generate, tmp_path, monkeypatch):
    out, real = tmp_path / "out", StubSpeech.waveform

    def interrupted(self, latents):
        if len(list(out.glob("*.wav"))) == 2:
            raise KeyboardInterrupt
        return real(self, latents)

    monkeypatch.setattr(StubSpeech, "waveform", interrupted)
    generate("--limit=5", "--batch_size=1", status=130)
    assert len(rows(out)) == len(waves(out)) == 2
    assert not list(out.glob("*.partial"))
    table = out / "generated.tsv"
    table.write_text(table.read_text() + "half a ro")
    monkeypatch.setattr(StubSpeech, "waveform", real)
    assert "3 made now, 2 were there" in generate("--limit=5").out
    assert len(rows(out)) == 5


def test_what_another_model_made_is_not_touched_unless_told(generate, ckpt, data, store, tmp_path, capsys):
    generate("--limit=2")
    (tmp_path / "out/mine.txt").write_text("x")
    other = write_checkpoint(tmp_path / "other.ckpt", data, seed=1)
    words = ["generate", "--ckpt", str(other), "--store", str(store), "--out", str(tmp_path / "out"), "--limit=1"]
    assert main(words) == 1
    assert "holds speech of another model" in capsys.readouterr().err
    assert len(waves(tmp_path / "out")) == 2
    assert main([*words, "--overwrite", "true"]) == 0
    assert {row.checkpoint for row in rows(tmp_path / "out")} == {sha256_of(other)}
    assert len(waves(tmp_path / "out")) == 1
    assert (tmp_path / "out/mine.txt").exists()


def test_a_table_that_names_files_elsewhere_deletes_nothing(generate, tmp_path):
    out = tmp_path / "out"
    generate("--limit=1")
    precious = tmp_path / "precious.wav"
    precious.write_text("x")
    table = out / "generated.tsv"
    text = table.read_text().replace(rows(out)[0].file, "../precious.wav")
    table.write_text(re.sub(r"[0-9a-f]{64}", "0" * 64, text))
    assert "cannot be a file name" in generate("--overwrite=true", status=1).err
    assert precious.exists()


def test_another_store_is_read_whole_and_its_split_not_known(generate, ckpt, store, tmp_path, capsys, stub):
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    table = copy / "segments.tsv"
    table.write_text("".join(line for line in table.read_text().splitlines(True) if "\ts7\t" not in line))
    words = ["generate", "--ckpt", str(ckpt), "--store", str(copy), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "not the store that the model was trained on" in printed.err
    assert "not known whether trained on" in printed.out
    assert {row.split for row in rows(tmp_path / "out")} == {""}
    assert len(rows(tmp_path / "out")) == 4 * 7
    assert set(torch.cat(stub.heard).tolist()) == {0, 1, 2, 3}  # the same people
    file = copy / "dataset.json"
    file.write_text(file.read_text().replace('"waves"', '"others"'))
    stub.heard.clear()
    assert main([*words, "--limit=2", "--seed=1"]) == 0
    assert set(torch.cat(stub.heard).tolist()) == {-1}  # the labels of another dataset are other people


def test_names_that_do_not_occur_are_told(generate):
    assert "sub-09: " in generate("--subjects=[sub-09]", status=1).err
    assert "listening" in generate("--conditions=[imagined]", status=1).err
    assert "unseen_both" in generate("--splits=[unseen]", status=1).err
    assert "nothing is left" in generate("--recordings=[sub-01]", "--subjects=[sub-02]", status=1).err
    assert "limit" in generate("--limit=-1", status=1).err
    assert "at most half" in generate("--overlap=0.4", status=1).err


def test_models_of_earlier_stages_are_refused(data, tmp_path, store, capsys):
    words = ["--store", str(store), "--out", str(tmp_path / "out")]
    assert main(["generate", "--ckpt", str(tmp_path / "no.ckpt"), *words]) == 1
    assert "no such checkpoint" in capsys.readouterr().err
    for parts, what in ((("encoder",), "an encoder"), (("encoder", "aligner"), "an aligner")):
        file = write_checkpoint(tmp_path / "early.ckpt", data, parts)
        assert main(["generate", "--ckpt", str(file), *words]) == 1
        assert f"{what}, which generates no speech; train stage 3" in capsys.readouterr().err
    with pytest.raises(DataError, match="not an export"):
        load_generator(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_model_of_the_users_data_asks_for_a_store(ckpt, tmp_path, capsys):
    assert main(["generate", "--ckpt", str(ckpt), "--out", str(tmp_path / "out")]) == 1
    assert "trained on waves" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"rate": 50}, "EEG at 50 Hz, the model was trained at 100 Hz"),
        ({"channels": 6}, "6 electrodes, the model was trained with 8"),
        ({"seconds": 0.5}, "all 1 segments are shorter than a window"),
    ],
)
def test_a_store_that_does_not_fit_is_refused(made, message, ckpt, tmp_path, capsys, stub):
    seconds = made.get("seconds", 4.0)
    stub.aligner.any_montage = "seconds" in made
    eeg = noise(made.get("channels", 8), round(8 * made.get("rate", 100)))
    store = make_store(
        tmp_path / "made", {"r": ("s", eeg, [segment(duration=seconds)])}, {"s": np.ones(64_000, np.float32) / 2},
        made.get("rate", 100),
    )  # fmt: skip
    assert main(["generate", "--ckpt", str(ckpt), "--store", str(store.root), "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_ids_that_lead_out_of_the_folder_are_refused(ckpt, store, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    for name in ("recordings.tsv", "segments.tsv", "channels.tsv"):
        file = copy / name
        lines = [line.split("\t") for line in file.read_text().splitlines()]
        lines = [[cell if cell != "sub-01" else "../sub-01" for cell in line] for line in lines]
        file.write_text("".join("\t".join(line) + "\n" for line in lines))
    assert main(["generate", "--ckpt", str(ckpt), "--store", str(copy), "--out", str(tmp_path / "a/out")]) == 1
    assert "'../sub-01' cannot be a file name" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_a_recording_from_mne_is_spoken_as_long_as_it_is(ckpt, stub):
    speaker = load_generator(ckpt)
    wave = speaker.generate_raw(make_raw(1, seconds=10.0), subject="sub-02")
    assert wave.shape == (160_000,)
    assert wave.dtype == np.float32
    assert np.abs(wave).max() <= 1
    assert set(torch.cat(stub.heard).tolist()) == {1}
    raw = make_raw(1, seconds=10.0)
    eeg = raw.get_data(picks="eeg")
    places = np.array([c["loc"][:3] for c in raw.info["chs"][: len(NAMES)]])
    assert np.allclose(speaker.generate_eeg(eeg, raw.info["sfreq"], NAMES, places, "sub-02"), wave, atol=1e-5)
    assert not np.allclose(speaker.generate_raw(raw, "sub-02", seed=1), wave, atol=0.01)
    with pytest.raises(ConfigError, match="overlap"):
        speaker.generate_raw(raw, overlap=0.4)
    with pytest.raises(DataError, match=r"EEG of 0\.5 s"):
        speaker.generate_raw(make_raw(1, seconds=0.5))


def test_speech_never_crosses_a_break_and_short_pieces_are_silent(ckpt):
    parts = [make_raw(seed, seconds=seconds) for seed, seconds in ((1, 3.0), (2, 0.5), (3, 3.0))]
    raw = mne.concatenate_raws(parts, verbose="ERROR")
    wave = load_generator(ckpt).generate_raw(raw)
    assert len(wave) == 6.5 * 16_000
    silent = wave[round(3.0 * 16_000) + 200 : round(3.5 * 16_000) - 200]
    assert not silent.any()
    assert np.abs(wave[: 3 * 16_000]).max() > 0.05
    assert np.abs(wave[-3 * 16_000 :]).max() > 0.05


def test_generated_nan_is_an_error(ckpt, store, data, stub):
    stub.gain.data.fill_(float("nan"))
    with pytest.raises(DataError, match="generates NaN"):
        load_generator(ckpt).generate_raw(make_raw(1, seconds=3.0))
    with pytest.raises(ConfigError, match="batch_size"):
        SpeechGenerator(stub, StubSampler(), TrainingDataInfo.from_dict(training_data_info(data), "x"), batch_size=0)


def test_without_a_store_it_is_the_embedded_one_of_the_training(tmp_path, monkeypatch):
    monkeypatch.setenv("EEG2SPEECH_CACHE", str(tmp_path / "cache"))
    simulation = Simulation(subjects=2, channels=8, passages=4, snr=float("-inf"))
    data = EEGAudioDataModule(simulation=simulation, window=3.2, split=Split(by="both"))
    data.prepare_data()
    data.setup()
    file = write_checkpoint(tmp_path / "best.ckpt", data)
    words = ["generate", "--ckpt", str(file), "--out", str(tmp_path / "out"), "--limit=2", "--unit=windows"]
    assert main(words) == 0
    table = rows(tmp_path / "out")
    assert {row.dataset for row in table} == {"demo"}
    assert all(row.split.startswith("unseen") for row in table)
    assert all(row.reference.startswith(str(tmp_path / "cache")) for row in table)
