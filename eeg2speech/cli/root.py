"""What `eeg2speech` says by itself: its commands, and what was probably meant by one that it does not have."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from eeg2speech.cli import STAGES, TOOLS
from eeg2speech.cli.suggestion import closest
from eeg2speech.cli.text import page, paragraph, rows

GROUPS = {
    "your data": ("prepare", "doctor"),
    "a stage": ("plan", *STAGES),
    "what came of it": ("report", "generate", "resynthesise", "export"),
    "more": ("sweep", "completion"),
}
STATUS = {
    0: "done",
    1: "a problem that the last line explains",
    2: "a mistake on the command line",
    75: "pre-empted and saved; the same line again goes on",
    130: "interrupted",
}
"""What an exit status means."""
MARGIN = 16


def answer(argv: Sequence[str]) -> int:
    """Answer a command line that names no command that is known.

    Args:
        argv: Words after ``eeg2speech``.

    Returns:
        Exit status.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(help_text(), end="")
        return 0
    if argv[0] == "--version":
        from eeg2speech import __version__

        print(f"eeg2speech {__version__}")
        return 0
    if argv[0] == "--configs":
        from eeg2speech.core.config_files import config_folder

        print(config_folder())
        return 0
    kind = "unknown option" if argv[0].startswith("-") else "unknown command"
    near = closest(argv[0], [*STAGES, *TOOLS, "--help", "--version", "--configs"])
    hint = f"did you mean {near}?" if near else f"choose from {', '.join([*STAGES, *TOOLS])}"
    print(f"usage: eeg2speech COMMAND ...\nerror: {kind} {argv[0]!r}; {hint} (eeg2speech --help)", file=sys.stderr)
    return 2


def help_text() -> str:
    """The help, as wide as the terminal, but no wider than can be read."""
    texts = STAGES | {name: text for name, (_, text) in TOOLS.items()}
    lines = [
        "usage: eeg2speech COMMAND ...",
        "",
        *paragraph("Decode speech from EEG: masked autoencoding, EEG-speech alignment, diffusion."),
    ]
    for title, names in GROUPS.items():
        lines += ["", f"{title}:", *rows(((name, texts[name]) for name in names), MARGIN)]
    lines += ["", "exit status:", *rows(((str(code), text) for code, text in STATUS.items()), MARGIN)]
    lines += [
        "",
        "examples:",
        "  eeg2speech fit --config maeeg",
        "  eeg2speech test --config maeeg --ckpt_path best",
        "",
        *paragraph(
            "`eeg2speech COMMAND --help` says more of each; `eeg2speech --version` the version; "
            "`eeg2speech --configs` the folder of the configurations."
        ),
    ]
    return page(lines)
