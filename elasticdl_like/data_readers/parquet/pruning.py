"""Which row groups can hold a row that a filter is after, by the footer alone."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from elasticdl_like.data_readers.arrow_columns import pyarrow
from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.data_readers.parquet.source import ParquetSource
from elasticdl_like.errors import ConfigError

compute = import_extra("pyarrow.compute", "arrow", "Parquet files")

_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATORS = (*_COMPARISONS, "in", "not in")


class Condition(NamedTuple):
    """What is asked of one column: `operator` is a comparison, or `in` or `not in` a list."""

    column: str
    operator: str
    value: Any


def parse_filter(value: Any) -> tuple[Condition, ...]:
    """Returns the conditions of the reader parameter `filter`, all of which a row has to meet.

    Args:
        value: a list of `(column, operator, value)`.

    Raises:
        ConfigError: it is something else.
    """
    conditions = value if isinstance(value, list | tuple) else [value]
    for condition in conditions:
        if (
            not isinstance(condition, list | tuple)
            or len(condition) != 3
            or not isinstance(condition[0], str)
            or condition[1] not in _OPERATORS
            or (condition[1] in ("in", "not in")) != isinstance(condition[2], list | tuple)
        ):
            raise ConfigError(
                f"the reader parameter filter has {condition!r}; it is a list of (column, "
                f"operator, value), such as filter=[('day', '>=', 20260101)], with one of the "
                f"operators {', '.join(_OPERATORS)}; the value of the last two is a list"
            )
    return tuple(Condition(*condition) for condition in conditions)


def matching_groups(source: ParquetSource, conditions: Sequence[Condition]) -> list[int]:
    """Returns the numbers of the row groups whose statistics leave it open that a row matches.

    Null and NaN match nothing.

    Raises:
        ConfigError: there is no such column, or a value does not fit it.
        CorruptDataError: the footer is damaged.
    """
    expression = functools.reduce(
        operator.and_, (_expression(source, condition) for condition in conditions)
    )
    return source.groups_matching(expression)


def _expression(source: ParquetSource, condition: Condition) -> Any:
    schema = source.stored_schema
    if condition.column not in schema.names:
        raise ConfigError(
            f"{source.name} has no column {condition.column!r}, which the reader parameter filter "
            f"names; it has {', '.join(schema.names)}"
        )
    arrow_type = schema.field(condition.column).type
    if pyarrow.types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    field = compute.field(condition.column)
    try:
        if condition.operator in _COMPARISONS:
            value = pyarrow.scalar(condition.value).cast(arrow_type)
            return _COMPARISONS[condition.operator](field, value)
        values = pyarrow.array(condition.value).cast(arrow_type)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"the reader parameter filter compares column {condition.column!r} of {source.name}, "
            f"which is {arrow_type}, with {condition.value!r}: {error}"
        ) from error
    return field.isin(values) if condition.operator == "in" else ~field.isin(values)
