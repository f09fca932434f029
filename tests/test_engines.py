"""Every engine: against independent values, against each other, and kernel identities."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite.binding import get_host_cpu_features

from sklearn_cntk._engines import reference
from sklearn_cntk._engines.cpu import engine as cpu
from sklearn_cntk._support.network import Architecture, Readout, lap_weights

ORACLE = np.load(Path(__file__).parent / "data" / "oracle" / "kernel_values.npz")
SPEC = json.loads(str(ORACLE["spec"]))

TRACE_AND_GAP = [Readout(d, g, t) for d in (3, 5) for g in (True, False) for t in ("all", "last")]


def parse(entry):
    """The Readout of an entry of the oracle's list."""
    name = entry["readout"]
    lap = int(name.removeprefix("lap")) if name.startswith("lap") else 0
    return Readout(entry["depth"], name == "gap", entry["trained_layers"], lap)


def is_void(entry):
    return entry["trained_layers"] == "hidden" and entry["depth"] == 2


def normal(rng, n, shape):
    return rng.normal(size=(n, *shape))


# --- independent values -------------------------------------------------------------------------


@pytest.mark.parametrize("case", sorted({entry["case"] for entry in SPEC}))
@pytest.mark.parametrize(
    ("engine", "dtype"), [(reference, "float64"), (cpu, "float64"), (cpu, "float32")]
)
def test_oracle(engine, dtype, case):
    entries = [entry for entry in SPEC if entry["case"] == case and not is_void(entry)]
    X, Y = ORACLE[f"case{case}_X"], ORACLE[f"case{case}_Y"]
    if engine is reference and X[0].size > 1000:
        # The full tensors of 32 × 32 images take minutes; their planes do not.
        entries = [entry for entry in entries if entry["readout"] == "flatten"]
    near = entries[0]["inputs"] == "near"
    tolerance = {"float64": (1e-10, 1e-8), "float32": (2e-5, 1e-3)}[dtype][near]

    architecture = Architecture(X.shape[1:], entries[0]["filter_size"])
    values = engine.gram(X, Y, architecture, [parse(entry) for entry in entries], dtype=dtype)

    for value, entry in zip(values, entries, strict=True):
        np.testing.assert_allclose(
            value, ORACLE[entry["key"]], rtol=tolerance, atol=0, err_msg=entry["key"]
        )


def test_oracle_of_no_trained_layer_is_zero():
    entries = [entry for entry in SPEC if is_void(entry)]
    assert entries
    for entry in entries:
        assert not ORACLE[entry["key"]].any()
        with pytest.raises(ValueError, match="depth=2 is too small"):
            parse(entry)


def test_fully_connected_kernel(engine, rng):
    """A 1 × 1 image with q = 1 has the kernel of eqs. 7 to 9, here on scalars."""
    x, y = rng.normal(size=(2, 5))

    def recursion(depth):
        s_xx, s_yy, s_xy = x @ x, y @ y, x @ y
        theta = s_xy
        for _ in range(depth - 1):
            angle = np.arccos(s_xy / np.sqrt(s_xx * s_yy))
            derivative = (np.pi - angle) / np.pi
            s_xy = np.sqrt(s_xx * s_yy) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
            theta = theta * derivative + s_xy
        return theta, s_xy

    readouts = [Readout(d, False, t) for d in (2, 3, 7) for t in ("all", "last")]
    values = engine.gram(
        x.reshape(1, 1, 1, 5), y.reshape(1, 1, 1, 5), Architecture((1, 1, 5), 1), readouts,
        dtype="float64",
    )  # fmt: skip
    expected = [recursion(d)[k] for d in (2, 3, 7) for k in (0, 1)]
    np.testing.assert_allclose(values.ravel(), expected, rtol=1e-12)


# --- the CPU engine against the reference -------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "q", "n", "m"),
    [
        ((1, 1, 4), 3, 2, 17),
        ((1, 7, 1), 3, 3, 2),
        ((5, 1, 2), 5, 1, 3),
        ((2, 3, 1), 7, 3, 1),
        ((6, 5, 3), 1, 2, 2),
        ((7, 4, 1), 3, 2, 18),
        ((5, 6, 2), 5, 1, 2),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cpu_equals_reference(shape, q, n, m, dtype, rng):
    X, Y = normal(rng, n, shape), normal(rng, m, shape)
    readouts = TRACE_AND_GAP + [
        Readout(5, True, "hidden"),
        Readout(3, False, "hidden"),
        Readout(4, False, "all", lap=1),
        Readout(3, False, "last", lap=2),
        Readout(5, False, "hidden", lap=1),
    ]
    architecture = Architecture(shape, q)
    values = cpu.gram(X, Y, architecture, readouts, dtype=dtype)
    expected = reference.gram(X, Y, architecture, readouts)
    # Entries near 0 come from λ near -1; their error is that of the kernel's scale.
    tolerance = 1e-11 if dtype == "float64" else 5e-6
    scale = abs(expected).max(axis=(1, 2), keepdims=True)
    assert (abs(values - expected) <= tolerance * (abs(expected) + scale / 10)).all()


def test_cpu_equals_reference_on_wide_images(rng):
    X, Y = normal(rng, 3, (40, 9, 2)), normal(rng, 2, (40, 9, 2))
    architecture, readouts = Architecture((40, 9, 2)), [Readout(d, False) for d in (2, 11)]
    values = cpu.gram(X, Y, architecture, readouts, dtype="float64")
    np.testing.assert_allclose(values, reference.gram(X, Y, architecture, readouts), rtol=1e-11)


@pytest.mark.parametrize("shape", [(2, 2, 1), (1, 3, 2), (9, 9, 1)])
def test_deep_networks_stay_in_range(shape, rng):
    """Where padding takes a share of every layer, values fall like 9**-depth.

    Correlations tend to 1 as layers add up, where float32 knows κ₀ to some 1e-5 only.
    """
    X, Y = normal(rng, 3, shape), normal(rng, 3, shape)
    architecture, readouts = Architecture(shape), [Readout(60, False), Readout(60, False, "last")]
    values = cpu.gram(X, Y, architecture, readouts, dtype="float32")
    expected = reference.gram(X, Y, architecture, readouts)
    np.testing.assert_allclose(values, expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not get_host_cpu_features().get("avx2"), reason="this machine has no AVX2")
def test_vectors_of_avx2():
    """Machines without AVX-512 have shorter vectors; here as if this one were such a machine."""
    code = """
import numpy as np
from sklearn_cntk._support.network import Architecture, Readout
from sklearn_cntk._engines import reference
from sklearn_cntk._engines.cpu import engine as cpu
assert cpu.VECTOR_BYTES == 32
images = np.random.default_rng(0).normal(size=(21, 5, 6, 2))
architecture, readouts = Architecture((5, 6, 2)), [Readout(4), Readout(3, False, "hidden")]
expected = reference.gram(images, images, architecture, readouts)
for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-12)):
    values = cpu.gram(images, images, architecture, readouts, dtype=dtype)
    np.testing.assert_allclose(values, expected, atol=tolerance * expected.max())
"""
    environment = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse4.2,+avx,+avx2,+fma"}
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | environment)


def test_far_less_work_for_the_trace(monkeypatch, rng):
    """The trace sweeps one displacement, local pooling of radius c at most (4c + 1)²."""
    architecture = Architecture((9, 8, 1))

    def planes(readout):
        return len(cpu._Plan(architecture, [readout], "float32").displacements)

    assert planes(Readout(3, False)) == 1
    assert planes(Readout(3, False, lap=1)) == 25
    assert planes(Readout(3, True)) == 17 * 15


# --- the interface ------------------------------------------------------------------------------


def test_one_pass_equals_single_passes(engine, rng):
    X, Y = normal(rng, 3, (4, 5, 2)), normal(rng, 2, (4, 5, 2))
    architecture = Architecture((4, 5, 2))
    readouts = [*TRACE_AND_GAP, Readout(4, True, "hidden"), Readout(4, False, "all", lap=1)]
    together = engine.gram(X, Y, architecture, readouts)
    # Bit for bit, but that the reference sums a trace over a plane when it is alone, and that
    # compilers may fuse other operations of a kernel with less states.
    tolerance = 0 if engine is cpu else 1e-14 if engine is reference else 1e-6
    for values, readout in zip(together, readouts, strict=True):
        alone = engine.gram(X, Y, architecture, [readout])[0]
        np.testing.assert_allclose(values, alone, rtol=tolerance)


@pytest.mark.parametrize("n", [1, 3, 17, 33])
def test_pairs_are_entries_of_gram(n, rng):
    X, Y = normal(rng, n, (3, 4, 1)), normal(rng, n, (3, 4, 1))
    Y[::2] = X[::2]
    architecture = Architecture((3, 4, 1))
    values = cpu.pairs(X, Y, architecture, TRACE_AND_GAP)
    full = cpu.gram(X, Y, architecture, TRACE_AND_GAP)
    np.testing.assert_array_equal(values, full.diagonal(axis1=1, axis2=2))


def test_pairs_of_reference(rng):
    X, Y = normal(rng, 3, (3, 4, 1)), normal(rng, 3, (3, 4, 1))
    values = reference.pairs(X, Y, Architecture((3, 4, 1)), TRACE_AND_GAP)
    full = reference.gram(X, Y, Architecture((3, 4, 1)), TRACE_AND_GAP)
    np.testing.assert_array_equal(values, full.diagonal(axis1=1, axis2=2))


@pytest.mark.parametrize("triu", [-40, -3, 0, 2, 21, 60])
def test_triu(engine, triu, rng):
    shape = (20, 37) if engine is cpu else (4, 5)
    X, Y = normal(rng, shape[0], (3, 3, 1)), normal(rng, shape[1], (3, 3, 1))
    architecture, readouts = Architecture((3, 3, 1)), [Readout(3)]
    upper = np.triu(np.ones(shape, dtype=bool), triu)
    values = engine.gram(X, Y, architecture, readouts, triu=triu)[0]
    np.testing.assert_array_equal(
        values[upper], engine.gram(X, Y, architecture, readouts)[0][upper]
    )


def test_tiles_do_not_change_bits(rng):
    X, Y = normal(rng, 70, (5, 4, 2)), normal(rng, 40, (5, 4, 2))
    architecture = Architecture((5, 4, 2))
    whole = cpu.gram(X, Y, architecture, TRACE_AND_GAP)
    for rows, columns in [((0, 1), (0, 1)), ((30, 67), (5, 38)), ((69, 70), (39, 40))]:
        rows, columns = slice(*rows), slice(*columns)
        tile = cpu.gram(X[rows], Y[columns], architecture, TRACE_AND_GAP)
        np.testing.assert_array_equal(tile, whole[:, rows, columns])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_layout_and_dtype_of_images_do_not_matter(dtype, rng):
    pixels = rng.integers(0, 256, size=(4, 6, 5, 2)).astype(np.uint8)
    architecture = Architecture((6, 5, 2))

    def values(X):
        return cpu.gram(X, X[::-1], architecture, TRACE_AND_GAP, dtype=dtype)

    expected = values(pixels.astype(np.float64))
    read_only = pixels.astype(np.float32)
    read_only.flags.writeable = False
    strided = np.repeat(pixels, 2, axis=2)[:, :, ::2]
    for X in (pixels, np.asfortranarray(pixels), read_only, strided, pixels.astype(np.int64)):
        np.testing.assert_array_equal(values(X), expected)


# --- special images -----------------------------------------------------------------------------


def test_equal_images_lose_no_digits_in_float32(rng):
    """κ₀ near λ = 1 loses half of the digits; the engine knows equal images, anywhere."""
    X = normal(rng, 5, (6, 6, 2))
    X[3] = X[1]
    Y = X[[4, 1, 0]]
    architecture = Architecture((6, 6, 2))
    readouts = [*TRACE_AND_GAP, Readout(5, True, "hidden"), Readout(5, False, "all", lap=1)]
    values = cpu.gram(X, Y, architecture, readouts, dtype="float32")
    np.testing.assert_allclose(values, reference.gram(X, Y, architecture, readouts), rtol=2e-6)
    np.testing.assert_array_equal(values[:, 1], values[:, 3])


@pytest.mark.parametrize("collide", [False, True])
@pytest.mark.parametrize(
    "dtypes", [("f4", "f4"), ("u1", "f4"), ("i8", "f8"), ("g", "f8"), ("?", "u1"), ("i8", "u8")]
)
def test_images_are_equal_as_the_engine_sees_them(dtypes, collide, monkeypatch):
    """Across dtypes, with zeros of either sign, whatever their hashes are."""
    if collide:
        monkeypatch.setattr(cpu, "hash", lambda _: 0, raising=False)
    X = np.array([[0, 1], [1, 1], [0, 1], [1, 0]]).astype(dtypes[0])
    Y = np.array([[1, 0], [0, 1], [0, 0]]).astype(dtypes[1])
    if Y.dtype.kind == "f":
        Y[Y == 0] = -0.0
    if dtypes[0] in ("i8", "g"):  # more digits than float64 has
        X[1] += X[1] * np.array(2, X.dtype) ** 53
        Y[2] = X[1] - 1 if dtypes == ("i8", "u8") else 2.0**53
    x, y = cpu.identify(*(images.reshape(-1, 1, 2, 1) for images in (X, Y)))
    equal = (X.astype("f8")[:, None] == Y.astype("f8")).all(axis=2)
    np.testing.assert_array_equal(x[:, None] == y, equal)
    assert equal.any()


def test_zero_images_and_patches(engine, rng):
    X = normal(rng, 3, (6, 7, 1))
    X[0] = 0
    X[1, :5] = 0
    X[1, 5:, 0] = -0.0
    values = engine.gram(X, X, Architecture((6, 7, 1)), TRACE_AND_GAP)
    assert np.isfinite(values).all()
    assert not values[:, 0].any()
    assert (values[:, 1, 2] > 0).all()


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1e12, 1e200])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_homogeneous_at_any_scale(scale, dtype, rng):
    """K(ax, x') = a K(x, x') for a > 0, beyond the range of float32 too."""
    X, Y = normal(rng, 2, (4, 4, 1)), normal(rng, 3, (4, 4, 1))
    architecture = Architecture((4, 4, 1))
    values = cpu.gram(scale * X, Y, architecture, TRACE_AND_GAP, dtype=dtype)
    expected = scale * cpu.gram(X, Y, architecture, TRACE_AND_GAP, dtype=dtype)
    np.testing.assert_allclose(values, expected, rtol=1e-5 if dtype == "float32" else 1e-12)


# --- identities, on any shape -------------------------------------------------------------------


@st.composite
def problems(draw):
    """Images X and Y of a random shape, an architecture, and readouts."""
    shape = tuple(draw(st.integers(1, k)) for k in (6, 6, 3))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X, Y = seed.normal(size=(3, *shape)), seed.normal(size=(2, *shape))
    depth = draw(st.integers(3, 6))
    readouts = [
        Readout(depth, gap, trained_layers)
        for gap in (True, False)
        for trained_layers in ("all", "hidden", "last")
    ]
    return X, Y, Architecture(shape, draw(st.sampled_from([1, 3, 5]))), readouts


def float64_gram(X, Y, architecture, readouts):
    return cpu.gram(X, Y, architecture, readouts, dtype="float64")


few = settings(max_examples=15, deadline=None)


@few
@given(problems())
def test_symmetry(problem):
    X, Y, architecture, readouts = problem
    values = float64_gram(X, Y, architecture, readouts)
    swapped = float64_gram(Y, X, architecture, readouts)
    np.testing.assert_allclose(values, swapped.swapaxes(1, 2), rtol=1e-12, atol=1e-300)


@few
@given(problems())
def test_positive_semidefinite(problem):
    X, Y, architecture, readouts = problem
    images = np.concatenate([X, Y])
    for K in float64_gram(images, images, architecture, readouts):
        eigenvalues = np.linalg.eigvalsh(K)
        # κ₀ keeps half of the digits of λ where patches of two images are parallel.
        assert eigenvalues[0] >= -1e-8 * eigenvalues[-1]


@few
@given(problems(), st.sampled_from([1, 2]))
def test_flips_of_both_images_change_nothing(problem, axis):
    X, Y, architecture, readouts = problem
    values = float64_gram(np.flip(X, axis), np.flip(Y, axis), architecture, readouts)
    np.testing.assert_allclose(values, float64_gram(X, Y, architecture, readouts), rtol=1e-12)


@few
@given(problems())
def test_transposition_of_both_images_changes_nothing(problem):
    X, Y, architecture, readouts = problem
    X_t, Y_t = X.swapaxes(1, 2), Y.swapaxes(1, 2)
    transposed = Architecture(X_t.shape[1:], architecture.filter_size)
    values = float64_gram(X_t, Y_t, transposed, readouts)
    np.testing.assert_allclose(values, float64_gram(X, Y, architecture, readouts), rtol=1e-12)


@few
@given(problems())
def test_channels_have_no_order(problem):
    X, Y, architecture, readouts = problem
    values = float64_gram(X[..., ::-1], Y[..., ::-1], architecture, readouts)
    np.testing.assert_allclose(values, float64_gram(X, Y, architecture, readouts), rtol=1e-12)


@few
@given(problems())
def test_trained_layers_add_up(problem):
    """The tangents of different layers add: of all layers those of the last, and more."""
    X, _, architecture, readouts = problem
    values = float64_gram(X, X, architecture, readouts)
    of_all, hidden, last = values[:3].diagonal(axis1=1, axis2=2)
    assert (of_all >= (hidden + last) * (1 - 1e-12)).all()
    # Depth 2, one pixel, q = 1: Θ = κ₀ Σ⁰ + K, and only the first layer makes the difference.
    if architecture.image_shape[:2] == (1, 1) and architecture.filter_size == 1:
        shallow = [Readout(2, False, "all"), Readout(2, False, "last")]
        full, dense = float64_gram(X, X, architecture, shallow)
        gram = np.einsum("nijc,mijc->nm", X, X)
        norms = np.sqrt(gram.diagonal())
        correlation = np.clip(gram / np.outer(norms, norms), -1, 1)
        expected = gram * (1 - np.arccos(correlation) / np.pi)
        np.testing.assert_allclose(full - dense, expected, atol=1e-7 * gram.max())


# --- pooling weights ----------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "radius"), [(1, 0), (5, 0), (5, 1), (4, 2), (3, 7)])
def test_lap_weights_count_windows(size, radius):
    weights = lap_weights(size, radius)
    for i in range(size):
        for j in range(size):
            windows = [o for o in range(size) if abs(o - i) <= radius and abs(o - j) <= radius]
            assert weights[i, j] == pytest.approx(len(windows) / (2 * radius + 1) ** 2)
