"""Pictures and sounds that lie in the page itself."""

from __future__ import annotations

import base64
import io
import struct

from eeg2speech.plotting import Figure
from eeg2speech.reporting.html.views import Picture

LIMIT = 15_000_000
"""Bytes of a page that a phone and a mail still take."""
DPI = 150
_PNG = b"\x89PNG\r\n\x1a\n"


class Budget:
    """How many bytes the page may still hold; what is beyond them is left out and counted.

    Args:
        limit: In bytes, as they stand in the page.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = self.left = limit
        self.refused: list[str] = []

    def uri(self, content: bytes, kind: str, name: str) -> str | None:
        """A ``data:`` address of a file, or None where there is no room for it.

        Args:
            content: Of the file.
            kind: MIME type.
            name: To say what was left out.
        """
        text = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
        if len(text) > self.left:
            self.refused.append(name)
            return None
        self.left -= len(text)
        return text

    def share(self, parts: int) -> Budget:
        """A budget of its own for one of so many parts that are still to come, so that the last is not left empty."""
        return Budget(self.left // parts)

    def spend(self, share: Budget) -> None:
        """Take off what a part has used of its share."""
        self.left -= share.limit - share.left
        self.refused += share.refused


def embed_png(content: bytes, alt: str, caption: str, budget: Budget) -> Picture | None:
    """A PNG file as a picture of the page; None where it is no PNG or there is no room."""
    if not content.startswith(_PNG) or len(content) < 24:
        budget.refused.append(f"{caption} (not a PNG)")
        return None
    width, height = struct.unpack(">II", content[16:24])
    uri = budget.uri(content, "image/png", caption)
    return None if uri is None else Picture(uri, alt, caption, width, height)


def embed_figure(figure: Figure, alt: str, caption: str, budget: Budget) -> Picture | None:
    """A figure that was just drawn."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return embed_png(stream.getvalue(), alt, caption, budget)
