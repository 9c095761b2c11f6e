"""Writes the irises that come with scikit-learn into a table of MaxCompute.

    python model_zoo/iris_odps/make_table.py odps://PROJECT/iris

makes the table with the partitions part=train (120 rows) and part=validation (30). The service and
the credentials are those in the environment: MAXCOMPUTE_ENDPOINT, MAXCOMPUTE_AK, MAXCOMPUTE_SK.
"""

import sys

import numpy as np
from sklearn.datasets import load_iris

from elasticdl_like.data_readers.odps.access import find_access
from elasticdl_like.data_readers.odps.location import OdpsLocation
from elasticdl_like.data_readers.odps.writer import OdpsWriter

COLUMNS = {
    "sepal_length": "double",
    "sepal_width": "double",
    "petal_length": "double",
    "petal_width": "double",
    "species": "bigint",
}
TRAINING_ROWS = 120


def main(table: str) -> None:
    iris = load_iris()
    # The source has them by species. A random order also spreads them over the tasks.
    order = np.random.RandomState(0).permutation(len(iris.target))
    for part, rows in (("train", order[:TRAINING_ROWS]), ("validation", order[TRAINING_ROWS:])):
        location = OdpsLocation.parse(f"{table}/part={part}")
        writer = OdpsWriter(find_access({"project": location.project}), location)
        writer.open_table(COLUMNS)
        session_id = writer.begin(overwrite=True)
        with writer.open_block(session_id, 0) as write:
            values = [*iris.data[rows].T, iris.target[rows]]
            write(dict(zip(COLUMNS, values, strict=True)))
        writer.commit(session_id, [0])


if __name__ == "__main__":
    main(sys.argv[1])
