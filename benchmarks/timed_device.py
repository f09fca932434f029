"""A GPU that keeps the time of its kernels by events, without what the host does beside them."""

from sklearn_cntk._engines.cuda.devices import CupyDevice


class TimedDevice(CupyDevice):
    """A `CupyDevice` whose `seconds` are those of each kernel since it was last asked."""

    def __init__(self, index):
        super().__init__(index)
        self._spans = []

    def launch(self, source, name, blocks, threads, shared_bytes, arguments):
        """As of the base class, between two events."""
        import cupy

        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record(self._stream)
        super().launch(source, name, blocks, threads, shared_bytes, arguments)
        end.record(self._stream)
        self._spans.append((name, start, end))

    def seconds(self):
        """Dictionary of kernel names and the seconds of all their launches; they are forgotten."""
        import cupy

        found = {}
        for name, start, end in self._spans:
            end.synchronize()
            elapsed = cupy.cuda.get_elapsed_time(start, end) / 1e3
            found[name] = found.get(name, 0.0) + elapsed
        self._spans.clear()
        return found


def timed_devices(device):
    """The devices of "cuda" or "cuda:N"."""
    import cupy

    index = device.partition(":")[2]
    indices = [int(index)] if index else range(cupy.cuda.runtime.getDeviceCount())
    return [TimedDevice(k) for k in indices]
