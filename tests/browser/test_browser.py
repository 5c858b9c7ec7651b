"""That the browser notices what goes wrong on a page, and what is hidden in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.browser import Browser

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("console.error('broken', 7)", "broken 7"),
        ("nobody()", "nobody is not defined"),
        ("fetch('gone.json')", "gone.json"),
    ],
)
def test_errors_of_a_page_are_noticed(browser: Browser, tmp_path: Path, script: str, said: str):
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><p>here</p><script>{script}</script>")
    browser.open(page.as_uri())
    browser.until(lambda: bool(browser.text) and bool(browser.errors), "an error", patience=20)
    assert said in " ".join(browser.errors)
    page.write_text("<!doctype html><p>all is well</p>")
    browser.open(page.as_uri())
    assert browser.text.strip() == "all is well"
    assert browser.errors == []


def test_shadow_trees_and_frames_are_seen_and_damaged_pictures_told(browser: Browser, tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><iframe srcdoc='<b>framed</b>'></iframe><div id=host></div><img src='data:image/png,broken'>"
        "<script>host.attachShadow({mode: 'open'}).innerHTML = '<b>shadowed</b>'</script>"
    )
    browser.open(page.as_uri())
    browser.until(lambda: browser.count("b") == 2, "both")
    assert "framed" in browser.text
    assert "shadowed" in browser.text
    assert browser.count("img") == 1
    assert browser.count("img", "e.naturalWidth > 0") == 0
