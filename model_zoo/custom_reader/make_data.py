"""Writes the irises that come with scikit-learn into a SQLite database.

    python model_zoo/custom_reader/make_data.py data/iris.db

makes data/iris.db with the tables train (120 rows) and validation (30).
"""

import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from sklearn.datasets import load_iris

TRAINING_ROWS = 120


def main(database: Path) -> None:
    iris = load_iris()
    rows = [
        (*lengths, species)
        for lengths, species in zip(iris.data.tolist(), iris.target.tolist(), strict=True)
    ]
    # The source has them by species. A random order also spreads them over the tasks.
    random.Random(0).shuffle(rows)
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, part in (
            ("train", rows[:TRAINING_ROWS]),
            ("validation", rows[TRAINING_ROWS:]),
        ):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(
                f"CREATE TABLE {table} (sepal_length REAL, sepal_width REAL, petal_length REAL, "
                "petal_width REAL, species INTEGER)"
            )
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)", part)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
