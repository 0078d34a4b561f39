"""What goes wrong, by whose hand.

Every message is one line: what was wrong, where, what was expected, what to do.

::

    CodewordError
    ├── InputError (also a ValueError)        the caller's mistake; the command line exits with 2
    │   ├── DataError                         a source that cannot be read as rows of numbers
    │   ├── ParameterError                    a parameter or option with a value it cannot have
    │   └── ModelError                        a model folder that is missing, damaged or does not fit
    ├── DownloadError (also an OSError)       a named data set that could not be fetched
    └── TrainingError (also a RuntimeError)   training that cannot go on
"""


class CodewordError(Exception):
    """Whatever `codeword` raises on purpose."""


class InputError(CodewordError, ValueError):
    """What the caller gave cannot be used as it is."""


class DataError(InputError):
    """A source cannot be read as rows of numbers, or rows do not fit the model."""


class ParameterError(InputError):
    """A parameter has a value it cannot have."""


class ModelError(InputError):
    """A model folder is missing, damaged, or does not fit the code that opens it."""


class DownloadError(CodewordError, OSError):
    """A named data set is neither on this machine nor could be fetched."""


class TrainingError(CodewordError, RuntimeError):
    """Training cannot go on; the estimator is as it was before."""


def expected(name: str, owner: str, what: str, got: object) -> ParameterError:
    """The error that says what a parameter of a function or class must be, and what was given."""
    return ParameterError(f"The {name!r} parameter of {owner} must be {what}. Got {got!r} instead.")


def check_parameter(owner: object, name: str, good: bool, what: str) -> None:
    """Raise a ParameterError that says what a parameter of `owner` has to be, unless it is `good`."""
    if not good:
        raise expected(name, type(owner).__name__, what, getattr(owner, name))


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, the machine's or a GPU's, has run out: it is nobody's damage."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error))
