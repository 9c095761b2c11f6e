"""The chaos harness: jobs under faults that one integer decides, and proof that nothing was lost.

See docs/faults.md. `__main__` runs seeds; `data_plane`, `training` and `round_run` are the kinds of
job.
"""
