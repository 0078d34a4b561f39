from typing import Annotated

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from codeword import MLP, AutoEncoder
from codeword.base.errors import ParameterError
from codeword.networks import ARCHITECTURES, Architecture, Network, Spec, build_network

BATCH = torch.rand(6, 12, generator=torch.Generator().manual_seed(0))


def spec(k=3, bounded=True, shape=(12,)):
    return Spec(shape, k, k, bounded)


@pytest.mark.parametrize("hidden", [(), (5,), (9, 7), [9, 7, 5]])
@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("linear_skip", [True, False])
def test_dense_layers_take_rows_to_codes_and_back(hidden, bounded, linear_skip):
    encoder, decoder = MLP(hidden, linear_skip=linear_skip).build(spec(bounded=bounded))
    codes = encoder(BATCH)
    assert codes.shape == (6, 3)
    assert decoder(codes).shape == (6, 12)
    assert decoder(torch.full((1, 3), 50.0)).isfinite().all()


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_parameter_gets_a_gradient(name):
    network = build_network(name, spec(shape=(28, 28)))
    network.train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():  # off the zeros from which some layers start
            p += 0.02 * torch.randn(p.shape, generator=generator)
    x = torch.rand(8, 784, generator=torch.Generator().manual_seed(0))
    (network.decoder(network.encoder(x)) - x).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not silent


@pytest.mark.parametrize("linear_skip", [True, False])
def test_reconstructions_of_bounded_data_stay_in_bounds(linear_skip):
    network = build_network(MLP((5,), linear_skip=linear_skip), spec()).eval()
    with torch.no_grad():
        wide = network.decoder(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 100)
    assert wide.min() >= 0
    assert wide.max() <= 1


def test_reconstructions_of_unbounded_data_are_not_clipped():
    network = build_network(MLP((5,)), spec(bounded=False)).eval()
    with torch.no_grad():
        wide = network.decoder(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 100)
    assert wide.min() < 0
    assert wide.max() > 1


def test_the_decoder_mirrors_the_encoder():
    encoder, decoder = MLP((9, 7), linear_skip=False).build(spec(bounded=False))
    widths = [(m.in_features, m.out_features) for m in (*encoder, *decoder) if isinstance(m, nn.Linear)]
    assert widths == [(12, 9), (9, 7), (7, 3), (3, 7), (7, 9), (9, 12)]


def test_the_tutorials_network_is_the_tutorials():
    encoder, decoder = MLP((256,), "leaky_relu", linear_skip=False).build(Spec((28, 28), 16, 16, True))
    assert [type(m) for m in encoder] == [nn.Linear, nn.LeakyReLU, nn.Linear]
    assert [type(m) for m in decoder] == [nn.Linear, nn.LeakyReLU, nn.Linear, nn.Sigmoid]
    assert sum(p.numel() for m in (encoder, decoder) for p in m.parameters()) == 410_912


@pytest.mark.parametrize("k", [2, 6, 9])
@pytest.mark.parametrize("kind", ["unit", "standard"])
def test_training_starts_from_pca(kind, k):
    """With a rate of next to nothing the network is where it started: at PCA's error."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(80, 3)) @ rng.uniform(size=(3, 6)) / 3 + rng.uniform(size=(80, 6)) * 0.1
    ae = AutoEncoder(k, epochs=1, learning_rate=1e-12, scaling=kind, validation_fraction=0.0).fit(x)
    pca = ae.baseline_.inverse_transform(ae.baseline_.transform(x))
    error = float(((ae.scaling_.forward(pca) - ae.scaling_.forward(x)) ** 2).mean())
    assert -ae.score(x) == pytest.approx(error, rel=1e-3, abs=1e-9)


def test_codes_start_at_the_usual_size():
    x = np.random.default_rng(0).normal(size=(200, 6)) * [100, 50, 1, 1, 1, 1]
    codes = AutoEncoder(3, epochs=1, learning_rate=1e-12, scaling="none").fit_transform(x)
    assert np.sqrt((codes**2).mean()) == pytest.approx(1, abs=0.1)


def test_architectures_clone_and_compare_as_estimators():
    network = MLP((3, 4), activation="relu")
    assert clone(network).get_params() == network.get_params()
    assert MLP().hidden == (512, 256)


def test_a_pair_is_copied():
    encoder, decoder = nn.Linear(12, 3), nn.Linear(3, 12)
    network = build_network((encoder, decoder), spec())
    assert isinstance(network, Network)
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
    assert encoder.weight.abs().sum() > 0
    assert decoder.weight.abs().sum() > 0


class Images(nn.Module):
    """Takes a batch of images of one shape alone, flattens it, and remembers what it was given."""

    def __init__(self, shape, k=3):
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(int(np.prod(shape)), k)

    def forward(self, x):
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"expected {self.shape}")
        return self.linear(x.flatten(1))


@pytest.mark.parametrize("wanted", [(16,), (4, 4), (1, 4, 4)])
def test_rows_are_given_in_the_layout_that_the_encoder_takes(wanted):
    network = build_network((Images(wanted), nn.Linear(3, 16)), spec(shape=(4, 4)))
    assert network.encoder(torch.zeros(2, 16)).shape == (2, 3)
    assert network.decoder(torch.zeros(2, 3)).shape == (2, 16)


@pytest.mark.parametrize("back", [(16,), (4, 4), (1, 4, 4)])
def test_a_decoder_may_give_images(back):
    decoder = nn.Sequential(nn.Linear(3, 16), nn.Unflatten(1, back))
    network = build_network((nn.Linear(16, 3), decoder), spec(shape=(4, 4)))
    z = torch.rand(2, 3)
    torch.testing.assert_close(network.decoder(z), network.decoder[0][0](z))


def test_probing_modules_moves_no_batch_statistics():
    encoder = nn.Sequential(nn.Linear(12, 3), nn.BatchNorm1d(3))
    network = build_network((encoder, nn.Linear(3, 12)), spec())
    assert int(network.encoder[1].num_batches_tracked) == 0
    assert network.encoder[1].running_mean.abs().sum() == 0
    assert encoder.training


def test_an_unknown_architecture_lists_the_known():
    with pytest.raises(ParameterError, match=r"must be 'auto', 'mlp'.* Got 'mpl' instead\."):
        build_network("mpl", spec())


class Plain(Architecture):
    """An architecture of one's own, without what ours only declare, and with an annotation of another use."""

    note: Annotated[str, "what it is for"] = ""

    def __init__(self, width=4):
        self.width = width

    def build(self, spec):
        return nn.Linear(spec.d, spec.width), nn.Linear(spec.n_components, spec.d)


def test_an_architecture_of_ones_own_needs_its_own_parameters_alone():
    Plain().check()


@pytest.mark.parametrize("flag", [True, np.True_, np.array([False])[0], 1])
def test_flags_are_of_any_boolean(flag):
    MLP(linear_skip=flag).check()
    with pytest.raises(ParameterError, match="'linear_skip' parameter of MLP must be True or False"):
        MLP(linear_skip=2).check()
