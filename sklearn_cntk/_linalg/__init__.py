"""Linear algebra with Gram matrices: ridge regression, low rank, gradient flow, threads."""
