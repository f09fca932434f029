"""What tests of the store share."""

import pytest


@pytest.fixture
def images(rng):
    return rng.normal(size=(30, 5, 4, 2))
