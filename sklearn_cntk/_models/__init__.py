"""What the estimators are made of: targets, training rows, solvers, posterior, search scores."""
