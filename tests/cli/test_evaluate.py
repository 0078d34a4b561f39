"""`codeword evaluate`: its JSON, its table, and one line for whatever is wrong with labels."""

import json

import numpy as np
import pandas as pd
import pytest

from codeword import evaluate, load
from codeword.cli.main import run
from codeword.data.labels import read_label_file
from codeword.tasks.text import evaluation_table

KEYS = [
    "n", "k", "mse", "pca_mse", "explained_variance", "pca_explained_variance",
    "worst_decile_mse", "pca_worst_decile_mse", "trustworthiness", "pca_trustworthiness", "latent",
    "labelled_rows", "unlabelled", "reference_rows", "classes",
    "knn_accuracy", "pca_knn_accuracy", "raw_knn_accuracy",
    "linear_accuracy", "pca_linear_accuracy", "raw_linear_accuracy",
    "clustering", "pca_clustering", "raw_clustering", "mixture", "pca_mixture", "raw_mixture",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Every command runs in an empty folder, eighty columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


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
    figures = json.loads(do("digits", "--reference", "digits", "--json"))
    assert figures == evaluate(model, test.x, test.y, reference=digits)


def test_labels_may_come_from_a_column(do, rows):
    x, y = rows
    frame = pd.DataFrame(x.reshape(40, -1), columns=[f"p{i}" for i in range(64)])
    frame.assign(parity=np.array(["even", "odd"])[y]).to_csv("t.csv", index=False)
    figures = json.loads(do("t.csv", "--label-column", "parity", "--json"))
    assert (figures["classes"], figures["labelled_rows"]) == (2, 40)


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
    figures = json.loads(do("x.npy", "--labels", name, "--json"))
    assert figures == evaluate(model, x, y)
    assert figures["classes"] == 2


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
    figures = json.loads(do("x.npy", "--labels", "y.txt", "--json"))
    assert (figures["labelled_rows"], figures["unlabelled"], figures["classes"]) == (38, 2, 2)


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
            "there are 9 labelled rows, fewer than 10: 5 nearest neighbors in cross-validation need as "
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
    assert "two.csv: line 1 has 2 cells: expected one label a line" in refused("x.npy", "--labels", "two.csv")
    with open("y.xlsx", "wb") as file:
        file.write(b"PK")
    assert "give labels as .npy, .csv, .tsv, .txt or IDX" in refused("x.npy", "--labels", "y.xlsx")
    with open("y.txt", "wb") as file:
        file.write(b"\xff\xfe" * 40)
    assert "y.txt cannot be read as labels" in refused("x.npy", "--labels", "y.txt")
    np.save("y.npy", np.array([None] * 40, dtype=object))
    assert "y.npy cannot be read as labels" in refused("x.npy", "--labels", "y.npy")


def test_an_unlabelled_source_where_labels_are_needed_is_refused(refused, rows):
    x, y = rows
    np.save("x.npy", x)
    np.savez("labelled.npz", x=x[::-1] * 0.9, y=y[::-1])
    assert "--reference needs labels, and x.npy has none" in refused("x.npy", "--reference", "labelled.npz")
    assert "--reference x.npy has no labels" in refused("labelled.npz", "--reference", "x.npy")
    np.savez("few.npz", x=x[:4], y=y[:4])
    assert "4 labelled rows, fewer than the 5 nearest" in refused("labelled.npz", "--reference", "few.npz")
    said = refused("labelled.npz", "--reference", "labelled.npz")
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

FIGURES = {
    **dict.fromkeys(KEYS),
    "n": 10_000, "k": 16, "mse": 0.0106, "pca_mse": 0.0269, "explained_variance": 0.8433,
    "pca_explained_variance": 0.6017, "worst_decile_mse": 0.02514, "pca_worst_decile_mse": 0.0455,
    "trustworthiness": 0.9959, "pca_trustworthiness": 0.9938,
    "latent": {
        "unused_dimensions": [], "max_correlation": 0.3, "mean_correlation": 0.1, "most_correlated": [0, 1]
    },
}  # fmt: skip
GROUPS = {"accuracy": 0.5764, "nmi": 0.5193, "ari": 0.4141}
LABELLED = FIGURES | {
    "labelled_rows": 9_988, "unlabelled": 12, "reference_rows": 60_000, "classes": 10,
    "knn_accuracy": 0.9671, "pca_knn_accuracy": 0.963, "raw_knn_accuracy": 0.9688,
    "linear_accuracy": 0.8731, "pca_linear_accuracy": 0.857,
    "clustering": GROUPS, "pca_clustering": GROUPS, "raw_clustering": GROUPS, "mixture": GROUPS,
}  # fmt: skip


def test_the_table_without_labels():
    assert (
        evaluation_table(FIGURES, "mnist (test)")
        == """\
mnist (test): 10,000 rows, 16 numbers each

                       auto-encoder   PCA with 16 components
mean squared error           0.0106                   0.0269
  of the worst tenth        0.02514                   0.0455
variance kept                 84.3%                    60.2%
trustworthiness               0.996                    0.994

All 16 dimensions are in use.

The auto-encoder's error is 2.54 times smaller than PCA's."""
    )


def test_the_table_with_labels():
    assert (
        evaluation_table(LABELLED, "mnist (test)", "mnist (train)")
        == """\
mnist (test): 10,000 rows, 16 numbers each

                            auto-encoder   PCA with 16 components   raw data
mean squared error                0.0106                   0.0269
  of the worst tenth             0.02514                   0.0455
variance kept                      84.3%                    60.2%
trustworthiness                    0.996                    0.994

Labels: 10 classes in 9,988 rows, and 12 without; learned from 60,000 rows of
mnist (train).
5 nearest neighbors                96.7%                    96.3%      96.9%
linear probe                       87.3%                    85.7%          –
k-means accuracy                   57.6%                    57.6%      57.6%
  NMI                              0.519                    0.519      0.519
  ARI                              0.414                    0.414      0.414
Gaussian mixture accuracy          57.6%                        –          –
  NMI                              0.519                        –          –
  ARI                              0.414                        –          –

All 16 dimensions are in use.

The auto-encoder's error is 2.54 times smaller than PCA's."""
    )


def test_without_a_baseline_there_is_no_column_for_it():
    alone = {name: None if name.startswith("pca_") else value for name, value in LABELLED.items()}
    table = evaluation_table(alone, "rows.npy")
    assert "PCA" not in table
    assert "raw data" in table


@pytest.mark.parametrize(
    ("latent", "said"),
    [
        ({"unused_dimensions": [3, 7]}, "2 of 16 dimensions are unused: 3, 7."),
        ({"unused_dimensions": [3]}, "1 of 16 dimensions is unused: 3."),
        (
            {"unused_dimensions": list(range(10))},
            "10 of 16 dimensions are unused: 0, 1, 2, 3, 4, 5, 6, 7 and 2 more.",
        ),
        ({"max_correlation": 0.97}, "Dimensions 0 and 1 say nearly the same: |r| = 0.970."),
        (
            {"kl_per_dimension": [2.5, 0.25]},
            "A code is 2.8 nats from the prior (KL), 0.25 to 2.5 in each dimension.",
        ),
        ({"codebook_use": [0.5]}, "50% of the codebook is in use."),
        ({"codebook_use": [0.5, 1.0]}, "75% of the 2 codebooks is in use; of the least used, 50%."),
    ],
)
def test_what_is_noteworthy_of_codes_is_said(latent, said):
    table = evaluation_table(FIGURES | {"latent": FIGURES["latent"] | latent}, "x")
    assert said in table.splitlines()


def test_rows_that_were_drawn_are_said_to_be():
    figures = LABELLED | {"n": 70_000, "labelled_rows": 10_000, "unlabelled": 0, "reference_rows": None}
    said = "Labels: 10 classes in 10,000 rows drawn at random; accuracy in five-fold\ncross-validation."
    assert said in evaluation_table(figures, "x")


def test_the_table_fits_a_terminal(do, capsys):
    for words in (["--reference", "digits"], []):
        lines = do("digits", *words).splitlines()
        assert max(map(len, lines)) <= 80
        assert not any(line != line.rstrip() for line in lines)
    assert "learned from" not in "\n".join(lines)


def test_a_file_of_labels_is_read_as_it_is(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("﻿a\nb\n\nc\n", "utf-8")
    assert read_label_file(file, 4).tolist() == ["a", "b", "", "c"]
    assert read_label_file(file, 3).tolist() == ["b", "", "c"]
