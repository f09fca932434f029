"""Average pools of the CPU engine: planes are added up in slots, and taken out when complete.

A coarse plane waits in a slot, flat and without a frame, until all fine planes that contribute to
its windows of x and y have been added.  A fine plane is added either by a separate pass
(`add_pooled`) or directly by the activation that computes it (`slot_rows` says where).  Both use
the same order, so that results are identical bit for bit.
"""

from ..compile import compile_lazily
from .lanes import broadcast, load, store, zeros


@compile_lazily
def _add_windows(planes, source, steps, pitch, window, slots, target, size, lanes):
    """Add windows, `steps` apart in rows and columns, to a slot.

    The order is that in which an activation adds them, so that results are bitwise the same.
    """
    n_rows, n_columns = window
    pair, second = n_rows + n_columns == 3, pitch if n_rows == 2 else lanes
    for i in range(size[0]):
        row = source + i * steps[0]
        end = target + size[1] * lanes
        # The usual windows, without loops of one or two steps.
        if n_rows == 1 and n_columns == 1:
            for at in range(target, end, lanes):
                store(slots, at, load(slots, at) + load(planes, row))
                row += steps[1]
        elif pair:
            for at in range(target, end, lanes):
                value = load(slots, at) + load(planes, row)
                store(slots, at, value + load(planes, row + second))
                row += steps[1]
        elif n_rows == 2 and n_columns == 2:
            for at in range(target, end, lanes):
                value = load(slots, at) + load(planes, row) + load(planes, row + lanes)
                value = value + load(planes, row + pitch)
                store(slots, at, value + load(planes, row + pitch + lanes))
                row += steps[1]
        else:
            for at in range(target, end, lanes):
                value = load(slots, at)
                for u in range(n_rows):
                    for w in range(n_columns):
                        value = value + load(planes, row + u * pitch + w * lanes)
                store(slots, at, value)
                row += steps[1]
        target = end


@compile_lazily
def add_pooled(planes, at, pitch, step, n_states, displacement, slots, slots_at, slot_step, targets,
               coarse, window, lanes):  # fmt: skip
    """Add sums over windows of the planes of all states to slots.

    The slots of the first state begin at the vector `slots_at`, those of the next one `slot_step`
    vectors further.

    `targets` are four slots, negative for none.  In the first one, y's window is x's window plus
    the coarse displacement, rounded down; it is one row further in the last two, and one column
    further in the second and the fourth.
    """
    di, dj = displacement
    p, q = window
    coarse_i, coarse_j = di // p, dj // q
    e, f = di - p * coarse_i, dj - q * coarse_j
    at -= max(0, -di) * pitch + max(0, -dj) * lanes
    for half in range(4):
        if targets[half] < 0:
            continue
        further = (half // 2, half % 2)
        # The part of x's window that is paired with y's window, and where it begins.
        part = (e if further[0] else p - e, f if further[1] else q - f)
        big_i, big_j = coarse_i + further[0], coarse_j + further[1]
        source = at + (p * max(0, -big_i) + further[0] * (p - e)) * pitch
        source += (q * max(0, -big_j) + further[1] * (q - f)) * lanes
        size = (coarse[0] - abs(big_i), coarse[1] - abs(big_j))
        target = (slots_at + targets[half]) * lanes
        for state in range(n_states):
            _add_windows(planes, source + state * step, (p * pitch, q * lanes), pitch, part, slots,
                         target + state * slot_step * lanes, size, lanes)  # fmt: skip


@compile_lazily
def slot_rows(rows_in_slots, displacement, n_rows, slots_at, targets, nowhere, coarse, window,
              lanes):  # fmt: skip
    """Find where the rows of a plane are added to slots, for the same purpose as `add_pooled`.

    Fill `rows_in_slots` (rows, 2) with the position of x's first window in two slots: the one in
    which y's window is x's plus the coarse displacement, and the one in which it is one column
    further; `nowhere` if there is no slot.  Return the number of columns of a window, the column
    from which on the second slot applies, and the column of the plane's first entry.
    """
    di, dj = displacement
    p, q = window
    coarse_i, coarse_j = di // p, dj // q
    e, f = di - p * coarse_i, dj - q * coarse_j
    x_column = max(0, -dj)
    first_window = x_column // q
    for half in range(4):
        further = (half // 2, half % 2)
        if further[0] > e or further[1] > f:
            continue  # no window of y is there
        big_i, big_j = coarse_i + further[0], coarse_j + further[1]
        width = (coarse[1] - abs(big_j)) * lanes
        start = (slots_at + targets[half]) * lanes - max(0, -big_i) * width
        start += (first_window - max(0, -big_j)) * lanes
        x_row = max(0, -di)
        row, row_in_window = x_row // p, x_row % p
        for i in range(n_rows):
            if (row_in_window >= p - e) == further[0]:
                at = start + row * width
                rows_in_slots[i, further[1]] = nowhere if targets[half] < 0 else at
            row_in_window += 1
            if row_in_window == p:
                row, row_in_window = row + 1, 0
    return q, q - f, x_column - q * first_window


@compile_lazily
def slots_of(visit_planes, plane):
    """Return the four slots that a plane is pooled into, see `add_pooled`."""
    return (
        visit_planes[plane, 3],
        visit_planes[plane, 4],
        visit_planes[plane, 5],
        visit_planes[plane, 6],
    )


@compile_lazily
def take_slot(slots, source, planes, at, pitch, size, lanes, shares):
    """Move a plane out of its slot, multiply it by the share at index 0, and clear the slot."""
    zero, share = zeros(planes), broadcast(shares, 0)
    for i in range(size[0]):
        target = at + i * pitch
        for _ in range(size[1]):
            store(planes, target, load(slots, source) * share)
            store(slots, source, zero)
            source += lanes
            target += lanes
