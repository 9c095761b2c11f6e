"""A bounded cache in which no two threads make the same value."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Newest(Generic[Key, Value]):
    """Keeps the values that were used last, as many as fit, and always the last one.

    Thread-safe. Whoever asks for a value that another thread is making waits for it.

    Args:
        capacity: the sum of the sizes up to which values are kept.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry[Value]] = OrderedDict()
        self._size = 0

    def get(self, key: Key, make: Callable[[], tuple[Value, int]]) -> Value:
        """Returns the value of a key.

        Args:
            key: names the value.
            make: returns the value, when it is not kept, and its size. What it raises is raised
                here, and nothing is kept.
        """
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
        with entry.lock:
            if entry.value is None:
                try:
                    entry.value, size = make()
                except BaseException:
                    self._forget(key, entry)
                    raise
                self._keep(key, entry, size)
        return entry.value

    def _forget(self, key: Key, entry: _Entry[Value]) -> None:
        with self._lock:
            if self._entries.get(key) is entry:
                del self._entries[key]

    def _keep(self, key: Key, entry: _Entry[Value], size: int) -> None:
        with self._lock:
            # Meanwhile it may have been pushed out by others, as one of size 0.
            replaced = self._entries.pop(key, None)
            self._size += size - (replaced.size if replaced else 0)
            entry.size = size
            self._entries[key] = entry
            while self._size > self._capacity and len(self._entries) > 1:
                _, oldest = self._entries.popitem(last=False)
                self._size -= oldest.size


class _Entry(Generic[Value]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: Value | None = None
        self.size = 0
