"""Paragraphs of docstrings that several classes or functions share, see `docstrings`.

Texts of constructors' parameters stand with their declarations instead.
"""

from inspect import cleandoc

#: By the name that a docstring has in braces; ``{cls}`` within is the documented class.
PARAGRAPHS = {
    name: cleandoc(text)
    for name, text in {
        # Parameters of methods.
        "X": """
            X : array-like (n, height, width, channels), (n, height, width) or (n, n_features)
                Images, or rows (see `image_shape`): finite real numbers of any dtype.
            """,
        "X_seen": """
            X : array-like, m images of the shape seen by :meth:`fit`
            """,
        "y": """
            y : array-like (n,), or (n, n_targets) for regression
                Targets of a regressor: finite real numbers.  Class labels of a classifier: at least
                two different ones.
            """,
        "no_y": """
            y : object, default=None
                Ignored.
            """,
        "times": """
            times : sequence of float or None
                Training times as in `training_time`; None is the end of training.
            """,
        # Parameters of displays.
        "score_name": """
            score_name : str, default="score"
                Label of the vertical axis; underscores become spaces.
            """,
        "ax": """
            ax : matplotlib Axes, default=None
                None makes a figure.
            """,
        "neighbor_axes": """
            ax : array-like of matplotlib Axes, shape (m, 1 + n_neighbors), default=None
                None makes a figure.
            """,
        "occlusion_axes": """
            ax : array-like of matplotlib Axes, shape (m, 2), default=None
                None makes a figure.
            """,
        "scorer_name": """
            scorer_name : str, default=None
                Which score, if there are several; the name of the score, if there is one.
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
                Symmetric.
            """,
        "y_of_gram": """
            y : array-like (n,), default=None
                Classes, or continuous targets.
            """,
        # Attributes of displays.
        "fill_between_": """
            fill_between_ : list of matplotlib collections, or None
                One standard deviation over splits to either side; None if there is one split.
            """,
        "errorbar_": """
            errorbar_ : list of matplotlib containers, or None
                The same with ``std_display_style="errorbar"``.
            """,
        "ax_": """
            ax_ : matplotlib Axes
                The first of them.
            """,
        # Attributes of fitted estimators.
        "classes_": """
            classes_ : ndarray (n_classes,)
            """,
        "X_fit_": """
            X_fit_ : ndarray (n_rows, height, width, channels)
                Training images that were used, or the landmarks.
            """,
        "intercept_": """
            intercept_ : float or ndarray (n_targets,)
                The (weighted) mean of the targets of the rows that were used; 0 with
                ``fit_intercept=False``.
            """,
        "temperature_": """
            temperature_ : float
                What :meth:`predict_proba` divides predicted targets by.
            """,
        "n_iter_": """
            n_iter_ : int
                Iterations of "cg"; 1 with other solvers.
            """,
        "kernel_": """
            kernel_ : CNTK
                The kernel that predictions use.
            """,
        "image_shape_": """
            image_shape_ : tuple (height, width, channels)
            """,
        "n_features_in_": """
            n_features_in_ : int
                height × width × channels.
            """,
        "feature_names_in_": """
            feature_names_in_ : ndarray of str
                Only if `X` has string column names.
            """,
        "best_params_": """
            best_params_ : dict
                ``depth``, ``gap``, ``lap`` and ``alpha`` of the best candidate, and its ``network``
                if others than "plain" are compared.
            """,
        "best_score_": """
            best_score_ : float
                Mean score of the best candidate; not there if `refit` is a function.
            """,
        "best_index_": """
            best_index_ : int
                Its place in ``cv_results_``.
            """,
        "cv_results_": """
            cv_results_ : dict of arrays
                With the columns of GridSearchCV; leave-one-out counts as one split.  Times of
                fitting hold equal shares of the pass that computed the Gram matrices, so that
                those of all candidates and splits add up to the time it took.
            """,
        "scorer_": """
            scorer_ : callable or dict
                The scorer, or scorers by metric.
            """,
        "multimetric_": """
            multimetric_ : bool
                Whether `scoring` gives several metrics.
            """,
        "n_splits_": """
            n_splits_ : int
                Splits of `cv`; 1 for leave-one-out.
            """,
        "refit_time_": """
            refit_time_ : float
                Seconds of fitting the best candidate to all rows.
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
                Epochs that were run.
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
                The learning rate that was used.
            """,
        # Estimates.
        "measured": """
            Measures for a second or so, after compiling; in place of large images, small ones.
            """,
        "image_shape_to_estimate_for": """
            image_shape : tuple, default=None
                Shape of an image; None takes the parameter `image_shape`.
            """,
        "Estimate": """
            Estimate
                A named tuple: pairs, element_layers, bytes, seconds, workers.  It prints as a line.
            """,
        # Errors.
        "unusable": """
            ValueError, TypeError
                Parameters or data that cannot be used, by name.
            """,
        "unusable_at_once": """
            ValueError, TypeError
                Parameters or data that cannot be used, by name, before anything is computed.
            """,
        "kernel_overflow": """
            ValueError
                Images so large that their kernel values exceed float64.
            """,
        "not_fitted": """
            NotFittedError, TypeError
                The estimator is not fitted, or no CNTK estimator.
            """,
        "no_params": """
            TypeError
                ``cv_results["params"]`` holds no dicts, as in a table that was read from a file.
            """,
        "no_matplotlib": """
            ImportError
                matplotlib is missing.
            """,
        # Notes.
        "probabilities": """
            Softmax of :meth:`decision_function` over a temperature, which `fit` chooses: the
            likeliest one for predictions of each training row from the others, in closed form
            (``solver="nystroem"``: of up to 1000 rows, with the same landmarks).  ``solver="cg"``
            and a `training_time` predict a fifth of the rows, or about 1000 of many, by a second
            fit to the others, with the Gram matrix that is there; of few rows several fifths, by as
            many fits.  A row of weight w counts as w rows, of which the closed form leaves one out.
            """,
        "one_pass": """
            The kernels of all candidates come from one pass at the largest depth
            (:func:`cntk_path`).  Every candidate is scored by leave-one-out in closed form, from
            one eigendecomposition a kernel, or, with `cv`, by slices of the same Gram matrices.
            """,
        "staged": """
            An estimator that was fitted with a `training_time` keeps the eigendecomposition this
            needs; any other computes its Gram matrix again.
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
