from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.core.errors import ConfigError, DataError
from eeg2speech.data.events.events import Event
from eeg2speech.data.events.sound_rules import SoundRule, check_rules, ruled_cues

NAMES = {"subject": "01", "session": "", "run": "3", "stem": "sub-01_run-3", "folder": "sub-01/eeg"}
PATH = "sub-01/eeg/sub-01_run-3_eeg.edf"


def event(onset, name, duration=None, **columns):
    return Event(onset, duration, name, {"trial_type": name, **columns}, f"events.tsv: line {int(onset) + 2}")


def cues(tmp_path, *rules, events=()):
    check_rules(rules)
    return ruled_cues(rules, tmp_path, PATH, NAMES, events).cues


def test_a_rule_without_event_makes_the_recording_one_segment(tmp_path):
    (cue,) = cues(tmp_path, SoundRule(sound="stimuli/audio{run:0>2}.wav", onset=1.5, condition="overt"))
    assert (cue.onset, cue.duration, cue.offset, cue.condition) == (1.5, None, 0.0, "overt")
    assert cue.sound == tmp_path / "stimuli" / "audio03.wav"


def test_groups_columns_and_names_fill_templates_and_groups_win(tmp_path):
    rule = SoundRule(
        match=r"run-(?P<run>\d)_(?P<kind>eeg)?(?P<none>x)?",
        event=r"^play (?P<song>\w+)",
        sound="{folder}/../beh/{stem}_{kind}{none}_{song}.wav",
        offset="{wav_onset}",
        duration="{length}",
        label="{song}/{run}",
        text="{said}",
    )
    (cue,) = cues(tmp_path, rule, events=[event(2.0, "play a1", wav_onset="0.5", length="4", said="hej", run="9")])
    assert cue.sound == tmp_path / "sub-01" / "eeg" / ".." / "beh" / "sub-01_run-3_eeg_a1.wav"
    assert (cue.onset, cue.offset, cue.duration, cue.label, cue.text) == (2.0, 0.5, 4.0, "a1/3", "hej")
    assert cue.where == "events.tsv: line 4"


def test_the_first_rule_that_matches_wins_for_every_event_anew(tmp_path):
    rules = [
        SoundRule(match="run-4", event=".", label="other run"),
        SoundRule(event="^b", label="b"),
        SoundRule(event=".", label="any"),
        SoundRule(label="whole"),
    ]
    found = cues(tmp_path, *rules, events=[event(1, "a", 1.0), event(2, "b", 1.0), event(3, "c", 1.0)])
    assert [(cue.onset, cue.label) for cue in found] == [(1, "any"), (2, "b"), (3, "any")]
    assert [cue.label for cue in cues(tmp_path, *rules)] == ["whole"]


def test_events_keep_their_duration_unless_the_rule_has_one(tmp_path):
    events = [event(1, "a", 2.5), event(2, "b")]
    assert [cue.duration for cue in cues(tmp_path, SoundRule(event="."), events=events)] == [2.5, None]
    assert [cue.duration for cue in cues(tmp_path, SoundRule(event=".", duration=1), events=events)] == [1, 1]


def test_an_event_that_lacks_a_number_is_passed_over(tmp_path):
    events = [event(1, "a", wav_onset=""), event(2, "a", wav_onset="1")]
    assert [cue.onset for cue in cues(tmp_path, SoundRule(event="a", offset="{wav_onset}"), events=events)] == [2]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (SoundRule(match="("), r"sounds\[0\]\.match='\(': no regular expression"),
        (SoundRule(event="*"), r"sounds\[0\]\.event='\*': no regular expression"),
        (SoundRule(sound="{run.__class__}"), r"sounds\[0\]\.sound='\{run\.__class__\}': \{run\.__class__\} is no name"),
        (SoundRule(text="{run[0]}"), r"sounds\[0\]\.text=.*is no name"),
        (SoundRule(label="{run!r}"), r"sounds\[0\]\.label=.*is no name"),
        (SoundRule(label="{}"), r"sounds\[0\]\.label=.*is no name"),
        (SoundRule(label="{0}"), r"sounds\[0\]\.label=.*is no name"),
        (SoundRule(label="{run:>999999999}"), r"'>999999999' is no padding"),
        (SoundRule(label="{run:{run}}"), r"'\{run\}' is no padding"),
        (SoundRule(offset="{run"), r"sounds\[0\]\.offset='\{run': malformed"),
    ],
)
def test_rules_that_could_never_work_are_refused_at_once(rule, message):
    with pytest.raises(ConfigError, match=message):
        check_rules([rule])


def test_unknown_names_are_said_with_those_that_there_are(tmp_path):
    with pytest.raises(ConfigError, match=r"sounds\[1\]\.sound='a\{tune\}\.wav': there is no 'tune'; there are folder"):
        cues(tmp_path, SoundRule(match="nothing"), SoundRule(sound="a{tune}.wav"))


def test_bad_numbers_and_paths_that_lead_out_name_the_event(tmp_path):
    events = [event(0, "a", said="x", path="../../a.wav")]
    with pytest.raises(DataError, match=r"events\.tsv: line 2: sounds\[0\]\.offset='\{said\}' gives 'x'"):
        cues(tmp_path, SoundRule(event="a", offset="{said}"), events=events)
    with pytest.raises(DataError, match=r"events\.tsv: line 2: sounds\[0\]\.duration gives -1 s"):
        cues(tmp_path, SoundRule(event="a", duration=-1), events=events)
    with pytest.raises(DataError, match=r"events\.tsv: line 2: 'stimuli/../../a\.wav' leads out of|'stimuli/"):
        cues(tmp_path, SoundRule(event="a", sound="stimuli/{path}"), events=events)


@given(st.text(max_size=12), st.text(max_size=8))
def test_any_template_fills_in_or_is_refused(tmp_path_factory, template, cell):
    rule = SoundRule(event="a", label=template, text="{said}")
    try:
        (cue,) = ruled_cues([rule], tmp_path_factory.getbasetemp(), PATH, NAMES, [event(0, "a", said=cell)]).cues
    except ConfigError:
        return
    assert cue.text == cell
    if "{" not in template and "}" not in template:
        assert cue.label == template
