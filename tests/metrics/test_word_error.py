from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.core.errors import ConfigError
from eeg2speech.metrics import word_error
from eeg2speech.metrics.word_error import edit_distance, whisper, word_error_rate, word_error_rates, words


@pytest.mark.parametrize(
    ("reference", "recognised", "rate"),
    [
        ("the cat sat", "the cat sat", 0),
        ("The cat, sat!", "the CAT sat.", 0),
        ("the cat sat", "the bat sat", 1 / 3),
        ("the cat sat", "the cat", 1 / 3),
        ("the cat sat", "the cat sat down here", 2 / 3),
        ("the cat sat", "", 1),
        ("no", "oh my word", 3),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t 'go'", "don't go", 0),
    ],
)
def test_word_error_rate(reference, recognised, rate):
    assert word_error_rate(reference, recognised) == pytest.approx(rate)


def test_nothing_said_has_no_rate():
    assert np.isnan(word_error_rate(" ... ", "something"))
    assert words("--'") == []


LETTERS = st.lists(st.sampled_from("abc"), max_size=8)


@given(LETTERS, LETTERS, LETTERS)
def test_edit_distance_is_a_distance(first, second, third):
    assert (edit_distance(first, second) == 0) == (first == second)
    assert edit_distance(first, second) == edit_distance(second, first)
    assert edit_distance(first, third) <= edit_distance(first, second) + edit_distance(second, third)
    assert abs(len(first) - len(second)) <= edit_distance(first, second) <= max(len(first), len(second))


def test_each_clip_has_a_rate_unless_its_text_is_empty():
    waves = np.eye(3, 4, dtype=np.float32)[[0, 2, 2]]
    names = {0: "nought", 1: "one", 2: "two"}
    rates = word_error_rates(lambda wave: names[int(wave.argmax())], waves, ["nought", "one", ""])
    np.testing.assert_array_equal(rates, [0, 1, np.nan])


def test_whisper_is_used_only_with_a_package_and_a_local_model(monkeypatch, tmp_path):
    monkeypatch.setattr(word_error, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install faster-whisper"):
        whisper(tmp_path)

    class Model:
        def __init__(self, folder, local_files_only):
            assert local_files_only
            assert folder == str(tmp_path)

        def transcribe(self, wave, language):
            return [SimpleNamespace(text=" Hello"), SimpleNamespace(text=f" {language}")], None

    package = ModuleType("faster_whisper")
    package.WhisperModel = Model
    monkeypatch.setitem(sys.modules, "faster_whisper", package)
    monkeypatch.setattr(word_error, "find_spec", lambda name: package)
    with pytest.raises(ConfigError, match=r"holds no model\.bin"):
        whisper(tmp_path)
    (tmp_path / "model.bin").touch()
    assert whisper(tmp_path, "en")(np.zeros(10, np.float32)) == "Hello en"
