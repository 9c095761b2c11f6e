r"""Where the rows of csv data end: outside quotes, at "\n" and at "\r".

The rules are those of pyarrow and of Python's csv module. A quote that is the first byte of a field
opens it, two in a row inside it are one quote, the next one closes it, and any other is an
ordinary byte.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.text.line_index import Block, LineEnds
from elasticdl_like.errors import ConfigError

_LF, _CR = b"\n\r"

# What is to be known of the bytes before a block.
UNQUOTED = 0
QUOTED = 1
JUST_CLOSED = (
    2  # the last of them is the second quote of a field, or the first half of a double one
)


@dataclass(frozen=True)
class CsvDialect:
    """What separates and quotes fields.

    Attributes:
        delimiter: one ASCII character.
        quote_char: one ASCII character, or "" when quotes are ordinary characters.

    Raises:
        ConfigError: one of them is something else, or they are the same.
    """

    delimiter: str
    quote_char: str

    def __post_init__(self) -> None:
        for name, value in (("delimiter", self.delimiter), ("quote_char", self.quote_char)):
            is_character = len(value) == 1 and value.isascii() and value not in "\r\n"
            if not is_character and (name == "delimiter" or value):
                raise ConfigError(
                    f"the reader parameter {name} is {value!r}; it is one ASCII character that "
                    "does not end lines"
                )
        if self.delimiter == self.quote_char:
            raise ConfigError(
                f"the reader parameters delimiter and quote_char are both {self.delimiter!r}"
            )

    def find_line_ends(self, block: Block, state: int | None) -> LineEnds:
        """Finds the bytes that end rows; the state is one of the three above."""
        data = np.frombuffer(block.data, np.uint8)
        ends = data == _LF
        if b"\r" in block.data:
            ends |= data == _CR
        line_ends = np.flatnonzero(ends)
        if not self.quote_char or self.quote_char.encode() not in block.data:
            if state == QUOTED:
                return LineEnds(line_ends[:0], QUOTED, QUOTED)
            return LineEnds(line_ends, state or UNQUOTED, UNQUOTED)
        quotes, state = self._effective_quotes(block, data, state)
        # A byte is outside quotes when the number of quotes before it is even.
        number_before = np.searchsorted(quotes, line_ends) + (state == QUOTED)
        line_ends = line_ends[number_before & 1 == 0]
        if (len(quotes) + (state == QUOTED)) & 1:
            return LineEnds(line_ends, state, QUOTED)
        is_just_closed = len(quotes) and quotes[-1] == len(data) - 1
        return LineEnds(line_ends, state, JUST_CLOSED if is_just_closed else UNQUOTED)

    def _effective_quotes(
        self, block: Block, data: NDArray[np.uint8], state: int | None
    ) -> tuple[NDArray[np.int64], int]:
        """Returns the positions of the quotes that open or close, a double one doing both.

        The second value is the state, or, when that is None, the one that fits the quotes best.
        """
        positions = np.flatnonzero(data == ord(self.quote_char))
        begins_field = self._begins_field(block, data, positions)
        # A quote after one that has just closed opens again: the two are a double quote.
        may_open = begins_field.copy()
        may_open[1:] |= np.diff(positions) == 1
        may_open[0] |= state == JUST_CLOSED and positions[0] == 0
        for each in (UNQUOTED, QUOTED) if state is None else (state,):
            if may_open[int(each == QUOTED) :: 2].all():
                return positions, each
        # Some quotes in the middle of fields are ordinary bytes, so each depends on those before.
        state = state or UNQUOTED
        effective = []
        is_open = state == QUOTED
        closed_at = -1 if state == JUST_CLOSED else -2
        for position, begins in zip(positions.tolist(), begins_field.tolist(), strict=True):
            if is_open:
                is_open, closed_at = False, position
            elif begins or position == closed_at + 1:
                is_open = True
            else:
                continue
            effective.append(position)
        return np.array(effective, np.int64), state

    def _begins_field(
        self, block: Block, data: NDArray[np.uint8], positions: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        separators = np.frombuffer(f"{self.delimiter}\r\n".encode(), np.uint8)
        before = data[positions - 1]
        begins = (before == separators[0]) | (before == _LF) | (before == _CR)
        if positions[0] == 0:
            begins[0] = not block.before or block.before in separators.tobytes()
        return np.asarray(begins)
