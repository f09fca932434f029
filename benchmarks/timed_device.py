"""A GPU that times its kernels by events, excluding what the host does meanwhile."""

from sklearn_cntk._engines.cuda.devices import CupyDevice


class TimedDevice(CupyDevice):
    """A `CupyDevice` whose `seconds` gives the time of each kernel since the last call."""

    def __init__(self, index):
        super().__init__(index)
        self._spans = []

    def launch(self, source, name, blocks, threads, shared_bytes, arguments):
        """Launch as the base class does, between two events."""
        import cupy

        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record(self._stream)
        super().launch(source, name, blocks, threads, shared_bytes, arguments)
        end.record(self._stream)
        self._spans.append((name, start, end))

    def seconds(self):
        """Return the seconds of all launches by kernel name, and reset them."""
        import cupy

        found = {}
        for name, start, end in self._spans:
            end.synchronize()
            elapsed = cupy.cuda.get_elapsed_time(start, end) / 1e3
            found[name] = found.get(name, 0.0) + elapsed
        self._spans.clear()
        return found


def timed_devices(device):
    """Return the devices named by "cuda" or "cuda:N"."""
    import cupy

    index = device.partition(":")[2]
    indices = [int(index)] if index else range(cupy.cuda.runtime.getDeviceCount())
    return [TimedDevice(k) for k in indices]
