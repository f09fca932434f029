// Tables on their way to shared memory, from where the kernels of GAP read them.

// What a thread copies in one step: 16 bytes, if planes are aligned to that.
struct alignas(16) SixteenBytes {
    double values[2];
};
template <bool ALIGNED>
struct Choice {
    typedef Scales Type;
};
template <>
struct Choice<true> {
    typedef SixteenBytes Type;
};
typedef Choice<PIXELS * sizeof(Scales) % 16 == 0>::Type Piece;

// From sm_80 on, copies are asynchronous: the tables of the next layer arrive during the arithmetic
// of this one.  The tests on the host define their own copies.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
template <class Value>
INLINE void copy_piece(Value *target, const Value *source) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(
                     (unsigned)__cvta_generic_to_shared(target)),
                 "l"(source), "n"(sizeof(Value))
                 : "memory");
}
INLINE void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#elif defined(__CUDA_ARCH__)
template <class Value>
INLINE void copy_piece(Value *target, const Value *source) {
    *target = *source;
}
INLINE void wait_for_copies() {}
#endif

// Copy the tables of one layer of an image to shared memory.
INLINE void copy_plane(Scales *target, const Scales *source) {
    constexpr int PIECES = PIXELS * sizeof(Scales) / sizeof(Piece);
    Piece *to = reinterpret_cast<Piece *>(target) + threadIdx.x;
    const Piece *from = reinterpret_cast<const Piece *>(source) + threadIdx.x;
#ifdef REAL_IS_DOUBLE  // unrolled, it would take registers that are short
#pragma unroll 1
#else
#pragma unroll
#endif
    for (int k = 0; k < PIECES; k += THREADS)
        if (k + THREADS <= PIECES || k + threadIdx.x < PIECES) copy_piece(to + k, from + k);
}

INLINE void finish_copies() {
    wait_for_copies();
    __syncthreads();
}
