from __future__ import annotations

import logging

import numpy as np
import pytest

from eeg2speech.core.errors import DataError
from eeg2speech.core.types import Channel, RawRecording
from eeg2speech.data.preparation.amplitude import recorded_samples, typical_amplitude, unlikely_amplitude
from eeg2speech.data.preparation.preprocess import Preprocessing, preprocess

TO_VOLTS = {"eeg": 1e-6, "seeg": 1e-6, "ecog": 1e-6, "mag": 1e-15, "grad": 1e-13}
LIKELY = {"eeg": 10.0, "seeg": 50.0, "ecog": 50.0, "mag": 200.0, "grad": 50.0}


def recording(kind="eeg", factor=1.0, seed=0):
    """Noise of an amplitude that such channels have, times a factor."""
    signal = np.random.default_rng(seed).normal(0, 2 * LIKELY[kind] * TO_VOLTS[kind] * factor, (8, 2000))
    return RawRecording(signal, 200.0, [Channel(f"X{number}", kind) for number in range(8)], [])


def said(caplog, raw, settings=None):
    with caplog.at_level(logging.WARNING):
        preprocess(raw, settings or Preprocessing(notch=None, reference="none"), "r")
    return caplog.messages


def test_typical_amplitude_is_the_median_over_channels():
    eeg = np.array([[-1.0, 1, -1, 1], [-2, 2, -2, 2], [-50, 50, -50, 50]]) + 7
    assert typical_amplitude(eeg) == 2
    assert typical_amplitude(eeg[:0]) == 0


@pytest.mark.parametrize("kind", list(LIKELY))
def test_healthy_amplitudes_are_not_mentioned(caplog, kind):
    assert said(caplog, recording(kind)) == []


@pytest.mark.parametrize(
    ("kind", "factor", "right", "what"),
    [
        ("eeg", 1e6, "1e-06", "µV taken for V"),
        ("eeg", 1e3, "0.001", "µV taken for mV"),
        ("seeg", 1e6, "1e-06", "µV taken for V"),
        ("ecog", 1e-3, "1000", "mV taken for µV"),
        ("mag", 1e15, "1e-15", "fT taken for T"),
        ("grad", 1e13, "1e-13", "fT/cm taken for T/m"),
    ],
)
def test_an_amplitude_no_brain_has_is_said_with_its_factor(caplog, kind, factor, right, what):
    settings = Preprocessing(notch=None, reference="none", flat=None)
    (line,) = said(caplog, recording(kind, factor), settings)
    assert line.startswith("r: median amplitude of ")
    assert f"it looks like {what}, so multiply by {right} (" in line
    assert line.endswith(f"--gain {right}, times any --gain given so far)")


@pytest.mark.parametrize(("factor", "right"), [(1e-6, "1e\\+06"), (3e-4, "1000")])
def test_channels_flat_for_their_unit_are_refused_with_the_factor(factor, right):
    with pytest.raises(DataError, match=rf"^r: 8 of 8 channels are flat \(X0, .*multiply by {right} ") as error:
        preprocess(recording(factor=factor), Preprocessing(notch=None), "r")
    assert "loosen" not in str(error.value)


def test_channels_without_a_signal_are_not_blamed_on_a_unit():
    raw = recording()
    raw.eeg[:] = 3e-5
    with pytest.raises(DataError, match=r"8 of 8 channels are flat .*they hold no signal") as error:
        preprocess(raw, Preprocessing(notch=None, band=(None, None)), "r")
    assert "multiply" not in str(error.value)


def test_gaps_do_not_hide_an_amplitude_that_no_brain_has(caplog):
    raw = recording(factor=1e6)
    raw.eeg[:, 400:1600] = 0
    raw.breaks, raw.gaps = [400, 1600], [(400, 1600)]
    (line,) = said(caplog, raw)
    assert "µV taken for V, so multiply by 1e-06 " in line
    caplog.clear()
    raw.eeg *= 1e-12
    with pytest.raises(DataError, match=r"8 of 8 channels are flat .*V taken for µV, so multiply by 1e\+06 "):
        preprocess(raw, Preprocessing(notch=None), "r")


def test_samples_that_tell_an_amplitude_are_evenly_taken():
    eeg = np.arange(100_000.0)[None]
    assert recorded_samples(eeg, [(0, 5), (90, 95)]).tolist() == [[0, 1, 2, 3, 4, 90, 91, 92, 93, 94]]
    np.testing.assert_array_equal(recorded_samples(eeg, [(0, 100_000)]), eeg[:, ::10])
    assert recorded_samples(eeg, []).shape == (1, 0)


def test_one_channel_in_another_unit_is_bad_others_are_kept(caplog):
    raw = recording()
    raw.eeg[2] *= 1e6
    with caplog.at_level(logging.WARNING):
        _, channels, *_ = preprocess(raw, Preprocessing(notch=None, reference="none"), "r")
    assert [c.name for c in channels if c.status == "bad"] == ["X2"]
    assert caplog.messages == []


def test_fast_activity_may_be_smaller():
    assert unlikely_amplitude(0.2, "eeg", 0.5)
    assert not unlikely_amplitude(0.2, "eeg", 13.0)
    assert not unlikely_amplitude(0.0, "eeg", None)


def test_no_factor_is_guessed_near_the_limits():
    for level in (0.3, 700.0, 1e-12):
        assert unlikely_amplitude(level, "eeg", 0.5).endswith("the unit may have been misread")
