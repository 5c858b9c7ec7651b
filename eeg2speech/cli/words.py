"""Words of a command line, checked before they are parsed."""

from __future__ import annotations

from collections.abc import Sequence

from eeg2speech.core.errors import ConfigError
from eeg2speech.core.paths import expanded


def clean_words(argv: Sequence[str]) -> list[str]:
    """Words of a command line with the home folder in place of ``~``, which shells leave where it follows a ``=``.

    Raises:
        ConfigError: A word holds bytes that are not UTF-8, or the home folder of a user that is not known.
    """
    for word in argv:
        if any("\udc80" <= letter <= "\udcff" for letter in word):
            raise ConfigError(f"{word!a}: not UTF-8; rename it, or give a link that has another name")
    return [_at_home(word) for word in argv]


def _at_home(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{equals}{expanded(value)}" if value.startswith("~") else word
