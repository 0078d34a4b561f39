"""Codes in a scikit-learn pipeline: digits told apart by 8 numbers, by PCA's 8 and by all 64 pixels."""

from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from codeword import AutoEncoder, load

digits = load("digits")
pixels = digits.x.reshape(len(digits), -1)  # scikit-learn wants rows

neighbors = KNeighborsClassifier()
encoded = make_pipeline(AutoEncoder(8, epochs=20, random_state=0), neighbors)
models = {
    "64 pixels": (neighbors, pixels),
    "PCA, 8 numbers": (make_pipeline(PCA(8), neighbors), pixels),
    "auto-encoder, 8 numbers": (encoded, digits),  # a Data gives each fold its rows without a copy
}
accuracy = {name: cross_val_score(model, x, digits.y, cv=3).mean() for name, (model, x) in models.items()}
for name, value in accuracy.items():
    print(f"{name:24}{value:.1%} right")
