"""Methods to compare kernels of images with: a random forest and an RBF SVM.

The `fit(X, y, setting)` of each takes images (n, P, Q, C), chooses its settings on them, and
returns a function that predicts, and the chosen settings.
"""

import warnings
from dataclasses import dataclass
from itertools import product

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC


@dataclass(frozen=True)
class Setting:
    """The seed of a draw, whether mirror images have the same class, and the kernels' device."""

    seed: int
    mirror: bool
    device: str


class Forest:
    """A random forest of 500 trees."""

    def fit(self, X, y, setting):
        """Fit with the number of features per split that has the best out-of-bag accuracy."""
        X = X.reshape(len(X), -1)
        forests = [
            RandomForestClassifier(
                500, max_features=share, oob_score=True, random_state=setting.seed, n_jobs=-1
            )
            for share in (max(1, round(factor * X.shape[1] ** 0.5)) for factor in (0.5, 1, 2, 4))
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a row that is in every bag
            best = max((forest.fit(X, y) for forest in forests), key=lambda f: f.oob_score_)
        return (
            lambda images: best.predict(images.reshape(len(images), -1)),
            {"max_features": best.max_features},
        )


class SVM:
    """An RBF SVM on raw or standardised pixels, or principal components; of `features` if given."""

    COSTS = (1.0, 10.0, 100.0)
    GAMMAS = (0.1, 0.3, 1.0, 3.0)  # in units of gamma="scale"
    COMPONENTS = (20, 50, 100)

    def __init__(self, features=None, natural=False):
        self.features, self.natural = features, natural

    def fit(self, X, y, setting):
        """Choose pixels, C and gamma by cross-validation; defaults if a class has one image."""
        features = None if self.features is None else self.features(setting.seed).fit(X)

        def rows_of(images):
            images = images if features is None else features.transform(images)
            return images.reshape(len(images), -1)

        X = rows_of(X)
        folds = min(3, np.bincount(y).min())
        if folds < 2:
            model = SVC(C=10.0).fit(X, y)
            return lambda images: model.predict(rows_of(images)), {}
        splitter = StratifiedKFold(folds, shuffle=True, random_state=setting.seed)
        splits = list(splitter.split(X, y))
        steps = {"raw pixels": FunctionTransformer(), "standardised": StandardScaler()}
        for k, whiten in product(self.COMPONENTS, (False, True)):
            if k < min(min(len(train) for train, _ in splits), X.shape[1]):
                name = f"{k} {'whitened ' * whiten}components"
                steps[name] = PCA(k, whiten=whiten, random_state=setting.seed)
        scores = {
            name: np.mean([self.scores(step, X, y, *split) for split in splits], axis=0)
            for name, step in steps.items()
        }
        name = max(scores, key=lambda name: scores[name].max())
        i, j = np.unravel_index(scores[name].argmax(), scores[name].shape)
        chosen = {"pixels": name, "C": self.COSTS[i], "gamma": self.GAMMAS[j]}
        Z = steps[name].fit_transform(X)
        model = SVC(C=chosen["C"], gamma=chosen["gamma"] * unit_of(Z)).fit(Z, y)
        return lambda images: model.predict(steps[name].transform(rows_of(images))), chosen

    def scores(self, step, X, y, train, test):
        """Return the accuracies (C, gamma) of a split; distances are computed once."""
        Z, Z_test = step.fit_transform(X[train]), step.transform(X[test])
        squares, squares_test = (euclidean_distances(rows, Z, squared=True) for rows in (Z, Z_test))
        scores = np.empty((len(self.COSTS), len(self.GAMMAS)))
        for j, factor in enumerate(self.GAMMAS):
            K, K_test = (np.exp(-factor * unit_of(Z) * D) for D in (squares, squares_test))
            for i, C in enumerate(self.COSTS):
                model = SVC(C=C, kernel="precomputed").fit(K, y[train])
                scores[i, j] = model.score(K_test, y[test])
        return scores


def unit_of(Z):
    """Return the value of gamma="scale"."""
    return 1 / (Z.shape[1] * Z.var())
