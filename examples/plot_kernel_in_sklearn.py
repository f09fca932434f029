"""
The kernel in scikit-learn's own estimators
===========================================

:class:`~sklearn_cntk.CNTK` is a scikit-learn kernel. Use it wherever a kernel
is accepted: here in :class:`~sklearn.kernel_ridge.KernelRidge`,
:class:`~sklearn.svm.SVC` and :class:`~sklearn.decomposition.KernelPCA`.
"""

# %%
# Ridge regression and a support vector machine
# ---------------------------------------------
# These estimators take one image per row, so the kernel needs the shape of the
# images.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import KernelPCA
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelBinarizer
from sklearn.svm import SVC

from sklearn_cntk import CNTK

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=500, random_state=0, stratify=y
)

kernel = CNTK(depth=6, gap=False, normalize=True, image_shape=(8, 8))

rbf = SVC(C=10).fit(X_train, y_train)
print(
    f"SVC, RBF          {100 * rbf.score(X_test, y_test):.1f} % "
    f"of {len(X_test)} test images"
)
svc = SVC(kernel=kernel, C=10).fit(X_train, y_train)
print(f"SVC, CNTK         {100 * svc.score(X_test, y_test):.1f} %")

# %%
# ``KernelRidge`` is a regressor, so give it one column of 0 and 1 per class,
# and predict the class with the largest value.

one_hot = LabelBinarizer().fit(y_train)
ridge = KernelRidge(kernel=kernel, alpha=1e-3).fit(
    X_train, one_hot.transform(y_train)
)
predicted = ridge.predict(X_test).argmax(axis=1)
print(f"KernelRidge, CNTK {100 * (predicted == y_test).mean():.1f} %")

# %%
# Principal components
# --------------------
# Here are six classes in the first two principal components of the feature
# space: for the RBF kernel of the pixels, and for infinitely wide networks
# with flattening and with pooling. Classes overlap in all three plots, since
# two components are only a small part of the feature space.

few = y_train < 6
pooled = CNTK(depth=6, gap=True, normalize=True, image_shape=(8, 8))
embeddings = {
    "RBF kernel of the pixels": KernelPCA(
        2, kernel="rbf", gamma=1 / (64 * X_train.var())
    ),
    "CNTK, flattening": KernelPCA(2, kernel=kernel),
    "CNTK, GAP": KernelPCA(2, kernel=pooled),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.9), layout="constrained")
for ax, (name, pca) in zip(axes, embeddings.items(), strict=True):
    points = pca.fit_transform(X_train[few])
    dots = ax.scatter(
        *points.T, c=y_train[few], cmap="tab10", vmin=0, vmax=9, s=14
    )
    ax.set(
        title=name,
        xticks=[],
        yticks=[],
        xlabel="component 1",
        ylabel="component 2",
    )
figure.legend(
    *dots.legend_elements(), title="digit", loc="outside right center"
)
plt.show()
