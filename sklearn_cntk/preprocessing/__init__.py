"""Transformers of images: they take what the estimators take, and keep its form.

Images stay images, and rows of 2-D input stay rows.
"""

from ._patches import PatchFeatures
from ._standardizer import ImageStandardizer
from ._whitening import ZCAWhitening

__all__ = ["ImageStandardizer", "PatchFeatures", "ZCAWhitening"]

# What pickles name, whatever file a class lies in.
for _cls in (ImageStandardizer, PatchFeatures, ZCAWhitening):
    _cls.__module__ = __name__
del _cls
