"""Reads the curves of a run as TensorBoard does."""

from __future__ import annotations

from pathlib import Path


def read_curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Returns the steps and values of each curve, in the order in which they were written.

    The files are read in the order of their names. Where one says that it begins, but for the
    first, the points from its step on are dropped; this is `PluginEventAccumulator._Purge`.
    """
    import tensorflow as tf

    curves: dict[str, list[tuple[int, float]]] = {}
    has_begun = False
    for path in sorted(run.glob("*tfevents*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            if event.session_log.status == tf.compat.v1.SessionLog.START:
                if has_begun:
                    for points in curves.values():
                        points[:] = [point for point in points if point[0] < event.step]
                has_begun = True
            for value in event.summary.value:
                curves.setdefault(value.tag, []).append((event.step, value.simple_value))
    return curves
