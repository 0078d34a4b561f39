"""Model folders to and from the Hugging Face Hub: ``hf://user/name``, or ``hf://user/name@revision``.

The protocol is huggingface_hub's, which is an extra: ``pip install "codeword[hub]"``. What comes from there
is a model folder like any other: the files of one, by name, and nothing that runs when it is opened.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codeword.base.about import __version__
from codeword.base.errors import InputError, ModelError, ParameterError
from codeword.base.files import MODEL_FILES
from codeword.model.card import Evaluated, Place, model_card
from codeword.model.folder import Folder, read_folder, write_folder

__all__ = ["Address", "check_push", "is_address", "kept", "local", "pull", "push"]

SCHEME = re.compile(r"^hf:[\\/]+")
"""pathlib makes one slash of two, and a backslash of it on Windows."""

FORM = re.compile(
    r"(?P<repo>(?P<user>[\w.-]+)/(?P<name>[\w.-]+))(@(?P<revision>(?!.*\.\.)[\w./-]+))?", re.ASCII
)
LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")

SIGN_IN = "`hf auth login`, or set HF_TOKEN"
WRITE_TOKEN = f"make one that may write, in your settings at the Hub; then {SIGN_IN}"


@dataclass(frozen=True)
class Address:
    """A repository of models, and which state of it.

    Parameters
    ----------
    repo : str
        ``user/name``.
    revision : str or None
        A branch, a tag or a commit; None for the newest.
    """

    repo: str
    revision: str | None = None

    @classmethod
    def of(cls, text: str | os.PathLike[str]) -> Address:
        """Take an address apart.

        Raises
        ------
        ParameterError
            If it is none.
        """
        rest = SCHEME.sub("", os.fspath(text)).replace("\\", "/")
        found = FORM.fullmatch(rest)
        repo = "" if found is None else found["repo"]
        if (
            not is_address(text)
            or found is None
            or len(repo) > 96
            or not all(_is_name(found[part]) for part in ("user", "name"))
        ):
            raise ParameterError(
                f"{os.fspath(text)}: an address on the Hub is hf://user/name or hf://user/name@revision, of "
                "letters, digits, '-', '_' and '.'"
            )
        return cls(repo, found["revision"])

    def __str__(self) -> str:
        return f"hf://{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_address(path: object) -> bool:
    """Whether a model is on the Hub: `hf://user/name`, or what `pathlib.Path` makes of that."""
    return isinstance(path, (str, os.PathLike)) and SCHEME.match(str(os.fspath(path))) is not None


def local(path: str | os.PathLike[str]) -> Path:
    """The folder of a model, fetched first where `path` is an address on the Hub: see `pull`."""
    return pull(path) if is_address(path) else Path(path)


def kept(folder: Folder) -> tuple[int, int]:
    """How many rows trained on, and how many held out, a model keeps codes of."""
    trained, held = (folder.tensors.get(f"reference.{part}errors") for part in ("", "held_"))
    return (0 if trained is None else len(trained)), (0 if held is None else len(held))


# -- from the Hub -------------------------------------------------------------------------------------------


def pull(address: str | os.PathLike[str], *, token: str | None = None) -> Path:
    """Fetch a model from the Hub into its cache on this machine.

    Only the files of a model folder are fetched, whatever else is in the repository. Without a network the
    state that was asked for last is taken, if all of it was fetched then.

    Parameters
    ----------
    address : str
        ``hf://user/name``, or ``hf://user/name@revision`` with a branch, a tag or a commit.
    token : str, optional
        For a private repository; by default the one that huggingface_hub knows of.

    Returns
    -------
    Path
        A folder that `AutoEncoder.load` opens. It belongs to the cache: do not write there.

    Raises
    ------
    ModelError
        If there is no such repository or revision, it holds no model, or it cannot be reached.
    InputError
        If huggingface_hub is not installed.
    """
    where = Address.of(address)
    hub = _library(where)
    token = _checked(where, hub, token, ModelError)
    with _in_words(where, "fetched", ModelError), _bars(verbose=True):
        found = hub.snapshot_download(
            where.repo,
            revision=where.revision,
            allow_patterns=list(MODEL_FILES),
            token=token,
            library_name="codeword",
            library_version=__version__,
        )
    folder = Path(found)
    if not (folder / "config.json").is_file() or not (folder / "weights.safetensors").is_file():
        raise ModelError(
            f"{where} holds no model of codeword, or not all of it was fetched: there is no config.json with "
            "weights.safetensors beside it"
        )
    return folder


# -- to the Hub ---------------------------------------------------------------------------------------------


def check_push(
    address: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    private: bool = False,
    token: str | None = None,
) -> tuple[Address, str | None]:
    """Say early, before any work is done, that a model cannot be put there; nothing is changed.

    Returns
    -------
    address : Address
    head : str or None
        The commit that the repository is at; None where it is yet to be made.

    Raises
    ------
    InputError
        As `push` does.
    """
    where = Address.of(address)
    if where.revision is not None:
        raise ParameterError(f"{where} names a revision, and a model is put at the newest: leave it out")
    hub = _library(where)
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    token = _checked(where, hub, token, InputError)
    with _in_words(where, "written", InputError):
        if (token or hub.get_token()) is None:
            raise InputError(f"{where} cannot be written without a token: {WRITE_TOKEN}")
        try:
            about = _api(hub, token).model_info(where.repo)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError as error:
            if _status(error) == 401:
                raise
            return where, None
    present = {sibling.rfilename for sibling in about.siblings or ()}
    first = next((name for name in MODEL_FILES if name in present), None)
    if first is not None and not overwrite:
        raise InputError(
            f"{where} already holds {first}: choose another name, or pass --overwrite to replace it; its "
            "history keeps what was there"
        )
    if private and about.private is False:
        raise InputError(
            f"{where} is there already and everybody can read it: make it private at the Hub first"
        )
    return where, about.sha


def push(
    model: Folder | str | os.PathLike[str],
    address: str | os.PathLike[str],
    *,
    evaluated: Evaluated | None = None,
    license: str = "",
    codes: bool = True,
    private: bool = False,
    overwrite: bool = False,
    token: str | None = None,
    verbose: bool = True,
) -> str:
    """Put a model on the Hub, with a card, in one commit: whole or not at all.

    Parameters
    ----------
    model : Folder, or path of a model folder
    address : str
        ``hf://user/name``; the repository is made if there is none.
    evaluated : Evaluated, optional
        Figures for the card, and the name of the data.
    license : str, default=""
        An identifier of the Hub's for the card, such as ``mit`` or ``cc-by-4.0``.
    codes : bool, default=True
        Send the codes and errors of rows that a model keeps, `training_codes_`. Without them it
        encodes, decodes and evaluates as before, but cannot draw samples without a prior of its own, and
        p-values need rows to be fitted on.
    private : bool, default=False
        Of a repository that is made: only its owner can read it.
    overwrite : bool, default=False
        Replace a model that is there; the repository's history keeps it.
    token : str, optional
        With the right to write; by default the one that huggingface_hub knows of.
    verbose : bool, default=True
        Show a bar on a terminal.

    Returns
    -------
    str
        The address of just this state: ``hf://user/name@commit``.

    Raises
    ------
    ModelError
        If `model` is not a model folder.
    InputError
        If there is a model already and `overwrite` is false, the token is missing or may not write, the
        repository was changed meanwhile, the Hub cannot be reached, or huggingface_hub is not installed.
    """
    if license and not LICENSE.fullmatch(license):
        raise ParameterError(
            "The 'license' parameter of push must be an identifier such as 'mit' or 'cc-by-4.0'. "
            f"Got {license!r} instead."
        )
    folder = model if isinstance(model, Folder) else read_folder(local(model))
    where, head = check_push(address, overwrite=overwrite, private=private, token=token)
    if not codes:
        tensors = {k: v for k, v in folder.tensors.items() if not k.startswith("reference.")}
        folder = replace(folder, tensors=tensors)
    # On which device a model was made is nobody's business, and to nobody's use.
    parameters = folder.config["parameters"] | {"device": "auto"}
    folder = replace(folder, config=folder.config | {"parameters": parameters})
    folder = replace(folder, card=_card(folder, where, evaluated, license))
    hub = _library(where)
    token = _checked(where, hub, token, InputError)
    with (
        tempfile.TemporaryDirectory() as temporary,
        _in_words(where, "written", InputError),
        _bars(verbose),
    ):
        path = Path(temporary) / "model"
        write_folder(path, folder)
        api = _api(hub, token)
        if head is None:
            api.create_repo(where.repo, private=private)
        done = api.upload_folder(
            repo_id=where.repo,
            folder_path=path,
            commit_message=f"A model of codeword {__version__}",
            delete_patterns=list(MODEL_FILES),
            parent_commit=head,
        )
    return str(replace(where, revision=done.oid))


def _card(folder: Folder, where: Address, evaluated: Evaluated | None, license: str) -> str:
    place = Place(str(where), where.repo.split("/")[1], kept(folder), license, front=True)
    return model_card(folder.config, folder.history, columns=folder.columns, evaluated=evaluated, place=place)


# -- what they share ----------------------------------------------------------------------------------------


def _is_name(text: str) -> bool:
    """As the Hub has it: no '-' or '.' at either end, and neither of '--' and '..' inside."""
    return text[0] not in "-." and text[-1] not in "-." and "--" not in text and ".." not in text


def _library(where: Address) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise InputError(
            f'{where} needs huggingface_hub, which is not installed: pip install "codeword[hub]"'
        ) from None
    return huggingface_hub


def _api(hub: Any, token: str | None) -> Any:
    return hub.HfApi(token=token, library_name="codeword", library_version=__version__)


@contextmanager
def _bars(verbose: bool) -> Iterator[None]:
    """Bars of huggingface_hub, off where there is no terminal."""
    utils: Any = importlib.import_module("huggingface_hub.utils")
    change = not (verbose and sys.stderr.isatty()) and not utils.are_progress_bars_disabled()
    if change:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        if change:
            utils.enable_progress_bars()


def _checked(where: Address, hub: Any, token: str | None, kind: type[InputError]) -> str | None:
    """A token that was given, without the line break that it came out of a file with."""
    token = (token or "").strip() or None
    known = token or hub.get_token() or ""
    if not (known.isascii() and known.isprintable()) or " " in known:
        raise kind(f"{where} cannot be reached: the token holds characters that no token has; {SIGN_IN}")
    return token


def _status(error: BaseException | None) -> int | None:
    """What the Hub answered, if it was that: huggingface_hub may tell of a file that is not there instead."""
    while error is not None:
        found: int | None = getattr(getattr(error, "response", None), "status_code", None)
        if found is not None:
            return found
        error = error.__cause__
    return None


@contextmanager
def _in_words(where: Address, done: str, kind: type[InputError]) -> Iterator[None]:
    """One line for whatever the Hub, the network or the disk has to say."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RevisionNotFoundError

    transport: Any = HfHubHTTPError.__bases__  # the errors of httpx or, until 1.0, requests
    try:
        yield
    except RevisionNotFoundError:
        raise kind(f"{where}: the repository has no such revision; leave it out for the newest") from None
    except GatedRepoError:
        raise kind(
            f"{where} cannot be {done}: its owner grants access to those who ask at the Hub; then {SIGN_IN}"
        ) from None
    except (*transport, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        if _status(error) is not None:
            raise kind(f"{where} cannot be {done}: {_reason(error)}") from None
        raise kind(
            f"{where} cannot be {done} ({_line(error.__cause__ or error)}): it takes a network, and room on "
            "the disk"
        ) from None


def _reason(error: Exception) -> str:
    status = _status(error) or 0
    look = f"look at its name; if it is private, {SIGN_IN}"
    if status == 404:
        return f"there is no such repository; {look}"
    if status == 401:
        return f"there is no such repository, or the token is not valid; {look}"
    if status == 403:
        return f"the token has no right to do that: {WRITE_TOKEN}"
    if status in (409, 412):
        return "it was changed meanwhile, or it is there and this token may not see it: try again"
    if status >= 500:
        return f"the Hub answered {status}; try again later"
    return f"the Hub answered {status} ({_line(error)})"


def _line(error: BaseException) -> str:
    """The first words of an error, without a token, addresses of requests and what else follows."""
    lines = re.sub(r"Bearer\s+\S+|\bhf_\w+", "…", str(error)).split("\n")
    return next((line.strip()[:150] for line in lines if line.strip()), type(error).__name__)
