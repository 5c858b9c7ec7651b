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


@dataclass(frozen=True)
class Footprint:
    """Cost of one batch on one device and of the optimizer step after it. Bytes unless said otherwise.

    Attributes:
        trained: Number of trained parameters.
        frozen: Number of other parameters.
        weights: All parameters and buffers.
        gradients: Gradients of the trained parameters.
        optimizer: State of the optimizer.
        working: Largest additional memory of forward and backward pass: activations and temporary tensors.
        flops: Floating-point operations of matrix products, convolutions and attention in both passes.
        traffic: Bytes read and written by all operations of both passes.
        operations: Number of operations of both passes.
        step_flops: As ``flops``, in the optimizer's step.
        step_traffic: As ``traffic``, in the optimizer's step.
        step_operations: As ``operations``, in the optimizer's step.
    """

    trained: int
    frozen: int
    weights: int
    gradients: int
    optimizer: int
    working: int
    flops: int
    traffic: int
    operations: int
    step_flops: int
    step_traffic: int
    step_operations: int


@dataclass(frozen=True)
class Estimate:
    """Memory, bytes per GPU, and time, seconds per optimizer step.

    Attributes:
        gpus: Number of GPUs.
        weights: Parameters and buffers.
        gradients: Gradients of trained parameters, and the buckets in which DDP sums them.
        optimizer: State of the optimizer.
        average: Moving average of the trained weights.
        working: Activations and temporary tensors.
        memory: Sum of these, and of the memory that CUDA occupies.
        fits: Whether this fits into the GPU's memory.
        arithmetic: Time of the FLOPs of a step.
        traffic: Time of reading and writing memory.
        launches: Time of launching operations.
        communication: Time of exchanging gradients.
        step: Largest of the first three times, plus the communication that the backward pass does not hide.
        windows_per_s: Windows per second over all GPUs.
        hours: Hours of the run; None for a run without an end.
        gpu_hours: Hours of the run times GPUs.
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
    """Estimate a run on a number of GPUs, with the same batch per GPU for any number.

    Args:
        cost: Cost of a step on one device.
        run: Settings of the run.
        assumed: Assumptions about the hardware.
        gpus: Number of GPUs.
    """
    gradients = cost.gradients * (2 if gpus > 1 else 1)  # DDP's buckets are copies
    average = cost.gradients if run.averaged else 0
    memory = cost.weights + gradients + cost.optimizer + average + cost.working + assumed.context
    arithmetic = (run.accumulated * cost.flops + cost.step_flops) / (assumed.peak(run.precision) * assumed.mfu)
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
    """Seconds to sum the gradients of an optimizer step over GPUs: a ring sends 2 (n - 1) / n times their size."""
    if gpus == 1:
        return 0.0
    inside = assumed.gpu.link if assumed.link is None else assumed.link
    bandwidth = inside if gpus <= assumed.per_node else min(inside, assumed.network)
    return 2 * (gpus - 1) / gpus * cost.gradients / bandwidth + 2 * (gpus - 1) * assumed.latency
