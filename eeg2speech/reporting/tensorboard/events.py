"""Reading the TensorBoard events of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

KEPT = {"scalars": 0, "images": 1, "audio": 1, "tensors": 1, "histograms": 1, "compressedHistograms": 1}
"""Events of each tag that are kept: every scalar, and the last of the others (all pictures of a long run would fill
the memory)."""


@dataclass(frozen=True)
class Scalar:
    """A scalar over the steps of training.

    Attributes:
        steps: Of the optimizer, ascending.
        values: One for each step.
    """

    steps: list[int]
    values: list[float]


@dataclass(frozen=True)
class Media:
    """A picture or a sound.

    Attributes:
        step: Of the optimizer.
        content: Bytes of a PNG or wav file.
    """

    step: int
    content: bytes


@dataclass
class Events:
    """The events of a run, by tag.

    Attributes:
        scalars: All scalars.
        images: The last picture of each tag.
        sounds: The last sound of each tag.
        begun: Time of the first event in seconds since 1970; None without events.
        trained: Seconds from the first logged training step to the last, summed over starts; None if nothing was
            logged.
    """

    scalars: dict[str, Scalar] = field(default_factory=dict)
    images: dict[str, Media] = field(default_factory=dict)
    sounds: dict[str, Media] = field(default_factory=dict)
    begun: float | None = None
    trained: float | None = None


def read_events(files: Sequence[Path]) -> Events:
    """Read the event files of a run.

    Of a run that was resumed from an earlier step, scalars that were logged after that step by the interrupted run are
    left out. A truncated file is read up to its last complete event.

    Args:
        files: The oldest first.
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
            found.images[tag] = Media(image.step, image.encoded_image_string)
        for tag in tags["audio"]:
            sound = accumulator.Audio(tag)[-1]
            found.sounds[tag] = Media(sound.step, sound.encoded_audio_string)
    return found


def _resumed(before: Scalar, points: Iterable[tuple[int, float]]) -> Scalar:
    later = sorted(points)
    kept = sum(step < later[0][0] for step in before.steps) if later else len(before.steps)
    steps, values = [step for step, _ in later], [value for _, value in later]
    return Scalar(before.steps[:kept] + steps, before.values[:kept] + values)
