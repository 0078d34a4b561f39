"""The tutorial's network, batch, optimizer and epochs with pythae.

    python pythae_.py FOLDER [--epochs 5] [--device cpu]

Prints the mean training loss of the last epoch. The images are one float32 array, as pythae's own examples
have them, which is faster for it than the tutorial's data set of pictures. pythae sums the squared error over
the features where the tutorial takes its mean; Adam makes the same updates of it, and what is printed is
divided by 784. The best weights so far and the final model are kept as by default, in a temporary folder;
the bars and the log, which cost time and are the screen's business, are off.
"""

import logging
import os
import tempfile

os.environ["TQDM_DISABLE"] = "1"
logging.disable(logging.WARNING)

from pythae.models import AE, AEConfig  # noqa: E402
from pythae.models.base.base_utils import ModelOutput  # noqa: E402
from pythae.models.nn import BaseDecoder, BaseEncoder  # noqa: E402
from pythae.pipelines import TrainingPipeline  # noqa: E402
from pythae.trainers import BaseTrainerConfig  # noqa: E402
from pythae.trainers.training_callbacks import TrainingCallback  # noqa: E402
from tutorial import AutoEncoder, arguments, read_images  # noqa: E402


class Encoder(BaseEncoder):
    """The tutorial's encoder, in pythae's form."""

    def __init__(self, layers):
        super().__init__()
        self.latent_dim = 16
        self.layers = layers

    def forward(self, x):
        return ModelOutput(embedding=self.layers(x))


class Decoder(BaseDecoder):
    """The tutorial's decoder, in pythae's form."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, z):
        return ModelOutput(reconstruction=self.layers(z))


class Losses(TrainingCallback):
    """The last epoch's training loss."""

    def on_log(self, training_config, logs, **kwargs):
        self.last = float(logs["train_epoch_loss"])


def main():
    options = arguments(__doc__)
    x = read_images(options.folder).flatten(1).float().div(255).numpy()
    network, losses = AutoEncoder(), Losses()
    model = AE(AEConfig(input_dim=(784,), latent_dim=16), Encoder(network.encoder), Decoder(network.decoder))
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=options.epochs,
            learning_rate=1e-3,
            per_device_train_batch_size=32,
            optimizer_cls="Adam",
            no_cuda=options.device == "cpu",
        )
        TrainingPipeline(model=model, training_config=settings)(train_data=x, callbacks=[losses])
    print(f"{losses.last / 784:.5f}")


if __name__ == "__main__":
    main()
