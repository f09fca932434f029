// Square roots, polynomials and sums.

INLINE float root(float u) { return sqrtf(u); }
// Not of 0.
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

template <int TERMS>
INLINE REAL polynomial(const REAL (&terms)[TERMS], REAL u) {
    REAL value = terms[TERMS - 1];
#pragma unroll
    for (int k = TERMS - 2; k >= 0; --k) value = value * u + terms[k];
    return value;
}

// Add to a sum under a condition that all states share.  The condition is a factor, which saves an
// instruction; with doubles it would need registers, which are scarce.
INLINE void add_unless(bool condition, float value, float &sum) {
    sum += (condition ? 0 : 1) * value;
}
INLINE void add_unless(bool condition, double value, double &sum) {
    if (!condition) sum += value;
}
