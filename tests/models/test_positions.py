from __future__ import annotations

import math

import pytest
import torch
from networks import make_batch

from eeg2speech.models.eeg.positions import HEAD_CENTRE, DistanceBias, ElectrodeCode, SinCosCode, patch_places, sincos

WIDTH = 64


def on_head(*directions):
    """Electrodes in these directions from the head's centre, 9 cm away, (1, C, 3)."""
    return 0.09 * torch.nn.functional.normalize(torch.tensor([directions]), dim=-1) + torch.tensor(HEAD_CENTRE)


def similarity(a, b):
    return torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()


def test_sines_and_cosines_equal_those_by_hand():
    codes = sincos(torch.tensor([0.0, 1.0, 7.5]), 6, period=100.0)
    for row, place in enumerate((0.0, 1.0, 7.5)):
        rates = [100.0 ** (-2 * k / 6) for k in range(3)]
        expected = [math.sin(place * r) for r in rates] + [math.cos(place * r) for r in rates]
        assert codes[row].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("code", [SinCosCode, ElectrodeCode])
def test_every_patch_has_a_code_of_its_own(code):
    _, positions = make_batch(1, 12, 1)
    codes = code(WIDTH, (4, 16))(positions, None, 3, 64).flatten(1, 2)[0]
    distance = torch.cdist(codes, codes) + 10 * torch.eye(len(codes))
    assert codes.shape == (3 * 64, WIDTH)
    assert distance.min() > 1e-2


def test_the_image_code_is_one_axis_after_the_other():
    codes = SinCosCode(8, (4, 16))(None, None, 3, 5)
    assert codes.shape == (1, 3, 5, 8)
    for group in range(3):
        assert (codes[0, group, :, :4] == sincos(torch.tensor([float(group)]), 4)).all()
    for step in range(5):
        assert (codes[0, :, step, 4:] == sincos(torch.tensor([float(step)]), 4)).all()


def test_near_electrodes_have_similar_codes():
    code = ElectrodeCode(WIDTH, (1, 16))
    places = on_head((0.0, 0.0, 1.0), (0.1, 0.0, 1.0), (0.5, 0.0, 1.0), (0.0, 1.0, -0.3))
    codes = code(places, None, 4, 1)[0, :, 0]
    near, middle, far = (similarity(codes[0], other) for other in codes[1:])
    assert near > 0.95
    assert near > middle > far


def test_only_the_direction_from_the_centre_counts():
    code, centre = ElectrodeCode(WIDTH, (1, 16)), torch.tensor(HEAD_CENTRE)
    near = on_head((0.3, -0.2, 0.8), (-0.5, 0.1, 0.2))
    far = centre + 1.3 * (near - centre)
    torch.testing.assert_close(code(near, None, 2, 3), code(far, None, 2, 3), atol=1e-5, rtol=1e-4)


def test_a_code_of_a_montage_serves_its_electrodes_in_any_order():
    code = ElectrodeCode(WIDTH, (1, 16))
    _, positions = make_batch(1, 6, 1)
    shuffle = [3, 0, 5, 1, 4, 2]
    assert torch.equal(code(positions[:, shuffle], None, 6, 2), code(positions, None, 6, 2)[:, shuffle])


def test_channels_that_do_not_exist_add_nothing():
    code = ElectrodeCode(WIDTH, (4, 16))
    _, positions = make_batch(1, 6, 1)
    exists = torch.tensor([[True, True, True, True, True, True, False, False]])
    filled = torch.cat([positions, torch.full((1, 2, 3), float("nan"))], dim=1)
    assert torch.equal(code(filled, exists, 2, 3), code(positions, None, 2, 3))


def test_all_instances_share_their_frequencies_whatever_the_seed():
    torch.manual_seed(1)
    first = ElectrodeCode(WIDTH, (4, 16))
    torch.manual_seed(2)
    assert torch.equal(ElectrodeCode(WIDTH, (4, 16)).fourier, first.fourier)
    assert "fourier" in first.state_dict()  # a later version may draw others


def test_a_patch_lies_where_its_electrodes_do():
    positions = on_head((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0))
    exists = torch.tensor([[True, True, True, False, True]])
    places = patch_places(positions, exists, (2, 16), 3)
    assert places.shape == (1, 9, 4)
    assert places[0, :, 3].tolist() == [0, 1, 2] * 3
    middles = torch.tensor([[0.5, 0, 0.5], [0, 1, 0], [-1, 0, 0]])  # of the electrodes that exist
    torch.testing.assert_close(places[0, ::3, :3], middles, atol=1e-5, rtol=0)
    assert torch.equal(places[0, 0:3, :3], places[0, :1, :3].expand(3, -1))
    assert patch_places(positions, None, (2, 16), 3).isfinite().all()


def test_distance_lowers_attention_as_each_head_has_it():
    heads = len(DistanceBias.HEAD_BIASES) + 2
    places = torch.randn(2, 5, 4)
    bias = DistanceBias(heads)(places[:, :3], places)
    assert bias.shape == (2, heads, 3, 5)
    for head in range(heads):
        ahead, per_step, per_radius = DistanceBias.HEAD_BIASES[head % len(DistanceBias.HEAD_BIASES)]
        for query in range(3):
            for key in range(5):
                late = float(places[1, key, 3] - places[1, query, 3]) - ahead
                apart = float((places[1, key, :3] - places[1, query, :3]).norm())
                expected = -(per_step * abs(late) + per_radius * apart)
                assert float(bias[1, head, query, key]) == pytest.approx(expected, abs=1e-5)
