"""Synthesises the speech of the embedded dataset from the project's sentences.

Run as ``python -m eeg2speech.assets.render`` with the extra ``assets`` installed. The sound is a function of the
sentences, the engine's version and the seed; the files are not, since each Ogg stream has a random serial number.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import numpy as np
import soundfile
from hibari import SAMPLE_RATE, Hibari
from hibari.dsp import synth
from rich.console import Console
from rich.progress import Progress

from eeg2speech.audio import RATE, Waveform, resample
from eeg2speech.core.files import write_json
from eeg2speech.core.seeding import mix
from eeg2speech.core.tables import read_table, write_table
from eeg2speech.data.simulation.speech import ASSETS, Sentence, TimedSentence

GRID = RATE // 100
"""Sentences start on a grid of 10 ms, the samples of prepared EEG."""
LOUDNESS = 0.08
"""Root mean square of the voiced parts of every sentence, relative to full scale."""
COMPRESSION = 0.925
"""libsndfile's scale from 0 to 1; 1 is 6 kbit/s."""


@dataclass(frozen=True)
class Delivery:
    """Variation of the engine's single voice.

    Attributes:
        speed: Pace relative to the engine's.
        pitch: Factor on the fundamental frequency.
        formants: Factor on the formants in whole percent, so that resampling by it has small integer ratios.
    """

    speed: float
    pitch: float
    formants: int


def main(argv: Sequence[str] | None = None) -> int:
    """Render ``passages.tsv`` into one Ogg Opus file per passage, ``speech.tsv`` and ``speech.json``."""
    parser = argparse.ArgumentParser(prog="python -m eeg2speech.assets.render", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=ASSETS, help="folder that receives the files")
    parser.add_argument("--seed", type=int, default=0, help="varies the delivery")
    options = parser.parse_args(argv)
    passages = _passages()
    (options.out / "speech").mkdir(parents=True, exist_ok=True)
    engine, timed, seconds = Hibari(), [], 0.0
    with Progress(console=Console(stderr=True)) as progress:
        for number, (name, sentences) in enumerate(progress.track(passages.items(), description="Rendering")):
            wave, rows = render_passage(engine, sentences, mix(options.seed, number))
            file = options.out / "speech" / f"{name}.opus"
            soundfile.write(file, wave, RATE, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
            timed += rows
            seconds += len(wave) / RATE
    write_table(options.out / "speech.tsv", TimedSentence, timed)
    about = {
        "engine": "hibari-tts",
        "version": version("hibari-tts"),
        "voice": engine.voice,
        "license": "Apache-2.0",
        "seed": options.seed,
        "passages": len(passages),
        "sentences": len(timed),
        "seconds": round(seconds, 2),
        "rate": RATE,
    }
    write_json(options.out / "speech.json", about)
    return 0


def render_passage(engine: Hibari, sentences: Sequence[Sentence], seed: int) -> tuple[Waveform, list[TimedSentence]]:
    """Synthesise a passage with 0.25 to 0.45 s between sentences.

    Args:
        engine: The loaded synthesiser.
        sentences: In order.
        seed: Of all random numbers.

    Returns:
        Waveform at 16 kHz, (samples,), a whole number of 10 ms long, and onset and duration of each sentence.
    """
    rng = np.random.default_rng(seed)
    formants, pace = int(rng.integers(89, 107)), rng.uniform(0.78, 0.93)
    # speakers with longer vocal tracts have lower voices, by more than the tract alone explains
    pitch = (formants / 100) ** 2.2 * rng.uniform(0.93, 1.07)
    pieces, rows, position = [], [], 0
    for number, sentence in enumerate(sentences):
        if number:
            pause = round(rng.uniform(0.25, 0.45) * 100) * GRID
            pieces.append(np.zeros(pause, np.float32))
            position += pause
        delivery = Delivery(pace * rng.uniform(0.95, 1.06), pitch * rng.uniform(0.96, 1.05), formants)
        wave = _level(_trim(synthesise(engine, sentence.text, delivery, mix(seed, number))))
        rows.append(
            TimedSentence(sentence.passage, sentence.sentence, position / RATE, len(wave) / RATE, sentence.text)
        )
        piece = np.pad(wave, (0, -len(wave) % GRID))
        pieces.append(piece)
        position += len(piece)
    return np.concatenate(pieces), rows


def synthesise(engine: Hibari, text: str, delivery: Delivery, seed: int) -> Waveform:
    """Synthesise one sentence at 16 kHz, (samples,).

    Formants are scaled by resampling; pace and pitch of the synthesis compensate for its effect on them.
    """
    factor = delivery.formants / 100
    rng, parts = np.random.default_rng(seed), []
    for phonemes in engine.phonemize(text):
        ids = np.asarray([engine.ids(phonemes)], np.int64)
        speed = np.asarray([delivery.speed / factor], np.float32)
        *spectrum, f0 = (output[0] for output in engine.sess.run(None, {"ids": ids, "speed": speed}))
        parts.append(synth(*spectrum, f0 * np.float32(delivery.pitch / factor), rng))
    return resample(np.concatenate(parts), SAMPLE_RATE * delivery.formants / 100)


def _trim(wave: Waveform, floor: float = 0.01, guard: int = 2) -> Waveform:
    """Cut the silence around a sentence, frames of 10 ms below ``floor`` of the loudest, except ``guard`` frames."""
    frames = np.abs(wave[: len(wave) // GRID * GRID]).reshape(-1, GRID).max(axis=1)
    loud = np.flatnonzero(frames > floor * frames.max())
    return wave[max(loud[0] - guard, 0) * GRID : (loud[-1] + 1 + guard) * GRID]


def _level(wave: Waveform) -> Waveform:
    """Scale a sentence to ``LOUDNESS``, less where its peak would exceed 0.95."""
    power = np.square(wave[: len(wave) // GRID * GRID]).reshape(-1, GRID).mean(axis=1)
    voiced = power[power > 0.01 * power.max()].mean()
    return np.asarray(wave * min(LOUDNESS / np.sqrt(voiced), 0.95 / np.abs(wave).max()), np.float32)


def _passages() -> dict[str, list[Sentence]]:
    rows = read_table(ASSETS / "passages.tsv", Sentence)
    return {name: list(group) for name, group in groupby(rows, key=lambda row: row.passage)}


if __name__ == "__main__":
    raise SystemExit(main())
