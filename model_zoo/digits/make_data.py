"""Writes the handwritten digits that come with scikit-learn as RecordIO files.

    python model_zoo/digits/make_data.py data/digits

makes data/digits/train (1,400 images in 4 files) and data/digits/validation (397 in 2).
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from elasticdl_like.data_readers import RecordIOWriter

TRAINING_IMAGES = 1400


def main(destination: Path) -> None:
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    records = np.concatenate([digits.data, digits.target[:, None]], axis=1).astype(np.uint8)[order]
    for name, part, num_files in (
        ("train", records[:TRAINING_IMAGES], 4),
        ("validation", records[TRAINING_IMAGES:], 2),
    ):
        folder = destination / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, chunk in enumerate(np.array_split(part, num_files)):
            with RecordIOWriter(folder / f"digits-{number}.recordio") as writer:
                for record in chunk:
                    writer.write(record.tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
