"""Leave-one-out predictions of ridge regression, in closed form."""

import numpy as np


def left_out_predictions(solution, inverse_diagonal, targets, ridge, sample_weight=None):
    """Return predictions of rows by regression on the others, given the regression on all.

    With A = √W K √W + λ, c = A⁻¹ √W y and G = A⁻¹, the residual of row i is λ c_i / √w_i, and its
    leverage, the effect of its target on its own prediction, is h_i = 1 - λ G_ii.  Without a part δ
    of its weight the residual is 1 / (1 - δ h_i / w_i) times as large (Rifkin and Lippert, "Notes
    on Regularized Least Squares", 2007, for w = δ = 1).  Since a weight of w means w equal rows,
    one of these is left out, or the whole row if its weight is below 1.

    Parameters
    ----------
    solution : ndarray (n,) or (n, k)
        c.
    inverse_diagonal : ndarray (n,)
        The diagonal of G.
    targets : ndarray, the shape of `solution`
        y.
    ridge : float
        λ.
    sample_weight : ndarray (n,) or None

    Returns
    -------
    ndarray, the shape of `targets`
        NaN where the weight is 0.
    """
    if sample_weight is None:
        return targets - (solution.T / inverse_diagonal).T
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(sample_weight)
        whole = 1 / (root * inverse_diagonal)
        one_of_several = ridge / root / (1 - (1 - ridge * inverse_diagonal) / sample_weight)
        factors = np.where(sample_weight > 1, one_of_several, whole)
        return targets - (solution.T * np.where(sample_weight > 0, factors, np.nan)).T
