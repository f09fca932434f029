// CUDA on the host, for tests: threads of a block are fibres of one host thread.
//
// A fibre runs until it meets its warp (a shuffle, __syncwarp) or its block (__syncthreads), and
// goes on when all others have come.  Lanes of a warp that meet at different operations end the
// program with a message: on a GPU that would be undefined.  Only what cntk.cu needs is here.

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct Dimension {
    unsigned x;
};
Dimension threadIdx, blockIdx, gridDim;

// The dynamic shared memory of the block that runs: filled with NaN before each block.
constexpr std::size_t SHARED_BYTES = 227 * 1024;
alignas(16) double shared_memory[SHARED_BYTES / sizeof(double)];

namespace host {

enum Stop { RUNS, AT_WARP, AT_BLOCK, DONE };
constexpr std::size_t STACK_BYTES = 128 * 1024;

struct Fibre {
    jmp_buf here;
    ucontext_t first;  // how it starts; later switches are jumps, which need no system calls
    std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
    bool started;
    Stop stop;
    long operations;      // of its warp, so far
    double exchanged[2];  // in turns, so that the last value can be read while the next is set
};

std::vector<std::unique_ptr<Fibre>> fibres;
std::size_t current;
jmp_buf scheduler;
ucontext_t scheduler_context;
std::function<void()> body;

void run_fibre() {
    body();
    fibres[current]->stop = DONE;
    _longjmp(scheduler, 1);
}

// Let fibre k run until it stops.
void resume(std::size_t k) {
    Fibre &fibre = *fibres[k];
    current = k;
    threadIdx.x = k;
    fibre.stop = RUNS;
    if (_setjmp(scheduler)) return;
    if (fibre.started) _longjmp(fibre.here, 1);
    fibre.started = true;
    swapcontext(&scheduler_context, &fibre.first);
}

void pause(Stop stop) {
    Fibre &fibre = *fibres[current];
    fibre.stop = stop;
    if (!_setjmp(fibre.here)) _longjmp(scheduler, 1);
}

[[noreturn]] void fail(const char *message) {
    std::fprintf(stderr, "cuda_host: block %u, thread %u: %s\n", blockIdx.x, threadIdx.x, message);
    std::abort();
}

void run_block(unsigned n_threads) {
    std::memset(shared_memory, 0xff, sizeof shared_memory);
    while (fibres.size() < n_threads) fibres.emplace_back(new Fibre);
    for (unsigned k = 0; k < n_threads; ++k) {
        Fibre &fibre = *fibres[k];
        fibre.started = false;
        fibre.operations = 0;
        getcontext(&fibre.first);
        fibre.first.uc_stack.ss_sp = fibre.stack.get();
        fibre.first.uc_stack.ss_size = STACK_BYTES;
        fibre.first.uc_link = nullptr;
        makecontext(&fibre.first, run_fibre, 0);
    }
    for (;;) {
        for (unsigned warp = 0; warp < n_threads; warp += 32) {
            for (;;) {
                for (unsigned k = warp; k < warp + 32; ++k) resume(k);
                const Fibre &first = *fibres[warp];
                for (unsigned k = warp; k < warp + 32; ++k) {
                    threadIdx.x = k;
                    if (fibres[k]->stop != first.stop || fibres[k]->operations != first.operations)
                        fail("lanes of a warp meet at different operations");
                }
                if (first.stop != AT_WARP) break;
            }
        }
        for (unsigned k = 0; k < n_threads; ++k)
            if (fibres[k]->stop != fibres[0]->stop) fail("__syncthreads that not all threads meet");
        if (fibres[0]->stop == DONE) return;
    }
}

void launch(unsigned grid, unsigned block, std::size_t shared_bytes, std::function<void()> kernel) {
    if (block == 0 || block % 32) fail("blocks must be whole warps");
    if (shared_bytes > SHARED_BYTES) fail("too much shared memory");
    body = std::move(kernel);
    gridDim.x = grid;
    for (unsigned k = 0; k < grid; ++k) {
        blockIdx.x = k;
        run_block(block);
    }
}

template <class Value>
Value exchange(Value value, int source_lane) {
    Fibre &fibre = *fibres[current];
    const int turn = fibre.operations++ % 2;
    fibre.exchanged[turn] = value;
    pause(AT_WARP);
    const std::size_t warp = current / 32 * 32, lane = current % 32;
    const bool inside = 0 <= source_lane && source_lane < 32;
    return static_cast<Value>(fibres[warp + (inside ? source_lane : lane)]->exchanged[turn]);
}

template <class... Parameters, std::size_t... I>
void call(void (*kernel)(Parameters...), void **arguments, std::index_sequence<I...>) {
    kernel(*static_cast<Parameters *>(arguments[I])...);
}

// As cuLaunchKernel: `arguments` points to each parameter.
template <class... Parameters>
void launch_kernel(void (*kernel)(Parameters...), unsigned grid, unsigned block,
                   std::size_t shared_bytes, void **arguments) {
    launch(grid, block, shared_bytes, [=] {
        call(kernel, arguments, std::index_sequence_for<Parameters...>());
    });
}

}  // namespace host

inline void __syncthreads() { host::pause(host::AT_BLOCK); }
inline void __syncwarp() {
    ++host::fibres[host::current]->operations;
    host::pause(host::AT_WARP);
}
template <class Value>
Value __shfl_up_sync(unsigned, Value value, int offset) {
    return host::exchange(value, int(host::current % 32) - offset);
}
template <class Value>
Value __shfl_down_sync(unsigned, Value value, int offset) {
    return host::exchange(value, int(host::current % 32) + offset);
}
inline float __saturatef(float value) { return std::min(std::max(value, 0.0f), 1.0f); }
using std::fabs;
using std::fmax;
using std::sqrt;
