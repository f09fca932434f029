"""The only place that imports matplotlib, and what all displays draw with."""

#: Okabe and Ito's colours ("Color Universal Design", 2008), which the colour-blind can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D")
STYLES = ("-", "--", "-.", ":")


def import_pyplot(user):
    """``matplotlib.pyplot``, or an error that names its `user` and the extra to install."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError(
            f"{user} needs matplotlib, which is not installed: pip install 'sklearn-cntk[plot]'."
        ) from error
    return matplotlib.pyplot


def merged(defaults, given, artist):
    """Keywords of an artist, `given` ones first, also by matplotlib's short names such as "c"."""
    from matplotlib.cbook import normalize_kwargs

    return {**defaults, **normalize_kwargs(given, artist)}


def short(text, length=12):
    """One line of at most `length` characters; of longer ones the middle becomes an ellipsis.

    The end stays, since classes' names often differ there alone.
    """
    text = " ".join(str(text).split())
    if len(text) <= length:
        return text
    end = (length - 1) // 3
    return f"{text[: length - 1 - end].rstrip()}…{text[-end:].lstrip()}"


def line_style(k):
    """Colour, marker and dashes of the k-th line: as many as there may be, all different."""
    cycle = k // len(COLORS)
    return {
        "color": COLORS[k % len(COLORS)],
        "marker": MARKERS[k % len(MARKERS)],
        "linestyle": STYLES[cycle % len(STYLES)],
        "markersize": 5,
    }
