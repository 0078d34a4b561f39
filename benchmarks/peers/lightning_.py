"""The tutorial's network, batch, optimizer and epochs with Lightning.

    python lightning_.py FOLDER [--epochs 5] [--device cpu]

Prints the mean training loss of the last epoch. The images are one tensor in a `TensorDataset`, which is
faster for Lightning than the tutorial's data set of pictures, and the loader has its default of no worker.
The checkpoint at each epoch's end is Lightning's default and goes to a temporary folder; the logger and the
bar, which cost time and are the screen's business, are off.
"""

import logging
import tempfile
import warnings

import lightning as L
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from tutorial import AutoEncoder, arguments, read_images


class Tutorial(L.LightningModule):
    """The tutorial's network and step."""

    def __init__(self):
        super().__init__()
        self.network = AutoEncoder()
        self.losses = []

    def training_step(self, batch, _):
        (x,) = batch
        loss = F.mse_loss(self.network(x), x)
        self.losses.append(loss.detach())
        return loss

    def on_train_epoch_start(self):
        self.losses.clear()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main():
    options = arguments(__doc__)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    x = read_images(options.folder).flatten(1).float().div(255)
    loader = DataLoader(TensorDataset(x), batch_size=32, shuffle=True)
    model = Tutorial()
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            max_epochs=options.epochs,
            accelerator="gpu" if options.device == "cuda" else "cpu",
            devices=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        trainer.fit(model, loader)
    print(f"{torch.stack(model.losses).mean():.5f}")


if __name__ == "__main__":
    main()
