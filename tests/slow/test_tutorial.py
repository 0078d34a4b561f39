"""The tutorial's run, on all of MNIST."""

from __future__ import annotations

import numpy as np

from codeword import PRESETS, AutoEncoder


def test_the_tutorials_five_losses_on_real_mnist(mnist):
    train, test = mnist
    ae = AutoEncoder(**PRESETS["tutorial"], random_state=0, device="cpu").fit(train)
    losses = [row["train_loss"] for row in ae.history_]
    np.testing.assert_allclose(losses, [0.0238, 0.0138, 0.0123, 0.0115, 0.0110], rtol=0, atol=0.0006)
    assert -ae.score(test) <= 0.0109
