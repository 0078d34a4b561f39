"""The pages of docs/: their code runs, what they show is what is printed, and the site has them all."""

from __future__ import annotations

import ast
import contextlib
import functools
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from blocks import KINDS, blocks_of, matches, run_page

from codeword import AutoEncoder
from codeword.model.parameters import convert, parameters
from codeword.objectives import OBJECTIVES, resolve_objective

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WITH_CODE = [page for page in PAGES if blocks_of(page)]


class _Config(yaml.SafeLoader):
    """mkdocs.yml, without what its tags would run."""


def nav(entry) -> list[str]:
    """The pages of a navigation, at any depth."""
    if isinstance(entry, str):
        return [entry]
    return [page for inner in (entry if isinstance(entry, list) else entry.values()) for page in nav(inner)]


@pytest.mark.parametrize("page", [p for p in WITH_CODE if p.stem != "follow"], ids=lambda page: page.stem)
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page)


def test_what_cannot_run_is_rare_and_says_so():
    for page in WITH_CODE:
        blocks = blocks_of(page)
        assert {block.language for block in blocks} <= KINDS, page.name
        stand_still = sum(block.language == "console" for block in blocks)
        assert stand_still <= 2, f"{page.name}: {stand_still} blocks that no test runs"


def test_a_page_that_shows_something_else_is_noticed():
    assert matches("error 0.0105, kept 85.4%\n", "error 0.0107,  kept 85.1%\n")
    assert not matches("error 0.0105\n", "error 0.0135\n")
    assert not matches("error 0.0105\n", "errors 0.0105\n")
    assert not matches("8 numbers\n", "9 numbers\n")
    assert matches("a\n…\nz …\n", "a\nb\nc\nz 3\n")
    assert not matches("a\n…\nz\n", "a\nb\n")
    assert matches('{"n": 9, "outliers": …, "k": 2}', '{"n": 9, "outliers": 19, "k": 2}')
    assert not matches('{"n": 9, "outliers": …, "k": 2}', '{"n": 9, "outliers": 19; "k": 2}')
    assert not matches("a\n", "a\nb\n")


def test_every_page_is_on_the_site():
    """mkdocs says so too, as an error; here it takes no build."""
    config = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), _Config)
    listed = nav(config["nav"])
    assert len(listed) == len(set(listed))
    ours = {page.relative_to(DOCS).as_posix() for page in PAGES}
    notebooks = {f"notebooks/{script.stem}.md" for script in (ROOT / "notebooks").glob("*.py")}
    assert ours | notebooks | {"benchmarks.md", "changes.md", "api/commands.md"} == set(listed)
    assert len(notebooks) == 3


def test_pages_are_short_and_lead_on():
    for page in WITH_CODE:
        typed = [block for block in blocks_of(page) if block.language in ("python", "sh", "console")]
        for block in typed:
            assert max(map(len, block.code.splitlines())) <= 98, (
                f"{block.where}: a line does not fit the page"
            )
        text = page.read_text("utf-8")
        assert len(text.splitlines()) < 400, page.name
        if page.stem not in ("index", "scale", "reliability"):
            assert "\n**Next:** " in text, f"{page.name} does not say where to go next"


def test_every_objective_has_its_section():
    """Its equation, its paper, its picture, and how to ask for it in both ways."""
    text = (DOCS / "objectives.md").read_text("utf-8")
    sections = dict(re.findall(r"^## ([A-Z]\w+)[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    for name, kind in OBJECTIVES.items():
        section = sections[kind.__name__]
        assert "\n$$\n" in section, name
        assert re.search(r"\*\*Paper:?\*\*", section), name
        assert f"images/objectives/{name}.png" in section, name
        assert f"--objective {name}" in section or f"--objective '{name}" in section, name
        assert f'"{name}"' in section or f"{kind.__name__}(" in section, name
        assert "Not for" in section or "not for" in section, name


def test_objectives_can_be_asked_for_as_the_page_says():
    text = (DOCS / "objectives.md").read_text("utf-8")
    objective = next(parameter for parameter in parameters() if parameter.name == "objective")
    typed = re.findall(r"--objective (?:'([^']+)'|(\w+))", text)
    assert len(typed) >= len(OBJECTIVES)
    assert {type(resolve_objective(convert(objective, a or b))) for a, b in typed} == set(OBJECTIVES.values())
    names = {kind.__name__: kind for kind in OBJECTIVES.values()}
    for written in re.findall(r"objective=(\w+\(.*?\))\)?[`,]", text):
        eval(written, names).check()


def test_pictures_of_objectives_are_light_and_drawn_by_a_script():
    script = ast.parse((DOCS / "tools" / "objectives.py").read_text("utf-8"))
    functions = {node.name for node in script.body if isinstance(node, ast.FunctionDef)}
    pictures = sorted((DOCS / "images" / "objectives").glob("*"))
    assert {picture.stem for picture in pictures} == set(OBJECTIVES)
    for picture in pictures:
        assert picture.stem in functions
        assert picture.stat().st_size <= 30_000, picture.name


def test_pictures_of_objectives_can_be_drawn_again(monkeypatch):
    """Each of them, of models that are hardly trained, and one twice: the same to the pixel."""
    monkeypatch.syspath_prepend(str(DOCS / "tools"))
    import objectives

    trained = functools.partial(objectives.model, epochs=1)
    monkeypatch.setattr(objectives, "model", trained)
    assert set(objectives.PICTURES) == set(OBJECTIVES)
    for draw in objectives.PICTURES.values():
        pixels(draw())
    draw = objectives.PICTURES["nested"]
    assert np.array_equal(pixels(draw()), pixels(draw()))


def pixels(figure):
    """What a figure looks like."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def test_equations_become_drawings(monkeypatch):
    """Each one in the pages can be set, in the color of the text, with its TeX for who cannot see it."""
    monkeypatch.syspath_prepend(str(DOCS / "tools"))
    from equations import EQUATION, with_equations

    count = 0
    for page in PAGES:
        text = page.read_text("utf-8")
        drawn = with_equations(text)
        count += len(EQUATION.findall(text))
        assert drawn.count('role="img"') == len(EQUATION.findall(text))
        assert "$$" not in drawn
    assert count >= len(OBJECTIVES)
    one = with_equations("$$\n\\hat{x} = g(f(x))\n$$")
    assert 'aria-label="\\hat{x} = g(f(x))"' in one
    assert 'fill="currentColor"' in one


def test_notebooks_are_scripts_without_outputs():
    for script in sorted((ROOT / "notebooks").iterdir()):
        assert script.suffix == ".py", f"{script.name}: notebooks are kept as jupytext's py:percent"
        text = script.read_text("utf-8")
        assert "format_name: percent" in text
        assert text.count("# %% [markdown]") >= 4


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """What is left of running tracking.md: its names, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("follow")
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy")  # mlflow's, of sqlalchemy
        return run_page(DOCS / "tracking.md"), folder


def test_follow_a_run_with_tensorboard(followed):
    """What the recipe wrote, read back by TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    names, folder = followed
    events = EventAccumulator(str(folder / "runs" / "variational"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train_loss", "validation_loss", "error", "kl", "seconds"}
    for name in ("train_loss", "validation_loss", "kl"):
        assert [event.step for event in events.Scalars(name)] == [1, 2, 3, 4, 5]
        written = [event.value for event in events.Scalars(name)]
        assert written == pytest.approx([row[name] for row in names["vae"].history_], rel=1e-6)


def test_follow_a_run_with_mlflow(followed, tmp_path, digits):
    """What the recipe logged, read back by MLflow: metrics by epoch, parameters, and a model that opens."""
    import mlflow

    names, folder = followed
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    run_id = names["run"].info.run_id
    kept = client.get_run(run_id)
    assert kept.info.status == "FINISHED"
    assert kept.data.params["n_components"] == "8"
    assert 0 < kept.data.metrics["test_mse"] < 0.03
    losses = [(m.step, m.value) for m in client.get_metric_history(run_id, "validation_loss")]
    assert losses == [(row["epoch"], row["validation_loss"]) for row in names["ae"].history_]
    again = AutoEncoder.load(client.download_artifacts(run_id, "model", str(tmp_path)))
    assert again.score(digits.x) == names["ae"].score(digits.x)
