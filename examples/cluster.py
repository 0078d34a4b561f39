"""Groups without labels: codes, UMAP, a Gaussian mixture (needs the umap extra)."""

import warnings

from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from codeword import AutoEncoder, load

digits = load("digits")
codes = AutoEncoder(8, epochs=40, random_state=0).fit_transform(digits.x)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from umap import UMAP

    points = UMAP(n_components=4, n_neighbors=20, min_dist=0.0, random_state=0).fit_transform(codes)

pixels = digits.x.reshape(len(digits), -1)
groups = {
    "k-means on 64 pixels": KMeans(10, n_init=10, random_state=0).fit_predict(pixels),
    "k-means on 8 numbers": KMeans(10, n_init=10, random_state=0).fit_predict(codes),
    "mixture on UMAP of codes": GaussianMixture(10, n_init=5, random_state=0).fit_predict(points),
}
agreement = {name: adjusted_rand_score(digits.y, found) for name, found in groups.items()}
for name, value in agreement.items():
    print(f"{name:26}adjusted Rand index {value:.2f}")
