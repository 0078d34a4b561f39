"""An encoder and a decoder of your own: two torch modules, and everything else stays as it is."""

import torch
from torch import Tensor, nn

from codeword import AutoEncoder, evaluate, load

D, K = 64, 16


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(D, 256), nn.LeakyReLU(), nn.Linear(256, K))

    def forward(self, x: Tensor) -> Tensor:  # (n, 64), or (n, 8, 8) if the module wants it so
        return self.layers(x)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(K, 256), nn.LeakyReLU(), nn.Linear(256, D), nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


torch.manual_seed(0)  # modules are trained from the weights they come with
train, test = load("digits"), load("digits", "test")
ae = AutoEncoder(K, network=(Encoder(), Decoder()), epochs=60, random_state=0).fit(train)
metrics = evaluate(ae, test.x)
print(f"mean squared error  your modules {metrics['mse']:.4f}  PCA {metrics['pca_mse']:.4f}")

ae.save("own.ae", overwrite=True)  # their weights; their code stays in this file
again = AutoEncoder.load("own.ae", network=(Encoder(), Decoder()))
print(f"opened again, the score is the same: {again.score(test) == ae.score(test)}")
