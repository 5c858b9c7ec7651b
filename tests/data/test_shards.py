from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eeg2speech.core.errors import ConfigError, DiskError
from eeg2speech.core.tables import read_table
from eeg2speech.data.preparation.prepare import prepare_sources
from eeg2speech.data.store.shards import Shard, sole_writer
from eeg2speech.data.store.store import Dropped, Store
from tests.data.made_sources import content, description, source


def sources(damage=""):
    return [source(f"sub-{n:02d}", n, {f"s{n % 2}": 300 + n % 2, "extra": 250}, damage * (n == 3)) for n in range(5)]


@given(st.integers(0, 40), st.integers(1, 50))
def test_shards_cover_everything_once(items, count):
    shares = [Shard(number, count).of(range(items)) for number in range(1, count + 1)]
    assert sorted(item for share in shares for item in share) == list(range(items))


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", ""])
def test_a_share_must_be_one_of_n(text):
    with pytest.raises(ConfigError, match="must be i/n"):
        Shard.parse(text)


def test_the_last_shard_finishes_a_store_like_that_of_one_run(tmp_path):
    waiting = []
    for number in (2, 3, 1):
        assert not (tmp_path / "store").exists()
        waiting.append(prepare_sources(sources(), tmp_path / "store", description(), shard=Shard(number, 3)).waiting)
    assert waiting == [3, 2, 0]
    prepare_sources(sources(), tmp_path / "whole", description())
    assert content(tmp_path / "store") == content(tmp_path / "whole")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["store", "whole"]


def test_a_recording_that_fails_does_not_hold_up_the_others(tmp_path):
    for number in (1, 2):
        summary = prepare_sources(sources("cut short"), tmp_path / "store", description(), shard=Shard(number, 2))
    assert summary.errors == ["sub-03.edf: cut short"]
    assert len(Store(tmp_path / "store").recordings) == 4
    (row,) = read_table(tmp_path / "store" / "dropped.tsv", Dropped)
    assert (row.recording, row.what, row.reason) == ("sub-03", "recording", "sub-03.edf: cut short")
    assert prepare_sources(sources(), tmp_path / "store", description(), shard=Shard(2, 2)).errors == []
    assert len(Store(tmp_path / "store").recordings) == 5
    assert read_table(tmp_path / "store" / "dropped.tsv", Dropped) == []


def shard(out: Path, number: int) -> None:
    prepare_sources(sources(), out, description(), shard=Shard(number, 3))


def test_shards_that_run_at_once_do_no_harm(tmp_path):
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=shard, args=(tmp_path / "store", number)) for number in (1, 2, 3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    prepare_sources(sources(), tmp_path / "whole", description())
    assert content(tmp_path / "store") == content(tmp_path / "whole")


def test_one_share_twice_or_the_whole_beside_is_refused(tmp_path):
    with sole_writer(tmp_path / "store", Shard(1, 2)):
        for other in (Shard(1, 2), Shard()):
            with pytest.raises(ConfigError, match="another run is preparing"), sole_writer(tmp_path / "store", other):
                pass
        with sole_writer(tmp_path / "store", Shard(2, 2)):
            pass
    with (
        sole_writer(tmp_path / "store", Shard()),
        pytest.raises(ConfigError, match="another run"),
        sole_writer(tmp_path / "store", Shard(1, 2)),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_not_in_use():
    with pytest.raises(DiskError, match="/proc/store: cannot be written"), sole_writer(Path("/proc/store"), Shard()):
        pass
