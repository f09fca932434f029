// GAP, two columns per lane.  A block handles one pair of images: each warp takes WARP_PLANES
// displacements through all layers, and then the next ones.  Shared memory as in `sweep`, with y's
// tables as pairs_of_columns.cu has them; arguments likewise.
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    sweep_pairs(const REAL *x_pixels, const REAL *y_pixels, const Scales *x_tables,
                const Scales *y_tables, const int *x_ids, const int *y_ids, const REAL *layers,
                const int *slots, int table_layers, int n_layers, int n_slots, int n_channels,
                int theta_starts, const int *pairs, int n_y, int n_pairs, const int *displacements,
                int n_displacements, const REAL *row_weights, const REAL *column_weights,
                int resident, double *results) {
    SHARED_MEMORY;
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    const long long pair = blockIdx.x;
    const Pair images = pair_at(pairs, n_y, pair);
    const long long x = images.x, y = images.y;
    const bool twins = x_ids[x] == y_ids[y];
    const bool idle = lane / PLANE_LANES >= WARP_PLANES;  // it repeats the last lane of a plane
    const int plane = idle ? WARP_PLANES - 1 : lane / PLANE_LANES;
    const int seat = idle ? PLANE_LANES - 1 : lane % PLANE_LANES;
    x_pixels += x * n_channels * PIXELS;
    y_pixels += y * n_channels * PIXELS;
    x_tables += x * table_layers * PIXELS;
    y_tables += y * table_layers * PIXELS;

    double *warp_sums = sums_of_warp(shared_memory, warp, lane, n_slots);
    Scales *tables = reinterpret_cast<Scales *>(shared_memory + size_of_sums(n_slots));
    const int n_copied = resident ? n_layers : 1;
    for (int layer = 0; layer < n_copied; ++layer) {
        copy_plane(tables + layer * LAYER_ENTRIES, x_tables + layer * PIXELS);
        copy_sorted(tables + layer * LAYER_ENTRIES + PIXELS, y_tables + layer * PIXELS);
    }
    if (resident) finish_copies();

    int buffer = 0;
    for (int first = 0; first < n_displacements; first += WARPS * WARP_PLANES) {
        const int d = first + warp * WARP_PLANES + plane;
        const bool active = !idle && d < n_displacements && !(twins && d == 0);
        const int di = d < n_displacements ? displacements[2 * d] : 0;
        const int dj = d < n_displacements ? displacements[2 * d + 1] : 0;
        const Share share = share_of(seat / HALF, seat % HALF, di, dj);
        REAL state[STATES][2 * LANE_ROWS];
        start(state, share, di, x_pixels, y_pixels, n_channels, theta_starts);

        for (int layer = 0; layer < n_layers; ++layer) {
            const Scales *table = tables + layer * LAYER_ENTRIES;
            if (!resident) {
                finish_copies();  // of this layer; the other buffer has been read by all
                table = tables + buffer * LAYER_ENTRIES;
                buffer = 1 - buffer;
                const int next = layer + 1 < n_layers ? layer + 1 : 0;
                Scales *target = tables + buffer * LAYER_ENTRIES;
                copy_plane(target, x_tables + next * PIXELS);
                copy_sorted(target + PIXELS, y_tables + next * PIXELS);
            }
            advance(state, share, table, table + PIXELS, layers[layer]);

            const int slot = slots[layer];
            if (slot < 0) continue;
#pragma unroll
            for (int s = 0; s < SUMS; ++s) {
                REAL sum = 0;
#pragma unroll
                for (int k = 0; k < 2 * LANE_ROWS; ++k) sum += state[s + FIRST_SUM][k];
                if (!active) sum = 0;
                sum = sum_of_lanes(sum);
                if (lane == 0) warp_sums[s * n_slots + slot] += sum;
            }
        }
    }

    if (!resident) finish_copies();
    write_sums(shared_memory, SUMS * n_slots, pair, n_pairs, results);
}
