"""What every objective promises with every network. A new one of either needs its row here, and no more."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import nn

from codeword import MLP, AutoEncoder
from codeword.data.scaling import Scaling, describe
from codeword.networks import ARCHITECTURES, Conv, Network, Residual, Sequence, Spec, build_network
from codeword.networks.base import start_linear
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import (
    OBJECTIVES,
    Adversarial,
    Contractive,
    Denoising,
    Masked,
    Nested,
    Reconstruction,
    Regularized,
    Sparse,
    Variational,
    VectorQuantized,
    Wasserstein,
)
from codeword.training.steps import AutogradStep, FlatAdam, GraphStep, make_step

OBJECTIVE = {
    "reconstruction": Reconstruction(),
    "reconstruction-bce": Reconstruction("bce"),
    "reconstruction-l1": Reconstruction("l1"),
    "reconstruction-huber": Reconstruction("huber", delta=0.1),
    "denoising": Denoising(),
    "denoising-masking": Denoising("masking"),
    "denoising-salt_and_pepper": Denoising("salt_and_pepper"),
    "sparse": Sparse(active=2, dead_after=16),
    "sparse-l1": Sparse("l1"),
    "sparse-kl": Sparse("kl"),
    "contractive": Contractive(),
    "variational": Variational(),
    "variational-tc": Variational(beta=4, decomposition="tc", variance="by_feature"),
    "variational-bernoulli": Variational(likelihood="bernoulli", free_bits=0.01),
    "variational-importance": Variational(n_importance=3, variance=0.1),
    "wasserstein": Wasserstein(),
    "adversarial": Adversarial(hidden=(8,)),
    "regularized": Regularized(),
    "regularized-l2": Regularized(penalty="l2"),
    "vector_quantized": VectorQuantized(codebook_size=8, groups=2),
    "vector_quantized-residual": VectorQuantized("residual", codebook_size=8, groups=2),
    "vector_quantized-finite": VectorQuantized("finite", levels=(8, 5, 5, 3)),
    "nested": Nested(),
    "nested-geometric": Nested("geometric"),
    "masked": Masked(),
    "masked-missing": Masked(patch=2, missing="mask", on="hidden"),
}
NETWORK = {
    "mlp": MLP((12,)),
    "mlp-plain": MLP((12,), linear_skip=False, activation="leaky_relu"),
    "mlp-tied": MLP((12,), tied=True, norm="layer", activation="tanh"),
    "mlp-batch": MLP((12,), norm="batch", dropout=0.1, activation="gelu"),
    "conv": Conv((4,)),
    "residual": Residual((4,), linear_skip=False),
    "sequence": Sequence((4, 4)),
    "pair": None,
}
K = 4

# Every objective with every network; what an objective does by another parameter, with two.
CASES = [(o, n) for o in OBJECTIVE for n in NETWORK if o in OBJECTIVES or n in ("mlp", "conv")]
everywhere = pytest.mark.parametrize(("objective", "network"), CASES)


@functools.cache
def rows(network: str) -> np.ndarray:
    """Images, or signals of two channels, of six numbers' worth: (40, 7, 6) or (40, 21, 2) in [0, 1]."""
    rng = np.random.default_rng(0)
    x = np.tanh(rng.normal(size=(40, 6)) @ rng.normal(size=(6, 42)) / 2) / 2 + 0.5
    return x.astype(np.float32).reshape((40, 21, 2) if network == "sequence" else (40, 7, 6))


def architecture(network: str, objective: str):
    if network != "pair":
        return NETWORK[network]
    torch.manual_seed(0)
    width = OBJECTIVE[objective].encoder_outputs(K)
    encoder = nn.Sequential(nn.Conv2d(1, 3, 3), nn.SiLU(), nn.Flatten(), nn.Linear(60, width))
    return encoder, nn.Sequential(nn.Linear(K, 12), nn.SiLU(), nn.Linear(12, 42), nn.Sigmoid())


def estimator(objective: str, network: str, **more) -> AutoEncoder:
    settings = {"epochs": 2, "batch_size": 16, "random_state": 3, "device": "cpu", "validation_fraction": 0.0}
    made = architecture(network, objective)
    return AutoEncoder(K, objective=OBJECTIVE[objective], network=made, **(settings | more))


@functools.cache
def fitted(objective: str, network: str) -> AutoEncoder:
    """Trained once for each worker, and shared: do not fit it again."""
    return estimator(objective, network).fit(rows(network))


def test_every_name_has_its_row():
    assert {type(o) for o in OBJECTIVE.values()} == set(OBJECTIVES.values())
    assert {type(n) for n in NETWORK.values()} - {type(None)} == set(ARCHITECTURES.values())


@everywhere
def test_decoding_the_code_is_the_reconstruction(objective, network):
    ae, x = fitted(objective, network), rows(network)
    codes = ae.transform(x)
    assert codes.shape == (40, K)
    assert codes.dtype == np.float32
    assert np.isfinite(codes).all()
    np.testing.assert_array_equal(ae.transform(x), codes)  # nothing is drawn
    np.testing.assert_array_equal(ae.inverse_transform(codes), ae.reconstruct(x))
    assert ae.reconstruct(x).shape == x.shape


@everywhere
def test_every_parameter_gets_a_gradient(objective, network):
    """After a few updates, as some layers start at zero and hold others' gradients back."""
    made, step = training(objective, network)
    x = torch.from_numpy(rows(network).reshape(40, -1))
    for _ in range(3):
        step(x)
    silent = [name for name, p in made.named_parameters() if not p.grad.abs().sum()]
    assert not silent


@everywhere
def test_the_loss_falls(objective, network):
    made, step = training(objective, network)
    with torch.no_grad():
        for p in made.parameters():  # away from PCA, which so few rows hardly better
            p += 0.1 * torch.randn_like(p)
    x = torch.from_numpy(rows(network).reshape(40, -1))
    before = loss(objective, made, x)
    for _ in range(25):
        step(x)
    assert loss(objective, made, x) < before


def loss(objective: str, network: Network, x: torch.Tensor) -> float:
    """Of the network in use, with the same noise each time; of an adversary's game, the error alone."""
    network.eval()
    torch.manual_seed(0)
    with torch.no_grad():
        losses = OBJECTIVE[objective].losses(network, x)
    network.train()
    return float(losses["error"] if objective == "adversarial" else sum(losses.values()))


def training(objective: str, network: str, device: str = "cpu") -> tuple[Network, AutogradStep]:
    x, what = rows(network), OBJECTIVE[objective]
    seen = describe(x)
    scaling = Scaling.choose("unit", x.dtype, x.shape[1:], seen)
    spec = Spec(x.shape[1:], K, what.encoder_outputs(K), True, what.logits)
    torch.manual_seed(0)
    made = build_network(architecture(network, objective), spec, what.extra_modules(spec))
    baseline = PrincipalComponents.fit(x, scaling, scaling.scaled_mean(seen), K, 0)
    if network != "pair":
        start_linear(made, baseline)
    what.init_weights(made, baseline)
    made.to(device).train()
    optimizer = FlatAdam(made, 0.01)
    if device == "cuda":
        return made, make_step(made, what, optimizer, "float32")
    return made, AutogradStep(made, what, optimizer, "float32")


@everywhere
def test_a_saved_model_gives_the_same_bytes(objective, network, tmp_path):
    ae, x = fitted(objective, network), rows(network)
    ae.save(tmp_path / "model.ae")
    pair = ae.network if network == "pair" else None
    again = AutoEncoder.load(tmp_path / "model.ae", network=pair, device="cpu")
    assert again.transform(x).tobytes() == ae.transform(x).tobytes()
    assert again.reconstruct(x).tobytes() == ae.reconstruct(x).tobytes()


@everywhere
def test_the_same_seed_gives_the_same_weights(objective, network):
    ae = estimator(objective, network).fit(rows(network))
    weights = ae.network_.state_dict()
    for name, tensor in fitted(objective, network).network_.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


@everywhere
def test_few_rows_and_one_row(objective, network):
    x = rows(network)
    few = estimator(objective, network, epochs=1, validation_fraction=0.3).fit(x[:7])
    assert np.isfinite(few.reconstruct(x)).all()
    one = estimator(objective, network, epochs=2).fit(x[:1])
    assert np.isfinite(one.reconstruct(x[:1])).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@everywhere
def test_cuda_gives_what_the_cpu_gives(objective, network):
    """The same codes from the same weights; and a step that is replayed as one CUDA graph."""
    ae, x = fitted(objective, network), torch.from_numpy(rows(network).reshape(40, -1))
    what = OBJECTIVE[objective]
    codes = what.encode(ae.network_, x)
    made, step = training(objective, network, "cuda")
    for _ in range(6):
        step(x.cuda())
    assert isinstance(step, GraphStep)
    assert step.graph is not None
    assert all(torch.isfinite(t).all() for t in made.state_dict().values())
    made.load_state_dict(ae.network_.state_dict())
    made.eval()
    with torch.no_grad():
        off = (what.encode(made, x.cuda()).cpu() - codes).abs().amax(dim=1)
    # A code between two entries of a codebook can go to either.
    assert (off < 1e-3).float().mean() > 0.9
