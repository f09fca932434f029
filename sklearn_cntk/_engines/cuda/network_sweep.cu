// Stacks of convolutions, activations and pools: planes run through the layers between two pools in
// the registers of warps, with one column per lane, as in `sweep`: displacements are taken modulo
// the map, so that up to four planes fill one exactly.
//
// A block handles one pair, one row displacement after the other: its warps take all column
// displacements of one.  Then they add their planes to coarse planes, which wait in shared memory,
// and pass coarse rows that are complete through the next stage.  Modulo the rows, D is computed
// from the fine rows p D - (p - 1) to p D + p - 1: so two coarse rows wait at a time, alternating
// between two places, and D = 0 has its own place throughout, since it needs the last fine rows too.
//
// Entries are added to the same sum if they pair pixels of one window of x with pixels of one window
// of y.  So the warps add in phases, one for each position in the windows of x's column and of y's:
// in a phase no two lanes of the block have the same target, and the order of every sum is fixed.
//
// What depends on the network only, stacks.py compiles in, so that the compiler knows where the
// lanes of a warp do not diverge.  Constants in addition to those of threads.cu: N_STAGES, MAP_ROWS
// and MAP_COLUMNS of each stage and 1 for one more, POOL_ROWS and POOL_COLUMNS after each, which
// divide them; N_CHANNELS, N_SUMS, N_NUMBERS, TABLE_PIXELS and N_WAITING; BIASES, 1 if there are
// any; PIXELS_INSIDE, 1 if pixels are in shared memory; and the arrays below.  Filters are 3 x 3,
// padded with zeros, with strides of 1.

constexpr int map_rows[] = MAP_ROWS, map_columns[] = MAP_COLUMNS;
constexpr int pool_rows[] = POOL_ROWS, pool_columns[] = POOL_COLUMNS;

struct StageOf {
    int first_layer, n_layers, first_read, n_reads;  // reads at its beginning
    int first_row, n_rows, first_dj, n_dj;
    int first_round, first_place, waiting;  // in `phases` and `places`; where its planes wait
};
struct Layer {
    int bias, unit;  // numbers of its convolution and its activation
    int kind, table, coefs;
    int first_read, n_reads;  // behind it
};
struct RowOf {
    int di;
    int needed;          // 1 + its layers that are needed, and 1 more if it is pooled
    int place;           // where it waits
    int near, far;       // where it is pooled into: di / p, and the next one; -1 for nowhere
    int complete, also;  // rows of the next stage that are complete then, or -1
};
struct ColumnOf {
    int dj, needed;
};
struct ReadOf {
    int pooling, row_weights, column_weights, first_state;
};
constexpr StageOf stages[] = STAGES;
__constant__ const Layer layers[] = LAYERS;
__constant__ const int is_trained[] = TRAINED;  // (layer, Theta)
__constant__ const RowOf rows[] = ROW_DISPLACEMENTS;
__constant__ const ColumnOf columns[] = COLUMN_DISPLACEMENTS;
__constant__ const int phases[] = PHASES;  // of each round of dj, a mask
__constant__ const int places[] = PLACES;  // of each dj, where it waits; -1 for nowhere
__constant__ const ReadOf reads[] = READS;
__constant__ const REAL coefs[] = COEFS;

// Shared memory: sums (warp, read, state) in double precision; two numbers of each operation, of
// both images together; tables and pixels of x and of y; and planes that wait.
constexpr int NUMBERS_AT = WARPS * N_SUMS * (sizeof(double) / sizeof(REAL));
constexpr int TWINS_AT = NUMBERS_AT + N_NUMBERS;  // and 1 if the images are equal
// Even, for two numbers are read at once.
constexpr int TABLES_AT = (TWINS_AT + 2) / 2 * 2;
constexpr int PIXELS_AT = TABLES_AT + 2 * TABLE_PIXELS;
constexpr int CHANNELS_SIZE = N_CHANNELS * map_rows[0] * map_columns[0];
constexpr int PLANES_AT = PIXELS_AT + (PIXELS_INSIDE ? 2 * CHANNELS_SIZE : 0);
// The arrays in global memory.
struct Outside {
    const REAL *weights, *x_pixels, *y_pixels;
};
INLINE double *doubles() {
    SHARED_MEMORY;
    return shared_memory;
}
INLINE REAL *reals() { return reinterpret_cast<REAL *>(doubles()); }

INLINE int lane_index() { return threadIdx.x % LANES; }
INLINE int warp_index() { return threadIdx.x / LANES; }

template <int S>
struct Map {
    static constexpr int ROWS_ = map_rows[S], COLUMNS_ = map_columns[S], PIXELS = ROWS_ * COLUMNS_;
    static constexpr int PLANES = COLUMNS_ < LANES ? LANES / COLUMNS_ : 1;
    static constexpr int STATE_SIZE = stages[S].n_dj * PIXELS;  // of a row that waits
    typedef REAL State[STATES][ROWS_];
};

// Where a lane sits: column j of x meets column y of y, and rows from `wrap` on those of another
// plane.  Lanes that are left over repeat the last column of their warp.
struct Seat {
    int di, dj, j, y, wrap;
    int needed;        // as of rows; 0 of lanes that are left over
    REAL left, right;  // 1 if the neighbour is of the same plane
};

template <int S>
INLINE Seat seat_of(const RowOf &row, int first) {
    typedef Map<S> M;
    const int plane = lane_index() / M::COLUMNS_;
    const bool idle = plane >= M::PLANES;
    const int number = first + warp_index() * M::PLANES + (idle ? M::PLANES - 1 : plane);
    const bool active = !idle && number < stages[S].n_dj;
    const ColumnOf column = columns[stages[S].first_dj + (active ? number : 0)];
    Seat seat;
    seat.di = row.di;
    seat.dj = column.dj;
    seat.j = idle ? M::COLUMNS_ - 1 : lane_index() % M::COLUMNS_;
    const int wrap = M::COLUMNS_ - seat.dj;
    seat.y = seat.j < wrap ? seat.j + seat.dj : seat.j - wrap;
    seat.wrap = M::ROWS_ - seat.di;
    seat.left = seat.j > 0 && seat.j != wrap ? 1 : 0;
    seat.right = seat.j + 1 < M::COLUMNS_ && seat.j + 1 != wrap ? 1 : 0;
    seat.needed = !active ? 0 : row.needed < column.needed ? row.needed : column.needed;
    return seat;
}

// Where the column of a coarse plane begins among the planes that wait; -1 for nowhere.
template <int S>
INLINE int waiting_at(int place, int x, int y) {
    typedef Map<S> M;
    const int dj = y < x ? y - x + M::COLUMNS_ : y - x;
    const int column = places[stages[S].first_place + dj];
    if (place < 0 || column < 0) return -1;
    return PLANES_AT + stages[S].waiting + place * STATES * M::STATE_SIZE + column * M::PIXELS +
           x;
}

// Planes of the first stage are covariances of pixels, K and Theta + K alike.
template <int S>
struct Number {};
INLINE void begin(Number<0>, Map<0>::State &state, const RowOf &, const Seat &seat,
                  const Outside &outside) {
    typedef Map<0> M;
#pragma unroll
    for (int i = 0; i < M::ROWS_; ++i) state[0][i] = 0;
    const REAL *x = PIXELS_INSIDE ? reals() + PIXELS_AT : outside.x_pixels;
    const REAL *y = PIXELS_INSIDE ? reals() + PIXELS_AT + CHANNELS_SIZE : outside.y_pixels;
    x += seat.j;
    y += seat.di * M::COLUMNS_ + seat.y;
#pragma unroll 1
    for (int c = 0; c < N_CHANNELS; ++c) {
        const REAL *at_y = y;
#pragma unroll
        for (int i = 0; i < M::ROWS_; ++i) {
            if (i == seat.wrap) at_y -= M::PIXELS;
            state[0][i] += x[i * M::COLUMNS_] * at_y[i * M::COLUMNS_];
        }
        x += M::PIXELS;
        y += M::PIXELS;
    }
#pragma unroll
    for (int s = 1; s < STATES; ++s)
#pragma unroll
        for (int i = 0; i < M::ROWS_; ++i) state[s][i] = state[0][i];
}

// Planes of later stages have waited, and leave their place empty.
template <int S>
INLINE void begin(Number<S>, typename Map<S>::State &state, const RowOf &row, const Seat &seat,
                  const Outside &) {
    typedef Map<S> M;
    constexpr int window = pool_rows[S - 1] * pool_columns[S - 1];
    constexpr REAL share = REAL(1) / (window * window);
    const int at = waiting_at<S>(seat.needed ? row.place : -1, seat.j, seat.y);
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        REAL *entries = reals() + at + s * M::STATE_SIZE;
#pragma unroll
        for (int i = 0; i < M::ROWS_; ++i) {
            state[s][i] = 0;
            if (at < 0) continue;
            state[s][i] = entries[i * M::COLUMNS_] * share;
            entries[i * M::COLUMNS_] = 0;
        }
    }
}

// A number whose value is hidden from the compiler: otherwise it would compute values from it once
// for all layers, and keep them in registers, which are scarce.
INLINE int anew(int number) {
#ifdef __CUDA_ARCH__
    asm volatile("" : "+r"(number));
#endif
    return number;
}

// A convolution and the activation behind it; see `advance` in columns.cu.
template <int S>
INLINE void advance(typename Map<S>::State &state, int number, const Seat &seat) {
    typedef Map<S> M;
    const Layer layer = layers[number];
    const int wrap = anew(seat.wrap);
    const REAL offset = BIASES ? reals()[NUMBERS_AT + layer.bias] : REAL(0);
    const bool exact = reals()[TWINS_AT] != 0 && seat.di == 0 && seat.dj == 0;
    const Operation operation = operation_of(layer.kind, false, coefs + layer.coefs, exact,
                                             reals()[NUMBERS_AT + layer.unit]);
    const int n = TWO_NUMBERS ? 2 : table_numbers(layer.kind);
    const REAL *x = reals() + TABLES_AT + layer.table + n * seat.j;
    const REAL *y = reals() + TABLES_AT + TABLE_PIXELS + layer.table +
                    n * (seat.di * M::COLUMNS_ + seat.y);
    REAL frozen[STATES], above[STATES];
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        frozen[s] = s && !is_trained[number * N_THETA + s - 1] ? 1 : 0;
        above[s] = 0;
    }
#pragma unroll
    for (int i = 0; i < M::ROWS_; ++i) {
        if (i == wrap) y -= n * M::PIXELS;
        REAL entry[STATES];
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            REAL sum = state[s][i];
            if (i > 0) add_unless(i == wrap, above[s], sum);
            if (i + 1 < M::ROWS_)
                add_unless(i + 1 == wrap, state[s][i + 1 < M::ROWS_ ? i + 1 : i], sum);
            above[s] = state[s][i];
            entry[s] = BIASES ? sum + offset : sum;
            entry[s] += seat.left * __shfl_up_sync(EVERY_LANE, sum, 1);
            entry[s] += seat.right * __shfl_down_sync(EVERY_LANE, sum, 1);
            // The sum of Theta + K is the next Theta, and Theta + Sigma of a layer that is frozen.
            if (s > 0) entry[s] -= frozen[s] * entry[0];
        }
        apply(entry, operation, numbers_at(x, n, i * M::COLUMNS_), numbers_at(y, n, i * M::COLUMNS_));
#pragma unroll
        for (int s = 0; s < STATES; ++s) state[s][i] = entry[s];
    }
}

// Add planes to the sums that are read here.
template <int S>
INLINE void read(const typename Map<S>::State &state, int first, int n, const Seat &seat,
                 bool active, const REAL *weights) {
    typedef Map<S> M;
#pragma unroll 1
    for (int number = first; number < first + n; ++number) {
        const ReadOf of = reads[number];
        const int far = 2 * of.pooling;
        const int dj = seat.j + seat.dj < M::COLUMNS_ ? seat.dj : M::COLUMNS_ - seat.dj;
        const bool inside = active && (of.pooling < 0 || dj <= far);
        // Rows before the wrap, and behind it.
        const bool first_half = of.pooling < 0 || seat.di <= far;
        const bool second_half = of.pooling < 0 || M::ROWS_ - seat.di <= far;
        if (!first_half && !second_half) continue;
        REAL of_column = inside ? 1 : 0;
        if (inside && of.pooling > 0)
            of_column = weights[of.column_weights + seat.j * M::COLUMNS_ + seat.y];
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            if (s < of.first_state) continue;
            REAL sum = 0;
            if (of.pooling < 0) {
#pragma unroll
                for (int i = 0; i < M::ROWS_; ++i) sum += state[s][i];
            } else {
#pragma unroll
                for (int i = 0; i < M::ROWS_; ++i) {
                    const bool behind = i >= seat.wrap;
                    if (behind ? !second_half : !first_half) continue;
                    const int at = i * (M::ROWS_ + 1) + seat.di - (behind ? M::ROWS_ : 0);
                    sum += of.pooling > 0 ? state[s][i] * weights[of.row_weights + at]
                                          : state[s][i];
                }
            }
            sum = sum_of_lanes(of_column * sum);
            if (lane_index() == 0)
                doubles()[warp_index() * N_SUMS + number * STATES + s] += sum;
        }
    }
}

// Add a lane's column to coarse planes, windows of rows summed.
template <int S>
INLINE void pool(const typename Map<S>::State &state, const RowOf &row, const Seat &seat) {
    typedef Map<S> M;
    typedef Map<S + 1> N;
    constexpr int p = pool_rows[S], q = pool_columns[S];
    const int e = seat.di % p;  // so many of x's rows meet y's next window
    const int x = seat.j / q, y = seat.y / q;
    const int near = waiting_at<S + 1>(row.near, x, y);
    const int far = waiting_at<S + 1>(e ? row.far : -1, x, y);
#pragma unroll
    for (int i = 0; i < M::ROWS_ / p; ++i)
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            REAL of_near = 0, of_far = 0;
#pragma unroll
            for (int u = 0; u < p; ++u) {
                if (u < p - e)
                    of_near += state[s][i * p + u];
                else
                    of_far += state[s][i * p + u];
            }
            REAL *entry = reals() + s * N::STATE_SIZE + i * N::COLUMNS_;
            if (near >= 0) entry[near] += of_near;
            if (far >= 0) entry[far] += of_far;
        }
}

// The planes of a row displacement through a stage, and coarse rows that are complete then.
template <int S>
struct Rows {
    static __device__ __forceinline__ void run(int number, const Outside &outside) {
        typedef Map<S> M;
        constexpr bool pooled = S + 1 < N_STAGES;
        constexpr int q = pool_columns[S], n_layers = stages[S].n_layers;
        const RowOf row = rows[stages[S].first_row + number];
        int round = stages[S].first_round;
#pragma unroll 1
        for (int first = 0; first < stages[S].n_dj; first += WARPS * M::PLANES, ++round) {
            const Seat seat = seat_of<S>(row, first);
            typename M::State state;
            begin(Number<S>(), state, row, seat, outside);
            read<S>(state, stages[S].first_read, stages[S].n_reads, seat, seat.needed > 0,
                    outside.weights);
#pragma unroll 1
            for (int k = 0; k < n_layers && k + 1 < row.needed; ++k) {
                const Layer layer = layers[stages[S].first_layer + k];
                advance<S>(state, stages[S].first_layer + k, seat);
                read<S>(state, layer.first_read, layer.n_reads, seat, seat.needed > k + 1,
                        outside.weights);
            }
            if (!pooled) continue;
            const bool complete = seat.needed > n_layers + 1;
            const int own = seat.j % q * q + seat.y % q;
#pragma unroll 1
            for (int phase = 0; phase < q * q; ++phase) {
                if (!(phases[round] >> phase & 1)) continue;
                if (complete && own == phase) pool<S>(state, row, seat);
                __syncthreads();
            }
        }
        if (!pooled) return;
        // The row taken now makes room for the needed row after the next one; the barriers of the
        // next one are in between.
#pragma unroll 1
        for (int k = 0; k < 2; ++k) {
            const int coarse = k ? row.also : row.complete;
            if (coarse >= 0) Rows<S + 1>::run(coarse, outside);
        }
    }
};
template <>
struct Rows<N_STAGES> {
    static __device__ __forceinline__ void run(int, const Outside &) {}
};

//   x_pixels (image, channel, P, Q), x_tables (image, TABLE_PIXELS), x_numbers (image, N_NUMBERS),
//       x_ids (image): as of y
//   pairs (n_pairs, 2): the indices of x and y; null for all of x with all n_y of y
//   weights: those of reads of local average pooling
//   results (read, state, pair)
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    network_sweep(const REAL *x_pixels, const REAL *y_pixels, const REAL *x_tables,
                  const REAL *y_tables, const REAL *x_numbers, const REAL *y_numbers,
                  const int *x_ids, const int *y_ids, const int *pairs, int n_y, int n_pairs,
                  const REAL *weights, double *results) {
    double *sums = doubles();
    Outside outside;
    {
        const Pair images = pair_at(pairs, n_y, blockIdx.x);
        const long long x = images.x, y = images.y;
        REAL *numbers = reals() + NUMBERS_AT, *tables = reals() + TABLES_AT;
        REAL *pixels = reals() + PIXELS_AT;
        for (int k = threadIdx.x; k < WARPS * N_SUMS; k += THREADS) sums[k] = 0;
        for (int k = threadIdx.x; k < N_WAITING; k += THREADS) reals()[PLANES_AT + k] = 0;
        for (int k = threadIdx.x; k < N_NUMBERS; k += THREADS)
            numbers[k] = x_numbers[x * N_NUMBERS + k] * y_numbers[y * N_NUMBERS + k];
        for (int k = threadIdx.x; k < TABLE_PIXELS; k += THREADS) {
            tables[k] = x_tables[x * TABLE_PIXELS + k];
            tables[TABLE_PIXELS + k] = y_tables[y * TABLE_PIXELS + k];
        }
        outside = {weights, x_pixels + x * CHANNELS_SIZE, y_pixels + y * CHANNELS_SIZE};
        for (int k = threadIdx.x; PIXELS_INSIDE && k < CHANNELS_SIZE; k += THREADS) {
            pixels[k] = outside.x_pixels[k];
            pixels[CHANNELS_SIZE + k] = outside.y_pixels[k];
        }
        if (threadIdx.x == 0) reals()[TWINS_AT] = x_ids[x] == y_ids[y];
    }
    __syncthreads();
#pragma unroll 1
    for (int number = 0; number < stages[0].n_rows; ++number) Rows<0>::run(number, outside);

    write_sums(sums, N_SUMS, blockIdx.x, n_pairs, results);
}
