"""Images as the CUDA engine uploads them: converted once, and known where they are equal."""

from threading import Lock

import numpy as np
import pytest

from sklearn_cntk import CNTK
from sklearn_cntk._engines.cuda import images
from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk._engines.image_ids import ImageIds


def normal(rng, n, shape):
    return rng.normal(size=(n, *shape))


class SmallTiles(CudaEngine):
    def limits(self, travelling):
        return super().limits(travelling)._replace(side=16)


@pytest.mark.parametrize("flip", [False, True])
def test_tiles_share_their_images(host_device, flip, monkeypatch, rng):
    """However many tiles there are, every image is converted once, and once mirrored."""
    converted = []
    scale = images.scale_images

    def counted(some, *arguments):
        converted.extend(some[:, 0, 0, 0])
        return scale(some, *arguments)

    device = host_device()
    monkeypatch.setattr(images, "scale_images", counted)
    X, Y = normal(rng, 40, (2, 2, 1)), normal(rng, 20, (2, 2, 1))
    kernel = CNTK(2, False, flip=flip, device=SmallTiles([device]), n_jobs=2)
    for pair in ((X,), (X, Y)):
        converted.clear()
        device.launches.clear()
        kernel(*pair)
        assert device.launches.count("trace") > 3
        mirrored = [X[:, :, ::-1]] if flip else []
        assert sorted(converted) == sorted(np.concatenate([*pair, *mirrored])[:, 0, 0, 0])


@pytest.mark.parametrize("dtypes", [("f4", "f4"), ("u1", "u1"), ("f4", "f8"), ("u1", "f4")])
def test_equal_images_are_recognised(dtypes):
    """Across dtypes, and with zeros of either sign."""
    X = np.array([[0.0, 2], [3, 4], [0, 2]]).reshape(3, 1, 2, 1).astype(dtypes[0])
    Y = np.array([[0.0, 2], [3, 5]]).reshape(2, 1, 2, 1).astype(dtypes[1])
    if dtypes[1] != "u1":
        Y[0, 0, 0, 0] = -0.0
    ids, lock = ImageIds(X.dtype, Y.dtype), Lock()
    x, y = (images.PreparedImages(some, 3, "float32", ids, lock) for some in (X, Y))
    x_ids, y_ids = x.take(np.arange(3)).ids, y.take(np.arange(2)).ids
    np.testing.assert_array_equal(x_ids[:, None] == y_ids, [[True, False], [False] * 2, [True, 0]])
