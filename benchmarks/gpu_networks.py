"""Networks of any layers on a GPU, for gpu.py: kernel times by events, and a slice of CIFAR-10."""

import time

import numpy as np
from throughput import DEPTH, gpu_bound

from sklearn_cntk import CNTKClassifier
from sklearn_cntk._engines.cuda.engine import CudaEngine
from sklearn_cntk._engines.network_plan import plan_of
from sklearn_cntk.datasets import load_cifar10
from sklearn_cntk.networks import (
    Activation,
    Architecture,
    AvgPool,
    Conv,
    Network,
    Readout,
    Residual,
)
from sklearn_cntk.preprocessing import ZCAWhitening

RELU = Activation("relu")

#: Networks by name; all except the last are stacks of convolutions, activations and pools.
NETWORKS = {
    "Myrtle-5": Network.myrtle(5),
    "Myrtle-5, Gaussian": Network.myrtle(5, "gaussian"),
    "biases": Network.plain(6, bias_variance=0.1),
    "Myrtle-10": Network.myrtle(10),
    "residual": Network(
        [Conv(), Residual([RELU, Conv(), RELU, Conv()]), RELU, AvgPool(), Conv(), RELU]
    ),
}
#: The rows to time: a network, and whether it has GAP.
CASES = [("plain", True), *((name, True) for name in NETWORKS), ("Myrtle-5", False)]

# Names of the kernels that compute sums; the others compute tables.
_SUMS = ("sweep", "trace", "network_sweep", "network")


def network_row(device, facts, shape, name, gap, n, repeats):
    """Return the best rate of the kernel of n × n pairs over several runs, timed by events."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2, n, *shape)).astype(np.float32)
    if name == "plain":
        architecture, depth = Architecture(shape), DEPTH
        work = (shape[0] * shape[1]) ** (2 if gap else 1) * (depth - 1)
        case = {"image_shape": list(shape), "readout": "gap", "dtype": "float32", "depth": depth}
        bound = gpu_bound(facts | {"gpus": 1}, case, "usual")
    else:
        architecture, depth = Architecture(shape, network=NETWORKS[name]), NETWORKS[name].depth
        work, bound = plan_of(architecture, (Readout(depth, gap),)).work, None
    engine = CudaEngine([device])
    call = X, Y, architecture, [Readout(depth, gap)]
    engine.gram(*call)  # compiles
    device.seconds()
    times = []
    for _ in range(repeats):
        engine.gram(*call)
        spent = device.seconds()
        times.append(sum(spent.get(kernel, 0.0) for kernel in _SUMS))
    rate = n * n * work / min(times)
    return {
        "pairs": n * n,
        "element_layers_a_pair": int(work),
        "seconds": min(times),
        "element_layers_per_second": rate,
        "share_of_bound": bound and rate / bound,
    }


def slice_of_network(network, images, device):
    """Return seconds and accuracy of a network with GAP, ZCA and flips on a file of images."""
    data = load_cifar10(images, standardize=False)
    whitening = ZCAWhitening().fit(data.X_train)
    X_train, X_test = (whitening.transform(X) for X in (data.X_train, data.X_test))
    model = CNTKClassifier(network=network, flip=True, device=device)
    start = time.perf_counter()
    model.fit(X_train, data.y_train)
    fitted = time.perf_counter()
    accuracy = model.score(X_test, data.y_test)
    return {
        "network": network,
        "n_train": len(X_train),
        "n_test": len(X_test),
        "seconds_to_fit": fitted - start,
        "seconds_to_predict": time.perf_counter() - fitted,
        "accuracy": accuracy,
    }
