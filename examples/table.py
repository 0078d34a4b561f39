"""A table with named columns: reconstruct it, and find the rows that fit the rest least."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

from codeword import AutoEncoder

bunch = load_breast_cancer(as_frame=True)
table = bunch.data  # 569 rows, 30 columns in different units; the diagnosis in `bunch.target` is left out
malignant = bunch.target == 0

ae = AutoEncoder(n_components=6, epochs=40, random_state=0).fit(table)
x_hat = pd.DataFrame(ae.reconstruct(table), table.index, table.columns)  # in each column's own units
print(table.iloc[[0], :5].round(2).to_string(), "\nreconstructed:")
print(x_hat.iloc[[0], :5].round(2).to_string(), "\n")

order = np.argsort(ae.score_samples(table))  # low is unusual
unusual = order[:20]
off = ((x_hat - table).abs() / table.std()).iloc[unusual].idxmax(axis="columns")
print("The five most unusual rows, and the column in which each is furthest off:")
print(off.head().to_string())
share = malignant.iloc[unusual].mean()
print(f"\nmalignant: {share:.0%} of the 20 most unusual rows, {malignant.mean():.0%} of all")
