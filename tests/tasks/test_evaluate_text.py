"""The metrics of `evaluate` in a table that fits a terminal."""

import pytest

from codeword.tasks.evaluate import evaluation_table

METRICS = {
    **dict.fromkeys(["labeled_rows", "unlabeled", "reference_rows", "classes"]),
    "n": 10_000, "k": 16, "mse": 0.0106, "pca_mse": 0.0269, "explained_variance": 0.8433,
    "pca_explained_variance": 0.6017, "worst_decile_mse": 0.02514, "pca_worst_decile_mse": 0.0455,
    "trustworthiness": 0.9959, "pca_trustworthiness": 0.9938,
    "latent": {
        "unused_dimensions": [], "max_correlation": 0.3, "mean_correlation": 0.1, "most_correlated": [0, 1]
    },
}  # fmt: skip
GROUPS = {"accuracy": 0.5764, "nmi": 0.5193, "ari": 0.4141}
LABELED = METRICS | {
    "labeled_rows": 9_988, "unlabeled": 12, "reference_rows": 60_000, "classes": 10,
    "knn_accuracy": 0.9671, "pca_knn_accuracy": 0.963, "raw_knn_accuracy": 0.9688,
    "linear_accuracy": 0.8731, "pca_linear_accuracy": 0.857, "raw_linear_accuracy": None,
    "clustering": GROUPS, "pca_clustering": GROUPS, "raw_clustering": GROUPS, "mixture": GROUPS,
    "pca_mixture": None, "raw_mixture": None,
}  # fmt: skip


def test_the_table_without_labels():
    assert (
        evaluation_table(METRICS, "mnist (test)")
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
        evaluation_table(LABELED, "mnist (test)", "mnist (train)")
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
    alone = {name: None if name.startswith("pca_") else value for name, value in LABELED.items()}
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
    table = evaluation_table(METRICS | {"latent": METRICS["latent"] | latent}, "x")
    assert said in table.splitlines()


def test_rows_that_were_drawn_are_said_to_be():
    metrics = LABELED | {"n": 70_000, "labeled_rows": 10_000, "unlabeled": 0, "reference_rows": None}
    said = "Labels: 10 classes in 10,000 rows drawn at random; accuracy in five-fold\ncross-validation."
    assert said in evaluation_table(metrics, "x")
