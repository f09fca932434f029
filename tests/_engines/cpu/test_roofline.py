"""The arithmetic that bounds the CPU engine."""

from sklearn_cntk._engines.cpu import roofline as _bound


def test_multiplications_of_the_bound():
    # By hand: 2 for λ, degrees 6 and 5, t, two for κ₁, two for K, one for U.
    assert _bound.multiplications("float32") == 2 + 6 + 5 + 1 + 2 + 2 + 1
