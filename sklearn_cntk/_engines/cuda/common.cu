// What the kernels of plain networks share: constants, and how displacements are counted.
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
// Their constants, beside those of threads.cu:
//
//   ROWS, COLUMNS  P and Q
//   RADIUS         of the filter, (q - 1) / 2
//   SUMS_K         1 if the sums of K are wanted
//   WEIGHTED       1 for the weights of local average pooling, 0 for plain sums
//   STAGED         1 if the tables pass through shared memory
//   SECOND_ROOT, ONE_TABLE, LATE_SUMS, STRIP    see variants.py

constexpr int PIXELS = ROWS * COLUMNS;
constexpr int FIRST_SUM = SUMS_K ? 0 : 1;      // the first state whose sums are wanted
constexpr int SUMS = STATES - FIRST_SUM;
constexpr int ROW_REACH = RADIUS < ROWS ? RADIUS : ROWS - 1;
constexpr int COLUMN_REACH = RADIUS < COLUMNS ? RADIUS : COLUMNS - 1;
constexpr int PLANES = COLUMNS < LANES ? LANES / COLUMNS : 1;  // planes that fit in a warp
// At least one element, as C++ requires.
constexpr int ROW_RING = ROW_REACH > 0 ? ROW_REACH : 1;
constexpr int COLUMN_RING = COLUMN_REACH > 0 ? COLUMN_REACH : 1;

// Whether a plane ends between the positions a < b of an axis; the next one starts at `wrap`.
INLINE bool crosses(int a, int b, int wrap) { return unsigned(wrap - a - 1) < unsigned(b - a); }
