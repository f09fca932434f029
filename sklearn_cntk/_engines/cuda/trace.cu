// The trace: one plane per pair, one column per lane.

// Which pair comes next.  With all of x by all of y, strips of STRIP images of x run along y: the
// tables of a strip stay in the cache while those of y are read once per strip, not once per row.
INLINE long long in_strips(long long number, const int *pairs, int n_y, int n_pairs) {
    if (STRIP == 1 || pairs) return number;
    const long long whole = (long long)STRIP * n_y;
    const long long first = number / whole * whole, within = number - first;
    const long long left = (n_pairs - first) / n_y;
    const long long height = left < STRIP ? left : STRIP;
    return first + within % height * n_y + within / height;
}

// The trace: displacement (0, 0) only.  A warp carries PLANES pairs; equal ids are left out.
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    trace(const REAL *x_pixels, const REAL *y_pixels, const Scales *x_tables,
          const Scales *y_tables, const int *x_ids, const int *y_ids, const REAL *layers,
          const int *slots, int table_layers, int n_layers, int n_slots, int n_channels,
          int theta_starts, const int *pairs, int n_y, int n_pairs, double *results) {
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    const Seat seat = seat_of(lane);
    const int j = seat.column;
    const long long number = ((long long)blockIdx.x * WARPS + warp) * PLANES + seat.plane;
    const bool inside = !seat.idle && number < n_pairs;
    // Lanes without a pair take part in the exchanges of their warp: any pair will do.
    const long long pair = in_strips(number < n_pairs ? number : 0, pairs, n_y, n_pairs);
    const Pair images = pair_at(pairs, n_y, pair);
    const long long x = images.x, y = images.y;
    const bool twins = x_ids[x] == y_ids[y];
    x_tables += x * table_layers * PIXELS;
    y_tables += y * table_layers * PIXELS;

    const Column column = column_of(j, 0, 0);
    REAL state[STATES][ROWS];
    start<false>(state, column, x_pixels + x * n_channels * PIXELS,
                 y_pixels + y * n_channels * PIXELS, n_channels, theta_starts);
    for (int layer = 0; layer < n_layers; ++layer) {
        REAL sums[SUMS];
        advance<false>(state, sums, column, x_tables + layer * PIXELS, y_tables + layer * PIXELS,
                       layers[layer], nullptr);
        const int slot = slots[layer];
        if (slot < 0) continue;
        if (LATE_SUMS) add_up(state, sums, column, nullptr);
#pragma unroll
        for (int s = 0; s < SUMS; ++s) {
            REAL sum = sums[s];
#pragma unroll
            for (int offset = LANES / 2; offset > 0; offset /= 2) {
                const REAL other = __shfl_down_sync(EVERY_LANE, sum, offset);
                // Lanes at the end of a plane see the next one; their values are not read.
                if (offset < COLUMNS) sum += j + offset < COLUMNS ? other : REAL(0);
            }
            if (inside && j == 0)
                results[(s * (long long)n_slots + slot) * n_pairs + pair] = twins ? 0 : sum;
        }
    }
}
