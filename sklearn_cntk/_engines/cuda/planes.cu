// Planes that do not fit in registers.

// Sum over the block in one order; thread 0 has the result.
INLINE double block_sum(double sum, double *scratch) {
    for (int offset = LANES / 2; offset > 0; offset /= 2)
        sum += __shfl_down_sync(EVERY_LANE, sum, offset);
    if (threadIdx.x % LANES == 0) scratch[threadIdx.x / LANES] = sum;
    __syncthreads();
    sum = 0;
    if (threadIdx.x == 0)
        for (int w = 0; w < WARPS; ++w) sum += scratch[w];
    __syncthreads();
    return sum;
}

// Any readout of any image: a block carries one plane of one pair at a time, with the state
// before the box sum and its sums over rows in shared memory or, if `global_planes` is given,
// there, (block, 2, state, P, Q).  Arguments as in `sweep`.
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    planes(const REAL *x_pixels, const REAL *y_pixels, const Scales *x_tables,
           const Scales *y_tables, const int *x_ids, const int *y_ids, const REAL *layers,
           const int *slots, int table_layers, int n_layers, int n_slots, int n_channels,
           int theta_starts, const int *pairs, int n_y, int n_pairs, const int *displacements,
           int n_displacements, const REAL *row_weights, const REAL *column_weights,
           REAL *global_planes, double *results) {
    SHARED_MEMORY;
    double *scratch = shared_memory;
    REAL *state = global_planes ? global_planes + (long long)blockIdx.x * 2 * STATES * PIXELS
                                : reinterpret_cast<REAL *>(shared_memory + WARPS);
    REAL *row_sums = state + STATES * PIXELS;
    const int thread = threadIdx.x;

    for (long long pair = blockIdx.x; pair < n_pairs; pair += gridDim.x) {
        const Pair images = pair_at(pairs, n_y, pair);
        const long long x = images.x, y = images.y;
        const bool twins = x_ids[x] == y_ids[y];
        const REAL *x_image = x_pixels + x * n_channels * PIXELS;
        const REAL *y_image = y_pixels + y * n_channels * PIXELS;
        for (int k = thread; k < SUMS * n_slots; k += THREADS)
            results[k * (long long)n_pairs + pair] = 0;
        __syncthreads();

        for (int d = twins ? 1 : 0; d < n_displacements; ++d) {
            const int di = displacements[2 * d], dj = displacements[2 * d + 1];
            const int row_wrap = ROWS - di, column_wrap = COLUMNS - dj;
            for (int k = thread; k < PIXELS; k += THREADS) {
                const int i = k / COLUMNS, j = k % COLUMNS;
                const int at_y = (i + di) % ROWS * COLUMNS + (j + dj) % COLUMNS;
                REAL value = 0;
                for (int c = 0; c < n_channels; ++c)
                    value += x_image[c * PIXELS + k] * y_image[c * PIXELS + at_y];
                state[k] = value;
#pragma unroll
                for (int s = 1; s < STATES; ++s)
                    state[s * PIXELS + k] = theta_starts >> (s - 1) & 1 ? value : REAL(0);
            }
            for (int layer = 0; layer < n_layers; ++layer) {
                __syncthreads();
                for (int k = thread; k < PIXELS; k += THREADS) {
                    const int i = k / COLUMNS;
#pragma unroll
                    for (int s = 0; s < STATES; ++s) {
                        REAL sum = state[s * PIXELS + k];
                        for (int a = 1; a <= ROW_REACH; ++a) {
                            if (i >= a && !crosses(i - a, i, row_wrap))
                                sum += state[s * PIXELS + k - a * COLUMNS];
                            if (i + a < ROWS && !crosses(i, i + a, row_wrap))
                                sum += state[s * PIXELS + k + a * COLUMNS];
                        }
                        row_sums[s * PIXELS + k] = sum;
                    }
                }
                __syncthreads();

                const Scales *x_table = x_tables + (x * table_layers + layer) * PIXELS;
                const Scales *y_table = y_tables + (y * table_layers + layer) * PIXELS;
                const REAL factor = layers[layer];
                REAL sums[SUMS] = {};
                for (int k = thread; k < PIXELS; k += THREADS) {
                    const int i = k / COLUMNS, j = k % COLUMNS;
                    const int y_row = (i + di) % ROWS, y_column = (j + dj) % COLUMNS;
                    REAL entry[STATES];
#pragma unroll
                    for (int s = 0; s < STATES; ++s) {
                        REAL sum = row_sums[s * PIXELS + k];
                        for (int a = 1; a <= COLUMN_REACH; ++a) {
                            if (j >= a && !crosses(j - a, j, column_wrap))
                                sum += row_sums[s * PIXELS + k - a];
                            if (j + a < COLUMNS && !crosses(j, j + a, column_wrap))
                                sum += row_sums[s * PIXELS + k + a];
                        }
                        entry[s] = sum;
                    }
                    activate(entry, x_table[k], y_table[y_row * COLUMNS + y_column], factor);
                    if (ONE_TABLE)
                        for (int s = 0; s < STATES; ++s) entry[s] *= factor;
                    const REAL weight = WEIGHTED ? row_weights[i * ROWS + y_row] *
                                                       column_weights[j * COLUMNS + y_column]
                                                 : REAL(1);
#pragma unroll
                    for (int s = 0; s < STATES; ++s) {
                        state[s * PIXELS + k] = entry[s];
                        if (s >= FIRST_SUM) sums[s - FIRST_SUM] += weight * entry[s];
                    }
                }
                const int slot = slots[layer];
                if (slot < 0) continue;
                for (int s = 0; s < SUMS; ++s) {
                    const double sum = block_sum(sums[s], scratch);
                    if (thread == 0)
                        results[(s * (long long)n_slots + slot) * n_pairs + pair] += sum;
                }
            }
            __syncthreads();  // before the next plane overwrites this one
        }
    }
}
