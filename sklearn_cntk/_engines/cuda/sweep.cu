// GAP and local average pooling, one column per lane.  A block handles one pair of images: each warp
// takes PLANES displacements through all layers, and then the next ones.  Shared memory: sums, see
// sums.cu, then the tables of x and y, of all layers or else of this layer and the next.
//
//   x_pixels (image, channel, P, Q), x_tables (image, table_layers, P, Q), x_ids (image): as of y
//   layers (n_layers): the factor of each
//   slots (n_layers): where the sums of a layer go, -1 if they are not read
//   theta_starts: a bit for each Theta, 1 where it starts as Sigma and 0 where it starts as 0
//   pairs (n_pairs, 2): the indices of x and y; null for all of x with all n_y of y
//   displacements (n_displacements, 2): (Di, Dj) modulo the image, (0, 0) first; that one is left
//       out of a pair with equal ids
//   row_weights (P, P), column_weights (Q, Q)
//   resident: whether shared memory holds the tables of all layers
//   results (sum, n_slots, n_pairs)
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    sweep(const REAL *x_pixels, const REAL *y_pixels, const Scales *x_tables,
          const Scales *y_tables, const int *x_ids, const int *y_ids, const REAL *layers,
          const int *slots, int table_layers, int n_layers, int n_slots, int n_channels,
          int theta_starts, const int *pairs, int n_y, int n_pairs, const int *displacements,
          int n_displacements, const REAL *row_weights, const REAL *column_weights, int resident,
          double *results) {
    SHARED_MEMORY;
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    const long long pair = blockIdx.x;
    const Pair images = pair_at(pairs, n_y, pair);
    const long long x = images.x, y = images.y;
    const bool twins = x_ids[x] == y_ids[y];
    const Seat seat = seat_of(lane);
    x_pixels += x * n_channels * PIXELS;
    y_pixels += y * n_channels * PIXELS;
    x_tables += x * table_layers * PIXELS;
    y_tables += y * table_layers * PIXELS;

    double *warp_sums = sums_of_warp(shared_memory, warp, lane, n_slots);
    Scales *tables = reinterpret_cast<Scales *>(shared_memory + size_of_sums(n_slots));
    if (STAGED) {
        const int n_copied = resident ? n_layers : 1;
        for (int layer = 0; layer < n_copied; ++layer) {
            copy_plane(tables + layer * PIXELS, x_tables + layer * PIXELS);
            copy_plane(tables + (n_copied + layer) * PIXELS, y_tables + layer * PIXELS);
        }
        if (resident) finish_copies();
    }

    int buffer = 0;
    for (int first = 0; first < n_displacements; first += WARPS * PLANES) {
        const int d = first + warp * PLANES + seat.plane;
        const bool active = !seat.idle && d < n_displacements && !(twins && d == 0);
        const int di = d < n_displacements ? displacements[2 * d] : 0;
        const int dj = d < n_displacements ? displacements[2 * d + 1] : 0;
        const int j = seat.column;
        const Column column = column_of(j, di, dj);
        const REAL *lane_row_weights = row_weights + di;
        const REAL column_weight =
            !active ? REAL(0)
                    : WEIGHTED ? column_weights[j * COLUMNS + (j + dj) % COLUMNS] : REAL(1);
        REAL state[STATES][ROWS];
        start<true>(state, column, x_pixels, y_pixels, n_channels, theta_starts);

        for (int layer = 0; layer < n_layers; ++layer) {
            const Scales *x_table = x_tables + layer * PIXELS;
            const Scales *y_table = y_tables + layer * PIXELS;
            if (STAGED) {
                if (resident) {
                    x_table = tables + layer * PIXELS;
                    y_table = x_table + n_layers * PIXELS;
                } else {
                    finish_copies();  // of this layer; the other buffer has been read by all
                    x_table = tables + buffer * 2 * PIXELS;
                    y_table = x_table + PIXELS;
                    buffer = 1 - buffer;
                    const int next = layer + 1 < n_layers ? layer + 1 : 0;
                    Scales *target = tables + buffer * 2 * PIXELS;
                    copy_plane(target, x_tables + next * PIXELS);
                    copy_plane(target + PIXELS, y_tables + next * PIXELS);
                }
            }
            REAL sums[SUMS];
            advance<true>(state, sums, column, x_table, y_table, layers[layer], lane_row_weights);

            const int slot = slots[layer];
            if (slot < 0) continue;
            if (LATE_SUMS) add_up(state, sums, column, lane_row_weights);
#pragma unroll
            for (int s = 0; s < SUMS; ++s) {
                const REAL sum = sum_of_lanes(active ? column_weight * sums[s] : REAL(0));
                if (lane == 0) warp_sums[s * n_slots + slot] += sum;
            }
        }
    }

    if (STAGED && !resident) finish_copies();
    write_sums(shared_memory, SUMS * n_slots, pair, n_pairs, results);
}
