"""Several calls on one new store, what may happen to a store meanwhile, and what it records."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engines import ChangedEngine, cpu
from sklearn.base import clone

from sklearn_cntk import CNTK, CNTKRegressor, gram_progress, gram_to_zarr

zarr = pytest.importorskip("zarr", reason="Gram matrices on disk need the extra zarr")

IMAGES = np.random.default_rng(0).random((100, 4, 4))
KERNEL = CNTK(3, gap=False, n_jobs=1)
N_CHUNKS = 4  # of 50 rows

CLIENT = """
import json, sys
import numpy as np
from sklearn_cntk import CNTK, gram_to_zarr

images = np.random.default_rng(0).random((100, 4, 4))
CNTK(3, gap=False)(images[:2])
print("ready", flush=True)
for line in sys.stdin:
    store, n_jobs, chunk_size = json.loads(line)
    kernel = CNTK(3, gap=False, n_jobs=n_jobs)
    try:
        array = gram_to_zarr(kernel, images, store=store, chunk_size=chunk_size)
        answer = [array.chunks[0], int(np.isnan(array[:]).sum())]
    except Exception as error:
        answer = [type(error).__name__, str(error)]
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="module")
def clients():
    """Processes that answer a request a line."""
    command = [sys.executable, "-c", CLIENT]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    yield processes
    for process in processes:
        process.stdin.close()
        assert process.wait(timeout=60) == 0
        process.stdout.close()


def ask(clients, requests):
    """Answers to requests that are sent at once."""
    for client, request in zip(clients, requests, strict=True):
        client.stdin.write(json.dumps(request) + "\n")
    return [json.loads(client.stdout.readline()) for client in clients]


@pytest.mark.process
@pytest.mark.parametrize("attempt", range(6))
def test_calls_that_begin_together_agree(tmp_path, clients, attempt):
    """By default, n_jobs of 1, 4 and 4 have chunks of 32, 16 and 16."""
    store = str(tmp_path / "gram")
    answers = ask(clients, [[store, n_jobs, None] for n_jobs in (1, 4, 4)])
    assert answers in ([[32, 0]] * 3, [[16, 0]] * 3)
    np.testing.assert_array_equal(zarr.open_array(store)[:], KERNEL(IMAGES))
    assert {path.name for path in Path(store).iterdir()} == {"c", "zarr.json"}


@pytest.mark.process
@pytest.mark.parametrize("attempt", range(6))
def test_calls_that_begin_together_and_ask_for_other_chunks(tmp_path, clients, attempt):
    store = str(tmp_path / "gram")
    sizes = (30, 40, 50)
    answers = ask(clients, [[store, 1, size] for size in sizes])
    (winner,) = (size for size, answer in zip(sizes, answers, strict=True) if answer == [size, 0])
    for size, (name, message) in zip(sizes, answers, strict=True):
        if size != winner:
            assert name == "ValueError"
            assert f"chunk_size={size} makes chunks of ({size}, {size})" in message
    np.testing.assert_array_equal(zarr.open_array(store)[:], KERNEL(IMAGES))


@pytest.mark.parametrize("url", ["memory://{}/gram", None])
def test_a_faster_call_elsewhere(tmp_path, monkeypatch, url):
    """Where no rename helps: another call creates the array between the look and the creation."""
    pytest.importorskip("fsspec", reason="URLs need fsspec")
    store = zarr.storage.MemoryStore() if url is None else url.format(tmp_path)
    create = zarr.create_array

    def late(*args, **options):
        monkeypatch.setattr(zarr, "create_array", create)
        gram_to_zarr(KERNEL, IMAGES, store=store, chunk_size=25)
        return create(*args, **options)

    monkeypatch.setattr(zarr, "create_array", late)
    array = gram_to_zarr(KERNEL, IMAGES, store=store)
    assert array.chunks == (25, 25)
    np.testing.assert_array_equal(array[:], KERNEL(IMAGES))


def test_file_systems_without_links(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(f"no links: {source}, {target}")

    monkeypatch.setattr(os, "link", refuse)
    array = gram_to_zarr(KERNEL, IMAGES, store=tmp_path / "gram")
    np.testing.assert_array_equal(array[:], KERNEL(IMAGES))
    assert {path.name for path in (tmp_path / "gram").iterdir()} == {"c", "zarr.json"}


def disturbed(store, function):
    """KERNEL, and something that happens, once, while the second chunk of a store is computed."""
    left = [function]

    def computed(*args, **options):
        if left and (store / "c").exists():
            left.pop()()
        return cpu.gram(*args, **options)

    return clone(KERNEL).set_params(device=ChangedEngine(gram=computed))


@pytest.mark.parametrize("change", ["chunks", "kernel"])
def test_a_store_that_another_call_creates_anew(tmp_path, change):
    """No chunk of the first call gets into it."""
    store = tmp_path / "gram"
    side, kernel = (40, KERNEL) if change == "chunks" else (50, CNTK(4, gap=False, n_jobs=1))

    def create_anew():
        shutil.rmtree(store)
        gram_to_zarr(kernel, IMAGES, store=store, chunk_size=side)
        shutil.rmtree(store / "c")

    disturbed_kernel = disturbed(store, create_anew)
    with pytest.raises(RuntimeError, match="replaced while this call was running"):
        gram_to_zarr(disturbed_kernel, IMAGES, store=store, chunk_size=50)
    assert gram_progress(store).done == 0
    array = gram_to_zarr(kernel, IMAGES, store=store)
    np.testing.assert_array_equal(array[:], kernel(IMAGES))


def test_chunks_that_vanish(tmp_path):
    store = tmp_path / "gram"

    def remove():
        next(path for path in (store / "c").rglob("*") if path.is_file()).unlink()

    disturbed_kernel = disturbed(store, remove)
    with pytest.raises(RuntimeError, match=f"lacks 1 of {N_CHUNKS} chunks"):
        gram_to_zarr(disturbed_kernel, IMAGES, store=store, chunk_size=50)
    array = gram_to_zarr(KERNEL, IMAGES, store=store)
    np.testing.assert_array_equal(array[:], KERNEL(IMAGES))


def test_scalars_of_numpy_are_recorded(tmp_path):
    """And are equal to Python's."""
    images, store = IMAGES[:20], tmp_path / "gram"
    kernel = CNTK(
        np.int64(3), np.bool_(False), lap=np.int32(1), filter_size=np.int16(3),
        flip=np.bool_(True), normalize=np.bool_(True), dtype=np.dtype("float32"),
    )  # fmt: skip
    K = gram_to_zarr(kernel, images, store=store, dtype=np.dtype("float64"))[:]
    plain = CNTK(3, False, lap=1, flip=True, normalize=True)
    np.testing.assert_array_equal(gram_to_zarr(plain, images, store=store)[:], K)
    np.testing.assert_allclose(K, plain(images), rtol=1e-12)
    y = images.mean((1, 2))
    model = CNTKRegressor(depth=np.int64(3), gram_store=tmp_path / "fit").fit(images, y)
    expected = CNTKRegressor(depth=3).fit(images, y).predict(images)
    np.testing.assert_allclose(model.predict(images), expected, rtol=1e-10)


@pytest.mark.parametrize(
    "parameters",
    [{"frozen_layers": 2}, {"network": "myrtle5"}, {"bias_variance": 0.5}, {"weight_variance": 1}],
)
def test_parameters_that_are_usually_left_out_are_told_apart(tmp_path, parameters):
    images = IMAGES[:6]
    kernels = CNTK(3), CNTK(3, **parameters)
    for number, (there, here) in enumerate((kernels, kernels[::-1])):
        gram_to_zarr(there, images, store=tmp_path / str(number))
        with pytest.raises(ValueError, match=f"another Gram matrix: {next(iter(parameters))}="):
            gram_to_zarr(here, images, store=tmp_path / str(number))


@pytest.mark.parametrize(
    ("chunk_size", "error", "message"),
    [
        (0, ValueError, "chunk_size=0 is too small"),
        (-1, ValueError, "chunk_size=-1 is too small"),
        (2.5, TypeError, "chunk_size must be an integer, got 2.5"),
        (True, TypeError, "chunk_size must be an integer, got True"),
        (30, ValueError, r"chunk_size=30 makes chunks of \(30, 30\), but those in .* \(50, 50\)"),
    ],
)
def test_chunk_size_is_checked(tmp_path, chunk_size, error, message):
    gram_to_zarr(KERNEL, IMAGES, store=tmp_path, chunk_size=np.int64(50))
    with pytest.raises(error, match=message):
        gram_to_zarr(KERNEL, IMAGES, store=tmp_path, chunk_size=chunk_size)
    assert gram_to_zarr(KERNEL, IMAGES, store=tmp_path, chunk_size=50).chunks == (50, 50)
    assert gram_to_zarr(KERNEL, IMAGES, store=tmp_path).chunks == (50, 50)


def test_chunks_larger_than_the_matrix(tmp_path):
    for _ in range(2):
        array = gram_to_zarr(KERNEL, IMAGES[:7], IMAGES[:9], store=tmp_path, chunk_size=8)
        assert array.chunks == (7, 8)


def test_kernels_must_be_of_this_package(tmp_path):
    with pytest.raises(TypeError, match="kernel must be a CNTK, got Product"):
        gram_to_zarr(2.0 * KERNEL, IMAGES, store=tmp_path / "gram")
    assert not (tmp_path / "gram").exists()


@pytest.mark.parametrize("kind", [str, Path, zarr.storage.LocalStore])
def test_relative_paths_do_not_change_their_meaning(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    disturbed_kernel = disturbed(tmp_path / "gram", lambda: os.chdir("elsewhere"))
    gram_to_zarr(disturbed_kernel, IMAGES, store=kind("gram"), chunk_size=50)
    assert gram_progress(tmp_path / "gram") == (N_CHUNKS, N_CHUNKS)
    assert not list((tmp_path / "elsewhere").iterdir())
