"""Image data of the paper's experiments, read from the user's files."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from ._support.checks import is_integer
from ._support.docstrings import fill_docs
from ._support.paths import home_expanded

# Per-channel mean and standard deviation of the 50 000 training images, pixels in [0, 1].
_MEAN = np.array([0.49139968, 0.48215841, 0.44653091])
_STD = np.array([0.24703223, 0.24348513, 0.26158784])

_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@fill_docs
def load_cifar10(
    path: str | os.PathLike[str],
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    standardize: bool = True,
) -> Bunch:
    """Load CIFAR-10 from files on disk.

    Parameters
    ----------
    path : str or path-like
        One of

        * a folder with the official Python batches ``data_batch_1`` … ``data_batch_5`` and
          ``test_batch`` (pickles, from which only NumPy arrays are loaded);
        * a folder with the official binary batches ``data_batch_1.bin`` … ``test_batch.bin``;
        * an ``.npz`` file with ``X_train``, ``y_train``, ``X_test``, ``y_test``, images uint8
          (n, 32, 32, 3);
        * a folder with such a file for the test images and five files ``*batch1.npz`` …
          ``*batch5.npz`` with ``X`` and ``y`` for the training images.
    n_train, n_test : int or None, default=None
        Number of images to load from the start, in the files' order.  None loads all.
    standardize : bool, default=True
        Whether to subtract the mean of each channel and divide by its standard deviation, both
        over all 50 000 training images whatever `n_train`, as in the experiments of [1]_.

    Returns
    -------
    Bunch
        ``X_train``, ``X_test`` : ndarray (n, 32, 32, 3), float32 if standardised, else uint8;
        ``y_train``, ``y_test`` : ndarray of int64, labels 0 to 9; ``class_names`` : list of str.

    Raises
    ------
    FileNotFoundError
        If `path` is none of the above.
    ValueError
        If a file is damaged or is a pickle of anything else, or if `n_train` or `n_test` is not a
        positive integer or is more than the files hold.

    References
    ----------
    {arora}

    Examples
    --------
    >>> from sklearn_cntk.datasets import load_cifar10
    >>> data = load_cifar10("cifar-10-batches-py", n_train=2000)  # doctest: +SKIP
    >>> data.X_train.shape  # doctest: +SKIP
    (2000, 32, 32, 3)
    """
    train, test = _find_batches(Path(home_expanded(path)))
    X_train, y_train = _first_images(train, n_train, "n_train")
    X_test, y_test = _first_images(test, n_test, "n_test")
    if standardize:
        X_train, X_test = _standardize(X_train), _standardize(X_test)
    return Bunch(
        X_train=X_train, y_train=y_train, X_test=X_test, y_test=y_test, class_names=list(_CLASSES)
    )


def _find_batches(path):
    """Return two lists of functions, each of which reads a batch (images, labels)."""
    if path.is_file() and path.suffix == ".npz":
        return [_npz(path, "X_train", "y_train")], [_npz(path, "X_test", "y_test")]
    for suffix, reader in (("", _pickled), (".bin", _binary)):
        batches = [path / f"data_batch_{k}{suffix}" for k in range(1, 6)]
        if all(batch.is_file() for batch in batches):
            return [reader(batch) for batch in batches], [reader(path / f"test_batch{suffix}")]
    batches = [match for k in range(1, 6) for match in sorted(path.glob(f"*batch{k}.npz"))]
    others = [
        file for file in sorted(path.glob("*.npz")) if file not in batches and _has(file, "X_test")
    ]
    if len(batches) == 5 and others:
        return [_npz(batch, "X", "y") for batch in batches], [_npz(others[0], "X_test", "y_test")]
    raise FileNotFoundError(
        f"path='{path}' does not hold CIFAR-10: expected a folder with data_batch_1 … data_batch_5 "
        "and test_batch (or the same with .bin), an .npz file with X_train, y_train, X_test, "
        "y_test, or a folder with *batch1.npz … *batch5.npz and a file with X_test and y_test."
    )


def _has(file, name):
    with np.load(file, allow_pickle=False) as arrays:
        return name in arrays


def _first_images(batches, n, name):
    """Return the first n images and labels, reading no more batches than hold them."""
    if n is not None and not (is_integer(n) and n >= 1):
        raise ValueError(f"{name}={n!r} should be a positive integer, or None for all images.")
    images, labels, count = [], [], 0
    for read in batches:
        if n is not None and count >= n:
            break
        X, y = read()
        images.append(X)
        labels.append(y)
        count += len(X)
    if n is not None and n > count:
        raise ValueError(f"{name}={n}, but the files hold {count} images.")
    return np.concatenate(images)[:n], np.concatenate(labels)[:n].astype(np.int64)


def _standardize(images):
    scaled = images.astype(np.float32)
    scaled *= (1 / (255 * _STD)).astype(np.float32)
    scaled -= (_MEAN / _STD).astype(np.float32)
    return scaled


def _npz(file, images, labels):
    def read():
        with np.load(file, allow_pickle=False) as arrays:
            missing = [name for name in (images, labels) if name not in arrays]
            if missing:
                raise ValueError(
                    f"{file} has no {' and no '.join(missing)}: it holds {arrays.files}."
                )
            return _check(file, arrays[images], arrays[labels])

    return read


def _binary(file):
    def read():
        data = np.fromfile(file, dtype=np.uint8)
        if data.size == 0 or data.size % 3073:
            raise ValueError(f"{file} has {data.size} bytes, which is not a multiple of 3073.")
        records = data.reshape(-1, 3073)
        return _check(file, _from_planes(records[:, 1:]), records[:, 0])

    return read


def _pickled(file):
    def read():
        with open(file, "rb") as stream:
            try:
                batch = _ArrayUnpickler(stream, encoding="bytes").load()
                images, labels = _from_planes(batch[b"data"]), np.asarray(batch[b"labels"])
            except Exception as error:  # a damaged pickle may raise anything
                raise ValueError(f"{file} is not a Python batch of CIFAR-10: {error!r}") from error
        return _check(file, images, labels)

    return read


class _ArrayUnpickler(pickle.Unpickler):
    """Load only NumPy arrays and Python's own types, since a pickle may run any code."""

    _ALLOWED = frozenset(
        {
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module, name):
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a file of images.")
        if name == "_reconstruct":  # its module has moved: use the one of this NumPy
            return np.empty(0).__reduce__()[0]
        return super().find_class(module, name)


def _from_planes(rows):
    """Convert rows of three colour planes to images (n, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _check(file, images, labels):
    fit = images.shape[1:] == (32, 32, 3) and labels.shape == images.shape[:1]
    if images.dtype != np.uint8 or not fit:
        raise ValueError(
            f"{file} holds {images.dtype} images of shape {images.shape} and labels of shape "
            f"{labels.shape}: expected uint8 (n, 32, 32, 3) and (n,)."
        )
    if not np.isin(labels, np.arange(10)).all():
        raise ValueError(f"{file} holds labels other than the integers 0 to 9.")
    return images, labels
