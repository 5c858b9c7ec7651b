"""What a step of training costs, and what that means on so many GPUs: counted without computing anything."""

from eeg2speech.planning.estimate import Estimate, Run, estimate
from eeg2speech.planning.hardware import GPUS, Assumptions
from eeg2speech.planning.measure import Footprint, count_work
from eeg2speech.planning.stage import footprint

__all__ = ["GPUS", "Assumptions", "Estimate", "Footprint", "Run", "count_work", "estimate", "footprint"]
