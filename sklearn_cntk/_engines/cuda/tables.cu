// The tables of scales of each image.

// Fill tables (image, layer, P, Q) of n images from their pixels, one block per image: D of the
// first layer is the box sum of the pixels' energies, that of the next box(D) times the factor.
// `planes` (block, 2, P, Q) holds D and its sums over rows if shared memory is too small.
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
            const double factor = factors[layer];
            for (int k = threadIdx.x; k < PIXELS; k += THREADS) {
                const int j = k % COLUMNS;
                double sum = row_sums[k];
                for (int a = 1; a <= COLUMN_REACH; ++a) {
                    if (j >= a) sum += row_sums[k - a];
                    if (j + a < COLUMNS) sum += row_sums[k + a];
                }
                results[(image * n_layers + layer) * PIXELS + k] =
                    scales_of(sqrt(sum), factor, smallest);
                diagonal[k] = sum * factor;
            }
        }
    }
}
