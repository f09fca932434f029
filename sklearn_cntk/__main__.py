"""``python -m sklearn_cntk``: information for bug reports, and a self-test."""

import sys

from ._selftest.report import main

if __name__ == "__main__":
    sys.exit(main())
