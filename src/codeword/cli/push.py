"""`codeword push`."""

from dataclasses import replace

from typer import Argument, Option

from codeword.base.errors import DataError
from codeword.cli.app import MODEL, READING, Job, command


@command("push digits.ae hf://user/digits --source digits", [*MODEL, *READING, "overwrite"], split="test")
def push(
    job: Job,
    address: str = Argument(help="Where to: hf://user/name.", metavar="ADDRESS"),
    source: str | None = Option(
        None,
        help="Rows for the card's metrics against PCA: all that `codeword evaluate` takes.",
        metavar="SOURCE",
    ),
    license_: str | None = Option(
        None, "--license", help="For the card, as the Hub calls it: mit, cc-by-4.0.", metavar="ID"
    ),
    private: bool = Option(False, "--private", help="Let only yourself read it."),
    without_codes: bool = Option(
        False, "--without-codes", help="Leave out the codes of training rows that a model keeps."
    ),
) -> None:
    """Put a model on the Hugging Face Hub.

    With a card that says what it was fitted on, how, what came of it and how to train it again; with
    --source, also metrics against PCA. Every command that takes a model takes hf://user/name then. A model
    keeps codes of its training rows, from which the decoder makes rows like them: they go along, unless
    --without-codes is given.
    """
    from codeword.model.card import Evaluated
    from codeword.model.folder import read_folder
    from codeword.model.hub import check, local, push
    from codeword.tasks.evaluate import evaluate

    parent = check(address, overwrite=job.overwrite, private=private)  # before any work is done
    job = replace(job, folder=local(job.folder))
    folder = read_folder(job.folder)
    evaluated, metrics = None, {}
    if source is not None:
        data = job.rows(source)
        with job.progress("evaluate") as progress:
            try:
                metrics = evaluate(job.model, data, progress=progress.upto)
            except DataError:  # the labels may be no classes
                if data.y is None:
                    raise
                metrics = evaluate(job.model, replace(data, y=None), progress=progress.upto)
        evaluated = Evaluated(source, metrics, job.part(source), job.reading)
    rows = 0 if without_codes else sum(folder.kept)
    done = push(
        folder,
        address,
        parent,
        evaluated=evaluated,
        license=license_,
        codes=not without_codes,
        private=private,
        verbose=not job.quiet,
    )
    facts = {"output": done, "codes": rows} | {name: metrics.get(name) for name in ("n", "mse", "pca_mse")}
    with_codes = f"with the codes of {rows:,} rows" if rows else "without codes of rows"
    job.say(facts, f"wrote {done}\n  {with_codes}")
