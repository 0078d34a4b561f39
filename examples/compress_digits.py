"""Digits in 16 numbers instead of 64: how much is kept beside PCA, and a model that can be opened again."""

import numpy as np

from codeword import AutoEncoder, evaluate, load

train, test = load("digits"), load("digits", "test")  # 8 × 8 pixels in [0, 1]; labels are not used

ae = AutoEncoder(n_components=16, random_state=0).fit(train)
codes = ae.transform(test)  # (359, 16) float32
x_hat = ae.inverse_transform(codes)  # (359, 8, 8), in the units of the data

metrics = evaluate(ae, test.x)  # PCA was fitted on the same training rows
print(f"{metrics['n']} digits the model has not seen, {train.x[0].size} pixels in {metrics['k']} numbers")
print(f"mean squared error  auto-encoder {metrics['mse']:.4f}  PCA {metrics['pca_mse']:.4f}")
print(f"variance kept       {metrics['explained_variance']:.1%}  {metrics['pca_explained_variance']:.1%}")

ae.save("digits.ae", overwrite=True)  # a folder of JSON and safetensors
again = AutoEncoder.load("digits.ae")
same = np.array_equal(again.transform(test), codes)
print(f"opened again, the model gives the same codes: {same}")
