# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A table of wines
#
# 178 Italian wines, thirteen measurements each, in units from milligrams to shades of hue. The table
# comes with scikit-learn. We want to see it on a page, fill in cells that are empty, and draw up
# wines that could have been.

# %%
# %matplotlib inline
import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

from codeword import AutoEncoder, Masked, map_codes
from codeword.plots import map_figure

bunch = load_wine(as_frame=True)
table, grower = bunch.data, bunch.target
table.describe().loc[["min", "mean", "max"]].round(1)

# %% [markdown]
# A DataFrame goes in as it is. Each column is standardized, and reconstructions come back in the
# columns' own units.

# %%
ae = AutoEncoder(n_components=4, random_state=0).fit(table)
map_figure(map_codes(ae.transform(table)), grower.to_numpy())

# %% [markdown]
# Three growers, whom the model was not told of, lie apart for the most part.
#
# ## Fill in empty cells
#
# A model trained with hidden cells can fill in cells that are missing. We take out a tenth, and
# compare with the simple answer: the column's mean.

# %%
rng = np.random.default_rng(0)
hidden = rng.random(table.shape) < 0.1
holes = table.mask(hidden)
filler = AutoEncoder(6, objective=Masked(ratio=0.3, missing="mask"), random_state=0).fit(holes)
filled = pd.DataFrame(filler.reconstruct(holes), table.index, table.columns)


def off(guess: pd.DataFrame) -> float:
    """The mean squared error of the hidden cells, in deviations of their columns."""
    return float((((guess - table) / table.std()) ** 2).to_numpy()[hidden].mean())


means = pd.DataFrame([holes.mean()] * len(table), table.index)
print(f"{hidden.sum()} cells filled in, squared error {off(filled):.2f}")
print(f"by the column's mean {off(means):.2f}")

# %% [markdown]
# ## Wines that could have been
#
# New codes are drawn from a mixture fitted to those of real wines, and decoded.

# %%
new = pd.DataFrame(ae.sample(1000, random_state=0).astype(float), columns=table.columns)
both = {"real": table.mean(), "new": new.mean(), "real ±": table.std(), "new ±": new.std()}
pd.DataFrame(both).round(2)

# %% [markdown]
# Means agree. New wines vary a little less than real ones: what four numbers cannot say is missing
# from them.
