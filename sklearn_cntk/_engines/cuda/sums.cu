// Sums of planes, of the lanes of a warp and of the warps of a block: for the kernels of GAP.

// Shared memory begins with the sums of each warp (warp, sum, slot); tables follow, aligned.
INLINE double *sums_of_warp(double *shared, int warp, int lane, int n_slots) {
    double *sums = shared + warp * SUMS * n_slots;
    for (int k = lane; k < SUMS * n_slots; k += LANES) sums[k] = 0;
    __syncwarp();
    return sums;
}
// A pointer to them that a function returned would cost registers.
INLINE int size_of_sums(int n_slots) { return (WARPS * SUMS * n_slots + 1) / 2 * 2; }

// Write the sums over the block to results (sum, n_slots, n_pairs), once all warps have theirs.
INLINE void write_sums(const double *shared, int n_slots, long long pair, int n_pairs,
                       double *results) {
    __syncthreads();
    for (int k = threadIdx.x; k < SUMS * n_slots; k += THREADS) {
        double sum = 0;
        for (int w = 0; w < WARPS; ++w) sum += shared[w * SUMS * n_slots + k];
        results[k * (long long)n_pairs + pair] = sum;
    }
}
