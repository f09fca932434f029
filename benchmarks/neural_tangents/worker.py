"""Times neural-tangents on images named on standard input; input and output are JSON lines.

../compare_neural_tangents.py starts it in the environment of requirements.txt.
"""

import json
import sys
import time
from functools import lru_cache

import jax
import numpy as np
from neural_tangents import stax

jax.config.update("jax_platforms", "cpu")


@lru_cache
def compile_kernel(depth, gap, x_shape, y_shape):
    """Return the NTK of the paper's section 4, up to a constant factor, compiled and run once.

    With flattening, neural-tangents itself chooses ``diagonal_spatial``, and so P·Q entries.
    """
    layers = []
    for _ in range(depth - 1):
        layers += [stax.Conv(1, (3, 3), padding="SAME", W_std=2**0.5), stax.Relu()]
    layers += [stax.GlobalAvgPool() if gap else stax.Flatten(), stax.Dense(1)]
    _, _, kernel = stax.serial(*layers)
    jitted = jax.jit(lambda x, y: kernel(x, y, "ntk"))
    jitted(np.ones(x_shape, np.float32), np.ones(y_shape, np.float32)).block_until_ready()
    return jitted


for line in sys.stdin:
    job = json.loads(line)
    images = np.load(job["images"])
    X, Y = images["X"], images["Y"]
    kernel = compile_kernel(job["depth"], job["gap"], X.shape, Y.shape)
    start = time.perf_counter()
    values = kernel(X, Y).block_until_ready()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "values": np.asarray(values).tolist()}), flush=True)
