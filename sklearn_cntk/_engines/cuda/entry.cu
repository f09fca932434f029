// One entry of a plane: from the box sums of its states to K and U, see dual_activations.py.

// One entry of the tables of an image and layer.
#if ONE_TABLE
// 1/s only; where s is 0, a number so large that K all but vanishes.
struct Scales {
    REAL inverse;
};
constexpr REAL INVISIBLE = REAL(1e18);
#else
// 1/s and s sqrt(factor), 0 where s is 0: together, so that one load brings both.
struct alignas(2 * sizeof(REAL)) Scales {
    REAL inverse, scale;
};
#endif
INLINE Scales scales_of(double s, double factor, double smallest) {
    const bool visible = s > smallest;
    Scales scales;
#if ONE_TABLE
    scales.inverse = visible ? REAL(1 / s) : INVISIBLE;
#else
    scales.inverse = visible ? REAL(1 / s) : REAL(0);
    scales.scale = visible ? REAL(s * sqrt(factor)) : REAL(0);
#endif
    return scales;
}

// s s', from the tables or from what has been looked up for lambda.
INLINE float reciprocal(float x) {
#ifdef __CUDA_ARCH__
    float value;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));
    return value;
#else
    return 1 / x;
#endif
}
INLINE double reciprocal(double x) { return 1 / x; }
INLINE REAL scale_of(Scales x, Scales y, REAL inverse) {
#if ONE_TABLE
    return reciprocal(inverse);
#else
    return x.scale * y.scale;
#endif
}

INLINE float distance_to_one(float lam) {
#ifdef __CUDA_ARCH__
    // One instruction; of __saturatef(1 - fabsf(lam)) the compiler makes three.
    float u;
    asm("{ .reg .f32 a; abs.f32 a, %1; sub.ftz.sat.f32 %0, 0f3f800000, a; }" : "=f"(u) : "f"(lam));
    return u;
#else
    return fminf(fmaxf(1.0f - fabsf(lam), 0.0f), 1.0f);
#endif
}
// |lam| exceeds 1 only by rounding, where the distance counts as 0; root() needs it to be above 0.
INLINE double distance_to_one(double lam) { return fabs(1.0 - fabs(lam)) + 1e-40; }

INLINE float positive_part(float lam) { return fmaxf(lam, 0.0f); }
INLINE double positive_part(double lam) { return lam < 0 ? 0.0 : lam; }

// Coefficients are operands of the instructions and take no registers: an instruction can hold a
// float, but refers to constant memory for a double.
#ifdef REAL_IS_DOUBLE
__constant__ const REAL p_terms[P_TERMS] = P_COEFFICIENTS;
__constant__ const REAL r_terms[R_TERMS] = R_COEFFICIENTS;
#endif

// Replace the box sums of an entry's states by K and U.  With one table the factor is left to
// `rescale`, since it is 1 in most layers.
INLINE void activate(REAL (&states)[STATES], Scales x, Scales y, REAL factor) {
#ifndef REAL_IS_DOUBLE
    constexpr REAL p_terms[P_TERMS] = P_COEFFICIENTS;
    constexpr REAL r_terms[R_TERMS] = R_COEFFICIENTS;
#endif
    if (ONE_TABLE) factor = 1;
    const REAL inverse = x.inverse * y.inverse;
    const REAL lam = states[0] * inverse;
    const REAL scale = scale_of(x, y, inverse);
    const REAL u = distance_to_one(lam);
    const REAL v = root(u);
    const REAL t = N_THETA > 0 ? v * (SECOND_ROOT ? REAL(1) : factor) * polynomial(p_terms, u) : 0;
    REAL k;
    if (SECOND_ROOT && N_THETA > 0) {
        // kappa1 = lambda kappa0 + sqrt(1 - lambda^2) / pi, and 1 - lambda^2 = u (2 - u).
        const REAL kappa0 = lam < 0 ? t : REAL(1) - t;
        const REAL g = v * root(u * REAL(-0.10132118364233778) + REAL(0.20264236728467555));
        if (ONE_TABLE)
            k = g * scale + kappa0 * states[0];
        else
            k = (lam * kappa0 + g) * scale;
#pragma unroll
        for (int s = 1; s < STATES; ++s)
            states[s] = kappa0 * (ONE_TABLE ? states[s] : factor * states[s]) + k;
    } else {
        k = (v * u * polynomial(r_terms, u) + positive_part(lam)) * scale;
        const REAL kappa0 = lam < 0 ? t : factor - t;
#pragma unroll
        for (int s = 1; s < STATES; ++s) states[s] = kappa0 * states[s] + k;
    }
    states[0] = k;
}

// The factor of a layer with one table.
template <int ENTRIES>
INLINE void rescale(REAL (&states)[STATES][ENTRIES], REAL factor) {
    if (!ONE_TABLE || factor == 1) return;
#pragma unroll
    for (int s = 0; s < STATES; ++s)
#pragma unroll
        for (int i = 0; i < ENTRIES; ++i) states[s][i] *= factor;
}
