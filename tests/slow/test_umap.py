"""A map by UMAP, which compiles itself anew in each process."""

from __future__ import annotations

import pytest
from sklearn.datasets import make_blobs
from sklearn.neighbors import KNeighborsClassifier

from codeword.tasks.map import map_codes


def test_umap_keeps_blobs_apart():
    pytest.importorskip("umap", reason="umap-learn is an extra")
    codes, labels = make_blobs(150, 8, centers=3, center_box=(-20, 20), random_state=0)
    points = map_codes(codes, method="umap")
    assert KNeighborsClassifier(5).fit(points[::2], labels[::2]).score(points[1::2], labels[1::2]) > 0.95
