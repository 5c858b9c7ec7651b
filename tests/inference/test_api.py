"""The names of the package, models of every stage in Python, epochs and tensors, and folders with model cards."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import mne
import numpy as np
import pytest
import soundfile
import torch
from huggingface_hub import ModelCard

import eeg2speech
from eeg2speech.checkpoints.parts import load_into, read_part
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.files.raw import from_epochs, from_mne
from eeg2speech.data.preparation.ica import Ica
from eeg2speech.data.preparation.preprocess import preprocess
from eeg2speech.inference.alignment import AlignmentModel
from eeg2speech.inference.cards import SIMULATED, write_card
from eeg2speech.inference.encoders import EEGEncoder, SoundEncoder
from eeg2speech.inference.training_data import TrainingDataInfo
from eeg2speech.metrics import Estimate
from eeg2speech.metrics.results import ReconstructionSplit, judge_reconstruction
from eeg2speech.models import SpectrogramViT, ViTEncoder
from eeg2speech.tasks.training_data import training_data_info
from tests.inference.recordings import LAG, NAMES, RATE, WINDOW, epochs_of, make_raw, wave
from tests.inference.untrained import SMALL
from tests.reporting.run_folders import reconstruction_test, speech_test


def test_importing_the_package_loads_nothing_and_its_names_are_all_there():
    lines = "import sys, eeg2speech; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert not {"torch", "mne", "numpy", "huggingface_hub", "eeg2speech.inference.alignment"} & set(done.stdout.split())
    for name in eeg2speech.__all__:
        assert getattr(eeg2speech, name) is not None
    assert set(eeg2speech.__all__) <= set(dir(eeg2speech))
    with pytest.raises(AttributeError, match="no attribute 'telepathy'"):
        eeg2speech.telepathy  # noqa: B018


def test_load_takes_the_largest_model_of_every_stage(run, aligned, encoder, tmp_path):
    assert isinstance(eeg2speech.load(run / "alignment/checkpoints/best.ckpt"), AlignmentModel)
    sound = eeg2speech.load(run / "audiomae/checkpoints/best.ckpt")
    assert isinstance(sound, SoundEncoder)
    found = sound.embed_wav(wave(1), 16_000)
    with torch.inference_mode():
        expected = aligned.aligner.audio(torch.from_numpy(wave(1)[:10240])[None]).mean((1, 2))
    assert np.allclose(found.vectors[0], expected[0].numpy(), atol=1e-6)
    with pytest.raises(DataError, match="not an export"):
        eeg2speech.load(tmp_path)
    with pytest.raises(DataError, match="no such checkpoint"):
        eeg2speech.load(tmp_path / "no.ckpt")
    with pytest.raises(DataError, match="load it with SoundEncoder"):
        EEGEncoder.from_pretrained(str(_saved(sound, tmp_path / "sound")))


def test_an_encoder_embeds_a_recording_as_the_windows_of_its_store(encoder, data):
    for part in ("unseen_stimulus", "unseen_subject"):
        (batch,) = data.batches(part)
        label = data.subject_names[int(batch["subject"][0])]
        rows = batch["subject"] == batch["subject"][0]
        with torch.inference_mode():
            network = encoder.encoder
            expected = network.pool(network(batch["eeg"][rows], batch["positions"][rows]))
        found = encoder.embed_raw(make_raw(int(label[-2:])), hop=0.04)
        index = [int(np.flatnonzero(np.isclose(found.starts, start))[0]) for start in batch["start"][rows].tolist()]
        assert np.allclose(found.vectors[index], expected.numpy(), atol=1e-5)
    assert len(encoder.embed_raw(make_raw(1, names=["Fz", "Cz", "Pz", "Oz", "F3"]))) == 62  # any montage


@pytest.mark.parametrize(
    "settings",
    [{"ica": Ica("eog", minutes=0.5)}, {"upsample": True}, {"reference": "none", "notch": 50.0}],
    ids=["eyes taken out", "slow, interpolated", "other reference"],
)
def test_a_recording_is_prepared_by_the_settings_of_training(aligned, settings):
    rate = 80.0 if "upsample" in settings else 200.0
    rng, raw = np.random.default_rng(0), make_raw(1, rate=rate)
    blinks = 1e-4 * np.repeat(rng.standard_normal((1, raw.n_times // 20)).clip(1), 20, axis=1)
    eyes = mne.io.RawArray(blinks, mne.create_info(["up"], rate, "eog"), verbose="ERROR")
    raw._data[:2] += 0.5 * blinks
    raw.add_channels([eyes], force_update_info=True)
    trained = replace(aligned.training_data, preprocessing=replace(aligned.training_data.preprocessing, **settings))
    recording = from_mne(raw, beside=("eog",))
    expected, *_ = preprocess(recording, trained.preprocessing, "expected")
    store = trained.prepare(recording, fixed=True)
    assert np.allclose(store.eeg(store.recordings[0]), expected, atol=1e-3)  # microvolts
    assert len(AlignmentModel(aligned.aligner, trained).embed_raw(raw)) == 62


def test_tensors_are_embedded_as_arrays(aligned):
    eeg = make_raw(1).get_data(NAMES)
    expected = aligned.embed_eeg(eeg, RATE, NAMES).vectors
    tensor = torch.from_numpy(eeg).requires_grad_()
    assert np.array_equal(aligned.embed_eeg(tensor, RATE, NAMES).vectors, expected)
    sound = aligned.embed_wav(torch.from_numpy(wave(2)), 16_000)
    assert np.array_equal(sound.vectors, aligned.embed_wav(wave(2), 16_000).vectors)


def test_epochs_know_their_number_and_time(aligned):
    epochs = epochs_of(make_raw(1), 1.5, tmin=-0.2)
    found = aligned.embed_epochs(epochs, subject="sub-01")
    assert found.epochs.tolist() == [i for i in range(len(epochs)) for _ in range(2)]
    assert np.allclose(found.starts.reshape(-1, 2), [-0.2, 0.44])
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
    with pytest.raises(DataError, match="without a stretch as long as"):
        aligned.embed_epochs(epochs_of(make_raw(1), 0.5))
    with pytest.raises(DataError, match="all epochs were dropped"):
        aligned.embed_epochs(epochs.copy().drop(range(len(epochs)), verbose="ERROR"))


def test_a_window_never_reads_over_the_end_of_its_epoch(aligned):
    lag, samples = round(LAG * 100), round(WINDOW * 100)
    windows = aligned.training_data.windows(from_epochs(epochs_of(make_raw(1), WINDOW)), fixed=True)
    eeg = windows[(3, 0)]["eeg"][0]  # an epoch has no sample left for the lag
    assert torch.equal(eeg[:, -lag:], eeg[:, -lag - 1 : -lag].expand(-1, lag))
    assert eeg.shape[1] == samples
    assert not torch.equal(eeg[:, 0], eeg[:, 1])


def test_match_finds_the_sound_that_is_most_similar(aligned):
    rng = np.random.default_rng(0)
    sounds = [row / np.linalg.norm(row, axis=1, keepdims=True) for row in rng.standard_normal((3, 10, 8))]
    eeg = sounds[1].copy()
    eeg[0] = sounds[2][0]
    found = aligned.match(eeg, sounds)
    assert found.choice.tolist() == [2] + [1] * 9
    assert found.overall == 1
    assert found.similarity.shape == (10, 3)
    assert np.allclose(found.similarity[:, 0], np.diag(aligned.score(eeg, sounds[0])))
    for wrong in ([sounds[0]], [sounds[0], sounds[1][:5]]):
        with pytest.raises(ConfigError, match="give two candidates or more"):
            aligned.match(eeg, wrong)


def _saved(model: Any, folder: Path, **card: Any) -> Path:
    model.save_pretrained(folder, model_card_kwargs=card)
    return folder


def test_a_saved_folder_is_an_export_with_a_card(run, aligned, tmp_path):
    folder = _saved(aligned, tmp_path / "out", repo_id="me/model")
    names = ["README.md", "aligner.safetensors", "config.json", "encoder.safetensors", "test.json"]
    assert sorted(file.name for file in folder.iterdir()) == names
    for part in ("encoder", "aligner"):
        (described, weights, said) = read_part(folder, part)
        (theirs, state, origin) = read_part(run / "alignment/checkpoints/best.ckpt", part)
        assert described["config"] == theirs["config"]
        assert all(torch.equal(weights[name], state[name]) for name in state)
        assert said["global_step"] == origin["global_step"] == 7
    again = AlignmentModel.from_pretrained(folder)
    expected = aligned.embed_raw(make_raw(1)).vectors
    assert np.array_equal(again.embed_raw(make_raw(1)).vectors, expected)
    assert np.array_equal(eeg2speech.load(folder).embed_raw(make_raw(1)).vectors, expected)
    assert (_saved(again, tmp_path / "twice") / "test.json").read_text() == (folder / "test.json").read_text()
    content = json.loads((folder / "config.json").read_text())
    assert content["data"] == json.loads(json.dumps(aligned.training_data.record))


def test_the_card_states_data_licence_figures_and_limits(aligned, tmp_path):
    folder = _saved(aligned, tmp_path / "out", repo_id="me/model")
    card = ModelCard.load(folder / "README.md")
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.task_type) == ("mrr", 0.5, "aligner")
    assert result.dataset_split == "unseen_both"  # the hub merges results of equal split under one name
    assert "95 % interval 0.400 to 0.600; not aligned" in result.metric_name
    assert card.data.license == "other"
    assert "simulated-eeg" in card.data.tags
    for words in (
        SIMULATED, "waves (simulated EEG)", "Licence of the data: CC0",
        "| unseen stimuli and subjects | MRR | 0.500 [0.400, 0.600] | 0.100 |",
        "not aligned: MRR 0.5 does not exceed every control", "It does not read thoughts", "load_aligner('me/model')",
    ):  # fmt: skip
        assert words in card.content
    given = ModelCard.load(_saved(aligned, tmp_path / "given", license="cc-by-4.0") / "README.md")
    assert given.data.license == "cc-by-4.0"


def test_cards_of_all_kinds_are_valid():
    for part, results, value in (("speech", speech_test(), 0.27), ("encoder", reconstruction_test(), 0.3)):
        card = write_card({part: ({"class": "X"}, 3)}, {"simulated": False}, {}, results)
        assert SIMULATED not in card.content
        assert "not recorded; ask the source" in card.content
        assert ModelCard(str(card)).data.eval_results[0].metric_value == value
    results = reconstruction_test()  # nothing to compute it from
    assert results.reconstruction is not None
    nmse = {name: Estimate(math.nan, math.nan, math.nan, 1.0) for name in ("model", "mean")}
    splits = {"unseen_both": ReconstructionSplit(0, nmse, judge_reconstruction(nmse))}
    results = replace(results, reconstruction=replace(results.reconstruction, judged="unseen_both", splits=splits))
    none = write_card({"encoder": ({"class": "X"}, 3)}, {}, {}, results)
    assert "| n/a |" in none.content
    assert ModelCard(str(none)).data.eval_results is None
    bare = write_card({"encoder": ({"class": "X"}, 3)}, {"name": "n", "simulated": True}, {}, None)
    assert "the performance of this model is not known" in bare.content
    assert SIMULATED in bare.content


def test_pushing_uploads_the_saved_folder_and_pulling_loads_it(aligned, tmp_path, monkeypatch):
    pushed: dict[str, Any] = {}

    def create(self, repo_id, **kwargs):
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload(self, *, folder_path, **kwargs):
        pushed.update(kwargs)
        shutil.copytree(folder_path, tmp_path / "remote")
        return "https://huggingface.co/me/model/commit/1"

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    assert aligned.push_to_hub("me/model", model_card_kwargs={"repo_id": "me/model"}).endswith("commit/1")
    assert (pushed["repo_id"], pushed["repo_type"]) == ("me/model", "model")
    assert {"README.md", "config.json"} <= {file.name for file in (tmp_path / "remote").iterdir()}

    asked: dict[str, Any] = {}

    def download(repo_id, **kwargs):
        asked.update(kwargs, repo_id=repo_id)
        return str(tmp_path / "remote")

    monkeypatch.setattr("eeg2speech.inference.hub.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", lambda **_: str(tmp_path / "remote/config.json"))
    pulled = AlignmentModel.from_pretrained("me/model", revision="v1")
    assert np.array_equal(pulled.embed_raw(make_raw(1)).vectors, aligned.embed_raw(make_raw(1)).vectors)
    assert (asked["repo_id"], asked["revision"]) == ("me/model", "v1")
    assert asked["allow_patterns"] == ["config.json", "*.safetensors", "test.json"]  # nothing that could be a pickle

    config = json.loads((tmp_path / "remote/config.json").read_text())
    config["parts"]["aligner"]["config"]["components"] = "/home/somebody/weights"
    (tmp_path / "remote/config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="is a folder where it was trained"):
        AlignmentModel.from_pretrained("me/model")


@pytest.mark.parametrize("name", ["../aligner", "/etc/passwd", "a/b", ""])
def test_a_config_cannot_name_files_outside_its_folder(aligned, tmp_path, name):
    folder = _saved(aligned, tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    config["parts"]["aligner"]["contains"] = {name: "encoder."}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="is not the name of a part"):
        eeg2speech.load_aligner(folder)


def test_an_encoder_is_saved_as_stage_1_exports_it(encoder, tmp_path):
    folder = _saved(encoder, tmp_path / "out")
    described, weights, _ = read_part(folder, "encoder")
    load_into(ViTEncoder(**described["config"]), weights, "here")
    assert json.loads((folder / "config.json").read_text())["part"] == "encoder"
    assert TrainingDataInfo.from_dict(encoder.training_data.record, "here").window == WINDOW
    again = EEGEncoder.from_pretrained(folder)
    assert np.array_equal(again.embed_raw(make_raw(1)).vectors, encoder.embed_raw(make_raw(1)).vectors)


@pytest.fixture(scope="module")
def spoken(run, data, aligned, tmp_path_factory) -> Path:
    """A checkpoint of stage 3 on tiny components, as a run leaves it, without training."""
    from eeg2speech.models.audioldm2.speech import SpeechDiffusion
    from tests.audioldm2_tiny import write_tiny

    folder = tmp_path_factory.mktemp("speech")
    components = write_tiny(folder / "components")
    weights = run / "audiomae/checkpoints/best.ckpt"
    copy = eeg2speech.load_aligner(run / "alignment/checkpoints/best.ckpt").aligner
    torch.manual_seed(1)
    model = SpeechDiffusion(str(components), SpectrogramViT(weights, **SMALL), copy, rank=2).eval()
    described = {**aligned.aligner.description, "subjects": list(data.subject_names)}
    config = {
        "components": str(components), "fingerprint": model.fingerprint, "audio_weights": str(weights), "rank": 2,
        "audio": {"class": "SpectrogramViT", "config": model.audio.config}, "aligner": described, "trainable": "lora",
        "sampler": {"solver": "dpm", "steps": 2, "guidance": 1.0, "start": 1.0},
    }  # fmt: skip
    parts = {
        "encoder": {"prefix": "model.aligner.encoder.", "class": "ViTEncoder", "config": copy.encoder.config},
        "speech": {"prefix": "model.", "class": "SpeechDiffusion", "config": config},
    }
    state = {f"model.{k}": v for k, v in model.state_dict().items() if k not in model.frozen_names}
    content = {"state_dict": state, "parts": parts, "data": training_data_info(data), "global_step": 7, "epoch": 0}
    torch.save(content, folder / "best.ckpt")
    return folder / "best.ckpt"


def test_a_speaker_is_saved_without_its_components_and_says_the_same(spoken, tmp_path):
    speaker = eeg2speech.load(spoken)
    assert isinstance(speaker, eeg2speech.SpeechGenerator)
    raw = make_raw(1, seconds=2.0)
    speech = speaker.generate_raw(raw, "sub-01", seed=3)
    folder = _saved(speaker, tmp_path / "out")
    described, weights, _ = read_part(folder, "speech")
    theirs, state, _ = read_part(spoken, "speech")
    assert described == theirs
    assert weights.keys() == state.keys()
    assert not any(name.startswith(("vae.", "vocoder.", "audio.")) for name in weights)
    again = eeg2speech.SpeechGenerator.from_pretrained(folder)
    assert np.array_equal(again.generate_raw(raw, "sub-01", seed=3), speech)
    again.sample_with(steps=3)
    assert read_part(_saved(again, tmp_path / "more"), "speech")[0]["config"]["sampler"]["steps"] == 3
    card = ModelCard.load(folder / "README.md")
    assert "whose own licence applies" in card.content
    assert card.data.license == "other"


def test_each_epoch_is_spoken_for_as_long_as_it_is(spoken, tmp_path):
    speaker = eeg2speech.load_generator(spoken)
    spoken_for = speaker.generate_epochs(epochs_of(make_raw(1, seconds=6.0), 1.0))
    assert [len(wave) for wave in spoken_for] == [16_000] * 4
    assert all(wave.any() for wave in spoken_for)
    speaker.write(tmp_path / "one.wav", spoken_for[0])
    assert speaker.rate == soundfile.info(tmp_path / "one.wav").samplerate
