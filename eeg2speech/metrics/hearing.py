"""Figures of generated speech by pretrained networks of optional packages, ``pip install 'eeg2speech[hearing]'``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from eeg2speech.audio import RATE, Waveform
from eeg2speech.core.errors import ConfigError
from eeg2speech.metrics.word_error import Transcriber

PACKAGES = ("pocketsphinx", "speechmos", "resemblyzer")


def check_hearing() -> None:
    """Check that the packages are installed.

    Raises:
        ConfigError: One is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"hearing=True needs {', '.join(missing)}: pip install 'eeg2speech[hearing]' (EvaluateSpeech.hearing)"
        )


def pocketsphinx() -> Transcriber:
    """Recogniser of US English, whose package contains its acoustic and its language model.

    It finds words in any sound, so word error rates of clips without information about the sound belong beside those of
    speech from EEG.
    """

    def transcribe(wave: Waveform) -> str:
        # a new one for each sound: it adapts to those before
        decoder = import_module("pocketsphinx").Decoder(samprate=RATE, loglevel="FATAL")
        samples = np.clip(np.nan_to_num(np.asarray(wave)), -1, 1)
        decoder.start_utt()
        decoder.process_raw((samples * 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return "" if found is None else str(found.hypstr)

    return transcribe


def dnsmos(reference: Waveform, generated: Waveform) -> float:
    """Predicted mean opinion score of the overall quality, 1 to 5; the reference does not matter.

    Reference: Reddy et al. 2022, DNSMOS P.835: a non-intrusive perceptual objective speech quality metric to evaluate
    noise suppressors (ICASSP).
    """
    found = import_module("speechmos.dnsmos").run(np.clip(generated, -1, 1).astype(np.float32), sr=RATE)
    return float(found["ovrl_mos"])


def speaker_similarity(reference: Waveform, generated: Waveform) -> float:
    """Cosine of the voices of two sounds, 1 for the same; NaN where no speech is detected in one of them.

    Reference: Wan et al. 2018, Generalized end-to-end loss for speaker verification (ICASSP).
    """
    package, encoder = _voices()
    voices = []
    for wave in (reference, generated):
        spoken = package.preprocess_wav(np.asarray(wave, np.float32), source_sr=RATE)
        if not len(spoken):
            return float("nan")
        voices.append(encoder.embed_utterance(spoken))
    return float(voices[0] @ voices[1])


MEASURES: dict[str, Callable[[Waveform, Waveform], float]] = {
    "dnsmos": dnsmos,
    "speaker_similarity": speaker_similarity,
}
"""Figures beside those of ``metrics.speech``, of a reference and a generated clip at 16 kHz, (S,) each."""


@cache
def _voices() -> tuple[Any, Any]:
    with warnings.catch_warnings():  # it imports modules by names that will change
        warnings.simplefilter("ignore")
        package = import_module("resemblyzer")
    return package, package.VoiceEncoder("cpu", verbose=False)
