"""The aligner as a program uses it: from raw recordings through a run on the command line to similarities."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import mne
import numpy as np
import pytest
import torch

from eeg2speech.audio import read_audio, write_audio
from eeg2speech.checkpoints.parts import load_into, read_checkpoint, read_part
from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.files.raw import from_array, from_mne
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.inference.alignment import AlignmentModel, load_aligner
from eeg2speech.models import Aligner, AudioMAE, CachedAudio, SpectrogramViT, ViTEncoder
from eeg2speech.models.rebuild import rebuild_aligner
from tests.inference.recordings import LAG, NAMES, RATE, make_raw, wave

ROOT = Path(__file__).parents[2]
CONFIGS = [word for name in ("configs/alignment.yaml", "tests/conf/tiny_alignment.yaml") for word in ("--config", name)]

PLAIN = """
trainer:
  callbacks:  # without pictures, which take longer than the rest
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
      init_args: {monitor: val/mrr, mode: max, filename: best, save_last: true}
    - class_path: eeg2speech.training.ExportEncoder
    - class_path: eeg2speech.training.EvaluateAlignment
      init_args: {permutations: 50, lags: [], linear: false, electrodes: 0}
    - class_path: eeg2speech.training.WriteResults
"""
SAVED = """--trainer.callbacks=[{class_path: eeg2speech.training.AtomicCheckpoint, init_args: {filename: best}},
eeg2speech.training.ExportEncoder]"""
OTHER = "--seed_everything=1"  # weights unlike those that the next stage would draw itself


@pytest.fixture(scope="module")
def run(store, tmp_path_factory) -> Path:
    """Folder of a finished run of stage 2."""
    work = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # the configs are named relative to it
        folder = work / "runs/alignment"
        (work / "plain.yaml").write_text(PLAIN)
        options = [f"--config={work / 'plain.yaml'}", f"--data.store={store}", f"--run={folder}", f"--data.lag={LAG}"]
        options.append("--model.init_args.matched_filters=0")  # which need a shorter lag
        assert main(["fit", *CONFIGS, *options, "--data.scaling", "recording"]) == 0
    return folder


@pytest.fixture(scope="module")
def aligned(run) -> AlignmentModel:
    return load_aligner(run / "aligner")


def changed(aligned: AlignmentModel) -> AlignmentModel:
    """Every subject's layer far from the others', as eight steps of training do not bring them."""
    generator = torch.Generator().manual_seed(0)
    layer = aligned.aligner.subject_layer
    layer.change.data = 0.3 * torch.randn(layer.change.shape, generator=generator)
    return aligned


def test_the_lines_of_the_readme_run(run, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(import mne\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = [found for found in blocks if "load_aligner" in found]
    monkeypatch.chdir(run.parents[1])
    make_raw(1).save("me_raw.fif", verbose="ERROR")
    write_audio(Path("story.flac"), wave(3))
    Path("story.flac").rename("story.wav")  # libsndfile looks into the file
    found = {}
    exec(block, found)
    assert found["similarity"].shape == (len(found["eeg"]), len(found["sound"])) == (62, 6)
    assert np.abs(found["similarity"]).max() <= 1 + 1e-6
    assert len([line for line in block.splitlines() if line and not line.startswith("import")]) == 5


@pytest.mark.parametrize("known", [True, False], ids=["trained on", "held out"])
def test_a_recording_is_embedded_as_the_windows_of_its_store(run, data, known):
    aligned = changed(load_aligner(run / "aligner"))
    part = "unseen_stimulus" if known else "unseen_subject"
    (batch,) = data.batches(part)
    who = {label: i for i, label in enumerate(data.subject_names)}
    label = data.subject_names[int(batch["subject"][0])]
    rows = batch["subject"] == who[label]
    with torch.inference_mode():
        place = batch["subject"][rows] if known else torch.full((int(rows.sum()),), -1)
        expected = aligned.aligner.embed_eeg(batch["eeg"][rows], batch["positions"][rows], None, place)
    found = aligned.embed_raw(make_raw(int(label[-2:])), subject=label, hop=0.04)
    index = [int(np.flatnonzero(np.isclose(found.starts, start))[0]) for start in batch["start"][rows].tolist()]
    assert np.allclose(found.vectors[index], expected.numpy(), atol=2e-6)
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)


def test_sound_is_embedded_as_in_training_from_file_and_array(aligned, data, store, tmp_path):
    file = store / "audio/s2.flac"
    found = aligned.embed_wav(file)
    window, rate = read_audio(file)
    audio = torch.from_numpy(window[: 6 * 10240].reshape(6, 10240))
    with torch.inference_mode():
        assert np.allclose(found.vectors, aligned.aligner.embed_sound(audio).numpy(), atol=1e-6)
    assert found.starts.tolist() == pytest.approx([0, 0.64, 1.28, 1.92, 2.56, 3.2])
    assert np.array_equal(np.asarray(aligned.embed_wav(window, rate)), found.vectors)
    other = aligned.embed_wav(np.repeat(window, 2), 2 * rate)  # resampled
    assert (other.vectors * found.vectors).sum(1).min() > 0.9
    assert len(aligned.embed_wav(file, hop=0.32)) == 11


def test_who_is_not_known_gets_the_mean_layer(run):
    aligned, raw = changed(load_aligner(run / "aligner")), make_raw(1)
    nobody = aligned.embed_raw(raw).vectors
    with pytest.raises(ConfigError, match=r"subject='sub-1' is not in the training data \(sub-01, .*leave it out"):
        aligned.embed_raw(raw, subject="sub-1")
    trained = [
        name
        for name, known in zip(aligned.training_data.subjects, aligned.aligner.subject_layer.known, strict=True)
        if known
    ]
    assert 0 < len(trained) < len(aligned.training_data.subjects)  # one was held out
    for name in aligned.training_data.subjects:
        same = np.allclose(aligned.embed_raw(raw, subject=name).vectors, nobody)
        assert same == (name not in trained)


def test_channels_are_found_by_name_whatever_their_order_and_company(aligned):
    expected = aligned.embed_raw(make_raw(1)).vectors
    raw = make_raw(1)
    raw.rename_channels({"T7": "T3", "C3": "c3"})
    assert np.allclose(aligned.embed_raw(raw.copy().reorder_channels(raw.ch_names[::-1])).vectors, expected, atol=2e-6)
    extra = mne.io.RawArray(np.ones((1, raw.n_times)), mne.create_info(["Cz"], RATE, "eeg"), verbose="ERROR")
    assert np.allclose(aligned.embed_raw(raw.copy().add_channels([extra])).vectors, expected, atol=2e-6)
    plain = raw.copy().set_montage(None)  # positions are those of training
    assert np.allclose(aligned.embed_raw(plain).vectors, expected, atol=2e-6)
    eeg = make_raw(1).get_data(NAMES)
    assert np.allclose(aligned.embed_eeg(eeg, RATE, NAMES).vectors, expected, atol=2e-6)


def test_positions_of_the_recording_count_unless_they_reorder_its_channels(aligned):
    trained = aligned.training_data
    places = trained.montages[0].positions

    def chosen(positions):
        raw = from_array(np.zeros((8, 300)), 100.0, NAMES, positions)
        return np.array([[c.x, c.y, c.z] for c in trained.choose_channels(raw, fixed=True).channels])

    near = places + 0.001
    assert np.array_equal(chosen(near), near)
    assert np.array_equal(chosen(places[::-1]), places)
    some = near.copy()
    some[3] = np.nan
    assert np.array_equal(chosen(some)[3], places[3])
    assert np.array_equal(chosen(None), places)


def test_millimetres_and_microvolts_are_not_taken_for_metres_and_volts(aligned, caplog):
    eeg, places = make_raw(1).get_data(NAMES), aligned.training_data.montages[0].positions
    right = aligned.embed_eeg(eeg, RATE, NAMES, positions=places).vectors
    assert caplog.messages == []
    with pytest.raises(DataError, match="they look like millimetres; give metres in head coordinates"):
        aligned.embed_eeg(eeg, RATE, NAMES, positions=1000 * places)
    scaled = aligned.embed_eeg(1e6 * eeg, RATE, NAMES, positions=places).vectors
    assert np.allclose(scaled, right, atol=1e-4)  # scaling takes the unit out again
    assert "µV taken for V, so multiply by 1e-06" in caplog.text


def test_bad_channels_are_interpolated(aligned):
    raw = make_raw(1)
    whole = aligned.embed_raw(raw).vectors
    raw.info["bads"] = ["C3"]
    repaired = aligned.embed_raw(raw).vectors
    raw._data[2] = make_raw(7)._data[2]
    assert np.allclose(aligned.embed_raw(raw).vectors, repaired, atol=2e-6)  # what was in it does not matter
    assert not np.allclose(whole, repaired, atol=1e-2)


def test_windows_do_not_cross_the_seams_of_concatenated_recordings(aligned):
    first, second = make_raw(1, seconds=2.0), make_raw(2, seconds=3.0)
    raw = mne.concatenate_raws([first, second], verbose="ERROR")
    assert from_mne(raw).breaks == [400]
    found = aligned.embed_raw(raw)
    assert found.starts.tolist() == pytest.approx([0, 0.64, 1.28, 2.0, 2.64, 3.28, 3.92])


def test_no_montage_is_too_foreign_for_a_model_of_positions(aligned):
    config = {**aligned.aligner.config, "spatial_pooling": "pooling", "subject_layer": False}
    torch.manual_seed(0)
    free = AlignmentModel(
        Aligner(aligned.aligner.encoder, aligned.aligner.audio, **config).eval(), aligned.training_data
    )
    assert free.any_montage
    assert not aligned.any_montage
    assert len(free.embed_raw(make_raw(1, names=["Fz", "Cz", "Pz", "Oz", "F3"]))) == 62
    raw = make_raw(1, names=["Fz", "Cz", "Pz", "Oz", "F3"]).set_montage(None)
    raw.rename_channels({"F3": "left"})
    with pytest.raises(DataError, match="electrode 'left' is not in standard_1020"):
        free.embed_raw(raw)


def test_what_cannot_be_embedded_is_named_with_a_remedy(aligned, run, tmp_path):
    with pytest.raises(DataError, match=r"lacks 2 of the 8 electrodes .*: T7, O2; rename"):
        aligned.embed_raw(make_raw(1).drop_channels(["T7", "O2"]))
    with pytest.raises(DataError, match="none of the 1 channels of the recording is EEG"):
        aligned.embed_raw(make_raw(1).pick(["trigger"]))
    with pytest.raises(DataError, match=r"EEG of 0\.5 s without a stretch as long as the 0\.64 s"):
        aligned.embed_raw(make_raw(1, seconds=0.5))
    with pytest.raises(DataError, match="EEG at 64 Hz; this model needs 100 Hz"):
        aligned.embed_raw(make_raw(1, rate=64.0))
    with pytest.raises(DataError, match=r"EEG of shape \(8, 300\) with 2 names"):
        aligned.embed_eeg(np.zeros((8, 300)), 100.0, ["C3", "C4"])
    with pytest.raises(DataError, match=r"a sound of 0\.1 s is shorter"):
        aligned.embed_wav(np.zeros(1600), 16_000)
    with pytest.raises(ConfigError, match=r"at rate=None; give \(samples,\) and its rate"):
        aligned.embed_wav(np.zeros(16_000))
    with pytest.raises(DataError, match="NaN"):
        aligned.embed_wav(np.full(16_000, np.nan), 16_000)
    with pytest.raises(ConfigError, match=r"hop=0\.001 s is less"):
        aligned.embed_wav(np.zeros(16_000), 16_000, hop=0.001)
    with pytest.raises(DataError, match=r"encoder: not an exported aligner .*its parts: encoder"):
        load_aligner(run / "encoder")
    content = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    del content["data"]  # written before it was remembered
    torch.save(content, tmp_path / "old.ckpt")
    with pytest.raises(DataError, match=r"old\.ckpt: has no description of how its EEG was prepared"):
        load_aligner(tmp_path / "old.ckpt")


def test_checkpoint_export_and_run_folder_are_the_same_aligner(run, aligned, tmp_path, capsys):
    best = run / "checkpoints/best.ckpt"
    assert main(["export", str(best), str(tmp_path / "out")]) == 0
    assert "Wrote encoder.safetensors, aligner.safetensors and config.json" in capsys.readouterr().out
    expected = aligned.embed_raw(make_raw(1)).vectors
    for source in (best, str(tmp_path / "out")):
        again = load_aligner(source)
        assert again.training_data.preprocessing == Preprocessing(notch=None, band=(1.0, 30.0))
        assert again.training_data.subjects == aligned.training_data.subjects
        assert np.array_equal(again.embed_raw(make_raw(1)).vectors, expected)


def test_every_weight_is_in_one_file_and_every_part_is_whole(run, tmp_path):
    folder, best = run / "aligner", run / "checkpoints/best.ckpt"
    assert sorted(f.name for f in folder.iterdir()) == ["aligner.safetensors", "config.json", "encoder.safetensors"]
    modes = {file.stat().st_mode for file in folder.iterdir()}
    assert len(modes) == 1  # whoever may read the one may read the others
    for part in ("encoder", "aligner"):
        (described, weights, provenance), (theirs, state, _) = read_part(folder, part), read_part(best, part)
        assert described == theirs
        assert weights.keys() == state.keys()
        assert all(torch.equal(weights[name], state[name]) for name in state)
        assert provenance["checkpoint"] == "best.ckpt"
    encoder, weights, _ = read_part(folder, "encoder")
    load_into(ViTEncoder(**encoder["config"]), weights, "export")
    described = json.loads((folder / "config.json").read_text())
    total = sum(value.numel() for value in read_part(best, "aligner")[1].values())
    assert sum(part["parameters"] for part in described["parts"].values()) == total
    assert described["parts"]["aligner"]["contains"] == {"encoder": "encoder."}
    assert described["data"]["simulated"] is True
    assert described["data"]["lag"] == LAG
    # stage 1's layout is what it was, and says what the data were
    alone = json.loads((run / "encoder/config.json").read_text())
    assert alone.keys() == {"class", "config", "data", "parameters", "part", "provenance", "sha256"}
    again = read_part(run / "encoder", "encoder")[1]
    assert all(torch.equal(again[name], weights[name]) for name in weights)


@pytest.mark.parametrize("part", ["encoder", "aligner"])
def test_a_damaged_file_of_an_export_is_named(run, tmp_path, part):
    shutil.copytree(run / "aligner", tmp_path / "out")
    content = bytearray((tmp_path / "out" / f"{part}.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "out" / f"{part}.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=rf"{part}\.safetensors is not the one that config\.json describes"):
        load_aligner(tmp_path / "out")


def test_a_later_layout_is_refused(run, tmp_path):
    shutil.copytree(run / "aligner", tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    (tmp_path / "out/config.json").write_text(json.dumps(config | {"layout": 99}))
    with pytest.raises(DataError, match="layout 99"):
        load_aligner(tmp_path / "out")
    with pytest.raises(DataError, match="layout 99"):
        read_part(tmp_path / "out", "encoder")


SMALL = {"width": 16, "depth": 1, "heads": 2}


@pytest.mark.parametrize(
    ("audio", "cached"),
    [
        (lambda: SpectrogramViT(**SMALL), False),
        (lambda: SpectrogramViT(**SMALL), True),
        (lambda: AudioMAE(**SMALL), False),
        (lambda: AudioMAE(**SMALL), True),
        (lambda: AudioMAE(trainable="lora", rank=2, **SMALL), False),  # what is trained is not cached
    ],
    ids=["SpectrogramViT", "SpectrogramViT, cached", "AudioMAE", "AudioMAE, cached", "LoRA"],
)
def test_every_audio_encoder_is_rebuilt(audio, cached, tmp_path):
    torch.manual_seed(0)
    sound = audio()
    sound = CachedAudio(sound, tmp_path, "fp32") if cached else sound
    aligner = Aligner(ViTEncoder(**SMALL), sound, 2, 8, 8, 16, whitening=True).eval()
    described = json.loads(json.dumps(aligner.description))
    again = rebuild_aligner(described, aligner.state_dict(), "here")
    assert isinstance(again.audio, type(sound.encoder if cached else sound))
    wave = 0.1 * torch.randn(2, 10240)
    with torch.no_grad():
        assert torch.allclose(again.embed_sound(wave), aligner.embed_sound(wave), atol=1e-6)
    assert not any(parameter.requires_grad for parameter in again.parameters())


@pytest.mark.parametrize(
    "change",
    [{"encoder": {"class": "Path", "config": {}}}, {"audio": {}}, {"telepathy": True}],
    ids=["another class", "no audio", "another setting"],
)
def test_a_description_of_something_else_is_an_error_in_one_line(change):
    aligner = Aligner(ViTEncoder(**SMALL), SpectrogramViT(**SMALL), 2, 8, 8, 16)
    described = aligner.description
    with pytest.raises(DataError, match="here: ") as caught:
        rebuild_aligner({**described, "config": described["config"] | change}, aligner.state_dict(), "here")
    assert "\n" not in str(caught.value)


def test_a_tested_run_needs_nothing_of_the_stages_before(store, tmp_path, monkeypatch):
    """Their folders are gone, and so is the pretrained audio encoder."""
    monkeypatch.chdir(ROOT)
    here, short = ["--data.store", str(store)], ["--trainer.max_steps", "2", "--trainer.val_check_interval", "2"]
    for stage, overlay in (("maeeg", "tiny.yaml"), ("audiomae", "tiny_audio.yaml")):
        configs = ["--config", f"configs/{stage}.yaml", "--config", f"tests/conf/{overlay}"]
        assert main(["fit", *configs, *here, "--run", str(tmp_path / stage), *short, SAVED, OTHER]) == 0
    model = "--model.init_args."
    handed = [f"{model}encoder_weights", str(tmp_path / "maeeg/encoder"),
              f"{model}audio_weights", str(tmp_path / "audiomae/encoder")]  # fmt: skip
    (tmp_path / "plain.yaml").write_text(PLAIN)
    run = [*CONFIGS, "--config", str(tmp_path / "plain.yaml"), *here, "--run", str(tmp_path / "alignment")]
    assert main(["fit", *run, *handed, *short]) == 0
    taken = read_checkpoint(tmp_path / "alignment/checkpoints/best.ckpt")["state_dict"]
    given = read_part(tmp_path / "maeeg/encoder", "encoder")[1]
    assert torch.allclose(taken["aligner.encoder.embedding.weight"], given["embedding.weight"], atol=0.02)
    shutil.rmtree(tmp_path / "maeeg")
    shutil.rmtree(tmp_path / "audiomae")
    assert main(["test", *run, *handed, "--ckpt_path", "best"]) == 0
    assert (tmp_path / "alignment/test.json").is_file()
    assert load_aligner(tmp_path / "alignment/aligner").training_data.name == "waves"
