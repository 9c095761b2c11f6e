"""One trip over one data set: what is leased, what came back, what is committed.

Below the frontier (the number of tasks leased so far, in the order of the epoch, and how many
positions of the next), every position is leased, tentative, waiting, set aside or committed. So the
frontier, the live leases, the tentative parts and the waiting pieces are the whole state, however
many tasks there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from elasticdl_like.errors import InvalidRequestError, LedgerError
from elasticdl_like.master.epoch_view import EpochView
from elasticdl_like.master.ledger import LedgerEntry
from elasticdl_like.master.live_leases import LiveLease, LiveLeases
from elasticdl_like.master.quarantine import Quarantine, SetAside
from elasticdl_like.master.rejects import Rejects
from elasticdl_like.master.shard_table import ShardTable, TaskRange
from elasticdl_like.master.tally import Tally
from elasticdl_like.master.task_order import Piece, TaskOrder
from elasticdl_like.master.tentative import Part, Parts, cut_out
from elasticdl_like.rounds import StepUse
from elasticdl_like.tasks import Commit, EpochKey, Lease, Task


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
        self._frontier = 0
        self._next_position = 0  # of the task at the frontier
        self._waiting: deque[Piece] = deque()
        self._leases = LiveLeases(key)
        self._tentative = Parts()
        self._committed = Tally()
        self._rejects = Rejects(self._order, table.records_per_task)
        self._sums: Sequence[float] = ()
        self._counts = _Counts()

    @property
    def ended(self) -> bool:
        """Whether every position is committed or set aside."""
        return self._committed.count + self._rejects.tally.count == self._whole.count

    @property
    def num_unusable(self) -> int:
        """How many records were set aside because they could not be used."""
        return self._rejects.num_unusable

    @property
    def last_unusable(self) -> SetAside | None:
        """The last of these records, with the problem that it made; None when there is none."""
        return self._rejects.last_unusable

    @property
    def quarantine(self) -> Quarantine:
        """The records that were set aside."""
        return self._rejects.quarantine

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
        if self._leases.was_cut(worker_id):
            return None  # it is slow already, and what was cut off is for somebody else
        found = self._next_piece()
        if found is None:
            return None
        piece, (shard, start, end, ordinal) = found
        self._leases.add(token, LiveLease(worker_id, sequence, piece, piece.start, ordinal))
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
        ends, is_fenced = self._leases.ends_of(worker_id, commit.intervals)
        if is_fenced:
            # What else is in the commit the worker will not do again, and its later commits would
            # not begin where the last counted one ended: it must wait for somebody else.
            self._waiting.extend(self._leases.take_back(ends))
            self._counts.reports_fenced += 1
            return False
        self._sums = sums
        for token, end in ends.items():
            lease, used = self._leases.use(token, end, tentative)
            if tentative:
                self._tentative.add(Part(commit.step, token, used, commit.problem))
            elif commit.problem:
                self._fail(used, commit.problem)
            else:
                self._order.add_to(self._committed, used, lease.first_ordinal)
        return True

    @property
    def tentative_steps(self) -> Collection[int]:
        """The steps of which there are tentative commits."""
        return self._tentative.steps

    def make_firm(self, step: int) -> None:
        """Counts the tentative commits of a step; those of all earlier ones are counted before."""
        for part in self._tentative.take(step):
            first_ordinal = self._leases.make_firm(part.token, part.size)
            if part.problem:
                self._fail(part.piece, part.problem)
            else:
                self._order.add_to(self._committed, part.piece, first_ordinal)

    def check_uses(self, uses: Iterable[StepUse]) -> None:
        """Checks that steps can have used what they are said to have used.

        Raises:
            InvalidRequestError: positions are not those of a lease that is live or has something
                tentative, or could not be used, says their owner.
        """
        unusable = [part for part in self._tentative if part.problem]
        for use in uses:
            for interval in use.intervals:
                lease = self._leases.find(interval.token)
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
                piece = self._leases[interval.token].piece._replace(
                    start=interval.start_position, end=interval.end_position
                )
                parts.add(Part(use.step, interval.token, piece))
        for worker_id in lost:
            self._counts.leases_lost += len(self._leases.of(worker_id))
        self._waiting.extend(self._leases.not_firm)
        self._leases.clear()
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
        rests = self._leases.take_all_back(worker_id)
        self._waiting.extend(rests)
        if lost:
            self._counts.leases_lost += len(rests)

    def give_back(self, worker_id: int, tokens: Iterable[int]) -> None:
        """Takes back some leases of a worker; those that it does not have are none to it."""
        theirs = sorted(set(self._leases.of(worker_id)).intersection(tokens))
        self._waiting.extend(self._leases.take_back(theirs))

    def unlisted(self, worker_id: int, sequence: int, held: Collection[int]) -> list[int]:
        """Returns the leases that a worker should have and does not.

        Args:
            worker_id: the worker.
            sequence: the last request whose reply it has got.
            held: the tokens of all leases that it has.
        """
        return self._leases.unlisted(worker_id, sequence, held)

    def split(self, token: int, alignment: int) -> bool:
        """Cuts off the later half of what is left of a lease, for somebody else.

        Args:
            token: the lease.
            alignment: the cut is at a multiple of this many positions after the last commit, if
                there is one in the lease.

        Returns:
            Whether there was anything to cut off.
        """
        cut_off = self._leases.split(token, alignment)
        if cut_off is None:
            return False
        self._waiting.append(cut_off)
        return True

    @property
    def num_unleased(self) -> int:
        """How many pieces could be leased: tasks, parts of which may be leased, and what waits."""
        return self.table.num_tasks - self._frontier + len(self._waiting)

    @property
    def untouched(self) -> Mapping[int, int]:
        """For each worker how many leases it has of which nothing is committed."""
        return self._leases.untouched

    @property
    def tokens(self) -> Collection[int]:
        """The tokens of all live leases, the oldest first."""
        return self._leases.tokens

    def drop_shards(self, names: Collection[str]) -> None:
        """Has what is left of some shards set aside, as soon as it would be leased."""
        self._rejects.drop_shards(names)

    def ledger(self) -> LedgerEntry:
        """Returns the account of this epoch."""
        leased = sum(lease.piece.end - lease.next_position for lease in self._leases)
        tentative = sum(part.size for part in self._tentative)
        committed, quarantined = self._committed.count, self._rejects.tally.count
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
                for each in self._leases
            ],
            tentative=[part.piece for part in self._tentative],
            waiting=list(self._waiting),
            quarantined=list(self._rejects.quarantine),
        )

    def check(self) -> None:
        """Counts what is committed a second time, from what is not, and compares.

        Takes time in proportion to the tasks in flight; in a shuffled epoch that has not ended, to
        all that were handed out.

        Raises:
            LedgerError: the two differ.
        """
        counted = self._committed.plus(self._rejects.tally)
        for lease in self._leases:
            self._order.add_to(counted, lease.rest)
        for piece in chain(self._waiting, (part.piece for part in self._tentative)):
            self._order.add_to(counted, piece)
        expected = self._order.tally_before(self._frontier, self._next_position)
        if counted != expected:
            raise LedgerError(
                f"the ledger of {self.key} does not add up: {counted} is counted, tentative, "
                f"waits or is leased, of {expected} that were handed out"
            )

    def position(self) -> dict[str, Any]:
        """Returns what is committed and what is not, as JSON: what `restore` goes back to."""
        return {
            "frontier": self._frontier,
            "next_position": self._next_position,
            "waiting": [list(piece) for piece in sorted([*self._waiting, *self._leases.not_firm])],
            "committed": self._committed.to_plain(),
            "sums": list(self._sums),
        } | self._rejects.to_plain()

    def restore(self, position: Mapping[str, Any]) -> None:
        """Goes back to a position; every lease is lost."""
        self._counts.leases_lost += len(self._leases)
        self._tentative = Parts()
        self._leases.clear()
        self._frontier = position["frontier"]
        self._next_position = position["next_position"]
        self._waiting = deque(Piece(*piece) for piece in position["waiting"])
        self._committed = Tally(*position["committed"])
        self._rejects.load_plain(position)
        self._sums = position.get("sums", ())

    def to_plain(self) -> dict[str, Any]:
        """Returns the whole state but for key, table and order, as JSON."""
        counts = self._counts
        return (
            self.position()
            | {"waiting": [list(piece) for piece in self._waiting]}
            | self._leases.to_plain()
            | {
                "tentative": self._tentative.to_plain(),
                "counts": [counts.leases_granted, counts.leases_lost, counts.reports_fenced],
            }
        )

    def load_plain(self, plain: Mapping[str, Any]) -> None:
        """Takes over the state that `to_plain` returned."""
        self.restore(plain)
        self._tentative = Parts.from_plain(plain.get("tentative", ()))
        self._leases.load_plain(plain, self._tentative, self._order)
        self._counts = _Counts(*plain["counts"])

    def _next_piece(self) -> tuple[Piece, TaskRange] | None:
        while self._waiting:
            piece = self._waiting.popleft()
            if not self._rejects.take_if_dropped(piece):
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
            if not self._rejects.take_if_dropped(piece):
                return piece, task_range
        return None

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

    def _fail(self, piece: Piece, problem: str) -> None:
        """Lets positions that could not be used wait in smaller pieces, or sets a record aside."""
        self._waiting.extendleft(reversed(self._rejects.fail(piece, problem)))
