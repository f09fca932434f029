// One kernel of cntk.cu as a library of the host; see cuda_host.py.

#include "cuda_host.h"
#include CUDA_SOURCE

extern "C" void launch(unsigned grid, unsigned block, std::size_t shared_bytes, void **arguments) {
    host::launch_kernel(KERNEL, grid, block, shared_bytes, arguments);
}
