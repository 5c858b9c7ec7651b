"""Cost of a training step, and memory and time of a run on many GPUs, without computing anything.

Counting needs torch and is in ``planning.measure``; the rest does not.
"""

from eeg2speech.planning.estimate import Estimate, Footprint, Run, Work, estimate
from eeg2speech.planning.hardware import GPUS, Assumptions

__all__ = ["GPUS", "Assumptions", "Estimate", "Footprint", "Run", "Work", "estimate"]
