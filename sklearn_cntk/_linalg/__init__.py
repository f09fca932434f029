"""Linear algebra for Gram matrices: ridge regression, low rank, gradient flow, threads."""
