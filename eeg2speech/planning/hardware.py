"""Assumptions about GPUs and networks: data sheets, and the fraction of their figures that training reaches."""

from __future__ import annotations

from dataclasses import dataclass

TERA, GIGA = 1e12, 1e9


@dataclass(frozen=True)
class GPU:
    """A model of GPU, by its data sheet: dense arithmetic, no sparsity.

    Attributes:
        name: Name of the product.
        single: FLOP/s in float32 without TF32, which Lightning leaves off.
        half: FLOP/s of matrix products in bfloat16 or float16.
        memory: Bytes of memory.
        bandwidth: Bandwidth of the memory, bytes/s.
        link: Bandwidth to the other GPUs of its node, bytes/s in one direction.
    """

    name: str
    single: float
    half: float
    memory: float
    bandwidth: float
    link: float


GPUS = {
    "h100": GPU("NVIDIA H100 SXM 80 GB", 67 * TERA, 989 * TERA, 80 * GIGA, 3350 * GIGA, 450 * GIGA),
    "a100": GPU("NVIDIA A100 SXM 80 GB", 19.5 * TERA, 312 * TERA, 80 * GIGA, 2039 * GIGA, 300 * GIGA),
    "v100": GPU("NVIDIA V100 SXM2 32 GB", 15.7 * TERA, 125 * TERA, 32 * GIGA, 900 * GIGA, 150 * GIGA),
    "rtx4090": GPU("NVIDIA RTX 4090 24 GB (PCIe 4)", 82.6 * TERA, 165 * TERA, 24 * GIGA, 1008 * GIGA, 25 * GIGA),
}


@dataclass(frozen=True)
class Assumptions:
    """Assumptions of an estimate besides the counts.

    Attributes:
        gpu: Model of GPU.
        mfu: Model FLOP utilisation: fraction of the peak FLOP/s that training reaches.
        memory_share: Fraction of the memory bandwidth that it reaches.
        launch: Shortest time of an operation, seconds.
        link: Bandwidth between GPUs of a node, bytes/s in one direction; None for the GPU's own.
        network: Bandwidth between nodes, bytes/s for each GPU.
        per_node: GPUs per node.
        latency: Seconds per hop of the ring in which gradients are summed.
        context: Bytes that CUDA, its libraries and NCCL occupy.
    """

    gpu: GPU = GPUS["h100"]
    mfu: float = 0.4
    memory_share: float = 0.7
    launch: float = 1e-5
    link: float | None = None
    network: float = 25 * GIGA
    per_node: int = 8
    latency: float = 1e-5
    context: float = 1 * GIGA

    def described(self, precision: str) -> list[str]:
        """The assumptions in words, for a training precision as Lightning names it."""
        gpu, peak = self.gpu, self.peak(precision)
        link = gpu.link if self.link is None else self.link
        return [
            f"{gpu.name}: {peak / TERA:g} TFLOP/s at precision={precision}, of which {self.mfu:.0%} are reached; "
            f"{gpu.bandwidth / GIGA:g} GB/s of memory, of which {self.memory_share:.0%} are reached",
            f"an operation takes {self.launch * 1e6:g} µs or more; attention and mixed precision as on a CPU; no "
            "torch.compile",
            f"gradients are summed in a ring: {link / GIGA:g} GB/s in a node of {self.per_node}, "
            f"{self.network / GIGA:g} GB/s for each GPU between nodes, {self.latency * 1e6:g} µs per hop; two thirds "
            "of the step hide it behind the backward pass",
            f"{self.context / GIGA:g} GB for CUDA and NCCL; memory fragmentation, data loading, validation and "
            "checkpoints are not counted",
        ]

    def peak(self, precision: str) -> float:
        """FLOP/s on the data sheet at a training precision as Lightning names it."""
        return self.gpu.half if "16" in precision else self.gpu.single
