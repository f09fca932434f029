// Sums of planes by the warps of a block: for the kernels of GAP.

// Shared memory begins with the sums of each warp (warp, sum, slot); tables follow, aligned.
INLINE double *sums_of_warp(double *shared, int warp, int lane, int n_slots) {
    double *sums = shared + warp * SUMS * n_slots;
    for (int k = lane; k < SUMS * n_slots; k += LANES) sums[k] = 0;
    __syncwarp();
    return sums;
}
// A pointer to them, returned by a function, would cost registers.
INLINE int size_of_sums(int n_slots) { return (WARPS * SUMS * n_slots + 1) / 2 * 2; }
