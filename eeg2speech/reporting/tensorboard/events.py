"""What a run told TensorBoard, read back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

KEPT = {"scalars": 0, "images": 1, "audio": 1, "tensors": 1, "histograms": 1, "compressedHistograms": 1}
"""Of each tag: every scalar, and the last of all else (pictures of a long run would fill the memory)."""


@dataclass(frozen=True)
class Scalar:
    """A figure along training.

    Attributes:
        steps: Of the optimizer, rising.
        values: At these.
    """

    steps: list[int]
    values: list[float]


@dataclass(frozen=True)
class Seen:
    """A picture or a sound.

    Attributes:
        step: Of the optimizer.
        content: Bytes of a file: PNG, or wav.
    """

    step: int
    content: bytes


@dataclass
class Events:
    """Everything by its tag.

    Attributes:
        scalars: Figures along training.
        images: The last picture of each tag.
        sounds: The last sound of each tag.
        begun: When the first event was written, seconds since 1970; None without events.
        trained: Seconds from the first training step that was logged to the last, summed over starts; None where
            nothing tells.
    """

    scalars: dict[str, Scalar] = field(default_factory=dict)
    images: dict[str, Seen] = field(default_factory=dict)
    sounds: dict[str, Seen] = field(default_factory=dict)
    begun: float | None = None
    trained: float | None = None


def read_events(files: Sequence[Path]) -> Events:
    """Read the event files of a run, the oldest first.

    Where a run was resumed from an earlier step, what had been logged behind that step is left out. A file that breaks
    off is read as far as it goes.
    """
    found = Events()
    for file in files:
        accumulator = EventAccumulator(str(file), size_guidance=KEPT)
        accumulator.Reload()
        tags = accumulator.Tags()
        took = 0.0
        for tag in tags["scalars"]:
            points = accumulator.Scalars(tag)
            before = found.scalars.get(tag, Scalar([], []))
            found.scalars[tag] = _resumed(before, [(point.step, point.value) for point in points])
            if tag.startswith("train/"):
                took = max(took, points[-1].wall_time - points[0].wall_time)
            if not tag.startswith("test/"):
                begun = points[0].wall_time
                found.begun = begun if found.begun is None else min(found.begun, begun)
        if took:
            found.trained = (found.trained or 0.0) + took
        for tag in tags["images"]:
            image = accumulator.Images(tag)[-1]
            found.images[tag] = Seen(image.step, image.encoded_image_string)
        for tag in tags["audio"]:
            sound = accumulator.Audio(tag)[-1]
            found.sounds[tag] = Seen(sound.step, sound.encoded_audio_string)
    return found


def _resumed(before: Scalar, points: Iterable[tuple[int, float]]) -> Scalar:
    later = sorted(points)
    kept = sum(step < later[0][0] for step in before.steps) if later else len(before.steps)
    return Scalar(
        before.steps[:kept] + [step for step, _ in later], before.values[:kept] + [value for _, value in later]
    )
