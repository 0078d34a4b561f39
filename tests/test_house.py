"""The rules of the house that a machine can hold: a test a rule, and each names all offenders."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import codeword

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "codeword"

# A package imports only from rows below its own.
ROWS = """
    cli
    pages export
    tasks
    model
    training
    objectives
    networks plots
    data
    base
"""
ROW = {package: row for row, line in enumerate(reversed(ROWS.split("\n"))) for package in line.split()}

PUBLIC = [
    "Adversarial",
    "AutoEncoder",
    "CodewordError",
    "Columns",
    "Contractive",
    "Conv",
    "Data",
    "Denoising",
    "MLP",
    "Masked",
    "Nested",
    "OutlierDetector",
    "PRESETS",
    "Reconstruction",
    "Regularized",
    "Residual",
    "Sequence",
    "Sparse",
    "Variational",
    "VectorQuantized",
    "Wasserstein",
    "compare",
    "evaluate",
    "interpolate",
    "load",
    "map_codes",
    "neighbors",
    "traverse",
]

RUNS_CODE = {"eval", "exec", "compile", "__import__", "torch.load", "pd.read_pickle"}
RUNS_WHAT_IT_READS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}

TREES = {
    path.relative_to(SRC).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted(SRC.rglob("*.py"))
}


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of whatever is imported, wherever in the file the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def test_a_package_imports_only_from_rows_below_its_own():
    wrong = []
    for file, tree in TREES.items():
        package = file.partition("/")[0]
        if package == "__init__.py":  # the public names, imported when they are first used
            continue
        for line, name in imported(tree):
            first, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if name.startswith(".") or (
                first == "codeword" and other != package and ROW.get(other, len(ROW)) >= ROW.get(package, -1)
            ):
                wrong.append(f"{file}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_public_names_are_the_contract():
    assert sorted(codeword.__all__) == PUBLIC
    assert dir(codeword) == sorted([*PUBLIC, "__version__"])
    for name in PUBLIC:
        home = importlib.import_module(f"codeword.{codeword._HOME[name]}")
        assert getattr(codeword, name) is getattr(home, name)
    with pytest.raises(AttributeError, match="no attribute 'Autoencoder'"):
        codeword.Autoencoder  # noqa: B018
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert codeword.__version__ == project["version"]


@pytest.mark.parametrize("module", ["codeword", "codeword.cli.main"])
def test_importing_loads_nothing_heavy(module):
    """Names come when they are used, and `codeword --help` does not wait for torch."""
    heavy = ["torch", "sklearn", "matplotlib", "pandas", "scipy", "pyarrow", "openTSNE", "pooch"]
    code = f"import {module}, sys; print(*(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_opening_a_file_runs_no_code():
    wrong = []
    for file, tree in TREES.items():
        wrong += [
            f"{file}:{line} imports {name}"
            for line, name in imported(tree)
            if name.partition(".")[0] in RUNS_WHAT_IT_READS
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                pickled = any(
                    k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords
                )
                if pickled or ast.unparse(node.func) in RUNS_CODE:
                    wrong.append(f"{file}:{node.lineno} {ast.unparse(node.func)}")
    assert not wrong, "\n".join(wrong)


def test_every_module_says_what_it_is():
    assert not [file for file, tree in TREES.items() if not ast.get_docstring(tree)]


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
def test_scripts_are_posix_shell_and_stop_at_the_first_error():
    for script in [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"]:
        subprocess.run(["sh", "-n", str(script)], check=True)
        text = script.read_text("utf-8")
        assert "Sourced" in text or (text.startswith("#!/bin/sh\n") and "\nset -eu\n" in text), script.name
        assert "Sourced" in text or os.access(script, os.X_OK), f"chmod +x {script.name}"
