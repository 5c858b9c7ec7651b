"""Sound files of users: whole, of any number of channels, examined while they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from eeg2speech.audio.channels import ChannelChoice, Mixer
from eeg2speech.audio.samples import scaled
from eeg2speech.audio.truncation import SHORT, check_whole, short
from eeg2speech.audio.waveform import Waveform
from eeg2speech.core.errors import DataError
from eeg2speech.core.files import printable


def read_mono(file: Path, channel: ChannelChoice = "mean") -> tuple[Waveform, float]:
    """Read a sound file as one waveform; warn of clipping and of channels that hold different sounds.

    Args:
        file: Anything libsndfile reads: wav, flac, ogg, mp3.
        channel: Which of its channels; ``mean`` averages all.

    Returns:
        Waveform in [-1, 1], (samples,), and its rate in hertz.

    Raises:
        DataError: The file is missing, cut short or no sound file, its samples are not in [-1, 1], there is no such
            channel, or the channels cancel each other.
    """
    try:
        with soundfile.SoundFile(file) as sound:
            check_whole(file, sound)
            rate, promised = float(sound.samplerate), sound.frames
            mixer = Mixer(sound.channels, rate, channel, file)
            parts = []
            # SoundFile.blocks would give its last buffer again where a file ends early
            while len(block := sound.read(mixer.block, dtype="float32", always_2d=True)):
                parts.append(mixer.add(scaled(block, file)))
    except (soundfile.LibsndfileError, OSError, UnicodeEncodeError) as error:  # of a name that is no UTF-8
        raise DataError(printable(f"{file}: cannot be read as sound ({error}); replace or remove it")) from error
    wave: Waveform = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if promised - len(wave) > SHORT * rate:
        raise short(file, len(wave) / rate, promised / rate)
    mixer.finish()
    return wave, rate
