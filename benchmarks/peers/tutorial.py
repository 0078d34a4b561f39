"""The tutorial's script, as people paste it: an auto-encoder of MNIST on a `DataLoader`.

    python tutorial.py FOLDER [--epochs 5] [--device cpu]

FOLDER holds `train-images-idx3-ubyte`, gzipped or not. Prints the mean training loss of the last epoch.

The tutorial takes `torchvision.datasets.MNIST` with `ToTensor`. torchvision has no build for every machine on
which this is run, so both are written out here with the same steps: the file is read into one uint8 tensor up
front, and each sample becomes a Pillow image, then an array, then a float tensor divided by 255, with an axis
for channels in front. The training loop flattens it.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset


class ToTensor:
    """Pillow image (h, w) to float tensor (1, h, w) from 0 to 1, as torchvision's."""

    def __call__(self, picture):
        array = np.array(picture, np.uint8, copy=True)
        tensor = torch.from_numpy(array).view(picture.size[1], picture.size[0], 1)
        return tensor.permute((2, 0, 1)).contiguous().to(dtype=torch.get_default_dtype()).div(255)


class MNIST(Dataset):
    """The 60,000 training images, each through Pillow and `transform`, as torchvision's."""

    def __init__(self, folder, transform=None):
        self.data = read_images(folder)
        self.transform = transform

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        picture = Image.fromarray(self.data[index].numpy())
        return picture if self.transform is None else self.transform(picture)


def read_images(folder):
    """The training images, uint8 tensor of shape (n, 28, 28)."""
    path = Path(folder, "train-images-idx3-ubyte")
    content = path.read_bytes() if path.exists() else gzip.decompress(path.with_suffix(".gz").read_bytes())
    header = np.frombuffer(content, ">i4", count=4)
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=16).reshape(header[1:]).copy())


class AutoEncoder(nn.Module):
    """784 → 256 → 16 → 256 → 784."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 256), nn.LeakyReLU(), nn.Linear(256, 16))
        self.decoder = nn.Sequential(nn.Linear(16, 256), nn.LeakyReLU(), nn.Linear(256, 784), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x))


def arguments(description):
    """What every script of this folder is told."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("folder", help="where train-images-idx3-ubyte is")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return parser.parse_args()


def main():
    options = arguments(__doc__)
    device = torch.device(options.device)
    loader = DataLoader(MNIST(options.folder, ToTensor()), batch_size=32, shuffle=True, num_workers=2)
    model = AutoEncoder().to(device)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(options.epochs):
        total = 0.0
        for images in loader:
            x = images.view(images.size(0), -1).to(device)
            optimizer.zero_grad()
            loss = criterion(model(x), x)
            loss.backward()
            optimizer.step()
            total += loss.item()
    print(f"{total / len(loader):.5f}")


if __name__ == "__main__":
    main()
