"""Compare workers, stores and iterative solvers with plain threads and matrices in memory.

    python benchmarks/cluster.py --data FOLDER [--part scaling zarr cg] [--store FOLDER]
        [--quick] [--json FILE]

``scaling``: the same Gram matrix alternately on a Dask cluster of one worker, on one of two workers
with one thread each, on two threads of this process and on one.  ``zarr``: Gram matrices
alternately in a Zarr array and in memory.  ``cg``: 20 000 images of CIFAR-10, from a float32 store,
by conjugate gradients in a separate process whose peak resident memory is measured; predictions are
compared with those of the Cholesky factorisation.  With ``--store``, this part keeps its Gram
matrix.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
from machine import describe_machine
from sklearn.base import clone

from sklearn_cntk import CNTK, CNTKClassifier, gram_to_zarr
from sklearn_cntk._linalg.gram_operators import ZarrGram
from sklearn_cntk.datasets import load_cifar10

PARTS = ("scaling", "zarr", "cg")

# Kernel and number of 32 × 32 × 3 images: about half a minute of one core each.
CASES = {
    "GAP, depth 6": (CNTK(6, n_jobs=2), 128),
    "trace, depth 6": (CNTK(6, gap=False, n_jobs=2), 4096),
}
CG_DEPTH = 6
CG_TOL = 1e-6


def measure(call, client=None):
    """Return the seconds of a call, and the processor seconds of this process and any workers."""

    def used():
        return time.process_time() + sum(client.run(time.process_time).values() if client else ())

    cpu, seconds = used(), time.perf_counter()
    call()
    return time.perf_counter() - seconds, used() - cpu


def in_turns(calls, turns, clients=None):
    """Return the median times of named calls, made in turns, some on a client's workers."""
    times = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            times[name].append(measure(call, (clients or {}).get(name)))
    return {
        name: [statistics.median(column) for column in zip(*pairs, strict=True)]
        for name, pairs in times.items()
    }


# --- scaling --------------------------------------------------------------------------------------


def scaling(images, options):
    """Return the seconds of a Gram matrix by number of workers, and ratios."""
    from dask.distributed import Client, LocalCluster

    clusters = {
        f"{n} worker{'s' * (n > 1)}": LocalCluster(
            n_workers=n, threads_per_worker=1, dashboard_address=":0"
        )
        for n in (1, 2)
    }
    clients = {name: Client(cluster, direct_to_workers=True) for name, cluster in clusters.items()}
    result = {}
    try:
        for case, (kernel, n) in CASES.items():
            n = n // 2 if options.quick else n
            X = images[:n]

            def on_threads(n, kernel=kernel, X=X):
                clone(kernel).set_params(n_jobs=n)(X)

            def on_cluster(name, kernel=kernel, X=X):
                with joblib.parallel_config(backend="dask", client=clients[name]):
                    kernel(X)

            calls = {name: lambda name=name: on_cluster(name) for name in clusters}
            calls["2 threads"] = lambda: on_threads(2)
            # For the gain from two cores on this machine: they share caches, memory and power.
            calls["1 thread"] = lambda: on_threads(1)
            for client in clients.values():  # imports and compiles
                with joblib.parallel_config(backend="dask", client=client):
                    kernel(X[:32])
            kernel(X[:32])
            medians = in_turns(calls, options.turns, clients)
            times = {name: seconds for name, (seconds, _) in medians.items()}
            result[case] = {
                "n": n,
                "seconds": {name: round(value, 2) for name, value in times.items()},
                "cpu_seconds": {name: round(cpu, 2) for name, (_, cpu) in medians.items()},
                "2 threads over 1": round(times["1 thread"] / times["2 threads"], 3),
                "2 workers over 1": round(times["1 worker"] / times["2 workers"], 3),
                "2 workers over threads": round(times["2 threads"] / times["2 workers"], 3),
            }
            print(case, json.dumps(result[case]), flush=True)
    finally:
        for client in clients.values():
            client.close()
        for cluster in clusters.values():
            cluster.close()
    return result


# --- Zarr -----------------------------------------------------------------------------------------


def zarr(images, options):
    """Return how much writing a Gram matrix to a Zarr array adds to computing it."""
    result = {}
    for case, (kernel, n) in CASES.items():
        n = n // 2 if options.quick else n
        X = images[:n]

        def to_store(kernel=kernel, X=X):
            with tempfile.TemporaryDirectory(dir=options.store) as folder:
                gram_to_zarr(kernel, X, store=f"{folder}/gram")

        calls = {"memory": lambda kernel=kernel, X=X: kernel(X), "store": to_store}
        kernel(X[:32])  # compiles
        times = in_turns(calls, options.turns)
        (seconds, cpu), (store_seconds, store_cpu) = times["memory"], times["store"]
        result[case] = {
            "n": n,
            "seconds": {"memory": round(seconds, 2), "store": round(store_seconds, 2)},
            "cpu_seconds": {"memory": round(cpu, 2), "store": round(store_cpu, 2)},
            "added": round(store_seconds / seconds - 1, 4),
            "added, cpu": round(store_cpu / cpu - 1, 4),
        }
        print(case, json.dumps(result[case]), flush=True)
    return result


# --- conjugate gradients --------------------------------------------------------------------------


def cg(images, options):
    """Return the memory of an iterative fit from a store; compare predictions with Cholesky's."""
    with tempfile.TemporaryDirectory(dir=options.store) as temporary:
        folder = Path(options.store or temporary) / f"cg-{options.n_cg}"
        folder.mkdir(exist_ok=True)
        result = {"n": options.n_cg, "depth": CG_DEPTH, "tol": CG_TOL}
        for solver in ("store", "cg", "cholesky"):
            command = [sys.executable, __file__, "--solver", solver, "--folder", str(folder)]
            command += ["--data", options.data, "--n-cg", str(options.n_cg)]
            result[solver] = json.loads(subprocess.check_output(command).splitlines()[-1])
            print(solver, json.dumps(result[solver]), flush=True)
        iterated, exact = (np.load(folder / f"{name}.npy") for name in ("cg", "cholesky"))
    result["largest difference of predictions"] = float(abs(iterated - exact).max())
    result["equal labels"] = float(np.mean(iterated.argmax(1) == exact.argmax(1)))
    print(json.dumps(result, indent=2))
    return result


def solve(options):
    """Run one solver in this process; print its time and memory as the last line of output."""
    data = load_cifar10(options.data, n_train=options.n_cg, n_test=1000)
    folder = Path(options.folder)
    store = str(folder / "gram")
    result = {}
    start = time.perf_counter()
    if options.solver == "store":
        gram_to_zarr(CNTK(CG_DEPTH, gap=False), data.X_train, store=store, dtype="float32")
    else:
        model = CNTKClassifier(
            CG_DEPTH, False, solver=options.solver, gram_store=store, tol=CG_TOL, random_state=0
        ).fit(data.X_train, data.y_train)
        result["iterations"] = model.n_iter_
        result["fit_seconds"] = round(time.perf_counter() - start, 1)
        scores = model.decision_function(data.X_test)
        np.save(folder / f"{options.solver}.npy", scores)
        if options.solver == "cg":
            gram = ZarrGram(store, -1)
            chunks = len(gram.strips) * (len(gram.strips) + 1) / 2
            cpu = min(measure(lambda: gram.product(model.dual_coef_))[1] for _ in range(3))
            result["product_cpu_ms_a_chunk"] = round(1000 * cpu / chunks, 2)
            result["chunk"] = gram.array.chunks[0]
        result["correct"] = round(100 * float(np.mean(scores.argmax(1) == data.y_test)), 2)
    result["seconds"] = round(time.perf_counter() - start, 1)
    result["cpu_seconds"] = round(time.process_time(), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result["peak_gb"] = round(peak / 1e9, 2)
    print(json.dumps(result))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="path to CIFAR-10, as for load_cifar10")
    parser.add_argument("--part", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a quarter of the pairs")
    parser.add_argument("--n-cg", type=int, default=20000, help="training images of part cg")
    parser.add_argument("--store", help="folder for stores; default: a temporary folder")
    parser.add_argument("--json", help="results file of this machine; keeps other parts in it")
    parser.add_argument("--solver", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.solver:
        return solve(options)

    file = options.json and Path(options.json)
    images = load_cifar10(options.data, n_train=max(n for _, n in CASES.values()), n_test=1).X_train
    parts = {"scaling": scaling, "zarr": zarr, "cg": cg}
    for part in options.part:
        print(f"--- {part}")
        result = parts[part](images, options)
        if file:
            results = json.loads(file.read_text()) if file.exists() else {}
            results |= {"machine": describe_machine(), part: result}
            file.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
