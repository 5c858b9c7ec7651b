"""The bootstrap stands with the metrics; its old place keeps working."""

from eeg2speech.metrics.bootstrap import Interval, Totals, bootstrap_interval

__all__ = ["Interval", "Totals", "bootstrap_interval"]
