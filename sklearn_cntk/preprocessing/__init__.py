"""Transformers of images: they accept the same input as the estimators, and keep its form.

Images stay images, and rows of 2-D input stay rows.
"""

from ._patches import PatchFeatures
from ._standardizer import ImageStandardizer
from ._whitening import ZCAWhitening

__all__ = ["ImageStandardizer", "PatchFeatures", "ZCAWhitening"]

# Pickles refer to this module, whatever file a class is in.
for _cls in (ImageStandardizer, PatchFeatures, ZCAWhitening):
    _cls.__module__ = __name__
del _cls
