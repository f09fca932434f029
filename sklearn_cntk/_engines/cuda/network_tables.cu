// The tables of images for networks of any layers, from their variances.

// Fill tables (image, table_pixels) of n images from variances (image, variance_pixels), with one
// block per image.  `units` (image, operation, 2) are those of an operation's input and output.
extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS)
    network_tables(const int *operations, int n_operations, const double *units,
                   const double *variances, int variance_pixels, double smallest, REAL *tables,
                   int table_pixels, int n_images) {
    for (long long image = blockIdx.x; image < n_images; image += gridDim.x)
        for (int o = 0; o < n_operations; ++o) {
            const int *columns = operations + N_OPERATION_COLUMNS * o;
            const int n_numbers = table_numbers(columns[KIND]);
            if (n_numbers == 0) continue;
            const int map = columns[ROWS] * columns[COLUMNS];
            const double *own = units + 2 * (image * n_operations + o);
            const double *from = variances + image * variance_pixels + columns[VARIANCES];
            REAL *to = tables + image * table_pixels + columns[TABLE];
            for (int k = threadIdx.x; k < map; k += THREADS)
                fill_entry(columns[KIND], columns[NORMALISED], from[k], own[0], own[1], smallest,
                           to + n_numbers * k);
        }
}
