"""`eeg2speech resynthesise`: speech from the audio tokens of a sound, an upper limit for speech from EEG."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eeg2speech.cli.output import json_stdout, print_json
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.paths import expanded

if TYPE_CHECKING:
    from eeg2speech.audio import Waveform

OUT = Path("runs/resynthesised")
SILENCE = 1e-4
"""A sound whose samples are all below this is silent."""

GROUPS = {
    "the model": ["components", "audio_weights", "device"],
    "generation": ["channel", "window", "overlap", "seed", "solver", "steps", "guidance", "batch_size"],
    "output": ["out", "json"],
}
EXAMPLES = """
    eeg2speech resynthesise story.wav --out ceiling
    eeg2speech resynthesise [a.wav,b.wav] --guidance 1 --out ceiling
"""


def resynthesise(
    sounds: str | list[str],
    out: Path = OUT,
    components: str = "tiny",
    audio_weights: str | None = None,
    channel: Literal["mean", "left", "right"] | int = "mean",
    window: float | None = None,
    overlap: float = 0.32,
    seed: int = 0,
    steps: int = 20,
    guidance: float = 1.5,
    solver: Literal["dpm", "ddim"] = "dpm",
    batch_size: int = 8,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Generate speech from the features of a sound, as an upper limit for speech from EEG.

    NAME_loa.wav is generated from the LOA tokens of the sound NAME. LOA tokens are the audio features of AudioLDM 2
    that stage 3 predicts from EEG. NAME_roundtrip.wav is the reconstruction of the sound by autoencoder and vocoder. No
    trained model of stage 3 is needed.

    Args:
        sounds: Sound file, folder of sound files, or several as [a.wav,b.wav].
        out: Folder to write into.
        components: `tiny` (the set that comes with the package), a folder, or hf_hub:OWNER/NAME.
        audio_weights: Weights of the encoder that computes LOA: AudioMAE as hub id, folder or file, or a run of
            configs/audiomae.yaml. If not given, the weights that come with the components are used, or else AudioMAE
            from the hub.
        channel: Channel of sounds with several channels: `left`, `right`, a number from 0, or the `mean` of all
            channels.
        window: Seconds that are generated at once; if not given, 3.2, and 10.24 with AudioMAE.
        overlap: Seconds by which consecutive windows overlap, over which they are cross-faded.
        seed: Seed of the noise that speech is generated from.
        steps: Steps of the solver.
        guidance: Scale of classifier-free guidance, 1 for none.
        solver: `dpm` (DPM-Solver++) or `ddim`.
        batch_size: Windows per batch.
        device: E.g. cpu or cuda; auto takes a GPU if there is one.
        json: Print what was written as JSON: folder, files.
    """
    if batch_size < 1:
        raise ConfigError(f"--batch_size {batch_size} is below 1")
    from eeg2speech.audio import RATE
    from eeg2speech.audio.files import write_wav
    from eeg2speech.audio.stitching import cover
    from eeg2speech.cli.generate import choose_device
    from eeg2speech.core.progress import Countdown
    from eeg2speech.models.audio.encoder import STEP, audio_encoder_class
    from eeg2speech.models.audioldm2.rebuild import build_speech
    from eeg2speech.models.audioldm2.resynthesis import Resynthesis, choose_audio
    from eeg2speech.models.audioldm2.sampling import Sampler

    waves = _read_sounds(_find_sounds([sounds] if isinstance(sounds, str) else sounds), channel)
    described, weights = choose_audio(components, audio_weights)
    seconds = audio_encoder_class(described, str(weights)).window if window is None else window
    samples, common = round(seconds * RATE), round(overlap * RATE)
    if samples < STEP or samples % STEP or not 0 <= common <= samples / 2:
        raise ConfigError(
            f"--window {seconds} s must be a multiple of {STEP / RATE} s and --overlap {overlap} s at most half of it"
        )
    with json_stdout(json):
        model = build_speech(components, described, weights).to(choose_device(device))
    again = Resynthesis(model, Sampler(solver, steps, guidance), samples, common, seed, batch_size)
    grids = {name: cover(max(len(wave), samples), samples, common) for name, wave in waves.items()}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be made a folder ({error.strerror}); choose another --out") from error
    files: list[str] = []
    with Countdown("Resynthesising windows", sum(map(len, grids.values()))) as bar:
        for name, wave in waves.items():
            made = again.generate(name, wave, grids[name], lambda count: bar.step(count=count))
            for kind, sound in made.items():
                files.append(f"{name}_{kind}.wav")
                write_wav(out / files[-1], sound)
    if json:
        print_json({"folder": out, "files": files})
    else:
        print(f"{out}: {', '.join(waves)}: each as _loa.wav, from its own LOA, and _roundtrip.wav, through the vocoder")
    return 0


def _find_sounds(named: list[str]) -> dict[str, Path]:
    """Sound files by name, of files and folders."""
    from eeg2speech.data.simulation.speech import sound_files

    files: list[Path] = []
    for path in map(expanded, named):
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


def _read_sounds(files: dict[str, Path], channel: Literal["mean", "left", "right"] | int) -> dict[str, Waveform]:
    """Waveforms by name; a sound must not be silent."""
    from eeg2speech.data.files.notices import collected_notices
    from eeg2speech.data.simulation.speech import read_sound

    waves = {}
    for name, file in files.items():
        with collected_notices() as notices:
            wave = waves[name] = read_sound(file, channel)
        for notice in notices:
            print(f"warning: {notice.text}", file=sys.stderr)
        if abs(wave).max() < SILENCE:
            raise DataError(f"{file}: is silent; leave it out")
    return waves
