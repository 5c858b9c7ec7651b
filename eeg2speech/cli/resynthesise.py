"""`eeg2speech resynthesise`: speech out of what the model hears in a recording, the ceiling for any EEG."""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from eeg2speech.cli.progress import progress_bar
from eeg2speech.errors import ConfigError, DataError

if TYPE_CHECKING:
    from eeg2speech.audio import Waveform

OUT = Path("runs/resynthesised")
WINDOW = {"SpectrogramViT": 3.2, "AudioMAE": 10.24}
"""Seconds, by the encoder of sound: those it was trained with."""
SILENCE = 1e-4
"""A sound that nowhere exceeds this is silent."""


def resynthesise(
    sounds: str | list[str],
    out: Path = OUT,
    components: str = "tiny",
    audio_weights: str | None = None,
    window: float | None = None,
    overlap: float = 0.32,
    seed: int = 0,
    steps: int = 20,
    guidance: float = 1.5,
    solver: Literal["dpm", "ddim"] = "dpm",
    batch_size: int = 8,
    device: str = "auto",
) -> int:
    """Make speech out of speech, as no EEG could make it better.

    NAME_loa.wav is generated from the LOA tokens of the sound NAME itself, which are what EEG is to predict;
    NAME_roundtrip.wav has only gone through autoencoder and vocoder. Needs no trained model of stage 3.

    Args:
        sounds: Sound file, folder of sound files, or several as [a.wav,b.wav].
        out: Folder to write into.
        components: `tiny`, the set that comes with the package, a folder, or hf_hub:OWNER/NAME.
        audio_weights: Of the encoder that LOA comes from: AudioMAE as hub id, folder or file, or a run of
            configs/audiomae.yaml. Not given: those that come with the components, else AudioMAE from the hub.
        window: Seconds that are generated as one; not given: 3.2, and 10.24 with AudioMAE.
        overlap: Seconds that a window has in common with the next, over which they are cross-faded.
        seed: Of the noise that speech is made from.
        steps: Of the solver.
        guidance: Scale of classifier-free guidance, 1 for none.
        solver: `dpm` (DPM-Solver++) or `ddim`.
        batch_size: Windows that are generated at once.
        device: E.g. cpu or cuda; auto takes a GPU where there is one.
    """
    from eeg2speech.audio import RATE
    from eeg2speech.audio.stitching import cover
    from eeg2speech.audio.wav import write_wav
    from eeg2speech.cli.device import choose_device
    from eeg2speech.models.audio import STEP
    from eeg2speech.models.audioldm2.rebuild import sound_only
    from eeg2speech.models.audioldm2.resynthesis import Resynthesis, choose_audio
    from eeg2speech.models.audioldm2.sampling import Sampler

    if batch_size < 1:
        raise ConfigError(f"--batch_size {batch_size} is below 1")
    waves = _read(_files([sounds] if isinstance(sounds, str) else sounds))
    described, weights = choose_audio(components, audio_weights)
    seconds = WINDOW[described["class"]] if window is None else window
    samples, common = round(seconds * RATE), round(overlap * RATE)
    if samples < STEP or samples % STEP or not 0 <= common <= samples / 2:
        raise ConfigError(
            f"--window {seconds} s must be a multiple of {STEP / RATE} s and --overlap {overlap} s at most half of it"
        )
    model = sound_only(components, described, weights).to(choose_device(device))
    again = Resynthesis(model, Sampler(solver, steps, guidance), samples, common, seed, batch_size)
    grids = {name: cover(max(len(wave), samples), samples, common) for name, wave in waves.items()}
    _make_folder(out)
    with progress_bar() as progress:
        task = progress.add_task("Resynthesising", total=sum(map(len, grids.values())))
        for name, wave in waves.items():
            made = again.speak(name, wave, grids[name], partial(progress.advance, task))
            for kind, sound in made.items():
                write_wav(out / f"{name}_{kind}.wav", sound)
    print(f"{out}: {', '.join(waves)}: each as _loa.wav, from its own LOA, and _roundtrip.wav, through the vocoder")
    return 0


def _files(named: list[str]) -> dict[str, Path]:
    """Sound files by the name of what is made of them."""
    from eeg2speech.data.speech import sound_files

    files: list[Path] = []
    for path in (Path(name).expanduser() for name in named):
        if path.is_dir():
            files += sound_files(path).values()
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{path}: no such sound file or folder")
    names = Counter(file.stem for file in files)
    if twice := [name for name, times in names.items() if times > 1]:
        raise ConfigError(
            f"several sounds are named {twice[0]!r}; resynthesise them one at a time, each into its own --out"
        )
    return {file.stem: file for file in files}


def _read(files: dict[str, Path]) -> dict[str, Waveform]:
    from eeg2speech.data.speech import read_sound
    from eeg2speech.data.store_files import CLIPPED

    waves = {}
    for name, file in files.items():
        wave = waves[name] = read_sound(file)
        if not np.isfinite(wave).all():
            raise DataError(f"{file}: holds NaN or infinity; replace it")
        if np.abs(wave).max() < SILENCE:
            raise DataError(f"{file}: is silent; there is nothing to resynthesise, leave it out")
        clipped = float((np.abs(wave) > 0.999).mean())
        if clipped > CLIPPED:
            print(
                f"warning: {file}: {clipped:.1%} of the sound is clipped; what is made of it will be, too",
                file=sys.stderr,
            )
    return waves


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be made a folder ({error.strerror}); choose another --out") from error


COMMAND = resynthesise
