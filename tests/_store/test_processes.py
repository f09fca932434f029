"""Processes that share a folder of kernel entries, and one that is killed."""

import json
import signal
import subprocess

import numpy as np
import pytest
from processes import command, environment
from stored_kernels import files

from sklearn_cntk import CNTK
from sklearn_cntk._store.entries import digests

pytestmark = pytest.mark.process

RUN = """
import sys
import numpy as np
from stored_kernels import ImpatientStore
from sklearn_cntk import CNTK
from sklearn_cntk._engines.cpu.engine import CpuEngine

class Engine(CpuEngine):
    computed = 0

    def gram(self, X, Y, *args, triu=None, **options):
        n = len(X) * len(Y) if triu is None else int(np.triu(np.ones((len(X), len(Y))), triu).sum())
        self.computed += n
        values = super().gram(X, Y, *args, triu=triu, **options)
        print("tile", self.computed, flush=True)
        return values

    def limits(self, travelling):  # as small beside this run as usual tiles beside a longer one
        return super().limits(travelling)._replace(work=5e7)

engine = Engine()
images = np.random.default_rng(0).normal(size=(int(sys.argv[2]), 14, 14))
K = CNTK(11, memory=ImpatientStore(sys.argv[1]), n_jobs=1, device=engine)(images)
np.save(sys.argv[3], K)
print("computed", engine.computed, flush=True)
"""


def start_run(folder, n, result):
    started = command(RUN, folder, n, result)
    return subprocess.Popen(started, stdout=subprocess.PIPE, text=True, env=environment())


def finish_run(process):
    """Pairs that the process computed."""
    with process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return int(output.split("computed")[1])


def n_stored(folder, n):
    """Pairs of the n images of RUN that the store holds at depth 11."""
    images = np.random.default_rng(0).normal(size=(n, 14, 14, 1))
    place = {digest: k for k, digest in enumerate(digests(images))}
    held = np.zeros((n, n), dtype=bool)
    for path in files(folder):
        with open(path, "rb") as file:
            while file.tell() < path.stat().st_size:
                header, rows, columns, values = (np.load(file) for _ in range(4))
                k = json.loads(header.tobytes())["readouts"].index("d11-gap-all")
                at = np.ix_(*([place[row.tobytes()] for row in ids] for ids in (rows, columns)))
                held[at] |= ~np.isnan(values[k])
    return int(np.triu(held | held.T).sum())


def test_killed_run_resumes(tmp_path):
    """SIGKILL in the middle; what was done before is not done again, by the documented layout."""
    n = 180
    n_pairs = n * (n + 1) / 2
    with start_run(tmp_path / "store", n, tmp_path / "killed.npy") as process:
        done = 0
        while done < n_pairs / 2:
            word, done = process.stdout.readline().split()
            assert word == "tile"
            done = int(done)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed.npy").exists()
    held = n_stored(tmp_path / "store", n)
    assert done - held < 0.05 * n_pairs  # lost in flight
    assert held < n_pairs
    computed = finish_run(start_run(tmp_path / "store", n, tmp_path / "resumed.npy"))
    assert computed == n_pairs - held
    images = np.random.default_rng(0).normal(size=(n, 14, 14))
    np.testing.assert_allclose(np.load(tmp_path / "resumed.npy"), CNTK(11)(images), rtol=1e-12)


def test_two_processes_share_the_work(tmp_path):
    """Each takes over what the other has finished meanwhile."""
    n = 180
    n_pairs = n * (n + 1) / 2
    both = [start_run(tmp_path / "store", n, tmp_path / f"{k}.npy") for k in range(2)]
    computed = sum(finish_run(process) for process in both)
    np.testing.assert_array_equal(np.load(tmp_path / "0.npy"), np.load(tmp_path / "1.npy"))
    assert n_pairs <= computed < 1.7 * n_pairs
    again = finish_run(start_run(tmp_path / "store", n, tmp_path / "2.npy"))
    assert again == 0
