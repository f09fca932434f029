"""30 digits to train on, 30 to test with, models in double precision and their Gram matrices."""

from sklearn.datasets import load_digits

from sklearn_cntk import CNTK

N = 30
DIGITS = load_digits()
IMAGES, TEST = DIGITS.images[:N] / 16, DIGITS.images[N : 2 * N] / 16
LABELS = DIGITS.target[:N]
INK = IMAGES.mean(axis=(1, 2))


def small(cls, **parameters):
    return cls(**{"depth": 3, "gap": False, "dtype": "float64", **parameters})


def matrices(trained_layers="all"):
    """The Gram matrices of training and test images, and the unit of time."""
    kernel = CNTK(3, False, dtype="float64", trained_layers=trained_layers)
    K = kernel(IMAGES)
    return K, kernel(TEST, IMAGES), K.diagonal().mean()
