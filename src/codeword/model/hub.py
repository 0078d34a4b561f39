"""Model folders to and from the Hugging Face Hub: ``hf://user/name``, or ``hf://user/name@revision``.

The protocol is huggingface_hub's, which is an extra: ``pip install "codeword[hub]"``. What comes from there
is a model folder like any other: the files of one, by name, and nothing that runs when it is opened.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from codeword.base.about import __version__
from codeword.base.errors import InputError, ModelError, ParameterError
from codeword.base.files import MODEL_FILES
from codeword.base.text import shortened
from codeword.model.card import Evaluated, model_card
from codeword.model.folder import Folder, write_folder

ADDRESS = re.compile(r"hf:/+(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>(?!.*\.\.)[\w./-]+))?", re.ASCII)

TAGS = ["auto-encoder", "representation-learning", "dimensionality-reduction", "safetensors"]


def is_address(path: object) -> bool:
    """Whether a model is on the Hub: `hf://user/name`, or what `pathlib.Path` makes of that."""
    return isinstance(path, (str, os.PathLike)) and str(os.fspath(path)).startswith(("hf:/", "hf:\\"))


def local(path: str | os.PathLike[str]) -> Path:
    """The folder of a model, fetched first where `path` is an address on the Hub.

    Only the files of a model folder are fetched, whatever else is in the repository, into a cache on this
    machine. Without a network the state that was asked for last is taken, if all of it was fetched then.

    Raises ModelError if there is no such repository or revision, or it cannot be reached; InputError if
    huggingface_hub is not installed.
    """
    if not is_address(path):
        return Path(path)
    repo, revision = _parsed(path)
    with _hub(path, ModelError) as api:
        return Path(api.snapshot_download(repo, revision=revision, allow_patterns=list(MODEL_FILES)))


def check(address: str | os.PathLike[str], *, overwrite: bool = False, private: bool = False) -> str | None:
    """The newest commit of a repository that a model may be put to, or None if there is no repository.

    Raises InputError if there is a model already and `overwrite` is false, everybody can read the repository
    and it should be `private`, the Hub refuses or cannot be reached, or huggingface_hub is not installed.
    """
    repo, revision = _parsed(address)
    if revision is not None:
        raise ParameterError(f"{address} names a revision, and a model is put at the newest: leave it out")
    with _hub(address, InputError, sign_in=True) as api:
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            about = api.model_info(repo)
        except RepositoryNotFoundError as error:
            if error.response.status_code != 404:  # gated, or a token that is none: it may well be there
                raise
            return None
    present = {sibling.rfilename for sibling in about.siblings or ()}
    first = next((name for name in MODEL_FILES if name in present), None)
    if first is not None and not overwrite:
        raise InputError(
            f"{address} already holds {first}: choose another name, or pass --overwrite to replace it; "
            "its history keeps what was there"
        )
    if private and not about.private:
        raise InputError(
            f"{address} is there already and everybody can read it: make it private at the Hub first"
        )
    return str(about.sha)


def push(
    folder: Folder,
    address: str | os.PathLike[str],
    parent: str | None,
    *,
    evaluated: Evaluated | None = None,
    license: str | None = None,
    codes: bool = True,
    private: bool = False,
    verbose: bool = True,
) -> str:
    """Put a model on the Hub, with a card, in one commit: whole or not at all.

    Parameters
    ----------
    folder : Folder
    address : str
        ``hf://user/name``; the repository is made, `private` or not, if there is none.
    parent : str or None
        What `check` found there.
    evaluated, license : optional
        Metrics for the card, and an identifier of the Hub's such as ``mit`` or ``cc-by-4.0``.
    codes : bool, default=True
        Send the codes and errors of rows that a model keeps, `training_codes_`. Without them it encodes,
        decodes and evaluates as before, but cannot draw samples without a prior of its own, and p-values need
        rows to be fitted on.
    verbose : bool, default=True
        Show a bar on a terminal.

    Returns
    -------
    str
        The address of just this state: ``hf://user/name@commit``.

    Raises InputError if the repository was changed meanwhile, the Hub refuses or cannot be reached, or
    huggingface_hub is not installed.
    """
    repo, _ = _parsed(address)
    if not codes:
        folder = replace(
            folder, tensors={k: v for k, v in folder.tensors.items() if not k.startswith("reference.")}
        )
    # The device that a model was made on is nobody's business, and of no use to anybody.
    parameters = folder.config["parameters"] | {"device": "auto"}
    folder = replace(folder, config=folder.config | {"parameters": parameters})
    card = model_card(
        folder.config,
        folder.history,
        columns=folder.columns,
        evaluated=evaluated,
        address=f"hf://{repo}",
        kept=folder.kept,
    )
    with _hub(address, InputError, sign_in=True, verbose=verbose) as api:
        from huggingface_hub import ModelCardData

        if parent is None:
            api.create_repo(repo, private=private)
        front = ModelCardData(
            library_name="codeword", pipeline_tag="feature-extraction", license=license, tags=TAGS
        )
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "model"
            write_folder(path, replace(folder, card=f"---\n{front.to_yaml()}\n---\n\n{card}"))
            done = api.upload_folder(
                repo_id=repo,
                folder_path=path,
                commit_message=f"A model of codeword {__version__}",
                delete_patterns=list(MODEL_FILES),
                parent_commit=parent,
            )
    return f"hf://{repo}@{done.oid}"


def _parsed(address: str | os.PathLike[str]) -> tuple[str, str | None]:
    """The repository of an address, and which branch, tag or commit of it."""
    # pathlib makes one slash of two, and backslashes of them on Windows.
    found = ADDRESS.fullmatch(os.fspath(address).replace("\\", "/"))
    if found is None:
        raise ParameterError(
            f"{os.fspath(address)}: an address on the Hub is hf://user/name or hf://user/name@revision, of "
            "letters, digits, '-', '_' and '.'"
        )
    return found["repo"], found["revision"]


@contextmanager
def _hub(
    address: str | os.PathLike[str], kind: type[InputError], *, sign_in: bool = False, verbose: bool = True
) -> Iterator[Any]:
    """The Hub's API; what it, the network or the disk has to say becomes an error of one line."""
    try:
        from huggingface_hub import HfApi, utils
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise InputError(
            f'{address} needs huggingface_hub, which is not installed: pip install "codeword[hub]"'
        ) from None
    transport: Any = HfHubHTTPError.__bases__  # the errors of httpx or, until 1.0, requests
    bars: Any = utils
    hidden = not (verbose and sys.stderr.isatty()) and not bars.are_progress_bars_disabled()
    if hidden:
        bars.disable_progress_bars()
    try:
        yield HfApi(token=sign_in or None, library_name="codeword", library_version=__version__)
    except InputError:
        raise
    except (*transport, OSError, RuntimeError, ValueError) as error:
        text = " ".join(
            str(each) or type(each).__name__ for each in (error, error.__cause__) if each is not None
        )
        # A header that cannot be sent is quoted whole, with the token in it.
        text = re.sub(r"(?s)Bearer\s.*|\bhf_\w+", "…", text)
        raise kind(f"{address}: {shortened(text, 320)}") from None
    finally:
        if hidden:
            bars.enable_progress_bars()
