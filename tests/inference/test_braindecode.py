"""The encoder in braindecode's vocabulary, and braindecode's datasets; most of it without braindecode."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import mne
import numpy as np
import pytest
import torch

import eeg2speech.inference.braindecode
from eeg2speech.checkpoints.parts import load_into, read_part
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.store.store import Store
from eeg2speech.inference.braindecode import PretrainedEncoder, embed_dataset, prepare_braindecode
from eeg2speech.models import ViTEncoder
from tests.inference.recordings import NAMES, epochs_of, make_raw, members
from tests.inference.untrained import SMALL

ARGUMENTS = ["n_chans", "n_outputs", "n_times", "chs_info", "input_window_seconds", "sfreq"]
"""What braindecode 1.8 calls what it tells every model of the data."""
WHY = "braindecode is not installed; it needs torchaudio, which the project does without"


def chs_info(names=NAMES):
    info = mne.create_info(list(names), 100.0, "eeg")
    info.set_montage("standard_1020", verbose="ERROR")
    return info["chs"]


@pytest.fixture
def module() -> PretrainedEncoder:
    torch.manual_seed(0)
    return PretrainedEncoder(8, 3, 330, chs_info(), sfreq=100.0, settings=SMALL).eval()


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    eeg2speech.load_encoder(run / "maeeg/checkpoints/best.ckpt").save_pretrained(folder)
    return folder


def test_arguments_have_the_names_of_braindecode():
    assert list(inspect.signature(PretrainedEncoder).parameters)[:6] == ARGUMENTS


def test_importing_the_adapter_does_not_import_braindecode(monkeypatch):
    monkeypatch.setitem(sys.modules, "braindecode", None)  # which makes its import fail
    importlib.reload(eeg2speech.inference.braindecode)


def test_windows_become_outputs_and_every_weight_learns(module):
    x = torch.randn(5, 8, 330)
    out = module(x)
    assert out.shape == (5, 3)
    assert (module.n_chans, module.n_outputs, module.n_times, module.sfreq) == (8, 3, 330, 100.0)
    assert module.input_window_seconds == pytest.approx(3.3)
    module.train()(x).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())
    assert isinstance(module.final_layer, torch.nn.Linear)
    module.reset_head(7)
    assert module(x).shape == (5, 7)
    assert module.get_output_shape() == (1, 7)
    module.reset_head(0)
    assert module(x).shape == (5, 16)


def test_neither_unit_nor_order_of_channels_matters(module):
    x = torch.randn(2, 8, 330)
    assert torch.allclose(module(1e-6 * x + 1e-4), module(x), atol=1e-3)
    turned = PretrainedEncoder(8, 3, 330, chs_info()[::-1], settings=SMALL).eval()
    turned.load_state_dict(module.state_dict())
    assert torch.allclose(turned(x.flip(1)), module(x), atol=1e-5)
    assert torch.isfinite(module(torch.zeros(2, 8, 330))).all()


def test_channels_are_placed_by_any_name_never_in_millimetres(caplog):
    plain = mne.create_info(["EEG FP1-REF", *NAMES[1:4], "T3", *NAMES[5:]], 100.0, "eeg")["chs"]
    found = PretrainedEncoder(8, 3, 330, plain, settings=SMALL)
    placed = PretrainedEncoder(8, 3, 330, chs_info(), settings=SMALL)
    assert torch.allclose(found.positions, placed.positions, atol=1e-5)
    assert caplog.messages == []
    PretrainedEncoder(8, 3, 330, [*chs_info()[:6], *plain[6:]], settings=SMALL)
    assert "chs_info: positions of 6 electrodes are its own, of 0 those of training, of 2 those of a" in caplog.text
    far = chs_info()
    for channel in far:
        channel["loc"][:3] *= 1000
    with pytest.raises(ConfigError, match=r"chs_info: positions of its channels lie .*they look like millimetres"):
        PretrainedEncoder(8, 3, 330, far, settings=SMALL)


def test_pretrained_weights_come_from_an_export(exported):
    module = PretrainedEncoder(n_outputs=2, n_times=64, chs_info=chs_info(), weights=exported).eval()
    described, weights, _ = read_part(exported, "encoder")
    network = ViTEncoder(**described["config"]).eval()
    load_into(network, weights, "export")
    plain = PretrainedEncoder(n_outputs=0, n_times=64, chs_info=chs_info(), weights=exported, scale=False).eval()
    x = torch.randn(3, 8, 64)
    expected = network.pool(network(x[:, plain.order], plain.positions.expand(3, -1, -1)))
    assert torch.allclose(plain(x), expected, atol=1e-5)
    assert torch.allclose(module.features(x), module.features(5 * x), atol=1e-4)
    assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"chs_info": None}, "give chs_info"),
        ({"n_chans": 9}, "n_chans=9, but chs_info has 8"),
        ({"n_outputs": None}, "n_outputs=None"),
        ({"sfreq": 250.0}, r"sfreq=250.0 Hz, but the encoder reads 100 Hz; resample \(raw.resample\(100\)\)"),
        ({"n_times": None}, "give n_times, or input_window_seconds"),
        ({"input_window_seconds": 2.0}, "n_times=320, but 2 s at 100 Hz are 200"),
        ({"n_times": 10}, "less than the 16 samples"),
        ({"chs_info": [{"ch_name": "left ear"}] * 8}, "electrode 'left ear' is not in standard_1020"),
    ],
)
def test_what_does_not_fit_is_named(given, message):
    with pytest.raises(ConfigError, match=message):
        PretrainedEncoder(**{"n_outputs": 2, "n_times": 320, "chs_info": chs_info(), "settings": SMALL} | given)


def test_other_windows_are_refused(module, exported):
    with pytest.raises(ValueError, match=r"windows of shape \(2, 8, 100\), where \(B, 8, 330\)"):
        module(torch.randn(2, 8, 100))
    with pytest.raises(ConfigError, match="contain their own settings; leave these out"):
        PretrainedEncoder(n_outputs=2, n_times=64, chs_info=chs_info(), weights=exported, settings=SMALL)


def test_datasets_are_embedded_as_their_recordings_and_epochs(run):
    aligned = eeg2speech.load(run / "alignment/checkpoints/best.ckpt")
    raw = make_raw(1)
    (found,) = embed_dataset(aligned, members("raw", raw, subject=1))
    assert np.array_equal(found.vectors, aligned.embed_raw(raw, subject="sub-01").vectors)
    epochs = epochs_of(raw, 1.5)
    (found,) = embed_dataset(aligned, members("windows", epochs, subject="sub-01"))
    assert np.array_equal(found.vectors, aligned.embed_epochs(epochs, subject="sub-01").vectors)
    with pytest.raises(DataError, match="a SimpleNamespace holds neither an mne Raw nor Epochs"):
        embed_dataset(aligned, SimpleNamespace(datasets=[SimpleNamespace()]))


def test_a_dataset_becomes_a_store_to_train_on(tmp_path):
    dataset = members("raw", make_raw(1), make_raw(2), subject=4)
    assert prepare_braindecode(dataset, tmp_path / "store", "mine", "CC0", "nobody").errors == []
    prepared = Store(tmp_path / "store")
    assert prepared.subjects == ["sub-04"]
    assert [recording.recording for recording in prepared.recordings] == ["sub-04_run-01", "sub-04_run-02"]
    assert {segment.duration for segment in prepared.segments} == {40.0}
    with pytest.raises(DataError, match="windows without their recordings"):
        prepare_braindecode(members("windows", epochs_of(make_raw(1), 1.5)), tmp_path / "no", "m", "CC0", "n")


def test_other_data_under_the_same_name_are_read_again_or_named(tmp_path, caplog):
    def prepare(*raws):
        caplog.clear()
        prepare_braindecode(members("raw", *raws, subject=4), tmp_path / "store", "mine", "CC0", "nobody")
        store = Store(tmp_path / "store")
        return [store.eeg(recording).copy() for recording in store.recordings]

    file = tmp_path / "a_raw.fif"
    make_raw(1).save(file, verbose="ERROR")
    first = prepare(mne.io.read_raw_fif(file, verbose="ERROR"), make_raw(2))
    assert "kept" not in caplog.text
    make_raw(3).save(file, overwrite=True, verbose="ERROR")
    second = prepare(mne.io.read_raw_fif(file, verbose="ERROR"), make_raw(4))
    assert "kept sub-04_run-02 as prepared before, since data in memory cannot be compared" in caplog.text
    assert not np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


def test_braindecode_itself_trains_it(exported, run):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of every version
        pytest.importorskip("braindecode", reason=WHY, exc_type=ImportError)
        from braindecode import EEGClassifier
        from braindecode.datasets import BaseConcatDataset, RawDataset
        from braindecode.models.base import EEGModuleMixin
        from braindecode.preprocessing import create_fixed_length_windows

        assert set(ARGUMENTS) == set(inspect.signature(EEGModuleMixin.__init__).parameters) - {"self"}
        raws = [make_raw(seed, rate=100.0).pick("eeg") for seed in (1, 2)]
        described = [{"subject": seed, "who": seed - 1} for seed in (1, 2)]
        dataset = BaseConcatDataset(
            [RawDataset(raw, about, target_name="who") for raw, about in zip(raws, described, strict=True)]
        )
        windows = create_fixed_length_windows(dataset, 0, None, 64, 64, drop_last_window=False)
        classifier = EEGClassifier(
            PretrainedEncoder, module__weights=exported, module__chs_info=raws[0].info["chs"],
            criterion=torch.nn.CrossEntropyLoss, max_epochs=1, batch_size=32, train_split=None, classes=[0, 1],
            verbose=0,
        )  # fmt: skip
        classifier.fit(windows, y=None)
        assert (classifier.module_.n_chans, classifier.module_.n_outputs, classifier.module_.n_times) == (8, 2, 64)
        assert classifier.predict(windows).shape == (len(windows),)
        aligned = eeg2speech.load(run / "alignment/checkpoints/best.ckpt")
        assert [len(found) for found in embed_dataset(aligned, windows)] == [62, 62]
