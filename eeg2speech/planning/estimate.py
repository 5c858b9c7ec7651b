"""Estimates of memory and time on many GPUs, from the cost of a step on one device."""

from __future__ import annotations

from dataclasses import dataclass

from eeg2speech.planning.hardware import Assumptions

BACKWARD = 2 / 3
"""Fraction of a step that the backward pass takes, during which gradients are summed."""


@dataclass(frozen=True)
class Run:
    """Settings of a run that its cost depends on.

    Attributes:
        batch: Windows per device and forward pass.
        steps: Optimizer steps; None for a run without an end.
        accumulated: Batches per optimizer step.
        precision: As Lightning names it.
        averaged: A moving average of the trained weights is kept.
    """

    batch: int
    steps: int | None
    accumulated: int = 1
    precision: str = "32-true"
    averaged: bool = False


@dataclass
class Work:
    """Work of a computation.

    Attributes:
        flops: Floating-point operations of matrix products, convolutions and attention.
        traffic: Bytes read and written by all operations.
        operations: Number of operations.
        peak: Largest number of bytes held at once.
    """

    flops: int = 0
    traffic: int = 0
    operations: int = 0
    peak: int = 0


@dataclass(frozen=True)
class Footprint:
    """Cost of one batch on one device and of the optimizer step after it.

    Attributes:
        trained: Number of trained parameters.
        frozen: Number of other parameters.
        weights: Bytes of all parameters and buffers.
        gradients: Bytes of the gradients.
        optimizer: Bytes of the optimizer's state.
        working: Bytes that forward and backward pass need in addition: activations and temporary tensors.
        passes: Work of forward and backward pass.
        update: Work of the optimizer step.
    """

    trained: int
    frozen: int
    weights: int
    gradients: int
    optimizer: int
    working: int
    passes: Work
    update: Work


@dataclass(frozen=True)
class Estimate:
    """Memory and time on a number of GPUs.

    Attributes:
        gpus: Number of GPUs.
        memory: Bytes per GPU.
        fits: Whether this fits into the GPU's memory.
        memory_of: Parts of the memory: weights, gradients (with the buckets in which DDP sums them), optimizer, moving
            average, activations, and CUDA with its libraries.
        step: Seconds per optimizer step: the longest of arithmetic, memory traffic and launches, and the communication
            that the backward pass does not hide.
        time_of: Parts of the time: arithmetic, memory traffic, launches of operations, and communication.
        windows_per_s: Windows per second over all GPUs.
        hours: Hours of the run; None for a run without an end.
        gpu_hours: Hours of the run times GPUs.
    """

    gpus: int
    memory: float
    fits: bool
    memory_of: dict[str, float]
    step: float
    time_of: dict[str, float]
    windows_per_s: float
    hours: float | None
    gpu_hours: float | None


def estimate(cost: Footprint, run: Run, assumed: Assumptions, gpus: int) -> Estimate:
    """Estimate a run on a number of GPUs, with the same batch per GPU for any number.

    Args:
        cost: Cost of a step on one device.
        run: Settings of the run.
        assumed: Assumptions about the hardware.
        gpus: Number of GPUs.
    """
    memory = {
        "weights": cost.weights,
        "gradients": cost.gradients * (2 if gpus > 1 else 1),  # DDP's buckets are copies
        "optimizer": cost.optimizer,
        "moving average": cost.gradients if run.averaged else 0,
        "activations": cost.working,
        "CUDA": assumed.context,
    }
    passes, update, repeated = cost.passes, cost.update, run.accumulated
    bandwidth = assumed.gpu.bandwidth * assumed.memory_share
    time = {
        "arithmetic": (repeated * passes.flops + update.flops) / (assumed.peak(run.precision) * assumed.mfu),
        "memory traffic": (repeated * passes.traffic + update.traffic) / bandwidth,
        "launches": (repeated * passes.operations + update.operations) * assumed.launch,
    }
    busy, communication = max(time.values()), exchange(cost, assumed, gpus)
    step = busy + max(0.0, communication - BACKWARD * busy / run.accumulated)
    hours = None if run.steps is None else run.steps * step / 3600
    return Estimate(
        gpus=gpus,
        memory=sum(memory.values()),
        fits=sum(memory.values()) <= assumed.gpu.memory,
        memory_of=memory,
        step=step,
        time_of=time | {"communication": communication},
        windows_per_s=gpus * run.batch * run.accumulated / step,
        hours=hours,
        gpu_hours=None if hours is None else hours * gpus,
    )


def exchange(cost: Footprint, assumed: Assumptions, gpus: int) -> float:
    """Seconds to sum the gradients of an optimizer step over GPUs: a ring sends 2 (n - 1) / n times their size."""
    if gpus == 1:
        return 0.0
    inside = assumed.gpu.link if assumed.link is None else assumed.link
    bandwidth = inside if gpus <= assumed.per_node else min(inside, assumed.network)
    return 2 * (gpus - 1) / gpus * cost.gradients / bandwidth + 2 * (gpus - 1) * assumed.latency
