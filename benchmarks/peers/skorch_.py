"""The tutorial's network, batch, optimizer and epochs with skorch.

    python skorch_.py FOLDER [--epochs 5] [--device cpu]

Prints the mean training loss of the last epoch. The images are one float32 array, as skorch's own examples
have them, which is faster for it than the tutorial's data set of pictures. skorch would hold out a fifth of
the rows: `train_split=None` has it train on all of them, as everyone else here does. The rest is its default.
"""

import torch
from skorch import NeuralNet
from torch import nn
from tutorial import AutoEncoder, arguments, read_images


def main():
    options = arguments(__doc__)
    x = read_images(options.folder).flatten(1).float().div(255).numpy()
    net = NeuralNet(
        AutoEncoder,
        criterion=nn.MSELoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=options.epochs,
        batch_size=32,
        iterator_train__shuffle=True,
        train_split=None,
        device=options.device,
        verbose=0,
    )
    net.fit(x, x)
    print(f"{net.history[-1, 'train_loss']:.5f}")


if __name__ == "__main__":
    main()
