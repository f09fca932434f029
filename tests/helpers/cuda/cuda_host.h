// CUDA on the host, for tests: what the kernels need, and no more.  See cuda_host.cpp.

#include <math.h>
#include <stddef.h>

#include <utility>

#define __constant__ static
#define __device__
#define __global__
#define __shared__
#define __align__(bytes)
#define __forceinline__ inline
#define __launch_bounds__(...)

struct Dimension {
    unsigned x;
};
extern Dimension threadIdx, blockIdx, gridDim;
extern double shared_memory[];

namespace host {

// Meet the other threads of the block, or the lanes of the warp.
void meet_block();
void meet_warp();

// Meet the lanes of the warp and take the value of another, or one's own if there is none.
double exchange(double value, int source_lane);

// Copy as late as an asynchronous copy may be, in some blocks; at once in others.
void copy(void *target, const void *source, size_t size);
void finish_copies();

// Run body(data) in every thread of every block.
void run(unsigned grid, unsigned block, size_t shared_bytes, void (*body)(void *), void *data);

template <class... Parameters>
struct Launch {
    void (*kernel)(Parameters...);
    void **arguments;

    static void body(void *data) {
        static_cast<Launch *>(data)->call(std::index_sequence_for<Parameters...>());
    }
    template <size_t... I>
    void call(std::index_sequence<I...>) {
        kernel(*static_cast<Parameters *>(arguments[I])...);
    }
};

// As cuLaunchKernel: `arguments` points to each parameter.
template <class... Parameters>
void launch(void (*kernel)(Parameters...), unsigned grid, unsigned block, size_t shared_bytes,
            void **arguments) {
    Launch<Parameters...> launch{kernel, arguments};
    run(grid, block, shared_bytes, launch.body, &launch);
}

}  // namespace host

#define EXPORT_KERNEL(kernel)                                                            \
    extern "C" void launch(unsigned grid, unsigned block, size_t shared_bytes, void **arguments) { \
        host::launch(kernel, grid, block, shared_bytes, arguments);                      \
    }

template <class Value>
void copy_piece(Value *target, const Value *source) {
    host::copy(target, source, sizeof(Value));
}
inline void wait_for_copies() { host::finish_copies(); }
inline void __syncthreads() { host::meet_block(); }
inline void __syncwarp() { host::meet_warp(); }
template <class Value>
Value __shfl_sync(unsigned, Value value, int lane) {
    return static_cast<Value>(host::exchange(value, lane));
}
template <class Value>
Value __shfl_up_sync(unsigned, Value value, int offset) {
    return static_cast<Value>(host::exchange(value, int(threadIdx.x % 32) - offset));
}
template <class Value>
Value __shfl_down_sync(unsigned, Value value, int offset) {
    return static_cast<Value>(host::exchange(value, int(threadIdx.x % 32) + offset));
}
