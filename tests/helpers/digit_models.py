"""What tests of estimators share: 60 digits to train on, 60 to test with, and small models."""

from sklearn.datasets import load_digits

from sklearn_cntk import CNTKRegressor

N = 60
DIGITS = load_digits()
IMAGES, TEST = DIGITS.images[:N], DIGITS.images[N : 2 * N]
LABELS, TEST_LABELS = DIGITS.target[:N], DIGITS.target[N : 2 * N]
INK = IMAGES.sum(axis=(1, 2))


def small(cls, **parameters):
    return cls(depth=3, gap=False, **parameters)


def targets_for(cls):
    return INK if cls is CNTKRegressor else LABELS
