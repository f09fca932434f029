"""Progress bars: the bar for kernel values, and the class of all others."""

import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import current_process
from typing import Any


def bar_class():
    """Return tqdm's class of progress bars: a widget in notebooks that have them, or text.

    It is imported only when a bar is needed, to keep the package's import light.
    """
    if find_spec("ipywidgets") is None:  # `tqdm.auto` would warn in a notebook
        from tqdm.std import tqdm
    else:
        from tqdm.auto import tqdm
    return tqdm


# Seconds of work before a bar appears, with verbose="auto".
_PATIENCE = 10

# Seconds before it says that functions are being compiled, in a first call.
_PATIENCE_TO_COMPILE = 2


def is_shown(verbose):
    """Whether to show a bar: programs without a console have no stderr to show it on.

    "auto" shows it only to someone who watches: in the main process, in a terminal or notebook.
    """
    if verbose == "auto":
        return _is_watched(sys.stderr) and current_process().name == "MainProcess"
    return bool(verbose) and sys.stderr is not None


def _is_watched(stream):
    if type(stream).__module__.startswith("ipykernel."):
        return True
    return hasattr(stream, "isatty") and stream.isatty()


def is_talkative(verbose):
    """Whether to also print what is done."""
    return bool(verbose) and verbose != "auto"


@contextmanager
def progress_bar(total, verbose, label, advance=None):
    """Yield a function to call with numbers of finished pairs: `advance`, a bar's, or a dummy.

    The `label` says what computes them, and where.  The bar says when Numba compiles.
    """
    if advance is not None or not is_shown(verbose):
        yield advance or (lambda pairs: None)
        return
    delay = _PATIENCE if verbose == "auto" else 0
    with (
        bar_class()(total=total, desc=label, unit="pair", unit_scale=True, delay=delay) as bar,
        _compilation_shown(bar, delay),
    ):
        yield bar.update


@contextmanager
def _compilation_shown(bar, delay):
    """Make the bar say that functions are being compiled, which is slow in a first call."""
    event: Any = sys.modules.get("numba.core.event")  # None if Numba is not in use
    if event is None:
        yield
        return
    begun = time.monotonic()

    class Listener(event.Listener):
        under_way = 0  # compilations nest, and run in several threads

        def on_start(self, _):
            self.under_way += 1
            self.show("compiling")

        def on_end(self, _):
            self.under_way = max(0, self.under_way - 1)  # one may have begun earlier
            if self.under_way == 0:
                self.show("")

        def show(self, text):
            is_late = time.monotonic() - begun >= min(delay, _PATIENCE_TO_COMPILE)
            bar.set_postfix_str(text, refresh=is_late)

    with event.install_listener("numba:compile", Listener()):
        yield
        bar.set_postfix_str("", refresh=False)
