// What all kernels share: lanes and threads, and how pairs are counted.
//
// source.py puts constants in front of the files of a kernel:
//
//   REAL           float or double; REAL_IS_DOUBLE in the second case
//   N_THETA        how many Theta are carried along with Sigma
//   WARPS          warps of a block
//   MIN_BLOCKS     blocks that a multiprocessor should hold: bounds the registers
//   P_TERMS, P_COEFFICIENTS, R_TERMS, R_COEFFICIENTS    polynomials of dual_activations.py
//
// Two runs give identical bits: every sum has one order, and there are no atomics.

#define EVERY_LANE 0xffffffffu
#define INLINE static __device__ __forceinline__
// Of doubles, but aligned as the largest pieces that are copied there.
#define SHARED_MEMORY extern __shared__ __align__(16) double shared_memory[]

constexpr int LANES = 32;
constexpr int THREADS = LANES * WARPS;
constexpr int STATES = 1 + N_THETA;            // K, then each U

// The images of a pair: as listed, or without a list all of x with all of y, row by row.
struct Pair {
    int x, y;
};
INLINE Pair pair_at(const int *pairs, int n_y, int k) {
    if (pairs) return {pairs[2 * (long long)k], pairs[2 * (long long)k + 1]};
    return {k / n_y, k % n_y};
}

// The sum over a warp, for its first lane.
INLINE REAL sum_of_lanes(REAL sum) {
#pragma unroll
    for (int offset = LANES / 2; offset > 0; offset /= 2)
        sum += __shfl_down_sync(EVERY_LANE, sum, offset);
    return sum;
}

// Write the sums of a pair over the block's warps, (warp, sum), to results (sum, pair), once all
// warps have theirs.
INLINE void write_sums(const double *sums, int n_sums, long long pair, int n_pairs,
                       double *results) {
    __syncthreads();
    for (int k = threadIdx.x; k < n_sums; k += THREADS) {
        double sum = 0;
        for (int w = 0; w < WARPS; ++w) sum += sums[w * n_sums + k];
        results[k * (long long)n_pairs + pair] = sum;
    }
}
