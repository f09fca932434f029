"""Launches: which kernel runs a plan of one pooling, with which constants and arguments.

``sweep`` keeps a plane in the registers of a warp (GAP and local pooling).  ``sweep_pairs`` does so
with two columns per lane (GAP), and ``trace`` for the single plane of a trace.  ``planes`` keeps
planes in memory, for images that are wider than a warp or too high for its registers.
"""

import numpy as np

from ..._support.architecture import lap_weights
from ..plan import GAP, TRACE, pooling_of
from .layouts import one_column, two_columns
from .source import LANES, WARPS, kernel

# Registers of a multiprocessor, and most registers for a thread's state: beyond that the compiler
# spills.
_REGISTERS = 65536
_STATE_REGISTERS = 160
# Registers that a thread needs in addition to its state, by dtype and kernel, and for a second Θ:
# taken from the compiler's output, such that nothing is spilled.
_OTHER_REGISTERS = {
    "float32": {"sweep": 56, "weighted": 104, "trace": 104},
    "float64": {"sweep": 88, "weighted": 120, "trace": 96},
}
_SECOND_THETA_REGISTERS = 32
# Each row of the box adds instructions for each of a plane's rows, which are unrolled.
_LARGEST_RADIUS = 4

# Number of blocks, and so of simultaneous planes, if a kernel keeps them in global memory.
BLOCKS_IN_GLOBAL_MEMORY = 512


class Pass:
    """All readouts with one pooling: one launch for all pairs of a tile.

    Parameters
    ----------
    plan : Plan
        The plan of these readouts.
    variant : Variant
        The variant for the plan's precision.
    """

    def __init__(self, plan, variant):
        self.plan, self.variant = plan, variant
        self.architecture, self.dtype = plan.architecture, plan.dtype
        (self.pooling,) = plan.poolings
        self.n_theta = len(plan.states) - 1
        # The layers that readouts are read from.
        self.layers = sorted({readout.convolutions - 1 for readout in plan.readouts})

    def in_registers(self):
        """Return whether a warp can hold a plane in registers."""
        rows, columns, _ = self.architecture.image_shape
        return (
            columns <= LANES
            and min(self.architecture.radius, max(rows, columns) - 1) <= _LARGEST_RADIUS
            and self._state_registers(rows) <= _STATE_REGISTERS
        )

    def _state_registers(self, entries):
        words = np.dtype(self.dtype).itemsize // 4
        return entries * (1 + self.n_theta) * words

    def _constants(self, **others):
        """Return the kernel's constants, apart from those of the architecture."""
        return {
            "N_THETA": self.n_theta,
            "SUMS_K": int("last" in self.plan.sums),
            "WEIGHTED": int(self.pooling > 0),
            **self.variant.constants,
            **others,
        }

    def _blocks(self, entries, planes):
        """Return blocks of 8 or 4 warps, as many per multiprocessor as there are registers for."""
        kind = {TRACE: "trace", GAP: "sweep"}.get(self.pooling, "weighted")
        registers = self._state_registers(entries) + _OTHER_REGISTERS[self.dtype][kind]
        registers += _SECOND_THETA_REGISTERS * max(0, self.n_theta - 1)
        warps_at_once = min(24, _REGISTERS // (LANES * (-(-registers // 8) * 8)))
        warps = WARPS if warps_at_once >= 2 * WARPS else WARPS // 2
        if self.pooling != TRACE:
            warps = min(warps, self._most_warps(planes))
        return {"WARPS": warps, "MIN_BLOCKS": max(1, min(8, warps_at_once // warps))}

    def _most_warps(self, planes):
        """Return how many warps one pair can keep busy."""
        return -(-len(self.plan.circular_displacements) // planes)

    def sums_of(self, device, sides, pairs, n_y, n_pairs, table_layers):
        """Return sums (sum, layer, pair) on the host, without the plane (0, 0) of equal pairs."""
        rows, columns, n_channels = self.architecture.image_shape
        n_layers = self.plan.n_layers
        slots = np.full(n_layers, -1, dtype=np.int32)
        slots[self.layers] = np.arange(len(self.layers))
        results = device.empty((len(self.plan.sums), len(self.layers), n_pairs), "float64")
        (x_pixels, x_tables, x_ids), (y_pixels, y_tables, y_ids) = sides
        arguments = [
            *(x_pixels, y_pixels, x_tables, y_tables, x_ids, y_ids),
            device.upload(self.plan.gauge.factors.astype(self.dtype)),
            device.upload(slots),
            np.int32(table_layers),
            np.int32(n_layers),
            np.int32(len(self.layers)),
            np.int32(n_channels),
            np.int32(sum(start << k for k, start in enumerate(self.plan.starts[1:]))),
            pairs,
            np.int32(n_y),
            np.int32(n_pairs),
        ]
        launch = self._launch_planes
        if self.in_registers():
            launch = self._launch_trace if self.pooling == TRACE else self._launch_sweep
        launch(device, arguments, n_pairs, results)
        return device.download(results)

    def _launch_trace(self, device, arguments, n_pairs, results):
        rows, columns, _ = self.architecture.image_shape
        blocks = self._blocks(rows, LANES // columns)
        device.launch(
            *kernel("trace", self.plan, **self._constants(**blocks)),
            -(-n_pairs // (blocks["WARPS"] * (LANES // columns))),
            LANES * blocks["WARPS"],
            0,
            [*arguments, results],
        )

    def _launch_sweep(self, device, arguments, n_pairs, results):
        layout, blocks, resident, shared_bytes = self._sweep_memory(device)
        staged = shared_bytes <= device.shared_bytes
        if not staged:
            layout = self._layouts()[-1]
            blocks = self._blocks(layout.entries, layout.planes)
            shared_bytes = self._sums_bytes(blocks["WARPS"])
        if shared_bytes > device.shared_bytes:  # readouts at thousands of depths
            return self._launch_planes(device, arguments, n_pairs, results)
        constants = self._constants(STAGED=int(staged), **blocks, **layout.constants)
        device.launch(
            *kernel(layout.kernel, self.plan, **constants),
            n_pairs,
            LANES * blocks["WARPS"],
            shared_bytes,
            [*arguments, *self._planes(device), np.int32(resident), results],
        )

    def _layouts(self):
        """Return the layouts of the sweep, the variant's own first."""
        shape, radius = self.architecture.image_shape[:2], self.architecture.radius
        layouts = [one_column(shape)]
        if self.variant.columns == 2 and self.pooling == GAP:
            paired = two_columns(shape, radius, self._entry_bytes())
            layouts = [paired, *layouts] if paired else layouts
        return layouts

    def _sweep_memory(self, device):
        """Return layout, blocks, whether all tables fit in shared memory, and its bytes."""
        layout = self._layouts()[0]
        blocks = self._blocks(layout.entries, layout.planes)
        layer_bytes = layout.table_entries * self._entry_bytes()
        all_bytes = self.plan.n_layers * layer_bytes
        if self.variant.warps:
            warps = min(self.variant.warps, self._most_warps(layout.planes))
            shared_bytes = self._sums_bytes(warps) + all_bytes
            at_once = min(self.variant.warps // warps, device.shared_bytes // shared_bytes)
            if at_once:
                return layout, {"WARPS": warps, "MIN_BLOCKS": at_once}, True, shared_bytes
        # Keep all layers' tables if that leaves room for other blocks; else two layers' tables.
        sums_bytes = self._sums_bytes(blocks["WARPS"])
        resident = sums_bytes + all_bytes <= device.shared_bytes // 4
        return layout, blocks, resident, sums_bytes + (all_bytes if resident else 2 * layer_bytes)

    def _entry_bytes(self):
        """Return the bytes of an entry of a table."""
        return self.variant.table_numbers * np.dtype(self.dtype).itemsize

    def _sums_bytes(self, warps):
        return -(-warps * len(self.plan.sums) * len(self.layers) // 2) * 16

    def _launch_planes(self, device, arguments, n_pairs, results):
        rows, columns, _ = self.architecture.image_shape
        size = 2 * (1 + self.n_theta) * rows * columns
        plane_bytes = size * np.dtype(self.dtype).itemsize
        sums_bytes = 8 * WARPS
        in_shared = sums_bytes + plane_bytes <= device.shared_bytes
        blocks = n_pairs if in_shared else min(n_pairs, BLOCKS_IN_GLOBAL_MEMORY)
        constants = self._constants(WARPS=WARPS, MIN_BLOCKS=1)
        device.launch(
            *kernel("planes", self.plan, **constants),
            blocks,
            LANES * WARPS,
            sums_bytes + plane_bytes if in_shared else sums_bytes,
            [
                *arguments,
                *self._planes(device),
                None if in_shared else device.empty((blocks, size), self.dtype),
                results,
            ],
        )

    def _planes(self, device):
        """Return the displacements, and the weights of local pooling, as arguments."""
        weights = [None, None]
        if self.pooling > 0:
            weights = [
                device.upload(lap_weights(size, self.pooling).astype(self.dtype))
                for size in self.architecture.image_shape[:2]
            ]
        return [
            device.upload(self.plan.circular_displacements.astype(np.int32)),
            np.int32(len(self.plan.circular_displacements)),
            *weights,
        ]

    def read(self, sums):
        """Return values (readout, pair) from sums (sum, layer, pair), up to the images' scales."""

        def sum_of(pooling, layer, state):
            return sums[self.plan.sums.index(state), self.layers.index(layer)]

        return self.plan.read(sum_of)


def passes_of(plan, variant):
    """Return the passes of a plan, each with the indices of the readouts that it yields."""
    of_pooling: dict[int, list[int]] = {}
    for k, readout in enumerate(plan.readouts):
        of_pooling.setdefault(pooling_of(readout, plan.architecture), []).append(k)
    passes = []
    for _, chosen in sorted(of_pooling.items()):
        whole = _pass(plan, chosen, variant)
        parts = [(chosen, whole)]
        if whole.n_theta > 1 and not whole.in_registers():
            # Two Θ may not fit in the registers where one does.
            halves = []
            for frozen in (False, True):
                half = [
                    k for k in chosen if (plan.readouts[k].trained_layers == "hidden") == frozen
                ]
                halves.append((half, _pass(plan, half, variant)))
            if all(half.in_registers() for _, half in halves):
                parts = halves
        passes += parts
    return passes


def _pass(plan, chosen, variant):
    return Pass(plan.of([plan.readouts[k] for k in chosen]), variant)
