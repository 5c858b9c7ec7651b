"""Recordings of four people who hear eight sounds, the store that is prepared from them, and epochs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import mne
import numpy as np

from eeg2speech.core.types import RawRecording, Segment, Source
from eeg2speech.data.files.raw import from_mne
from eeg2speech.data.loading.datamodule import EEGAudioDataModule
from eeg2speech.data.loading.splits import Split
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.preparation.preprocess import Preprocessing
from eeg2speech.data.store.store import Description

NAMES = ["Fp1", "Fp2", "C3", "C4", "T7", "T8", "O1", "O2"]
SOUNDS, SECONDS, RATE, WINDOW, LAG = 8, 4.0, 200.0, 0.64, 0.1
SPLIT = Split(by="both", test=0.2, val=0.1, test_subjects=1)


def make_raw(seed: int, names=NAMES, seconds: float = 40.0, rate: float = RATE) -> mne.io.RawArray:
    """A person's recording in volts, with a montage and a channel that is no EEG."""
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(rng.standard_normal((len(names) + 1, round(seconds * rate))), axis=1)
    noise = 5e-6 * rng.standard_normal(smooth.shape)
    info = mne.create_info([*names, "trigger"], rate, ["eeg"] * len(names) + ["stim"])
    raw = mne.io.RawArray(1e-6 * smooth + noise, info, verbose="ERROR")
    return raw.set_montage("standard_1020", verbose="ERROR")


def wave(index: int) -> np.ndarray:
    time = np.arange(round(SECONDS * 16_000)) / 16_000
    return (0.5 * np.sin(2 * np.pi * (200 + 50 * index) * time) * np.sin(7 * time + index)).astype(np.float32)


def load(subject: int) -> RawRecording:
    raw = from_mne(make_raw(subject))
    label = f"sub-{subject:02d}"
    raw.segments = [Segment(label, 5.0 * k, SECONDS, f"s{k}", 0.0, "listening") for k in range(SOUNDS)]
    raw.stimuli = {f"s{k}": lambda k=k: (wave(k), 16_000.0) for k in range(SOUNDS)}
    return raw


def prepare_store(out: Path) -> Path:
    sources = [Source(f"sub-{s:02d}", f"sub-{s:02d}", "", "", (), lambda s=s: load(s)) for s in range(1, 5)]
    description = Description("waves", "tests", "CC0", "none", simulated=True, rate=100)
    assert prepare_sources(sources, out, description, Preprocessing(notch=None, band=(1.0, 30.0))).errors == []
    return out


def open_data(store: Path) -> EEGAudioDataModule:
    data = EEGAudioDataModule(store, WINDOW, split=SPLIT, audio=True, lag=LAG, scaling="recording", batch_size=64)
    data.setup()
    return data


def epochs_of(raw: mne.io.BaseRaw, seconds: float, tmin: float = 0.0) -> mne.Epochs:
    times = np.arange(0, raw.times[-1] - seconds - 1, seconds)
    events = np.stack([np.round((times - tmin) * RATE), 0 * times, 1 + 0 * times], axis=1).astype(int)
    tmax = tmin + seconds - 1 / RATE
    return mne.Epochs(raw, events, tmin=tmin, tmax=tmax, baseline=None, preload=True, verbose="ERROR")


def members(kind: str, *held, **description):
    """What a BaseConcatDataset looks like to those who only look at it."""
    return SimpleNamespace(datasets=[SimpleNamespace(**{kind: one}, description=description) for one in held])
