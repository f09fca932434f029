// Planes in the registers of a warp, with one column per lane: for `sweep` and `trace`.

static_assert(LATE_SUMS || !ONE_TABLE, "the factor of a layer comes before its sums");

// Where a lane sits: its column, of a plane or pair of its warp.  Lanes that are left over repeat
// the last column, so they read no memory that others do not read at the same time.
struct Seat {
    int plane, column;
    bool idle;
};
INLINE Seat seat_of(int lane) {
    const int plane = lane / COLUMNS;
    if (plane >= PLANES) return {PLANES - 1, COLUMNS - 1, true};
    return {plane, lane % COLUMNS, false};
}

// A lane's share of a plane: column j of x, which meets column (j + Dj) mod Q of y.
struct Column {
    int x, y;     // offsets of its first entry in the tables and pixels of x and y
    int wrap;     // the first row of the second plane; ROWS if there is none
    REAL left[COLUMN_RING], right[COLUMN_RING];  // 1 if the a-th neighbour is of the same plane
};

INLINE Column column_of(int j, int di, int dj) {
    Column column;
    const int wrap = COLUMNS - dj;
    column.x = j;
    column.y = di * COLUMNS + (j < wrap ? j + dj : j - wrap);
    column.wrap = ROWS - di;
#pragma unroll
    for (int a = 1; a <= COLUMN_REACH; ++a) {
        column.left[a - 1] = j - a >= 0 && !crosses(j - a, j, wrap) ? 1 : 0;
        column.right[a - 1] = j + a < COLUMNS && !crosses(j, j + a, wrap) ? 1 : 0;
    }
    return column;
}

// The covariances of the pixels, K and U of the input layer.  A Theta starts as K or, if the first
// layer is frozen, as 0: `theta_starts` has a bit for each.
template <bool CIRCULAR>
INLINE void start(REAL (&state)[STATES][ROWS], const Column &column, const REAL *x, const REAL *y,
                  int n_channels, int theta_starts) {
#pragma unroll
    for (int i = 0; i < ROWS; ++i) state[0][i] = 0;
    for (int c = 0; c < n_channels; ++c) {
        const REAL *at_x = x + c * PIXELS + column.x;
        const REAL *at_y = y + c * PIXELS + column.y;
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            if (CIRCULAR && i == column.wrap) at_y -= PIXELS;
            state[0][i] += at_x[i * COLUMNS] * at_y[i * COLUMNS];
        }
    }
#pragma unroll
    for (int s = 1; s < STATES; ++s) {
        const REAL share = theta_starts >> (s - 1) & 1;
#pragma unroll
        for (int i = 0; i < ROWS; ++i) state[s][i] = share * state[0][i];
    }
}

// One layer: box sums, kappa, K and U in the place of the old ones.  `sums` are this lane's.
// Rows are summed first: then the warp exchanges one number per row and neighbour, rather than one
// per entry of the box.  Rows above, already overwritten, are kept in `above`.
template <bool CIRCULAR>
INLINE void advance(REAL (&state)[STATES][ROWS], REAL (&sums)[SUMS], const Column &column,
                    const Scales *x, const Scales *y, REAL factor, const REAL *row_weights) {
    REAL above[STATES][ROW_RING];
    x += column.x;
    y += column.y;
#pragma unroll
    for (int s = 0; s < SUMS; ++s) sums[s] = 0;
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
        if (CIRCULAR && i == column.wrap) {
            y -= PIXELS;
            if (WEIGHTED) row_weights -= ROWS;
        }
        REAL entry[STATES];
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            REAL sum = state[s][i];
#pragma unroll
            for (int a = 1; a <= ROW_REACH; ++a) {
                if (i >= a)
                    add_unless(CIRCULAR && crosses(i - a, i, column.wrap), above[s][a - 1], sum);
                if (i + a < ROWS)
                    add_unless(CIRCULAR && crosses(i, i + a, column.wrap),
                               state[s][i + a < ROWS ? i + a : i], sum);
            }
#pragma unroll
            for (int a = ROW_REACH - 1; a > 0; --a) above[s][a] = above[s][a - 1];
            above[s][0] = state[s][i];
            entry[s] = sum;
#pragma unroll
            for (int a = 1; a <= COLUMN_REACH; ++a) {
                entry[s] += column.left[a - 1] * __shfl_up_sync(EVERY_LANE, sum, a);
                entry[s] += column.right[a - 1] * __shfl_down_sync(EVERY_LANE, sum, a);
            }
        }
        activate(entry, x[i * COLUMNS], y[i * COLUMNS], factor);
        const REAL weight = WEIGHTED ? row_weights[i * (ROWS + 1)] : REAL(1);
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            state[s][i] = entry[s];
            if (!LATE_SUMS && s >= FIRST_SUM) sums[s - FIRST_SUM] += weight * entry[s];
        }
    }
    rescale(state, factor);
}

// The sums of a lane's entries, for layers whose sums are read, if `advance` does not add them.
INLINE void add_up(const REAL (&state)[STATES][ROWS], REAL (&sums)[SUMS], const Column &column,
                   const REAL *row_weights) {
#pragma unroll
    for (int s = 0; s < SUMS; ++s) {
        sums[s] = 0;
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            const int wrapped = i >= column.wrap ? ROWS : 0;
            const REAL weight = WEIGHTED ? row_weights[i * (ROWS + 1) - wrapped] : REAL(1);
            sums[s] += weight * state[s + FIRST_SUM][i];
        }
    }
}
