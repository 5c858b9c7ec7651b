"""Settings of readers that change what is in a store: another value is refused by its name."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from eeg2speech.cli import main
from eeg2speech.core.errors import ConfigError
from eeg2speech.data.events.sound_rules import SoundRule
from eeg2speech.data.readers import READERS
from eeg2speech.data.simulation.simulator import Simulation
from eeg2speech.data.store.store import Description, read_description
from eeg2speech.data.store.writer import StoreWriter, check_settings
from tests.data.readers.bids_files import volts, write_recording, write_sound

CHOICES = {"subjects", "sessions", "tasks", "runs"}
"""Which recordings are read; what is in each of them stays."""
OTHERS = {
    "onset": 0.5,
    "montage": "biosemi64",
    "datatype": "meg",
    "condition": "overt",
    "sounds": [SoundRule(sound="b.wav")],
    "pattern": "(?P<subject>.)$",
    "leave_out": ["Cz"],
    "unit": "V",
    "phases": ["speaking"],
    "cleaned": True,
    "parts": 3,
    "published": True,
    "sound": False,
    "tasks": ["listening"],
    "gain": 1e-6,
    "channel": "left",
}
SEEN_BY_INPUTS = {("broderick", "sounds"), ("kul", "sounds"), ("dtu", "sounds"), ("feis", "phases")}
"""Folders of other sounds, whose files are inputs, and phases, which are recordings of their own."""
CHANGES = [
    (name, field.name)
    for name, reader in READERS.items()
    for field in fields(reader)
    if field.name != "root" and (field.name not in CHOICES or (name, field.name) == ("eav", "tasks"))
    if (name, field.name) not in SEEN_BY_INPUTS
]


@pytest.mark.parametrize(("name", "option"), CHANGES)
def test_a_changed_option_of_a_reader_is_refused_by_its_name(tmp_path, name, option):
    reader = READERS[name](tmp_path)
    tmp_path.joinpath("dataset.json").write_text("{}")
    before, now = reader.description(), replace(reader, **{option: OTHERS[option]}).description()
    (tmp_path / "dataset.json").unlink()
    writer = StoreWriter(tmp_path / "store", before)
    with pytest.raises(ConfigError, match=rf"was prepared with reader\.{option}=.*, but this command sets "):
        check_settings(writer.root, now)
    assert check_settings(writer.root, before) == before
    with pytest.raises(ConfigError, match=rf"was prepared with reader\.{option}=.*, but this command sets "):
        check_settings(StoreWriter(tmp_path / "other", now).root, before)


@pytest.mark.parametrize("option", [field.name for field in fields(Simulation)])
def test_every_setting_of_the_simulation_is_recorded(option):
    assert option in Simulation().settings()


def test_a_setting_that_the_store_lacks_is_refused(tmp_path):
    about = Description("d", "", "", "", False, 100.0, settings={"reader": "files", "reader.onset": 0.0})
    root = StoreWriter(tmp_path / "store", about).root
    assert check_settings(root, about) == read_description(root)
    with pytest.raises(ConfigError, match=r"reader\.sounds=None, but this command sets \['b'\]"):
        check_settings(root, replace(about, settings=about.settings | {"reader.sounds": ["b"]}))


def test_the_command_refuses_other_rules(tmp_path, capsys, caplog):
    root = tmp_path / "raw"
    write_recording(root / "S1.edf", volts())
    write_sound(root / "a.wav", 3.0)
    rule = "[{sound: a.wav, onset: %s}]"
    command = ["prepare", "files", str(root), str(tmp_path / "store"), "--leave_out", "[EOG]"]
    assert main([*command, "--sounds", rule % 1]) == 0
    assert main([*command, "--sounds", rule % 2]) == 1
    assert "was prepared with reader.sounds=[{" in capsys.readouterr().err
    assert main([*command, "--sounds", rule % 1]) == 0
    write_sound(root / "a.wav", 2.0)  # a file that only the recording's annotations could have led to
    assert main([*command, "--sounds", rule % 1]) == 0
    assert "prepared again, as their input files have changed: S1 (a.wav has changed)" in caplog.text


@pytest.mark.parametrize("name", ["a.wav", "a.txt"])
def test_the_demo_refuses_other_sounds_and_texts(tmp_path, capsys, name):
    write_sound(tmp_path / "raw" / "a.wav", 3.0)
    (tmp_path / "raw" / "a.txt").write_text("she said")
    command = ["prepare", "demo", str(tmp_path / "raw"), str(tmp_path / "store"), "--simulation.subjects=1"]
    assert main(command) == 0
    assert main(command) == 0
    file: Path = tmp_path / "raw" / name
    write_sound(file, 2.0) if name == "a.wav" else file.write_text("he said")
    assert main(command) == 1
    assert "was prepared with simulation.speech=" in capsys.readouterr().err
