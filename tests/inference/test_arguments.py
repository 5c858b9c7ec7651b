"""Arguments of the Python API that are easily mistaken: each is taken for what it is, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import mne
import numpy as np
import pytest
import soundfile
import torch

import eeg2speech
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.loading.windows import Augment
from eeg2speech.data.store.store import Store
from eeg2speech.inference.alignment import AlignmentModel
from eeg2speech.inference.braindecode import PretrainedEncoder, embed_dataset
from eeg2speech.models import SpectrogramViT
from eeg2speech.models.audioldm2 import rebuild
from eeg2speech.models.audioldm2.sampling import Sampler
from tests.audio.sounds import talk
from tests.inference.recordings import NAMES, RATE, make_raw, wave
from tests.speech_stub import StubSampler, StubSpeech

NAN, INF = float("nan"), float("inf")
RAW = make_raw(1, seconds=10.0)
EEG = RAW.get_data(NAMES)
EPOCHS = mne.make_fixed_length_epochs(RAW, 2.0, preload=True, verbose="ERROR")


def refused(call, message, kind=(DataError, ConfigError)):
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.fixture
def speaker(run, monkeypatch) -> eeg2speech.SpeechGenerator:
    source = run / "alignment/checkpoints/best.ckpt"
    content = torch.load(source, weights_only=True)
    content["parts"]["speech"] = content["parts"]["aligner"]
    file = source.with_name("speech.ckpt")
    torch.save(content, file)
    monkeypatch.setattr(rebuild, "rebuild_speech", lambda *_: (StubSpeech(), StubSampler()))
    return eeg2speech.load_generator(file)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (EPOCHS, "EpochsArray|Epochs, where an mne.io.Raw is needed"),
        (EPOCHS.average(), "EvokedArray, where an mne.io.Raw"),
        ("me_raw.fif", "str, where an mne.io.Raw is needed; read a file with mne.io.read_raw"),
        (Path("me_raw.fif"), "Path, where an mne.io.Raw"),
        (EEG, "ndarray, where an mne.io.Raw"),
        (None, "NoneType, where an mne.io.Raw"),
    ],
)
def test_what_is_no_raw_is_named(aligned, encoder, speaker, given, message):
    for call in (aligned.embed_raw, encoder.embed_raw, speaker.generate_raw):
        refused(lambda call=call: call(given), message, DataError)


@pytest.mark.parametrize("given", [RAW, EEG[None], "me-epo.fif", None])
def test_what_is_no_epochs_is_named(aligned, encoder, speaker, given):
    for call in (aligned.embed_epochs, encoder.embed_epochs, speaker.generate_epochs):
        refused(lambda call=call: call(given), "where mne.Epochs is needed", DataError)


@pytest.mark.parametrize("hop", [NAN, INF, -INF, -1.0, 0, 0.001, "0.5", True, [0.5]])
def test_hops_that_are_no_step_are_refused(aligned, hop):
    calls = [
        lambda: aligned.embed_raw(RAW, hop=hop),
        lambda: aligned.embed_epochs(EPOCHS, hop=hop),
        lambda: aligned.embed_eeg(EEG, RATE, NAMES, hop=hop),
        lambda: aligned.embed_wav(wave(1), 16_000, hop=hop),
        lambda: embed_dataset(aligned, SimpleNamespace(raw=RAW), hop),
    ]
    for call in calls:
        refused(call, r"hop=.* (is no number of seconds|s is less than)", ConfigError)


@pytest.mark.parametrize("rate", [NAN, INF, 0, -200, "200", None, True, 1e12])
def test_rates_of_eeg_that_cannot_be_are_refused(aligned, speaker, rate):
    refused(lambda: aligned.embed_eeg(EEG, rate, NAMES), "EEG at rate=.*; give its samples per second", DataError)
    refused(lambda: speaker.generate_eeg(EEG, rate, NAMES), "EEG at rate=", DataError)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int16])
def test_tensors_of_volts_need_32_bits(aligned, speaker, kind):
    tensor = torch.from_numpy(EEG).to(kind)
    if kind in (torch.float32, torch.float64):
        expected = aligned.embed_eeg(EEG, RATE, NAMES).vectors
        assert np.allclose(aligned.embed_eeg(tensor, RATE, NAMES).vectors, expected, atol=1e-4)
        return
    refused(lambda: aligned.embed_eeg(tensor, RATE, NAMES), "EEG of type .*give", DataError)
    refused(lambda: speaker.generate_eeg(tensor, RATE, NAMES), "EEG of type .*give", DataError)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"eeg": (EEG * 1e6).astype(np.int32)}, "EEG of type int32 and shape"),
        ({"eeg": EEG * 1j}, "EEG of type complex128"),
        ({"eeg": EEG.astype(object)}, "EEG of type object"),
        ({"eeg": [[1.0, 2.0], [3.0]]}, "list, which is no array"),
        ({"eeg": EEG[:, :0]}, r"EEG of type float64 and shape \(8, 0\)"),
        ({"eeg": EEG[None]}, r"EEG of shape \(1, 8, 2000\)"),
        ({"eeg": EEG * NAN}, "8 of 8 channels are bad"),
        ({"channels": "C3"}, "channels='C3'; give a list of names"),
        ({"channels": None}, "channels=None; give a list"),
        ({"channels": range(8)}, r"channels=range\(0, 8\); give a list"),
        ({"channels": [*NAMES[:7], "fp1"]}, r"lacks 1 of|Fp1 and fp1 are the same electrode"),
        ({"positions": "standard_1020"}, "positions of type <U13; give metres"),
        ({"positions": {}}, "positions of type object"),
        ({"types": "mag"}, "channel 'Fp1': types='mag', where the model was trained on eeg"),
        ({"types": ["eeg"]}, "types of 1 channels for 8"),
        ({"types": 3}, "types=3, where"),
    ],
)
def test_arrays_that_hold_no_eeg_are_named(aligned, speaker, given, message):
    arguments = {"eeg": EEG, "rate": RATE, "channels": NAMES} | given
    refused(lambda: aligned.embed_eeg(**arguments), message)
    refused(lambda: speaker.generate_eeg(**arguments), message)


def test_electrodes_that_are_there_twice_are_named(aligned):
    twice = np.vstack([EEG, EEG[4:5]])
    refused(
        lambda: aligned.embed_eeg(twice, RATE, [*NAMES, "T3"]), "channels T7 and T3 are the same electrode", DataError
    )


def test_a_gap_of_nan_is_filled_as_in_training(aligned):
    gap = EEG.copy()
    gap[:, 500:505] = NAN
    assert np.isfinite(aligned.embed_eeg(gap, RATE, NAMES).vectors).all()


@pytest.mark.parametrize("subject", ["sub-1", "SUB-01", 1, "", NAN, ["sub-01"]])
def test_labels_that_were_not_in_training_are_refused(aligned, encoder, speaker, subject):
    calls = [
        lambda: aligned.embed_raw(RAW, subject),
        lambda: aligned.embed_epochs(EPOCHS, subject),
        lambda: encoder.embed_eeg(EEG, RATE, NAMES, subject=subject),
        lambda: speaker.generate_raw(RAW, subject),
    ]
    for call in calls:
        refused(call, r"subject=.* is not in the training data \(sub-01, .*leave it out", ConfigError)


def test_one_electrode_leaves_nothing_to_an_average_reference(encoder):
    refused(
        lambda: encoder.embed_eeg(EEG[:1], RATE, NAMES[:1]),
        "Fp1 is its only good channel, of which an average reference leaves nothing",
        DataError,
    )
    assert len(encoder.embed_eeg(EEG[:3], RATE, NAMES[:3]))


def test_empty_epochs_are_refused(aligned, speaker):
    empty = EPOCHS.copy().drop(range(len(EPOCHS)), verbose="ERROR")
    for call in (aligned.embed_epochs, speaker.generate_epochs):
        refused(lambda call=call: call(empty), "all epochs were dropped", DataError)


@pytest.mark.parametrize(
    ("dtype", "full", "middle"),
    [("int16", 2**15, 0), ("int32", 2**31, 0), ("uint8", 2**7, 128), ("float64", 1, 0), ("float16", 1, 0)],
)
def test_sounds_of_any_type_give_the_same_vectors(aligned, dtype, full, middle):
    sound = talk(1, 4.0)
    scaled = sound.astype(np.float64) * full + middle
    array = (np.round(scaled) if full > 1 else scaled).astype(dtype)
    expected = aligned.embed_wav(((array.astype(np.float64) - middle) / full).astype(np.float32), 16_000).vectors
    assert (expected * aligned.embed_wav(sound, 16_000).vectors).sum(1).min() > (0.9 if dtype == "uint8" else 0.999)
    stereo = np.stack([array, array])
    for given in (array, torch.from_numpy(array), stereo, stereo.T):
        assert np.abs(aligned.embed_wav(given, 16_000).vectors - expected).max() < 1e-5


def test_a_bfloat16_sound_is_a_sound(aligned):
    tensor = torch.from_numpy(talk(1, 4.0)).bfloat16()
    expected = aligned.embed_wav(tensor.float().numpy(), 16_000).vectors
    assert np.array_equal(aligned.embed_wav(tensor, 16_000).vectors, expected)


@pytest.mark.parametrize(
    ("sound", "rate", "message"),
    [
        (wave(1) * 32767, 16_000, "a waveform: samples up to"),
        ((wave(1) * 32767).astype(np.int64), 16_000, "samples of type int64"),
        ((wave(1) * 32767).astype(np.int32), 16_000, "convert them to int16"),
        (np.stack([wave(1), -wave(1)]), 16_000, "its 2 channels cancel each other"),
        (wave(1)[None, None], 16_000, "a waveform of shape"),
        (wave(1)[:0], 16_000, "a waveform of shape"),
        (None, 16_000, "samples of type object"),
        (wave(1), NAN, "rate=nan"),
        (wave(1), INF, "rate=inf"),
        (wave(1), -16_000, "rate=-16000"),
        (wave(1), 16, "rate=16; give its samples per second"),
        ("~/no such sound.wav", None, r"no such sound\.wav: cannot be read"),
        ("~nobody-of-that-name/a.wav", None, "the home folder is not known; give the path in full"),
    ],
)
def test_what_is_no_sound_is_named(aligned, sound, rate, message):
    refused(lambda: aligned.embed_wav(sound, rate), message)


def test_one_channel_of_a_sound_is_embedded(aligned, tmp_path):
    both = np.stack([wave(1), -wave(1)], axis=1)
    soundfile.write(tmp_path / "a.wav", both, 16_000, subtype="FLOAT")
    expected = aligned.embed_wav(wave(1), 16_000).vectors
    assert np.array_equal(aligned.embed_wav(both, 16_000, channel="left").vectors, expected)
    assert np.array_equal(aligned.embed_wav(tmp_path / "a.wav", channel=0).vectors, expected)
    np.savez(tmp_path / "a.npz", audio=both, fs=16_000)
    assert np.array_equal(aligned.embed_wav(tmp_path / "a.npz", channel="left").vectors, expected)
    refused(lambda: aligned.embed_wav(both, 16_000, channel=2), "has no channel=2 among its 2", DataError)


def test_integers_are_no_input_of_an_audio_encoder():
    network = SpectrogramViT(width=16, depth=1, heads=2)
    refused(lambda: network(torch.zeros(1, 10_240, dtype=torch.int16)), r"sound of type torch\.int16", ConfigError)


def test_a_path_may_start_in_the_home(run, aligned, store, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "best.ckpt").symlink_to(run / "alignment/checkpoints/best.ckpt")
    (tmp_path / "store").symlink_to(store)
    for load in (eeg2speech.load, eeg2speech.load_aligner, eeg2speech.load_encoder):
        assert load("~/best.ckpt").training_data.name == "waves"
    info = mne.create_info(NAMES, 100.0, "eeg").set_montage("standard_1020", verbose="ERROR")
    assert PretrainedEncoder(n_outputs=0, n_times=64, chs_info=info["chs"], weights="~/best.ckpt").n_chans == 8
    aligned.save_pretrained("~/saved")
    assert (tmp_path / "saved/config.json").is_file()
    assert AlignmentModel.from_pretrained("~/saved").training_data.name == "waves"
    soundfile.write(tmp_path / "a.wav", wave(1), 16_000)
    assert len(aligned.embed_wav("~/a.wav")) == 6
    data = EEGAudioDataModule("~/store", 0.64)
    data.setup()
    assert Store("~/store").subjects == data.subject_names


@pytest.mark.parametrize("source", [3, None, b"x", ["a"]])
def test_what_is_no_path_is_named(source):
    for load in (eeg2speech.load, eeg2speech.load_aligner, eeg2speech.load_encoder, eeg2speech.load_generator):
        refused(lambda load=load: load(source), "where the path of a file or folder is needed", ConfigError)


def test_folders_that_are_not_there_are_not_asked_of_the_hub(tmp_path):
    for name in ("./nope", "../a/nope", tmp_path / "nope", Path("runs/nope")):
        refused(lambda name=name: AlignmentModel.from_pretrained(name), "no such folder", DataError)


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_devices_that_are_not_there_are_named(run, device):
    for stage in ("alignment", "maeeg", "audiomae"):
        file = run / stage / "checkpoints/best.ckpt"
        refused(lambda file=file: eeg2speech.load(file, device), rf"device='{device}' cannot be used", ConfigError)


def test_score_and_match_take_vectors_of_one_aligner(aligned, encoder):
    eeg, sound = aligned.embed_raw(RAW).vectors[:5], aligned.embed_wav(wave(1), 16_000).vectors[:5]
    for wrong in (wave(1), encoder.embed_raw(RAW), eeg * NAN, eeg.astype(int), None, 2 * eeg):
        refused(lambda wrong=wrong: aligned.score(wrong, sound), "where vectors of unit length are needed", ConfigError)
        refused(lambda wrong=wrong: aligned.match(wrong, [sound, sound]), "vectors of unit length", ConfigError)
    narrow = sound[:, :4] / np.linalg.norm(sound[:, :4], axis=1, keepdims=True)
    refused(lambda: aligned.score(eeg, narrow), "vectors of 32 and 4 features", ConfigError)
    refused(lambda: aligned.match(eeg, [narrow, narrow]), "vectors of 32 features of EEG and 4 of sound", ConfigError)
    for wrong in (None, "ab", aligned.embed_wav(wave(1), 16_000), [sound]):
        refused(lambda wrong=wrong: aligned.match(eeg, wrong), "give two candidates or more", ConfigError)
    assert np.allclose(aligned.score(torch.from_numpy(eeg), sound), eeg @ sound.T)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"store": 3}, "store=3 must be the path"),
        ({"window": INF}, "window=inf must be above 0"),
        ({"window": "3.2"}, "window=3.2 must be above 0"),
        ({"hop": INF}, "hop=inf must be above 0"),
        ({"hop": NAN}, "hop=nan must be above 0"),
        ({"lag": NAN}, "lag=nan must be a finite number"),
        ({"lag": INF}, "lag=inf must be a finite number"),
        ({"clamp": NAN}, "clamp=nan must be above 0"),
        ({"batch_size": 2.5}, "batch_size=2.5 must be a whole number of 1 or more"),
        ({"hard_negatives": 1.5}, "hard_negatives=1.5 must be a whole number"),
        ({"workers": -1}, "workers=-1 must be a whole number of 0 or more"),
        ({"seed": 1.5}, "seed=1.5 must be a whole number"),
        ({"train_fraction": "1"}, "train_fraction=1 must be above 0"),
        ({"scaling": "trian"}, "scaling='trian' is none of train, recording"),
        ({"conditions": "listening"}, r"conditions='listening' must be a list"),
        ({"conditions": ["listening", "overd"]}, "conditions='overd' is none of listening, overt"),
        ({"split": {"by": "both"}}, "split=.* must be a Split"),
        ({"split": Split(by="stimuli")}, "split.by='stimuli' is none of"),
        ({"augment": None}, "augment=None must be a Augment"),
        ({"audio": "yes"}, "audio='yes' must be a bool"),
    ],
)
def test_settings_of_a_data_module_are_checked_without_a_command_line(store, given, message):
    refused(lambda: EEGAudioDataModule(**({"store": store, "window": 0.64} | given)), message, ConfigError)


@pytest.mark.parametrize("given", [{"flip": 1.5}, {"channel_dropout": -0.1}, {"amplitude": NAN}, {"time_shift": INF}])
def test_augmentation_out_of_range_is_refused(given):
    refused(lambda: Augment(**given), r"\(data\.augment\.", ConfigError)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_outputs": 1.5}, "n_outputs=1.5 must be 0"),
        ({"n_times": NAN}, "n_times=nan must be a number above 0"),
        ({"input_window_seconds": INF}, "input_window_seconds=inf must be a number above 0"),
        ({"sfreq": NAN}, "sfreq=nan Hz, but the encoder reads 100 Hz"),
        ({"sfreq": "100"}, "sfreq='100' Hz"),
        ({"chs_info": RAW.info}, "give chs_info"),
        ({"chs_info": []}, "give chs_info"),
        ({"chs_info": "C3"}, "give chs_info"),
        ({"chs_info": RAW.info["chs"]}, "channel trigger is of type other, the encoder takes eeg"),
        ({"settings": {"heights": 3}}, "settings=.* not those of ViTEncoder"),
        ({"weights": 3}, "where the path of a file or folder is needed"),
    ],
)
def test_arguments_of_the_braindecode_module_are_checked(given, message):
    arguments = {"n_outputs": 2, "n_times": 320, "chs_info": RAW.info["chs"][:8]} | given
    refused(lambda: PretrainedEncoder(**arguments), message)


def test_an_encoder_of_sound_is_none_of_eeg(run):
    weights = run / "audiomae/checkpoints/best.ckpt"
    chs = RAW.info["chs"][:8]
    refused(lambda: PretrainedEncoder(n_outputs=2, n_times=320, chs_info=chs, weights=weights), "no encoder of EEG")


def test_arguments_of_a_speaker_are_checked(speaker, tmp_path):
    for overlap in (NAN, INF, -0.1, 0.4, "0.1", True, None):
        refused(lambda overlap=overlap: speaker.generate_raw(RAW, overlap=overlap), "overlap=", ConfigError)
    for seed in (1.5, "1", None, True):
        refused(lambda seed=seed: speaker.generate_raw(RAW, seed=seed), "seed=.* must be a whole number", ConfigError)
    for wrong in (np.array([NAN, 0.1]), 32767 * wave(1), wave(1)[None, None], "speech"):
        refused(lambda wrong=wrong: speaker.write(tmp_path / "a.wav", wrong), "a waveform|cannot be read", DataError)
    refused(lambda: speaker.write(3, wave(1)), "where the path of a file", ConfigError)
    speaker.write(str(tmp_path / "a.wav"), torch.from_numpy(wave(1)))
    assert np.allclose(soundfile.read(tmp_path / "a.wav")[0], wave(1), atol=1e-4)
    for given in ({"solver": "euler"}, {"steps": 1.5}, {"steps": 0}, {"guidance": NAN}, {"guidance": INF}):
        refused(lambda given=given: Sampler(**given), "solver=|steps=", ConfigError)
