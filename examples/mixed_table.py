"""A real mixed table, numbers, words, dates and gaps: give rows back, and find words that cannot be right."""

from importlib.resources import files

import numpy as np
import pandas as pd

from codeword import AutoEncoder, OutlierDetector

source = files("palmerpenguins") / "data" / "penguins-raw.csv"  # 344 penguins of the Palmer Archipelago
with source.open(encoding="utf-8") as file:
    penguins = pd.read_csv(file)
penguins = penguins.drop(
    columns=["studyName", "Sample Number", "Individual ID"]
)  # they number lists and birds
test = penguins.sample(80, random_state=0)
ae = AutoEncoder(n_components=4, epochs=40, random_state=0).fit(penguins.drop(test.index))


def by_pca(rows):  # with as many numbers, after the same preprocessing
    x = ae.columns_.transform(rows).x
    return x, ae.baseline_.inverse_transform(ae.baseline_.transform(x))


given_back = {"auto-encoder": ae.reconstruct(test), "PCA": ae.columns_.inverse_transform(by_pca(test)[1])}
print(given_back["auto-encoder"].iloc[:3, [0, 5, 9, 10]].to_string(), "\n")  # in own columns and units
right = {name: float((x_hat["Island"] == test["Island"].array).mean()) for name, x_hat in given_back.items()}
print("the island is given back right:", {name: f"{share:.0%}" for name, share in right.items()})

wrong = np.random.default_rng(0).choice(80, 8, replace=False)  # call eight birds another species
species, spoilt = sorted(test["Species"].unique()), test.copy()
spoilt.iloc[wrong, 0] = [species[species.index(name) - 1] for name in test["Species"].iloc[wrong]]
found = OutlierDetector.from_model(ae, max_false_alarms=0.1).explain(spoilt, top=1)
x, x_hat = by_pca(spoilt)
scores = {"auto-encoder": found.scores, "PCA": -np.nanmean((x - x_hat) ** 2, axis=1)}
hits = {name: len({*values.argsort()[:8]} & {*wrong}) for name, values in scores.items()}
blamed = [ae.columns_.names[column] for column in found.features[wrong, 0]]
print(f"wrong species among the 8 most unusual rows: {hits}\nthe column blamed, in each: {blamed}")
