"""``import sklearn_cntk`` imports nothing that is slow or may be missing."""

import subprocess
import sys


def test_import_is_light():
    code = (
        "import sys, sklearn_cntk; heavy = {'numba', 'cupy', 'torch', 'dask', 'tqdm', 'matplotlib'}"
        "; assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
