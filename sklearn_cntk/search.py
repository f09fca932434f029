"""Architecture search from one pass: CNTKRegressorCV and CNTKClassifierCV."""

import time
from itertools import product

import numpy as np
from scipy.linalg import eigh
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ._job import Job
from ._memory import check_memory
from ._path import path_readouts
from ._solvers import ridge_dual
from ._tasks import ClassificationTask, RegressionTask
from .estimators import CNTKClassifier, CNTKRegressor, ImageEstimator, check_alpha
