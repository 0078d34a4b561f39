"""The networks' own promises, beyond the contracts: sizes, layouts, tied weights, where they start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from codeword import MLP, AutoEncoder, Conv, Residual, Sequence
from codeword.base.errors import ParameterError
from codeword.networks import Spec, Transposed, build_network, resolve_architecture


def spec(shape: tuple[int, ...], k: int = 3, bounded: bool = True, logits: bool = False) -> Spec:
    return Spec(shape, k, k, bounded, logits)


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (7, 9), (8, 8), (28, 28, 1), (5, 6, 3), (33, 17, 2)])
@pytest.mark.parametrize(
    "architecture", [Conv((3, 4, 5)), Residual((3,), blocks=2), Conv((2,), linear_skip=False)]
)
def test_images_of_any_size_and_channels(architecture, shape):
    network = build_network(architecture, spec(shape))
    x = torch.rand(2, spec(shape).d)
    codes = network.encoder(x)
    assert codes.shape == (2, 3)
    assert network.decoder(codes).shape == x.shape


@pytest.mark.parametrize("shape", [(1,), (50,), (31, 4)])
def test_signals_of_any_length_and_channels(shape):
    network = build_network(Sequence((3, 4)), spec(shape))
    x = torch.rand(2, spec(shape).d)
    assert network.decoder(network.encoder(x)).shape == x.shape


def test_convolutions_see_neighbors():
    """A shift of the image shifts what the first layer sees: no axis stands in the place of another."""
    network = build_network(Conv((4,), linear_skip=False), spec((8, 6, 3)))
    first = nn.Sequential(*list(network.encoder)[:2])
    image = torch.zeros(1, 8, 6, 3)
    image[0, 2, 2, 1] = 1
    moved = image.roll((2, 2), (1, 2))
    with torch.no_grad():
        a, b = (first(i.reshape(1, -1)) for i in (image, moved))
    torch.testing.assert_close(a.roll((1, 1), (2, 3))[..., 1:, 1:], b[..., 1:, 1:])


@pytest.mark.parametrize(
    ("architecture", "shape", "message"),
    [
        (Conv(), (12,), "Conv takes samples of shape .height, width."),
        (Residual(), (2, 3, 4, 5), "Residual takes samples"),
        (Sequence(), (2, 3, 4), "Sequence takes samples of shape .length, channels."),
        (Conv(()), (8, 8), "'channels' parameter of Conv"),
        (Residual(blocks=0), (8, 8), "'blocks' parameter of Residual"),
        (Conv(activation="step"), (8, 8), "'activation' parameter of Conv"),
        (MLP(norm="group"), (8,), "'norm' parameter of MLP"),
        (MLP(dropout=1.0), (8,), "'dropout' parameter of MLP"),
    ],
)
def test_what_does_not_fit_is_named(architecture, shape, message):
    with pytest.raises(ParameterError, match=message):
        build_network(architecture, spec(shape))


def test_auto_is_dense_layers_for_samples_of_any_shape():
    assert isinstance(resolve_architecture("auto"), MLP)
    for shape in ((5,), (28, 28), (32, 32, 3)):
        build_network("auto", spec(shape))


# -- where training begins ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "architecture",
    [MLP((9,)), MLP((9,), tied=True), MLP((9, 5), norm="layer"), Conv((3,)), Residual((3,))],
    ids=str,
)
def test_a_linear_skip_starts_as_pca(architecture):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 30)) + 0.1 * rng.normal(size=(200, 30))
    settings = {"scaling": "none", "learning_rate": 1e-12, "epochs": 1, "random_state": 0, "device": "cpu"}
    ae = AutoEncoder(3, network=architecture, validation_fraction=0.0, **settings).fit(x.reshape(200, 6, 5))
    pca = PCA(3).fit(x)
    expected = pca.inverse_transform(pca.transform(x))
    np.testing.assert_allclose(ae.reconstruct(x).reshape(200, 30), expected, atol=2e-3)


# -- dense layers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linear_skip", [True, False])
def test_tied_weights_are_the_same_weights(linear_skip):
    network = build_network(MLP((7, 5), tied=True, linear_skip=linear_skip), spec((12,)))
    encoder = [m for m in network.encoder.modules() if isinstance(m, nn.Linear)]
    decoder = [m for m in network.decoder.modules() if isinstance(m, Transposed)]
    assert len(encoder) == len(decoder) == 3 + linear_skip
    assert {id(m.weight) for m in encoder} == {id(m.weight) for m in decoder}
    untied = build_network(MLP((7, 5), linear_skip=linear_skip), spec((12,)))

    def size(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert size(network) < 0.6 * size(untied)


def test_a_single_row_is_normalized_by_what_was_seen():
    network = build_network(MLP((6,), norm="batch", linear_skip=False), spec((4,))).train()
    one = network.encoder(torch.rand(1, 4))
    assert torch.isfinite(one).all()
    network.encoder(torch.rand(10, 4))
    assert (network.encoder(torch.rand(1, 4)) - one).abs().sum() > 0


def test_dropout_is_for_training_alone():
    network = build_network(MLP((50,), dropout=0.5), spec((4,)))
    x = torch.rand(3, 4)
    assert not torch.equal(network.train().encoder(x), network.encoder(x))
    assert torch.equal(network.eval().encoder(x), network.encoder(x))


# -- pairs --------------------------------------------------------------------------------------------------


def channels_first_pair(end: list[nn.Module]) -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Flatten(), nn.Linear(2 * 4 * 5, 3))
    return encoder, nn.Sequential(nn.Linear(3, 60), *end)


def test_color_images_reach_modules_with_channels_first():
    encoder, decoder = channels_first_pair([nn.Unflatten(1, (3, 4, 5)), nn.Sigmoid()])
    network = build_network((encoder, decoder), spec((4, 5, 3)))
    image = torch.rand(2, 4, 5, 3)
    codes = network.encoder(image.reshape(2, -1))
    torch.testing.assert_close(codes, encoder(image.permute(0, 3, 1, 2)))
    back = network.decoder(codes).reshape(2, 4, 5, 3)
    torch.testing.assert_close(back, decoder(codes).permute(0, 2, 3, 1))


def test_a_decoder_that_gives_flat_rows_or_samples_is_left_alone():
    for end in ([], [nn.Unflatten(1, (4, 5, 3))]):
        pair = channels_first_pair(end)
        network = build_network(pair, spec((4, 5, 3)))
        codes = torch.rand(2, 3)
        torch.testing.assert_close(network.decoder(codes), pair[1](codes).flatten(1))


def test_where_both_layouts_have_one_shape_samples_go_as_they_are():
    encoder = nn.Sequential(nn.Conv2d(3, 1, 3), nn.Flatten(), nn.Linear(1, 3))
    decoder = nn.Sequential(nn.Linear(3, 27), nn.Unflatten(1, (3, 3, 3)))
    network = build_network((encoder, decoder), spec((3, 3, 3)))
    image, codes = torch.rand(2, 3, 3, 3), torch.rand(2, 3)
    torch.testing.assert_close(network.encoder(image.reshape(2, -1)), encoder(image))
    torch.testing.assert_close(network.decoder(codes), decoder(codes).flatten(1))


def test_a_signal_reaches_modules_with_channels_first():
    encoder = nn.Sequential(nn.Conv1d(2, 4, 3), nn.Flatten(), nn.Linear(4 * 7, 3))
    network = build_network((encoder, nn.Linear(3, 18)), spec((9, 2)))
    signal = torch.rand(5, 9, 2)
    torch.testing.assert_close(network.encoder(signal.flatten(1)), encoder(signal.permute(0, 2, 1)))
