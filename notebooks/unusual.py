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
# # Detect what is unusual
#
# We have digits that are all right, and want to be told of new ones that are not like them. We say
# how often a good digit may be called unusual; the detector keeps to it.

# %%
import matplotlib.pyplot as plt
import numpy as np

from codeword import OutlierDetector, load

digits, test = load("digits"), load("digits", "test")
detector = OutlierDetector(max_false_alarms=0.05, random_state=0).fit(digits)

# %% [markdown]
# ## Good digits
#
# Of test digits, which the detector has not seen, about one in twenty is called unusual: that is what
# was asked for. The p-values of good rows are spread evenly between 0 and 1.

# %%
p_good = detector.p_values(test)
print(f"called unusual: {(detector.predict(test) == -1).mean():.1%} of {len(test)} good digits")

# %% [markdown]
# ## Spoilt digits
#
# Three ways to spoil one: a dead row of pixels, a digit upside down, a few pixels swapped.

# %%
rng = np.random.default_rng(0)
dead = test.x.copy()
dead[:, 4] = 0
swapped = test.x.reshape(-1, 64).copy()
for row in swapped:
    at = rng.permutation(64)[:8]
    row[at] = row[at[::-1]]
swapped = swapped.reshape(-1, 8, 8)
spoilt = {"a dead row": dead, "upside down": test.x[:, ::-1], "8 pixels swapped": swapped}
for name, x in spoilt.items():
    print(f"{name:18}{(detector.predict(x) == -1).mean():.0%} called unusual")

# %% [markdown]
# Upside down, a 0, a 1 or an 8 is still good, and no detector should say otherwise. The p-values show
# it:

# %%
fig, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
for name, x in {"good": test.x, **spoilt}.items():
    p = np.sort(detector.p_values(x))
    axes.plot(p, np.arange(1, len(p) + 1) / len(p), label=name)
axes.axvline(0.05, color="0.7", linewidth=0.8)
axes.set(xlabel="p-value", ylabel="share of digits at or below it", xlim=(0, 1), ylim=(0, 1))
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Which pixels are to blame
#
# `contributions` gives each pixel's share of its digit's error. Here are the five test digits that
# are most unusual as they are, what the model makes of them, and where it is off.

# %%
worst = np.argsort(detector.score_samples(test))[:5]
x = test.x[worst]
x_hat = detector.model_.reconstruct(x)
rows = {"digit": x, "reconstruction": x_hat, "blame": detector.contributions(x)}
fig, axes = plt.subplots(3, 5, figsize=(5, 3.2), layout="constrained")
for line, (name, images) in zip(axes, rows.items(), strict=True):
    for panel, image in zip(line, images, strict=True):
        panel.imshow(image, cmap="Reds" if name == "blame" else "Grays")
        panel.set(xticks=[], yticks=[])
    line[0].set_ylabel(name)
plt.show()
