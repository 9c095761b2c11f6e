"""One trip over one data set: what is leased, what came back, what is committed.

Below the frontier (the number of tasks leased so far, in the order of the epoch, and how many
positions of the next), every position is leased, tentative, waiting, set aside or committed. So the
frontier, the live leases, the tentative parts and the waiting pieces are the whole state, however
many tasks there are.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from elasticdl_like.errors import InvalidRequestError, LedgerError
from elasticdl_like.master.epoch_view import EpochView
from elasticdl_like.master.ledger import LedgerEntry
from elasticdl_like.master.quarantine import Quarantine, SetAside
from elasticdl_like.master.shard_table import ShardTable, TaskRange
from elasticdl_like.master.tally import Tally
from elasticdl_like.master.task_order import Piece, TaskOrder
from elasticdl_like.master.tentative import Part, Parts, cut_out
from elasticdl_like.rounds import StepUse
from elasticdl_like.tasks import Commit, EpochKey, Lease, Task

_TRIES_OF_ONE_RECORD = 2
_SHARD_CHANGED = "its shard is not what it was when the epoch began"


@dataclass(slots=True)
class _LiveLease:
    worker_id: int
    sequence: int
    piece: Piece
    next_position: int
    first_ordinal: int
    num_tentative: int = 0  # positions, right before the next one

    @property
    def is_untouched(self) -> bool:
        return self.next_position == self.piece.start

    @property
    def rest(self) -> Piece:
        return self.piece._replace(start=self.next_position)

    @property
    def not_firm(self) -> Piece:
        return self.piece._replace(start=self.next_position - self.num_tentative)

    def until(self, position: int) -> Piece:
        return self.piece._replace(start=self.next_position, end=position)


@dataclass(slots=True)
class _Counts:
    """What the ledger counts for people; going back to a checkpoint does not undo it."""

    leases_granted: int = 0
    leases_lost: int = 0
    reports_fenced: int = 0


class Epoch:
    """Hands out the positions of one epoch and keeps the account of them.

    Args:
        key: which epoch of which data set.
        table: the data set's tasks.
        order_key: decides the order of tasks and positions, or None for their natural order.
    """

    def __init__(self, key: EpochKey, table: ShardTable, order_key: int | None) -> None:
        self.key = key
        self.table = table
        self.order_key = order_key
        self._order = TaskOrder(table, order_key)
        self._whole = Tally.of_run(0, table.num_records)
        self._dropped: frozenset[str] = frozenset()
        self._frontier = 0
        self._next_position = 0  # of the task at the frontier
        self._waiting: deque[Piece] = deque()
        self._leases: dict[int, _LiveLease] = {}
        # Leases of which nothing is left to be committed, but something is tentative.
        self._done_leases: dict[int, _LiveLease] = {}
        self._tentative = Parts()
        self._tokens: defaultdict[int, set[int]] = defaultdict(set)
        self._untouched: Counter[int] = Counter()
        self._cut: set[int] = set()  # leases whose end was cut off
        self._committed = Tally()
        self._set_aside = Tally()
        self._quarantine = Quarantine()
        self._num_unusable = 0
        self._last_unusable: SetAside | None = None
        self._sums: Sequence[float] = ()
        self._counts = _Counts()

    @property
    def ended(self) -> bool:
        """Whether every position is committed or set aside."""
        return self._committed.count + self._set_aside.count == self._whole.count

    @property
    def num_unusable(self) -> int:
        """How many records were set aside because they could not be used."""
        return self._num_unusable

    @property
    def last_unusable(self) -> SetAside | None:
        """The last of these records, with the problem that it made; None when there is none."""
        return self._last_unusable

    @property
    def quarantine(self) -> Quarantine:
        """The records that were set aside."""
        return self._quarantine

    @property
    def sums(self) -> Sequence[float]:
        """The sums of all commits that were counted, added up; empty when none had any."""
        return self._sums

    def lease(self, worker_id: int, sequence: int, token: int) -> Lease | None:
        """Hands out one interval under a new token; None when nothing is waiting.

        Args:
            worker_id: who gets it.
            sequence: the number of the request that it answers.
            token: not used before.
        """
        if self._cut and not self._cut.isdisjoint(self._tokens[worker_id]):
            return None  # it is slow already, and what was cut off is for somebody else
        found = self._next_piece()
        if found is None:
            return None
        piece, (shard, start, end, ordinal) = found
        self._leases[token] = _LiveLease(worker_id, sequence, piece, piece.start, ordinal)
        self._tokens[worker_id].add(token)
        self._untouched[worker_id] += 1
        self._counts.leases_granted += 1
        order_key = self._order.position_key(piece)
        index = shard.index
        if index is not None:
            if order_key is None:
                index = index.covering(start + piece.start, start + piece.end)
            else:
                index = index.covering(start, end)
        return Lease(
            token,
            Task(
                shard.name,
                start,
                end,
                self.key.epoch,
                self.key.type,
                shard.version,
                shard.locator,
                index,
            ),
            piece.start,
            piece.end,
            order_key,
        )

    def commit(self, worker_id: int, commit: Commit, tentative: bool = False) -> bool:
        """Counts the intervals of a commit, all of them or none, and with them its sums.

        The positions of a commit with a problem wait again, in ever smaller pieces; a record that
        cannot be used by itself is set aside.

        Args:
            worker_id: who commits.
            commit: what.
            tentative: whether all of that is done only when `make_firm` names the commit's step.

        Returns:
            Whether it was counted. It is not when one of its leases is no longer the worker's, or
            no longer reaches that far; then the worker loses the others of that commit, too.

        Raises:
            InvalidRequestError: an interval does not begin where the last commit of its lease
                ended, or is empty; or the sums are not as many as those before. Nothing is counted.
        """
        sums = self._added_up(worker_id, () if commit.problem else commit.sums)
        next_positions = self._checked(worker_id, commit)
        if next_positions is None:
            self._counts.reports_fenced += 1
            return False
        self._sums = sums
        for token, position in next_positions.items():
            lease = self._leases[token]
            used = lease.until(position)
            if tentative:
                self._tentative.add(Part(commit.step, token, used, commit.problem))
                lease.num_tentative += used.end - used.start
            elif commit.problem:
                self._fail(used, commit.problem)
            else:
                self._order.add_to(self._committed, used, lease.first_ordinal)
            if lease.is_untouched:
                self._untouched[worker_id] -= 1
            lease.next_position = position
            if position == lease.piece.end:
                del self._leases[token]
                self._tokens[worker_id].remove(token)
                if tentative:
                    self._done_leases[token] = lease
        return True

    @property
    def tentative_steps(self) -> Collection[int]:
        """The steps of which there are tentative commits."""
        return self._tentative.steps

    def make_firm(self, step: int) -> None:
        """Counts the tentative commits of a step; those of all earlier ones are counted before."""
        for part in self._tentative.take(step):
            lease = self._holding(part.token)
            lease.num_tentative -= part.size
            if not lease.num_tentative:
                self._done_leases.pop(part.token, None)
            if part.problem:
                self._fail(part.piece, part.problem)
            else:
                self._order.add_to(self._committed, part.piece, lease.first_ordinal)

    def check_uses(self, uses: Iterable[StepUse]) -> None:
        """Checks that steps can have used what they are said to have used.

        Raises:
            InvalidRequestError: positions are not those of a lease that is live or has something
                tentative, or could not be used, says their owner.
        """
        unusable = [part for part in self._tentative if part.problem]
        for use in uses:
            for interval in use.intervals:
                lease = self._leases.get(interval.token) or self._done_leases.get(interval.token)
                start, end = interval.start_position, interval.end_position
                if (
                    lease is None
                    or not lease.piece.start <= start < end <= lease.piece.end
                    or any(
                        part.token == interval.token
                        and max(start, part.piece.start) < min(end, part.piece.end)
                        for part in unusable
                    )
                ):
                    raise InvalidRequestError(
                        f"step {use.step} has used positions [{start}, {end}) of lease "
                        f"{interval.token}, it is said, but no member of the round had these to "
                        f"use in {self.key}"
                    )

    def dissolve(self, uses: Iterable[StepUse], lost: Collection[int]) -> Parts:
        """Takes every lease back, and what is tentative; all of that waits.

        Args:
            uses: what steps have used, whether it was committed or not; checked by `check_uses`.
            lost: workers whose leases are counted as lost.

        Returns:
            What steps have used and what could not be used, for `count_waiting`. Positions that
            are both tentative and in `uses` are there twice.
        """
        parts, self._tentative = self._tentative, Parts()
        for use in uses:
            for interval in use.intervals:
                piece = self._holding(interval.token).piece._replace(
                    start=interval.start_position, end=interval.end_position
                )
                parts.add(Part(use.step, interval.token, piece))
        for worker_id in lost:
            self._counts.leases_lost += len(self._tokens.get(worker_id, ()))
        for _, lease in sorted((self._leases | self._done_leases).items()):
            self._waiting.append(lease.not_firm)
        self._forget_leases()
        return parts

    def count_waiting(self, parts: Sequence[Part]) -> None:
        """Counts what is waiting of the positions of some parts; others were counted before."""
        left, used = cut_out(self._waiting, (part.piece for part in parts if not part.problem))
        for piece in used:
            self._order.add_to(self._committed, piece)
        self._waiting = deque(left)
        for part in parts:
            if part.problem:
                left, unusable = cut_out(self._waiting, [part.piece])
                self._waiting = deque(left)
                for piece in unusable:
                    self._fail(piece, part.problem)

    def take_back(self, worker_id: int, lost: bool) -> None:
        """Takes back what a worker has not committed, and counts its leases if it was lost."""
        tokens = sorted(self._tokens.pop(worker_id, ()))
        self._return(tokens)
        self._untouched.pop(worker_id, None)
        if lost:
            self._counts.leases_lost += len(tokens)

    def give_back(self, worker_id: int, tokens: Iterable[int]) -> None:
        """Takes back some leases of a worker; those that it does not have are none to it."""
        self._return(sorted(self._tokens[worker_id].intersection(tokens)))

    def unlisted(self, worker_id: int, sequence: int, held: Collection[int]) -> list[int]:
        """Returns the leases that a worker should have and does not.

        Args:
            worker_id: the worker.
            sequence: the last request whose reply it has got.
            held: the tokens of all leases that it has.
        """
        return [
            token
            for token in self._tokens.get(worker_id, ())
            if token not in held and self._leases[token].sequence <= sequence
        ]

    def split(self, token: int, alignment: int) -> bool:
        """Cuts off the later half of what is left of a lease, for somebody else.

        Args:
            token: the lease.
            alignment: the cut is at a multiple of this many positions after the last commit, if
                there is one in the lease.

        Returns:
            Whether there was anything to cut off.
        """
        lease = self._leases.get(token)
        if lease is None or lease.rest.end - lease.rest.start < 2:
            return False
        start, end = lease.next_position, lease.piece.end
        half = (end - start) // 2
        cut = start + max(half - half % alignment if half >= alignment else half, 1)
        self._waiting.append(lease.piece._replace(start=cut))
        lease.piece = lease.piece._replace(end=cut)
        self._cut = {each for each in self._cut if each in self._leases} | {token}
        return True

    @property
    def num_unleased(self) -> int:
        """How many pieces could be leased: tasks, parts of which may be leased, and what waits."""
        return self.table.num_tasks - self._frontier + len(self._waiting)

    @property
    def untouched(self) -> Mapping[int, int]:
        """For each worker how many leases it has of which nothing is committed."""
        return self._untouched

    @property
    def tokens(self) -> Collection[int]:
        """The tokens of all live leases, the oldest first."""
        return self._leases.keys()

    def drop_shards(self, names: Collection[str]) -> None:
        """Has what is left of some shards set aside, as soon as it would be leased."""
        self._dropped |= frozenset(names)

    def ledger(self) -> LedgerEntry:
        """Returns the account of this epoch."""
        leased = sum(lease.piece.end - lease.next_position for lease in self._leases.values())
        tentative = sum(part.size for part in self._tentative)
        committed, quarantined = self._committed.count, self._set_aside.count
        return LedgerEntry(
            key=self.key,
            records=self._whole.count,
            committed=committed,
            tentative=tentative,
            leased=leased,
            quarantined=quarantined,
            waiting=self._whole.count - committed - quarantined - leased - tentative,
            ended=self.ended,
            leases_granted=self._counts.leases_granted,
            leases_lost=self._counts.leases_lost,
            reports_fenced=self._counts.reports_fenced,
        )

    def view(self) -> EpochView:
        """Returns a copy of what is to be known to draw this epoch."""
        return EpochView(
            entry=self.ledger(),
            table=self.table,
            order=self._order,
            is_shuffled=self.order_key is not None,
            frontier=self._frontier,
            next_position=self._next_position,
            leased=[
                (each.worker_id, each.piece.task_number, each.next_position, each.piece.end)
                for each in self._leases.values()
            ],
            tentative=[part.piece for part in self._tentative],
            waiting=list(self._waiting),
            quarantined=list(self._quarantine),
        )

    def check(self) -> None:
        """Counts what is committed a second time, from what is not, and compares.

        Takes time in proportion to the tasks in flight; in a shuffled epoch that has not ended, to
        all that were handed out.

        Raises:
            LedgerError: the two differ.
        """
        counted = self._committed.plus(self._set_aside)
        for lease in self._leases.values():
            self._order.add_to(counted, lease.rest)
        for piece in chain(self._waiting, (part.piece for part in self._tentative)):
            self._order.add_to(counted, piece)
        if self._frontier == self.table.num_tasks:
            expected = self._whole
        elif self.order_key is None:
            first = self._order.task_range(self._frontier).ordinal
            expected = Tally.of_run(0, first + self._next_position)
        else:
            expected = Tally()
            for task_number in range(self._frontier):
                task = self._order.task_range(task_number)
                expected.add_run(task.ordinal, task.ordinal + task.end - task.start)
            first = self._order.task_range(self._frontier).ordinal
            expected.add_run(first, first + self._next_position)
        if counted != expected:
            raise LedgerError(
                f"the ledger of {self.key} does not add up: {counted} is counted, tentative, "
                f"waits or is leased, of {expected} that were handed out"
            )

    def position(self) -> dict[str, Any]:
        """Returns what is committed and what is not, as JSON: what `restore` goes back to."""
        leases = chain(self._leases.values(), self._done_leases.values())
        waiting = sorted([*self._waiting, *(lease.not_firm for lease in leases)])
        return {
            "frontier": self._frontier,
            "next_position": self._next_position,
            "waiting": [list(piece) for piece in waiting],
            "committed": self._committed.to_plain(),
            "set_aside": self._set_aside.to_plain(),
            "quarantine": self._quarantine.to_plain(),
            "num_unusable": self._num_unusable,
            "last_unusable": self._last_unusable,
            "dropped": sorted(self._dropped),
            "sums": list(self._sums),
        }

    def restore(self, position: Mapping[str, Any]) -> None:
        """Goes back to a position; every lease is lost."""
        self._counts.leases_lost += len(self._leases)
        self._tentative = Parts()
        self._forget_leases()
        self._frontier = position["frontier"]
        self._next_position = position["next_position"]
        self._waiting = deque(Piece(*piece) for piece in position["waiting"])
        self._committed = Tally(*position["committed"])
        self._set_aside = Tally(*position["set_aside"])
        self._quarantine = Quarantine.from_plain(position["quarantine"])
        self._num_unusable = position["num_unusable"]
        last_unusable = position["last_unusable"]
        self._last_unusable = last_unusable and SetAside(*last_unusable)
        self._dropped = frozenset(position["dropped"])
        self._sums = position.get("sums", ())

    def to_plain(self) -> dict[str, Any]:
        """Returns the whole state but for key, table and order, as JSON."""
        counts = self._counts
        return self.position() | {
            "waiting": [list(piece) for piece in self._waiting],
            "leases": _leases_to_plain(self._leases),
            "cut": sorted(self._cut),
            "done_leases": _leases_to_plain(self._done_leases),
            "tentative": self._tentative.to_plain(),
            "counts": [counts.leases_granted, counts.leases_lost, counts.reports_fenced],
        }

    def load_plain(self, plain: Mapping[str, Any]) -> None:
        """Takes over the state that `to_plain` returned."""
        self.restore(plain)
        self._leases = self._leases_from_plain(plain["leases"])
        self._done_leases = self._leases_from_plain(plain.get("done_leases", ()))
        self._tentative = Parts.from_plain(plain.get("tentative", ()))
        self._cut = set(plain.get("cut", ()))
        for part in self._tentative:
            lease = self._holding(part.token)
            lease.num_tentative += part.size
        for token, lease in self._leases.items():
            self._tokens[lease.worker_id].add(token)
            self._untouched[lease.worker_id] += lease.is_untouched
        self._counts = _Counts(*plain["counts"])

    def _leases_from_plain(self, plain: Iterable[Sequence[Any]]) -> dict[int, _LiveLease]:
        return {
            token: _LiveLease(
                worker_id,
                sequence,
                Piece(*piece),
                next_position,
                self._order.task_range(piece[0]).ordinal,
            )
            for token, worker_id, sequence, piece, next_position in plain
        }

    def _holding(self, token: int) -> _LiveLease:
        return self._leases.get(token) or self._done_leases[token]

    def _forget_leases(self) -> None:
        self._leases, self._done_leases = {}, {}
        self._cut.clear()
        self._tokens.clear()
        self._untouched.clear()

    def _next_piece(self) -> tuple[Piece, TaskRange] | None:
        while self._waiting:
            piece = self._waiting.popleft()
            if not self._drop_if_changed(piece):
                return piece, self._order.task_range(piece.task_number)
        while self._frontier < self.table.num_tasks:
            task_range = self._order.task_range(self._frontier)
            size = task_range.end - task_range.start
            start = self._next_position
            end = min(start + self.table.part_size(size), size)
            piece = Piece(self._frontier, start, end, self.order_key is None)
            if end == size:
                self._frontier += 1
            self._next_position = end % size
            if not self._drop_if_changed(piece):
                return piece, task_range
        return None

    def _drop_if_changed(self, piece: Piece) -> bool:
        if not self._dropped:
            return False
        shard, start, _, _ = self._order.task_range(piece.task_number)
        if shard.name not in self._dropped:
            return False
        for first, end in self._order.runs(piece):
            self._quarantine.add(SetAside(shard.name, start + first, start + end, _SHARD_CHANGED))
        self._order.add_to(self._set_aside, piece)
        return True

    def _added_up(self, worker_id: int, sums: Sequence[float]) -> Sequence[float]:
        """Returns what the sums would be with those of one more commit."""
        if not sums or not self._sums:
            return sums or self._sums
        if len(sums) != len(self._sums):
            raise InvalidRequestError(
                f"worker {worker_id} sends {len(sums)} sums for {self.key}, and the workers before "
                f"it {len(self._sums)}; all workers need the same model definition file, and the "
                "same versions of elasticdl, Keras and TensorFlow"
            )
        return [ours + theirs for ours, theirs in zip(self._sums, sums, strict=True)]

    def _checked(self, worker_id: int, commit: Commit) -> dict[int, int] | None:
        """Returns where each lease of a commit stands after it, or None if it is fenced."""
        next_positions: dict[int, int] = {}
        fenced = False
        for interval in commit.intervals:
            lease = self._leases.get(interval.token)
            if lease is None or lease.worker_id != worker_id:
                fenced = True
                continue
            expected = next_positions.get(interval.token, lease.next_position)
            start, end = interval.start_position, interval.end_position
            if start != expected or not start < end:
                raise InvalidRequestError(
                    f"worker {worker_id} commits positions [{start}, {end}) of lease "
                    f"{interval.token} in {self.key}, whose next positions are "
                    f"[{expected}, {lease.piece.end})"
                )
            # It may be that the end of the lease was cut off.
            fenced = fenced or end > lease.piece.end
            next_positions[interval.token] = end
        if fenced:
            # What else is in the commit the worker will not do again, and its later commits would
            # not begin where the last counted one ended: it must wait for somebody else.
            self._return(list(next_positions))
            return None
        return next_positions

    def _return(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            lease = self._leases.pop(token)
            self._tokens[lease.worker_id].discard(token)
            self._untouched[lease.worker_id] -= lease.is_untouched
            self._waiting.append(lease.rest)
            if lease.num_tentative:
                lease.piece = lease.piece._replace(end=lease.next_position)
                self._done_leases[token] = lease

    def _fail(self, piece: Piece, problem: str) -> None:
        """Lets positions that could not be used wait in smaller pieces, or sets a record aside."""
        size = piece.end - piece.start
        smaller: list[Piece]
        if size > 1 and (piece.natural or self._is_scattered(piece)):
            middle = piece.start + size // 2
            smaller = [piece._replace(end=middle), piece._replace(start=middle)]
        elif not piece.natural:
            smaller = [
                Piece(piece.task_number, start, end, True) for start, end in self._order.runs(piece)
            ]
        elif piece.failures + 1 < _TRIES_OF_ONE_RECORD:
            smaller = [piece._replace(failures=piece.failures + 1)]
        else:
            smaller = []
            shard, start, _, _ = self._order.task_range(piece.task_number)
            unusable = SetAside(shard.name, start + piece.start, start + piece.end, problem)
            self._last_unusable = unusable
            self._quarantine.add(unusable)
            self._order.add_to(self._set_aside, piece)
            self._num_unusable += 1
        self._waiting.extendleft(reversed(smaller))

    def _is_scattered(self, piece: Piece) -> bool:
        """Returns whether the records of a piece in random order are from all over a large task."""
        task = self._order.task_range(piece.task_number)
        return not piece.natural and task.end - task.start > self.table.records_per_task


def _leases_to_plain(leases: Mapping[int, _LiveLease]) -> list[list[Any]]:
    return [
        [token, lease.worker_id, lease.sequence, list(lease.piece), lease.next_position]
        for token, lease in leases.items()
    ]
