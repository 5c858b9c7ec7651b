"""One HTML page about runs, for people who were not there."""

from eeg2speech.reporting.html.embed import LIMIT
from eeg2speech.reporting.html.page import Written, write_page
from eeg2speech.reporting.html.run import Run, read_run

__all__ = ["LIMIT", "Run", "Written", "read_run", "write_page"]
