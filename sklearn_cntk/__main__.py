"""``python -m sklearn_cntk``: what a bug report needs, and a self-test."""

import sys

from ._selftest.report import main

if __name__ == "__main__":
    sys.exit(main())
