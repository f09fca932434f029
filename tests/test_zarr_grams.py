"""Gram matrices in Zarr: their values, what is computed again, and what is refused."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from engines import ChangedEngine, cpu
from sklearn.datasets import load_digits

from sklearn_cntk import CNTK, CNTKRegressor, gram_progress
from sklearn_cntk._linalg.gram_operators import ZarrGram

IMAGES = load_digits().images[:150]
TEST = load_digits().images[150:200]


@pytest.mark.parametrize("parameters", [{}, {"flip": True, "normalize": True}, {"lap": 1}])
def test_zarr_equals_memory(tmp_path, gram_to_zarr, parameters):
    kernel = CNTK(3, gap=False, **parameters)
    array = gram_to_zarr(kernel, IMAGES, store=tmp_path / "a", chunk_size=64)
    assert array.chunks == (64, 64)
    np.testing.assert_allclose(array[:], kernel(IMAGES), rtol=1e-12)
    rectangle = gram_to_zarr(kernel, TEST, IMAGES, store=tmp_path / "b", dtype="float32")
    np.testing.assert_allclose(rectangle[:], kernel(TEST, IMAGES), rtol=1e-6)


@pytest.mark.parametrize("url", ["file://{}/gram", "memory://{}/gram"])
def test_zarr_by_url(tmp_path, gram_to_zarr, url):
    pytest.importorskip("fsspec", reason="URLs need fsspec")
    kernel = CNTK(3, gap=False)
    for _ in range(2):
        array = gram_to_zarr(kernel, IMAGES[:40], store=url.format(tmp_path))
        np.testing.assert_array_equal(array[:], kernel(IMAGES[:40]))


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_only_what_is_missing_is_computed(tmp_path, gram_to_zarr, damage, counting):
    kernel = CNTK(3, gap=False, n_jobs=1, device=counting)
    store = tmp_path / "gram"
    K = gram_to_zarr(kernel, IMAGES, store=store, chunk_size=50)[:]
    assert gram_progress(store) == (9, 9)
    path = store / "c" / "0" / "2"
    if damage == "missing":
        path.unlink()
        assert gram_progress(store) == (8, 9)
    elif damage == "truncated":
        os.truncate(path, 1000)
    else:
        data = bytearray(path.read_bytes())
        data[77] ^= 1
        path.write_bytes(data)
    with pytest.raises(ValueError, match="call gram_to_zarr again"):
        ZarrGram(store, 1).product(np.ones((150, 1)))

    counting.pairs_computed.clear()
    np.testing.assert_array_equal(gram_to_zarr(kernel, IMAGES, store=store)[:], K)
    assert counting.total == 50 * 50
    gram_to_zarr(kernel, IMAGES, store=store)
    assert counting.total == 50 * 50


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_chunks_are_the_parallel_part(tmp_path, gram_to_zarr, n_jobs):
    """No more tiles at a time than there are jobs, though each chunk has several."""
    lock = threading.Lock()
    now = largest = tiles = 0

    def counted(*args, **options):
        nonlocal now, largest, tiles
        with lock:
            now += 1
            tiles += 1
            largest = max(largest, now)
        time.sleep(0.01)
        values = cpu.gram(*args, **options)
        with lock:
            now -= 1
        return values

    images = np.random.default_rng(0).normal(size=(560, 4, 4))
    kernel = CNTK(3, gap=False, n_jobs=n_jobs, device=ChangedEngine(gram=counted))
    array = gram_to_zarr(kernel, images, store=tmp_path / "gram", chunk_size=280)
    assert tiles > 3 == array.nchunks - 1
    assert largest == n_jobs


def test_progress_names_the_engine(tmp_path, gram_to_zarr, capsys):
    engine = ChangedEngine(label="some device")
    gram_to_zarr(CNTK(2, device=engine, verbose=1), IMAGES[:4], store=tmp_path / "gram")
    assert "CNTK on some device: 100%" in capsys.readouterr().err


def test_stores_of_the_user(tmp_path, gram_to_zarr, monkeypatch):
    """`~` is the home folder, and an empty name is no store."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    gram_to_zarr(CNTK(2, gap=False), IMAGES[:4], store="~/gram")
    assert (tmp_path / "home" / "gram" / "zarr.json").exists()
    CNTKRegressor(2, gap=False, gram_store="~/gram").fit(IMAGES[:4], [1.0, 2.0, 3.0, 4.0])
    assert not (tmp_path / "~").exists()
    with pytest.raises(ValueError, match="empty path names no folder"):
        gram_to_zarr(CNTK(2, gap=False), IMAGES[:4], store="")
    with pytest.raises(ValueError, match="empty path names no folder"):
        CNTKRegressor(2, gap=False, gram_store="").fit(IMAGES[:4], [1.0, 2.0, 3.0, 4.0])


def test_other_kernel_or_images_are_refused(tmp_path, gram_to_zarr):
    import zarr

    store = str(tmp_path / "gram")
    gram_to_zarr(CNTK(3, gap=False), IMAGES[:30], store=store)
    with pytest.raises(ValueError, match="depth=3 there and 4 here"):
        gram_to_zarr(CNTK(4, gap=False), IMAGES[:30], store=store)
    with pytest.raises(ValueError, match="X is '.*' there and"):
        gram_to_zarr(CNTK(3, gap=False), IMAGES[1:31], store=store)
    with pytest.raises(ValueError, match="dtype is 'float64' there and 'float32' here"):
        gram_to_zarr(CNTK(3, gap=False), IMAGES[:30], store=store, dtype="float32")
    zarr.create_array(str(tmp_path / "other"), shape=(3,), dtype="float64")
    with pytest.raises(ValueError, match="is not a Gram matrix of CNTK"):
        gram_to_zarr(CNTK(3, gap=False), IMAGES[:30], store=tmp_path / "other")
    with pytest.raises(ValueError, match="dtype='int8' is unknown"):
        gram_to_zarr(CNTK(3), IMAGES[:30], store=tmp_path / "new", dtype="int8")
    with pytest.raises(FileNotFoundError):
        gram_progress(tmp_path / "nowhere")


def test_stores_from_before_are_read(tmp_path, gram_to_zarr):
    """That named less parameters, or another precision of feature vectors."""
    import zarr

    for images, change in ((IMAGES[:30], {"lap": None}), (IMAGES[:30, 0], {"dtype": "float32"})):
        store = str(tmp_path / str(images.ndim))
        K = gram_to_zarr(CNTK(3, gap=False), images, store=store)[:]
        array = zarr.open_array(store, mode="r+")
        manifest = array.attrs["sklearn_cntk"]
        kernel = manifest["kernel"] | change
        manifest["kernel"] = {name: value for name, value in kernel.items() if value is not None}
        array.attrs["sklearn_cntk"] = manifest
        np.testing.assert_array_equal(gram_to_zarr(CNTK(3, gap=False), images, store=store)[:], K)
    with pytest.raises(ValueError, match="lap=0 there and 1 here"):
        gram_to_zarr(CNTK(3, gap=False, lap=1), IMAGES[:30], store=str(tmp_path / "3"))


def test_without_zarr(tmp_path):
    code = """
import sys
sys.modules["zarr"] = None
import numpy as np
from sklearn_cntk import CNTK, gram_to_zarr
try:
    gram_to_zarr(CNTK(3), np.ones((2, 4, 4)), store=sys.argv[1])
except ImportError as error:
    assert "pip install 'sklearn-cntk[zarr]'" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "gram")], check=True)
