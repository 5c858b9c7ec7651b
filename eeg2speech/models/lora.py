"""Low-rank adapters: small trained matrices beside frozen weights.

Reference: Hu et al. 2021, LoRA (arXiv 2106.09685).
"""

from __future__ import annotations

from torch import nn

from eeg2speech.core.errors import ConfigError


def add_adapters(network: nn.Module, layers: str, rank: int) -> None:
    """Add adapters to the linear layers whose full names match a regular expression, in place; only they are trained.

    Args:
        network: Its own weights are frozen.
        layers: Regular expression.
        rank: Of the adapters; their scale is 1.

    Raises:
        ConfigError: The rank is below 1, or peft is not installed.
    """
    if rank < 1:
        raise ConfigError(f"rank={rank} is below 1 (the rank of adapters)")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError(
            "trainable=lora needs the package peft; install it with `pip install 'eeg2speech[lora]'`"
        ) from error
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=layers), network)


def merge_adapters(network: nn.Module) -> None:
    """Add the adapters to the weights they adapt, in place, and remove them."""
    if not hasattr(network, "peft_config"):
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in [(n, m) for n, m in network.named_modules() if isinstance(m, BaseTunerLayer)]:
        layer.merge()
        network.set_submodule(name, layer.get_base_layer())
    del network.peft_config
