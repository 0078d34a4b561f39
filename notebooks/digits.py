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
# # Compress and see digits
#
# 1,797 handwritten digits of 8 × 8 pixels come with scikit-learn. We keep eight numbers of each, look
# at what comes back, and at where the digits lie to each other.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt

from codeword import AutoEncoder, evaluate, load, map_codes, neighbors, traverse
from codeword.plots import history_figure, map_figure, reconstruction_figure

digits, test = load("digits"), load("digits", "test")
print(digits.x.shape, digits.x.dtype, "from", digits.x.min(), "to", digits.x.max())

# %% [markdown]
# Labels are there, in `digits.y`. Nothing learns from them.

# %%
ae = AutoEncoder(n_components=8, random_state=0).fit(digits)
losses = [(row["train_loss"], row["validation_loss"]) for row in ae.history_]
history_figure(*zip(*losses, strict=True))

# %% [markdown]
# The error on held-out digits falls with the error on the others. How does it compare with PCA of as
# many numbers, on digits that neither has seen?

# %%
metrics = evaluate(ae, test.x)
print(f"auto-encoder {metrics['mse']:.4f}, PCA {metrics['pca_mse']:.4f}")
reconstruction_figure(test.x[:10], ae.reconstruct(test.x[:10]))

# %% [markdown]
# ## The map
#
# Eight numbers cannot be drawn. t-SNE lays them on a plane so that codes which are alike lie close
# together. The colors are the labels, which the model was never told.

# %%
codes = ae.transform(digits)
points = map_codes(codes)
map_figure(points, digits.y)

# %% [markdown]
# ## Neighbors
#
# Digits that are near by their codes look alike. The first of each row is the one that is asked
# about.

# %%
asked = [3, 17, 42]
rows, distances = neighbors(codes, asked)
fig, axes = plt.subplots(3, 9, figsize=(7, 2.5), layout="constrained")
for line, query, found in zip(axes, asked, rows, strict=True):
    for panel, row in zip(line, [query, *found], strict=True):
        panel.imshow(digits.x[row], cmap="Grays")
        panel.set_axis_off()
plt.show()

# %% [markdown]
# ## What each number does
#
# Each row starts from the same code and lets one number run from small to large. The number that
# changes the reconstruction most comes first.

# %%
walk = traverse(ae, codes)
sheet = walk.rows[:4]
fig, axes = plt.subplots(*sheet.shape[:2], figsize=(6, 3.5), layout="constrained")
for panel, image in zip(axes.flat, sheet.reshape(-1, 8, 8), strict=True):
    panel.imshow(image, cmap="Grays", vmin=0, vmax=1)
    panel.set_axis_off()
plt.show()

# %% [markdown]
# ## Keep it
#
# A model is a folder of JSON and safetensors. Opening one runs no code of its maker's.

# %%
ae.save("digits.ae")
again = AutoEncoder.load("digits.ae")
print((again.transform(test) == ae.transform(test)).all())
