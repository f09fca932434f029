"""Times neural-tangents on the images that its standard input names; JSON lines both ways.

Runs in the environment of requirements.txt, started by ../compare_neural_tangents.py.
"""

import json
import sys
import time

import jax
import numpy as np
from neural_tangents import stax

jax.config.update("jax_platforms", "cpu")


def kernel_function(depth, gap):
    """The network of the paper's section 4, up to a constant factor of the kernel."""
    layers = []
    for _ in range(depth - 1):
        layers += [stax.Conv(1, (3, 3), padding="SAME", W_std=2**0.5), stax.Relu()]
    layers += [stax.GlobalAvgPool() if gap else stax.Flatten(), stax.Dense(1)]
    _, _, kernel = stax.serial(*layers)
    return jax.jit(lambda x, y: kernel(x, y, "ntk"))


for line in sys.stdin:
    job = json.loads(line)
    images = np.load(job["images"])
    X, Y = images["X"].astype(np.float32), images["Y"].astype(np.float32)
    kernel = kernel_function(job["depth"], job["gap"])
    kernel(X, Y).block_until_ready()
    start = time.perf_counter()
    values = kernel(X, Y).block_until_ready()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "values": np.asarray(values).tolist()}), flush=True)
