"""Kernel entries that are partly in a store: look up, compute what is missing, and keep it."""

from dataclasses import replace

import numpy as np

from .._store.entries import Writer, digests
from .._support.images import flipped
from .tiles import Block, as_slice, pairs, slices_index, tiles

_AS_THEY_ARE = (False,)


def stored_gram(job, x, y, advance, flip):
    """Return Gram matrices (readout, n, m) of images x and y; compute every pair once and keep it.

    The readouts at all smaller depths, which the same pass computes, are kept too.

    Parameters
    ----------
    job : Job
        A job with a store.
    x, y : Distinct
        The same object means that the matrices are symmetric.
    advance : callable
        Called with the number of pairs that have been found or computed.
    flip : bool
        Whether the images of x are mirrored.  They keep the ids of the unmirrored images: since
        K(Fx, z) = K(Fz, x), the order of the ids does not matter.
    """
    symmetric = x is y
    images = flipped(x.images) if flip else x.images
    partition = _partition(job, flip)
    target = _Target([readout.name for readout in job.readouts], x, y)
    partition.read(target)
    missing = _missing_blocks(target, y.ids, symmetric)
    n, m = len(x), len(y)
    n_missing = sum(block.n_pairs for block in missing)
    advance((n * (n + 1) // 2 if symmetric else n * m) - n_missing)

    kept = _smaller_depths(job)
    kept_names = [readout.name for readout in kept]
    wanted = [kept.index(readout) for readout in job.readouts]
    options = {"flips": _AS_THEY_ARE, "wanted": target.lacks}
    with Writer(partition) as writer:
        for tile in tiles(replace(job, readouts=kept), images, y.images, missing, **options):
            tile._replace(values=tile.values[wanted]).place(target.values)
            advance(tile.n_pairs)
            complete = tile.computed is None or bool(tile.computed.all())
            if not complete:
                tile.values[:, ~tile.computed] = np.nan
            rows = [x.ids[i] for i in tile.rows]
            columns = [y.ids[j] for j in tile.columns]
            if writer.add(kept_names, rows, columns, tile.values, complete=complete):
                partition.read(target)  # what other processes have finished meanwhile
    values = target.values
    if len(x.ids) < n:
        values = values[:, x.places]
    if len(y.ids) < m:
        values = values[:, :, y.places]
    return values


def stored_diagonals(job, x, advance, flip):
    """Return kernel values (readout, n) of images, or mirrored ones, with themselves, likewise."""
    partition = _partition(job, flip)
    target = _Diagonal([readout.name for readout in job.readouts], x)
    partition.read(target)
    (missing,) = np.nonzero(~target.found)
    advance(len(x) - len(missing))
    if len(missing):
        kept = _smaller_depths(job)
        images = x.images[missing]
        mirrored = flipped(images) if flip else images
        of_kept = replace(job, readouts=kept)
        values = pairs(of_kept, mirrored, images, flips=_AS_THEY_ARE, advance=advance)
        target.values[:, missing] = values[[kept.index(readout) for readout in job.readouts]]
        with Writer(partition) as writer:
            names = [readout.name for readout in kept]
            missing_ids = [x.ids[i] for i in missing]
            writer.add(names, missing_ids, missing_ids, values, paired=True)
    return target.values[:, x.places]


def _partition(job, flip):
    return job.store.partition(job.architecture, job.dtype, flip)


class Distinct:
    """Distinct images in their order, and the place of each image of an array among them.

    Created once, it serves any number of calls, each of which would otherwise hash the images and
    search the store's identifiers.  The caller must make sure that the array does not change while
    it is in use.

    Parameters
    ----------
    images : ndarray (n, P, Q, C)

    Attributes
    ----------
    images : ndarray (k, P, Q, C)
        `images` itself if no image occurs twice.
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


def _smaller_depths(job):
    """Return the readouts, and the same ones at all smaller depths."""
    smaller = (
        replace(readout, depth=depth)
        for readout in job.readouts
        for depth in (*job.architecture.depths_up_to(readout), readout.depth)
    )
    return list(dict.fromkeys(smaller))


class _Places:
    """Places of images with known digests, looked up by lists of digests."""

    def __init__(self, ids):
        self._place = {digest: k for k, digest in enumerate(ids)}
        self._looked_up = {}

    def of(self, ids):
        """Return the places of the known ones of the list `ids`, and their indices in the list.

        These are two slices or arrays, or None if no image is known.  Records share lists of
        identifiers, so each list is looked up once.
        """
        if id(ids) not in self._looked_up:
            at, source = self.arrays(ids)
            places = (as_slice(at), as_slice(source)) if len(at) else None
            # The list is kept, so that no other one can get its id.
            self._looked_up[id(ids)] = ids, places
        return self._looked_up[id(ids)][1]

    def arrays(self, ids):
        """Return the same as two arrays, which may be empty."""
        at = np.array([self._place.get(digest, -1) for digest in ids])
        (source,) = np.nonzero(at >= 0)
        return at[source], source


class _Target:
    """Gram matrices (readout, x, y) of images with known digests, filled from records."""

    def __init__(self, names, x, y):
        self.names = names
        self.values = np.empty((len(names), len(x.ids), len(y.ids)))
        self.found = np.zeros((len(x.ids), len(y.ids)), dtype=bool)
        self.x, self.y = x.lookup, y.lookup

    def lacks(self, rows, columns):
        """Return whether an entry of these rows and columns was not found."""
        return not self.found[np.ix_(rows, columns)].all()

    def wants(self, record):
        """Return whether a record holds entries of these matrices."""
        if record.paired or not all(name in record.names for name in self.names):
            return False
        return any(self.x.of(x) and self.y.of(y) for x, y in _orders(record))

    def copy(self, record, planes):
        """Copy a record's entries, in either order of the images; `planes` are its values."""
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
        """Return (transposed, index into the matrices, index into the record) for each order."""
        found = []
        for transposed, ids in enumerate(_orders(record)):
            x, y = self.x.of(ids[0]), self.y.of(ids[1])
            if x and y:
                found.append((transposed, slices_index(x[0], y[0]), slices_index(x[1], y[1])))
        return found


def _orders(record):
    """Return the digests (rows, columns) of a record, and of its transpose."""
    return (record.rows, record.columns), (record.columns, record.rows)


class _Diagonal:
    """Kernel values (readout, image) of images with themselves, filled from records."""

    def __init__(self, names, x):
        self.names = names
        self.values = np.empty((len(names), len(x.ids)))
        self.found = np.zeros(len(x.ids), dtype=bool)
        self.places = x.lookup

    def wants(self, record):
        """Return whether a record may hold entries of these diagonals."""
        names = all(name in record.names for name in self.names)
        return names and self.places.of(record.rows) is not None

    def copy(self, record, planes):
        """Copy a record's entries of images with themselves; `planes` are its values."""
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


def _missing_blocks(target, y_ids, symmetric):
    """Return blocks that contain every pair of images that was not found exactly once.

    Rows that lack the same columns form one block.  The entries found come from whole Gram matrices
    of earlier calls, or from an interrupted one, so there are few patterns.
    """
    need = ~target.found
    n, m = need.shape
    if symmetric:
        return _symmetric_blocks(need, np.arange(n), np.arange(n))
    # Images in both X and Y form a symmetric block of their own.
    rows, columns = target.x.arrays(y_ids)
    blocks = []
    if len(rows):
        blocks = _symmetric_blocks(need[np.ix_(rows, columns)], rows, columns)
        need[np.ix_(rows, columns)] = False
    return blocks + [Block(rows, columns) for rows, columns in _groups(need)]


def _symmetric_blocks(need, rows, columns):
    """Return blocks of a symmetric pattern `need`; rows and columns are the same images."""
    blocks = []
    for i, j in _groups(need.copy()):
        j = j[need[i[0], j]]  # without the transposes of earlier blocks
        # If one row of the group lacks another one, that one is in the pattern that all of them
        # share: then, by symmetry, all of them lack each other.
        inside = np.isin(j, i)
        if inside.any():
            blocks.append(Block(rows[i], columns[i], True, (rows[i], columns[i])))
        if not inside.all():
            others = j[~inside]
            blocks.append(Block(rows[i], columns[others], False, (rows[others], columns[i])))
        need[np.ix_(i, j)] = need[np.ix_(j, i)] = False
    return blocks


def _groups(need):
    """Yield (rows, columns) of groups of rows that need the same columns."""
    (rows,) = np.nonzero(need.any(axis=1))
    if not len(rows):
        return
    bits = np.packbits(need[rows], axis=1)
    patterns = bits.view(np.dtype((np.void, bits.shape[1]))).ravel()
    _, group, inverse = np.unique(patterns, return_index=True, return_inverse=True)
    for k in np.argsort(group):
        members = rows[inverse == k]
        yield members, np.flatnonzero(need[members[0]])
