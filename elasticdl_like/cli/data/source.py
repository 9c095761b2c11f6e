"""The data set that a command is about, and the reader that reads it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elasticdl_like.cli.options import data_config, model_config
from elasticdl_like.config import DataConfig, ModelConfig

if TYPE_CHECKING:
    from elasticdl_like.data_readers.reading import DataReader

RECORDS_PER_TASK = 4096


@dataclass(frozen=True)
class Source:
    """What the flags of a command say of a data set; can be pickled, for other processes.

    Attributes:
        data: the data set.
        model: where the user's reader is, if there is one.
        index_dir: for indexes, "" for none.
    """

    data: DataConfig
    model: ModelConfig | None
    index_dir: str

    def make_reader(self) -> DataReader:
        """Constructs the reader, as each process of a job does.

        Raises:
            ElasticdlError: it cannot be made.
        """
        from elasticdl_like.data_readers.registry import make_reader

        return make_reader(
            self.data.training_data, self.data, self.model, RECORDS_PER_TASK, self.index_dir
        )


def source_of(data_origin: str, flags: Mapping[str, Any]) -> Source:
    """Returns the data set that a command is about.

    Args:
        data_origin: where it is.
        flags: those of `reader_options`.

    Raises:
        ConfigError: a flag has a value that cannot be used.
        ModelDefinitionError: there is no such model definition file.
    """
    from elasticdl_like.data_readers.registry import custom_reader_name

    model = model_config(flags)
    data = data_config(flags, data_origin)
    data = dataclasses.replace(data, custom_data_reader=custom_reader_name(data, model))
    return Source(data, model, flags["index_dir"])
