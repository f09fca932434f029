"""Paragraphs of docstrings that several classes or functions share, see `docstrings`.

The texts of constructor parameters are kept with their declarations instead.
"""

from inspect import cleandoc

#: By the name that docstrings give in braces; ``{cls}`` in a text is the documented class.
PARAGRAPHS = {
    name: cleandoc(text)
    for name, text in {
        # Parameters of methods.
        "X": """
            X : array-like (n, height, width, channels), (n, height, width) or (n, n_features)
                Images, or rows of pixels or features (see `image_shape`): finite real numbers of
                any dtype.
            """,
        "X_seen": """
            X : array-like, m images of the shape seen by :meth:`fit`
            """,
        "y": """
            y : array-like (n,), or (n, n_targets) for regression
                For regressors, targets: finite real numbers.  For classifiers, class labels: at
                least two different ones.
            """,
        "no_y": """
            y : object, default=None
                Ignored.
            """,
        "times": """
            times : sequence of float or None
                Training times, as in `training_time`; None is the end of training.
            """,
        # Parameters of displays.
        "score_name": """
            score_name : str, default="score"
                Label of the vertical axis; underscores become spaces.
            """,
        "ax": """
            ax : matplotlib Axes, default=None
                Axes to draw on; None creates a figure.
            """,
        "neighbor_axes": """
            ax : array-like of matplotlib Axes, shape (m, 1 + n_neighbors), default=None
                Axes to draw on; None creates a figure.
            """,
        "occlusion_axes": """
            ax : array-like of matplotlib Axes, shape (m, 2), default=None
                Axes to draw on; None creates a figure.
            """,
        "scorer_name": """
            scorer_name : str, default=None
                Which score to show, if there are several; the score's name, if there is one.
            """,
        "plot_options": """
            **plot_options
                Passed to :meth:`plot`.
            """,
        "as_from_gram": """
            ax, **plot_options
                As in :meth:`from_gram`.
            """,
        "fitted_estimator": """
            estimator : fitted estimator
                CNTKClassifier or CNTKRegressor, a search over one, or a pipeline that ends in one.
            """,
        "gram": """
            gram : array-like (n, n)
                Symmetric Gram matrix.
            """,
        "y_of_gram": """
            y : array-like (n,), default=None
                Class labels, or continuous targets.
            """,
        # Attributes of displays.
        "fill_between_": """
            fill_between_ : list of matplotlib collections, or None
                One standard deviation over the splits to either side; None if there is one split.
            """,
        "errorbar_": """
            errorbar_ : list of matplotlib containers, or None
                The same, with ``std_display_style="errorbar"``.
            """,
        "ax_": """
            ax_ : matplotlib Axes
                The first of these axes.
            """,
        # Attributes of fitted estimators.
        "classes_": """
            classes_ : ndarray (n_classes,)
            """,
        "X_fit_": """
            X_fit_ : ndarray (n_rows, height, width, channels)
                Training images used in the fit, or the landmarks.
            """,
        "intercept_": """
            intercept_ : float or ndarray (n_targets,)
                The (weighted) mean of the targets of the rows used in the fit; 0 with
                ``fit_intercept=False``.
            """,
        "temperature_": """
            temperature_ : float
                Temperature by which :meth:`predict_proba` divides predicted targets.
            """,
        "n_iter_": """
            n_iter_ : int
                Number of iterations of "cg"; 1 with other solvers.
            """,
        "kernel_": """
            kernel_ : CNTK
                The kernel used for predictions.
            """,
        "image_shape_": """
            image_shape_ : tuple (height, width, channels)
            """,
        "n_features_in_": """
            n_features_in_ : int
                Number of features: height × width × channels.
            """,
        "feature_names_in_": """
            feature_names_in_ : ndarray of str
                Names of the features; only if all column names of `X` are strings.
            """,
        "best_params_": """
            best_params_ : dict
                ``depth``, ``gap``, ``lap`` and ``alpha`` of the best candidate, and its ``network``
                if networks other than "plain" are compared.
            """,
        "best_score_": """
            best_score_ : float
                Mean score of the best candidate; not set if `refit` is a function.
            """,
        "best_index_": """
            best_index_ : int
                Index of the best candidate in ``cv_results_``.
            """,
        "cv_results_": """
            cv_results_ : dict of arrays
                Has the columns of GridSearchCV; leave-one-out counts as one split.  Fit times
                include equal shares of the time of the pass that computed the Gram matrices: the
                shares of all candidates and splits add up to that time.
            """,
        "scorer_": """
            scorer_ : callable or dict
                The scorer, or a dict of scorers by metric.
            """,
        "multimetric_": """
            multimetric_ : bool
                Whether `scoring` gives several metrics.
            """,
        "n_splits_": """
            n_splits_ : int
                Number of splits of `cv`; 1 for leave-one-out.
            """,
        "refit_time_": """
            refit_time_ : float
                Time to fit the best candidate to all rows, in seconds.
            """,
        "network_": """
            network_ : ConvolutionalNetwork
                The trained network; predictions are `kappa_` times its output.
            """,
        "loss_curve_": """
            loss_curve_ : list of float
                Training loss after each epoch.
            """,
        "n_iter_of_descent": """
            n_iter_ : int
                Number of epochs run.
            """,
        "converged_": """
            converged_ : bool
                Whether training stopped because of `tol`.
            """,
        "kappa_": """
            kappa_ : float
                The factor κ of the output.
            """,
        "lr_": """
            lr_ : float
                The learning rate used.
            """,
        # Estimates.
        "measured": """
            The speed is measured for about a second, after compiling, on small images instead of
            large ones.
            """,
        "image_shape_to_estimate_for": """
            image_shape : tuple, default=None
                Shape of an image; None uses the parameter `image_shape` or, if the estimator is
                fitted, the shape of its images.
            """,
        "Estimate": """
            Estimate
                A named tuple (pairs, element_layers, bytes, seconds, workers), printed as one line.
            """,
        # Errors.
        "unusable": """
            ValueError, TypeError
                Invalid parameters or data; the message names them.
            """,
        "unusable_at_once": """
            ValueError, TypeError
                Invalid parameters or data; the message names them.  Nothing is computed then.
            """,
        "kernel_overflow": """
            ValueError
                Image values are so large that kernel values exceed float64.
            """,
        "not_fitted": """
            NotFittedError, TypeError
                The estimator is not fitted, or is not a CNTK estimator.
            """,
        "no_params": """
            TypeError
                ``cv_results["params"]`` does not hold dicts, as in a table read from a file.
            """,
        "no_matplotlib": """
            ImportError
                matplotlib is not installed.
            """,
        # Notes.
        "probabilities": """
            The softmax of :meth:`decision_function` divided by a temperature.  `fit` chooses the
            temperature that is likeliest for predictions of each training row from the others,
            computed in closed form (``solver="nystroem"``: for up to 1000 rows, with the same
            landmarks).  With ``solver="cg"`` or a `training_time`, a second fit with the same Gram
            matrix predicts a fifth of the rows (about 1000 of many rows) from the others; for few
            rows, several such fits predict a fifth each.  A row of weight w counts as w rows, of
            which the closed form leaves one out.
            """,
        "one_pass": """
            The kernels of all candidates come from one pass at the largest depth
            (:func:`cntk_path`).  Every candidate is scored by leave-one-out in closed form, from
            one eigendecomposition per kernel, or, with `cv`, on slices of the same Gram matrices.
            """,
        "staged": """
            An estimator fitted with a `training_time` keeps the eigendecomposition that this
            needs; any other estimator computes its Gram matrix again.
            """,
        # References.
        "arora": """
            .. [1] S. Arora, S. S. Du, W. Hu, Z. Li, R. Salakhutdinov, R. Wang, "On Exact
               Computation with an Infinitely Wide Neural Net", NeurIPS 2019.
            """,
        "li": """
            .. [2] Z. Li, R. Wang, D. Yu, S. S. Du, W. Hu, R. Salakhutdinov, S. Arora, "Enhanced
               Convolutional Neural Tangent Kernels", 2019.
            """,
    }.items()
}
