"""Two processes that deal out small weights; imports little, as every process imports it anew."""

from __future__ import annotations

import torch
from torch import distributed as dist
from torch import multiprocessing, nn
from torch.distributed.device_mesh import init_device_mesh

from eeg2speech import sharded

SHAPES = {"even": (4, 3), "uneven": (5, 2, 2), "single": (1, 3), "vector": (7,)}


class Weights(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        for name, shape in SHAPES.items():
            self.register_parameter(name, nn.Parameter(torch.randn(shape, generator=generator)))

    def forward(self):
        return sum(value.square().sum() for value in self.parameters())

    def halved(self):
        return self.forward() / 2


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    module, results = Weights(), {}
    mesh = init_device_mesh("cpu", (2,))
    for _ in range(2):  # once is enough
        sharded.shard(module, mesh, methods=("halved",))
    results["rows"] = {name: len(sharded.rows_of(value)) for name, value in module.named_parameters()}
    sharded.BUCKET = 32  # so that it takes several
    results["whole"] = sharded.all_whole(module.state_dict())
    module.halved().backward()
    gradients = {name: value.grad for name, value in module.named_parameters()}
    results["gradients"] = {name: sharded.whole(value) for name, value in gradients.items()}
    results["again"] = sharded.all_whole(
        {name: sharded.dealt_like(2 * Weights().get_parameter(name).data, value) for name, value in gradients.items()}
    )
    with sharded.gathered(module), torch.no_grad():
        results["alone"] = [module.halved() for _ in range(2 + rank)][-1]  # not equally often
        module.eval()()
    results["rows after"] = {name: len(sharded.rows_of(value)) for name, value in module.named_parameters()}
    torch.save({k: v for k, v in results.items() if rank == 0 or k not in ("whole", "again")}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def run(folder):
    """What both ranks found."""
    multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]
