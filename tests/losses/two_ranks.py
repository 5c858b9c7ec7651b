"""Two processes with a loss each, as DDP runs them; imports little, as every process imports it anew."""

from __future__ import annotations

import torch
from torch import distributed as dist
from torch import multiprocessing, nn

from eeg2speech.losses.contrastive import InfoNCE, SigLIP
from eeg2speech.losses.pairs import gather_rows

LOSSES = {
    "infonce": InfoNCE,
    "infonce-chunked": lambda: InfoNCE(chunk=2),
    "siglip": SigLIP,
    "siglip-chunked": lambda: SigLIP(chunk=2),
}
KEYS = {"unique": None, "shared": torch.tensor([3, 1, 1, 0, 3, 2, 3, 1])}
ROWS = {"equal": (4, 4), "unequal": (5, 3), "one-empty": (8, 0)}
WIDTHS = (6, 5)
"""Features of the EEG and of the sound before they are embedded."""


class Model(nn.Module):
    """Two linear encoders and a loss, in double precision."""

    def __init__(self, loss):
        super().__init__()
        torch.manual_seed(0)
        self.eeg, self.sound, self.loss = *(nn.Linear(width, 4) for width in WIDTHS), LOSSES[loss]()
        self.double()

    def forward(self, eeg, sound, key):
        unit = [nn.functional.normalize(x, dim=-1) for x in (self.eeg(eeg), self.sound(sound))]
        return self.loss(*unit, key)


def data():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, width, generator=generator, dtype=torch.float64) for width in WIDTHS]


def step(model, eeg, sound, key):
    """Loss, and gradients by name."""
    loss = model(eeg, sound, key)
    loss.backward()
    return {"loss": loss.detach()} | {name.removeprefix("module."): p.grad for name, p in model.named_parameters()}


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    results = {}
    for loss in LOSSES:
        for key_name, key in KEYS.items():
            for rows_name, rows in ROWS.items():
                mine = [None if x is None else x.split(rows)[rank] for x in (*data(), key)]
                model = nn.parallel.DistributedDataParallel(Model(loss))
                result = step(model, *mine)
                dist.all_reduce(result["loss"])
                result["loss"] /= 2
                results[loss, key_name, rows_name] = result
    rows = torch.full((rank + 1, 2), float(rank), requires_grad=True)
    gathered = gather_rows(rows)
    (gathered * torch.arange(6.0).view(3, 2) * 10**rank).sum().backward()
    results["gather"] = {"gathered": gathered.detach(), "gradient": rows.grad}
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def run(folder):
    """What both ranks found."""
    multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]
