"""Import of matplotlib, and the colours and styles shared by all displays."""

#: Okabe and Ito's colour-blind-safe palette ("Color Universal Design", 2008).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D")
STYLES = ("-", "--", "-.", ":")


def import_pyplot(user):
    """Return ``matplotlib.pyplot``, or raise an error with the `user` and the extra to install."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError(
            f"{user} needs matplotlib, which is not installed: pip install 'sklearn-cntk[plot]'."
        ) from error
    return matplotlib.pyplot


def merged(defaults, given, artist):
    """Merge keywords of an artist; `given` ones, aliases such as "c" too, override `defaults`."""
    from matplotlib.cbook import normalize_kwargs

    return {**defaults, **normalize_kwargs(given, artist)}


def short(text, length=12):
    """Shorten text to one line of at most `length` characters, with an ellipsis in the middle.

    The end is kept because class names often differ only there.
    """
    text = " ".join(str(text).split())
    if len(text) <= length:
        return text
    end = (length - 1) // 3
    return f"{text[: length - 1 - end].rstrip()}…{text[-end:].lstrip()}"


def line_style(k):
    """Return the colour, marker and dashes of the k-th line."""
    cycle = k // len(COLORS)
    return {
        "color": COLORS[k % len(COLORS)],
        "marker": MARKERS[k % len(MARKERS)],
        "linestyle": STYLES[cycle % len(STYLES)],
        "markersize": 5,
    }
