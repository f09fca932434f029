// Displacement planes through all layers on a GPU; see `passes.py` for the launches.
//
// Neither the box sum nor kappa changes the displacement (Di, Dj) of an entry of Sigma or Theta,
// so each displacement is a plane that runs through all layers on its own.  Displacements are
// taken modulo the image: pixel (i, j) of x meets pixel ((i + Di) mod P, (j + Dj) mod Q) of y.
// That puts two planes, Di and Di - P, into the rows of one (and so with the columns), together
// exactly P x Q entries, so no lane idles; they never mix, because the box sum breaks at the wrap.
//
// A plane keeps K and U *before* the box sum, so the first box is that of the pixels' covariance
// and the last layer has none.  Numbers are gauged as in scales.py.
//
// The loader puts these constants in front of the source:
//
//   REAL           float or double; REAL_IS_DOUBLE in the second case
//   ROWS, COLUMNS  P and Q
//   RADIUS         of the filter, (q - 1) / 2
//   N_THETA        how many Theta run beside Sigma
//   SUMS_K         1 if the sums of K are wanted
//   WEIGHTED       1 for the weights of local average pooling, 0 for plain sums
//   WARPS          warps of a block
//   MIN_BLOCKS     blocks that a multiprocessor should hold: bounds the registers
//   STAGED         1 if the tables pass through shared memory
//   P_TERMS, P_COEFFICIENTS, R_TERMS, R_COEFFICIENTS    polynomials of dual_activations.py
//   KERNEL_...     the kernel to compile
//
// Two runs give identical bits: every sum has one order, and there are no atomics.

#define EVERY_LANE 0xffffffffu
#define INLINE static __device__ __forceinline__
// Of doubles, but aligned as the largest pieces that are copied there.
#define SHARED_MEMORY extern __shared__ __align__(16) double shared_memory[]

constexpr int LANES = 32;
constexpr int THREADS = LANES * WARPS;
constexpr int PIXELS = ROWS * COLUMNS;
constexpr int STATES = 1 + N_THETA;            // K, then each U
constexpr int FIRST_SUM = SUMS_K ? 0 : 1;      // the first state whose sums are wanted
constexpr int SUMS = STATES - FIRST_SUM;
constexpr int ROW_REACH = RADIUS < ROWS ? RADIUS : ROWS - 1;
constexpr int COLUMN_REACH = RADIUS < COLUMNS ? RADIUS : COLUMNS - 1;
constexpr int PLANES = COLUMNS < LANES ? LANES / COLUMNS : 1;  // planes that fit in a warp
// At least one element, as C++ wants it.
constexpr int ROW_RING = ROW_REACH > 0 ? ROW_REACH : 1;
constexpr int COLUMN_RING = COLUMN_REACH > 0 ? COLUMN_REACH : 1;

// One entry of the tables of an image and layer: 1/s and s sqrt(factor), 0 where s is 0.
// Together, so that one load brings both.
struct alignas(2 * sizeof(REAL)) Scales {
    REAL inverse, scale;
};

// --- one entry ----------------------------------------------------------------------------------

INLINE float distance_to_one(float lam) {
#ifdef __CUDA_ARCH__
    // One instruction; of __saturatef(1 - fabsf(lam)) the compiler makes three.
    float u;
    asm("{ .reg .f32 a; abs.f32 a, %1; sub.ftz.sat.f32 %0, 0f3f800000, a; }" : "=f"(u) : "f"(lam));
    return u;
#else
    return fminf(fmaxf(1.0f - fabsf(lam), 0.0f), 1.0f);
#endif
}
// |lam| exceeds 1 by rounding only, where a distance is as good as 0; it is kept off 0 for root().
INLINE double distance_to_one(double lam) { return fabs(1.0 - fabs(lam)) + 1e-40; }

INLINE float root(float u) { return sqrtf(u); }
INLINE double root(double u) {
#ifdef __CUDA_ARCH__
    // Two Newton steps from an estimate of 1/sqrt(u): without the branches of sqrt() for numbers
    // that do not occur here, and exact but for the last place.
    double half, value;
    asm("rsqrt.approx.ftz.f64 %0, %1;" : "=d"(half) : "d"(u));
    value = u * half;
    half *= 0.5;
    const double error = fma(-value, half, 0.5);
    value = fma(value, error, value);
    half = fma(half, error, half);
    return fma(fma(-value, value, u), half, value);
#else
    return sqrt(u);
#endif
}

INLINE float positive_part(float lam) { return fmaxf(lam, 0.0f); }
INLINE double positive_part(double lam) { return lam < 0 ? 0.0 : lam; }

template <int TERMS>
INLINE REAL polynomial(const REAL (&terms)[TERMS], REAL u) {
    REAL value = terms[TERMS - 1];
#pragma unroll
    for (int k = TERMS - 2; k >= 0; --k) value = value * u + terms[k];
    return value;
}

// Coefficients are operands of the instructions and take no registers: an instruction can hold a
// float, but refers to constant memory for a double.
#ifdef REAL_IS_DOUBLE
__constant__ const REAL p_terms[P_TERMS] = P_COEFFICIENTS;
__constant__ const REAL r_terms[R_TERMS] = R_COEFFICIENTS;
#endif

// Replace the box sums of an entry's states by K and U, with polynomials for the arc cosine: see
// dual_activations.py.
INLINE void activate(REAL (&states)[STATES], Scales x, Scales y, REAL factor) {
#ifndef REAL_IS_DOUBLE
    constexpr REAL p_terms[P_TERMS] = P_COEFFICIENTS;
    constexpr REAL r_terms[R_TERMS] = R_COEFFICIENTS;
#endif
    const REAL lam = states[0] * (x.inverse * y.inverse);
    const REAL u = distance_to_one(lam);
    const REAL v = root(u);
    const REAL k = (v * u * polynomial(r_terms, u) + positive_part(lam)) * (x.scale * y.scale);
    states[0] = k;
    if (N_THETA > 0) {
        const REAL t = v * factor * polynomial(p_terms, u);
        const REAL kappa0 = lam < 0 ? t : factor - t;
#pragma unroll
        for (int s = 1; s < STATES; ++s) states[s] = kappa0 * states[s] + k;
    }
}

// Add to a sum under a condition that all states share.  As a factor, which takes an instruction
// less; of doubles it would take registers that are short.
INLINE void add_unless(bool condition, float value, float &sum) { sum += (condition ? 0 : 1) * value; }
INLINE void add_unless(bool condition, double value, double &sum) {
    if (!condition) sum += value;
}

// Whether a plane ends between the positions a < b of an axis; the next one starts at `wrap`.
INLINE bool crosses(int a, int b, int wrap) { return unsigned(wrap - a - 1) < unsigned(b - a); }

// The images of a pair: as listed, or without a list all of x with all of y, row by row.
struct Pair {
    int x, y;
};
INLINE Pair pair_at(const int *pairs, int n_y, int k) {
    if (pairs) return {pairs[2 * (long long)k], pairs[2 * (long long)k + 1]};
    return {k / n_y, k % n_y};
}

// --- kernels with the state in registers: a lane is a column ------------------------------------

#if defined(KERNEL_SWEEP) || defined(KERNEL_TRACE)

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

// The covariances of the pixels, K and U of the input layer.  A Theta starts as K or, where the
// first layer is frozen, as 0: a bit of `theta_starts` for each.
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
// Rows are summed first: then the warp exchanges one number a row and neighbour, not one an entry
// of the box.  Rows above, overwritten already, are kept in `above`.
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
            if (s >= FIRST_SUM) sums[s - FIRST_SUM] += weight * entry[s];
        }
    }
}

#endif

#ifdef KERNEL_SWEEP

// What a thread copies at once: 16 bytes, if planes are aligned to them.
struct OneScale {
    REAL values[2];
};
struct alignas(16) SixteenBytes {
    double values[2];
};
template <bool ALIGNED>
struct Choice {
    typedef OneScale Type;
};
template <>
struct Choice<true> {
    typedef SixteenBytes Type;
};
typedef Choice<PIXELS * sizeof(Scales) % 16 == 0>::Type Piece;

// From sm_80 on copies are asynchronous: the tables of the next layer come behind the arithmetic of
// this one.  The tests' host has copies of its own.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
INLINE void copy_piece(Piece *target, const Piece *source) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(
                     (unsigned)__cvta_generic_to_shared(target)),
                 "l"(source), "n"(sizeof(Piece))
                 : "memory");
}
INLINE void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#elif defined(__CUDA_ARCH__)
INLINE void copy_piece(Piece *target, const Piece *source) { *target = *source; }
INLINE void wait_for_copies() {}
#endif

// Copy the tables of one layer of an image to shared memory.
INLINE void copy_plane(Scales *target, const Scales *source) {
    constexpr int PIECES = PIXELS * sizeof(Scales) / sizeof(Piece);
    Piece *to = reinterpret_cast<Piece *>(target) + threadIdx.x;
    const Piece *from = reinterpret_cast<const Piece *>(source) + threadIdx.x;
#ifdef REAL_IS_DOUBLE  // unrolled, it would take registers that are short
#pragma unroll 1
#else
#pragma unroll
#endif
    for (int k = 0; k < PIECES; k += THREADS)
        if (k + THREADS <= PIECES || k + threadIdx.x < PIECES) copy_piece(to + k, from + k);
}

INLINE void finish_copies() {
    wait_for_copies();
    __syncthreads();
}

// GAP and local average pooling.  A block carries one pair of images: each warp takes PLANES
// displacements through all layers, and then the next ones.  Shared memory: the sums of each warp
// (warp, sum, slot), then the tables of x and y, of all layers or else of this layer and the next.
//
//   x_pixels (image, channel, P, Q), x_tables (image, table_layers, P, Q), x_ids (image): as of y
//   layers (n_layers): the factor of each
//   slots (n_layers): where the sums of a layer go, -1 where nobody reads them
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
          int theta_starts, const int *pairs, int n_y, int n_pairs, const int *displacements, int n_displacements,
          const REAL *row_weights, const REAL *column_weights, int resident, double *results) {
    SHARED_MEMORY;
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    const long long pair = blockIdx.x;
    const Pair images = pair_at(pairs, n_y, pair);
    const long long x = images.x, y = images.y;
    const bool twins = x_ids[x] == y_ids[y];
    const int plane = lane / COLUMNS, j = lane % COLUMNS;
    x_pixels += x * n_channels * PIXELS;
    y_pixels += y * n_channels * PIXELS;
    x_tables += x * table_layers * PIXELS;
    y_tables += y * table_layers * PIXELS;

    double *warp_sums = shared_memory + warp * SUMS * n_slots;
    for (int k = lane; k < SUMS * n_slots; k += LANES) warp_sums[k] = 0;
    __syncwarp();
    // Scales of doubles are aligned to 16 bytes.
    Scales *tables = reinterpret_cast<Scales *>(shared_memory + (WARPS * SUMS * n_slots + 1) / 2 * 2);
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
        const int d = first + warp * PLANES + plane;
        const bool active = plane < PLANES && d < n_displacements && !(twins && d == 0);
        const int di = active ? displacements[2 * d] : 0;
        const int dj = active ? displacements[2 * d + 1] : 0;
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
#pragma unroll
            for (int s = 0; s < SUMS; ++s) {
                REAL sum = active ? column_weight * sums[s] : REAL(0);
#pragma unroll
                for (int offset = LANES / 2; offset > 0; offset /= 2)
                    sum += __shfl_down_sync(EVERY_LANE, sum, offset);
                if (lane == 0) warp_sums[s * n_slots + slot] += sum;
            }
        }
    }

    if (STAGED && !resident) finish_copies();
    __syncthreads();
    for (int k = threadIdx.x; k < SUMS * n_slots; k += THREADS) {
        double sum = 0;
        for (int w = 0; w < WARPS; ++w) sum += shared_memory[w * SUMS * n_slots + k];
        results[k * (long long)n_pairs + pair] = sum;
    }
}

#endif

#ifdef KERNEL_TRACE

// The trace: displacement (0, 0) only.  A warp carries PLANES pairs; equal ids are left out.
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    trace(const REAL *x_pixels, const REAL *y_pixels, const Scales *x_tables,
          const Scales *y_tables, const int *x_ids, const int *y_ids, const REAL *layers,
          const int *slots, int table_layers, int n_layers, int n_slots, int n_channels,
          int theta_starts, const int *pairs, int n_y, int n_pairs, double *results) {
    const int warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    const int plane = lane / COLUMNS, j = lane % COLUMNS;
    const long long pair = ((long long)blockIdx.x * WARPS + warp) * PLANES + plane;
    const bool inside = plane < PLANES && pair < n_pairs;
    // Idle lanes take part in the exchanges of their warp: any pair will do.
    const Pair images = pair_at(pairs, n_y, inside ? pair : 0);
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
#pragma unroll
        for (int s = 0; s < SUMS; ++s) {
            REAL sum = sums[s];
#pragma unroll
            for (int offset = LANES / 2; offset > 0; offset /= 2) {
                const REAL other = __shfl_down_sync(EVERY_LANE, sum, offset);
                // Lanes at the end of a plane see the next one; what they hold is read by nobody.
                if (offset < COLUMNS) sum += j + offset < COLUMNS ? other : REAL(0);
            }
            if (inside && j == 0)
                results[(s * (long long)n_slots + slot) * n_pairs + pair] = twins ? 0 : sum;
        }
    }
}

#endif

// --- planes that do not fit in registers --------------------------------------------------------

#ifdef KERNEL_PLANES

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
           int theta_starts, const int *pairs, int n_y, int n_pairs, const int *displacements, int n_displacements,
           const REAL *row_weights, const REAL *column_weights, REAL *global_planes,
           double *results) {
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
            __syncthreads();  // before the next plane takes the place of this one
        }
    }
}

#endif

// --- tables -------------------------------------------------------------------------------------

#ifdef KERNEL_TABLES

// Fill tables (image, layer, P, Q) of n images from their pixels, a block an image: D of the
// first layer is the box sum of the pixels' energies, that of the next box(D) times the factor.
// `planes` (block, 2, P, Q) takes D and its sums over rows if shared memory is too small.
extern "C" __global__ void __launch_bounds__(THREADS)
    tables(const REAL *pixels, int n_channels, const double *factors, int n_layers,
           double smallest, double *global_planes, Scales *results, int n_images) {
    SHARED_MEMORY;
    double *diagonal = global_planes ? global_planes + (long long)blockIdx.x * 2 * PIXELS
                                     : shared_memory;
    double *row_sums = diagonal + PIXELS;
    for (long long image = blockIdx.x; image < n_images; image += gridDim.x) {
        __syncthreads();
        for (int k = threadIdx.x; k < PIXELS; k += THREADS) {
            double energy = 0;
            for (int c = 0; c < n_channels; ++c) {
                const double pixel = pixels[(image * n_channels + c) * PIXELS + k];
                energy += pixel * pixel;
            }
            diagonal[k] = energy;
        }
        for (int layer = 0; layer < n_layers; ++layer) {
            __syncthreads();
            for (int k = threadIdx.x; k < PIXELS; k += THREADS) {
                const int i = k / COLUMNS;
                double sum = diagonal[k];
                for (int a = 1; a <= ROW_REACH; ++a) {
                    if (i >= a) sum += diagonal[k - a * COLUMNS];
                    if (i + a < ROWS) sum += diagonal[k + a * COLUMNS];
                }
                row_sums[k] = sum;
            }
            __syncthreads();
            const double factor = factors[layer], root_factor = sqrt(factor);
            for (int k = threadIdx.x; k < PIXELS; k += THREADS) {
                const int j = k % COLUMNS;
                double sum = row_sums[k];
                for (int a = 1; a <= COLUMN_REACH; ++a) {
                    if (j >= a) sum += row_sums[k - a];
                    if (j + a < COLUMNS) sum += row_sums[k + a];
                }
                const double s = sqrt(sum);
                const bool visible = s > smallest;
                Scales scales;
                scales.inverse = visible ? REAL(1 / s) : REAL(0);
                scales.scale = visible ? REAL(s * root_factor) : REAL(0);
                results[(image * n_layers + layer) * PIXELS + k] = scales;
                diagonal[k] = sum * factor;
            }
        }
    }
}

#endif
