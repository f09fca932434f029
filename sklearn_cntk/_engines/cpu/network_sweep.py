"""The inner loops of the CPU engine for networks of any layers, see ``network_plan``.

Lanes are samples: one vector holds the same entry for as many images of Y (or pairs) as fit.  A
register holds a plane of every state, framed by what filters see beyond its edges.  A convolution
writes to another register, other operations usually work in place.  Pooled planes wait in slots for
the next stage.
"""

import numpy as np

from ..compile import compile_lazily
from ..dual_networks import SLOTS
from ..network_arrays import (
    CIRCULAR,
    COLUMN_STEP,
    COLUMN_STRIDE,
    COLUMN_WEIGHTS,
    COLUMNS,
    COLUMNS_AFTER,
    COLUMNS_BEFORE,
    END_COLUMN_STRIDE,
    END_REGISTER,
    END_ROW_STRIDE,
    FILTER_COLUMNS,
    FILTER_ROWS,
    FIRST_OPERATION,
    FIRST_READ,
    FIRST_STATE,
    KIND,
    LINEAR,
    N_READS,
    NEXT_COLUMNS,
    NEXT_ROWS,
    NORMALISED,
    NUMBER,
    OF_PIXELS,
    OTHER,
    POOLING,
    ROW_STEP,
    ROW_STRIDE,
    ROW_WEIGHTS,
    ROWS,
    ROWS_AFTER,
    ROWS_BEFORE,
    SIMPLE,
    SOURCE,
    STAGE_COLUMNS,
    STAGE_ROWS,
    TABLE,
    TARGET,
    VARIANCES,
    WAITING,
    WAITING_AT,
    WINDOW_COLUMNS,
    WINDOW_ROWS,
)  # fmt: skip
from ..network_plan import ADD, CONV, READ
from ..network_tables import fill_entry
from .lanes import broadcast, fma, load, store, zeros
from .network_activations import POOLED, activate
from .network_planes import box, box_3x3, combine, plain_sum, weighted_sum, x_table
from .network_pools import add_pooled, slot_rows, slots_of, take_slot
from .states import accumulate_last


@compile_lazily
def _clear_frame(planes, at, pitch, size, radius, lanes, whole):
    """Zero the frame of a plane whose first entry is `at`; left and above only if `whole`.

    Only `_wrap_frame` ever writes there, since all planes have the same pitch.
    """
    zero = zeros(planes)
    first = at - radius[1] * lanes
    width = (size[1] + 2 * radius[1]) * lanes
    for i in range(radius[0]):
        for k in range(0, width, lanes):
            store(planes, first + (size[0] + i) * pitch + k, zero)
            if whole:
                store(planes, first - (i + 1) * pitch + k, zero)
    for i in range(size[0]):
        for k in range(0, radius[1] * lanes, lanes):
            store(planes, at + i * pitch + size[1] * lanes + k, zero)
            if whole:
                store(planes, first + i * pitch + k, zero)


@compile_lazily
def _pixel_covariance(planes, at, pitch, step, n_states, x_pixels, x, x_pitch, x_lanes, y_pixels, y,
                      y_pitch, lanes, n_channels, size):  # fmt: skip
    """Fill the planes of all states with Σ_c x_c[i, j] x'_c[i', j']: K, and Θ + K where Θ = 0."""
    for i in range(size[0]):
        at_x, at_y, to = x + i * x_pitch, y + i * y_pitch, at + i * pitch
        for _ in range(size[1]):
            k = x_table(x_pixels, at_x, x_lanes) * load(y_pixels, at_y)
            at_x += x_lanes
            at_y += lanes
            for _ in range(1, n_channels):
                k = fma(x_table(x_pixels, at_x, x_lanes), load(y_pixels, at_y), k)
                at_x += x_lanes
                at_y += lanes
            for state in range(n_states):
                store(planes, to + state * step, k)
            to += lanes


@compile_lazily
def _wrap_frame(planes, bases, step, displacement, columns_in_group, shape, plane, size, pitch,
                radius, lanes):  # fmt: skip
    """Fill the frame of a plane of a torus from the other planes of its group.

    `bases` are the first entries of the group's planes of K; those of the state are `step` elements
    further.  `displacement` holds the group's residues.
    """
    at = bases[plane] + step
    di = displacement[0] - shape[0] * (plane // columns_in_group)
    dj = displacement[1] - shape[1] * (plane % columns_in_group)
    x_row, x_column = max(0, -di), max(0, -dj)
    for i in range(-radius[0], size[0] + radius[0]):
        for j in range(-radius[1], size[1] + radius[1]):
            if 0 <= i < size[0] and 0 <= j < size[1]:
                continue
            row = (i + x_row) % shape[0]
            column = (j + x_column) % shape[1]
            # The displacement once the pixels of x and y are both taken modulo the sides.
            d_row = (i + x_row + di) % shape[0] - row
            d_column = (j + x_column + dj) % shape[1] - column
            half = (d_row < 0) * columns_in_group + (d_column < 0)
            source = bases[half] + step + (row - max(0, -d_row)) * pitch
            source += (column - max(0, -d_column)) * lanes
            store(planes, at + i * pitch + j * lanes, load(planes, source))


@compile_lazily
def _over(displacement, stride):
    """Return displacement / stride, rounded down; avoid the slow division if possible."""
    return displacement if stride == 1 else displacement // stride


@compile_lazily
def _note_sums(planes, at, pitch, size, lanes, first, variances):
    """Record the variances after an `ADD`; its unit is 1."""
    for i in range(size[0]):
        for k in range(size[1] * lanes):
            variances[(first + i * size[1]) * lanes + k] = planes[at + i * pitch + k]


@compile_lazily
def _read(planes, source, pitch, step, n_states, operation, displacement, size, reads, weights,
          sums, sums_at, lanes):  # fmt: skip
    """Add the sums of the planes of all states to those of a `READ`."""
    di, dj = displacement
    rows, columns = operation[ROWS], operation[COLUMNS]
    for read in range(operation[FIRST_READ], operation[FIRST_READ] + operation[N_READS]):
        pooling = reads[read, POOLING]
        if pooling >= 0 and (abs(di) > 2 * pooling or abs(dj) > 2 * pooling):
            continue
        row_weight = reads[read, ROW_WEIGHTS] + max(0, -di) * rows + max(0, di)
        column_weight = reads[read, COLUMN_WEIGHTS] + max(0, -dj) * columns + max(0, dj)
        for state in range(reads[read, FIRST_STATE], n_states):
            at = sums_at + (read * n_states + state) * lanes
            if pooling <= 0:
                plain_sum(planes, source + state * step, pitch, size, lanes, sums, at)
            else:
                value = weighted_sum(
                    planes, source + state * step, pitch, size, lanes, weights, row_weight,
                    column_weight, (rows + 1, columns + 1),
                )  # fmt: skip
                accumulate_last(sums, at, (value,), 1)


@compile_lazily
def _record(planes, source, pitch, size, lanes, operation, smallest, units, variances, tables):
    """Record the variances Σ(x, x) before an operation, and fill its tables, in units of 1."""
    pixels = size[0] * size[1]
    for i in range(size[0]):
        for j in range(size[1]):
            for lane in range(lanes):
                unit = np.float64(units[lane])
                variance = planes[source + i * pitch + j * lanes + lane] * unit * unit
                pixel = i * size[1] + j
                variances[(operation[VARIANCES] + pixel) * lanes + lane] = variance
                at = (operation[TABLE] + pixel) * lanes + lane
                fill_entry(operation[KIND], operation[NORMALISED], variance, unit, 1.0, smallest,
                           tables, at, pixels * lanes)  # fmt: skip


@compile_lazily
def _numbers(x_units, at_x, x_lanes, y_units, at_y, lanes):
    """Return the two numbers of an operation, each the product of both images' numbers."""
    first = x_table(x_units, at_x, x_lanes) * load(y_units, at_y)
    second = x_table(x_units, at_x + x_lanes, x_lanes) * load(y_units, at_y + lanes)
    return first, second


@compile_lazily
def network_sweep(operations, stages, visits, visit_planes, calls, coefs, trained, reads, weights,
                  shares, x_side, y_side, x_units, y_units, exact, triu, paired, record, radius,
                  sizes, planes, slots, sums, variances, smallest):  # fmt: skip
    """Add the sums of all states over the planes of every pair of a tile to `sums`.

    operations, stages, visits, visit_planes, reads : see ``network_arrays``
    calls : n_fused, places and addresses of operations, see ``network_activations``
    coefs : numbers of the operations; trained : (convolutions, thetas) 1 or 0, then 1; both flat
    shares : for each stage, 1 / number of pixel pairs in a window of the pool before it
    x_side, y_side : (pixels, tables); those of x are of one image or, if `paired`, one per lane
    x_units, y_units : two numbers of every operation with output, of the same images; flat
    exact : for every y vector, a vector of 0, and one of -1 in the lanes of equal images; flat
    triu : skip vectors of pairs with j < i + triu
    record : fill x's tables and `variances` from the planes (0, 0)
    radius : of the frames
    sizes : (states, elements of a framed plane, planes of a group, pixels of tables, channels,
            operations with output, position of the slot for values that are not needed, lanes)
    planes, slots : room for registers and for pooled planes, the latter zero
    sums : flat [x, y vector, read, state, lane]
    """
    n_fused, places, addresses = calls
    x_pixels, x_tables = x_side
    y_pixels, y_tables = y_side
    n_states, plane_size, group_size, table_pixels, n_channels, n_linear, nowhere, lanes = sizes
    n_thetas = n_states - 1
    x_lanes = lanes if paired else 1
    n_rows, n_columns = stages[0, STAGE_ROWS], stages[0, STAGE_COLUMNS]
    n_pixels = n_rows * n_columns
    n_x = 1 if paired else x_pixels.size // (n_pixels * n_channels)
    n_y = y_pixels.size // (n_pixels * n_channels * lanes)
    n_reads = reads.shape[0]
    step = plane_size
    pitch = (n_columns + 2 * radius[1]) * lanes
    first_entry = radius[0] * pitch + radius[1] * lanes
    register_size = group_size * n_states * plane_size
    bases = np.empty(group_size, np.int64)
    rows_in_slots = np.zeros((n_rows, 2), np.int64)
    scratch = planes.size - (n_columns + 2 * radius[1]) * lanes

    for y in range(n_y):
        for x in range(min(n_x, (y + 1) * lanes - triu)):
            x_image = y if paired else x
            x_tables_at = x_image * table_pixels * x_lanes
            y_tables_at = y * table_pixels * lanes
            for number in range(visits.shape[0]):
                stage = visits[number, 0]
                first = visits[number, 1]
                row_groups, column_groups = visits[number, 2], visits[number, 3]
                group = row_groups * column_groups
                rows, columns = stages[stage, STAGE_ROWS], stages[stage, STAGE_COLUMNS]

                pooled = False
                o = stages[stage, FIRST_OPERATION]
                last = o + visits[number, 4]
                # Pixel covariances are the same for all states: a convolution can read one copy.
                n_filled = 1 if o < last and operations[o, OF_PIXELS] == 1 else n_states

                # The planes, into register 0.
                for k in range(group):
                    di, dj = visit_planes[first + k, 0], visit_planes[first + k, 1]
                    size = (rows - abs(di), columns - abs(dj))
                    at = k * n_states * plane_size + first_entry
                    if stage == 0:
                        x_row, x_column = max(0, -di), max(0, -dj)
                        y_row, y_column = max(0, di), max(0, dj)
                        x_at = x_image * n_pixels + x_row * n_columns + x_column
                        y_at = y * n_pixels + y_row * n_columns + y_column
                        _pixel_covariance(
                            planes, at, pitch, step, n_filled, x_pixels,
                            x_at * n_channels * x_lanes, n_columns * n_channels * x_lanes, x_lanes,
                            y_pixels, y_at * n_channels * lanes, n_columns * n_channels * lanes,
                            lanes, n_channels, size,
                        )  # fmt: skip
                    else:
                        slot = stages[stage, WAITING_AT] + visit_planes[first + k, 2]
                        for state in range(n_states):
                            source = (slot + state * stages[stage, WAITING]) * lanes
                            take_slot(slots, source, planes, at + state * step, pitch, size, lanes,
                                      shares[stage : stage + 1])  # fmt: skip

                while o < last:
                    operation = operations[o]
                    kind = operation[KIND]
                    # Fuse a convolution with the sum and the activation after it, in the frequent
                    # cases.
                    fused = n_fused[o] if o + n_fused[o] < last else 0
                    row_stride, column_stride = operation[ROW_STRIDE], operation[COLUMN_STRIDE]
                    rows, columns = operation[ROWS], operation[COLUMNS]
                    source_step = 0 if operation[OF_PIXELS] else step
                    source_base = operation[SOURCE] * register_size
                    target_base = operation[TARGET] * register_size

                    if kind == CONV:  # the frames of all planes, before any is read
                        for k in range(group):
                            bases[k] = source_base + k * n_states * plane_size + first_entry
                        residues = (
                            _over(visit_planes[first, 0], row_stride),
                            _over(visit_planes[first, 1], column_stride),
                        )
                        for state in range(1 if operation[OF_PIXELS] else n_states):
                            for k in range(group):
                                di = _over(visit_planes[first + k, 0], row_stride)
                                dj = _over(visit_planes[first + k, 1], column_stride)
                                size = (rows - abs(di), columns - abs(dj))
                                if operation[CIRCULAR]:
                                    _wrap_frame(planes, bases, state * step, residues,
                                                column_groups, (rows, columns), k, size, pitch,
                                                radius, lanes)  # fmt: skip
                                else:
                                    _clear_frame(planes, bases[k] + state * step, pitch, size,
                                                 radius, lanes, group_size > 1)  # fmt: skip

                    for k in range(group):
                        di = _over(visit_planes[first + k, 0], row_stride)
                        dj = _over(visit_planes[first + k, 1], column_stride)
                        if (
                            visit_planes[first + k, 0] != di * row_stride
                            or visit_planes[first + k, 1] != dj * column_stride
                        ):
                            continue
                        zero_plane = di == 0 and dj == 0
                        size = (rows - abs(di), columns - abs(dj))
                        source = source_base + k * n_states * plane_size + first_entry
                        target = target_base + k * n_states * plane_size + first_entry
                        exact_lanes = load(exact, (2 * y + zero_plane) * lanes)

                        if kind == READ:
                            sums_at = (x * n_y + y) * n_reads * n_states * lanes
                            _read(planes, source, pitch, step, n_states, operation, (di, dj), size,
                                  reads, weights, sums, sums_at, lanes)  # fmt: skip
                            continue

                        at_x = 2 * (x_image * n_linear + operation[LINEAR]) * x_lanes
                        at_y = 2 * (y * n_linear + operation[LINEAR]) * lanes
                        factor, offset = _numbers(x_units, at_x, x_lanes, y_units, at_y, lanes)

                        if kind == ADD:
                            other = operation[OTHER] * register_size
                            other += k * n_states * plane_size + first_entry
                            for state in range(n_states):
                                combine(planes, target + state * step, source + state * step,
                                        other + state * step, pitch, size, lanes, factor,
                                        offset)  # fmt: skip
                            if record and zero_plane:
                                _note_sums(planes, target, pitch, size, lanes, operation[VARIANCES],
                                           variances[y])  # fmt: skip
                            continue

                        if kind == CONV:
                            steps = (operation[ROW_STEP], operation[COLUMN_STEP])
                            fine_i, fine_j = di, dj
                            di, dj = _over(di, steps[0]), _over(dj, steps[1])
                            if fine_i != di * steps[0] or fine_j != dj * steps[1]:
                                continue
                            size = (
                                operation[ROWS_AFTER] - abs(di),
                                operation[COLUMNS_AFTER] - abs(dj),
                            )
                            source -= operation[ROWS_BEFORE] * pitch
                            source -= operation[COLUMNS_BEFORE] * lanes
                            if fused == 0:
                                for state in range(n_states):
                                    if operation[SIMPLE]:
                                        box_3x3(planes, source + state * source_step, pitch,
                                                target + state * step, size, steps[0],
                                                lanes, offset)  # fmt: skip
                                    else:
                                        box(planes, source + state * source_step, pitch,
                                            target + state * step, size, steps, lanes,
                                            offset,
                                            (operation[FILTER_ROWS], operation[FILTER_COLUMNS]),
                                            scratch)  # fmt: skip
                                one = broadcast(trained, trained.size - 1)
                                for theta in range(n_thetas):
                                    at = operation[NUMBER] * n_thetas + theta
                                    if trained[at] != 0:
                                        u = target + (theta + 1) * step
                                        combine(planes, u, u, target, pitch, size, lanes, one,
                                                one)  # fmt: skip
                                continue

                        behind = operations[o + fused]
                        at_x = 2 * (x_image * n_linear + behind[LINEAR]) * x_lanes
                        at_y = 2 * (y * n_linear + behind[LINEAR]) * lanes
                        _, unit = _numbers(x_units, at_x, x_lanes, y_units, at_y, lanes)
                        # What is added to a convolution's sums, and where the result is kept.
                        added, other, factors = fused == 2, 0, (unit, unit)
                        if added:
                            term = operations[o + 1]
                            at_x = 2 * (x_image * n_linear + term[LINEAR]) * x_lanes
                            at_y = 2 * (y * n_linear + term[LINEAR]) * lanes
                            factors = _numbers(x_units, at_x, x_lanes, y_units, at_y, lanes)
                            other = term[OTHER]
                            if other == operation[TARGET]:
                                factors, other = (factors[1], factors[0]), term[SOURCE]
                        target += (behind[TARGET] - operation[TARGET]) * register_size
                        other = (other - behind[TARGET]) * register_size
                        kept = (behind[SOURCE] - behind[TARGET]) * register_size
                        pool = (rows_in_slots, 0, (1, 1, 0))
                        pooled = places[o + fused] == POOLED
                        if pooled:
                            of_columns = slot_rows(
                                rows_in_slots, (di, dj), size[0], stages[stage + 1, WAITING_AT],
                                slots_of(visit_planes, first + k), nowhere,
                                (stages[stage, NEXT_ROWS], stages[stage, NEXT_COLUMNS]),
                                (stages[stage, WINDOW_ROWS], stages[stage, WINDOW_COLUMNS]), lanes,
                            )  # fmt: skip
                            pool = (rows_in_slots, stages[stage + 1, WAITING] * lanes, of_columns)
                        map_columns = behind[COLUMNS]
                        n_map = behind[ROWS] * map_columns
                        at_x = max(0, -di) * map_columns + max(0, -dj)
                        at_y = max(0, di) * map_columns + max(0, dj)
                        if record and zero_plane:
                            _record(planes, source, pitch, size, lanes, behind, smallest,
                                    x_units[2 * (y * n_linear + behind[LINEAR]) * lanes :],
                                    variances[y], x_tables[x_tables_at:])  # fmt: skip
                        activate(addresses[o + fused], (
                            planes, source, pitch, target, size, source_step, step, n_thetas,
                            x_tables, x_tables_at + (behind[TABLE] + at_x) * x_lanes, x_lanes,
                            y_tables, y_tables_at + (behind[TABLE] + at_y) * lanes,
                            (n_map, map_columns), lanes, exact_lanes, coefs, (o + fused) * SLOTS,
                            unit, offset, (added, other, factors, kept), slots, pool,
                            behind[NORMALISED] == 1,
                        ))  # fmt: skip
                    o += 1 + fused

                # Pool the planes for the next stage.
                if stage + 1 == stages.shape[0] or pooled:
                    continue
                coarse = (stages[stage, NEXT_ROWS], stages[stage, NEXT_COLUMNS])
                window = (stages[stage, WINDOW_ROWS], stages[stage, WINDOW_COLUMNS])
                slots_at, slot_step = stages[stage + 1, WAITING_AT], stages[stage + 1, WAITING]
                for k in range(group):
                    plane = first + k
                    targets = slots_of(visit_planes, plane)
                    displacement = (
                        _over(visit_planes[plane, 0], stages[stage, END_ROW_STRIDE]),
                        _over(visit_planes[plane, 1], stages[stage, END_COLUMN_STRIDE]),
                    )
                    source = stages[stage, END_REGISTER] * register_size
                    source += k * n_states * plane_size + first_entry
                    add_pooled(planes, source, pitch, step, n_states, displacement, slots, slots_at,
                               slot_step, targets, coarse, window, lanes)  # fmt: skip
