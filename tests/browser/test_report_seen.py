"""The page of `eeg2speech report` in a browser: from disk, on a desk and on a phone."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from eeg2speech.cli import main
from tests.browser.browser import Browser

pytestmark = pytest.mark.browser
WIDTHS = (1280, 390)
"""Of a desk's window and of a phone, in CSS pixels."""


@pytest.fixture(scope="module")
def page(runs: Path) -> str:
    """Address of the page about all stages."""
    assert main(["report", *(str(runs / stage) for stage in ("maeeg", "alignment", "diffusion"))]) == 0
    (file,) = runs.glob("*.html")
    return file.resolve().as_uri()


@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_from_disk_whole_and_fits_the_window(browser: Browser, page: str, width: int):
    browser.open(page, width)
    browser.run("document.querySelectorAll('details').forEach(e => { e.open = true })")
    browser.run("document.querySelectorAll('img').forEach(e => { e.loading = 'eager' })")
    browser.run("document.querySelectorAll('audio').forEach(e => { e.preload = 'metadata'; e.load() })")
    pictures, players = browser.count("img"), browser.count("audio")
    assert pictures > 5
    assert players > 5
    browser.until(lambda: browser.count("img", "e.complete && e.naturalWidth > 0") == pictures, "every picture")
    browser.until(lambda: browser.count("audio", "e.readyState >= 1 && e.duration > 0.5") == players, "every sound")
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"
    assert "simulated eeg" in browser.text.lower()
    assert browser.errors == []


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_that_keeps_anyone_from_reading_it(browser: Browser, page: str, width: int):
    pytest.importorskip("axe_core_python")
    browser.open(page, width)
    browser.run((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8") + "; true")
    found = browser.run("axe.run().then(r => JSON.stringify(r.violations.map(v => [v.id, v.nodes.map(n => n.html)])))")
    assert json.loads(found) == []
