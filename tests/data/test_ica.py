from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import mne
import numpy as np
import pytest

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Channel, RawRecording
from eeg2speech.data.electrodes.montage import electrode_positions
from eeg2speech.data.preparation.filtering import filter_blocks
from eeg2speech.data.preparation.ica import Ica, apply_ica, fit_ica

pytest.importorskip("picard")

# fmt: off
NAMES = [
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2",
]
# fmt: on
RATE = 250.0
EYES = Ica(method="eog", minutes=2, components=8)


def blink_map():
    """Potentials of corneo-retinal dipoles in front of the brain: strongest at Fp1 and Fp2, (channels,)."""
    places, potential = electrode_positions(NAMES), np.zeros(len(NAMES))
    for eye in ([0.032, 0.08, -0.02], [-0.032, 0.08, -0.02]):
        away = places - eye
        potential += away @ [0, 0.5, 1.0] / np.linalg.norm(away, axis=1) ** 3
    potential -= potential.mean()
    return potential / potential.max()


def simulated(seconds=60, seed=0, rate=RATE):
    """A recording with blinks, and in volts what it would be without."""
    rng, samples = np.random.default_rng(seed), int(seconds * rate)
    places = electrode_positions(NAMES)
    centres = np.random.default_rng(7).normal(size=(6, 3))  # the same head whatever the seed
    centres = 0.06 * centres / np.linalg.norm(centres, axis=1, keepdims=True) + [0, 0.0, 0.05]
    spread = np.exp(-(np.linalg.norm(places[:, None] - centres, axis=-1) ** 2) / 0.05**2)
    sources = filter_blocks(rng.laplace(size=(6, samples)), rate, rate, (1.0, 20.0), None)
    brain = 15 * spread @ (sources / sources.std()) + rng.normal(size=(len(NAMES), samples))
    course = np.zeros(samples)
    lid = np.hanning(int(0.35 * rate)) ** 1.5
    for start in rng.integers(0, samples - len(lid), int(seconds / 4)):
        course[start : start + len(lid)] += 120 * rng.uniform(0.7, 1.3) * lid
    channels = [Channel(name, "eeg", *place) for name, place in zip(NAMES, places.tolist(), strict=True)]
    return RawRecording((brain + np.outer(blink_map(), course)) * 1e-6, rate, channels, []), brain * 1e-6


def left(cleaned, eeg, clean):
    """Energy of what is wrong with the cleaned signal, as a share of that of the blinks."""
    return ((cleaned - clean) ** 2).sum() / ((eeg - clean) ** 2).sum()


@pytest.fixture(scope="module")
def case():
    recording, clean = simulated()
    return SimpleNamespace(recording=recording, clean=clean, fitted=fit_ica([recording], EYES, "r"))


def test_blinks_are_found_and_taken_out(case):
    fitted = case.fitted
    assert len(fitted.excluded) == 1
    (eye,) = fitted.excluded
    assert fitted.labels[eye] == "eye"
    assert fitted.scores[eye] > 0.9
    assert abs(np.corrcoef(fitted.mixing[:, eye], blink_map())[0, 1]) > 0.98
    assert 0.99 < fitted.variance.sum() < 1.01
    cleaned = apply_ica(case.recording.eeg, NAMES, fitted)
    assert left(cleaned, case.recording.eeg, case.clean) < 0.1
    blinks = (case.recording.eeg - case.clean)[0]
    assert np.corrcoef(case.recording.eeg[0], blinks)[0, 1] > 0.8
    assert abs(np.corrcoef(cleaned[0], blinks)[0, 1]) < 0.1


def test_the_map_found_in_one_recording_cleans_another(case):
    recording, clean = simulated(seed=5)
    order = np.random.default_rng(0).permutation(len(NAMES))
    cleaned = apply_ica(recording.eeg[order], [NAMES[row] for row in order], case.fitted)
    assert left(cleaned, recording.eeg[order], clean[order]) < 0.1
    np.testing.assert_allclose(cleaned, apply_ica(recording.eeg, NAMES, case.fitted)[order], atol=1e-15)


def test_it_equals_mne(case, monkeypatch):
    fits, original = [], mne.preprocessing.ICA
    monkeypatch.setattr(mne.preprocessing, "ICA", lambda *a, **k: fits.append(original(*a, **k)) or fits[-1])
    fitted = fit_ica([case.recording], EYES, "r")
    other = simulated(20, seed=5)[0].eeg
    other = other - other.mean(axis=0)
    raw = mne.io.RawArray(other.copy(), mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    fits[0].apply(raw, exclude=list(fitted.excluded), verbose="ERROR")
    expected = raw.get_data()
    found = apply_ica(other, NAMES, fitted)
    # mne sets the mean of the fit apart, which a linear map does not: constants differ
    expected -= expected.mean(axis=1, keepdims=True)
    found = found - found.mean(axis=1, keepdims=True)
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()
    share = fits[0].get_explained_variance_ratio(raw_of_fit(case.recording), components=list(fitted.excluded))["eeg"]
    assert fitted.variance[list(fitted.excluded)].sum() == pytest.approx(share, abs=0.01)


def raw_of_fit(recording):
    """What was fitted on, built anew: high-passed, at 200 Hz, against the average."""
    half = recording.eeg.shape[1] // 2
    parts = [filter_blocks(part, RATE, 200.0, (1.0, None), None) for part in np.split(recording.eeg, [half], axis=1)]
    eeg = np.concatenate(parts, axis=1)
    return mne.io.RawArray(eeg - eeg.mean(axis=0), mne.create_info(NAMES, 200.0, "eeg"), verbose="ERROR")


def test_cleaning_goes_with_filters_blocks_units_and_references(case):
    eeg, fitted = case.recording.eeg, case.fitted

    def filtered(signal):
        return filter_blocks(signal, RATE, 100.0, (0.5, 40.0), 50.0)

    np.testing.assert_allclose(
        filtered(apply_ica(eeg, NAMES, fitted)), apply_ica(filtered(eeg), NAMES, fitted), atol=1e-12
    )
    whole = apply_ica(eeg, NAMES, fitted)
    np.testing.assert_allclose(whole[:, 300:500], apply_ica(eeg[:, 300:500], NAMES, fitted), atol=1e-15)
    single = apply_ica((eeg * 1e6).astype(np.float32), NAMES, fitted)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, whole * 1e6, atol=1e-3)
    against_cz = apply_ica(eeg - eeg[9], NAMES, fitted)
    np.testing.assert_allclose(against_cz - against_cz.mean(axis=0), whole - whole.mean(axis=0), atol=1e-12)


def test_no_artefact_no_change(case):
    fitted = replace(case.fitted, excluded=())
    np.testing.assert_array_equal(fitted.matrix, np.eye(len(NAMES)))


def test_the_same_seed_finds_the_same(case):
    again = fit_ica([case.recording], EYES, "r")
    np.testing.assert_allclose(again.matrix, case.fitted.matrix, atol=1e-9)


def test_bad_channels_are_left_out_and_channels_must_agree(case):
    channels = [replace(c, status="bad") if c.name == "Cz" else c for c in case.recording.channels]
    eeg = case.recording.eeg.copy()
    eeg[9] = 1.0  # a volt
    eeg[4] = np.nan
    first = RawRecording(eeg, RATE, channels, [])
    fitted = fit_ica([first, case.recording], EYES, "r", bad=["Fz"])
    good = [name for name in NAMES if name not in ("Cz", "Fz")]
    assert fitted.channels == tuple(good)
    rows = [NAMES.index(name) for name in good]
    dirty = case.recording.eeg[rows]
    assert left(apply_ica(dirty, good, fitted), dirty, case.clean[rows]) < 0.1
    with pytest.raises(DataError, match=r"adds Cz, Fz, .* preprocessing\.bad"):
        apply_ica(case.recording.eeg, NAMES, fitted)
    with pytest.raises(DataError, match="lacks O2"):
        apply_ica(case.recording.eeg[rows[:-1]], good[:-1], fitted)


def test_eog_channels_pieces_and_short_fits_work():
    recording, _ = simulated(90)
    eog = recording.eeg[:1] * -2
    elsewhere = [
        replace(channel, name=f"E{row}") for row, channel in enumerate(recording.channels)
    ]  # no Fp1 to be seen
    channels = [*elsewhere, Channel("VEOG", "eog")]
    eeg = np.concatenate([recording.eeg, eog])
    whole = RawRecording(eeg, RATE, channels, [], breaks=list(range(250, eeg.shape[1], 250)))
    fitted = fit_ica([whole], replace(EYES, minutes=0.5), "r")
    assert fitted.seconds == pytest.approx(30)
    assert "VEOG" not in fitted.channels
    assert fitted.scores.max() > 0.8


def test_only_some_minutes_are_read():
    recording, _ = simulated(150)

    class Counting:
        shape, read = recording.eeg.shape, 0

        def __getitem__(self, part):
            data = recording.eeg[part]
            self.read += data.shape[1]
            return data

    signal = Counting()
    fitted = fit_ica([replace(recording, eeg=signal)], replace(EYES, minutes=1), "r")
    assert fitted.seconds == pytest.approx(60)
    assert signal.read == 60 * RATE


def test_without_eyes_it_says_so():
    recording, _ = simulated(20)
    channels = [replace(c, name=f"E{row}") for row, c in enumerate(recording.channels)]
    with pytest.raises(DataError, match=r"^r: it has neither EOG channels nor one of fp1, .* iclabel or null"):
        fit_ica([replace(recording, channels=channels)], EYES, "r")
    with pytest.raises(DataError, match=r"^r: 3 good EEG channels"):
        fit_ica([recording], EYES, "r", bad=NAMES[3:])


def test_iclabel_knows_blinks():
    pytest.importorskip("mne_icalabel")
    pytest.importorskip("onnxruntime")
    recording, clean = simulated()
    fitted = fit_ica([recording], Ica(components=8), "r")
    assert [fitted.labels[k] for k in fitted.excluded] == ["eye"]
    assert left(apply_ica(recording.eeg, NAMES, fitted), recording.eeg, clean) < 0.1
    nowhere = [replace(c, x=float("nan")) if c.name == "Oz" or c.name == "O1" else c for c in recording.channels]
    with pytest.raises(DataError, match=r"^r: ICLabel needs the position .* that of O1 is unknown; .*method=eog"):
        fit_ica([replace(recording, channels=nowhere)], Ica(components=8), "r")


@pytest.mark.parametrize("package", ["onnxruntime", "picard"])
def test_missing_packages_are_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"pip install eeg2speech\[ica\]"):
        fit_ica([simulated(10)[0]], Ica(components=4), "r")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Ica(remove=["brain"]), "ica.remove='brain' is no kind of artefact; choose from muscle"),
        (Ica(probability=1.5), r"ica.probability=1.5 must lie in \(0, 1\]"),
        (Ica(components=1), "ica.components=1 must be 2 or more"),
        (Ica(minutes=0), "ica.minutes=0 must be above 0"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        settings.check()


def test_components_fit_recordings_that_spell_their_electrodes_otherwise():
    first, _ = simulated(seed=1)
    second, clean = simulated(seed=2)
    spelt = {"Fp1": "FP1", "T7": "T3", "P8": "EEG T6-REF", "O1": "O1."}
    other = replace(second, channels=[replace(c, name=spelt.get(c.name, c.name)) for c in second.channels])
    names = [channel.name for channel in other.channels]
    expected = apply_ica(second.eeg, NAMES, fit_ica([first, second], EYES, "s"))
    found = apply_ica(second.eeg, names, fit_ica([first, other], EYES, "s"))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert left(found, second.eeg, clean) < 0.1
    assert fit_ica([other], EYES, "s").excluded  # the electrodes near the eyes are found
    assert "T3" not in fit_ica([other], EYES, "s", bad=["T7"]).channels
