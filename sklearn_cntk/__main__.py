"""``python -m sklearn_cntk``: what a bug report needs, and a self-test."""

import sys

from ._self_test import main

if __name__ == "__main__":
    sys.exit(main())
