"""A Gram matrix that takes some seconds of two cores, as long as a test of accidents needs."""

import numpy as np

from sklearn_cntk import CNTK

LARGE = np.random.default_rng(0).normal(size=(180, 14, 14))
LARGE_KERNEL = CNTK(8)
