"""
Are the probabilities right?
============================

Of all predictions made with a probability of 80 %, four in five should be
correct. A reliability diagram shows whether they are.
"""

# %%
# Noisy digits, so that there are mistakes
# ----------------------------------------
# ``fit`` scales the kernel's outputs to probabilities with one temperature,
# which it finds on the training images: each is predicted from all others, in
# closed form. No images are set aside. A support vector machine needs extra
# folds for its probabilities.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from sklearn_cntk import CNTKClassifier

digits = load_digits()
rng = np.random.default_rng(0)
noisy = digits.data + rng.normal(scale=4, size=digits.data.shape)
X, X_test, y, y_test = train_test_split(
    noisy,
    digits.target,
    train_size=200,
    random_state=0,
    stratify=digits.target,
)
models = {
    "CNTK": CNTKClassifier(depth=3, gap=False, image_shape=(8, 8), alpha=0.1),
    "SVM, calibrated on folds": CalibratedClassifierCV(
        SVC(gamma=0.001), ensemble=False
    ),
}

# %%
# Reliability
# -----------
# How often the predicted class is right, against its probability. On the
# diagonal, probabilities mean what they say; above it a model is too cautious,
# below it too confident. The support vector machine is right more often here,
# but its probabilities are too low. Neither model is tuned.

figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for name, model in models.items():
    probabilities = model.fit(X, y).predict_proba(X_test)
    confidence = probabilities.max(axis=1)
    correct = model.classes_[probabilities.argmax(axis=1)] == y_test
    CalibrationDisplay.from_predictions(
        correct,
        confidence,
        n_bins=8,
        strategy="quantile",
        name=name,
        ax=axes[0],
    )
    axes[1].hist(
        confidence, bins=np.linspace(0, 1, 21), histtype="step", label=name
    )
    print(
        f"{name}: {correct.mean():.1%} correct, "
        f"mean probability {confidence.mean():.1%}, ",
        end="",
    )
    print(f"log loss {log_loss(y_test, probabilities):.2f}")
axes[0].set(
    xlabel="probability of the predicted class", ylabel="fraction correct"
)
axes[0].set_title("Reliability")
axes[1].set(
    xlabel="probability of the predicted class",
    ylabel="images",
    title="Confidence",
)
axes[1].legend(loc="upper left")
plt.show()

# %%
# Least and most certain
# ----------------------
# The test images with the lowest and the highest probability, with the
# prediction above each. A wrong one is red.

model = models["CNTK"]
probabilities = model.predict_proba(X_test)
predicted, confidence = model.predict(X_test), probabilities.max(axis=1)
order = np.argsort(confidence)
figure, axes = plt.subplots(2, 8, figsize=(9, 3), layout="constrained")
for ax, k in zip(axes.flat, [*order[:8], *order[-8:]], strict=True):
    ax.imshow(X_test[k].reshape(8, 8), cmap="gray_r")
    color = "black" if predicted[k] == y_test[k] else "tab:red"
    ax.set_title(f"{predicted[k]}: {confidence[k]:.0%}", color=color)
    ax.set(xticks=[], yticks=[])
plt.show()
