"""The data that a model was trained on, and new recordings prepared in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eeg2speech.checkpoints.parts import read_data
from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.core.types import Channel, RawRecording, Recording, Segment
from eeg2speech.data.loading.scaling import Scaling, fit_scalings
from eeg2speech.data.loading.windows import Window, WindowDataset, cut_windows
from eeg2speech.data.preparation.preprocess import Preprocessing, preprocess
from eeg2speech.data.store.store import Description, Store, StoredChannel
from eeg2speech.data.timing import Stretch
from eeg2speech.inference.channels import TrainedMontage, bad_channels, choose_channels, types_in_order, types_of


@dataclass(frozen=True)
class TrainingDataInfo:
    """The properties of its training data that a model needs for new recordings.

    Attributes:
        name: Dataset.
        simulated: Whether its EEG was simulated.
        window: Length of a window in seconds.
        lag: Delay of the EEG of a window after its sound, in seconds.
        clamp: Scaled EEG is limited to +- this many robust standard deviations.
        preprocessing: From raw to prepared recordings.
        subjects: Labels, in the order of the model.
        montages: Every list of channels.
        record: The same and more as checkpoints and exports store it, in plain values.
    """

    name: str
    simulated: bool
    window: float
    lag: float
    clamp: float
    preprocessing: Preprocessing
    subjects: tuple[str, ...]
    montages: tuple[TrainedMontage, ...]
    record: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, source: Path) -> Self:
        """Read it from a checkpoint or an export; errors as of ``from_dict``."""
        return cls.from_dict(read_data(source), str(source))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], source: str) -> Self:
        """Make it from the record in a checkpoint or an export.

        Args:
            record: As of ``training_data_info``.
            source: Where it comes from, for error messages.

        Raises:
            DataError: The record is incomplete.
        """
        try:
            montages = tuple(
                TrainedMontage(
                    tuple(m["names"]),
                    np.array([p or (np.nan,) * 3 for p in m["positions"]], float).reshape(-1, 3),
                    tuple(m.get("types") or ("eeg",) * len(m["names"])),  # models of EEG may lack types
                )
                for m in record["montages"]
            )
            if any(not len(m.names) == len(m.positions) == len(m.types) for m in montages):
                raise ValueError("names, types and positions of channels differ in number")
            return cls(
                name=str(record["name"]),
                simulated=bool(record["simulated"]),
                window=float(record["window"]),
                lag=float(record["lag"]),
                clamp=float(record["clamp"]),
                preprocessing=Preprocessing.from_dict(record["preprocessing"]),
                subjects=tuple(record["subjects"]),
                montages=montages,
                record=dict(record),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{source}: has no description of how its EEG was prepared ({error}); use a checkpoint or export of a "
                "run of this eeg2speech on a store that `eeg2speech prepare` made"
            ) from error

    @property
    def types(self) -> tuple[str, ...]:
        """Types of the training channels, in the order of ``types.DECODABLE``."""
        return types_of(self.montages)

    @property
    def samples(self) -> int:
        """EEG samples of a window."""
        return round(self.window * self.preprocessing.rate)

    def step(self, hop: float | None) -> int:
        """EEG samples from one window's start to the next, for a hop in seconds; None for windows end to end.

        Raises:
            ConfigError: The hop is not a number, or shorter than a sample.
        """
        number = hop if isinstance(hop, int | float | np.integer | np.floating) else np.nan
        if hop is not None and (isinstance(hop, bool) or not np.isfinite(number)):
            raise ConfigError(f"hop={hop!r} is no number of seconds; leave it out for windows end to end")
        step = self.samples if hop is None else round(number * self.preprocessing.rate)
        if step < 1:
            raise ConfigError(f"hop={hop} s is less than the {1 / self.preprocessing.rate:g} s of a sample of EEG")
        return step

    def windows(self, raw: RawRecording, fixed: bool, hop: float | None = None) -> WindowDataset:
        """Prepare a recording as in training and cut it into windows that do not contain a break.

        Scaling is fitted on the whole recording. ``sound_start`` of a window is its time in the recording, in seconds;
        the EEG is read ``lag`` later.

        Args:
            raw: In volts or teslas.
            fixed: See ``choose_channels``.
            hop: From one window's start to the next, in seconds; None for windows end to end.

        Raises:
            DataError: Channels are missing, or the recording is too short or too slow.
            ConfigError: As of ``step``.
        """
        step = self.step(hop)
        store = self.prepare(raw, fixed)
        windows = cut_windows(store.segments, store.recordings, store.rate, self.samples, step)
        return self.dataset(store, windows, fit_scalings(store, {store.recordings[0].recording: store.segments}))

    def dataset(self, store: Store, windows: Sequence[Window], scalings: dict[str, Scaling]) -> WindowDataset:
        """Windows of a store with the settings of training, without sound.

        Raises:
            DataError: There is no window.
        """
        if not windows:
            seconds = sum(recording.samples for recording in store.recordings) / store.rate
            raise DataError(
                f"EEG of {seconds:g} s without a stretch as long as the {self.window:g} s of a window; "
                "give a longer one"
            )
        lag = round(self.lag * self.preprocessing.rate)
        return WindowDataset(store, windows, scalings, self.samples, self.clamp, False, lag=lag)

    def prepare(self, raw: RawRecording, fixed: bool) -> MemoryStore:
        """Filter, resample and reference a recording as in training.

        Args:
            raw: In volts or teslas.
            fixed: See ``choose_channels``.

        Returns:
            A store of this recording, whose segments are the parts between breaks.

        Raises:
            DataError: Channels are missing, or the recording is too slow.
        """
        rate = self.preprocessing.rate
        if raw.rate < rate and not self.preprocessing.upsample:
            raise DataError(f"EEG at {raw.rate:g} Hz; this model needs {rate:g} Hz or more")
        raw = self.choose_channels(raw, fixed)
        name, length = "recording", raw.eeg.shape[1]
        segments = [
            Segment(name, first / raw.rate, (last - first) / raw.rate, "", first / raw.rate, "listening")
            for first, last in pairwise([0, *raw.breaks, length])
        ]
        settings = replace(self.preprocessing, bad=bad_channels(raw, self.preprocessing.bad))
        # times are those of the recording's samples, so that pauses take no time
        made = preprocess(replace(raw, segments=segments, unrecorded={}), settings, name)
        return MemoryStore(name, made.eeg, rate, made.channels, made.segments, made.blocks)

    def choose_channels(self, raw: RawRecording, fixed: bool) -> RawRecording:
        """Keep the channels that the model can use, with positions; see ``channels.choose_channels``."""
        ica = self.preprocessing.ica
        return choose_channels(raw, self.montages, fixed, keep_eog=ica is not None and ica.method == "eog")


class MemoryStore(Store):
    """A store of a single recording in memory.

    Args:
        name: Of the recording.
        eeg: Prepared signal in microvolts, (channels, samples).
        rate: Samples per second.
        channels: One per row of ``eeg``.
        segments: Of the recording; they have no sounds.
        pieces: Samples that were recorded without interruption.
    """

    def __init__(
        self,
        name: str,
        eeg: NDArray[np.float32],
        rate: float,
        channels: Sequence[Channel],
        segments: Sequence[Segment],
        pieces: Sequence[Stretch],
    ) -> None:
        self.root = Path(name)
        self.description = Description(name, "", "", "", simulated=False, rate=rate)
        C, T = eeg.shape
        self.recordings = [Recording(name, "", "", "", C, T, name)]
        self.segments = list(segments)
        self._maps = {name: eeg}
        self._blocks = {name: list(pieces)}
        self._channels = {name: [StoredChannel(**asdict(channel), recording=name) for channel in channels]}


def trained_types(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Channel types in the record of a checkpoint or an export; EEG if it lists none."""
    return types_in_order({kind for montage in record.get("montages", []) for kind in montage.get("types", ["eeg"])})
