"""CIFAR-10 from each of its forms, made up in small and, where they are, the real files."""

import pickle
import struct

import numpy as np
import pytest

from sklearn_cntk.datasets import load_cifar10

PER_BATCH = 4


@pytest.fixture
def arrays(rng):
    """Images and labels of five batches and a test batch."""
    images = rng.integers(0, 256, size=(6, PER_BATCH, 32, 32, 3)).astype(np.uint8)
    return images, rng.integers(0, 10, size=(6, PER_BATCH))


def planes(images):
    return images.transpose(0, 3, 1, 2).reshape(len(images), 3072)


def names(suffix=""):
    return [f"data_batch_{k}{suffix}" for k in range(1, 6)] + [f"test_batch{suffix}"]


def write_python(folder, images, labels):
    for name, X, y in zip(names(), images, labels, strict=True):
        batch = {b"data": planes(X), b"labels": y.tolist(), b"batch_label": b"batch"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


def python2_pickle(images, labels):
    """The bytes of an official batch: opcodes and module names of Python 2 and its NumPy."""

    def int32(k):
        return b"J" + struct.pack("<i", k)

    data = planes(images).tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + int32(len(images)) + int32(3072) + b"\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNN" + int32(-1) + int32(-1) + b"K\x00tb"
        b"\x89T" + struct.pack("<i", len(data)) + data + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels" + numbers + b"u."


def write_python2(folder, images, labels):
    for name, X, y in zip(names(), images, labels, strict=True):
        (folder / name).write_bytes(python2_pickle(X, y))
    return folder


def write_binary(folder, images, labels):
    for name, X, y in zip(names(".bin"), images, labels, strict=True):
        rows = np.column_stack([y.astype(np.uint8), planes(X)])
        (folder / name).write_bytes(rows.tobytes())
    return folder


def write_npz(folder, images, labels):
    file = folder / "cifar.npz"
    np.savez(
        file,
        X_train=images[:5].reshape(-1, 32, 32, 3),
        y_train=labels[:5].ravel(),
        X_test=images[5],
        y_test=labels[5],
    )
    return file


def write_npz_batches(folder, images, labels):
    for k in range(5):
        np.savez(folder / f"train_batch{k + 1}.npz", X=images[k], y=labels[k])
    np.savez(folder / "rest.npz", X_test=images[5], y_test=labels[5])
    return folder


WRITERS = [write_python, write_python2, write_binary, write_npz, write_npz_batches]


@pytest.mark.parametrize("write", WRITERS)
def test_every_form_holds_the_same(write, tmp_path, arrays):
    images, labels = arrays
    data = load_cifar10(write(tmp_path, images, labels), standardize=False)
    np.testing.assert_array_equal(data.X_train, images[:5].reshape(-1, 32, 32, 3))
    np.testing.assert_array_equal(data.y_train, labels[:5].ravel())
    np.testing.assert_array_equal(data.X_test, images[5])
    np.testing.assert_array_equal(data.y_test, labels[5])
    assert data.X_train.dtype == np.uint8
    assert data.y_train.dtype == np.int64
    assert len(data.class_names) == 10


@pytest.mark.parametrize("write", WRITERS)
def test_first_images(write, tmp_path, arrays):
    path = write(tmp_path, *arrays)
    data = load_cifar10(path, n_train=PER_BATCH + 1, n_test=2, standardize=False)
    images = arrays[0]
    np.testing.assert_array_equal(data.X_train[-1], images[1, 0])
    assert data.X_train.shape == (PER_BATCH + 1, 32, 32, 3)
    assert len(data.X_test) == len(data.y_test) == 2


def test_standardized(tmp_path, arrays):
    path = write_npz(tmp_path, *arrays)
    data = load_cifar10(path)
    raw = load_cifar10(path, standardize=False)
    mean, std = [0.49139968, 0.48215841, 0.44653091], [0.24703223, 0.24348513, 0.26158784]
    np.testing.assert_allclose(data.X_test, (raw.X_test / 255 - mean) / std, atol=1e-6)
    assert data.X_train.dtype == np.float32


def test_a_pickle_runs_no_code(tmp_path, arrays):
    write_python(tmp_path, *arrays)
    trace = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return trace.touch, ()

    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(ValueError, match="data_batch_1 .* not allowed in a file of images"):
        load_cifar10(tmp_path)
    assert not trace.exists()


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not hold CIFAR-10: expected a folder with"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize(("name", "n"), [("n_train", 21), ("n_test", 5)])
def test_more_images_than_there_are(name, n, tmp_path, arrays):
    with pytest.raises(ValueError, match=f"{name}={n}, but the files hold"):
        load_cifar10(write_npz(tmp_path, *arrays), **{name: n})


@pytest.mark.parametrize("n", [0, -1, 2.5, "all"])
def test_number_of_images_that_is_none(n, tmp_path, arrays):
    with pytest.raises(ValueError, match=f"n_train={n!r} should be a positive integer"):
        load_cifar10(write_npz(tmp_path, *arrays), n_train=n)


def test_reads_no_more_batches_than_needed(tmp_path, arrays):
    write_python(tmp_path, *arrays)
    (tmp_path / "data_batch_2").write_bytes(b"damaged")
    assert len(load_cifar10(tmp_path, n_train=PER_BATCH).X_train) == PER_BATCH
    with pytest.raises(ValueError, match="data_batch_2 is not a Python batch"):
        load_cifar10(tmp_path, n_train=PER_BATCH + 1)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({b"labels": [1]}, "KeyError.*data"),
        ([1], "TypeError"),
        ({b"data": np.zeros((1, 100), np.uint8), b"labels": [1]}, "cannot reshape"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1, 2]}, r"labels of shape \(2,\)"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, "labels other than"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1.5]}, "labels other than"),
    ],
)
def test_pickles_of_other_things(batch, message, tmp_path, arrays):
    write_python(tmp_path, *arrays)
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(ValueError, match=f"(?s)data_batch_1.*{message}"):
        load_cifar10(tmp_path)


def test_damaged_files(tmp_path, arrays):
    write_binary(tmp_path, *arrays)
    (tmp_path / "data_batch_1.bin").write_bytes(b"\0" * 3072)
    with pytest.raises(ValueError, match="not a multiple of 3073"):
        load_cifar10(tmp_path)
    np.savez(tmp_path / "float.npz", X_train=np.zeros((2, 32, 32, 3)), y_train=[0, 1])
    with pytest.raises(ValueError, match="float64 images of shape"):
        load_cifar10(tmp_path / "float.npz")


def test_real_images(data_dir):
    data = load_cifar10(data_dir, n_test=1000)
    assert data.X_train.shape == (50000, 32, 32, 3)
    np.testing.assert_allclose(data.X_train.mean(axis=(0, 1, 2), dtype=float), 0, atol=1e-4)
    np.testing.assert_allclose(data.X_train.std(axis=(0, 1, 2), dtype=float), 1, atol=1e-4)
    np.testing.assert_array_equal(np.bincount(data.y_train), 5000)
