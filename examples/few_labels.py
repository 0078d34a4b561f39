"""Few labels: learn codes from every image, and classify with the five labels a digit that there are."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from codeword import AutoEncoder, load

digits, test = load("mnist-5k"), load("mnist-5k", "test")
ae = AutoEncoder(16, epochs=15, random_state=0).fit(digits)  # all 4,500 images, no label
pca = PCA(16, random_state=0).fit(digits.x.reshape(len(digits), -1))


def pixels(x):
    return x.reshape(len(x), -1)


views = {
    "784 pixels": pixels,
    "PCA, 16 numbers": lambda x: pca.transform(pixels(x)),
    "auto-encoder, 16 numbers": ae.transform,
}
accuracy = {name: [] for name in views}
for seed in range(20):  # which images happen to have the labels makes a difference
    rng = np.random.default_rng(seed)
    known = np.concatenate([rng.permutation(np.flatnonzero(digits.y == d))[:5] for d in range(10)])
    for name, view in views.items():
        classifier = KNeighborsClassifier(1).fit(view(digits.x[known]), digits.y[known])
        accuracy[name].append(classifier.score(view(test.x), test.y))
for name, values in accuracy.items():
    print(f"{name:26}{np.mean(values):.1%} right, from 50 labels")
