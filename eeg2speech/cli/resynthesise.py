"""`eeg2speech resynthesise`: speech out of what the model hears in a recording, the ceiling for any EEG."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from eeg2speech.core.errors import ConfigError, DataError

OUT = Path("runs/resynthesised")

GROUPS = {
    "the model": ["components", "audio_weights", "device"],
    "how": ["channel", "window", "overlap", "seed", "solver", "steps", "guidance", "batch_size"],
    "what is written": ["out", "json"],
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
    """Make speech out of speech, as no EEG could make it better.

    NAME_loa.wav is generated from the LOA tokens of the sound NAME itself, which are what EEG is to predict;
    NAME_roundtrip.wav has only gone through autoencoder and vocoder. Needs no trained model of stage 3.

    Args:
        sounds: Sound file, folder of sound files, or several as [a.wav,b.wav].
        out: Folder to write into.
        components: `tiny`, the set that comes with the package, a folder, or hf_hub:OWNER/NAME.
        audio_weights: Of the encoder that LOA comes from: AudioMAE as hub id, folder or file, or a run of
            configs/audiomae.yaml. Not given: those that come with the components, else AudioMAE from the hub.
        channel: Of sounds with several: `left`, `right`, its number from 0, or `mean` of all.
        window: Seconds that are generated as one; not given: 3.2, and 10.24 with AudioMAE.
        overlap: Seconds that a window has in common with the next, over which they are cross-faded.
        seed: Of the noise that speech is made from.
        steps: Of the solver.
        guidance: Scale of classifier-free guidance, 1 for none.
        solver: `dpm` (DPM-Solver++) or `ddim`.
        batch_size: Windows that are generated at once.
        device: E.g. cpu or cuda; auto takes a GPU where there is one.
        json: Print what was written as JSON: folder, files.
    """
    if batch_size < 1:
        raise ConfigError(f"--batch_size {batch_size} is below 1")
    from eeg2speech.audio import RATE
    from eeg2speech.audio.files import write_wav
    from eeg2speech.audio.stitching import cover
    from eeg2speech.cli.device import choose_device
    from eeg2speech.cli.machine import json_stdout, print_json
    from eeg2speech.cli.resynthesised_sounds import find_sounds, read_sounds
    from eeg2speech.core.progress import Countdown
    from eeg2speech.models.audio.encoder import STEP, audio_encoder_class
    from eeg2speech.models.audioldm2.rebuild import build_speech
    from eeg2speech.models.audioldm2.resynthesis import Resynthesis, choose_audio
    from eeg2speech.models.audioldm2.sampling import Sampler

    waves = read_sounds(find_sounds([sounds] if isinstance(sounds, str) else sounds), channel)
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
    _make_folder(out)
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


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be made a folder ({error.strerror}); choose another --out") from error


COMMAND = resynthesise
