"""Diagrams of estimators in notebooks, and their links to the documentation."""

from email.message import Message
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec

import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr

import sklearn_cntk
from sklearn_cntk import CNTK, CNTKClassifier, preprocessing
from sklearn_cntk._models import doc_links as _doc_links


def public_estimators():
    """(public module, class) of all estimators."""
    modules = [sklearn_cntk, preprocessing]
    if find_spec("torch"):
        from sklearn_cntk import finite

        modules.append(finite)
    return [
        (module.__name__, cls)
        for module in modules
        for cls in vars(module).values()
        if isinstance(cls, type)
        and issubclass(cls, BaseEstimator)
        and not cls.__name__.startswith("_")
        and cls.__name__ != "ImageEstimator"
    ]


@pytest.fixture
def published(monkeypatch):
    """A package whose documentation has a URL."""
    message = Message()
    message["Project-URL"] = "Paper, https://arxiv.org/abs/1904.11955"
    message["Project-URL"] = "Documentation, https://docs.example.org/cntk/"
    monkeypatch.setattr(_doc_links, "metadata", lambda name: message)
    _doc_links.documentation_url.cache_clear()
    yield
    _doc_links.documentation_url.cache_clear()


@pytest.fixture
def unpublished(monkeypatch):
    """A package that is not installed."""

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_doc_links, "metadata", missing)
    _doc_links.documentation_url.cache_clear()
    yield
    _doc_links.documentation_url.cache_clear()


@pytest.mark.parametrize(("module", "cls"), public_estimators())
def test_diagram_has_a_link(module, cls, published):
    html = estimator_html_repr(cls())
    page = f"https://docs.example.org/cntk/api/generated/{module}.{cls.__name__}.html"
    assert '<a class="sk-estimator-doc-link' in html
    assert f'href="{page}"' in html


@pytest.mark.parametrize(("module", "cls"), public_estimators())
def test_no_link_without_a_url(module, cls, unpublished):
    html = estimator_html_repr(cls())
    assert cls.__name__ in html
    assert '<a class="sk-estimator-doc-link' not in html


def test_fitted_and_nested_diagrams(published):
    images, labels = load_digits(return_X_y=True)
    model = make_pipeline(
        preprocessing.ImageStandardizer(image_shape=(8, 8)),
        CNTKClassifier(depth=2, gap=False, image_shape=(8, 8)),
    ).fit(images[:30], labels[:30])
    html = estimator_html_repr(model)
    for name in ("sklearn_cntk.preprocessing.ImageStandardizer", "sklearn_cntk.CNTKClassifier"):
        assert f"generated/{name}.html" in html
    html = estimator_html_repr(KernelRidge(kernel=CNTK(depth=4, image_shape=(8, 8))))
    assert "CNTK(depth=4, image_shape=(8, 8))" in html


def test_subclasses_elsewhere_have_no_link(published):
    class Mine(CNTKClassifier):
        pass

    assert Mine()._get_doc_link() == ""
