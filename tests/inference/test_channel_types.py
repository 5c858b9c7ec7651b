"""Models of MEG and of electrodes inside the head: from a BIDS dataset to vectors, decisions and speech in Python."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mne
import numpy as np
import pytest
import soundfile
import torch

import eeg2speech
from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.store.store import Store
from eeg2speech.inference.braindecode import PretrainedEncoder, embed_dataset, prepare_braindecode
from eeg2speech.inference.training_data import TrainingDataInfo
from eeg2speech.models import Aligner, SpectrogramViT, ViTEncoder
from eeg2speech.models.audioldm2 import rebuild
from eeg2speech.tasks.training_data import training_data_info
from tests.data.readers.bids_files import write_sound, write_tsv
from tests.speech_stub import StubSpeech

RATE, SECONDS, SOUNDS = 200.0, 2.0, 6
SMALL = {"width": 16, "depth": 1, "heads": 2}
KINDS = {"meg": ["mag", "grad"] * 4, "seeg": ["seeg"] * 6, "ecog": ["ecog"] * 6}
LEVEL = {"mag": 2e-13, "grad": 3e-12, "seeg": 4e-5, "ecog": 2e-5, "eeg": 1e-5, "stim": 1.0}
GAIN = {"mag": 1e15, "grad": 1e13, "seeg": 1e6, "ecog": 1e6}


def names_of(kind: str) -> list[str]:
    return [f"{kind.upper()}{number:03d}" for number in range(len(KINDS[kind]))]


def place(subject: int, channel: int) -> list[float]:
    """Metres; electrodes inside the head lie elsewhere in everybody, sensors of a machine do not."""
    return [0.01 * channel - 0.03, 0.02 * (channel % 3) + 0.001 * subject, 0.005 * channel]


def signal(kind: str, subject: int) -> mne.io.RawArray:
    """A recording with scalp EEG and a trigger beside what is decoded from."""
    types = [*KINDS[kind], "eeg", "stim"]
    rng = np.random.default_rng(subject)
    data = np.cumsum(rng.standard_normal((len(types), round((SECONDS + 1) * SOUNDS * RATE))), axis=1)
    data -= np.stack([np.convolve(row, np.ones(100) / 100, "same") for row in data])
    data += 0.3 * rng.standard_normal(data.shape) + 0.2 * data[:1]  # some of it common to all, which references change
    data *= np.array([LEVEL[kind] for kind in types])[:, None] / data.std(axis=1, keepdims=True)
    raw = mne.io.RawArray(data, mne.create_info([*names_of(kind), "Fz", "STI"], RATE, types), verbose="ERROR")
    for index in range(len(KINDS[kind])):
        raw.info["chs"][index]["loc"][:3] = place(0 if kind == "meg" else subject, index)
    return raw


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def store(kind, tmp_path_factory) -> Path:
    """Three people who hear six sounds, prepared by the command line."""
    root = tmp_path_factory.mktemp("bids") / kind
    datatype = "meg" if kind == "meg" else "ieeg"
    for number in range(SOUNDS):
        write_sound(root / "stimuli" / f"s{number}.wav", SECONDS, 200 + 50 * number)
    (root / "dataset_description.json").write_text(json.dumps({"Name": kind, "BIDSVersion": "1.9.0"}))
    for subject in (1, 2, 3):
        stem = root / f"sub-{subject:02d}" / datatype / f"sub-{subject:02d}_task-x"
        stem.parent.mkdir(parents=True)
        raw = signal(kind, subject)
        if kind == "meg":
            raw.save(f"{stem}_meg.fif", fmt="double", verbose="ERROR")
        else:
            volts = raw.copy()
            volts.set_channel_types(dict.fromkeys(volts.ch_names, "eeg"), on_unit_change="ignore", verbose="ERROR")
            mne.export.export_raw(f"{stem}_ieeg.vhdr", volts, verbose="ERROR")
            rows = zip(raw.ch_names, raw.get_channel_types(), strict=True)
            write_tsv(Path(f"{stem}_channels.tsv"), [{"name": n, "type": k.upper(), "units": "V"} for n, k in rows])
            where = [dict(zip("xyz", place(subject, i), strict=True)) for i in range(len(KINDS[kind]))]
            listed = [{"name": name, **axes} for name, axes in zip(names_of(kind), where, strict=True)]
            write_tsv(stem.parent / f"sub-{subject:02d}_electrodes.tsv", listed)
            said = {"iEEGCoordinateSystem": "ACPC", "iEEGCoordinateUnits": "m"}
            (stem.parent / f"sub-{subject:02d}_coordsystem.json").write_text(json.dumps(said))
        heard = [{"onset": (SECONDS + 1) * k, "duration": SECONDS, "stim_file": f"s{k}.wav"} for k in range(SOUNDS)]
        write_tsv(Path(f"{stem}_events.tsv"), heard)
    out = root.parent / "store"
    settings = ["--preprocessing.notch=null", "--preprocessing.band=[1,30]", "--preprocessing.deviation=null"]
    assert main(["prepare", "bids", str(root), str(out), *settings]) == 0
    return out


@pytest.fixture(scope="module")
def data(store) -> EEGAudioDataModule:
    split = Split(by="both", test=0.2, val=0.2, test_subjects=1)
    data = EEGAudioDataModule(store, 0.64, split=split, audio=True, lag=0.1, scaling="recording")
    data.setup()
    return data


@pytest.fixture(scope="module")
def aligner(kind, data) -> Aligner:
    torch.manual_seed(0)
    sound, people = SpectrogramViT(**SMALL), len(data.subject_names)
    return Aligner(ViTEncoder(**SMALL), sound, people, len(KINDS[kind]), 8, 16).eval()


def checkpoint(file: Path, model, remembered, parts) -> Path:
    state = {f"m.{name}": value for name, value in model.state_dict().items()}
    content = {"state_dict": state, "parts": parts, "data": remembered, "global_step": 7, "epoch": 0}
    torch.save(content, file)
    return file


@pytest.fixture(scope="module")
def ckpt(aligner, data, tmp_path_factory) -> Path:
    encoder = {"prefix": "m.encoder.", "class": "ViTEncoder", "config": aligner.encoder.config}
    parts = {"encoder": encoder, "aligner": {"prefix": "m.", **aligner.description}}
    return checkpoint(tmp_path_factory.mktemp("run") / "best.ckpt", aligner, training_data_info(data), parts)


def embedded(aligner: Aligner, data: EEGAudioDataModule, part: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Subject, starts and vectors of windows as the data module and the network give them."""
    (batch,) = data.batches(part)
    rows = batch["subject"] == batch["subject"][0]
    who = batch["subject"][rows] if part == "unseen_stimulus" else torch.full((int(rows.sum()),), -1)
    with torch.inference_mode():
        vectors = aligner.embed_eeg(batch["eeg"][rows], batch["positions"][rows], None, who)
    return data.subject_names[int(batch["subject"][0])], batch["start"][rows].numpy(), vectors.numpy()


def test_embedding_and_match_equal_the_data_module(kind, ckpt, aligner, data):
    aligned = eeg2speech.load_aligner(ckpt)
    assert aligned.training_data.types == tuple(dict.fromkeys(KINDS[kind]))
    assert aligned.training_data.montages[0].types == tuple(KINDS[kind])
    for part in ("unseen_stimulus", "unseen_subject"):
        subject, starts, expected = embedded(aligner, data, part)
        found = aligned.embed_raw(signal(kind, int(subject)), subject, hop=0.04)
        index = [int(np.flatnonzero(np.isclose(found.starts, start))[0]) for start in starts]
        assert np.allclose(found.vectors[index], expected, atol=1e-5)
        assert expected.std(axis=0).max() > 1e-3  # windows differ
        sounds = [aligned.embed_wav(data.store.audio(f"s{k}"), 16_000, hop=0.04).vectors[: len(index)] for k in (0, 3)]
        decided = aligned.match(found.vectors[index], sounds)
        assert np.allclose(decided.similarity[:, 1], (expected * sounds[1]).sum(1), atol=1e-5)


def test_arrays_and_epochs_have_the_types_of_training(kind, ckpt):
    aligned = eeg2speech.load_aligner(ckpt)
    raw = signal(kind, 1)
    whole = aligned.embed_raw(raw)
    values, names = raw.get_data(names_of(kind)), names_of(kind)
    assert np.allclose(aligned.embed_eeg(values, RATE, names).vectors, whole.vectors, atol=1e-5)
    assert np.allclose(aligned.embed_eeg(values, RATE, names, types=KINDS[kind]).vectors, whole.vectors, atol=1e-5)
    with pytest.raises(DataError, match=r"channel .*000': types='eeg', where the model was trained on"):
        aligned.embed_eeg(values, RATE, names, types="eeg")
    with pytest.raises(DataError, match=r"none of the 1 channels .* (MAG OR GRAD|SEEG|ECOG)"):
        aligned.embed_raw(raw.copy().pick(["Fz"]))
    epochs = mne.make_fixed_length_epochs(raw, 1.0, preload=True, verbose="ERROR")
    assert len(aligned.embed_epochs(epochs)) == len(epochs)
    known = aligned.embed_raw(raw, "01")
    member = SimpleNamespace(raw=raw, description={"subject": 1})
    assert np.array_equal(embed_dataset(aligned, SimpleNamespace(datasets=[member]))[0].vectors, known.vectors)


def test_units_and_references_are_those_of_each_type(kind, ckpt, store):
    raw = signal(kind, 1)
    prepared = eeg2speech.load_aligner(ckpt).training_data.prepare(
        eeg2speech.inference.arguments.of_raw(raw, eeg2speech.load_aligner(ckpt).training_data), fixed=True
    )
    (recording,) = prepared.recordings
    mine = prepared.eeg(recording)
    there = Store(store)
    theirs = there.eeg(next(row for row in there.recordings if row.subject == "01"))
    assert np.allclose(mine, theirs, atol=1e-4 * np.abs(theirs).max())
    referenced = kind != "meg"
    assert (np.abs(mine.mean(axis=0)).max() < 1e-3) == referenced
    values = raw.get_data(names_of(kind)) * np.array([[GAIN[k]] for k in KINDS[kind]])
    expected = (values - values.mean(axis=0) * referenced).std(axis=1)
    assert np.all((mine.std(axis=1) > 0.3 * expected) & (mine.std(axis=1) < 1.2 * expected))


def test_generate_and_speak_agree(kind, store, data, tmp_path, monkeypatch):
    """Speech of a recording is the same from the store and from the raw recording."""

    class Quiet:
        """Draws what the EEG says, without noise."""

        def __init__(self, solver="dpm", steps=1, guidance=1.0, start=1.0) -> None:
            self.solver, self.steps, self.guidance, self.start = solver, steps, guidance, start

        def sample(self, model, condition, steps, seeds):
            return condition.loa.mean((2, 3)).repeat_interleave(4, 1)[:, None, :, None].expand(-1, 8, -1, 16) / 20

    stub = StubSpeech()
    monkeypatch.setattr(rebuild, "rebuild_speech", lambda *_: (stub, Quiet()))
    parts = {"encoder": {"prefix": "m.", "class": "S", "config": {}}, "speech": {"prefix": "m.", "class": "S"}}
    file = checkpoint(
        tmp_path / "best.ckpt", stub, training_data_info(data), {k: {"config": {}} | v for k, v in parts.items()}
    )
    words = ["generate", "--ckpt", str(file), "--store", str(store), "--out", str(tmp_path / "out")]
    assert main([*words, "--unit=recordings", "--recordings=[sub-01_task-x]"]) == 0
    (written,) = (tmp_path / "out").glob("*.wav")
    generated, _ = soundfile.read(written)
    said = eeg2speech.load_generator(file).generate_raw(signal(kind, 1), "01")
    assert np.abs(said).max() > 0.1
    assert np.allclose(said, generated, atol=2e-3)


def test_other_types_are_refused_by_generate(kind, data, tmp_path, store, monkeypatch, capsys):
    stub = StubSpeech(any_montage=True)
    monkeypatch.setattr(rebuild, "rebuild_speech", lambda *_: (stub, None))
    remembered = training_data_info(data)
    for montage in remembered["montages"]:
        montage["types"] = ["eeg"] * len(montage["names"])
    remembered["learned_from"]["fingerprint"] = "of another store"
    part = {"prefix": "m.", "class": "S", "config": {}}
    file = checkpoint(tmp_path / "best.ckpt", stub, remembered, {"speech": part})
    speaker = eeg2speech.load_generator(file)
    from eeg2speech.inference.source_store import open_source_store

    with pytest.raises(DataError, match=r"channels of type .*, the model was trained on eeg; name a store of those"):
        open_source_store(speaker.training_data, fixed=False, root=store)


def test_checkpoints_without_types_are_of_eeg(data):
    remembered = training_data_info(data)
    for montage in remembered["montages"]:
        del montage["types"]
    trained = TrainingDataInfo.from_dict(remembered, "old.ckpt")
    assert trained.types == ("eeg",)
    assert set(trained.montages[0].types) == {"eeg"}
    remembered["montages"][0]["types"] = ["mag"]
    with pytest.raises(DataError, match=r"old\.ckpt: .*differ in number"):
        TrainingDataInfo.from_dict(remembered, "old.ckpt")


def test_a_channel_of_another_type_than_in_training_is_named(kind, data):
    trained = TrainingDataInfo.from_dict(training_data_info(data), "x")
    recording = eeg2speech.inference.arguments.of_raw(signal(kind, 1), trained)
    others = {"meg": "grad"}
    if kind in others:
        recording.channels[0] = replace(recording.channels[0], type=others[kind])
        with pytest.raises(DataError, match="MEG000 is grad, in training it was mag"):
            trained.choose_channels(recording, fixed=True)
    recording.channels[1] = replace(recording.channels[1], name=recording.channels[2].name.lower())
    with pytest.raises(DataError, match=r"are the same electrode|lacks 1 of"):
        trained.choose_channels(recording, fixed=True)


def test_electrodes_inside_the_head_take_no_place_of_others(kind, data, caplog):
    trained = TrainingDataInfo.from_dict(training_data_info(data), "x")
    raw = signal(kind, 1)
    for channel in raw.info["chs"]:
        channel["loc"][:3] = np.nan
    known = trained.choose_channels(eeg2speech.inference.arguments.of_raw(raw, trained), fixed=False)
    assert np.allclose([[c.x, c.y, c.z] for c in known.channels], trained.montages[0].positions)
    few = eeg2speech.inference.arguments.of_raw(raw.copy().pick(names_of(kind)[:4]), trained)
    places = np.array([[c.x, c.y, c.z] for c in trained.choose_channels(few, fixed=False).channels])
    if kind == "meg":
        assert np.allclose(places, trained.montages[0].positions[:4])
    else:
        assert np.isnan(places).all()
        assert "4 channels have no position" in caplog.text


def test_the_braindecode_module_has_the_data_modules_places(kind, ckpt, data, tmp_path):
    info = signal(kind, 1).pick(names_of(kind)).info["chs"]
    network = PretrainedEncoder(n_outputs=0, n_times=64, sfreq=100.0, chs_info=info, weights=ckpt).eval()
    batches = [batch for part in data.datasets for batch in data.batches(part)]
    batch = next(batch for batch in batches if data.subject_names.index("01") in batch["subject"].tolist())
    first = batch["subject"].tolist().index(data.subject_names.index("01"))
    assert np.allclose(network.positions.numpy(), batch["positions"][first].numpy(), atol=1e-6)
    with pytest.raises(ConfigError, match=r"channel Fz is of type eeg, the encoder takes"):
        PretrainedEncoder(n_outputs=0, n_times=64, chs_info=signal(kind, 1).info["chs"][:-1], weights=ckpt)
    member = SimpleNamespace(raw=signal(kind, 1), description={"subject": "1"})
    dataset, datatype = SimpleNamespace(datasets=[member]), "meg" if kind == "meg" else "ieeg"
    settings = Preprocessing(notch=None, deviation=None)
    assert prepare_braindecode(dataset, tmp_path / "s", "x", "CC0", "y", settings, datatype=datatype).errors == []
    prepared = Store(tmp_path / "s")
    assert [c.type for c in prepared.channels(prepared.recordings[0].recording)] == KINDS[kind]
    with pytest.raises(ConfigError, match="datatype='fmri' is none of eeg, ieeg, meg"):
        prepare_braindecode(dataset, tmp_path / "t", "x", "CC0", "y", datatype="fmri")
