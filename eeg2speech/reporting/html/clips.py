"""Sounds that a run left: the same window spoken by each arm, each with its spectrogram."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from eeg2speech.audio.mel import FFT, LogMel
from eeg2speech.audio.waveform import RATE
from eeg2speech.core.errors import DataError
from eeg2speech.plotting import draw_spectrogram
from eeg2speech.reporting.html.diffusion import ARMS, variant_title
from eeg2speech.reporting.html.embed import Budget, embed_figure
from eeg2speech.reporting.html.origin import list_title
from eeg2speech.reporting.html.run import Run
from eeg2speech.reporting.html.views import RunView, Section, Sound
from eeg2speech.reporting.tensorboard.events import Seen

FOLDERS = ("clips", "speech", "predicted")
"""Where tests and predictions write; ``speech`` is that of earlier versions and today's export."""
LONGEST = 12.0
"""Seconds of a sound that are kept: a page is for a first hearing."""
NAME = re.compile(r"(?P<window>\d+)_(?P<arm>.+)")
_ORDER = {name.replace(" ", "_"): place for place, name in enumerate(ARMS)}

Wave = NDArray[np.float32]


def clip_sections(view: RunView, run: Run, heard: Mapping[str, Seen], most: int, budget: Budget) -> list[Section]:
    """Sounds by list, or, where a run was not tested, those of its last validation.

    Args:
        view: What they are shown in.
        run: The run.
        heard: Sounds of TensorBoard by tag.
        most: Windows of a list.
        budget: Of the page.
    """
    sections = []
    for folder in (run.folder / name for name in FOLDERS):
        for part in sorted({file.parent for file in folder.glob("*/*.wav")}):
            windows = _by_window(part)
            shown = {name: windows[name] for name in list(windows)[:most]}
            sounds = [
                (f"Window {name}", _sounds(view, name, {arm: _read(file) for arm, file in arms.items()}, budget))
                for name, arms in shown.items()
            ]
            more = f"{len(windows) - most} more windows lie in {part}." if len(windows) > most else ""
            sections.append(Section(f"Listen: {list_title(part.name)}", more, sounds=_spoken(sounds)))
    if not sections:
        sections.append(_validated(view, heard, most, budget))
    return [section for section in sections if section.sounds]


def _spoken(sounds: list[tuple[str, list[Sound]]]) -> list[tuple[str, list[Sound]]]:
    return [(name, arms) for name, arms in sounds if arms]


def _by_window(folder: Path) -> dict[str, dict[str, Path]]:
    """Files of each window by arm, arms in the order of their telling."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for file in sorted(folder.glob("*.wav")):
        match = NAME.fullmatch(file.stem)
        window, arm = (match["window"], match["arm"]) if match else (file.stem, "eeg")
        found[window][arm] = file
    return {
        window: dict(sorted(arms.items(), key=lambda item: _ORDER.get(item[0], len(_ORDER))))
        for window, arms in found.items()
    }


def _validated(view: RunView, heard: Mapping[str, Seen], most: int, budget: Budget) -> Section:
    windows: dict[str, dict[str, tuple[Wave, int]]] = defaultdict(dict)
    step = 0
    for tag, seen in heard.items():
        head, _, arm = tag.rpartition("/")
        windows[head.rpartition("_")[2]][arm.replace(" ", "_")] = _decode(io.BytesIO(seen.content), tag)
        step = max(step, seen.step)
    sounds = [(f"Window {name}", _sounds(view, name, arms, budget)) for name, arms in list(windows.items())[:most]]
    return Section("Listen: validation", f"At step {step}.", sounds=_spoken(sounds))


def _sounds(view: RunView, window: str, waves: Mapping[str, tuple[Wave, int]], budget: Budget) -> list[Sound]:
    mels = {arm: _spectrogram(wave, rate) for arm, (wave, rate) in waves.items()}
    loudest = max((float(mel.max()) for mel in mels.values() if mel is not None), default=0.0)
    sounds = []
    for arm, (wave, rate) in waves.items():
        mel, title = mels[arm], variant_title(arm.replace("_", " "))
        name = view.caption(f"{title}, window {window}")
        if mel is None:
            budget.refused.append(f"{name} (too short, or not at {RATE} Hz)")
            continue
        alt = f"Mel spectrogram, time from left to right and 64 bands up to 8 kHz from bottom to top: {title}."
        picture = embed_figure(draw_spectrogram(mel, loudest), alt, name, budget)
        uri = budget.uri(_encode(wave, rate), "audio/flac", name)
        if picture is not None and uri is not None:
            sounds.append(Sound(title, uri, picture, len(wave) / rate))
    return sounds


def _read(file: Path) -> tuple[Wave, int]:
    return _decode(file, str(file))


def _decode(source: Path | io.BytesIO, name: str) -> tuple[Wave, int]:
    try:
        with soundfile.SoundFile(source) as sound:
            wave: Wave = sound.read(round(LONGEST * sound.samplerate), dtype="float32", always_2d=True)[:, 0]
            return wave, int(sound.samplerate)
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(f"{name}: damaged sound ({error}); take it out of the folder, or test again") from error


def _encode(wave: Wave, rate: int) -> bytes:
    """FLAC: every browser plays it, and it is lossless at half the size of wav."""
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def _spectrogram(wave: Wave, rate: int) -> NDArray[np.floating] | None:
    """Log mel energies, (L, F); None of sounds that are too short or at another rate than the models'."""
    if rate != RATE or len(wave) < FFT:
        return None
    mel: NDArray[np.floating] = LogMel()(torch.from_numpy(wave)[None])[0].numpy()
    return mel
