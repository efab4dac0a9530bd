"""Crops of eight pictures: where they come from, the split by region and the .bin format."""

import hashlib
import struct
from importlib import util
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32
# Test crops and calibration crops of each class.
TEST_CROPS = 24
CALIBRATION_CROPS = 8
# Columns left of this part of the picture are for training, right of it and of the gap for testing.
TRAIN_PART = 0.62
GAP = 16

# class: (file in skimage/data, SHA-256, shrink, part of the picture's middle that is used)
PICTURES = {
    "cat": ("chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb", 1, 1),
    "coffee": ("coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7", 1, 1),
    "galaxies": ("hubble_deep_field.jpg", "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4", 2, 1),
    "retina": ("retina.jpg", "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6", 3, 0.68),
    "rocket": ("rocket.jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c", 1, 1),
    "bricks": ("brick.png", "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf", 1, 1),
    "grass": ("grass.png", "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89", 1, 1),
    "gravel": ("gravel.png", "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12", 1, 1),
}
CLASSES = len(PICTURES)


def picture(name):
    """Whole numbers [3, height, width], 0 to 255; a grey picture has three equal channels."""
    file, digest, shrink, part = PICTURES[name]
    path = Path(util.find_spec("skimage").origin).parent / "data" / file
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest, f"{file}: not the picture that was used"
    image = np.asarray(Image.open(path).convert("RGB")).astype(np.int64)
    height, width = (int(side * part) // shrink for side in image.shape[:2])
    top, left = (image.shape[0] - height * shrink) // 2, (image.shape[1] - width * shrink) // 2
    image = image[top : top + height * shrink, left : left + width * shrink]
    # Means of shrink x shrink pixels, rounded.
    sums = image.reshape(height, shrink, width, shrink, 3).sum((1, 3))
    return ((2 * sums + shrink**2) // (2 * shrink**2)).transpose(2, 0, 1).astype(np.uint8)


def split(part=TRAIN_PART):
    """Returns the training regions and the test regions, one of each per class."""
    regions = [picture(name) for name in PICTURES]
    edges = [int(region.shape[2] * part) for region in regions]
    return (
        [region[:, :, :edge] for region, edge in zip(regions, edges)],
        [region[:, :, edge + GAP :] for region, edge in zip(regions, edges)],
    )


def apart(regions, count, random):
    """`count` crops of each region that do not overlap; classes alternate. Returns (crops, labels)."""
    chosen = []
    for region in regions:
        rows, columns = (side // SIDE for side in region.shape[1:])
        cells = random.permutation(rows * columns)[:count]
        assert len(cells) == count, "region too small"
        corners = [(cell // columns * SIDE, cell % columns * SIDE) for cell in cells]
        chosen.append([region[:, y : y + SIDE, x : x + SIDE] for y, x in corners])
    crops = np.array([crops[i] for i in range(count) for crops in chosen])
    return crops, np.tile(np.arange(len(regions), dtype=np.uint8), count)


def shown(regions, count, random):
    """`count` crops of random regions at random places, half of them mirrored, brightness and contrast
    changed a little; whole numbers. Returns (crops, labels)."""
    labels = random.randint(0, len(regions), count)
    crops = np.empty((count, 3, SIDE, SIDE), np.float32)
    for i, label in enumerate(labels):
        region = regions[label]
        y = random.randint(0, region.shape[1] - SIDE + 1)
        x = random.randint(0, region.shape[2] - SIDE + 1)
        crop = region[:, y : y + SIDE, x : x + SIDE]
        crops[i] = crop[:, :, ::-1] if random.randint(2) else crop
    contrast = random.uniform(0.85, 1.15, (count, 1, 1, 1))
    brightness = random.uniform(-15, 15, (count, 1, 1, 1))
    crops = np.round(np.clip((crops - 100) * contrast + 100 + brightness, 0, 255))
    return crops.astype(np.float32), labels


def encode(crops, labels):
    """The .bin format: magic, version, height, width, channels, count u32 LE, pixels channel by channel, labels."""
    header = b"SPIC" + struct.pack("<BBBBI", 1, SIDE, SIDE, 3, len(labels))
    return header + crops.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()
