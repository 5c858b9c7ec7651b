from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.strategies.strategy import Strategy
from torch import Tensor
from torch.optim import Optimizer

from eeg2speech.sharded import all_whole, dealt_like


class FSDP2Strategy(ModelParallelStrategy):
    """Weights, gradients and optimizer dealt out to all devices of the run; see ``Task.configure_model`` for which.

    Lightning's strategy with one dimension, and with checkpoints that are those of any other run: one file with whole
    weights, and an optimizer whose weights are numbered in its own order, where Lightning's numbers those of the model.
    Such a run goes on on one device, and one of one device goes on dealt out. In loading, every process reads the
    whole file into the memory of its machine.

    Reference: Zhao et al. 2023, PyTorch FSDP (arXiv 2304.11277).
    """

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """Weights are dealt out before they are loaded, so that hooks come in the order that they have elsewhere."""
        return False

    @property
    def lightning_restore_optimizer(self) -> bool:
        """As elsewhere."""
        return True

    def setup_environment(self) -> None:
        """Deal out to all processes; Lightning's own choice is to copy within a node."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Whole weights, on the first process only; all have to ask for them."""
        assert self.lightning_module is not None
        state = all_whole(self.lightning_module.state_dict())
        return state if self.is_global_zero else {}

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Give every process its rows."""
        assert self.lightning_module is not None
        here = self.lightning_module.state_dict()
        given = {name: dealt_like(value, here.get(name)) for name, value in checkpoint["state_dict"].items()}
        self.lightning_module.load_state_dict(given, strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Whole state, on the first process only; all have to ask for it."""
        content = getattr(optimizer, "_optimizer", optimizer).state_dict()
        tensors = {
            (number, name): value
            for number, of_one in content["state"].items()
            for name, value in of_one.items()
            if isinstance(value, Tensor)
        }
        kept = all_whole(tensors)
        state = {
            number: {name: kept.get((number, name), value) for name, value in of_one.items()}
            for number, of_one in content["state"].items()
        }
        return {**content, "state": state} if self.is_global_zero else {}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Give every process its rows."""
        for optimizer, content in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            state = {
                number: {
                    name: dealt_like(value, weights[number]) if isinstance(value, Tensor) else value
                    for name, value in of_one.items()
                }
                for number, of_one in content["state"].items()
            }
            optimizer.load_state_dict({**content, "state": state})

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Read the file on every process."""
        return Strategy.load_checkpoint(self, self.broadcast(checkpoint_path), weights_only)
