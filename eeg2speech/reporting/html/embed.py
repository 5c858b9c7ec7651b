"""Pictures and sounds embedded in the page as ``data:`` addresses, within a limit of bytes."""

from __future__ import annotations

import base64
import io
import struct

from eeg2speech.plotting import Figure
from eeg2speech.reporting.html.views import Picture

LIMIT = 15_000_000
"""Bytes of a page that phones open and mail servers accept."""
DPI = 150
_PNG = b"\x89PNG\r\n\x1a\n"


class Budget:
    """Counts the bytes that the page may still hold; content beyond them is left out and listed.

    Args:
        limit: Bytes, after base64 encoding.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = self.left = limit
        self.refused: list[str] = []

    def uri(self, content: bytes, kind: str, name: str) -> str | None:
        """Encode a file as a ``data:`` address; None if it does not fit.

        Args:
            content: Bytes of the file.
            kind: MIME type.
            name: Entry in the list of content that was left out.
        """
        text = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
        if len(text) > self.left:
            self.refused.append(name)
            return None
        self.left -= len(text)
        return text

    def share(self, parts: int) -> Budget:
        """Split off the share of one of the remaining parts, so that the first parts leave room for the last."""
        return Budget(self.left // parts)

    def spend(self, share: Budget) -> None:
        """Subtract what a part used of its share."""
        self.left -= share.limit - share.left
        self.refused += share.refused


def embed_png(content: bytes, alt: str, caption: str, budget: Budget) -> Picture | None:
    """Embed a PNG file; None if it is not a PNG or does not fit."""
    if not content.startswith(_PNG) or len(content) < 24:
        budget.refused.append(f"{caption} (not a PNG)")
        return None
    width, height = struct.unpack(">II", content[16:24])
    uri = budget.uri(content, "image/png", caption)
    return None if uri is None else Picture(uri, alt, caption, width, height)


def embed_figure(figure: Figure, alt: str, caption: str, budget: Budget) -> Picture | None:
    """Embed a matplotlib figure; None if it does not fit."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return embed_png(stream.getvalue(), alt, caption, budget)
