from __future__ import annotations

import numpy as np
import pytest
import soundfile

from eeg2speech.audio.files import read_mono
from eeg2speech.audio.waveform import check_rate, scaled
from eeg2speech.core.errors import ConfigError, DataError
from tests.audio.sounds import talk


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_integers_are_scaled_by_the_range_of_their_type(dtype):
    info = np.iinfo(dtype)
    middle = (int(info.max) + int(info.min) + 1) // 2
    full = int(info.max) + 1 - middle
    made = scaled(np.round(middle + talk(0) * full).astype(dtype), "x")
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, talk(0), atol=1 / full + 1e-6)
    assert scaled(np.array([info.min], dtype), "x")[0] == -1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floating_point_stays_as_it_is(dtype):
    np.testing.assert_allclose(scaled(talk(0).astype(dtype), "x"), talk(0), atol=1e-3 if dtype == "float16" else 1e-7)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (talk(0) * 32767, r"x: samples up to .*, where floating point must lie in \[-1, 1\]; divide by full scale"),
        (np.array([5.0]), "samples up to 5"),
        (np.array([-5.0]), "samples up to 5"),
        (np.array([0.1, np.nan]), "x: holds NaN or infinity"),
        (np.array([0.1, np.inf]), "holds NaN or infinity"),
        (np.array([-np.inf, 0.1]), "holds NaN or infinity"),
        ((talk(0) * 32767).astype(np.int32), "type int32 that do not exceed .*convert them to int16"),
        ((talk(0) * 32767).astype(np.int64), "samples of type int64"),
        (talk(0) > 0, "samples of type bool"),
        (talk(0) * 1j, "samples of type complex64"),
        (np.array(["a"]), "samples of type <U1"),
    ],
)
def test_samples_of_another_scale_or_type_are_refused(samples, message):
    with pytest.raises(DataError, match=message):
        scaled(samples, "x")


def test_silence_of_any_type_is_silence():
    for dtype in ("int16", "int32", "float32"):
        assert not scaled(np.zeros(10, dtype), "x").any()


@pytest.mark.parametrize("rate", [0, -1, np.nan, np.inf, 16, 44.1, True, "16000", None, 2e6])
def test_rates_that_no_sound_has_are_refused(rate):
    with pytest.raises(ConfigError, match=r"x: rate=.*; give its samples per second"):
        check_rate(rate, "x")
    assert check_rate(np.float32(16_000), "x") == 16_000


def test_floating_point_files_on_another_scale_are_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", 32767 * talk(0), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a\.wav: samples up to"):
        read_mono(tmp_path / "a.wav")
