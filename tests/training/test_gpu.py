"""What only a GPU can show; skipped, with its reason, where there is none."""

import numpy as np
import pytest
import torch

from codeword import AutoEncoder, load
from codeword.networks import MLP, Spec, build_network
from codeword.objectives import Reconstruction
from codeword.training.steps import AutogradStep, FlatAdam, GraphStep, make_step

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


def trained(make, batches):
    torch.manual_seed(0)
    network = build_network(MLP(hidden=(32,)), Spec((20,), 4, 4, False)).cuda()
    optimizer = FlatAdam(network, 1e-3)
    step = make(network, optimizer)
    step.totals.zero_()
    for x in batches:
        optimizer.set_rate(1e-3 * (1 + len(x) / 100))
        step(x)
    return optimizer.weights.cpu(), step.totals.cpu()


def test_the_graph_makes_the_steps_that_are_made_without_it():
    rows = torch.randn(10 * 64 + 7, 20, generator=torch.Generator().manual_seed(0)).cuda()
    batches = rows.split(64)
    eager = trained(lambda n, o: AutogradStep(n, Reconstruction(), o, "float32"), batches)
    graph = trained(lambda n, o: make_step(n, Reconstruction(), o, "float32"), batches)
    assert isinstance(
        make_step(
            build_network(MLP(), Spec((20,), 4, 4, False)).cuda(),
            Reconstruction(),
            FlatAdam(torch.nn.Linear(2, 2).cuda(), 1e-3),
            "float32",
        ),
        GraphStep,
    )
    for a, b in zip(eager, graph, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_model_fitted_on_the_gpu_codes_alike_on_the_cpu(tmp_path):
    x = load("digits").x
    ae = AutoEncoder(4, epochs=5, random_state=0, device="cuda").fit(x)
    ae.save(tmp_path / "m.ae")
    there = AutoEncoder.load(tmp_path / "m.ae", device="cpu")
    np.testing.assert_allclose(there.transform(x), ae.transform(x), rtol=1e-3, atol=1e-3)
