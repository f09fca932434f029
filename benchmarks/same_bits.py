"""Check that two checkouts give the same kernel values, bit for bit, for 40 or more configurations.

The bits depend on the processor and the compiler, so both checkouts run on this machine, each in a
separate process.  The CUDA engine runs on the host emulation of the tests, if g++ is available.

    git worktree add ../before main~3
    python benchmarks/same_bits.py ../before [--no-cuda]
"""

import argparse
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SHAPES = [(6, 6, 2), (5, 7, 1), (1, 9, 3), (8, 8, 1)]
READOUTS = [(True, 0), (False, 0), (False, 1)]  # gap, lap


def images(rng, n, shape):
    """Return random images, two of which are equal."""
    X = rng.normal(size=(n, *shape))
    X[n // 2] = X[0]
    return X


def configurations():
    """Yield image shapes and parameters of CNTK, every other one with flips and larger filters."""
    for shape in SHAPES:
        cases = product(("float32", "float64"), ("all", "hidden", "last"), READOUTS)
        for k, (dtype, trained_layers, (gap, lap)) in enumerate(cases):
            if shape in SHAPES[2:] and dtype == "float64" and trained_layers != "hidden":
                continue  # a little over 40 are enough
            other = {"filter_size": 5, "flip": True, "normalize": True} if k % 2 else {}
            yield shape, {"gap": gap, "lap": lap, "trained_layers": trained_layers,
                          "dtype": dtype, **other}  # fmt: skip


def on_the_cpu():
    """Yield names and arrays of kernel values from the public classes."""
    from sklearn_cntk import CNTK, CNTKRegressor, cntk_path

    rng = np.random.default_rng(0)
    data = {shape: (images(rng, 21, shape), images(rng, 5, shape)) for shape in SHAPES}
    for k, (shape, parameters) in enumerate(configurations()):
        X, Y = data[shape]
        kernel = CNTK(4, device="cpu", **parameters)
        yield f"gram {k} {parameters}", kernel(X)
        yield f"rectangle {k} {parameters}", kernel(Y, X)
        yield f"diagonal {k} {parameters}", kernel.diag(X)
    X, Y = data[SHAPES[0]]
    every = ("all", "hidden", "last")
    path, _ = cntk_path(X, depths=[3, 5], lap=[1, 2], trained_layers=every, flip=True, device="cpu")
    yield "path", path
    yield "feature vectors", CNTK(5, device="cpu")(X.reshape(len(X), -1))
    with tempfile.TemporaryDirectory() as folder:
        kernel = CNTK(4, flip=True, normalize=True, memory=folder, device="cpu")
        yield "store", kernel(X)
        yield "store again", kernel(X[::-1], Y)
    model = CNTKRegressor(3, flip=True, normalize=True, trained_layers="last", device="cpu")
    for part in model.fit(X, X[:, 0, 0, 0]).predict(Y, return_std=True):
        yield "predictions, or their deviations", part


def on_the_host_as_cuda(folder):
    """Yield names and arrays of kernel values from the CUDA engine on the host."""
    (helper,) = Path("tests").rglob("cuda_host.py")
    sys.path.insert(0, os.fspath(helper.parent.absolute()))
    import cuda_host

    from sklearn_cntk._engines.cuda.engine import CudaEngine
    from sklearn_cntk.networks import Architecture, Readout

    rng = np.random.default_rng(1)
    engine = CudaEngine([cuda_host.HostDevice(Path(folder))])
    trained = ("all", "last", "hidden")
    readouts = [Readout(d, g, t) for d, g, t in product((3, 4), (True, False), trained)]
    readouts += [Readout(4, False, "all", lap=1), Readout(4, False, "hidden", lap=1)]
    cases = [((6, 5, 2), 3), ((3, 34, 1), 3), ((1, 1, 4), 3), ((8, 8, 1), 5)]
    for (shape, filter_size), dtype in product(cases, ("float32", "float64")):
        X, Y = images(rng, 6, shape), images(rng, 4, shape)
        architecture = Architecture(shape, filter_size)
        for name, of in (("gram", Y), ("pairs", X[::-1])):
            values = getattr(engine, name)(X, of, architecture, readouts, dtype=dtype)
            yield f"cuda {name} {shape} {dtype}", values


def compute(path, with_cuda):
    """Save all arrays of the checkout in the current folder."""
    arrays = dict(on_the_cpu())
    if with_cuda:
        with tempfile.TemporaryDirectory() as folder:
            arrays |= dict(on_the_host_as_cuda(folder))
    np.savez(path, **arrays)


def compare(before, after):
    """Print the differences; return the number of arrays that differ."""
    if set(before) != set(after):
        sys.exit(f"The checkouts computed different things: {set(before) ^ set(after)}")
    different = 0
    for name, values in before.items():
        if not np.array_equal(values, after[name], equal_nan=True):
            different += 1
            largest = np.abs(values - after[name]).max() / np.abs(values).max()
            print(f"{name}: differs by {largest:.1e} of the largest entry")
    print(f"{len(before)} arrays, {different} of them different")
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", help="the other checkout")
    parser.add_argument("--no-cuda", action="store_true", help="leave out the CUDA engine")
    parser.add_argument("--compute", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compute:
        compute(options.compute, not options.no_cuda)
        return
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for checkout in (Path(options.other).absolute(), ROOT):
            path = os.path.join(folder, f"{len(results)}.npz")
            command = [sys.executable, __file__, options.other, "--compute", path]
            command += ["--no-cuda"] * options.no_cuda
            environment = os.environ | {"PYTHONPATH": os.fspath(checkout)}
            subprocess.run(command, check=True, cwd=checkout, env=environment)
            with np.load(path) as arrays:
                results.append(dict(arrays))
    sys.exit(compare(*results) > 0)


if __name__ == "__main__":
    main()
