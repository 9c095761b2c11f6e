"""The data reader for csv files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elasticdl_like.data_readers.base import Metadata
from elasticdl_like.data_readers.files.indexed_reader import IndexedFileReader
from elasticdl_like.data_readers.text.csv_columns import DEFAULT_NULL_VALUES
from elasticdl_like.data_readers.text.csv_format import CsvFormat, CsvSettings


class CsvDataReader(IndexedFileReader):
    """Reads csv files; a record is a row, a batch a dict of columns.

    A shard is a file, and its name is the path. Lines without any character are no rows. A field
    may hold line ends and delimiters when it is quoted, and a quote when that is written twice.

    The types of columns that `column_types` does not name come from the rows that lie in the first
    MiB of the first file that has any: int64, float64, bool, and string for all else. A column of
    integers in which one of these rows has none, and that has no default, is float64.

    Args:
        data_origin: a file, a directory, a glob pattern, several of these, or a URL.
        index_dir: a directory for indexes; "" for none.
        header: whether the first row of each file has the names of the columns, which must be the
            same in all files.
        column_names: the names of the columns of files without a header.
        delimiter: what is between fields: one ASCII character. "" for a tab when the first file
            is called `.tsv`, and for a comma otherwise.
        quote_char: one ASCII character, or "" when quotes are ordinary characters.
        column_types: types by column: int8 to int64, uint8 to uint64, float32, float64, bool,
            string (bytes, as they are in the file), date (int32, days since 1970), timestamp[s],
            [ms], [us] or [ns] (int64, in that unit since 1970), timestamp[s, UTC] and so on for
            times with a zone.
        columns: the columns that are wanted, in this order; all when empty.
        null_values: the fields that mean that there is no value, in columns of any type but
            string.
        defaults: what stands for them, by column; also in those of strings that are named here.
            Without one, floats become NaN, and anything else is an error.

    Raises:
        ConfigError: the parameters contradict each other, or pyarrow is not installed.
    """

    _format: CsvFormat

    def __init__(
        self,
        *,
        data_origin: str,
        index_dir: str = "",
        header: bool = True,
        column_names: Sequence[str] = (),
        delimiter: str = "",
        quote_char: str = '"',
        column_types: Mapping[str, str] | None = None,
        columns: Sequence[str] = (),
        null_values: Sequence[str] = DEFAULT_NULL_VALUES,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        settings = CsvSettings(
            header=header,
            column_names=column_names,
            delimiter=delimiter,
            quote_char=quote_char,
            column_types=column_types or {},
            columns=columns,
            null_values=null_values,
            defaults=defaults or {},
        )
        super().__init__(
            CsvFormat(data_origin, settings),
            data_origin=data_origin,
            index_dir=index_dir,
        )

    @property
    def output_signature(self) -> dict[str, str]:
        """The types of the columns, by name.

        Raises:
            DataError: as `create_shards`, when types have to be found in the first file.
        """
        return self._format.layout.columns.type_names

    @property
    def metadata(self) -> Metadata:
        """The names and types of the columns.

        Raises:
            DataError: as `output_signature`.
        """
        dtypes = self._format.layout.columns.dtypes
        return Metadata(tuple(dtypes), dtypes)
