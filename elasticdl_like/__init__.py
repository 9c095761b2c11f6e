"""An elastic training data-sharding framework: every record of every epoch counted exactly once."""

__version__ = "0.1.0"
