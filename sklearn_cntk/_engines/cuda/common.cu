// What all kernels share: constants, and how displacements and pairs are counted.
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
// source.py puts these constants in front of the files of a kernel:
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
//   SECOND_ROOT, ONE_TABLE, LATE_SUMS, STRIP    see variants.py
//   P_TERMS, P_COEFFICIENTS, R_TERMS, R_COEFFICIENTS    polynomials of dual_activations.py
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
