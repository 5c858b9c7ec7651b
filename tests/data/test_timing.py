from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.core.types import RawRecording, Segment
from eeg2speech.data.timing import PAUSE, UNRECORDED, Clock

RATE = 100.0


def recording(samples=1000, breaks=(), unrecorded=None, gaps=()):
    return RawRecording(np.zeros((1, samples)), RATE, [], [], list(breaks), unrecorded=unrecorded or {}, gaps=gaps)


def segment(onset, duration, stimulus="s", offset=0.0, **more):
    return Segment("r", onset, duration, stimulus, offset, "listening", **more)


def spans(segments):
    return [(s.onset, s.duration, s.offset) for s in segments]


def approx(spans):
    return [pytest.approx(span) for span in spans]


def test_segments_of_an_uninterrupted_recording_are_left_as_they_are():
    segments = [segment(0.0, 10.0), segment(1 / 3, 0.1, text="a"), segment(-1.0, 20.0), segment(4.0, 0.0)]
    assert Clock.of(recording()).recorded(segments, 1.0) == (segments, {PAUSE: 0.0, UNRECORDED: 0.0})


def test_a_sound_goes_on_after_a_pause_of_known_length():
    clock = Clock.of(recording(breaks=[300, 700], unrecorded={300: 5.0, 700: 0.5}))
    assert clock.seconds == 15.5
    assert [clock.at(time) for time in (2.99, 3.0, 6.99, 7.0, 10.0)] == pytest.approx([2.99, 8, 11.99, 12.5, 15.5])
    parts, lost = clock.recorded([segment(1.0, 12.5, offset=2.0, text="said")], 1.0)
    assert spans(parts) == approx([(1.0, 2.0, 2.0), (3.0, 4.0, 9.0), (7.0, 1.0, 13.5)])
    assert {part.text for part in parts} == {""}
    assert lost == pytest.approx({PAUSE: 0.0, UNRECORDED: 5.5})


def test_a_sound_that_began_in_a_pause_is_entered_late():
    clock = Clock.of(recording(breaks=[300], unrecorded={300: 5.0}))
    parts, lost = clock.recorded([segment(6.0, 4.0), segment(4.0, 3.0), segment(8.0, 2.0, text="b")], 1.0)
    assert spans(parts) == approx([(3.0, 2.0, 2.0), (3.0, 2.0, 0.0)])
    assert parts[1].text == "b"
    assert lost == pytest.approx({PAUSE: 0.0, UNRECORDED: 5.0})


def test_a_sound_ends_where_nobody_knows_how_much_is_missing():
    clock = Clock.of(recording(breaks=[300, 700]))
    assert clock.seconds == 10.0
    assert clock.at(8.0) == 8.0
    parts, lost = clock.recorded([segment(1.0, 7.0), segment(2.5, 2.0), segment(3.0, 4.0), segment(7.0, 3.0)], 1.0)
    assert spans(parts) == approx([(1.0, 2.0, 0.0), (3.0, 4.0, 0.0), (7.0, 3.0, 0.0)])
    assert lost == pytest.approx({PAUSE: 5.0 + 2.0, UNRECORDED: 0.0})


def test_what_is_not_presented_goes_on_after_any_pause():
    clock = Clock.of(recording(breaks=[300, 700]))
    parts, lost = clock.recorded([segment(0.0, 10.0, stimulus="")], 1.0)
    assert spans(parts) == approx([(0.0, 3.0, 0.0), (3.0, 4.0, 3.0), (7.0, 3.0, 7.0)])
    assert lost == {PAUSE: 0.0, UNRECORDED: 0.0}
    assert len(clock.recorded([segment(0.0, 10.0, stimulus="", label="pa")], 1.0)[0]) == 1


def test_nothing_lies_in_a_gap_but_time_goes_on_in_it():
    clock = Clock.of(recording(breaks=[300, 500], gaps=[(300, 500)]))
    parts, lost = clock.recorded([segment(1.0, 8.0), segment(3.5, 1.0), segment(0.0, 10.0, stimulus="")], 1.0)
    assert spans(parts) == approx([(1.0, 2.0, 0.0), (5.0, 4.0, 4.0), (0.0, 3.0, 0.0), (5.0, 5.0, 5.0)])
    assert lost == pytest.approx({PAUSE: 0.0, UNRECORDED: 3.0})


def test_time_is_known_unless_a_pause_of_unknown_length_lies_there():
    clock = Clock.of(recording(breaks=[300, 500, 600, 700], unrecorded={700: 5.0}, gaps=[(500, 600)]))
    pairs = [(1.0, 2.9), (2.0, 3.0), (3.0, 5.5), (4.0, 14.0), (14.0, 2.0), (3.0, 3.0)]
    assert [clock.follows(*pair) for pair in pairs] == [True, False, True, True, False, True]


@given(
    pieces=st.lists(st.tuples(st.integers(1, 400), st.one_of(st.none(), st.floats(0.1, 9))), min_size=1, max_size=5),
    onset=st.floats(0, 1),
    duration=st.floats(0.02, 15),
    offset=st.floats(0, 5),
)
def test_samples_of_a_part_belong_to_times_of_the_sound(pieces, onset, duration, offset):
    """Against a loop over samples that notes the time at which each was recorded."""
    breaks = np.cumsum([length for length, _ in pieces]).tolist()
    samples = breaks.pop()
    unrecorded = {at: lost for at, (_, lost) in zip(breaks, pieces[1:], strict=True) if lost is not None}
    clock = Clock.of(recording(samples, breaks, unrecorded))
    onset *= clock.seconds
    duration = min(duration, clock.seconds - onset)
    parts, _ = clock.recorded([segment(onset, duration, offset=offset)], 0.0)
    time, epoch, at, placed = [], 0, 0.0, []
    for sample in range(samples):
        if sample in breaks:
            at += unrecorded.get(sample, 0.0)
            epoch += sample not in unrecorded
        time.append(at)
        placed.append(epoch)
        at += 1 / RATE
    for part in parts:
        first, stop = part.onset * RATE, (part.onset + part.duration) * RATE
        inside = [n for n in range(samples) if first - 1e-6 <= n <= stop - 1 + 1e-6]
        assert not any(first + 0.51 < at < stop - 0.51 for at in breaks)
        for n in inside:
            assert n / RATE - part.onset + part.offset == pytest.approx(time[n] - onset + offset, abs=0.0051)
    assert len({placed[min(max(round(part.onset * RATE), 0), samples - 1)] for part in parts}) <= 1
