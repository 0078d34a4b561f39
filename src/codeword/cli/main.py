"""The command line: thin commands over the library, and one line for whatever goes wrong."""

from __future__ import annotations

import gc
import io
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from codeword.base.errors import CodewordError, InputError
from codeword.cli.app import Interrupted, app
from codeword.model.parameters import parameters

COMMANDS = (
    *("demo", "train", "encode", "decode", "reconstruct", "map", "evaluate", "score"),
    *("sample", "interpolate", "traverse", "neighbors", "compare", "report", "explore"),
    *("export", "push", "info"),
)
for name in COMMANDS:  # a module puts its command into the application, and help lists them in this order
    import_module(f"codeword.cli.{name}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 failed, 2 bad usage or bad input, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a pipe of another encoding has no arrow; a name need not be text at all.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = run(arguments)
    if sys.stdout is not None:  # a service may have none
        sys.stdout.flush()
    os._exit(code)  # all is written: to take torch apart, module by module, costs most of a second


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. Whatever goes wrong is one line on standard error."""
    # Threads that spin for long hold the core that the one they wait for needs. Read as torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    # Importing makes half a million objects that stay: to look through them again and again is half a second.
    gc.set_threshold(100_000, 20, 20)
    try:
        code = app(args=arguments, prog_name="codeword", standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C, without a word
            return _fail("interrupted", 130)
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:
        context: typer.Context | None = getattr(error, "ctx", None)
        name = "codeword" if context is None else context.command_path
        message = error.format_message().replace("Value error, ", "").rstrip(".")
        return _fail(f"{message}; see `{name} --help`", 2)
    except CodewordError as error:
        return _fail(_in_options(str(error)), 2 if isinstance(error, InputError) else 1)
    except Interrupted as stop:
        return _fail(str(stop), 130)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except BrokenPipeError:
        return 1
    except (OSError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        return _fail(f"out of memory ({str(error).splitlines()[0]})", 1)


def _fail(text: str, code: int) -> int:
    print(f"codeword: error: {' '.join(text.split())}", file=sys.stderr)
    return code


# -- messages for who writes Python, in the words of the command line ---------------------------------------

PARAMETER = re.compile(r"The '(\w+)' parameter(?: of (?:[a-z_]+|AutoEncoder|OutlierDetector)\b|(?! of ))")
"""Parameters of functions and of these two classes are options, and those of a network are not."""

REPLACED = {
    "--objectives": "--objective",
    "--kinds": "--kind",
    "category, leave out": "category, leave-out",
    "judge without labels": "pass --no-labels",
    "or judge without": "or pass --no-labels",
    "or a reference to learn from": "or --reference SOURCE",
    "the labels of x": "the labels",
    "labels of x": "labels",
}


def _in_options(text: str) -> str:
    options = {p.name: p.option for p in parameters()}
    text = PARAMETER.sub(lambda m: f"--{m[1].replace('_', '-')}", text)
    text = re.sub(r"\b\w+=\w* \((--[^)]+)\)", r"\1", text)  # said in both ways: resume=True (--resume)
    text = re.sub(r"\b(\w+)='(\w+)'", lambda m: f"{options[m[1]]} {m[2]}" if m[1] in options else m[0], text)
    for in_python, instead in REPLACED.items():
        text = text.replace(in_python, instead)
    return text
