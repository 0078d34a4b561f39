"""The rules of the house that a machine can hold."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import codeword

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "codeword"

# A module imports only from rows above its own; those on one row do not import each other.
LAYERS = """
    errors
    files
    data.common data.blocks progress distributed products
    data.cells
    data.idx data.images data.tables data.parts data.scaling
    data.named data.mixed
    data.readers
    data
    baseline
    plots.style
    plots.kinds plots.grid plots.cells
    plots.reconstructions plots.samples plots.maps plots.history plots.comparison
    networks.base
    networks.mlp networks.conv networks.pairs
    networks
    objectives.layout
    objectives.base
    objectives.plain objectives.probabilistic objectives.variational objectives.quantized objectives.nested
    objectives
    columns.types
    columns.column
    columns.preprocessing columns.told
    columns.table
    columns.cells
    columns
    dense
    batches steps
    threads
    modelfolder parameters options outputs
    repeat
    modelcard
    checkpoint
    training
    settings rows reference rarity conformal hub
    saving passes generation
    special
    estimator
    evaluation.codecs evaluation.labels
    evaluation.reconstruction evaluation.views evaluation.labelled
    evaluation.latent evaluation.table
    evaluation.judging
    mapping nearest evaluation plots scoring
    detection
    comparison.choice comparison.folder comparison.judging
    comparison.outcome
    comparison.runs
    comparison
    pages.views pages.components pages.decoder
    pages.content
    pages.words
    pages.page pages.uploads
    pages.report pages.explorer
    pages.server
    pages
    showing tabular
    export.points export.pictures export.graphs
    export.parquet export.projector export.onnx
    export
    fleet.places
    fleet.job
    fleet.encoder
    fleet.engine
    fleet.run
    fleet
    demo
    commands.common
    commands.learn commands.codes commands.judge commands.detect commands.uses commands.choose commands.pages
    commands.export commands.share
    commands
    cli
"""
ROW = {module: row for row, line in enumerate(LAYERS.split("\n")) for module in line.split()}

# They take plain arrays, or anything with transform and inverse_transform: PCA goes through the same code.
SHOWS_OR_JUDGES = ("mapping", "evaluation", "plots")
OURS = ("networks", "objectives", "steps", "training", "modelfolder", "estimator")

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

MOST_LINES = 450
# Above the limit today, and no longer than this; a file that has come below it leaves the table.
TOO_LONG: dict[str, int] = {}

RUNS_CODE = {"eval", "exec", "compile", "__import__"}
RUNS_WHAT_IT_READS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def module_name(path: Path) -> str:
    """`data.idx` of `src/codeword/data/idx.py`; "" of the package's own `__init__.py`."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in sorted(SRC.rglob("*.py"))}
INSIDE = sorted(set(MODULES) - {""})


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"))


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Line and name of each module of ours that is imported, wherever in the file the import stands."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}, line {node.lineno}: a relative import; write it out"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first == "codeword" and rest != "__version__":
                while rest and rest not in MODULES:  # from the name in a module to the module
                    rest = rest.rpartition(".")[0]
                yield node.lineno, rest


def documented(module: str) -> Iterator[tuple[str, ast.AST]]:
    """Name and definition of each public function, class and method; a property may speak for itself."""
    for node in tree(module).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in exported(module):
            yield node.name, node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if (
                    isinstance(inner, ast.FunctionDef)
                    and not inner.name.startswith("_")
                    and "property" not in map(ast.unparse, inner.decorator_list)
                ):
                    yield f"{node.name}.{inner.name}", inner


def exported(module: str) -> list[str]:
    for node in tree(module).body:
        named = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if getattr(named, "id", "") == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    pytest.fail(f"{module} has no __all__: list its public names, or [] for none")


# -- layers -----------------------------------------------------------------------------------------------


def test_every_module_has_its_place():
    unknown = sorted(set(INSIDE) - set(ROW))
    assert not unknown, f"new modules: place {unknown} in LAYERS of tests/test_house.py"


@pytest.mark.parametrize("module", INSIDE)
def test_imports_go_one_way(module):
    if module not in ROW:
        pytest.fail(f"place {module!r} in LAYERS of tests/test_house.py")
    for line, other in imports(module):
        where = f"{module}, line {line}"
        assert other, f"{where}: import from the module itself, not from the public face of codeword"
        assert ROW.get(other, len(ROW)) < ROW[module], f"{where}: {other} is not above {module} in LAYERS"


@pytest.mark.parametrize("module", [m for m in INSIDE if m.partition(".")[0] in SHOWS_OR_JUDGES])
def test_what_shows_or_judges_takes_plain_arrays(module):
    assert not {other.split(".")[0] for _, other in imports(module)} & set(OURS)


# -- the public face --------------------------------------------------------------------------------------


def test_public_names_are_the_contract():
    assert sorted(codeword.__all__) == PUBLIC
    assert dir(codeword) == sorted([*PUBLIC, "__version__"])
    for name in PUBLIC:
        home = importlib.import_module(f"codeword.{codeword._HOME[name]}")
        assert getattr(codeword, name) is getattr(home, name)
        assert name in home.__all__
    with pytest.raises(AttributeError, match="no attribute 'Autoencoder'"):
        codeword.Autoencoder  # noqa: B018


@pytest.mark.parametrize("module", ["codeword", "codeword.cli"])
def test_importing_loads_nothing_heavy(module):
    """Names come when they are used, and `codeword --help` does not wait for torch."""
    heavy = ["torch", "sklearn", "matplotlib", "pandas", "scipy", "pyarrow", "openTSNE", "pooch"]
    code = f"import {module}, sys; print(*(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_version_is_written_alike():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert codeword.__version__ == project["version"]


# -- the source -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_opening_a_file_runs_no_code(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & RUNS_WHAT_IT_READS, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in RUNS_WHAT_IT_READS, node.lineno
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in RUNS_CODE | {"torch.load", "pd.read_pickle"}, f"line {node.lineno}: {called}"
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle":
                    assert ast.unparse(keyword.value) == "False", f"line {node.lineno}: allow_pickle"


@pytest.mark.parametrize("module", INSIDE)
def test_what_is_public_is_documented(module):
    assert ast.get_docstring(tree(module)), f"{module} does not say what it is"
    bare = [name for name, node in documented(module) if not ast.get_docstring(node)]
    assert not bare, f"without a docstring in {module}: {bare}"


@pytest.mark.parametrize("module", MODULES)
def test_files_stay_short(module):
    lines = len(MODULES[module].read_text("utf-8").splitlines())
    most = TOO_LONG.get(module, MOST_LINES)
    assert lines <= most, f"{module} has {lines} lines, more than {most}: split it along its seams"
    if module in TOO_LONG:
        assert lines > MOST_LINES, f"{module} is short enough now: take it out of TOO_LONG"


# -- scripts ----------------------------------------------------------------------------------------------

SCRIPTS = sorted(
    path for folder in ("scripts", ".ci") for path in (ROOT / folder).iterdir() if path.is_file()
)


@pytest.mark.skipif(os.name == "nt", reason="POSIX shell")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_posix_shell(script):
    text = script.read_text("utf-8")
    subprocess.run(["sh", "-n", str(script)], check=True)
    if text.startswith("#!"):
        assert text.startswith("#!/bin/sh\nset -eu\n") or "\nset -eu\n" in text
        assert text.splitlines()[0] == "#!/bin/sh"
        assert os.access(script, os.X_OK), f"chmod +x {script.name}"
    else:
        assert "Sourced" in text.splitlines()[0], f"{script.name} has no #!/bin/sh"


def test_ci_runs_what_people_run():
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert {"scripts/check", "scripts/test", "scripts/docs", "scripts/supply"} <= set(lines)
    assert any(line.startswith("scripts/hard ") for line in lines)
    named = {"scripts/demo", "scripts/test", "scripts/check"}
    assert named <= {f"scripts/{path.name}" for path in SCRIPTS}
