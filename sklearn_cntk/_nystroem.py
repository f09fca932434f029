"""Kernel ridge regression on landmarks: n × m kernel entries in the place of n²."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

# Float64 kernel values that are held at a time: 64 MB.
_BLOCK_VALUES = 2**23


def ridge_nystroem(job, images, targets, alpha, n_components, sample_weight, random_state):
    """Landmarks and their dual coefficients.

    With the images Z of m landmarks, the predictions k(x, Z) A minimise
    |√W (targets − K(X, Z) A)|² + λ Aᵀ K(Z, Z) A, where λ is `alpha` times the mean of the diagonal
    of K(Z, Z) (Williams and Seeger, "Using the Nyström method to speed up kernel machines", 2001).
    With all images as landmarks that is exact kernel ridge regression.

    Parameters
    ----------
    job : Job
    images : ndarray (n, P, Q, C)
    targets : ndarray (n,) or (n, k)
    alpha : float
    n_components : int
        Number m of landmarks, drawn uniformly.
    sample_weight : ndarray (n,) or None
    random_state : RandomState

    Returns
    -------
    rows : ndarray (m,)
        Indices of the landmarks.
    dual : ndarray (m,) or (m, k)
    """
    rows = np.sort(random_state.permutation(len(images))[:n_components])
    landmarks = images[rows]
    (K,) = job.gram(landmarks)
    mean = K.diagonal().mean()
    ridge = alpha * (mean if mean > 0 else 1.0)
    # Features Φ = K(X, Z) L⁻ᵀ with L Lᵀ = K(Z, Z): ridge regression on them is what is asked for.
    K.flat[:: len(K) + 1] += 1e-10 * (mean if mean > 0 else 1.0)
    L = cholesky(K, lower=True, check_finite=False)
    weights = np.ones(len(images)) if sample_weight is None else sample_weight
    targets_2d = targets.reshape(len(targets), -1)
    inner = np.zeros_like(K)
    outer = np.zeros((len(K), targets_2d.shape[1]))
    block = max(1, _BLOCK_VALUES // len(K))
    for start in range(0, len(images), block):
        part = slice(start, start + block)
        (values,) = job.gram(images[part], landmarks)
        features = solve_triangular(L, values.T, lower=True, check_finite=False)  # Φᵀ
        inner += (features * weights[part]) @ features.T
        outer += (features * weights[part]) @ targets_2d[part]
    inner.flat[:: len(K) + 1] += ridge
    coefficients = cho_solve(cho_factor(inner, lower=True, check_finite=False), outer)
    dual = solve_triangular(L, coefficients, lower=True, trans="T", check_finite=False)
    return rows, dual.reshape(len(rows), *targets.shape[1:])
