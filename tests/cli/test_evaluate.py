"""`codeword evaluate`: its JSON, its table, and one line for whatever is wrong with labels."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from codeword import evaluate, load
from codeword.cli.main import run

KEYS = [
    "n", "k", "mse", "pca_mse", "explained_variance", "pca_explained_variance",
    "worst_decile_mse", "pca_worst_decile_mse", "trustworthiness", "pca_trustworthiness", "latent",
    "labeled_rows", "unlabeled", "reference_rows", "classes",
    "knn_accuracy", "pca_knn_accuracy", "raw_knn_accuracy",
    "linear_accuracy", "pca_linear_accuracy", "raw_linear_accuracy",
    "clustering", "pca_clustering", "raw_clustering", "mixture", "pca_mixture", "raw_mixture",
]  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    """(40, 8, 8) held-out digits and their labels."""
    digits = load("digits", "test")
    return digits.x[:40], digits.y[:40] % 2


@pytest.fixture
def do(capsys, saved_model):
    """Evaluate; what was put on standard output."""

    def command(*words):
        code = run(["evaluate", str(saved_model), *(str(word) for word in words), "--device", "cpu"])
        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        return out

    return command


@pytest.fixture
def refused(capsys, saved_model):
    """Evaluate what must be refused in one line; the line."""

    def command(*words):
        assert run(["evaluate", str(saved_model), *(str(word) for word in words)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("codeword: error: ")
        assert len(err) < 300
        return err

    return command


# -- JSON ---------------------------------------------------------------------------------------------------


def test_the_keys_of_json_are_stable(do, model):
    test = load("digits", "test")
    with_labels = json.loads(do("digits", "--json"))
    without = json.loads(do("digits", "--no-labels", "--json"))
    assert list(with_labels) == list(without) == KEYS
    assert list(with_labels["clustering"]) == ["accuracy", "nmi", "ari"]
    assert with_labels == evaluate(model, test.x, test.y)
    assert without == evaluate(model, test.x)


def test_a_reference_is_another_source(do, model, digits):
    test = load("digits", "test")
    facts = json.loads(do("digits", "--reference", "digits", "--json"))
    assert facts == evaluate(model, test.x, test.y, reference=digits)


def test_the_part_of_a_folder_is_named(do, rows):
    for part in ("train", "test"):
        os.makedirs(f"parts/{part}")
        np.save(f"parts/{part}/x.npy", rows[0])
    assert do("parts").startswith("parts (test): 40 rows")
    assert do("parts/train").startswith("parts/train: 40 rows")


def test_labels_may_come_from_a_column(do, rows):
    x, y = rows
    frame = pd.DataFrame(x.reshape(40, -1), columns=[f"p{i}" for i in range(64)])
    frame.assign(parity=np.array(["even", "odd"])[y]).to_csv("t.csv", index=False)
    facts = json.loads(do("t.csv", "--label-column", "parity", "--json"))
    assert (facts["classes"], facts["labeled_rows"]) == (2, 40)


@pytest.mark.parametrize("name", ["y.npy", "column.npy", "y.txt", "y.csv", "heading.csv", "y.tsv", "y.idx"])
def test_labels_may_come_from_a_file(do, rows, name, model):
    x, y = rows
    np.save("x.npy", x)
    words = "\n".join(["odd" if one else "even" for one in y])
    np.save("y.npy", y)
    np.save("column.npy", y[:, None])
    for text, heading in (("y.txt", ""), ("y.csv", ""), ("heading.csv", "parity\n"), ("y.tsv", "")):
        with open(text, "w", encoding="utf-8") as file:
            file.write(heading + words + "\n")
    with open("y.idx", "wb") as file:
        file.write(bytes([0, 0, 8, 1, 0, 0, 0, 40]) + y.astype(np.uint8).tobytes())
    facts = json.loads(do("x.npy", "--labels", name, "--json"))
    assert facts == evaluate(model, x, y)
    assert facts["classes"] == 2


def test_a_reference_may_have_its_labels_in_a_file(do, rows, model):
    x, y = rows
    for name, part in (("test", slice(0, 20)), ("train", slice(20, 40))):
        np.save(f"{name}.npy", x[part])
        np.save(f"{name}-labels.npy", y[part])
    said = do(
        "test.npy", "--labels", "test-labels.npy", "--reference", "train.npy",
        "--reference-labels", "train-labels.npy", "--json",
    )  # fmt: skip
    assert json.loads(said) == evaluate(model, x[:20], y[:20], reference=(x[20:], y[20:]))


def test_an_empty_line_is_a_missing_label(do, rows):
    x, y = rows
    np.save("x.npy", x)
    with open("y.txt", "w", encoding="utf-8") as file:
        file.writelines("\n" if i in (3, 39) else f'"class {one}"\n' for i, one in enumerate(y))
    facts = json.loads(do("x.npy", "--labels", "y.txt", "--json"))
    assert (facts["labeled_rows"], facts["unlabeled"], facts["classes"]) == (38, 2, 2)


# -- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros(39, int), "y.npy has 39 labels, and there are 40 rows: give one label for each row"),
        (np.zeros((40, 2)), "y.npy has the shape (40, 2), and there are 40 rows"),
        (np.zeros(40, int), "one class only, '0', in all 40 rows: at least two are needed; pass --no-labels"),
        (np.arange(40), "40 different values in 40 rows (0, 1, 2 and 37 more), more than 20"),
        (np.full(40, np.nan), "all 40 labels are missing: give some, or pass --no-labels"),
        (
            np.where(np.arange(40) < 9, np.arange(40) % 2, np.nan),
            "there are 9 labeled rows, fewer than 10: 5 nearest neighbors in cross-validation need as "
            "many; give more, or --reference SOURCE, or pass --no-labels",
        ),
    ],
)
def test_labels_that_cannot_be_judged_are_refused(refused, rows, y, said):
    np.save("x.npy", rows[0])
    np.save("y.npy", y)
    assert said in refused("x.npy", "--labels", "y.npy")


def test_label_files_that_cannot_be_read_are_refused(refused, rows):
    np.save("x.npy", rows[0])
    assert "there is no file no.txt with labels" in refused("x.npy", "--labels", "no.txt")
    with open("two.csv", "w", encoding="utf-8") as file:
        file.write("a,b\n" * 40)
    assert "two.csv: line 1 has several cells: expected one label a line" in refused(
        "x.npy", "--labels", "two.csv"
    )
    with open("y.xlsx", "wb") as file:
        file.write(b"PK")
    assert "give labels as .npy, .csv, .tsv, .txt or IDX" in refused("x.npy", "--labels", "y.xlsx")
    with open("y.txt", "wb") as file:
        file.write(b"\xff\xfe" * 40)
    assert "y.txt cannot be read as labels" in refused("x.npy", "--labels", "y.txt")
    np.save("y.npy", np.array([None] * 40, dtype=object))
    assert "y.npy cannot be read as labels" in refused("x.npy", "--labels", "y.npy")


def test_an_unlabeled_source_where_labels_are_needed_is_refused(refused, rows):
    x, y = rows
    np.save("x.npy", x)
    np.savez("labeled.npz", x=x[::-1] * 0.9, y=y[::-1])
    assert "--reference needs labels, and x.npy has none" in refused("x.npy", "--reference", "labeled.npz")
    assert "--reference x.npy has no labels" in refused("labeled.npz", "--reference", "x.npy")
    np.savez("few.npz", x=x[:4], y=y[:4])
    assert "4 labeled rows, fewer than the 5 nearest" in refused("labeled.npz", "--reference", "few.npz")
    said = refused("labeled.npz", "--reference", "labeled.npz")
    assert "the reference is the 40 rows that are judged" in said


def test_options_that_contradict_each_other_are_refused(refused):
    assert "--no-labels leaves labels out, and --labels asks" in refused(
        "digits", "--no-labels", "--labels", "y"
    )
    assert "--reference asks" in refused("digits", "--no-labels", "--reference", "digits")
    assert "--reference-labels are labels of --reference" in refused("digits", "--reference-labels", "y.npy")


def test_a_reference_that_does_not_fit_the_model_is_refused(refused, rows):
    np.savez("flat.npz", x=np.zeros((40, 5)), y=rows[1])
    assert "fitted on shape (8, 8)" in refused("digits", "--reference", "flat.npz")


# -- the table ----------------------------------------------------------------------------------------------


def test_evaluate_sets_pca_beside_the_model(do, model):
    facts = json.loads(do("digits", "--json"))
    assert facts.keys() >= {"n", "k", "mse", "pca_mse"}
    assert (facts["n"], facts["k"]) == (359, 5)
    assert facts["mse"] == pytest.approx(-model.score(load("digits", "test").x), rel=1e-5)
    out = do("digits")
    assert f"{facts['mse']:.5g}" in out
    assert f"{facts['pca_mse']:.5g}" in out
    assert "digits (test): 359 rows" in out
    assert "PCA" in out.splitlines()[-1]


def test_the_table_fits_a_terminal(do, capsys):
    for words in (["--reference", "digits"], []):
        lines = do("digits", *words).splitlines()
        assert max(map(len, lines)) <= 80
        assert not any(line != line.rstrip() for line in lines)
    assert "learned from" not in "\n".join(lines)
