"""`codeword info`."""

from codeword.cli.app import Job, command


@command("info digits.ae --json", ["folder"])
def info(job: Job) -> None:
    """Describe a model folder.

    The data it was fitted on, its parameters and its training.
    """
    from codeword.model.autoencoder import AutoEncoder
    from codeword.model.card import model_card
    from codeword.model.folder import read_folder
    from codeword.model.hub import local

    folder = read_folder(local(job.folder))
    AutoEncoder.load(job.folder, device="cpu")  # what cannot be opened is not described as if it could
    card = model_card(folder.config, folder.history, columns=folder.columns)
    job.result({**folder.config, "history": folder.history}, card.split("\n## Use")[0].strip())
