"""A small convolutional network, trained on randomly shifted (and mirrored) images."""

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import nn

STEPS = 1000
BATCH = 32
RATES = (1e-3, 3e-3)

# Threads gain little for such small networks, and wait for each other.
torch.set_num_threads(1)


def fit(X, y, setting):
    """Fit like the methods in `rivals`; a fifth of the images selects the learning rate."""
    rate = RATES[0]
    if np.bincount(y).min() >= 5:
        rows, held = train_test_split(
            np.arange(len(X)), test_size=0.2, random_state=setting.seed, stratify=y
        )
        accuracies = [
            np.mean(train(X[rows], y[rows], r, setting)(X[held]) == y[held]) for r in RATES
        ]
        rate = RATES[int(np.argmax(accuracies))]
    return train(X, y, rate, setting), {"learning_rate": rate}


def train(X, y, rate, setting):
    torch.manual_seed(setting.seed)
    mean, deviation = X.mean(axis=(0, 1, 2)), X.std(axis=(0, 1, 2))
    deviation = np.where(deviation > 0, deviation, 1.0)

    def tensor(images):
        images = torch.tensor((images - mean) / deviation, dtype=torch.float32)
        return images.permute(0, 3, 1, 2).contiguous()

    def block(channels, width):
        convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        return convolution, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)

    images, labels = tensor(X), torch.tensor(y, dtype=torch.int64)
    network = nn.Sequential(
        *block(X.shape[3], 16), *block(16, 32), *block(32, 64)[:3],
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, int(y.max()) + 1),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(STEPS):
        while len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(images))])
        rows, order = order[:BATCH], order[BATCH:]
        batch = augment(images[rows], setting.mirror)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(batch), labels[rows]).backward()
        optimizer.step()
        schedule.step()
    network.eval()

    def predict(images):
        with torch.no_grad():
            return network(tensor(images)).argmax(dim=1).numpy()

    return predict


def augment(images, mirror):
    """Shift each image of a batch by up to an eighth of its side, repeating its border."""
    if mirror:
        flipped = torch.rand(len(images)) < 0.5
        images = torch.where(flipped[:, None, None, None], images.flip(3), images)
    height, width = images.shape[2:]
    up, left = height // 8, width // 8
    padded = nn.functional.pad(images, (left, left, up, up), mode="replicate")
    rows = torch.randint(2 * up + 1, (len(images),))
    columns = torch.randint(2 * left + 1, (len(images),))
    return torch.stack(
        [
            image[:, row : row + height, column : column + width]
            for image, row, column in zip(padded, rows, columns, strict=True)
        ]
    )
