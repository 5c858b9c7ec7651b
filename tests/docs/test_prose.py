"""Words of earlier versions, metaphors and personification stay out of the README, the pages and the help texts.

Old names of configuration keys, options and classes are allowed in the changelog, which says what they became.
"""

from __future__ import annotations

import re

import pytest

from eeg2speech.cli import STAGES, TOOLS, main
from tests.docs.blocks import PAGES

AVOIDED = {
    r"arms?": "variants",
    r"strangers?": "unseen subjects",
    r"thaw\w*": "encoder_freeze_fraction",
    r"dealt|deals? out": "distributed, randomly assigned",
    r"speaks?|speaker": "generates, generator",
    r"knows?|knew|knowing": "contains, is trained on; chance",
    r"hears": "embeds; uses",
    r"tells?|told": "states; predicted",
    r"shall": "must, or the present tense",
    r"gazes?": "attention biases",
    r"in (?:the|its) place of": "instead of",
    r"(?:cannot|can not) know": "carries no information about",
    r"needs? it not|may be found|leaves? of it|that which": "subject, verb, object",
    r"encoder_rate|data\.(?:story|pairs)|model\.(?:dropped|gamma|stranger|regression|rows)": "the new key",
    r"--(?:share|what|parts)|sweep PLAN": "--mfu, --unit, --splits, sweep CONFIG",
    r"Aligned\.|load_speech|speak_\w+|Test(?:Alignment|Speech)|SoundCheckpoint": "the new name",
}  # fmt: skip
"""Regular expressions of words, and what takes their place."""
HELPS = [
    [],
    *([name] for name in (*STAGES, *TOOLS)),
    *(["prepare", name] for name in ("bids", "files", "demo", "feis")),
]


def avoided(text: str) -> list[str]:
    """Words of ``AVOIDED`` in a text, each with its surroundings."""
    found = re.finditer(rf"(?<![\w/])(?:{'|'.join(AVOIDED)})(?!\w)", text)
    return [text[max(0, match.start() - 30) : match.end() + 30].replace("\n", " ") for match in found]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "changelog.md"], ids=lambda page: page.name)
def test_pages_use_the_terms_of_the_field(page) -> None:
    assert avoided(page.read_text()) == []


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_help_texts_use_the_terms_of_the_field(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        raise SystemExit(main([*words, "--help"]))
    assert left.value.code == 0
    assert avoided(capsys.readouterr().out) == []


@pytest.mark.parametrize("text", ["the seven arms", "what cannot know it", "data.story 4", "it speaks for itself"])
def test_words_are_found_where_they_are(text: str) -> None:
    assert avoided(text)


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len(PAGES[0].read_text().splitlines()) < 200
