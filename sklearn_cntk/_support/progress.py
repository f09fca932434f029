"""Progress bars: that of kernel values, and the class of all others."""

import sys
from contextlib import contextmanager
from importlib.util import find_spec


def bar_class():
    """tqdm's class of progress bars: a widget in notebooks that have them, text elsewhere.

    Imported when a bar is wanted: the package's import stays light.
    """
    if find_spec("ipywidgets") is None:  # where `tqdm.auto` warns in a notebook
        from tqdm.std import tqdm
    else:
        from tqdm.auto import tqdm
    return tqdm


def is_shown(verbose):
    """Whether to show a bar: programs without a console have no stderr to show it on."""
    return bool(verbose) and sys.stderr is not None


@contextmanager
def progress_bar(total, verbose, label, advance=None):
    """Yield a function to call with numbers of finished pairs: `advance`, else a bar's, or none.

    The `label` says what computes them, and on what.
    """
    if advance is not None or not is_shown(verbose):
        yield advance or (lambda pairs: None)
        return
    with bar_class()(total=total, desc=label, unit="pair", unit_scale=True) as bar:
        yield bar.update
