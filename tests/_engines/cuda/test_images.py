"""Images as the CUDA engine uploads them: converted once, and known where they are equal."""

import numpy as np
import pytest

from sklearn_cntk import CNTK
from sklearn_cntk._engines.cuda import devices as _devices
from sklearn_cntk._engines.cuda import engine as cuda
from sklearn_cntk._engines.cuda import images as _cuda_images


def normal(rng, n, shape):
    return rng.normal(size=(n, *shape))


def test_tiles_share_their_images(host_device, monkeypatch, rng):
    """However many tiles there are, every image is converted once."""
    converted = []
    scale = _cuda_images.scale_images

    def counted(images, *arguments):
        converted.extend(images[:, 0, 0, 0])
        return scale(images, *arguments)

    device = host_device()
    monkeypatch.setattr(_devices, "open_devices", lambda index: [device])
    monkeypatch.setattr(_cuda_images, "scale_images", counted)
    monkeypatch.setattr(cuda.Engine, "largest_tile", 16)
    X, Y = normal(rng, 40, (2, 2, 1)), normal(rng, 20, (2, 2, 1))
    for images in ((X,), (X, Y)):
        converted.clear()
        device.launches.clear()
        CNTK(2, False, device="cuda", n_jobs=2)(*images)
        assert device.launches.count("trace") > 3
        assert sorted(converted) == sorted(np.concatenate(images)[:, 0, 0, 0])


@pytest.mark.parametrize("dtypes", [("f4", "f4"), ("u1", "u1"), ("f4", "f8"), ("u1", "f4")])
def test_equal_images_are_recognised(dtypes):
    """Across dtypes, and with zeros of either sign."""
    X = np.array([[0.0, 2], [3, 4], [0, 2]]).reshape(3, 1, 2, 1).astype(dtypes[0])
    Y = np.array([[0.0, 2], [3, 5]]).reshape(2, 1, 2, 1).astype(dtypes[1])
    if dtypes[1] != "u1":
        Y[0, 0, 0, 0] = -0.0
    x, y = _cuda_images.sides_of(X, Y, 3, "float32")
    x_ids, y_ids = x.take(np.arange(3)).ids, y.take(np.arange(2)).ids
    np.testing.assert_array_equal(x_ids[:, None] == y_ids, [[True, False], [False] * 2, [True, 0]])
