"""A network's plan as arrays of integers, which the compiled engines follow."""

import numpy as np

from .dual_networks import SLOTS, operation_coefficients
from .network_plan import ADD, CONV, ERF, EXP, READ, RELU, TABLES

#: Columns of the array of operations.  `ROWS` and `COLUMNS` are those of the map that is read;
#: `LINEAR` numbers all operations that produce output, `NUMBER` the convolutions.
(
    KIND, SOURCE, TARGET, OTHER, ROWS, COLUMNS, ROW_STRIDE, COLUMN_STRIDE, LINEAR, FILTER_ROWS,
    FILTER_COLUMNS, ROW_STEP, COLUMN_STEP, ROWS_BEFORE, COLUMNS_BEFORE, ROWS_AFTER, COLUMNS_AFTER,
    CIRCULAR, NUMBER, TABLE, VARIANCES, NORMALISED, FIRST_READ, N_READS, OF_PIXELS, N_FUSED, SIMPLE,
) = range(27)  # fmt: skip
N_OPERATION_COLUMNS = 27

#: Columns of the array of stages.  `END_…` describes the planes at the end of a stage, `NEXT_…` the
#: map after the pool there.  `WAITING` entries of each state wait for a stage; they start at
#: `WAITING_AT`, after those of all states of the previous stages.
(
    FIRST_OPERATION, LAST_OPERATION, STAGE_ROWS, STAGE_COLUMNS, END_ROWS, END_COLUMNS,
    END_ROW_STRIDE, END_COLUMN_STRIDE, END_REGISTER, WINDOW_ROWS, WINDOW_COLUMNS, NEXT_ROWS,
    NEXT_COLUMNS, WAITING_AT, WAITING, WHOLE_WINDOWS,
) = range(16)  # fmt: skip
N_STAGE_COLUMNS = 16

#: Columns of the array of reads: where the weights of rows and columns begin, and the first state
#: that is read.
POOLING, ROW_WEIGHTS, COLUMN_WEIGHTS, FIRST_STATE = range(4)
N_READ_COLUMNS = 4


class PlanArrays:
    """The arrays of a plan.

    Parameters
    ----------
    plan : NetworkPlan
    dtype : {"float32", "float64"}
    zero_first : bool, default=False
        Whether the plane (0, 0) of each stage is visited before the others.

    Attributes
    ----------
    operations, stages, reads : ndarray of int64
        Columns as above.
    visits : ndarray (n, 5)
        Stage, first of its `visit_planes`, numbers of row and column groups, and of operations.
    visit_planes : ndarray (n, 7)
        Δi, Δj, where it waits, and four places that it is pooled into; negative for none.
    n_waiting : int
        Number of entries that wait, for all states and stages.
    trained : ndarray of bool, shape (convolutions, thetas)
    weights : ndarray of float64
        Those for local average pooling, flat.
    shares : ndarray of float64, shape (stages,)
        For each stage, 1 / number of pixel pairs in a window of the pool before it.
    coefs : ndarray of float64, shape (operations, SLOTS)
        See ``dual_networks``.
    n_linear : int
        Number of operations that produce output.
    linear : dict
        Maps the unit of an operation's output to the operation's number among these.
    pixels_of : dict
        Maps that unit to the pixels of the operation's variances among those of all operations:
        after sums, and before operations with tables.
    variance_pixels : int
        Total number of these pixels.
    """

    def __init__(self, plan, dtype, zero_first=False):
        self.plan = plan
        self.n_states = 1 + len(plan.thetas)
        made = [o.units[-1] for o in plan.operations if o.kind != READ]
        self.linear = {unit: number for number, unit in enumerate(made)}
        self.n_linear = len(made)
        self.pixels_of: dict[int, slice] = {}
        self.variance_pixels = 0
        schedule = plan.schedule_zero_first if zero_first else plan.schedule
        self.visits, self.visit_planes = _visits(schedule)
        self.operations = self._operations()
        self.stages, self.n_waiting = self._stages(schedule.n_waiting)
        self.reads, self.weights = self._reads()
        windows = [(1, 1), *(stage.windows for stage in plan.stages[:-1])]
        self.shares = np.array([1 / (p * q) ** 2 for p, q in windows])
        convolutions = [o for o in plan.operations if o.kind == CONV]
        self.trained = np.array(
            [[o.number >= frozen for frozen in plan.thetas] for o in convolutions], dtype=bool
        )
        self.coefs = np.zeros((len(plan.operations), SLOTS))
        for row, operation in zip(self.coefs, plan.operations, strict=True):
            row[:] = operation_coefficients(operation, dtype)

    def _operations(self):
        operations = self.plan.operations
        table = np.zeros((len(operations), N_OPERATION_COLUMNS), np.int64)
        for number, (row, o) in enumerate(zip(table, operations, strict=True)):
            row[[KIND, SOURCE, TARGET]] = o.kind, o.source, o.target
            row[[ROWS, COLUMNS]] = o.shape
            row[[ROW_STRIDE, COLUMN_STRIDE]] = o.strides_before
            if o.kind == READ:
                row[[FIRST_READ, N_READS]] = o.reads[0], len(o.reads)
                continue
            row[[LINEAR, OTHER]] = self.linear[o.units[-1]], o.other
            if o.kind == CONV:
                row[[FILTER_ROWS, FILTER_COLUMNS]] = o.layer.sides
                row[[ROW_STEP, COLUMN_STEP]] = o.layer.steps
                row[[ROWS_BEFORE, COLUMNS_BEFORE]] = o.layer.padding_before(o.shape)
                row[[ROWS_AFTER, COLUMNS_AFTER]] = o.layer.output_shape(o.shape)
                row[[NUMBER, CIRCULAR]] = o.number, o.layer.padding == "circular"
                row[SIMPLE] = o.layer.sides == (3, 3) and o.layer.steps[1] == 1
                if row[SIMPLE] and o.layer.steps[0] == 1:
                    row[N_FUSED] = _fused(o, operations[number + 1 : number + 3])
                row[OF_PIXELS] = number == 0 and not _read_again(self.plan.stages[0])
                continue
            start = self.variance_pixels
            self.variance_pixels += o.shape[0] * o.shape[1]
            self.pixels_of[o.units[-1]] = slice(start, self.variance_pixels)
            row[VARIANCES] = start
            if o.kind in TABLES:
                row[[TABLE, NORMALISED]] = o.table, o.normalised
        return table

    def _stages(self, n_waiting):
        """Return the array of stages, and the number of entries that wait."""
        stages, n_operations, waiting = self.plan.stages, 0, 0
        table = np.zeros((len(stages), N_STAGE_COLUMNS), np.int64)
        for number, (row, stage) in enumerate(zip(table, stages, strict=True)):
            row[FIRST_OPERATION] = n_operations
            n_operations += len(stage.operations)
            row[LAST_OPERATION] = n_operations
            row[[STAGE_ROWS, STAGE_COLUMNS]] = stage.shape
            row[[END_ROWS, END_COLUMNS]] = stage.boundaries[-1].shape
            row[[END_ROW_STRIDE, END_COLUMN_STRIDE]] = stage.output_strides
            row[END_REGISTER] = stage.operations[-1].target if stage.operations else 0
            row[[WINDOW_ROWS, WINDOW_COLUMNS]] = stage.windows
            row[[WAITING_AT, WAITING]] = waiting, n_waiting[number]
            waiting += self.n_states * n_waiting[number]
            if number:
                before = table[number - 1]
                before[[NEXT_ROWS, NEXT_COLUMNS]] = stage.shape
                windows = np.multiply(stages[number - 1].windows, stage.shape)
                whole = np.array_equal(windows, stages[number - 1].boundaries[-1].shape)
                before[WHOLE_WINDOWS] = whole
        return table, waiting

    def _reads(self):
        table = np.zeros((len(self.plan.reads), N_READ_COLUMNS), np.int64)
        weights, at = [np.zeros(1)], 1
        for row, read in zip(table, self.plan.reads, strict=True):
            row[POOLING] = read.pooling
            row[FIRST_STATE] = not self.plan.reads_covariance(read)
            if read.pooling > 0:
                of_rows, of_columns = self.plan.weights(read)
                row[[ROW_WEIGHTS, COLUMN_WEIGHTS]] = at, at + of_rows.size
                weights += [of_rows.ravel(), of_columns.ravel()]
                at += of_rows.size + of_columns.size
        return table, np.concatenate(weights)


def _fused(convolution, behind):
    """Return how many of the two operations after a convolution can be fused with it.

    These are a sum, if any, and an activation, which may keep its input for later operations, but
    must not overwrite what the convolution has yet to read.
    """
    sums, n_fused = convolution.target, 1
    if behind and behind[0].kind == ADD and sums in (behind[0].source, behind[0].other):
        sums, n_fused = behind[0].target, 2
    if len(behind) < n_fused or sums == convolution.source:
        return 0
    activation = behind[n_fused - 1]
    residual = n_fused == 2 or activation.target != sums
    fits = activation.kind in ((RELU,) if residual else (RELU, EXP, ERF))
    fits &= activation.source == sums and activation.target != convolution.source
    return n_fused if fits else 0


def _read_again(stage):
    """Return whether anything but its first operation reads the input of a stage."""
    if not stage.operations:
        return True  # a pool
    source = stage.operations[0].source
    for operation in stage.operations[1:]:
        if source in (operation.source, operation.other if operation.kind == ADD else None):
            return True
        if source == operation.target:
            return False
    return False


def _visits(schedule):
    """Return the visits and their planes as arrays."""
    visits = schedule.visits
    table = np.zeros((len(visits), 5), np.int64)
    planes: list[tuple] = []
    for row, visit in zip(table, visits, strict=True):
        row_group = len({di for di, _ in visit.displacements})
        column_group = len(visit.displacements) // row_group
        row[:] = visit.stage, len(planes), row_group, column_group, visit.n_operations
        planes += [
            (*plane, source, *targets)
            for plane, source, targets in zip(
                visit.displacements, visit.sources, visit.targets, strict=True
            )
        ]
    return table, np.array(planes, np.int64).reshape(-1, 7)
