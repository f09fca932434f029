"""OcclusionDisplay: its maps against loops and linear models, what is drawn, and errors."""

from itertools import product

import numpy as np
import pytest
from displays import IMAGES, INK, LABELS, TEST, TEST_LABELS, classifier, draw
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_cntk import CNTKClassifier, CNTKClassifierCV, CNTKRegressor
from sklearn_cntk.preprocessing import ImageStandardizer, PatchFeatures

pytest.importorskip("matplotlib", reason="displays need matplotlib")

from sklearn_cntk.plotting import OcclusionDisplay  # noqa: E402

ROWS = IMAGES.reshape(len(IMAGES), -1)
TWO, THREE = TEST[:2], TEST[:3]


@pytest.fixture(scope="module")
def model():
    return classifier().fit(IMAGES, LABELS)


def loop(predict, images, size, stride, fill):
    """Maps by one call of `predict`, which returns a number for an image, for each patch."""
    maps = []
    for image in images:
        height, width = image.shape[:2]
        whole, lines = predict(image), []
        for top in range(0, height - size + 1, stride):
            line = []
            for left in range(0, width - size + 1, stride):
                copy = image.copy()
                for row, column in product(range(top, top + size), range(left, left + size)):
                    copy[row, column] = image.mean(axis=(0, 1)) if fill == "mean" else fill
                line.append(whole - predict(copy))
            lines.append(line)
        maps.append(lines)
    return np.array(maps)


def linear_weights(targets, images=IMAGES, alpha=1e-3):
    """Weights of the pixels by ridge regression without the kernel's code, for depth 1."""
    rows = images.reshape(len(images), -1)
    K = rows @ rows.T
    ridge = alpha * np.trace(K) / len(K) * np.eye(len(K))
    return rows.T @ np.linalg.solve(K + ridge, targets)


def patch_sums(values, size, stride=1):
    """Sums (m, n_rows, n_columns) over patches of values (m, height, width)."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride].sum(axis=(3, 4))


# --- the maps -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "stride", "fill"), [(6, 1, "mean"), (2, 3, 0.5), (8, 1, -1)])
def test_maps_are_those_of_a_loop(model, size, stride, fill):
    options = {"patch_size": size, "stride": stride, "fill": fill}
    display = OcclusionDisplay.from_estimator(model, TWO, **options)
    for row, image in enumerate(TWO):
        predicted = model.decision_function(image[None]).argmax()

        def predict(image, predicted=predicted):
            return model.decision_function(image[None])[0, predicted]

        expected = loop(predict, [image], size, stride, fill)
        np.testing.assert_allclose(display.maps[[row]], expected, rtol=1e-7, atol=1e-9)
        assert display.decisions[row] == pytest.approx(predict(image))
        assert display.predictions[row] == display.classes[row] == model.classes_[predicted]


def test_channels_are_filled_one_by_one():
    colour = np.stack([IMAGES, IMAGES**2, 1 - IMAGES], axis=-1)
    model = classifier().fit(colour, LABELS == 1)
    image = colour[0]

    def predict(image):
        return model.predict_proba(image[None])[0, 1]

    for fill in ("mean", (0.25, 0.5, 2.0)):
        display = OcclusionDisplay.from_estimator(
            model,
            image[None],
            patch_size=4,
            stride=2,
            fill=fill,
            response_method="predict_proba",
            class_of_interest=True,
        )
        expected = loop(predict, [image], 4, 2, fill)
        np.testing.assert_allclose(display.maps, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("fill", ["mean", 0.25])
def test_map_of_a_linear_classifier(fill):
    """Depth 1 is the linear kernel: a pixel adds its weight times its distance from the fill."""
    model = CNTKClassifier(1, False, alpha=1e-3, dtype="float64").fit(IMAGES, LABELS)
    weights = linear_weights(np.eye(4)[LABELS] - 1 / 4).T.reshape(4, 8, 8)
    replaced = THREE.mean(axis=(1, 2), keepdims=True) if fill == "mean" else fill
    options = {"patch_size": 3, "stride": 2, "fill": fill}
    for of_interest in (None, 2):
        display = OcclusionDisplay.from_estimator(
            model, THREE, class_of_interest=of_interest, **options
        )
        classes = (THREE[:, None] * weights).sum(axis=(2, 3)).argmax(axis=1)
        np.testing.assert_array_equal(display.predictions, classes)
        shown = classes if of_interest is None else np.full(len(THREE), of_interest)
        np.testing.assert_array_equal(display.classes, shown)
        expected = patch_sums(weights[shown] * (THREE - replaced), 3, 2)
        np.testing.assert_allclose(display.maps, expected, rtol=1e-6, atol=1e-9)


def test_map_of_a_linear_classifier_of_two_classes():
    """The first class's decision is the negative of the second one's."""
    names = np.where(LABELS < 2, "low", "high")  # "high" is the first
    model = CNTKClassifier(1, False, alpha=1e-3, dtype="float64").fit(IMAGES, names)
    weights = linear_weights((LABELS < 2) - 0.5).reshape(8, 8)
    signs = np.where((THREE * weights).sum(axis=(1, 2)) > 0, 1, -1)
    assert len(set(signs)) == 2
    expected = patch_sums(weights * THREE, 2)
    display = OcclusionDisplay.from_estimator(model, THREE, fill=0)
    np.testing.assert_allclose(display.maps, signs[:, None, None] * expected, atol=1e-9)
    assert (display.decisions > 0).all()
    display = OcclusionDisplay.from_estimator(model, THREE, fill=0, class_of_interest="high")
    np.testing.assert_allclose(display.maps, -expected, atol=1e-9)
    np.testing.assert_array_equal(display.predictions, model.predict(THREE))


def test_map_of_a_linear_regressor():
    targets = np.c_[INK, IMAGES[:, :4].sum(axis=(1, 2))]
    model = CNTKRegressor(1, False, alpha=1e-3, dtype="float64").fit(IMAGES, targets)
    weights = linear_weights(targets - targets.mean(axis=0)).T.reshape(2, 8, 8)
    for target in (0, 1):
        display = OcclusionDisplay.from_estimator(model, TWO, fill=0, patch_size=2, target=target)
        expected = patch_sums(weights[target] * TWO, 2)
        np.testing.assert_allclose(display.maps, expected, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(display.predictions, model.predict(TWO)[:, target])
        np.testing.assert_array_equal(display.decisions, display.predictions)
        assert display.classes is None
    alone = CNTKRegressor(1, False, alpha=1e-3, dtype="float64").fit(IMAGES, targets[:, 1])
    display = OcclusionDisplay.from_estimator(alone, TWO, fill=0, patch_size=2)
    np.testing.assert_allclose(display.maps, expected, rtol=1e-6, atol=1e-9)


def test_one_call_predicts_all_copies(monkeypatch):
    calls = []

    class Counting(CNTKClassifier):
        def decision_function(self, X):
            calls.append(len(X))
            return super().decision_function(X)

    given = (16 * THREE).astype(np.uint8)
    before = given.copy()
    model = Counting(2, False).fit(16 * IMAGES, LABELS)
    OcclusionDisplay.from_estimator(model, given, patch_size=3, stride=2)
    assert calls == [len(THREE) * (1 + 3 * 3)]
    np.testing.assert_array_equal(given, before)


def of_unit_range(X):
    """What readers of images do: integers go up to 255."""
    return X / 255 if X.dtype == np.uint8 else X


def test_images_keep_their_dtype():
    """A step that asks for it treats covered images as those of training."""
    train, given = (np.rint(10 * images).clip(0, 255).astype(np.uint8) for images in (IMAGES, TWO))
    model = make_pipeline(FunctionTransformer(of_unit_range), CNTKClassifier(2, False))
    model.fit(train, LABELS)
    display = OcclusionDisplay.from_estimator(model, given, patch_size=6, stride=2)
    decisions = model.decision_function(given)
    np.testing.assert_allclose(display.decisions, decisions.max(axis=1))
    for row, image in enumerate(given):
        covered = image.copy()
        covered[2:8, 2:8] = round(image.mean())
        expected = decisions[row] - model.decision_function(covered[None])[0]
        assert display.maps[row, 1, 1] == pytest.approx(expected[decisions[row].argmax()])
    with pytest.raises(ValueError, match="fill=300 is outside .* uint8, .* from 0 to 255"):
        OcclusionDisplay.from_estimator(model, given, fill=300)


# --- estimators and forms of X --------------------------------------------------------------------


def test_searches_and_pipelines_are_covered_before_any_step():
    """A patch of the image, not of what the last step sees."""
    features = PatchFeatures(8, patch_size=3, pool_size=3, random_state=0)
    search = GridSearchCV(classifier(2), {"alpha": [1e-5, 1.0]}, cv=2)
    models = [
        make_pipeline(features, ImageStandardizer(), search),
        GridSearchCV(make_pipeline(ImageStandardizer(), classifier(2)), {}, cv=2),
        make_pipeline(FunctionTransformer(lambda X: X[:, 1:7]), classifier(2)),
        CNTKClassifierCV(depths=(2,), gaps=(False,)),
    ]
    for model in models:
        model.fit(IMAGES, LABELS)
        display = OcclusionDisplay.from_estimator(model, TWO, patch_size=4, stride=4)
        np.testing.assert_array_equal(display.images[..., 0], TWO)
        best = model.decision_function(TWO).argmax(axis=1)

        def predict(image, model=model, best=best[1]):
            return model.decision_function(image[None])[0, best]

        expected = loop(predict, TWO[1:], 4, 4, "mean")
        np.testing.assert_allclose(display.maps[1:], expected, rtol=1e-6, atol=1e-8)


def test_rows_are_covered_as_images(model):
    expected = OcclusionDisplay.from_estimator(model, TWO)
    rows = TWO.reshape(2, -1)
    shaped = classifier(image_shape=(8, 8)).fit(ROWS, LABELS)
    search = GridSearchCV(shaped, {"alpha": [shaped.alpha]}, cv=2).fit(ROWS, LABELS)
    for estimator, X in ((shaped, rows), (shaped, rows.tolist()), (search, rows), (shaped, TWO)):
        display = OcclusionDisplay.from_estimator(estimator, X)
        assert display.images.shape == (2, 8, 8, 1)
        np.testing.assert_allclose(display.maps, expected.maps, rtol=1e-6, atol=1e-9)
    scaled = make_pipeline(StandardScaler(), shaped).fit(ROWS, LABELS)
    assert OcclusionDisplay.from_estimator(scaled, rows).maps.shape == (2, 7, 7)


def test_tables_keep_their_columns():
    """Otherwise scikit-learn warns, which is an error here."""
    pandas = pytest.importorskip("pandas")
    columns = [f"pixel {k}" for k in range(64)]
    table = pandas.DataFrame(ROWS, columns=columns)
    model = classifier(2, image_shape=(8, 8)).fit(table, LABELS)
    display = OcclusionDisplay.from_estimator(model, table[:2], stride=3)
    same = classifier(2, image_shape=(8, 8)).fit(ROWS, LABELS)
    expected = OcclusionDisplay.from_estimator(same, ROWS[:2], stride=3)
    np.testing.assert_array_equal(display.maps, expected.maps)


def test_image_shape_where_no_step_has_seen_it():
    reduced = make_pipeline(PCA(10, random_state=0), classifier(2)).fit(ROWS, LABELS)
    rows = TEST[:1].reshape(1, -1)
    with pytest.raises(ValueError, match=r"X has 64 features per row, .* before CNTKClassifier .*"
                       r"\(1, 1, 10\): give image_shape"):  # fmt: skip
        OcclusionDisplay.from_estimator(reduced, rows)
    display = OcclusionDisplay.from_estimator(reduced, rows, image_shape=(8, 8), patch_size=4)

    def predict(image):
        return reduced.decision_function(image.reshape(1, -1)).max()

    whole = predict(TEST[0])
    copy = TEST[0].copy()
    copy[4:, 1:5] = copy.mean()
    column = reduced.decision_function(rows).argmax()
    covered = reduced.decision_function(copy.reshape(1, -1))[0, column]
    assert display.maps[0, 4, 1] == pytest.approx(whole - covered)


@pytest.mark.parametrize("shape", [(1, 12, 2), (12, 1, 2)])
def test_signals(shape, rng):
    """A window that moves along the signal, drawn as stripes behind its lines."""
    signals = rng.normal(size=(20, *shape))
    model = classifier(image_shape=shape).fit(signals, np.arange(20) % 2)
    display = draw(OcclusionDisplay.from_estimator(model, signals[:2], fill=0, stride=2))
    assert sorted(display.patch_shape) == [1, 3]  # a quarter
    assert display.maps.shape == ((2, 1, 5) if shape[0] == 1 else (2, 5, 1))
    flat = signals[1].reshape(12, 2).copy()
    flat[4:7] = 0
    sign = 1 if model.decision_function(signals[[1]])[0] > 0 else -1
    drop = model.decision_function(signals[[1]]) - model.decision_function(flat.reshape(1, *shape))
    np.testing.assert_allclose(display.maps[1].ravel()[2], sign * drop[0], rtol=1e-6)
    ax = display.axes_[1, 1]
    assert len(ax.lines) == 2
    np.testing.assert_array_equal(display.heatmaps_[1].get_array(), display.maps[1].reshape(1, -1))
    assert display.heatmaps_[1].get_extent()[:2] == [0, 10]  # five stripes around 1, 3, 5, 7, 9
    if shape[0] == 1:
        rows = OcclusionDisplay.from_estimator(model, signals[:2, 0], fill=0, stride=2)
        np.testing.assert_array_equal(rows.maps, display.maps)


# --- what is drawn --------------------------------------------------------------------------------


def test_cells_lie_where_patches_were(model):
    for size, stride in ((3, 1), (2, 1), (4, 2), (3, 4)):
        display = OcclusionDisplay.from_estimator(model, TEST[:1], patch_size=size, stride=stride)
        left, right, bottom, top = display.heatmaps_[0].get_extent()
        n = (8 - size) // stride + 1
        assert display.maps.shape == (1, n, n)
        assert (left, right) == (top, bottom)
        centres = left + (np.arange(n) + 0.5) * (right - left) / n
        expected = [np.mean(range(8)[k : k + size]) for k in range(0, 8 - size + 1, stride)]
        np.testing.assert_allclose(centres, expected)
        assert display.axes_[0, 1].axis() == display.axes_[0, 0].axis() == (-0.5, 7.5, 7.5, -0.5)


def test_what_is_drawn(model):
    display = draw(
        OcclusionDisplay.from_estimator(
            model, THREE, y=TEST_LABELS[:3], response_method="predict_proba", class_of_interest=3
        )
    )
    assert display.axes_.shape == (3, 2)
    assert display.ax_ is display.axes_[0, 0]
    assert display.colorbar_.ax.get_ylabel() == "Drop of the probability"
    limit = np.abs(display.maps).max()
    predicted, probabilities = model.predict(TEST), model.predict_proba(TEST)[:, 3]
    for row, (left, right) in enumerate(display.axes_):
        assert left.get_title() == f"predicted {predicted[row]}\ntrue {TEST_LABELS[row]}"
        title, value = right.get_title().split("\n")
        assert title == "probability of 3"
        assert float(value.replace("\N{MINUS SIGN}", "-")) == pytest.approx(
            probabilities[row], rel=1e-2
        )
        heatmap = display.heatmaps_[row]
        np.testing.assert_array_equal(heatmap.get_array(), display.maps[row])
        assert heatmap.get_clim() == (-limit, limit)
    # Blue speaks for a class, orange against it, as in NeighborsDisplay.
    red, _, blue, _ = np.transpose(display.heatmaps_[0].cmap([0.0, 0.5, 1.0]))
    assert red[0] > blue[0]
    assert min(red[1], blue[1]) > 0.99
    assert blue[2] > red[2]


def test_drawn_again_on_given_axes(model):
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(2, 2)
    display = OcclusionDisplay.from_estimator(model, TWO, ax=axes, image_kw={"vmax": 5})
    assert display.axes_.tolist() == axes.tolist()
    assert display.heatmaps_[0].get_clim()[1] == 5
    assert display.plot() is display
    assert display.axes_[0, 0] is not axes[0, 0]
    with pytest.raises(ValueError, match=r"ax has shape \(2,\): give axes of shape \(2, 2\)"):
        display.plot(axes[0])
    display.maps = np.zeros_like(display.maps)  # nothing matters
    draw(display.plot())


# --- what cannot be shown -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"patch_size": 9}, ValueError, "patch_size=9 is larger than images of 8 × 8 .* up to 8"),
        ({"patch_size": 0}, ValueError, "patch_size=0 is too small: use 1 or more pixels"),
        ({"patch_size": 2.0}, TypeError, "patch_size must be an integer, got 2.0"),
        ({"stride": 0}, ValueError, "stride=0 is too small: use 1 or more pixels"),
        ({"fill": "median"}, ValueError, "fill='median' cannot be used: use 'mean', a finite"),
        ({"fill": np.nan}, ValueError, "fill=nan cannot be used"),
        ({"fill": [[0], [1, 2]]}, ValueError, r"fill=.* cannot be used"),
        ({"fill": [0, 1]}, ValueError, r"fill=\[0, 1\] cannot .* or 1 of them, one for each"),
        ({"response_method": "predict"}, ValueError, "response_method='predict' is unknown"),
        ({"class_of_interest": 7}, ValueError, r"class_of_interest=7 is not a class: .*\[0, 1, 2"),
        ({"class_of_interest": [1, 2]}, ValueError, r"class_of_interest=\[1, 2\] is not a class"),
        ({"target": 1}, ValueError, "target=1 is for regressors: for a CNTKClassifier a class_of"),
        ({"image_shape": (4, 4)}, ValueError, "holds images of shape .8, 8, 1., but image_shape="),
        ({"y": [1]}, ValueError, "inconsistent numbers of samples"),
    ],
)
def test_wrong_parameters(model, options, error, message):
    with pytest.raises(error, match=message):
        OcclusionDisplay.from_estimator(model, TWO, **options)


def test_wrong_parameters_of_regressors():
    model = CNTKRegressor(2, False).fit(IMAGES, INK)
    for options, message in (
        ({"response_method": "predict_proba"}, "'predict_proba' is for classifiers: for a CNTKReg"),
        ({"class_of_interest": 1}, "class_of_interest=1 is for classifiers: a CNTKRegressor has"),
        ({"target": 1}, "target=1 is not a column of the targets: use 0, since there is one"),
    ):
        with pytest.raises(ValueError, match=message):
            OcclusionDisplay.from_estimator(model, TWO, **options)


def test_wrong_estimators_and_images(model):
    for estimator in (CNTKClassifier(), make_pipeline(ImageStandardizer(), CNTKClassifierCV())):
        with pytest.raises(NotFittedError):
            OcclusionDisplay.from_estimator(estimator, TWO)
    with pytest.raises(TypeError, match="RidgeClassifier is not a CNTK estimator"):
        OcclusionDisplay.from_estimator(RidgeClassifier(), TWO)
    search = GridSearchCV(classifier(2), {}, cv=2, refit=False).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match="fitted with refit=False"):
        OcclusionDisplay.from_estimator(search, TWO)
    with pytest.raises(ValueError, match=r"that of a single image: use image\[None\]"):
        OcclusionDisplay.from_estimator(model, TEST[0])
    vectors = classifier(2).fit(ROWS[:, 8:], LABELS)
    with pytest.raises(ValueError, match="feature vectors of 56 features.* or give image_shape"):
        OcclusionDisplay.from_estimator(vectors, ROWS[:2, 8:])
    display = OcclusionDisplay.from_estimator(vectors, ROWS[:2, 8:], image_shape=(7, 8))
    assert display.maps.shape == (2, 7, 8)
    two = np.stack([IMAGES, IMAGES], axis=-1)
    with pytest.raises(ValueError, match="images of 2 channels"):
        OcclusionDisplay.from_estimator(classifier(2).fit(two, LABELS), two)


def test_copies_that_do_not_fit(model, free_memory):
    free_memory(2 * 50 * 64 * 8 - 1)
    with pytest.raises(MemoryError, match="2 images with a patch at 7 × 7 places needs .* stride"):
        OcclusionDisplay.from_estimator(model, TWO)
