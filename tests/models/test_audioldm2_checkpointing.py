from __future__ import annotations

import pytest
import torch
from audioldm2_tiny import LOA, TEXT, tiny_unet

from eeg2speech.models.audioldm2.unet import choose_trainable, enable_gradient_checkpointing

LAYOUTS = pytest.mark.parametrize("layout", ["speech", "general"])


def seeded(layout):
    torch.manual_seed(0)
    return tiny_unet(layout)


def run(unet, layout):
    draw = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 8, 8, 16, generator=draw)
    streams = {"encoder_hidden_states": torch.randn(2, 6, LOA, generator=draw, requires_grad=True)}
    if layout == "general":
        streams["encoder_hidden_states_1"] = torch.randn(2, 3, TEXT, generator=draw)
    out = unet(latents, torch.tensor([3, 800]), **streams).sample
    out.square().mean().backward()
    return out.detach(), streams["encoder_hidden_states"].grad, {n: p.grad for n, p in unet.named_parameters()}


@LAYOUTS
@pytest.mark.parametrize("trainable", ["all", "lora"])
def test_outputs_and_gradients_are_the_same(layout, trainable):
    results = []
    for checkpointed in (False, True):
        unet = seeded(layout)
        choose_trainable(unet, trainable, rank=2)
        if checkpointed:
            enable_gradient_checkpointing(unet)
        results.append(run(unet, layout))
    (out, context, weights), (out_again, context_again, weights_again) = results
    torch.testing.assert_close(out_again, out, rtol=0, atol=1e-6)
    torch.testing.assert_close(context_again, context, rtol=1e-4, atol=1e-8)
    for name, grad in weights.items():
        if grad is None:
            assert weights_again[name] is None
        else:
            torch.testing.assert_close(weights_again[name], grad, rtol=1e-4, atol=1e-7)


def test_fewer_activations_are_kept():
    kept = []
    for checkpointed in (False, True):
        unet, sizes = seeded("speech"), {}
        if checkpointed:
            enable_gradient_checkpointing(unet)
        own = {parameter.untyped_storage().data_ptr() for parameter in unet.parameters()}

        def keep(tensor, sizes=sizes, own=own):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        streams = {"encoder_hidden_states": torch.randn(2, 6, LOA)}
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = unet(torch.randn(2, 8, 8, 16), torch.tensor([3, 800]), **streams).sample
        kept.append(sum(sizes.values()))
        del out
    assert kept[1] < 0.6 * kept[0]
