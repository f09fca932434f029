// CUDA's threads on the host: those of a block are fibres of one host thread.
//
// A fibre runs until it meets its warp (a shuffle, __syncwarp) or its block (__syncthreads), and
// goes on when all others have come.  Lanes of a warp that meet at different operations end the
// program with a message: on a GPU that would be undefined.
//
// Threads of a block may run in any order between two such meetings: every other block takes them
// backwards, and every other pair of blocks does its asynchronous copies when they are waited for
// and not before, so that a result which hangs on either is wrong.

#include "cuda_host.h"

#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

Dimension threadIdx, blockIdx, gridDim;

// Dynamic shared memory of the block that runs: filled with NaN before each.
constexpr size_t SHARED_BYTES = 227 * 1024;
alignas(16) double shared_memory[SHARED_BYTES / sizeof(double)];

namespace host {

enum Stop { RUNS, AT_WARP, AT_BLOCK, DONE };
constexpr size_t STACK_BYTES = 128 * 1024;

struct Copy {
    void *target;
    const void *source;
    size_t size;
};

struct Fibre {
    jmp_buf here;
    ucontext_t first;  // how it starts; later switches are jumps, which need no system calls
    std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
    bool started;
    Stop stop;
    long operations;      // of its warp, so far
    std::vector<Copy> copies;  // that are under way
    double exchanged[2];  // in turns: the last value can still be read while the next is set
};

static std::vector<std::unique_ptr<Fibre>> fibres;
static jmp_buf scheduler;
static ucontext_t scheduler_context;
static void (*kernel_body)(void *);
static void *kernel_data;

static Fibre &this_fibre() { return *fibres[threadIdx.x]; }

static void start_fibre() {
    kernel_body(kernel_data);
    this_fibre().stop = DONE;
    _longjmp(scheduler, 1);
}

// Let a thread run until it stops.
static void resume(unsigned thread) {
    threadIdx.x = thread;
    Fibre &fibre = this_fibre();
    fibre.stop = RUNS;
    if (_setjmp(scheduler)) return;
    if (fibre.started) _longjmp(fibre.here, 1);
    fibre.started = true;
    swapcontext(&scheduler_context, &fibre.first);
}

static void pause(Stop stop) {
    Fibre &fibre = this_fibre();
    fibre.stop = stop;
    if (!_setjmp(fibre.here)) _longjmp(scheduler, 1);
}

[[noreturn]] static void fail(const char *message) {
    std::fprintf(stderr, "cuda_host: block %u, thread %u: %s\n", blockIdx.x, threadIdx.x, message);
    std::abort();
}

void meet_block() { pause(AT_BLOCK); }

void meet_warp() {
    ++this_fibre().operations;
    pause(AT_WARP);
}

double exchange(double value, int source_lane) {
    Fibre &fibre = this_fibre();
    const int turn = fibre.operations % 2;
    fibre.exchanged[turn] = value;
    meet_warp();
    const unsigned lane = threadIdx.x % 32;
    const bool inside = 0 <= source_lane && source_lane < 32;
    return fibres[threadIdx.x - lane + (inside ? source_lane : lane)]->exchanged[turn];
}

void copy(void *target, const void *source, size_t size) {
    if (blockIdx.x / 2 % 2)
        this_fibre().copies.push_back({target, source, size});
    else
        std::memcpy(target, source, size);
}

void finish_copies() {
    for (const Copy &copy : this_fibre().copies)
        std::memcpy(copy.target, copy.source, copy.size);
    this_fibre().copies.clear();
}

static void run_block(unsigned n_threads) {
    const bool backwards = blockIdx.x % 2;
    const unsigned n_warps = n_threads / 32;
    for (unsigned k = 0; k < n_threads; ++k) {
        Fibre &fibre = *fibres[k];
        fibre.started = false;
        fibre.operations = 0;
        getcontext(&fibre.first);
        fibre.first.uc_stack.ss_sp = fibre.stack.get();
        fibre.first.uc_stack.ss_size = STACK_BYTES;
        fibre.first.uc_link = nullptr;
        makecontext(&fibre.first, start_fibre, 0);
    }
    do {
        for (unsigned w = 0; w < n_warps; ++w) {
            const unsigned warp = 32 * (backwards ? n_warps - 1 - w : w);
            const Fibre &first = *fibres[warp];
            do {
                for (unsigned k = 0; k < 32; ++k) resume(warp + (backwards ? 31 - k : k));
                for (unsigned k = warp; k < warp + 32; ++k) {
                    threadIdx.x = k;
                    if (fibres[k]->stop != first.stop || fibres[k]->operations != first.operations)
                        fail("lanes of a warp meet at different operations");
                }
            } while (first.stop == AT_WARP);
        }
        for (unsigned k = 0; k < n_threads; ++k)
            if (fibres[k]->stop != fibres[0]->stop) fail("not all threads meet at __syncthreads");
    } while (fibres[0]->stop != DONE);
    for (unsigned k = 0; k < n_threads; ++k)
        if (!fibres[k]->copies.empty()) fail("a copy is under way when its block ends");
}

void run(unsigned grid, unsigned block, size_t shared_bytes, void (*body)(void *), void *data) {
    if (block == 0 || block % 32) fail("blocks must be whole warps");
    if (shared_bytes > SHARED_BYTES) fail("too much shared memory");
    while (fibres.size() < block) fibres.emplace_back(new Fibre);
    kernel_body = body;
    kernel_data = data;
    gridDim.x = grid;
    for (unsigned k = 0; k < grid; ++k) {
        blockIdx.x = k;
        std::memset(shared_memory, 0xff, shared_bytes);
        run_block(block);
    }
}

}  // namespace host
