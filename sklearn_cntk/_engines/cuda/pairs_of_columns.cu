// Planes in the registers of a warp, with two columns of some rows per lane: for `sweep_pairs`.
// One read of x's table serves both, and they exchange nothing with each other.
// Filters of 3 x 3 pixels or less, an even number of columns.  Two more constants, see layouts.py:
//
//   GROUPS      groups of rows, of which a lane holds one
//   Y_STRIDE    entries from a row of the table of y to the next one

constexpr int HALF = COLUMNS / 2;
constexpr int LANE_ROWS = ROWS / GROUPS;
constexpr int PLANE_LANES = HALF * GROUPS;
constexpr int WARP_PLANES = LANES / PLANE_LANES;
static_assert(COLUMNS % 2 == 0 && ROWS % GROUPS == 0 && PLANE_LANES <= LANES, "layout");
static_assert(RADIUS <= 1 && !WEIGHTED, "one column a lane");

// Of the tables of x and y in a layer.  That of y is stored twice, one copy below the other, so that
// no row wraps; the even columns of a row come before the odd ones, so that the lanes of a group
// read consecutive entries.
constexpr int LAYER_ENTRIES = (PIXELS + 2 * ROWS * Y_STRIDE + 3) / 4 * 4;

// A lane's share of a plane.
struct Share {
    int x;                // offset of its first two entries in the table of x
    int y[2];             // of either column in that of y
    int row;              // the first row
    int y_columns[2];
    int wrap;             // of its rows, the one before which the plane ends
    REAL left, middle, right, top, bottom;  // 1 where its neighbour is of the same plane
};

INLINE Share share_of(int group, int j, int di, int dj) {
    Share share;
    share.row = group * LANE_ROWS;
    share.x = share.row * COLUMNS + 2 * j;
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        const int sum = 2 * j + c + dj, column = sum < COLUMNS ? sum : sum - COLUMNS;
        share.y_columns[c] = column;
        share.y[c] = (share.row + di) * Y_STRIDE + column % 2 * HALF + column / 2;
    }
    share.wrap = ROWS - di - share.row;
    const int wrap = COLUMNS - dj;
    const bool columns = COLUMN_REACH > 0, rows = ROW_REACH > 0;
    share.left = columns && j > 0 && 2 * j != wrap ? 1 : 0;
    share.middle = columns && 2 * j + 1 != wrap ? 1 : 0;
    share.right = columns && 2 * j + 2 < COLUMNS && 2 * j + 2 != wrap ? 1 : 0;
    share.top = rows && group > 0 && share.wrap != 0 ? 1 : 0;
    share.bottom = rows && group + 1 < GROUPS && share.wrap != LANE_ROWS ? 1 : 0;
    return share;
}

// As `start` of columns.cu.
INLINE void start(REAL (&state)[STATES][2 * LANE_ROWS], const Share &share, int di, const REAL *x,
                  const REAL *y, int n_channels, int theta_starts) {
#pragma unroll
    for (int k = 0; k < 2 * LANE_ROWS; ++k) state[0][k] = 0;
    x += share.x;
    y += (share.row + di) * COLUMNS - (share.wrap < 0 ? PIXELS : 0);
    for (int c = 0; c < n_channels; ++c, x += PIXELS, y += PIXELS) {
        const REAL *at_y = y;
#pragma unroll
        for (int r = 0; r < LANE_ROWS; ++r) {
            if (r == share.wrap) at_y -= PIXELS;
#pragma unroll
            for (int k = 0; k < 2; ++k)
                state[0][2 * r + k] +=
                    x[r * COLUMNS + k] * at_y[r * COLUMNS + share.y_columns[k]];
        }
    }
#pragma unroll
    for (int s = 1; s < STATES; ++s) {
        const REAL part = theta_starts >> (s - 1) & 1;
#pragma unroll
        for (int k = 0; k < 2 * LANE_ROWS; ++k) state[s][k] = part * state[0][k];
    }
}

struct alignas(2 * sizeof(Scales)) TwoScales {
    Scales at[2];
};

// One layer, as `advance` of columns.cu.
INLINE void advance(REAL (&state)[STATES][2 * LANE_ROWS], const Share &share, const Scales *x,
                    const Scales *y, REAL factor) {
    REAL above[STATES][2], below[STATES][2];
#pragma unroll
    for (int s = 0; s < STATES; ++s)
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            above[s][c] = below[s][c] = 0;
            if (GROUPS > 1 && ROW_REACH > 0) {
                const REAL last = state[s][2 * (LANE_ROWS - 1) + c], first = state[s][c];
                above[s][c] = share.top * __shfl_up_sync(EVERY_LANE, last, HALF);
                below[s][c] = share.bottom * __shfl_down_sync(EVERY_LANE, first, HALF);
            }
        }
    const TwoScales *at_x = reinterpret_cast<const TwoScales *>(x + share.x);
    const Scales *at_y[2] = {y + share.y[0], y + share.y[1]};
    REAL open = 1;  // 0 where the plane ends between this row and the one above
#pragma unroll
    for (int r = 0; r < LANE_ROWS; ++r) {
        const REAL next_open = r + 1 == share.wrap ? 0 : 1;
        REAL entry[2][STATES];
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            REAL sum[2];
#pragma unroll
            for (int c = 0; c < 2; ++c) {
                const REAL old = state[s][2 * r + c];
                sum[c] = old;
                if (ROW_REACH > 0) {
                    sum[c] += r == 0 ? above[s][c] : open * above[s][c];
                    sum[c] += r + 1 == LANE_ROWS
                                  ? below[s][c]
                                  : next_open * state[s][2 * (r + 1 < LANE_ROWS ? r + 1 : r) + c];
                }
                above[s][c] = old;
            }
            if (COLUMN_REACH > 0) {
                const REAL before = __shfl_up_sync(EVERY_LANE, sum[1], 1);
                const REAL after = __shfl_down_sync(EVERY_LANE, sum[0], 1);
                entry[0][s] = sum[0] + share.middle * sum[1] + share.left * before;
                entry[1][s] = sum[1] + share.middle * sum[0] + share.right * after;
            } else {
                entry[0][s] = sum[0];
                entry[1][s] = sum[1];
            }
        }
        open = next_open;
        const TwoScales scales = at_x[r * HALF];
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            activate(entry[c], scales.at[c], at_y[c][r * Y_STRIDE], factor);
#pragma unroll
            for (int s = 0; s < STATES; ++s) state[s][2 * r + c] = entry[c][s];
        }
    }
    rescale(state, factor);
}

// Copy the table of one layer of y to shared memory, as `Share::y` reads it.
INLINE void copy_sorted(Scales *target, const Scales *source) {
#pragma unroll
    for (int k = 0; k < PIXELS; k += THREADS) {
        const int at = k + threadIdx.x;
        if (k + THREADS <= PIXELS || at < PIXELS) {
            const int row = at / COLUMNS, column = at % COLUMNS;
            Scales *to = target + row * Y_STRIDE + column % 2 * HALF + column / 2;
            copy_piece(to, source + at);
            copy_piece(to + ROWS * Y_STRIDE, source + at);
        }
    }
}
