// One entry of a network's plane: activations and normalisation, applied to all states.
//
// What a state is, and the tables of an image: see network_sweep.py of the CPU engine and
// network_tables.py.  USES holds a bit for each kind of operation that the network has.

// How many numbers an operation has per pixel: they are contiguous.
INLINE int table_numbers(int kind) {
    return kind == RELU || kind == EXP ? 2 : kind == GELU ? 3 : kind == ERF || kind == NORM ? 1 : 0;
}

// The numbers of a pixel.
struct Numbers {
    REAL values[3];
};
// Two in one load, if all operations have two.
constexpr bool TWO_NUMBERS = !(USES & (1 << ERF | 1 << GELU | 1 << NORM));
struct alignas(2 * sizeof(REAL)) TwoNumbers {
    REAL first, second;
};
INLINE Numbers numbers_at(const REAL *table, int n, int pixel) {
    Numbers numbers;
    if (TWO_NUMBERS) {
        const TwoNumbers two = reinterpret_cast<const TwoNumbers *>(table)[pixel];
        numbers.values[0] = two.first;
        numbers.values[1] = two.second;
        return numbers;
    }
#pragma unroll
    for (int k = 0; k < 3; ++k) numbers.values[k] = k < n ? table[n * pixel + k] : REAL(0);
    return numbers;
}

// An activation or normalisation of a pair of images, see dual_networks.py.
struct Operation {
    int kind;
    bool normalised;          // a layer normalisation comes before the activation
    REAL unit;                // what K' Theta is multiplied by, for the unit of K
    REAL first, second;       // of RELU: the slopes below and above 0
    REAL half, limit;         // of RELU: their difference; where |lambda| counts as 1 beyond
    bool exact;               // lambda is 1: equal images on the plane (0, 0)
    REAL tiny;
#if USES & (1 << EXP)
    REAL e[E_TERMS];
#endif
};

template <class Coefs>
INLINE Operation operation_of(int kind, bool normalised, const Coefs *coefs, bool exact,
                              REAL unit) {
    Operation operation;
    operation.kind = kind;
    operation.normalised = normalised;
    operation.exact = exact;
    operation.unit = unit;
    operation.first = coefs[START_NUMBERS];
    operation.second = coefs[START_NUMBERS + 1];
    operation.half = operation.second - operation.first;
    operation.limit = exact ? REAL(-1) : 1 - coefs[START_NUMBERS + 5];
    operation.tiny = coefs[START_NUMBERS + 4];
#if USES & (1 << EXP)
#pragma unroll
    for (int k = 0; k < E_TERMS; ++k) operation.e[k] = coefs[k];
#endif
    return operation;
}

// Whether an operation is of a kind: known to the compiler if there is only one kind.
constexpr int PLANE_KINDS = USES & ~(1 << CONV | 1 << ADD);
INLINE bool is_of(const Operation &operation, int kind) {
    return PLANE_KINDS == 1 << kind || ((PLANE_KINDS >> kind & 1) && operation.kind == kind);
}

#ifdef REAL_IS_DOUBLE
__constant__ const REAL p_terms[P_TERMS] = P_COEFFICIENTS;
__constant__ const REAL r_terms[R_TERMS] = R_COEFFICIENTS;
__constant__ const REAL q_terms[Q_TERMS] = Q_COEFFICIENTS;
#endif

INLINE float root_or_zero(float u) { return root(u); }
INLINE double root_or_zero(double u) { return root(u + 1e-40); }

// asin(lam) and sqrt(1 - lam^2), from below where lam is 1 or -1.
INLINE void arcsine(REAL lam, const Operation &operation, REAL &angle, REAL &cosine) {
#ifndef REAL_IS_DOUBLE
    constexpr REAL q_terms[Q_TERMS] = Q_COEFFICIENTS;
#endif
    const REAL quarter_turn = operation.second, tiny = operation.tiny;
    const REAL size = fabs(lam);
    const REAL u = size < 1 - tiny ? 1 - size : tiny;
    const REAL rest = u * (2 - u), square = lam * lam;
    cosine = root(rest);
    const bool small = square < rest;
    angle = (small ? size : cosine) * polynomial(q_terms, small ? square : rest);
    if (!small) angle = quarter_turn - angle;
    if (lam < 0) angle = -angle;
}

// Replace Sigma and each Theta by K and Theta + K.
INLINE void apply(REAL (&states)[STATES], const Operation &operation, const Numbers &of_x,
                  const Numbers &of_y) {
#ifndef REAL_IS_DOUBLE
    constexpr REAL p_terms[P_TERMS] = P_COEFFICIENTS;
    constexpr REAL r_terms[R_TERMS] = R_COEFFICIENTS;
#endif
    const REAL *x = of_x.values, *y = of_y.values;
    const REAL inverse = x[0] * y[0], lam = states[0] * inverse;
    REAL k, dot;
    if (is_of(operation, RELU)) {
        // kappa = +-c + u (v r(u) -+ c) with |lam| = 1 - u.  What differs from 1 by rounding is 1.
        const REAL size = fabs(lam), u = size <= operation.limit ? 1 - size : REAL(0);
        const REAL v = root_or_zero(u) * operation.half;
        const REAL slope = lam < 0 ? -operation.first : operation.second;
        k = (slope + u * (v * polynomial(r_terms, u) - slope)) * (x[1] * y[1]);
        const REAL t = v * polynomial(p_terms, u);
        dot = (lam < 0 ? operation.first + t : operation.second - t) * operation.unit;
    } else if (is_of(operation, EXP)) {
#if USES & (1 << EXP)
        REAL kappa = polynomial(operation.e, operation.exact ? REAL(1) : lam);
        for (int doublings = operation.second; doublings > 0; --doublings) kappa *= kappa;
        k = kappa * (x[1] * y[1]);
        dot = kappa * (operation.unit * operation.first);
#endif
    } else if (is_of(operation, ERF)) {
        REAL angle, cosine;
        arcsine(lam, operation, angle, cosine);
        k = operation.first * angle;
        dot = operation.first * inverse / cosine;
    } else if (is_of(operation, GELU)) {
        REAL angle, cosine;
        arcsine(lam, operation, angle, cosine);
        const REAL scale = x[2] * y[2], over_two_pi = operation.first / 4;
        const REAL density = over_two_pi / cosine;
        const REAL probability = over_two_pi * angle + REAL(0.25);
        const REAL a = x[1], b = y[1], c = 1 - a, d = 1 - b;
        const REAL rest = lam * lam * (1 - a - b) + a * b;
        k = (lam * probability + density * rest) * scale;
        dot = density * lam * (c + d + c * d / (cosine * cosine)) + probability;
        dot *= inverse * scale;
    } else {  // normalisation alone
        k = lam;
        dot = inverse;
    }
    if ((USES >> NORM & 1) && operation.normalised) dot *= inverse;
    states[0] = k;
#pragma unroll
    for (int s = 1; s < STATES; ++s) states[s] = dot * states[s] + k;
}

// The tables of a pixel from its variance in the true unit: see network_tables.py.
INLINE void fill_entry(int kind, bool normalised, double variance, double unit, double made,
                       double smallest, REAL *table) {
    if (kind == ERF) {
        table[0] = REAL(unit * sqrt(2 / (1 + 2 * variance)));
        return;
    }
    if (kind == GELU) {
        const double t = 1 / sqrt(1 + variance);
        table[0] = REAL(unit * t);
        table[1] = REAL(variance / (1 + variance));
        table[2] = REAL(1 / t);
        return;
    }
    const double s = sqrt(variance);
    const bool visible = s > smallest * (normalised || kind == NORM ? unit : made);
    table[0] = visible ? REAL(unit / s) : REAL(0);
    if (kind != NORM) table[1] = visible ? REAL((normalised ? 1.0 : s) / made) : REAL(0);
}
