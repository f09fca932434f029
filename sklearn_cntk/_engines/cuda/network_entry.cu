// One entry of a network's plane: what activations and normalisation make of all states.
//
// What a state is, and the tables of an image: see network_sweep.py of the CPU engine and
// network_tables.py.  USES holds a bit for each kind of operation that the network has.

// How many numbers an operation has of each pixel: they lie together.
INLINE int table_numbers(int kind) {
    return kind == RELU || kind == EXP ? 2 : kind == GELU ? 3 : kind == ERF || kind == NORM ? 1 : 0;
}

struct Operation {
    int kind;
    bool normalised;  // a layer normalisation comes before the activation
    bool exact;       // lambda is 1: an entry of equal images on the plane (0, 0)
    REAL unit;        // what K' Theta is multiplied by, for the unit of K
    REAL numbers[6];  // see dual_networks.py
#if USES & (1 << EXP)
    REAL e[E_TERMS];
#endif
};

INLINE Operation operation_of(const int *columns, const REAL *coefs, bool exact, REAL unit) {
    Operation operation;
    operation.kind = columns[KIND];
    operation.normalised = columns[NORMALISED];
    operation.exact = exact;
    operation.unit = unit;
#pragma unroll
    for (int k = 0; k < 6; ++k) operation.numbers[k] = coefs[START_NUMBERS + k];
#if USES & (1 << EXP)
#pragma unroll
    for (int k = 0; k < E_TERMS; ++k) operation.e[k] = coefs[k];
#endif
    return operation;
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
    const REAL quarter_turn = operation.numbers[1], tiny = operation.numbers[4];
    const REAL size = fabs(lam);
    const REAL u = size < 1 - tiny ? 1 - size : tiny;
    const REAL rest = u * (2 - u), square = lam * lam;
    cosine = root(rest);
    const bool small = square < rest;
    angle = (small ? size : cosine) * polynomial(q_terms, small ? square : rest);
    if (!small) angle = quarter_turn - angle;
    if (lam < 0) angle = -angle;
}

// Replace Sigma and each Theta + Sigma by K and Theta + K.  `x` and `y` are the entries of both
// images' tables.
INLINE void apply(REAL (&states)[STATES], const Operation &operation, const REAL *x,
                  const REAL *y) {
#ifndef REAL_IS_DOUBLE
    constexpr REAL p_terms[P_TERMS] = P_COEFFICIENTS;
    constexpr REAL r_terms[R_TERMS] = R_COEFFICIENTS;
#endif
    const REAL sigma = states[0], inverse = x[0] * y[0];
    const int kind = operation.kind;
    if ((USES & (1 << NORM)) && kind == NORM) {
#pragma unroll
        for (int s = 0; s < STATES; ++s) states[s] *= inverse;
        return;
    }
    const REAL lam = sigma * inverse;
    REAL k = 0, dot = 0;
    if ((USES & (1 << RELU)) && kind == RELU) {
        // kappa = +-c + u (v r(u) -+ c) with |lam| = 1 - u.  What differs from 1 by rounding is 1.
        const REAL below = operation.numbers[0], above = operation.numbers[1];
        const REAL size = fabs(lam), half = above - below;
        const REAL u = !operation.exact && size <= 1 - operation.numbers[5] ? 1 - size : REAL(0);
        const REAL v = root_or_zero(u) * half;
        const REAL slope = lam < 0 ? -below : above;
        k = (slope + u * (v * polynomial(r_terms, u) - slope)) * (x[1] * y[1]);
        const REAL t = v * polynomial(p_terms, u);
        dot = (lam < 0 ? below + t : above - t) * operation.unit;
    }
#if USES & (1 << EXP)
    if (kind == EXP) {
        REAL kappa = polynomial(operation.e, operation.exact ? REAL(1) : lam);
        for (int doublings = operation.numbers[1]; doublings > 0; --doublings) kappa *= kappa;
        k = kappa * (x[1] * y[1]);
        dot = kappa * (operation.unit * operation.numbers[0]);
    }
#endif
    if ((USES & (1 << ERF)) && kind == ERF) {
        REAL angle, cosine;
        arcsine(lam, operation, angle, cosine);
        k = operation.numbers[0] * angle;
        dot = operation.numbers[0] * inverse / cosine;
    }
    if ((USES & (1 << GELU)) && kind == GELU) {
        REAL angle, cosine;
        arcsine(lam, operation, angle, cosine);
        const REAL scale = x[2] * y[2];
        const REAL over_two_pi = operation.numbers[0] / 4;
        const REAL density = over_two_pi / cosine;
        const REAL probability = over_two_pi * angle + REAL(0.25);
        const REAL a = x[1], b = y[1], c = 1 - a, d = 1 - b;
        const REAL rest = lam * lam * (1 - a - b) + a * b;
        k = (lam * probability + density * rest) * scale;
        dot = density * lam * (c + d + c * d / (cosine * cosine)) + probability;
        dot *= inverse * scale;
    }
    if (operation.normalised) dot *= inverse;
    states[0] = k;
#pragma unroll
    for (int s = 1; s < STATES; ++s) states[s] = dot * (states[s] - sigma) + k;
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
