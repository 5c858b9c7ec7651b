"""From what a step costs on one device to memory and time on many."""

from __future__ import annotations

from dataclasses import dataclass

from eeg2speech.planning.hardware import Assumptions
from eeg2speech.planning.measure import Footprint

BACKWARD = 2 / 3
"""Share of a step that the backward pass takes, behind which gradients are summed."""


@dataclass(frozen=True)
class Run:
    """What of a run's settings counts.

    Attributes:
        batch: Windows per device and forward pass.
        steps: Optimizer steps; None where a run has no end.
        accumulated: Batches per optimizer step.
        precision: As Lightning names it.
        averaged: A moving average of the trained weights is kept.
    """

    batch: int
    steps: int | None
    accumulated: int = 1
    precision: str = "32-true"
    averaged: bool = False


@dataclass(frozen=True)
class Estimate:
    """Memory, bytes per GPU, and time, seconds per optimizer step.

    Attributes:
        gpus: How many.
        weights: Parameters and buffers.
        gradients: Of trained parameters, and the buckets in which they are summed.
        optimizer: Its state.
        average: Moving average of the trained weights.
        working: Activations and what is passing.
        memory: All of these, and what CUDA takes.
        fits: In the GPU's memory.
        arithmetic: Time that the FLOPs of a step take.
        traffic: Time that reading and writing take.
        launches: Time that launching operations takes.
        communication: Time that exchanging gradients takes.
        step: The longest of the first three, and what of the fourth is not hidden behind the backward pass.
        windows_per_s: Over all GPUs.
        hours: Of the run.
        gpu_hours: Of the run, over all GPUs.
    """

    gpus: int
    weights: float
    gradients: float
    optimizer: float
    average: float
    working: float
    memory: float
    fits: bool
    arithmetic: float
    traffic: float
    launches: float
    communication: float
    step: float
    windows_per_s: float
    hours: float | None
    gpu_hours: float | None


def estimate(cost: Footprint, run: Run, assumed: Assumptions, gpus: int) -> Estimate:
    """Estimate a run on some GPUs; the batch per GPU stays, so that more of them see more windows in a step.

    Args:
        cost: Of a step on one device.
        run: Its settings.
        assumed: About the hardware.
        gpus: How many.
    """
    gradients = cost.gradients * (2 if gpus > 1 else 1)  # DDP's buckets are copies
    average = cost.gradients if run.averaged else 0
    memory = cost.weights + gradients + cost.optimizer + average + cost.working + assumed.context
    arithmetic = (run.accumulated * cost.flops + cost.step_flops) / (assumed.peak(run.precision) * assumed.share)
    moved = run.accumulated * cost.traffic + cost.step_traffic
    traffic = moved / (assumed.gpu.bandwidth * assumed.memory_share)
    launches = (run.accumulated * cost.operations + cost.step_operations) * assumed.launch
    busy = max(arithmetic, traffic, launches)
    communication = exchange(cost, assumed, gpus)
    step = busy + max(0.0, communication - BACKWARD * busy / run.accumulated)
    hours = None if run.steps is None else run.steps * step / 3600
    return Estimate(
        gpus, cost.weights, gradients, cost.optimizer, average, cost.working, memory, memory <= assumed.gpu.memory,
        arithmetic, traffic, launches, communication, step, gpus * run.batch * run.accumulated / step,
        hours, None if hours is None else hours * gpus,
    )  # fmt: skip


def exchange(cost: Footprint, assumed: Assumptions, gpus: int) -> float:
    """Seconds that GPUs take to exchange what an optimizer step needs.

    A ring sends 2 (n - 1) / n times the gradients.
    """
    if gpus == 1:
        return 0.0
    inside = assumed.gpu.link if assumed.link is None else assumed.link
    bandwidth = inside if gpus <= assumed.per_node else min(inside, assumed.network)
    return 2 * (gpus - 1) / gpus * cost.gradients / bandwidth + 2 * (gpus - 1) * assumed.latency
