"""Limits of the system: open files, sizes of files, and input errors."""

import subprocess
import sys

import numpy as np
import pytest
from processes import command, environment
from stored_kernels import files, kernels

from sklearn_cntk._store.entries import read_records

OPTIONS = {"paired": False, "complete": True}

LIMITED = """
import os, resource, sys, warnings
import numpy as np
from sklearn_cntk import CNTK, KernelStore
from sklearn_cntk._store.entries import digests, read_records
from sklearn_cntk.networks import Architecture
X = np.random.default_rng(0).normal(size=(40, 6, 6))
kernel = CNTK(2, memory=sys.argv[1], n_jobs=1)
K = CNTK(2)(X)
partition = KernelStore(sys.argv[1]).partition(Architecture((6, 6, 1)), "float32", False)
ids = digests(X[..., None])
records = [
    ((["d2-gap-all"], ids[i : i + 1], ids[j : j + 2], K[None, i : i + 1, j : j + 2]), OPTIONS)
    for i in range(0, 40)
    for j in range(0, 40, 2)
]
for start in range(0, 400, 4):  # a hundred files of few records, and one of many
    partition.write(records[start : start + 4])
partition.write(records[400:])

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
warnings.simplefilter("error")
assert np.array_equal(kernel(X), K)

read_records.cache_clear()
os.close(next_file := os.dup(2))
resource.setrlimit(resource.RLIMIT_NOFILE, (next_file, 64))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    again = kernel(X)
assert np.allclose(again, K, rtol=1e-12, atol=0)
messages = [str(warning.message) for warning in caught]
assert any("Too many open files" in m and "could not be read" in m for m in messages), messages
assert any("could not be written" in m for m in messages), messages
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit to set")
def test_limit_of_open_files(tmp_path):
    """However many records there are, one file is open; where none may be, results are right."""
    code = LIMITED.replace("OPTIONS", repr(OPTIONS))
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE)
    assert process.returncode == 0, process.stderr.decode()
    assert len(files(tmp_path, "*/*")) == len(files(tmp_path)) == 101


def test_a_file_that_cannot_be_read(images, tmp_path, counting):
    """An error of the system: what is there is a folder."""
    stored, plain = kernels(tmp_path, counting)
    stored(images[:20])
    stored(images)
    done = counting.total
    failing = files(tmp_path)[0]
    failing.unlink()
    failing.mkdir()
    read_records.cache_clear()  # files are read once a process
    with pytest.warns(RuntimeWarning, match="could not be read .*Is a directory"):
        K = stored(images)
    np.testing.assert_allclose(K, plain(images), rtol=1e-12)
    assert done < counting.total < 2 * done
    assert failing.exists()


def test_failure_of_tidying_costs_nothing(tmp_path):
    """Files that cannot be joined, for a limit on file sizes, stay as they are."""
    code = """
import resource, signal, sys, warnings
from pathlib import Path
import numpy as np
from processes import command, environment
from stored_kernels import ImpatientStore
from sklearn_cntk import CNTK
images = np.random.default_rng(0).normal(size=(20, 6, 6))
kernel = CNTK(4, memory=ImpatientStore(sys.argv[1]), n_jobs=1)
expected = CNTK(4)(images)
for i in range(5):
    kernel(images[i : i + 1], images[10:])
size = max(path.stat().st_size for path in Path(sys.argv[1]).rglob("*.blocks"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size, 2 * size))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    K = kernel(images[5:6], images[10:])
assert np.array_equal(K, expected[5:6, 10:])
assert len(caught) == 1 and "could not be tidied" in str(caught[0].message), caught
"""
    subprocess.run(command(code, tmp_path), check=True, env=environment())
    assert len(files(tmp_path, "*/*")) == len(files(tmp_path)) == 6


def test_full_disk_costs_the_store_not_the_result(tmp_path):
    """A limit on file sizes stands for the full disk."""
    code = """
import resource, signal, sys, warnings
import numpy as np
from sklearn_cntk import CNTK
images = np.random.default_rng(0).normal(size=(60, 6, 6))
expected = CNTK(4)(images)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    K = CNTK(4, memory=sys.argv[1])(images)
assert np.array_equal(K, expected)
assert len(caught) == 1 and "could not be written" in str(caught[0].message), caught
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert not files(tmp_path, "*/*")
