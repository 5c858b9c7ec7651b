"""The HTML report: one page about runs."""

from eeg2speech.reporting.html.embed import LIMIT
from eeg2speech.reporting.html.page import WrittenPage, write_page
from eeg2speech.reporting.html.run import Run, read_run

__all__ = ["LIMIT", "Run", "WrittenPage", "read_run", "write_page"]
