"""What tests of displays share: images of four digits, and small models of them."""

from sklearn.datasets import load_digits

from sklearn_cntk import CNTKClassifier

DIGITS = load_digits(n_class=4)
IMAGES, LABELS = DIGITS.images[:60] / 16, DIGITS.target[:60]
TEST, TEST_LABELS = DIGITS.images[60:66] / 16, DIGITS.target[60:66]
INK = IMAGES.sum(axis=(1, 2))
GAP, FLAT = "global average pooling", "flattening"


def classifier(depth=3, **parameters):
    return CNTKClassifier(depth=depth, gap=False, random_state=0, **parameters)


def draw(display):
    """Everything is laid out, so that what cannot be drawn raises."""
    display.figure_.canvas.draw()
    return display
