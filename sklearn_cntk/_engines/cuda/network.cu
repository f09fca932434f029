// Networks of any layers: a block carries one pair of images through all visits of a plan.
//
// The threads of a block share the entries of a visit's planes, a strip of STRIP rows of one column
// each, and synchronise after every operation.  Planes are kept in registers in shared memory,
// (register, state, entry), or in global memory if that is too small.  Pooled planes wait, packed,
// until all fine planes have been added: each thread adds to its own entries of the coarse plane,
// so no sum depends on which thread is faster.  The arrays are those of network_arrays.py.
//
// Constants in addition to those of threads.cu: GROUP, the most planes of a visit, above 1 only if
// convolutions are circular; RECORD, 1 to record the variances of images with themselves, from which
// the tables are filled on the way.  Loops over the planes of a visit are not unrolled, since that
// would take the compiler a minute.

constexpr int STRIP = 4;

// A plane of a visit, as an operation finds it.
struct Plane {
    int di, dj, rows, columns;  // of the map at this operation; no rows if it has no such plane
    int at, pitch;              // where it lies in a state
    __device__ __forceinline__ int row_of_x(int i) const { return i + (di < 0 ? -di : 0); }
    __device__ __forceinline__ int column_of_x(int j) const { return j + (dj < 0 ? -dj : 0); }
    __device__ __forceinline__ int row_of_y(int i) const { return i + (di > 0 ? di : 0); }
    __device__ __forceinline__ int column_of_y(int j) const { return j + (dj > 0 ? dj : 0); }
    // In a map of so many columns.
    __device__ __forceinline__ int pixel_of_x(int i, int j, int map_columns) const {
        return row_of_x(i) * map_columns + column_of_x(j);
    }
    __device__ __forceinline__ int pixel_of_y(int i, int j, int map_columns) const {
        return row_of_y(i) * map_columns + column_of_y(j);
    }
};

INLINE int magnitude(int d) { return d < 0 ? -d : d; }
// a / b, rounded down.
INLINE int over(int a, int b) {
    if (b == 1) return a;
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

// The planes of a visit at the beginning of its stage.
INLINE void begin_planes(Plane (&planes)[GROUP], const int *visit_planes, int n_planes, int rows,
                         int columns) {
    int at = 0;
#pragma unroll 1
    for (int k = 0; k < GROUP; ++k) {
        planes[k].rows = 0;
        if (k >= n_planes) continue;
        const int di = visit_planes[7 * k], dj = visit_planes[7 * k + 1];
        planes[k] = {di, dj, rows - magnitude(di), columns - magnitude(dj), at,
                     columns - magnitude(dj)};
        at += planes[k].rows * planes[k].columns;
    }
}

// The same after strides since then, in a map of (rows, columns).
INLINE void place_planes(Plane (&planes)[GROUP], const int *visit_planes, int n_planes,
                         int row_stride, int column_stride, int rows, int columns) {
#pragma unroll 1
    for (int k = 0; k < GROUP; ++k) {
        planes[k].rows = 0;
        if (k >= n_planes) continue;
        const int di = visit_planes[7 * k], dj = visit_planes[7 * k + 1];
        planes[k].di = over(di, row_stride);
        planes[k].dj = over(dj, column_stride);
        planes[k].columns = columns - magnitude(planes[k].dj);
        if (planes[k].di * row_stride == di && planes[k].dj * column_stride == dj)
            planes[k].rows = rows - magnitude(planes[k].di);
    }
}

// body(plane, first row, rows, column) for every strip of the planes.
template <class Body>
INLINE void each_strip(const Plane (&planes)[GROUP], Body body) {
    int before = 0;
#pragma unroll 1
    for (int k = 0; k < GROUP; ++k) {
        const Plane &plane = planes[k];
        const int n = (plane.rows + STRIP - 1) / STRIP * plane.columns;
        for (int t = (threadIdx.x + THREADS - before % THREADS) % THREADS; t < n; t += THREADS) {
            const int i = t / plane.columns * STRIP, j = t % plane.columns;
            body(plane, i, plane.rows - i < STRIP ? plane.rows - i : STRIP, j);
        }
        before += n;
    }
}

// The entry that lies at (i, j) of a plane, or would lie there: beyond its edges it is 0, or that
// of another plane of the torus.
INLINE REAL padded(const REAL *state, const Plane (&planes)[GROUP], const Plane &plane, int i, int j,
                   const int *columns, int column_groups) {
    if (!columns[CIRCULAR]) {
        if (i < 0 || j < 0 || i >= plane.rows || j >= plane.columns) return 0;
        return state[plane.at + i * plane.pitch + j];
    }
    const int rows = columns[ROWS], width = columns[COLUMNS];
    const int x_row = plane.row_of_x(i), x_column = plane.column_of_x(j);
    const int row = x_row - over(x_row, rows) * rows;
    const int column = x_column - over(x_column, width) * width;
    const int y_row = x_row + plane.di, y_column = x_column + plane.dj;
    const int d_row = y_row - over(y_row, rows) * rows - row;
    const int d_column = y_column - over(y_column, width) * width - column;
    const Plane &other = planes[(d_row < 0) * column_groups + (d_column < 0)];
    return state[other.at + (row - (d_row < 0 ? -d_row : 0)) * other.pitch + column -
                 (d_column < 0 ? -d_column : 0)];
}

// Sums over 3 x 3 entries of a strip, zero beyond the plane.
INLINE void box_3x3(REAL (&sums)[STRIP], const REAL *state, const Plane &plane, int i, int j) {
#pragma unroll
    for (int r = 0; r < STRIP; ++r) sums[r] = 0;
#pragma unroll
    for (int b = -1; b <= 1; ++b) {
        if (j + b < 0 || j + b >= plane.columns) continue;
        REAL entries[STRIP + 2];
#pragma unroll
        for (int r = 0; r < STRIP + 2; ++r) {
            const int row = i + r - 1;
            entries[r] = row < 0 || row >= plane.rows
                             ? REAL(0)
                             : state[plane.at + row * plane.pitch + j + b];
        }
#pragma unroll
        for (int r = 0; r < STRIP; ++r) sums[r] += entries[r] + entries[r + 1] + entries[r + 2];
    }
}

// The sum over the filter's entries at (i, j) of what a convolution makes.
INLINE REAL box(const REAL *state, const Plane (&planes)[GROUP], const Plane &plane, int i, int j,
                const int *columns, int column_groups) {
    const int first_row = i * columns[ROW_STEP] - columns[ROWS_BEFORE];
    const int first_column = j * columns[COLUMN_STEP] - columns[COLUMNS_BEFORE];
    REAL sum = 0;
    for (int b = 0; b < columns[FILTER_COLUMNS]; ++b) {
        REAL column = 0;
        for (int a = 0; a < columns[FILTER_ROWS]; ++a)
            column += padded(state, planes, plane, first_row + a, first_column + b, columns,
                             column_groups);
        sum += column;
    }
    return sum;
}

// Sum windows of the planes of all states, and add them to the planes that wait for the next stage.
INLINE void pool(const REAL *source, int state_size, const Plane &plane, const int *targets,
                 const int *stage, REAL *waiting) {
    const int p = stage[WINDOW_ROWS], q = stage[WINDOW_COLUMNS];
    const int big_i = over(plane.di, p), big_j = over(plane.dj, q);
    const int e = plane.di - p * big_i, f = plane.dj - q * big_j;
    const int n_waiting = stage[N_STAGE_COLUMNS + WAITING];
    waiting += stage[N_STAGE_COLUMNS + WAITING_AT];
    for (int half = 0; half < 4; ++half) {
        const int target = targets[half];
        if (target < 0) continue;
        const int a = half / 2, b = half % 2;
        // The part of x's window that is paired with y's window, and where it begins.
        const int n_rows = a ? e : p - e, n_columns = b ? f : q - f;
        const int di = big_i + a, dj = big_j + b;
        const int rows = stage[NEXT_ROWS] - magnitude(di);
        const int columns = stage[NEXT_COLUMNS] - magnitude(dj);
        const int first_row = (di < 0 ? -di * p : 0) + (a ? p - e : 0) - plane.row_of_x(0);
        const int first_column = (dj < 0 ? -dj * q : 0) + (b ? q - f : 0) - plane.column_of_x(0);
        for (int t = threadIdx.x; t < rows * columns; t += THREADS) {
            const int i = t / columns * p + first_row, j = t % columns * q + first_column;
#pragma unroll
            for (int s = 0; s < STATES; ++s) {
                const REAL *from = source + s * state_size + plane.at + i * plane.pitch + j;
                REAL sum = waiting[s * n_waiting + target + t];
                for (int u = 0; u < n_rows; ++u)
                    for (int w = 0; w < n_columns; ++w) sum += from[u * plane.pitch + w];
                waiting[s * n_waiting + target + t] = sum;
            }
        }
    }
}

//   x_pixels (image, channel, P, Q), x_tables (image, table_pixels), x_numbers (image, 2 n_linear),
//       x_ids (image): as of y
//   pairs (n_pairs, 2): the indices of x and y; null for all of x with all n_y of y
//   coefs (operation, SLOTS), trained (convolution, Theta)
//   state_size: entries of a state in a register
//   global_planes (block, register, state, entry), global_waiting (block, entry): null where shared
//       memory has room
//   variances (image, variance_pixels): what RECORD notes
//   results (read, state, pair)
#if RECORD
#define network network_variances
#endif
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    network(const REAL *x_pixels, const REAL *y_pixels, REAL *x_tables, REAL *y_tables,
            const REAL *x_numbers, const REAL *y_numbers, const int *x_ids, const int *y_ids,
            const int *pairs, int n_y, int n_pairs, const int *operations, const int *stages,
            int n_stages, const int *visits, int n_visits, const int *visit_planes,
            const int *reads, int n_reads, const REAL *weights, const REAL *shares,
            const REAL *coefs, const int *trained, int n_channels, int n_linear, int table_pixels,
            int n_registers, int state_size, int n_waiting, REAL *global_planes,
            REAL *global_waiting, double *variances, int variance_pixels, double smallest,
            double *results) {
    SHARED_MEMORY;
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    const int register_size = STATES * state_size, n_sums = n_reads * STATES;
    double *sums = shared_memory;  // (warp, read, state)
    REAL *rest = reinterpret_cast<REAL *>(sums + WARPS * n_sums);
    REAL *registers = rest, *waiting = global_waiting + (long long)blockIdx.x * n_waiting;
    if (global_planes) {
        registers = global_planes + (long long)blockIdx.x * n_registers * register_size;
    } else {
        rest += n_registers * register_size;
    }
    if (!global_waiting) waiting = rest;
    for (int k = threadIdx.x; k < n_waiting; k += THREADS) waiting[k] = 0;

    const int pixels = stages[STAGE_ROWS] * stages[STAGE_COLUMNS];
    for (long long pair = blockIdx.x; pair < n_pairs; pair += gridDim.x) {
        const Pair images = pair_at(pairs, n_y, pair);
        const long long x = images.x, y = images.y;
        const bool twins = x_ids[x] == y_ids[y];
        const REAL *x_image = x_pixels + x * n_channels * pixels;
        const REAL *y_image = y_pixels + y * n_channels * pixels;
        REAL *x_table = x_tables + x * table_pixels;
        REAL *y_table = y_tables + y * table_pixels;
        const REAL *x_number = x_numbers + x * 2 * n_linear;
        const REAL *y_number = y_numbers + y * 2 * n_linear;
        for (int k = threadIdx.x; k < WARPS * n_sums; k += THREADS) sums[k] = 0;

        for (int number = 0; number < n_visits; ++number) {
            __syncthreads();  // before the planes of this visit take the place of the last ones
            const int *visit = visits + 5 * number;
            const int *stage = stages + N_STAGE_COLUMNS * visit[0];
            const int *own_planes = visit_planes + 7 * visit[1];
            const int column_groups = visit[3], n_planes = visit[2] * column_groups;
            Plane planes[GROUP];
            begin_planes(planes, own_planes, n_planes, stage[STAGE_ROWS], stage[STAGE_COLUMNS]);

            int o = stage[FIRST_OPERATION];
            const int last = o + visit[4];
            const bool of_pixels = o < last && operations[N_OPERATION_COLUMNS * o + OF_PIXELS];
            if (visit[0] == 0) {
                const int width = stage[STAGE_COLUMNS];
                each_strip(planes, [&](const Plane &plane, int i, int n, int j) {
                    for (int r = i; r < i + n; ++r) {
                        const REAL *at_x = x_image + plane.pixel_of_x(r, j, width);
                        const REAL *at_y = y_image + plane.pixel_of_y(r, j, width);
                        REAL sum = 0;
                        for (int c = 0; c < n_channels; ++c)
                            sum += at_x[c * pixels] * at_y[c * pixels];
                        REAL *to = registers + plane.at + r * plane.pitch + j;
                        to[0] = sum;
                        if (!of_pixels)
                            for (int s = 1; s < STATES; ++s) to[s * state_size] = sum;
                    }
                });
            } else {
                const REAL share = shares[visit[0]];
                REAL *from = waiting + stage[WAITING_AT];
#pragma unroll 1
                for (int k = 0; k < GROUP; ++k) {
                    if (k >= n_planes) continue;
                    REAL *at = from + own_planes[7 * k + 2];
                    for (int t = threadIdx.x; t < planes[k].rows * planes[k].columns; t += THREADS)
                        for (int s = 0; s < STATES; ++s) {
                            REAL &entry = at[s * stage[WAITING] + t];
                            registers[s * state_size + planes[k].at + t] = entry * share;
                            entry = 0;
                        }
                }
            }

            for (; o < last; ++o) {
                __syncthreads();
                const int *columns = operations + N_OPERATION_COLUMNS * o;
                const int kind = columns[KIND];
                place_planes(planes, own_planes, n_planes, columns[ROW_STRIDE],
                             columns[COLUMN_STRIDE], columns[ROWS], columns[COLUMNS]);
                const REAL *source = registers + columns[SOURCE] * register_size;
                REAL *target = registers + columns[TARGET] * register_size;

                if (kind == READ) {
                    for (int read = columns[FIRST_READ];
                         read < columns[FIRST_READ] + columns[N_READS]; ++read) {
                        const int *of_read = reads + N_READ_COLUMNS * read;
                        const int pooling = of_read[POOLING];
                        const int step_i = columns[ROWS], step_j = columns[COLUMNS];
                        for (int s = of_read[FIRST_STATE]; s < STATES; ++s) {
                            REAL sum = 0;
                            each_strip(planes, [&](const Plane &plane, int i, int n, int j) {
                                if (pooling >= 0 && (magnitude(plane.di) > 2 * pooling ||
                                                     magnitude(plane.dj) > 2 * pooling))
                                    return;
                                const REAL *at = source + s * state_size + plane.at + j;
                                const REAL *of_rows = weights + of_read[ROW_WEIGHTS];
                                const REAL *of_columns = weights + of_read[COLUMN_WEIGHTS] +
                                                         plane.column_of_x(j) * step_j +
                                                         plane.column_of_y(j);
                                for (int r = i; r < i + n; ++r) {
                                    const REAL value = at[r * plane.pitch];
                                    sum += pooling <= 0 ? value
                                                        : value * *of_columns *
                                                              of_rows[plane.row_of_x(r) * step_i +
                                                                      plane.row_of_y(r)];
                                }
                            });
                            sum = sum_of_lanes(sum);
                            if (lane == 0) sums[warp * n_sums + read * STATES + s] += sum;
                        }
                    }
                    continue;
                }

                const int at_numbers = 2 * columns[LINEAR];
                const REAL first = x_number[at_numbers] * y_number[at_numbers];
                const REAL second = x_number[at_numbers + 1] * y_number[at_numbers + 1];
                const bool zero = planes[0].rows && planes[0].di == 0 && planes[0].dj == 0;

                if (kind == ADD) {
                    const REAL *other = registers + columns[OTHER] * register_size;
                    each_strip(planes, [&](const Plane &plane, int i, int n, int j) {
                        for (int r = i; r < i + n; ++r) {
                            const int at = plane.at + r * plane.pitch + j;
                            for (int s = 0; s < STATES; ++s)
                                target[s * state_size + at] = source[s * state_size + at] * first +
                                                              other[s * state_size + at] * second;
                            if (RECORD && zero)
                                variances[x * variance_pixels + columns[VARIANCES] +
                                          r * columns[COLUMNS] + j] = target[at];
                        }
                    });
                    continue;
                }

                if (kind == CONV) {
                    // Fused with the activation after it, unless its input is kept.
                    const int *behind = columns + N_OPERATION_COLUMNS;
                    const bool fused = !RECORD && columns[N_FUSED] == 1 && o + 1 < last &&
                                       behind[TARGET] == columns[TARGET];
                    place_planes(planes, own_planes, n_planes,
                                 columns[ROW_STRIDE] * columns[ROW_STEP],
                                 columns[COLUMN_STRIDE] * columns[COLUMN_STEP],
                                 columns[ROWS_AFTER], columns[COLUMNS_AFTER]);
                    // As they are in the source.
                    Plane sources[GROUP];
#pragma unroll 1
                    for (int k = 0; k < GROUP; ++k) sources[k] = planes[k];
                    place_planes(sources, own_planes, n_planes, columns[ROW_STRIDE],
                                 columns[COLUMN_STRIDE], columns[ROWS], columns[COLUMNS]);
                    const bool simple = columns[SIMPLE] && columns[ROW_STEP] == 1 &&
                                        !columns[CIRCULAR];
                    const int *is_trained = trained + columns[NUMBER] * N_THETA;
                    const int behind_numbers = 2 * behind[LINEAR] + 1;
                    const bool exact = twins && zero;
                    Operation operation;
                    if (fused)
                        operation = operation_of(
                            behind[KIND], behind[NORMALISED], coefs + SLOTS * (o + 1), exact,
                            x_number[behind_numbers] * y_number[behind_numbers]);
                    each_strip(planes, [&](const Plane &plane, int i, int n, int j) {
                        const Plane &from = GROUP == 1 ? sources[0] : sources[&plane - planes];
                        REAL entries[STATES][STRIP];
#pragma unroll
                        for (int s = 0; s < STATES; ++s) {
                            const REAL *state = source + (columns[OF_PIXELS] ? 0 : s * state_size);
                            if (simple) {
                                box_3x3(entries[s], state, from, i, j);
                            } else {
#pragma unroll
                                for (int r = 0; r < STRIP; ++r)
                                    if (r < n)
                                        entries[s][r] = box(state, sources, from, i + r, j,
                                                            columns, column_groups);
                            }
                        }
                        const int n_numbers = table_numbers(behind[KIND]);
#pragma unroll
                        for (int r = 0; r < STRIP; ++r) {
                            if (r >= n) break;
                            REAL states[STATES];
#pragma unroll
                            for (int s = 0; s < STATES; ++s) {
                                states[s] = entries[s][r] + second;
                                // The sum is Theta + Sigma where the layer is frozen, else Theta.
                                const bool trained_too = s > 0 && is_trained[s - 1];
                                if (s > 0 && trained_too != fused)
                                    states[s] += trained_too ? states[0] : -states[0];
                            }
                            if (fused)
                                apply(states, operation,
                                      numbers_at(x_table + behind[TABLE], n_numbers,
                                                 plane.pixel_of_x(i + r, j, behind[COLUMNS])),
                                      numbers_at(y_table + behind[TABLE], n_numbers,
                                                 plane.pixel_of_y(i + r, j, behind[COLUMNS])));
                            const int at = plane.at + (i + r) * plane.pitch + j;
#pragma unroll
                            for (int s = 0; s < STATES; ++s) target[s * state_size + at] = states[s];
                        }
                    });
                    o += fused;
                    continue;
                }

                const int n_numbers = table_numbers(kind);
                if (RECORD && zero) {
                    const double unit = x_number[at_numbers];
                    each_strip(planes, [&](const Plane &plane, int i, int n, int j) {
                        for (int r = i; r < i + n; ++r) {
                            const int pixel = r * columns[COLUMNS] + j;
                            const double entry = source[plane.at + r * plane.pitch + j];
                            const double variance = entry * unit * unit;
                            variances[x * variance_pixels + columns[VARIANCES] + pixel] = variance;
                            fill_entry(kind, columns[NORMALISED], variance, unit, 1.0, smallest,
                                       x_table + columns[TABLE] + n_numbers * pixel);
                        }
                    });
                    __syncthreads();
                }
                const Operation operation =
                    operation_of(kind, columns[NORMALISED], coefs + SLOTS * o, twins && zero,
                                 second);
                each_strip(planes, [&](const Plane &plane, int i, int n, int j) {
                    for (int r = i; r < i + n; ++r) {
                        const int at = plane.at + r * plane.pitch + j;
                        REAL states[STATES];
#pragma unroll
                        for (int s = 0; s < STATES; ++s) {
                            states[s] = source[s * state_size + at];
                            if (s > 0) states[s] -= states[0];
                        }
                        apply(states, operation,
                              numbers_at(x_table + columns[TABLE], n_numbers,
                                         plane.pixel_of_x(r, j, columns[COLUMNS])),
                              numbers_at(y_table + columns[TABLE], n_numbers,
                                         plane.pixel_of_y(r, j, columns[COLUMNS])));
#pragma unroll
                        for (int s = 0; s < STATES; ++s) target[s * state_size + at] = states[s];
                    }
                });
            }

            if (visit[0] + 1 < n_stages) {
                place_planes(planes, own_planes, n_planes, stage[END_ROW_STRIDE],
                             stage[END_COLUMN_STRIDE], stage[END_ROWS], stage[END_COLUMNS]);
#pragma unroll 1
                for (int k = 0; k < GROUP; ++k) {
                    if (k >= n_planes) continue;
                    __syncthreads();  // planes of a group may be added to one
                    pool(registers + stage[END_REGISTER] * register_size, state_size, planes[k],
                         own_planes + 7 * k + 3, stage, waiting);
                }
            }
        }
        write_sums(sums, n_sums, pair, n_pairs, results);
        __syncthreads();  // before the next pair's sums begin
    }
}
