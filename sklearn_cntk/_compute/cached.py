"""Kernel entries of which a store holds a part: look up, compute what is missing, keep it."""

from dataclasses import replace

import numpy as np

from .._store.entries import Writer, digests
from .._support.images import flipped
from .tiles import Part, as_slice, pairs, slices_index, tiles


def stored_gram(X, Y, *, symmetric, flip, advance, space, readouts, **options):
    """What `_gram.gram` returns, with every pair of images computed once and kept in a `space`.

    With `flip`, the images of X are mirrored, but go by the names that they have unmirrored:
    K(Fx, z) = K(Fz, x), so the names need no order.  With the readouts, those of all smaller
    depths are kept, which the same pass computes.

    X and Y are images (n, P, Q, C) or, where the same ones come again and again, as training images
    do in predictions by blocks, `Distinct` made of them once.
    """
    x = X if isinstance(X, Distinct) else Distinct(X)
    y = x if symmetric else Y if isinstance(Y, Distinct) else Distinct(Y)
    x_ids, y_ids, x_places, y_places = x.ids, y.ids, x.places, y.places
    X, Y = flipped(x.images) if flip else x.images, y.images
    names = [readout.name for readout in readouts]
    target = _Target(names, x, y)
    space.read(target)
    missing = _missing_parts(target, y_ids, symmetric)
    n_missing = sum(part.n_pairs for part in missing)
    n, m = len(x_places), len(y_places)
    advance((n * (n + 1) // 2 if symmetric else n * m) - n_missing)

    kept = _smaller_depths(readouts)
    kept_names = [readout.name for readout in kept]
    wanted = [kept.index(readout) for readout in readouts]
    with Writer(space) as writer:
        for tile in tiles(X, Y, missing, readouts=kept, wanted=target.lacks, **options):
            advance(tile._replace(values=tile.values[wanted]).place(target.values))
            complete = tile.computed is None or bool(tile.computed.all())
            if not complete:
                tile.values[:, ~tile.computed] = np.nan
            rows = [x_ids[i] for i in tile.rows]
            columns = [y_ids[j] for j in tile.columns]
            if writer.add(kept_names, rows, columns, tile.values, complete=complete):
                space.read(target)  # what other processes have finished meanwhile
    values = target.values
    if len(x_ids) < n:
        values = values[:, x_places]
    if len(y_ids) < m:
        values = values[:, :, y_places]
    return values


def stored_diagonals(X, *, flip, advance, space, readouts, **options):
    """Kernel values (readout, n) of images, mirrored if `flip`, with themselves, likewise."""
    x = X if isinstance(X, Distinct) else Distinct(X)
    X, ids, places = x.images, x.ids, x.places
    names = [readout.name for readout in readouts]
    target = _Diagonal(names, x)
    space.read(target)
    (missing,) = np.nonzero(~target.found)
    advance(len(places) - len(missing))
    if len(missing):
        kept = _smaller_depths(readouts)
        X = X[missing]
        values = pairs(flipped(X) if flip else X, X, advance=advance, readouts=kept, **options)
        target.values[:, missing] = values[[kept.index(readout) for readout in readouts]]
        with Writer(space) as writer:
            kept_names = [readout.name for readout in kept]
            missing_ids = [ids[i] for i in missing]
            writer.add(kept_names, missing_ids, missing_ids, values, paired=True)
    return target.values[:, places]


class Distinct:
    """Different images in their order, and the place of each image of an array among them.

    Made once, it serves any number of calls, which otherwise hash the images and look through the
    store's identifiers in each.  The array must not change as long as it is in use: whoever makes
    one vouches for that.

    Parameters
    ----------
    images : ndarray (n, P, Q, C)

    Attributes
    ----------
    images : ndarray (k, P, Q, C)
        `images` itself where no image occurs twice.
    ids : list of bytes
        Their digests.
    places : ndarray (n,)
    lookup : _Places
    """

    def __init__(self, images):
        of_all = digests(images)
        place = {digest: k for k, digest in enumerate(dict.fromkeys(of_all))}
        self.places = np.array([place[digest] for digest in of_all])
        if len(place) < len(of_all):
            _, first = np.unique(self.places, return_index=True)
            images = images[first]
        self.images = images
        self.ids = list(place)
        self.lookup = _Places(self.ids)

    def __len__(self):
        return len(self.places)

    @property
    def shape(self):
        """Shape of the array of all images."""
        return len(self), *self.images.shape[1:]


def _smaller_depths(readouts):
    """The readouts, and the same ones of all smaller depths."""
    smaller = (
        replace(readout, depth=depth)
        for readout in readouts
        for depth in range(3 if readout.trained_layers == "hidden" else 2, readout.depth + 1)
    )
    return list(dict.fromkeys(smaller))


class _Places:
    """Where images of known digests stand, looked up by lists of digests."""

    def __init__(self, ids):
        self._place = {digest: k for k, digest in enumerate(ids)}
        self._looked_up = {}

    def of(self, ids):
        """Places of those of the list `ids` that have one, and their indices in the list.

        Two slices or arrays, or None if no image has a place.  Records share lists of identifiers,
        so each list is looked up once.
        """
        if id(ids) not in self._looked_up:
            at, source = self.arrays(ids)
            places = (as_slice(at), as_slice(source)) if len(at) else None
            # The list is kept, so that no other one can take its id.
            self._looked_up[id(ids)] = ids, places
        return self._looked_up[id(ids)][1]

    def arrays(self, ids):
        """The same as two arrays, which may be empty."""
        at = np.array([self._place.get(digest, -1) for digest in ids])
        (source,) = np.nonzero(at >= 0)
        return at[source], source


class _Target:
    """Gram matrices (readout, x, y) of images of known digests, filled from records."""

    def __init__(self, names, x, y):
        self.names = names
        self.values = np.empty((len(names), len(x.ids), len(y.ids)))
        self.found = np.zeros((len(x.ids), len(y.ids)), dtype=bool)
        self.x, self.y = x.lookup, y.lookup

    def lacks(self, rows, columns):
        """Whether an entry of these rows and columns was not found."""
        return not self.found[np.ix_(rows, columns)].all()

    def wants(self, record):
        """Whether a record holds entries of these matrices."""
        if record.paired or not all(name in record.names for name in self.names):
            return False
        return any(self.x.of(x) and self.y.of(y) for x, y in _orders(record))

    def copy(self, record, planes):
        """Copy what a record holds, in either order of the images; `planes` are its values."""
        for transposed, at, source in self._places_in(record):
            held = True
            for target, plane in zip(self.values, planes, strict=True):
                block = (plane.T if transposed else plane)[source]
                if not record.complete:
                    held = ~np.isnan(block)
                    block = np.where(held, block, target[at])
                target[at] = block
            self.found[at] |= held

    def _places_in(self, record):
        """(transposed, index into the matrices, index into the record) of each order it has."""
        found = []
        for transposed, ids in enumerate(_orders(record)):
            x, y = self.x.of(ids[0]), self.y.of(ids[1])
            if x and y:
                found.append((transposed, slices_index(x[0], y[0]), slices_index(x[1], y[1])))
        return found


def _orders(record):
    """Digests (rows, columns) of a record, and of its mirror image."""
    return (record.rows, record.columns), (record.columns, record.rows)


class _Diagonal:
    """Kernel values (readout, image) of images with themselves, filled from records."""

    def __init__(self, names, x):
        self.names = names
        self.values = np.empty((len(names), len(x.ids)))
        self.found = np.zeros(len(x.ids), dtype=bool)
        self.places = x.lookup

    def wants(self, record):
        """Whether a record may hold entries of these diagonals."""
        names = all(name in record.names for name in self.names)
        return names and self.places.of(record.rows) is not None

    def copy(self, record, planes):
        """Copy what a record holds of its images with themselves; `planes` are its values."""
        at, rows = self.places.arrays(record.rows)
        source = rows
        if not record.paired:
            column_of = {digest: j for j, digest in enumerate(record.columns)}
            columns = np.array([column_of.get(record.rows[i], -1) for i in rows])
            at, source = at[columns >= 0], (rows[columns >= 0], columns[columns >= 0])
        for target, plane in zip(self.values, planes, strict=True):
            entries = plane[source]
            held = ~np.isnan(entries)
            target[at[held]] = entries[held]
        self.found[at[held]] = True


def _missing_parts(target, y_ids, symmetric):
    """Parts that hold every pair of images that was not found, once.

    Rows that miss the same columns form one part: what is missing comes from whole Gram matrices
    of earlier calls, or from an interrupted one, so there are few patterns.
    """
    need = ~target.found
    n, m = need.shape
    if symmetric:
        return _symmetric_parts(need, np.arange(n), np.arange(n))
    # Images in both X and Y form a symmetric part of their own.
    rows, columns = target.x.arrays(y_ids)
    parts = []
    if len(rows):
        parts = _symmetric_parts(need[np.ix_(rows, columns)], rows, columns)
        need[np.ix_(rows, columns)] = False
    return parts + [Part(rows, columns) for rows, columns in _groups(need)]


def _symmetric_parts(need, rows, columns):
    """Parts of a symmetric pattern `need`; in rows and columns stand the same images."""
    parts = []
    for i, j in _groups(need.copy()):
        j = j[need[i[0], j]]  # without what is a mirror image of earlier parts
        # If one row of the group misses another one, it is in the pattern that all of them share:
        # then, by symmetry, all miss all.
        inside = np.isin(j, i)
        if inside.any():
            parts.append(Part(rows[i], columns[i], True, (rows[i], columns[i])))
        if not inside.all():
            others = j[~inside]
            parts.append(Part(rows[i], columns[others], False, (rows[others], columns[i])))
        need[np.ix_(i, j)] = need[np.ix_(j, i)] = False
    return parts


def _groups(need):
    """Yield (rows, columns) of groups of rows that need the same columns."""
    (rows,) = np.nonzero(need.any(axis=1))
    if not len(rows):
        return
    patterns = np.packbits(need[rows], axis=1)
    patterns = patterns.view(np.dtype((np.void, patterns.shape[1]))).ravel()
    _, group, inverse = np.unique(patterns, return_index=True, return_inverse=True)
    for k in np.argsort(group):
        members = rows[inverse == k]
        yield members, np.flatnonzero(need[members[0]])
