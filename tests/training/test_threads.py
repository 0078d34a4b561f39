"""Threads are chosen by the clock only where that cannot change the weights."""

import copy

import pytest
import torch

from codeword.networks import MLP, Spec, build_network
from codeword.objectives import Reconstruction
from codeword.training.steps import KEPT, MEASURED, AutogradStep, DenseStep, FlatAdam, Threads


@pytest.fixture(autouse=True)
def two_threads():
    found = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(found)


def dense_step(d=784, hidden=(256,)):
    torch.manual_seed(0)
    network = build_network(MLP(hidden), Spec((d,), 16, 16, True))
    return DenseStep(DenseStep.chain_of(network, Reconstruction()), FlatAdam(network, 1e-3))


def test_the_trial_moves_no_weight():
    step = dense_step()
    before = copy.deepcopy(step.optimizer.weights)
    Threads.for_step(step, 32, 784, small=True)
    assert torch.equal(step.optimizer.weights, before)
    assert int(step.optimizer.count) == 0


def test_gradients_that_differ_with_the_threads_leave_one(monkeypatch):
    step = dense_step()
    gradients_of = step.gradients_of

    def uneven(x):
        gradients_of(x)
        step.optimizer.gradients[0] += torch.get_num_threads()

    monkeypatch.setattr(step, "gradients_of", uneven)
    assert Threads.for_step(step, 32, 784, small=True).counts == (1,)
    torch.set_num_threads(2)
    assert Threads.for_step(step, 32, 784, small=False).counts == (2,)


def test_other_steps_keep_to_the_rule():
    network = build_network(MLP((8,)), Spec((12,), 3, 3, True))
    step = AutogradStep(network, Reconstruction(), FlatAdam(network, 1e-3), "float32")
    assert Threads.for_step(step, 32, 12, small=True).counts == (1,)


def test_the_faster_is_kept_and_short_batches_take_one(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("codeword.training.steps.time.perf_counter", lambda: clock[0])
    threads = Threads((1, 2), 32)
    used = []
    for _ in range(2 * MEASURED + KEPT):
        threads.before(32)
        used.append(torch.get_num_threads())
        clock[0] += {1: 3.0, 2: 1.0}[used[-1]]
    assert used[:MEASURED] == [1] * MEASURED
    assert used[MEASURED:] == [2] * (MEASURED + KEPT)
    threads.before(7)
    assert torch.get_num_threads() == 1
