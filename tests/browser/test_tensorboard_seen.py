"""What a user sees in TensorBoard of a run of each stage: every tab has content, and the console no error."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.browser import PATIENCE, Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]  # the page of a report is the smoke test of `make test`
STAGES = {"maeeg", "alignment", "diffusion"}
LAST_WRITTEN = {("maeeg", "nmse"), ("alignment", "mrr"), ("diffusion", "identification")}
_STRAIGHT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def board(runs: Path) -> Iterator[str]:
    """Address of a TensorBoard that has read all runs."""
    log = runs.parent / "tensorboard.log"
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs), "--host", "127.0.0.1", "--port", "0"]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as server:
        try:
            address = _wait(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()), log)[0]
            _wait(lambda: all(_has(address, run, f"test/judged/{name}") for run, name in LAST_WRITTEN), log)
            yield address
        finally:
            server.terminate()


def _wait(found, log: Path):
    end = time.monotonic() + PATIENCE
    while not (result := found()):
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
    return result


def _ask(address: str, path: str, **query: str):
    return json.loads(_STRAIGHT.open(f"{address}/data/{path}?{urllib.parse.urlencode(query)}", timeout=60).read())


def _has(address: str, run: str, tag: str) -> bool:
    return tag in _ask(address, "plugin/scalars/tags").get(run, {})


def see(browser: Browser, board: str, tab: str, shown: Callable[[], bool], query: str = "") -> None:
    """Open a tab, wait for its content, and look whether anything went wrong."""
    browser.open(f"{board}/{query}#{tab}")
    browser.until(shown, f"content of {tab}")
    assert browser.errors == []


def test_time_series_draws_every_run(browser: Browser, board: str):
    def shown():
        return all(run in browser.text for run in STAGES) and bool(browser.count("canvas", "e.width > 0"))

    see(browser, board, "timeseries", shown, "?tagFilter=train%2Floss")


def test_scalars_are_charts(browser: Browser, board: str):
    see(browser, board, "scalars", lambda: "tag: lr/pg1" in browser.text and bool(browser.count("svg .line, svg path")))


def test_custom_scalars_begin_with_what_matters_and_have_curves(browser: Browser, board: str):
    charts = re.compile(r"Matches \((\d+)\)")

    def shown():
        found = [int(count) for count in charts.findall(browser.text)]
        return len(found) == 13 and all(found)

    see(browser, board, "custom_scalars", shown)
    text = browser.text
    for title in ("Stage 1: reconstruction", "Stage 2: retrieval", "Stage 3: speech from EEG", "All stages: training"):
        assert text.count(title) == 1
    assert text.index("Stage 2: retrieval") < text.index("Mean reciprocal rank, and chance")
    for tag in ("val/nmse", "val/baselines/ridge", "val/top10/chance", "val/mel_corr/noise", "train/skipped"):
        assert tag in text


def test_images_are_drawn(browser: Browser, board: str):
    see(browser, board, "images", lambda: browser.count("img", "e.naturalWidth > 100") > 5)


def test_clips_of_a_test_can_be_played(browser: Browser, board: str):
    def shown():
        return browser.count("audio", "e.readyState >= 1 && e.duration > 0.5") > 5

    see(browser, board, "audio", shown)
    assert "test/unseen_stimulus/SIMULATED_EEG_speech_" in browser.text
    assert browser.count("audio", "e.error") == 0


def test_text_begins_with_the_verdict_and_says_simulated(browser: Browser, board: str):
    wanted = ("1 verdict", "2 results", "3 environment", "unseen stimuli: NOT ALIGNED", "NMSE on hidden patches")
    see(browser, board, "text", lambda: all(words in browser.text for words in wanted))
    assert browser.text.index("SIMULATED EEG") < browser.text.index("NOT ALIGNED")
    assert browser.count("h1", "e.textContent === 'SIMULATED EEG'") >= len(STAGES)
    assert browser.count("table") >= len(STAGES)
    browser.click("button.heading", "e.textContent.includes('3 environment')")  # folded behind two others
    browser.until(lambda: browser.text.count("fingerprint of the store") == len(STAGES), "the environments")


def test_hparams_has_a_line_for_every_run_with_its_figures(browser: Browser, board: str):
    wanted = ("MAEEG", "Alignment", "Diffusion", "SIMULATED tiny", "verdict, 1 is yes", "test identification")
    see(browser, board, "hparams", lambda: all(words in browser.text for words in wanted))


def test_the_projector_loads_the_windows_of_a_test(browser: Browser, board: str):
    def shown():
        points = re.search(r"Points: (\d+)", browser.text)
        return points is not None and int(points[1]) > 10 and "unseen_" in browser.text

    see(browser, board, "projector", shown)
    names = {found["tensorName"] for found in _ask(board, "plugin/projector/info", run="alignment")["embeddings"]}
    assert names == {"unseen_stimulus", "unseen_subject", "unseen_both"}
