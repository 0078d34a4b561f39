"""What is particular to each objective, held to a closed form, a finite difference or another library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import log_loss
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from codeword import MLP, AutoEncoder
from codeword.base.constraints import real, whole, widths
from codeword.base.errors import DataError, ParameterError
from codeword.data.scaling import Scaling, describe
from codeword.networks import ARCHITECTURES, Network, Spec, build_network
from codeword.networks.base import start_linear
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import (
    OBJECTIVES,
    Adversarial,
    Contractive,
    Denoising,
    Masked,
    Nested,
    Objective,
    Reconstruction,
    Regularized,
    Sparse,
    Variational,
    VectorQuantized,
    Wasserstein,
    resolve_objective,
)
from codeword.objectives.base import squared_jacobian
from codeword.objectives.plain import largest
from codeword.objectives.priors import mmd, reverse
from codeword.objectives.quantized import codebooks, nearest
from codeword.objectives.variational import divergence, total_correlation

K, D = 3, 8


def rows(n: int = 60, d: int = D, seed: int = 0) -> torch.Tensor:
    """Rows in [0, 1] that hang together."""
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(n, 4, generator=g) @ torch.randn(4, d, generator=g) / 2).sigmoid()


def network_for(objective: Objective, k: int = K, d: int = D, started: bool = True, **mlp) -> Network:
    torch.manual_seed(0)
    spec = Spec((d,), k, objective.encoder_outputs(k), True, objective.logits)
    architecture = MLP(**({"hidden": (16,)} | mlp))
    network = build_network(architecture, spec, objective.extra_modules(spec))
    if started:
        baseline = pca(rows(d=d), k)
        start_linear(network, baseline)
        objective.init_weights(network, baseline)
    return network


def pca(x: torch.Tensor, k: int) -> PrincipalComponents:
    seen = describe(x.numpy())
    scaling = Scaling.choose("unit", np.dtype("f4"), x.shape[1:], seen)
    return PrincipalComponents.fit(x.numpy(), scaling, scaling.scaled_mean(seen), k, 0)


# -- parameters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "objective",
    [
        Reconstruction("mae"),
        Reconstruction("huber", delta=0),
        Denoising("snow"),
        Denoising("masking", level=1.5),
        Sparse("l0"),
        Sparse(active=0),
        Sparse("kl", target=1),
        Contractive(directions=0),
        Contractive(weight=-1),
        Variational(beta=-1),
        Variational(decomposition="mi"),
        Variational(likelihood="poisson"),
        Variational(variance=0),
        Variational(n_importance=0),
        Variational(n_importance=2, beta=2),
        Wasserstein(weight="much"),
        Adversarial(hidden=(0,)),
        Regularized(penalty="spectral"),
        VectorQuantized("product"),
        VectorQuantized("finite", levels=1),
        VectorQuantized("finite", levels=(4, 1)),
        VectorQuantized(decay=1),
        Nested("poisson"),
        Nested("geometric", rate=0),
        Masked(ratio=1),
        Masked(missing="drop"),
        Masked(on="visible"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_named(objective):
    with pytest.raises(ParameterError, match=f"parameter of {type(objective).__name__} "):
        resolve_objective(objective)


@pytest.mark.parametrize("name", [*OBJECTIVES, *ARCHITECTURES])
def test_no_parameter_takes_any_value(name):
    kind = (OBJECTIVES | ARCHITECTURES)[name]
    for parameter in kind().get_params():
        with pytest.raises(ParameterError, match=f"'{parameter}' parameter of {kind.__name__} must be"):
            kind(**{parameter: object()}).check()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_parameters_are_reached_from_the_estimator(name):
    ae = AutoEncoder(objective=OBJECTIVES[name]())
    for parameter, value in OBJECTIVES[name]().get_params().items():
        ae.set_params(**{f"objective__{parameter}": value})
    assert str(ae.objective) == str(OBJECTIVES[name]())


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (Reconstruction("bce"), "values in \\[0, 1\\]"),
        (Variational(likelihood="bernoulli"), "values in \\[0, 1\\]"),
        (Sparse(active=5), "at most n_components, 3"),
        (VectorQuantized(groups=2), "must divide n_components, 3"),
        (VectorQuantized("finite", levels=(4, 4)), "must have n_components, 3"),
    ],
)
def test_what_does_not_fit_the_data_is_named(objective, message):
    x = np.random.default_rng(0).normal(size=(20, 5)) * 3
    with pytest.raises(ParameterError, match=message):
        AutoEncoder(3, objective=objective).fit(x)


def test_small_helpers():
    assert whole(3)
    assert whole(np.int64(3))
    assert not any(whole(v) for v in (0, True, 1.0, "1"))
    assert real(0.5)
    assert real(np.float32(0.5))
    assert not any(real(v) for v in (math.inf, math.nan, "1", None, True))
    assert widths((3, 4))
    assert not any(widths(v) for v in (3, (0,), "34", None))


# -- reconstruction -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["mse", "l1", "huber", "bce"])
def test_losses_are_those_of_other_libraries(loss):
    objective, x = Reconstruction(loss, delta=0.2), rows()
    if loss == "bce":
        x = (x > 0.5).float()
    network = network_for(objective)
    z = objective.encode(network, x)
    value = float(objective.losses(network, x)["error"].detach())
    out, x_hat = network.decoder(z).detach().numpy(), objective.decode(network, z).detach().numpy()
    expected = {
        "mse": lambda: np.mean((out - x.numpy()) ** 2),
        "l1": lambda: np.mean(np.abs(out - x.numpy())),
        "huber": lambda: scipy.special.huber(0.2, out - x.numpy()).mean(),
        "bce": lambda: log_loss(x.numpy().ravel(), x_hat.ravel().astype(np.float64)),
    }[loss]()
    assert value == pytest.approx(float(expected), rel=1e-5)


def test_a_network_behind_a_sigmoid_starts_near_pca():
    """To first order; at random it would start at the data's variance."""
    x = 0.3 + 0.4 * rows()  # away from 0 and 1
    objective, architecture = Reconstruction("bce"), MLP((16,))
    spec = Spec((D,), K, K, True, True)
    network = build_network(architecture, spec)
    baseline = pca(x, K)
    start_linear(network, baseline)
    objective.init_weights(network, baseline)
    with torch.no_grad():
        error = (objective.decode(network, objective.encode(network, x)) - x).square().mean()
    assert error < 1.1 * baseline.residual + 1e-4


@pytest.mark.parametrize("objective", [Reconstruction("bce"), VectorQuantized("finite", loss="bce")], ids=str)
def test_a_code_of_zeros_is_the_mean_behind_a_sigmoid_too(objective):
    network, x = network_for(objective), rows()
    with torch.no_grad():
        x_hat = objective.decode(network, torch.zeros(1, K))
    torch.testing.assert_close(x_hat[0], x.mean(0), atol=1e-4, rtol=0)


def test_a_sigmoid_of_the_user_is_not_applied_twice():
    encoder, decoder = nn.Linear(D, K), nn.Sequential(nn.Linear(K, D), nn.Sigmoid())
    for objective in (Reconstruction("bce"), Reconstruction()):
        spec = Spec((D,), K, K, True, objective.logits)
        network = build_network((encoder, decoder), spec)
        z = torch.randn(5, K)
        torch.testing.assert_close(objective.decode(network, z), decoder(z))


# -- denoising, contractive ---------------------------------------------------------------------------------


def test_noise_is_of_its_kind_and_size():
    x = 0.25 + rows(4000) / 2
    noise = Denoising("gaussian", 0.2).corrupt(x) - x
    assert float(noise.std()) == pytest.approx(0.2, rel=0.02)
    gone = Denoising("masking", 0.4).corrupt(x)
    assert set(torch.unique(gone[gone != x]).tolist()) == {0.0}
    assert float((gone == 0).float().mean()) == pytest.approx(0.4, abs=0.01)
    salted = Denoising("salt_and_pepper", 0.4).corrupt(x)
    hit = salted != x
    assert float(hit.float().mean()) == pytest.approx(0.4, abs=0.01)
    low, high = (salted == x.amin(0))[hit].float().mean(), (salted == x.amax(0))[hit].float().mean()
    assert float(low) == pytest.approx(0.5, abs=0.02)
    assert float(low + high) == pytest.approx(1)


def test_the_jacobian_is_that_of_finite_differences():
    network, x = network_for(Contractive(), started=False, activation="tanh").double(), rows(5).double()
    step, total = 1e-6, 0.0
    with torch.no_grad():
        for j in range(D):
            moved = torch.zeros(D).double()
            moved[j] = step
            change = network.encoder(x + moved) - network.encoder(x - moved)
            total += float((change / (2 * step)).square().sum()) / len(x)
    exact = Contractive(weight=1.0, directions=None).losses(network, x)["contraction"]
    assert float(exact.detach()) == pytest.approx(total, rel=1e-6)
    torch.manual_seed(0)
    varied = x.repeat(4000, 1).requires_grad_()
    estimate = squared_jacobian(network.encoder(varied), varied, 1)
    assert float(estimate.detach()) == pytest.approx(total, rel=0.05)


def test_contraction_is_judged_on_held_out_rows_too():
    with torch.no_grad():
        objective = Contractive(weight=1.0, directions=None)
        assert objective.losses(network_for(objective).eval(), rows())["contraction"] > 0


# -- sparse -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("active", [1, 4, 12])
def test_top_k_leaves_exactly_k(active):
    objective = Sparse(active=active)
    network, x = network_for(objective, k=12), rows()
    u, z = network.encoder(x), objective.encode(network, x)
    assert ((z != 0).sum(dim=1) == active).all()
    kept = u.topk(active, dim=1).values
    torch.testing.assert_close(largest(u, active).sum(dim=1), kept.sum(dim=1))


def test_the_kl_penalty_is_scipys():
    objective = Sparse("kl", target=0.1, weight=1.0)
    network, x = network_for(objective), rows()
    used = objective.encode(network, x).mean(dim=0).detach().double().numpy()
    expected = scipy.special.rel_entr(0.1, used) + scipy.special.rel_entr(0.9, 1 - used)
    value = float(objective.losses(network, x)["sparsity"].detach())
    assert value == pytest.approx(expected.sum(), rel=1e-4)


def test_the_l1_penalty_does_not_depend_on_the_scale_of_codes():
    objective, x = Sparse("l1", weight=1.0), rows()
    network = network_for(objective)
    before = objective.losses(network, x)["sparsity"]
    with torch.no_grad():
        for p in network.encoder.linear.parameters():
            p *= 0.01
    torch.testing.assert_close(objective.losses(network, x)["sparsity"], before)
    assert (objective.encode(network, x) == 0).any()


def test_dead_numbers_of_a_code_are_called_to_help():
    objective = Sparse(active=2, dead_after=100, revive=1.0)
    network, x = network_for(objective, k=8).train(), rows()
    with torch.no_grad():
        network.encoder.linear.bias[5] -= 100  # never among the largest two
    dead = network.encoder.linear.weight
    for _ in range(2):
        losses = objective.losses(network, x)
    assert network.extra.idle[5] == 120
    sum(losses.values()).backward()
    assert losses["revival"] > 0
    assert dead.grad[5].abs().sum() > 0
    network.zero_grad()
    Sparse(active=2, revive=0.0).losses(network, x)["error"].backward()
    assert dead.grad[5].abs().sum() == 0


# -- variational --------------------------------------------------------------------------------------------


def test_the_divergence_is_the_closed_form():
    mean, log_variance = torch.randn(50, 7), torch.randn(50, 7)
    prior = Normal(torch.zeros(7), torch.ones(7))
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), prior)
    torch.testing.assert_close(divergence(mean, log_variance), expected)


def test_the_bound_sums_over_features_and_dimensions_and_averages_over_rows():
    objective, x = Variational(variance=0.2), rows()
    network = network_for(objective)
    torch.manual_seed(1)
    losses = objective.losses(network, x)
    torch.manual_seed(1)
    mean, log_variance = objective.posterior(network, x)
    posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
    likelihood = Independent(Normal(network.decoder(z), math.sqrt(0.2)), 1)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    torch.testing.assert_close(losses["error"], -likelihood.log_prob(x).mean(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(losses["kl"], kl_divergence(posterior, prior).mean())


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("started", [True, False])
def test_the_divergence_has_a_gradient_at_the_start(likelihood, started):
    objective = Variational(likelihood=likelihood)
    network = network_for(objective, started=started)
    objective.losses(network, rows())["kl"].backward()
    last = network.encoder.linear if started else network.encoder.deep[-1]
    halves = last.weight.grad.chunk(2)
    assert halves[0].abs().sum() > 1e-3
    assert started or halves[1].abs().sum() > 1e-3


def test_the_start_is_the_optimum_of_the_linear_model():
    """Lucas et al. 2019: probabilistic PCA, whose likelihood scikit-learn says; there the bound is tight."""
    x = rows(2000, d=6)
    x = (x - x.mean(0)) * 3
    seen = describe(x.numpy())
    scaling = Scaling.choose("none", np.dtype("f4"), (6,), seen)
    baseline = PrincipalComponents.fit(x.numpy(), scaling, scaling.scaled_mean(seen), 3, 0)
    objective, architecture = Variational(), MLP(())
    spec = Spec((6,), 3, 6, False)
    network = build_network(architecture, spec, objective.extra_modules(spec))
    start_linear(network, baseline)
    objective.init_weights(network, baseline)
    with torch.no_grad():
        torch.manual_seed(0)
        losses = [float(sum(objective.losses(network, x).values())) for _ in range(20)]
    assert np.mean(losses) == pytest.approx(-PCA(3).fit(x.numpy()).score(x.numpy()), abs=0.02)


def test_learned_variance_comes_to_the_error():
    """Its optimum given the rest, which a given one is not."""
    x = rows(400)
    ae = AutoEncoder(
        3, objective=Variational(), network=MLP((16,)), epochs=60, random_state=0, device="cpu"
    ).fit(x.numpy())
    objective, network = ae.objective, ae.network_
    with torch.no_grad():
        mean, log_variance = objective.posterior(network, x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        error = float((network.decoder(z) - x).square().mean())
    assert float(network.extra.log_variance.detach().exp()) == pytest.approx(error, rel=0.25)


def test_free_bits_cost_no_more_than_they_say():
    network, x = network_for(Variational()), rows()
    torch.manual_seed(0)
    free = Variational(free_bits=50.0).losses(network, x)["kl"]
    assert float(free.detach()) == pytest.approx(50.0 * K, rel=1e-5)
    assert Variational(free_bits=1e-9).losses(network, x)["kl"] == Variational().losses(network, x)["kl"]


def test_importance_weighting_tightens_the_bound():
    objective, x = Variational(), rows()
    network = network_for(objective)
    with torch.no_grad():  # a posterior that is a little off, so that there is something to gain
        network.encoder.linear.bias[K:] += 1.0
    torch.manual_seed(0)
    bounds = [float(objective.log_likelihood(network, x, n).mean()) for n in (1, 10, 500)]
    assert bounds == sorted(bounds)
    torch.manual_seed(0)
    elbo = -np.mean([float(sum(objective.losses(network, x).values()).detach()) for _ in range(200)])
    many = np.mean([float(objective.log_likelihood(network, x, 1).mean()) for _ in range(200)])
    assert many == pytest.approx(elbo, abs=0.15)


def test_the_likelihood_is_that_of_the_linear_gaussian_model():
    """Exactly known for a linear decoder: x ~ N(b, W Wᵀ + σ² I)."""
    objective = Variational(variance=0.1)
    network, x = network_for(objective, hidden=()).eval(), rows(20)
    network.decoder[1] = nn.Identity()  # nothing is clipped
    with torch.no_grad():
        skip = network.decoder[0]
        weight = skip.linear.weight + skip.deep[0].weight
        mean = skip.linear.bias + skip.deep[0].bias
        covariance = weight @ weight.T + (0.1 + 1e-6) * torch.eye(D)
        exact = torch.distributions.MultivariateNormal(mean, covariance).log_prob(x)
    torch.manual_seed(0)
    estimate = objective.log_likelihood(network, x, 2000, batch_size=700)
    torch.testing.assert_close(estimate, exact, atol=0.02, rtol=0.01)


def test_total_correlation_of_what_is_known():
    """Zero for independent numbers, and minus half the log of the determinant for correlated normal ones."""
    torch.manual_seed(0)
    n, narrow = 1500, math.log(0.02)
    z = torch.randn(n, 2)
    log_variance = torch.full((n, 2), narrow)
    noise = math.sqrt(0.02) * torch.randn(n, 2)
    independent = total_correlation(z + noise, z, log_variance)
    assert abs(float(independent)) < 0.12
    mixed = torch.stack([z[:, 0], 0.9 * z[:, 0] + math.sqrt(0.19) * z[:, 1]], dim=1)
    correlated = total_correlation(mixed + noise, mixed, log_variance)
    rho = 0.9 / 1.02
    assert float(correlated) == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.12)


def test_with_beta_one_the_decomposition_changes_nothing():
    network, x = network_for(Variational()), rows()
    torch.manual_seed(0)
    plain = sum(Variational().losses(network, x).values())
    torch.manual_seed(0)
    apart = sum(Variational(decomposition="tc").losses(network, x).values())
    torch.testing.assert_close(plain, apart)


# -- other priors -------------------------------------------------------------------------------------------


def test_discrepancy_of_equal_and_of_different_samples():
    torch.manual_seed(0)
    a, b = torch.randn(500, K), torch.randn(500, K)
    assert float(mmd(a[:1], a[:1])) == pytest.approx(0, abs=1e-5)
    assert abs(float(mmd(a, b))) < 0.05
    assert float(mmd(a, b + 1)) > 0.3
    assert float(mmd(a[:1], b[:1])) >= 0  # one row allows no unbiased estimate


def test_discrepancy_is_its_definition():
    a, b = torch.randn(7, K).double(), torch.randn(7, K).double()
    total = 0.0
    for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10):
        c = 2 * K * scale
        kernel = [[c / (c + ((p - q) ** 2).sum()) for q in [*a, *b]] for p in [*a, *b]]
        for i in range(7):
            for j in range(7):
                total += (kernel[i][j] + kernel[7 + i][7 + j]) / 42 if i != j else 0
                total -= 2 * kernel[i][7 + j] / 49
    torch.testing.assert_close(mmd(a, b), torch.as_tensor(total))


@pytest.mark.parametrize(
    "objective", [Wasserstein(), Adversarial(), Regularized(), VectorQuantized("finite", loss="bce")]
)
def test_codes_start_with_the_moments_of_the_prior(objective):
    network, x = network_for(objective), rows()
    with torch.no_grad():
        z = network.encoder(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(K), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.T.cov(correction=0), torch.eye(K), atol=1e-3, rtol=0)


def test_reversal_turns_the_gradient_and_nothing_else():
    x = torch.randn(4, requires_grad=True)
    y = reverse(x, 0.5)
    torch.testing.assert_close(y, x)
    (y * torch.arange(4.0)).sum().backward()
    torch.testing.assert_close(x.grad, -0.5 * torch.arange(4.0))


def test_encoder_and_discriminator_pull_at_opposite_ends():
    objective, x = Adversarial(weight=1.0), rows()
    network = network_for(objective)
    with torch.no_grad():
        network.encoder.linear.bias += 2  # codes that can be told from the prior

    def guesses() -> float:
        torch.manual_seed(0)
        return float(objective.losses(network, x)["discriminator"].detach())

    torch.manual_seed(0)
    objective.losses(network, x)["discriminator"].backward()
    before = guesses()
    for part, better in ((network.extra, True), (network.encoder, False)):
        kept = [p.detach().clone() for p in part.parameters()]
        with torch.no_grad():
            for p in part.parameters():
                if p.grad is not None:
                    p -= 1e-3 * p.grad
        assert (guesses() < before) is better
        with torch.no_grad():
            for p, value in zip(part.parameters(), kept, strict=True):
                p.copy_(value)


def test_the_regularizer_is_of_the_decoder():
    x = rows()
    network = network_for(Regularized())
    smooth = Regularized(weight=1.0).losses(network, x)["smoothness"]
    size = Regularized(weight=1.0, penalty="l2").losses(network, x)["smoothness"]
    expected = sum(p.square().sum() for p in network.decoder.parameters())
    torch.testing.assert_close(size, expected)
    smooth.backward()
    assert all(p.grad is None for p in network.encoder.parameters())


# -- discrete codes -----------------------------------------------------------------------------------------

QUANTIZED = [
    VectorQuantized(codebook_size=16, groups=2),
    VectorQuantized("residual", codebook_size=16, groups=3),
    VectorQuantized("finite", levels=(8, 5, 4, 3)),
]


@pytest.mark.parametrize("objective", QUANTIZED, ids=str)
def test_codes_are_a_few_integers_and_back(objective):
    x = rows(100).numpy()
    ae = AutoEncoder(4, objective=objective, network=MLP((16,)), epochs=3, random_state=0, device="cpu").fit(
        x
    )
    codes, indices = ae.transform(x), ae.transform(x, indices=True)
    assert indices.dtype == np.int64
    assert indices.min() >= 0
    looked_up = objective.lookup(ae.network_, torch.from_numpy(indices))
    np.testing.assert_array_equal(looked_up.numpy(), codes)
    np.testing.assert_array_equal(ae.inverse_transform(indices, indices=True), ae.reconstruct(x))


def test_codes_lie_in_the_codebook():
    objective, x = QUANTIZED[0], rows(100)
    network = network_for(objective, k=4)
    with torch.no_grad():
        z = network.encoder(x)
        code, indices, _ = objective.quantize(network, z)
    books = codebooks(network)
    assert books.shape == (2, 16, 2)
    for group in range(2):
        part, own = z[:, 2 * group : 2 * group + 2], code[:, 2 * group : 2 * group + 2]
        distances = torch.cdist(part, books[group], compute_mode="donot_use_mm_for_euclid_dist")
        chosen = distances.gather(1, indices[:, group, None])[:, 0]
        torch.testing.assert_close(chosen, distances.min(1).values, rtol=0, atol=1e-3)
        torch.testing.assert_close(own, books[group][indices[:, group]], rtol=0, atol=0)


def test_each_residual_book_leaves_less():
    objective, x = QUANTIZED[1], rows(100)
    network = network_for(objective, k=4)
    with torch.no_grad():
        for _ in range(100):
            objective.losses(network.train(), x)
        _, _, asked = objective.quantize(network, network.encoder(x))
    sizes = [float(part.square().mean()) for part in asked]
    assert sizes[0] > sizes[1] > sizes[2]


def test_levels_of_finite_scalar_quantization():
    """All of them are reached, and no others, at equal distances; 0 is one of them."""
    objective = VectorQuantized("finite", levels=(2, 3, 4, 5, 8))
    z = torch.linspace(-9, 9, 4001)[:, None].expand(-1, 5)
    code, indices, _ = objective.quantize(None, z)
    for j, levels in enumerate((2, 3, 4, 5, 8)):
        assert torch.unique(indices[:, j]).tolist() == list(range(levels))
        values = torch.unique(code[:, j])
        torch.testing.assert_close(values.diff(), torch.full((levels - 1,), 1 / (levels // 2)))
        assert values.abs().max() == 1
        assert 0.0 in values.tolist()


def test_the_gradient_passes_the_quantizer():
    for objective in QUANTIZED:
        network = network_for(objective, k=4)
        objective.losses(network, rows())["error"].backward()
        assert network.encoder.linear.weight.grad.abs().sum() > 0


def test_codebooks_follow_codes_as_by_hand():
    objective = VectorQuantized(codebook_size=3, groups=1, decay=0.9, revive=0.0)
    network = network_for(objective, k=2).train()
    counts, sums = (t.clone() for t in (network.extra.counts[0], network.extra.sums[0]))
    x = rows(10)
    with torch.no_grad():
        z = network.encoder(x)
        chosen = nearest(z, codebooks(network)[0])
        objective.losses(network, x)
    for entry in range(3):
        mine = z[chosen == entry]
        expected = 0.9 * counts[entry] + 0.1 * len(mine) / (10 / 3)
        torch.testing.assert_close(network.extra.counts[0, entry], expected)
        torch.testing.assert_close(
            network.extra.sums[0, entry], 0.9 * sums[entry] + 0.1 * mine.sum(0) / (10 / 3)
        )
    frozen = network.extra.sums.clone()
    with torch.no_grad():
        objective.losses(network.eval(), x)
    assert torch.equal(frozen, network.extra.sums)


def test_codebooks_of_two_processes_are_those_of_one():
    """The processes' buffers are averaged after each step: see `ProcessGroup.average_buffers`."""
    objective, x = VectorQuantized(codebook_size=4, groups=1, revive=0.0), rows(20)
    one, *two = (network_for(objective, k=2).train() for _ in range(3))
    with torch.no_grad():
        objective.losses(one, x)
        for network, half in zip(two, x.split(10), strict=True):
            objective.losses(network, half)
    for name, whole_buffer in one.extra.named_buffers():
        halves = [network.extra.get_buffer(name) for network in two]
        torch.testing.assert_close(whole_buffer, (halves[0] + halves[1]) / 2)


def test_dead_entries_are_revived_where_codes_are():
    objective, x = VectorQuantized(codebook_size=8, groups=1, revive=0.05), rows(100)
    network = network_for(objective, k=2).train()
    network.extra.sums[0, 4:] += 1000  # out of reach
    network.extra.counts[0, 4:] = 1e-6
    with torch.no_grad():
        before = objective.epoch_metrics(network)["perplexity"]
        objective.losses(network, x)
        z = network.encoder(x)
    revived = codebooks(network)[0, 4:]
    assert (torch.cdist(revived, z).min(dim=1).values < 1e-3).all()
    assert objective.epoch_metrics(network)["perplexity"] > before


def test_perplexity_counts_entries_that_are_used_alike():
    objective = VectorQuantized(codebook_size=4, groups=2)
    network = network_for(objective, k=2)
    network.extra.counts.copy_(torch.tensor([[5.0, 5.0, 5.0, 0.0], [1.0, 0.0, 0.0, 0.0]]))
    assert objective.epoch_metrics(network)["perplexity"] == pytest.approx((3 + 1) / 2)
    assert VectorQuantized("finite").epoch_metrics(None) == {}


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"vector_quantized"}))
def test_only_discrete_codes_have_indices(name, digits):
    ae = AutoEncoder(2, objective=name, network=MLP(()), epochs=1, random_state=0).fit(digits.x[:20])
    with pytest.raises(ParameterError, match="not discrete"):
        ae.transform(digits.x[:2], indices=True)


# -- ordered codes ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nested(digits):
    network = MLP((32,))
    return AutoEncoder(8, objective="nested", network=network, epochs=15, random_state=0, device="cpu").fit(
        digits.x
    )


def test_errors_fall_with_each_number_of_the_code(nested, digits):
    x = torch.from_numpy(digits.x.reshape(len(digits.x), -1))
    curve = Nested().errors_by_length(nested.network_, x).numpy()
    assert (np.diff(curve) < 0).all()
    for k in (1, 3, 8):
        x_hat = nested.inverse_transform(nested.transform(digits.x, k=k))
        assert ((x_hat - digits.x) ** 2).mean() == pytest.approx(curve[k - 1], rel=1e-4)
    assert curve[-1] == pytest.approx(-nested.score(digits.x), rel=1e-4)


def test_a_cut_code_is_the_beginning_of_the_whole(nested, digits):
    codes = nested.transform(digits.x[:9])
    np.testing.assert_array_equal(nested.transform(digits.x[:9], k=3), codes[:, :3])
    np.testing.assert_array_equal(nested.inverse_transform(codes), nested.reconstruct(digits.x[:9]))


def test_only_ordered_codes_can_be_cut(nested, model, digits):
    for k in (0, 9, -1):
        with pytest.raises(ParameterError, match=f"k={k}"):
            nested.transform(digits.x[:2], k=k)
    with pytest.raises(ParameterError, match="objective='nested'"):
        model.transform(digits.x[:2], k=2)
    with pytest.raises(DataError, match="9 columns"):
        nested.inverse_transform(np.zeros((2, 9)))


def test_lengths_are_drawn_as_said():
    torch.manual_seed(0)
    uniform = Nested().lengths(40000, 5, torch.device("cpu"))
    counts = torch.bincount(uniform.long().flatten(), minlength=6)[1:] / 40000
    torch.testing.assert_close(counts, torch.full((5,), 0.2), atol=0.01, rtol=0)
    geometric = Nested("geometric", rate=0.3).lengths(40000, 5, torch.device("cpu"))
    counts = torch.bincount(geometric.long().flatten(), minlength=6)[1:] / 40000
    expected = torch.tensor([0.3 * 0.7**b for b in range(4)] + [0.7**4])
    torch.testing.assert_close(counts, expected, atol=0.01, rtol=0)


# -- masks --------------------------------------------------------------------------------------------------


def test_patches_are_hidden_as_a_whole():
    spec = Spec((5, 4, 2), 3, 3, True)
    patches = Masked(patch=2).extra_modules(spec).get_buffer("patches").reshape(5, 4, 2)
    assert torch.equal(patches[..., 0], patches[..., 1])
    expected = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3], [4, 4, 5, 5]])
    assert torch.equal(patches[..., 0], expected)
    assert len(torch.unique(Masked().extra_modules(spec).get_buffer("patches"))) == 20


def holes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A table of eight columns that hang together, in three units, with a tenth of it missing."""
    x = (rows(600) * 10).numpy()
    x[:, 3] *= 100
    x[:, 5] -= 7
    gone = np.random.default_rng(seed).random(x.shape) < 0.1
    return x, np.where(gone, np.nan, x).astype(np.float32)


def test_missing_values_are_let_in_and_filled_in(tmp_path):
    whole_table, x = holes()
    gone = np.isnan(x)
    ae = AutoEncoder(
        4, objective=Masked(0.2, missing="mask"), network=MLP((32,)), epochs=40, random_state=0, device="cpu"
    ).fit(x)
    codes, filled = ae.transform(x), ae.reconstruct(x)
    assert np.isfinite(codes).all()
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(ae.inverse_transform(codes), filled)
    assert np.isfinite(ae.score_samples(x)).all()
    spread = whole_table.std(axis=0)
    error = (((filled - whole_table) / spread)[gone] ** 2).mean()
    by_means = (((np.nanmean(x, axis=0) - whole_table) / spread)[gone] ** 2).mean()
    assert error < 0.5 * by_means
    ae.save(tmp_path / "table.ae")
    assert AutoEncoder.load(tmp_path / "table.ae").transform(x).tobytes() == codes.tobytes()


def test_moments_leave_out_what_is_missing():
    _, x = holes()
    seen = describe(x, missing=True)
    np.testing.assert_allclose(seen.mean, np.nanmean(x.astype(float), axis=0))
    np.testing.assert_allclose(seen.variance, np.nanvar(x.astype(float), axis=0))
    assert (seen.low, seen.high) == (np.nanmin(x), np.nanmax(x))
    x[4, 2] = np.inf
    with pytest.raises(DataError, match=r"infinity \(the first in row 4, column 2\)"):
        describe(x, missing=True)


def test_missing_values_are_an_error_otherwise():
    _, x = holes()
    for objective in ("masked", "reconstruction"):
        with pytest.raises(DataError, match="NaN"):
            AutoEncoder(2, objective=objective).fit(x)


def test_a_column_of_nothing_is_no_harm():
    _, x = holes()
    x[:, 2] = np.nan
    ae = AutoEncoder(2, objective=Masked(missing="mask"), network=MLP((8,)), epochs=1).fit(x)
    assert np.isfinite(ae.reconstruct(x)).all()
