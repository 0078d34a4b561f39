import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from codeword import MLP, AutoEncoder
from codeword.networks import Network, Spec, build_network
from codeword.objectives import Reconstruction
from codeword.training.loop import rate
from codeword.training.steps import AutogradStep, DenseStep, FlatAdam, make_step

# -- the hand-written step against autograd -----------------------------------------------------------------

ACTIVATIONS = [nn.LeakyReLU(0.2), nn.ReLU(), nn.SiLU(), nn.Tanh(), nn.Sigmoid()]
DEPTHS = {"linear": (), "one": (9,), "three": (9, 8, 7)}


def dense(hidden=(9,), activation=None, last=None, d=12, k=3, seed=0):
    """A network of dense layers, as `MLP` or a user writes it."""
    torch.manual_seed(seed)

    def chain(widths, end):
        layers = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), copy.deepcopy(activation or nn.SiLU())]
        return nn.Sequential(*layers[:-1], *([end] if end else []))

    return Network(chain([d, *hidden, k], None), chain([k, *hidden[::-1], d], last))


def both_steps(network, learning_rate=1e-3):
    """The same network and optimizer twice, stepped by hand and by autograd."""
    steps = []
    for kind in (DenseStep, AutogradStep):
        twin = copy.deepcopy(network)
        optimizer = FlatAdam(twin, learning_rate)
        if kind is DenseStep:
            chain = DenseStep.chain_of(twin, Reconstruction())
            assert chain is not None
            steps.append((twin, optimizer, DenseStep(chain, optimizer)))
        else:
            steps.append((twin, optimizer, AutogradStep(twin, Reconstruction(), optimizer, "float32")))
    return steps


def batch(n=32, d=12, seed=1):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n", [32, 5, 1])
@pytest.mark.parametrize("hidden", DEPTHS.values(), ids=DEPTHS)
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: type(a).__name__)
def test_gradients_written_by_hand_are_autograds(activation, hidden, n):
    network = dense(hidden, activation, last=nn.Sigmoid())
    x = batch(n)
    (twin, _, step), _ = both_steps(network, learning_rate=0.0)
    step(x)
    loss = F.mse_loss(network.decoder(network.encoder(x)), x)
    expected = torch.autograd.grad(loss, list(network.parameters()))
    for parameter, gradient in zip(twin.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-7)
    assert sum(float(g.abs().sum()) for g in expected) > 1e-3


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: type(a).__name__)
def test_twenty_updates_by_hand_and_by_autograd_agree(activation):
    """A short batch is among them, and the first comes back after it."""
    (one, _, by_hand), (other, _, by_autograd) = both_steps(dense((9, 8), activation), 1e-3)
    for number in range(20):
        x = batch(7 if number % 5 == 4 else 32, seed=number)
        by_hand(x)
        by_autograd(x)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-5)
    torch.testing.assert_close(by_hand.totals, by_autograd.totals, rtol=1e-4, atol=1e-6)


def test_the_totals_are_the_loss_times_the_rows():
    network = dense()
    with torch.no_grad():
        losses = [F.mse_loss(network.decoder(network.encoder(x)), x) for x in (batch(32), batch(5, seed=2))]
    expected = 32 * float(losses[0]) + 5 * float(losses[1])
    for _, _, step in both_steps(network, learning_rate=0.0):
        step(batch(32))
        step(batch(5, seed=2))
        assert float(step.totals.sum()) == pytest.approx(expected, rel=1e-4)


def test_plain_chains_take_the_step_by_hand():
    for network in (
        dense(),
        dense((9, 8), nn.LeakyReLU(), nn.Sigmoid()),
        Network(
            nn.Sequential(nn.Flatten(1), nn.Sequential(nn.Linear(4, 2))),
            nn.Sequential(nn.Sequential(nn.Linear(2, 4), nn.Tanh()), nn.Flatten(1)),
        ),
    ):
        step = make_step(network, Reconstruction(), FlatAdam(network, 1e-3), "float32")
        assert isinstance(step, DenseStep)


class Doubled(Reconstruction):
    def losses(self, network, x):
        return {"error": 2 * super().losses(network, x)["error"]}


class OwnLinear(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2


def tied():
    shared = nn.Linear(6, 6)
    return Network(nn.Sequential(shared), nn.Sequential(shared))


def half_tied():
    encoder, decoder = nn.Linear(6, 6), nn.Linear(6, 6)
    decoder.weight = encoder.weight
    return Network(nn.Sequential(encoder), nn.Sequential(decoder))


def frozen():
    network = dense()
    network.encoder[0].weight.requires_grad_(False)
    return network


def chain(*layers):
    return Network(nn.Sequential(*layers), nn.Sequential(nn.Linear(3, 12)))


OTHERS = {
    "the same layer twice": tied,
    "tied weights": half_tied,
    "frozen weights": frozen,
    "dropout": lambda: chain(nn.Linear(12, 3), nn.Dropout()),
    "batch norm": lambda: chain(nn.Linear(12, 3), nn.BatchNorm1d(3)),
    "layer norm": lambda: chain(nn.LayerNorm(12), nn.Linear(12, 3)),
    "no bias": lambda: chain(nn.Linear(12, 3, bias=False)),
    "unknown activation": lambda: chain(nn.Linear(12, 3), nn.Hardswish()),
    "own linear": lambda: chain(OwnLinear(12, 3)),
    "extra modules": lambda: Network(dense().encoder, dense().decoder, nn.Linear(1, 1)),
    "spectral norm": lambda: chain(nn.utils.parametrizations.spectral_norm(nn.Linear(12, 3))),
    "a hook": lambda: hooked(),
}


def hooked():
    network = dense()
    network.encoder[0].register_forward_hook(lambda module, x, y: y * 2)
    return network


@pytest.mark.parametrize("n", [32, 5])
@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("hidden", [(9, 8), (300, 200)])
def test_gradients_of_the_default_network_are_autograds(bounded, hidden, n):
    """With skips and clips; and with products large enough for another library to take them over."""
    d = 12 if hidden == (9, 8) else 400
    torch.manual_seed(0)
    network = build_network(MLP(hidden=hidden), Spec((d,), 3, 3, bounded))
    with torch.no_grad():
        for p in network.parameters():
            p.normal_(0, 0.3 if d == 12 else 0.05)
    x = batch(n, d)
    (by_hand, _, step), (by_autograd, _, reference) = both_steps(network, learning_rate=0.0)
    for one in (step, reference):
        one.totals = torch.zeros(1)
        one(x)
    torch.testing.assert_close(step.totals, reference.totals, rtol=1e-5, atol=0)
    for a, b in zip(by_hand.parameters(), by_autograd.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-5 * float(b.grad.abs().max()) + 1e-9)


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_anything_else_is_left_to_autograd(make):
    network = make()
    assert DenseStep.chain_of(network, Reconstruction()) is None


def test_another_objective_is_left_to_autograd():
    network = dense()
    assert DenseStep.chain_of(network, Doubled()) is None
    assert DenseStep.chain_of(network, Reconstruction()) is not None


def test_bfloat16_is_left_to_autograd():
    network = dense()
    assert isinstance(make_step(network, Reconstruction(), FlatAdam(network, 1e-3), "bfloat16"), AutogradStep)


# -- the optimizer ------------------------------------------------------------------------------------------


def test_flat_adam_is_torchs_adam():
    one, other = dense(), dense()
    flat = FlatAdam(one, 1e-2)
    usual = torch.optim.Adam(other.parameters(), lr=1e-2)
    step = AutogradStep(one, Reconstruction(), flat, "float32")
    for number in range(10):
        x = batch(seed=number)
        step(x)
        usual.zero_grad()
        F.mse_loss(other.decoder(other.encoder(x)), x).backward()
        usual.step()
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_frozen_parameter_stays_as_it_is():
    x = np.random.default_rng(0).normal(size=(40, 6))
    encoder, decoder = nn.Linear(6, 2), nn.Linear(2, 6)
    encoder.requires_grad_(False)
    ae = AutoEncoder(2, network=(encoder, decoder), epochs=2, random_state=0).fit(x)
    assert torch.equal(ae.network_.encoder.weight, encoder.weight)
    assert not torch.equal(ae.network_.decoder[0].weight, decoder.weight)


def test_an_optimizer_goes_on_from_its_state():
    one, other = dense(), dense(seed=5)
    first = AutogradStep(one, Reconstruction(), FlatAdam(one, 1e-2), "float32")
    for number in range(3):
        first(batch(seed=number))
    second = AutogradStep(other, Reconstruction(), FlatAdam(other, 1e-2), "float32")
    second.optimizer.restore({name: tensor.clone() for name, tensor in first.optimizer.state().items()})
    for step in (first, second):
        step(batch(seed=9))
    assert torch.equal(first.optimizer.weights, second.optimizer.weights)


# -- the learning rate --------------------------------------------------------------------------------------


def test_the_cosine_rises_to_its_peak_and_falls_to_nothing():
    shares = [rate(number, 1000, "cosine") for number in range(1000)]
    assert shares[0] == pytest.approx(0.01)
    assert shares[49] == pytest.approx(0.5)
    assert shares[99] == shares[100] == 1
    assert max(shares) == 1
    assert shares[550] == pytest.approx(0.5)
    assert 0 < shares[-1] < 1e-4
    assert all(a < b for a, b in pairwise(shares[:100]))
    assert all(a > b for a, b in pairwise(shares[100:]))


def test_a_long_run_rises_over_a_thousand_updates():
    assert rate(998, 10**6, "cosine") < 1
    assert rate(1000, 10**6, "cosine") == 1


@pytest.mark.parametrize("total", [1, 2, 9])
def test_the_shortest_runs_have_a_rate(total):
    assert all(0 < rate(number, total, "cosine") <= 1 for number in range(total))
    assert all(math.isfinite(rate(number, total, "cosine")) for number in range(total))


def test_the_constant_is_constant():
    assert {rate(number, 10, "constant") for number in range(10)} == {1.0}


# -- the loop -----------------------------------------------------------------------------------------------


def test_the_weights_of_the_best_epoch_are_kept():
    """Noise cannot be learned: later epochs fit the training rows alone."""
    x = np.random.default_rng(0).normal(size=(60, 10))
    network = MLP(hidden=(64,), linear_skip=False)
    ae = AutoEncoder(8, network=network, epochs=120, learning_rate=0.01, schedule="constant")
    ae.set_params(validation_fraction=0.3, random_state=0).fit(x)
    held_out = [row["validation_loss"] for row in ae.history_]
    best = int(np.argmin(held_out)) + 1
    assert 1 < best < 120
    assert held_out[-1] > 1.02 * min(held_out)
    shorter = AutoEncoder(8, network=network, epochs=best, learning_rate=0.01, schedule="constant")
    shorter.set_params(validation_fraction=0.3, random_state=0).fit(x)
    np.testing.assert_array_equal(ae.transform(x), shorter.transform(x))


def test_held_out_rows_are_not_trained_on():
    """Rows held out could be anything of the same scale, and the weights would be the same."""
    x = np.random.default_rng(0).uniform(size=(100, 5)).astype(np.float32)
    kept = AutoEncoder(2, network=MLP((8,), linear_skip=False), epochs=1, random_state=0, scaling="none")
    kept.set_params(validation_fraction=0.2).fit(x)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    other = x.copy()
    other[order[:20].numpy()] = 0.5
    again = AutoEncoder(**kept.get_params(deep=False)).fit(other)
    assert again.history_[0]["train_loss"] == kept.history_[0]["train_loss"]
    assert again.history_[0]["validation_loss"] != kept.history_[0]["validation_loss"]


def test_bfloat16_trains_to_about_the_same():
    x = np.random.default_rng(0).normal(size=(200, 4)) @ np.random.default_rng(1).normal(size=(4, 12))
    losses = [
        AutoEncoder(4, network=MLP((16,), linear_skip=False), epochs=4, precision=precision, random_state=0)
        .fit(x)
        .history_[-1]["train_loss"]
        for precision in ("float32", "bfloat16")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
