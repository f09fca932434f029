"""Networks of any layers on the CPU: the arrays of ``network_sweep``, from a plan and images."""

from functools import lru_cache

import numpy as np

from ..dual_networks import SLOTS, operation_coefficients
from ..network_plan import ADD, CONV, ERF, EXP, GELU, NORM, READ, RELU, TABLES
from ..network_tables import fill_tables
from ..scales import SMALLEST_SCALE, scale_images
from . import network_sweep as sweep
from .arrays import aligned_zeros, in_lanes
from .lanes import lane_count


class NetworkImages:
    """Images ready for a network's passes: pixels, and what is known of each beforehand.

    Attributes
    ----------
    pixels : ndarray (n, P, Q, C)
        Scaled.
    scales : ndarray (n,)
        What features are multiplied by, where they are homogeneous; else 1.
    units : ndarray (n, units)
        Units of what the operations make: what planes hold is over them.
    variances : ndarray (n, pixels)
        Σ(x, x) before every activation and normalisation, one operation after the other.
    """

    def __init__(self, images, plan):
        self.pixels, scales = scale_images(images, filter_size=1)
        n = len(images)
        scales /= np.sqrt(images.shape[3])
        self.scales = np.ones(n)
        first, least = np.ones(n), 0.0
        if plan.network.channel_degree is not None:
            self.scales = scales
        else:
            # Far below the biases nothing is left of an image, nor of the digits of its unit.
            biases = [o.layer.bias_variance for o in plan.operations if o.kind == CONV]
            least = 1e-12 * np.sqrt(max(biases, default=0.0))
            first = np.maximum(scales, least)
            self.pixels *= (scales / first)[:, None, None, None]
        diagonals = plan.diagonals
        recording = _pass(diagonals, "float64", zero_first=True, paired=True)
        self.units = _units(diagonals, first, lambda operation: np.ones(n))
        self.variances, largest = recording.record(self)

        def made(operation):
            """The largest scale, which is not 0."""
            if operation.kind in (ERF, GELU, NORM) or operation.normalised:
                return np.ones(n)
            if operation.kind == ADD:
                unit = np.sqrt(largest[:, recording.linear[operation.units[-1]]])
            else:
                unit = np.sqrt(
                    self.variances[:, recording.pixels_of[operation.units[-1]]].max(axis=1)
                )
            return np.maximum(np.where(unit > 0, unit, 1.0), least)

        self.units = _units(plan, first, made)

    def __len__(self):
        return len(self.pixels)


def _units(plan, first, made):
    """Units (images, units), the first one given; ``made(operation)`` are those of others.

    A convolution multiplies a unit by the root of what it multiplies box sums by, so that planes
    hold the sums themselves.
    """
    units = np.ones((len(first), plan.units))
    units[:, 0] = first
    for operation in plan.operations:
        if operation.kind == CONV:
            pixels = operation.layer.sides[0] * operation.layer.sides[1]
            factor = np.sqrt(plan.variances[operation.number] / pixels)
            units[:, operation.units[-1]] = factor * units[:, operation.units[0]]
        elif operation.kind != READ:
            units[:, operation.units[-1]] = made(operation)
    return units


def network_gram(plan, X, Y, dtype, triu):
    """Kernel values (readouts, n, m) of NetworkImages, equal ones not told from others."""
    sums = _pass(plan, dtype).sums(X, Y, triu)
    return _values(plan, sums, X, Y, np.multiply.outer)


def network_pairs(plan, X, Y, equal):
    """Kernel values (readouts, n) of the pairs (X[i], Y[i]), in float64.

    `equal` tells which of them are equal images.
    """
    sums = _pass(plan, "float64", paired=True).sums(X, Y, 0, equal)
    return _values(plan, sums[0], X, Y, np.multiply)


def _values(plan, sums, X, Y, product):
    """Kernel values from sums (…, read, state); `product` combines numbers of X and of Y."""

    def sum_of(number, state):
        read = plan.reads[number]
        unit = product(X.units[:, read.unit], Y.units[:, read.unit])
        values = sums[..., number, state] * unit
        return values * product(X.scales, Y.scales) if read.homogeneous else values

    with np.errstate(over="ignore", invalid="ignore"):  # callers look at the values
        return plan.read(sum_of)


@lru_cache(maxsize=32)
def _pass(plan, dtype, zero_first=False, paired=False):
    """A `_Pass`: the same for all tiles of a Gram matrix."""
    return _Pass(plan, dtype, zero_first, paired)


class _Pass:
    """The arrays of a compiled pass that depend on the plan alone, and calls of it."""

    def __init__(self, plan, dtype, zero_first, paired):
        self.plan, self.dtype, self.paired = plan, np.dtype(dtype), paired
        self.lanes = lane_count(dtype)
        self.x_lanes = self.lanes if paired else 1
        operations = plan.operations
        self.operations = operations
        made = [o.units[-1] for o in operations if o.kind != READ]
        #: Of a unit, the number of the operation that makes it among these.
        self.linear = {unit: number for number, unit in enumerate(made)}
        self.visits, self.visit_planes, n_slots = _visits(plan, zero_first)
        self.n_states = 1 + len(plan.thetas)
        rows = [(o.layer.sides[0] - 1) // 2 for o in operations if o.kind == CONV]
        columns = [(o.layer.sides[1] - 1) // 2 for o in operations if o.kind == CONV]
        self.radius = max(rows, default=0), max(columns, default=0)
        self.group = 4 if any(stage.grouped for stage in plan.stages) else 1
        n_rows, n_columns, self.channels = plan.architecture.image_shape
        self.row_size = (n_columns + 2 * self.radius[1]) * self.lanes
        self.plane_size = (n_rows + 2 * self.radius[0]) * self.row_size
        self.stages, self.slots = self._stages(n_slots)
        self.variance_pixels = 0
        #: Of the unit that an operation with tables makes, where its variances lie among all.
        self.pixels_of: dict[int, slice] = {}
        self.table = self._operations()
        coefs = np.zeros((max(1, len(operations)), SLOTS))
        for row, operation in zip(coefs, operations, strict=False):
            row[:] = operation_coefficients(operation, self.dtype.name)
        self.coefs = coefs.astype(dtype).ravel()
        convolutions = [o for o in operations if o.kind == CONV]
        trained = [[o.number >= frozen for frozen in plan.thetas] for o in convolutions]
        self.trained = np.array([*np.ravel(trained), 1.0], dtype=dtype)
        self.reads, self.weights = self._reads()

    def _operations(self):
        """The array of operations, see the columns of ``network_sweep``."""
        table = np.zeros((len(self.operations), sweep.N_COLUMNS), np.int64)
        for number, o in enumerate(self.operations):
            row = table[number]
            row[[sweep.KIND, sweep.SOURCE, sweep.TARGET]] = o.kind, o.source, o.target
            row[[sweep.ROWS, sweep.COLUMNS]] = o.shape
            row[[sweep.ROW_STRIDE, sweep.COLUMN_STRIDE]] = o.strides_before
            if o.kind != READ:
                row[[sweep.LINEAR, sweep.OTHER]] = self.linear[o.units[-1]], o.other
            if o.kind == CONV:
                row[[sweep.FILTER_ROWS, sweep.FILTER_COLUMNS]] = o.layer.sides
                row[[sweep.ROW_STEP, sweep.COLUMN_STEP]] = o.layer.steps
                before = o.layer.padding_before(o.shape)
                row[[sweep.ROWS_BEFORE, sweep.COLUMNS_BEFORE]] = before
                row[sweep.CIRCULAR] = o.layer.padding == "circular"
                row[[sweep.ROWS_AFTER, sweep.COLUMNS_AFTER]] = o.layer.output_shape(o.shape)
                row[sweep.NUMBER] = o.number
                simple = o.layer.sides == (3, 3) and o.layer.steps[1] == 1
                row[sweep.SIMPLE] = simple
                if simple and o.layer.steps[0] == 1:
                    row[sweep.N_FUSED] = _fused(o, self.operations[number + 1 : number + 3])
                row[sweep.OF_PIXELS] = number == 0 and not _read_again(self.plan.stages[0])
            if o.kind in TABLES:
                row[sweep.NORMALISED] = o.normalised
                row[[sweep.TABLE, sweep.VARIANCES]] = o.table, self.variance_pixels
                start = self.variance_pixels
                self.variance_pixels += o.shape[0] * o.shape[1]
                self.pixels_of[o.units[-1]] = slice(start, self.variance_pixels)
            if o.kind == READ:
                row[[sweep.FIRST_READ, sweep.N_READS]] = o.reads[0], len(o.reads)
        return table

    def _stages(self, n_slots):
        """The array of stages, and how many elements their slots take."""
        stages, n_operations, at = self.plan.stages, 0, 0
        table = np.zeros((len(stages), sweep.N_STAGE_COLUMNS), np.int64)
        for number, stage in enumerate(stages):
            row = table[number]
            row[sweep.FIRST_OPERATION] = n_operations
            n_operations += len(stage.operations)
            row[[sweep.STAGE_ROWS, sweep.STAGE_COLUMNS]] = stage.shape
            row[[sweep.END_ROWS, sweep.END_COLUMNS]] = stage.boundaries[-1].shape
            row[[sweep.END_ROW_STRIDE, sweep.END_COLUMN_STRIDE]] = stage.output_strides
            row[sweep.END_REGISTER] = stage.operations[-1].target if stage.operations else 0
            row[[sweep.WINDOW_ROWS, sweep.WINDOW_COLUMNS]] = stage.windows
            row[sweep.SLOT_SIZE] = stage.shape[0] * stage.shape[1] * self.lanes
            row[sweep.SLOTS_AT] = at
            at += n_slots[number] * self.n_states * row[sweep.SLOT_SIZE]
            row[sweep.LAST_OPERATION] = n_operations
            if number:
                before = table[number - 1]
                before[[sweep.NEXT_ROWS, sweep.NEXT_COLUMNS]] = stage.shape
                windows = np.multiply(stages[number - 1].windows, stage.shape)
                whole = np.array_equal(windows, stages[number - 1].boundaries[-1].shape)
                before[sweep.WHOLE_WINDOWS] = whole
        return table, at + self.n_states * table[:, sweep.SLOT_SIZE].max()

    def _reads(self):
        table = np.zeros((len(self.plan.reads), 4), np.int64)
        weights, at = [np.zeros(1)], 1
        for row, read in zip(table, self.plan.reads, strict=True):
            row[0] = read.pooling
            row[3] = not self.plan.reads_covariance(read)
            if read.pooling > 0:
                for column, of_axis in enumerate(self.plan.weights(read), start=1):
                    row[column] = at
                    weights.append(of_axis.ravel())
                    at += of_axis.size
        return table, np.concatenate(weights).astype(self.dtype)

    # --- Calls ----------------------------------------------------------------------------------

    def record(self, images):
        """Variances (n, pixels) of images, and largest variances (n, linear operations)."""
        lanes = self.lanes
        pixels = in_lanes(images.pixels, lanes, self.dtype)
        vectors = len(pixels)
        tables = aligned_zeros(vectors * self.plan.table_pixels * lanes, self.dtype)
        variances = np.zeros((vectors, max(1, self.variance_pixels) * lanes))
        largest = np.zeros((vectors, max(1, len(self.linear)), lanes))
        linear = self._linear(images, lanes)
        exact = np.full((vectors, 2, lanes), -1.0)
        exact[:, 0] = 0
        self._call((pixels.ravel(), tables), (pixels.ravel(), tables), linear, linear, exact, 0,
                   True, aligned_zeros(self._sums_size(1, vectors), np.float64), variances,
                   largest)  # fmt: skip
        n = len(images)
        by_image = variances.reshape(vectors, -1, lanes).transpose(0, 2, 1)
        largest = largest.transpose(0, 2, 1).reshape(vectors * lanes, -1)
        return by_image.reshape(vectors * lanes, -1)[:n, : self.variance_pixels], largest[:n]

    def sums(self, X, Y, triu, equal=None):
        """Sums (x, y, read, state), or (1, pair, read, state)."""
        x_pixels, x_tables, x_linear = self._side(X, self.x_lanes)
        y_pixels, y_tables, y_linear = self._side(Y, self.lanes)
        vectors = len(y_pixels)
        exact = np.zeros((vectors, 2, self.lanes))
        if equal is not None:
            exact[:, 1].reshape(-1)[: len(equal)] = np.where(equal, -1.0, 0.0)
        n_x = 1 if self.paired else len(X)
        size = self._sums_size(n_x, vectors)
        sums = aligned_zeros(size, np.float64)
        nothing = np.zeros((1, 1)), np.zeros((1, 1, 1))
        self._call((x_pixels.ravel(), x_tables), (y_pixels.ravel(), y_tables), x_linear, y_linear,
                   exact, triu, False, sums, *nothing)  # fmt: skip
        shape = n_x, vectors, len(self.plan.reads), self.n_states, self.lanes
        sums = np.moveaxis(sums.reshape(shape), 4, 2)
        return sums.reshape(n_x, vectors * self.lanes, *shape[2:4])[:, : len(Y)]

    def _sums_size(self, n_x, vectors):
        return n_x * vectors * len(self.plan.reads) * self.n_states * self.lanes

    def _call(self, x_side, y_side, x_linear, y_linear, exact, triu, record, sums, variances,
              largest):  # fmt: skip
        planes = aligned_zeros(
            self.plan.registers * self.group * self.n_states * self.plane_size + self.row_size,
            self.dtype,
        )
        windows = [(1, 1), *(stage.windows for stage in self.plan.stages[:-1])]
        shares = np.array([1 / (p * q) ** 2 for p, q in windows], self.dtype)
        sweep.network_sweep(
            self.table, self.stages, self.visits, self.visit_planes, self.coefs, self.trained,
            self.reads, self.weights, shares,
            x_side, y_side, x_linear, y_linear, exact.astype(self.dtype).ravel(), triu,
            self.paired, record, self.radius,
            (self.n_states, self.plane_size, self.group, self.plan.table_pixels, self.channels,
             len(self.linear), self.lanes),
            planes, aligned_zeros(self.slots, self.dtype), sums, variances, largest,
            SMALLEST_SCALE[self.dtype.name],
        )  # fmt: skip

    def _side(self, images, lanes):
        """Pixels, tables and numbers of the linear operations of images, in lanes."""
        tables = np.zeros((len(images), self.plan.table_pixels))
        for operation in self.operations:
            if operation.kind not in TABLES:
                continue
            pixels = self.pixels_of[operation.units[-1]]
            end = operation.table + TABLES[operation.kind] * (pixels.stop - pixels.start)
            fill_tables(
                operation.kind,
                operation.normalised,
                images.variances[:, pixels],
                images.units[:, operation.units[0]],
                images.units[:, operation.units[1]],
                SMALLEST_SCALE[self.dtype.name],
                tables[:, operation.table : end],
            )
        return (
            in_lanes(images.pixels, lanes, self.dtype),
            in_lanes(tables, lanes, self.dtype).ravel(),
            self._linear(images, lanes),
        )

    def _linear(self, images, lanes):
        """Two numbers of every operation, flat.

        `CONV`: any, and the bias; `ADD`: factors of both terms; others: the unit of what they read,
        and what K̇ ⊙ Θ is multiplied by for the unit that they make.
        """
        units = images.units
        numbers = np.zeros((len(images), 2 * len(self.linear)))
        for operation in self.operations:
            if operation.kind == READ:
                continue
            at = 2 * self.linear[operation.units[-1]]
            made = units[:, operation.units[-1]]
            read = [units[:, unit] for unit in operation.units[:-1]]
            if operation.kind == CONV:
                numbers[:, at + 1] = np.sqrt(operation.layer.bias_variance) / made
            elif operation.kind == ADD:
                numbers[:, at], numbers[:, at + 1] = read[0] / made, read[1] / made
            else:
                numbers[:, at] = read[0]
                numbers[:, at + 1] = (1 if operation.normalised else read[0]) / made
        return in_lanes(numbers, lanes, self.dtype).ravel()


def _fused(convolution, behind):
    """How many of two operations behind a convolution can be done in one go with it.

    They are a sum, if any, and an activation, which may leave what it reads to others, but must not
    write what the convolution is still to read.
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
    """Whether what a stage begins with is read by anything but its first operation."""
    if not stage.operations:
        return True  # a pool
    source = stage.operations[0].source
    for operation in stage.operations[1:]:
        if source in (operation.source, operation.other if operation.kind == ADD else None):
            return True
        if source == operation.target:
            return False
    return False


def _visits(plan, zero_first):
    """Visits, their planes, and the slots of each stage, as arrays."""
    schedule = plan.schedule_zero_first if zero_first else plan.schedule
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
    return table, np.array(planes, np.int64), schedule.n_slots
