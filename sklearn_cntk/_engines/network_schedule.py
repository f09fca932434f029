"""The order in which the planes of a network are visited, and where they wait between stages.

Within a stage an engine visits one plane after the other, in ascending order of the row
displacement.  The planes of a coarse row displacement D are complete after the fine row p·D + p -
1; they then run through the next stage and leave their place to D + 2.

For circular convolutions, displacements count modulo the sides: d and d - side are halves of one
torus, and are visited together.  This order does not apply to them: all coarse planes wait.
"""

from __future__ import annotations

from typing import NamedTuple

_NOWHERE = (-1, -1, -1, -1)


class Visit(NamedTuple):
    """Planes that run through a stage together.

    Attributes
    ----------
    stage : int
    displacements : list of tuple (Δi, Δj)
        At the beginning of the stage; several only if a convolution is circular, and then all
        pairs of one or two Δi with one or two Δj.
    n_operations : int
        How many operations of the stage are needed.
    sources : list of int
        Where the planes wait, or -1 for pixels.
    targets : list of tuple (4 ints)
        Where the planes are pooled into, -1 for nowhere: the places of the coarse displacements
        (D, E), (D, E + 1), (D + 1, E), (D + 1, E + 1), where D and E are rounded down.
    """

    stage: int
    displacements: list
    n_operations: int
    sources: list
    targets: list


class Schedule:
    """Visits of the planes of a network's stages.

    Parameters
    ----------
    stages : list
        Those of a `NetworkPlan`.
    zero_first : bool
        Visit stage by stage, the plane (0, 0) of each first, while all coarse planes wait;
        otherwise row by row.

    Attributes
    ----------
    visits : list of Visit
    n_waiting : list of int
        Largest number of entries of a state that wait for each stage at a time, the unit of places.
    """

    def __init__(self, stages, zero_first=False):
        self._stages = stages
        self.visits: list[Visit] = []
        #: For each stage but the last, whether its coarse planes proceed as soon as possible.
        self._streams = [
            not (zero_first or before.grouped or after.grouped)
            for before, after in zip(stages, stages[1:], strict=False)
        ]
        self._axes = [[_Axis(stage, axis) for axis in (0, 1)] for stage in stages]
        self._places: list[dict] = [{}]
        self.n_waiting = [0]
        for streams, stage, axes in zip(self._streams, stages[1:], self._axes[1:], strict=True):
            rows, columns = (axis.needed for axis in axes)
            places, n_waiting = _places(stage.shape, rows, columns, streams)
            self._places.append(places)
            self.n_waiting.append(n_waiting)
        for number in range(len(stages)):
            if number == 0 or not self._streams[number - 1]:
                for group in self._axes[number][0].groups:
                    self._visit_row(number, group)
        if zero_first:
            self.visits.sort(key=lambda v: (v.stage, v.displacements != [(0, 0)]))

    def _visit_row(self, number, row_group):
        """Visit the planes of a row displacement, and of coarse ones that it completes."""
        rows, columns = self._axes[number]
        for column_group in columns.groups:
            self._visit(number, row_group, column_group)
        if number < len(self._streams) and self._streams[number]:
            (di,) = row_group
            for coarse in rows.completed_by(di):
                if coarse in self._axes[number + 1][0].reach:
                    self._visit_row(number + 1, (coarse,))

    def _visit(self, number, row_group, column_group):
        rows, columns = self._axes[number]
        planes = [(di, dj) for di in row_group for dj in column_group]
        reached = max(min(rows.reach.get(i, 0), columns.reach.get(j, 0)) for i, j in planes)
        if reached == 0:
            return
        boundaries = self._stages[number].boundaries
        n_operations = boundaries[reached - 1].n_operations
        targets = [_NOWHERE] * len(planes)
        if reached == len(boundaries) and number < len(self._streams):
            places = self._places[number + 1]
            targets = [
                tuple(places.get((i, j), -1) for i in rows.coarse(di) for j in columns.coarse(dj))
                for di, dj in planes
            ]
        if number == 0 and n_operations == 0 and all(four == _NOWHERE for four in targets):
            return  # in later stages, a plane leaves its place even if it is not used
        sources = [self._places[number].get(plane, -1) for plane in planes]
        self.visits.append(Visit(number, planes, n_operations, sources, targets))


def _places(shape, rows, columns, streams):
    """Return where the plane of each displacement waits, flat, and how many entries that takes.

    Planes of one row displacement are contiguous.  If they stream, so that two rows wait at a time,
    every second row begins at 0 and the others in the middle.
    """
    widths = [shape[1] - abs(dj) for dj in columns]
    middle = max((shape[0] - abs(di) for di in rows), default=0) * sum(widths)
    places, at = {}, 0
    for number, di in enumerate(rows):
        if streams:
            at = number % 2 * middle
        for dj, width in zip(columns, widths, strict=True):
            places[di, dj] = at
            at += (shape[0] - abs(di)) * width
    return places, 2 * middle if streams else at


class _Axis:
    """Displacements along an axis in a stage.

    Attributes
    ----------
    needed : list of int
        Those at the beginning of the stage.
    groups : list of tuple
        The same, grouped with those that are visited together with them.
    reach : dict
        For each displacement, how many consecutive boundaries of the stage need it.
    """

    def __init__(self, stage, axis):
        self.needed = sorted(stage.boundaries[0].needed[axis])
        self.groups: list[tuple[int, ...]] = [(d,) for d in self.needed]
        if stage.grouped:
            side = stage.shape[axis]
            residues = sorted({d % side for d in self.needed})
            self.groups = [(r, r - side) if r else (0,) for r in residues]
        self.reach = {}
        for d in (one for group in self.groups for one in group):
            count = 0
            for boundary in stage.boundaries:
                step = boundary.strides[axis]
                if d % step or d // step not in boundary.needed[axis]:
                    break
                count += 1
            self.reach[d] = count
        self._step, self._window = stage.output_strides[axis], stage.windows[axis]

    def coarse(self, d):
        """Return the coarse displacements that d contributes to: rounded down, and the next.

        Either may be None.
        """
        if d % self._step:
            return None, None
        fine = d // self._step
        below = fine // self._window
        return below, None if fine % self._window == 0 else below + 1

    def completed_by(self, d):
        """Return the coarse displacements that d is the last to contribute to."""
        if d % self._step:
            return []
        fine = d // self._step
        last = self._window - 1
        return [(fine - last) // self._window] if (fine - last) % self._window == 0 else []
