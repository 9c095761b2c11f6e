"""What a fleet orders when this or that happens to pods; the pods are recorded ones."""

from __future__ import annotations

import logging

import pytest
from recorded_pods import recorded, worker_pod

from elasticdl_like.job_directory import JobState
from elasticdl_like.platforms.kubernetes.fleet import FleetLimits, PodFleet
from elasticdl_like.platforms.kubernetes.pod_orders import Created, Explained, Refused
from elasticdl_like.platforms.kubernetes.watch import Deleted, Listed, NotAllowed, Seen
from stand_in_job import StandInJob


class NotedOrders:
    """Notes the orders; pods are named after worker and incarnation."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self.deleted: list[tuple[str, int | None]] = []
        self.explained: list[str] = []

    def create(self, worker_id: int, incarnation: str) -> str:
        name = f"w{worker_id}-{incarnation}"
        self.created.append(name)
        return name

    def delete(self, name: str, grace_s: int | None = None) -> None:
        self.deleted.append((name, grace_s))

    def explain(self, name: str) -> None:
        self.explained.append(name)


class Scene:
    """A fleet with all that it needs. Incarnations are 1, 2, 3, …"""

    def __init__(self, wanted: int = 2, max_crashes: int = 3, most_pods: int = 0) -> None:
        self.job = StandInJob(wanted)
        self.orders = NotedOrders()
        self.now_s = 1000.0
        self.num_incarnations = 0
        self.fleet = PodFleet(
            self.job,
            self.orders,
            FleetLimits(max_crashes, most_pods),
            lambda: self.now_s,
            self._new_incarnation,
        )

    def _new_incarnation(self) -> str:
        self.num_incarnations += 1
        return str(self.num_incarnations)

    def started(self) -> Scene:
        """With two workers that run, and take part."""
        self.fleet.note(Listed([], self.now_s))
        self.watch()
        for worker_id, name in enumerate(("w0-1", "w1-2")):
            self.created(worker_id, name)
            self.see("running", name, worker_id)
        self.job.taking_part = {0, 1}
        self.orders.created.clear()
        return self

    def created(self, worker_id: int, name: str) -> None:
        self.fleet.note(Created(worker_id, name, self.now_s))

    def see(self, kind: str, name: str, worker_id: int) -> None:
        self.fleet.note(Seen(worker_pod(kind, name, worker_id)))

    def watch(self, after_s: float = 0.0) -> list[str]:
        """Returns the pods that are ordered now."""
        self.now_s += after_s
        before = len(self.orders.created)
        self.fleet.watch()
        return self.orders.created[before:]

    def leave(self, worker_id: int) -> None:
        """The worker says goodbye to its master."""
        self.job.taking_part.discard(worker_id)


def test_nothing_is_ordered_before_it_is_known_which_pods_there_are() -> None:
    scene = Scene()
    assert scene.watch() == []
    scene.fleet.note(Listed([], 999.0))
    assert scene.watch() == ["w0-1", "w1-2"]
    assert scene.watch() == []
    assert scene.job.supervised == [0, 1]


def test_another_worker_takes_the_place_at_once_of_one_whose_pod_is_deleted() -> None:
    scene = Scene().started()
    scene.see("being_deleted", "w1-2", 1)
    assert scene.watch() == ["w2-3"]
    scene.leave(1)
    scene.fleet.note(Deleted(worker_pod("deleted", "w1-2", 1)))
    assert scene.watch() == []
    assert scene.job.losses == []
    assert scene.orders.deleted == []


def test_a_deleted_worker_that_did_not_say_goodbye_is_lost() -> None:
    scene = Scene().started()
    scene.fleet.note(Deleted(worker_pod("deleted", "w1-2", 1)))
    assert scene.job.lost == [1]
    assert scene.job.losses == ["it was deleted"]
    scene.leave(1)
    assert scene.watch() == ["w1-3"]


def test_leaving_without_a_goodbye_is_no_crash() -> None:
    """Its master may have been away."""
    scene = Scene(max_crashes=0).started()
    scene.see("being_deleted", "w1-2", 1)
    gone = worker_pod("completed", "w1-2", 1)
    gone["metadata"]["deletionTimestamp"] = "2026-11-21T14:30:53Z"
    scene.fleet.note(Deleted(gone))
    assert scene.job.lost == [1]
    assert scene.job.state is JobState.RUNNING


def test_a_pod_that_another_container_keeps_alive_is_deleted() -> None:
    """Such as that of a service mesh, which does not end by itself."""
    scene = Scene().started()
    pod = worker_pod("crashed", "w1-2", 1)
    pod["status"]["phase"] = "Running"
    pod["status"]["containerStatuses"].append({"name": "mesh", "state": {"running": {}}})
    scene.fleet.note(Seen(pod))
    assert scene.job.lost == [1]
    assert scene.orders.deleted == [("w1-2", None)]


def test_with_no_room_for_more_the_place_is_taken_once_it_is_free() -> None:
    scene = Scene(most_pods=2).started()
    scene.see("being_deleted", "w1-2", 1)
    assert scene.watch() == []
    scene.leave(1)
    scene.fleet.note(Deleted(worker_pod("deleted", "w1-2", 1)))
    scene.watch()
    assert scene.watch() == ["w1-3"]


def test_a_deletion_that_was_missed_is_found_by_the_next_list() -> None:
    scene = Scene().started()
    scene.fleet.note(Listed([worker_pod("running", "w0-1", 0)], scene.now_s + 1))
    assert scene.job.lost == [1]


def test_what_was_seen_before_a_list_and_is_not_in_it_is_gone() -> None:
    """Also where both are heard of at once, later than the list was asked for."""
    scene = Scene(wanted=1)
    scene.fleet.note(Listed([], scene.now_s))
    scene.watch()
    asked_s = scene.now_s + 1
    scene.now_s += 2
    scene.see("running", "w0-1", 0)
    scene.fleet.note(Listed([], asked_s))
    assert scene.fleet.pods == []


def test_what_was_created_before_a_list_and_is_not_in_it_is_gone() -> None:
    scene = Scene(wanted=1)
    scene.fleet.note(Listed([], scene.now_s))
    scene.watch()
    created_s, asked_s = scene.now_s + 1, scene.now_s + 2
    scene.now_s += 3
    scene.fleet.note(Created(0, "w0-1", created_s))
    scene.fleet.note(Listed([], asked_s))
    assert scene.fleet.pods == []


def test_a_pod_younger_than_a_list_is_not_missed_in_it() -> None:
    scene = Scene()
    scene.fleet.note(Listed([], scene.now_s))
    scene.watch()
    asked_s = scene.now_s
    scene.now_s += 1
    scene.created(0, "w0-1")
    scene.fleet.note(Listed([], asked_s))
    assert scene.job.lost == []
    assert scene.fleet.pods == ["w0-1", "w1-2"]


@pytest.mark.parametrize("kind", ["killed", "evicted"])
def test_losses_are_replaced_for_ever(kind: str) -> None:
    scene = Scene(max_crashes=0).started()
    name = "w1-2"
    for number in range(3, 8):
        scene.see(kind, name, 1)
        scene.job.lost.clear()
        assert scene.watch(after_s=100.0) == [f"w1-{number}"]
        name = f"w1-{number}"
        scene.created(1, name)
    assert scene.job.state is JobState.RUNNING


@pytest.mark.parametrize("kind", ["crashed", "segfault", "out_of_memory", "command_missing"])
def test_crashes_are_counted(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(max_crashes=1).started()
    scene.see(kind, "w1-2", 1)
    assert scene.job.lost == [1]
    assert "(crash 1, --max_worker_restarts 1)" in scene.job.losses[0]
    assert scene.watch() == ["w1-3"]
    scene.created(1, "w1-3")
    scene.see(kind, "w1-3", 1)
    assert scene.job.state is JobState.FAILED
    assert scene.job.failure.startswith("crash 2, --max_worker_restarts 1: worker 1: it ")
    assert scene.job.failure.endswith("kubectl logs w1-3")


def test_memory_is_said_in_words() -> None:
    scene = Scene().started()
    scene.see("out_of_memory", "w1-2", 1)
    assert "--worker_resource_limit memory=30Mi" in scene.job.losses[0]


def test_crashes_in_vain_are_followed_by_pauses() -> None:
    scene = Scene(max_crashes=9).started()
    scene.see("crashed", "w1-2", 1)
    assert scene.watch() == ["w1-3"]
    scene.created(1, "w1-3")
    scene.see("crashed", "w1-3", 1)
    assert scene.watch(after_s=0.5) == []
    assert scene.watch(after_s=0.6) == ["w1-4"]


def test_of_the_pods_of_a_worker_that_have_ended_the_last_is_kept_for_its_log() -> None:
    scene = Scene().started()
    scene.see("killed", "w1-2", 1)
    scene.watch()
    scene.created(1, "w1-3")
    assert scene.orders.deleted == []
    scene.see("killed", "w1-3", 1)
    assert scene.orders.deleted == [("w1-2", None)]


def test_a_worker_that_has_nothing_left_to_do_may_go() -> None:
    scene = Scene().started()
    scene.leave(1)
    scene.see("completed", "w1-2", 1)
    assert scene.watch() == []
    assert scene.watch(after_s=11.0) == []
    assert scene.job.losses == []


def test_one_that_ends_with_exit_code_0_too_early_has_crashed() -> None:
    scene = Scene().started()
    scene.see("completed", "w1-2", 1)
    assert scene.job.losses == [
        "it ended before its work was done (exit code 0) (crash 1, --max_worker_restarts 3)"
    ]


def test_a_refusal_is_said_once_and_tried_again_under_the_same_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    scene.fleet.note(Listed([], scene.now_s))
    scene.watch()
    refusal = Refused(1, "w1-2", "cannot create Pod w1-2: exceeded quota: few, used: pods=2")
    scene.fleet.note(refusal)
    assert scene.watch() == []
    assert scene.watch(after_s=1.1) == ["w1-2"]
    scene.fleet.note(refusal)
    assert scene.watch(after_s=1.1) == []
    assert scene.watch(after_s=1.1) == ["w1-2"]
    scene.created(1, "w1-2")
    assert scene.watch(after_s=100.0) == []
    assert [
        record.levelname for record in caplog.records if "exceeded quota" in record.message
    ] == ["WARNING"]


def test_a_refusal_leaves_nothing_behind_for_the_next_of_that_number() -> None:
    scene = Scene()
    scene.fleet.note(Listed([], scene.now_s))
    scene.watch()
    scene.fleet.note(Refused(1, "w1-2", "exceeded quota"))
    assert scene.watch(after_s=1.1) == ["w1-2"]
    scene.created(1, "w1-2")
    scene.job.workers_wanted = 1
    scene.watch()
    scene.see("deleted", "w1-2", 1)
    scene.watch()
    scene.job.workers_wanted = 2
    assert scene.watch() == ["w1-3"]


def test_one_that_is_not_wanted_any_more_is_not_ordered_again_after_a_refusal() -> None:
    scene = Scene()
    scene.fleet.note(Listed([], scene.now_s))
    scene.watch()
    scene.fleet.note(Refused(1, "w1-2", "no answer"))
    scene.job.workers_wanted = 1
    assert scene.watch(after_s=100.0) == []
    # The order may have been carried out.
    assert scene.orders.deleted == [("w1-2", None)]
    assert scene.fleet.pods == ["w0-1"]


def test_a_pod_that_no_cluster_would_take_fails_the_job() -> None:
    scene = Scene()
    scene.fleet.note(Listed([], scene.now_s))
    scene.watch()
    scene.fleet.note(Refused(0, "w0-1", "spec.containers: Required value", is_final=True))
    assert scene.job.failure == "worker 0 cannot get a pod: spec.containers: Required value"


def test_a_master_that_may_not_list_pods_says_what_it_needs() -> None:
    scene = Scene()
    scene.fleet.note(NotAllowed("cannot list Pod: forbidden"))
    assert "manifests/rbac.yaml" in scene.job.failure


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("unschedulable", "no node has room for it: 0/1 nodes are available"),
        ("image_not_pulled", "its image registry.invalid/nobody/no-such-image:1 cannot be had"),
    ],
)
def test_why_a_pod_is_pending_is_said_once(
    kind: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    scene.fleet.note(Listed([], scene.now_s))
    scene.watch()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            scene.see(kind, "w1-2", 1)
    assert len(caplog.records) == 1
    assert words in caplog.text
    assert scene.watch(after_s=3600.0) == []


def test_a_pod_that_does_not_start_is_asked_about(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.fleet.note(Listed([], scene.now_s))
    scene.watch()
    scene.see("volume_missing", "w1-2", 1)
    scene.watch(after_s=4.0)
    assert scene.orders.explained == []
    scene.watch(after_s=2.0)
    scene.watch(after_s=2.0)
    assert scene.orders.explained == ["w1-2"]
    scene.fleet.note(Explained("w1-2", recorded("volume_missing")["events"]))
    assert 'secret "not-there" not found' in caplog.text
    scene.watch(after_s=100.0)
    assert scene.orders.explained == ["w1-2"]


def test_fewer_workers_are_asked_to_leave_and_more_are_ordered() -> None:
    scene = Scene().started()
    scene.job.workers_wanted = 1
    assert scene.watch() == []
    assert scene.orders.deleted == [("w1-2", None)]
    scene.see("being_deleted", "w1-2", 1)
    scene.leave(1)
    scene.see("deleted", "w1-2", 1)
    assert scene.watch() == []
    scene.job.workers_wanted = 2
    assert scene.watch() == ["w1-3"]
    assert scene.job.losses == []


def test_one_that_is_not_wanted_before_its_pod_exists_goes_as_soon_as_it_does() -> None:
    scene = Scene()
    scene.fleet.note(Listed([], scene.now_s))
    scene.watch()
    scene.job.workers_wanted = 1
    scene.watch()
    assert scene.orders.deleted == []
    scene.created(1, "w1-2")
    assert scene.orders.deleted == [("w1-2", None)]


def test_a_pod_that_does_not_go_is_given_up() -> None:
    """As on a node that is gone."""
    scene = Scene().started()
    scene.see("being_deleted", "w1-2", 1)
    assert scene.watch() == ["w2-3"]
    grace_s = worker_pod("being_deleted", "", 1)["metadata"]["deletionGracePeriodSeconds"]
    scene.watch(after_s=grace_s + 6.0)
    assert scene.orders.deleted == [("w1-2", 0)]
    assert scene.job.lost == [1]


def test_a_worker_that_hangs_is_given_up_and_replaced() -> None:
    scene = Scene().started()
    scene.job.hung = [(1, "it was silent for 60 s")]
    assert scene.watch() == ["w1-3"]
    assert scene.orders.deleted == [("w1-2", 0)]
    assert scene.job.losses == ["it was silent for 60 s, and was deleted"]


def test_a_pod_that_was_given_up_and_still_lives_is_deleted_again() -> None:
    scene = Scene().started()
    scene.see("running", "w1-unknown", 1)
    assert scene.orders.deleted == [("w1-unknown", 0)]


def test_the_pods_of_an_earlier_master_are_taken_over() -> None:
    scene = Scene(wanted=3)
    scene.job.taking_part = {0, 1, 2}
    pods = [
        worker_pod("running", "w0-a", 0, incarnation="registered"),
        worker_pod("killed", "w1-b", 1, incarnation="registered"),
        worker_pod("being_deleted", "w2-c", 2, incarnation="registered"),
    ]
    scene.fleet.note(Listed(pods, scene.now_s))
    assert scene.job.losses == ["it was killed by SIGKILL"]
    scene.leave(1)
    assert scene.watch() == ["w1-1", "w3-2"]
    assert scene.fleet.pods == ["w0-a", "w2-c", "w1-1", "w3-2"]


def test_of_two_pods_of_one_worker_the_one_that_takes_part_is_kept() -> None:
    scene = Scene(wanted=1)
    scene.job.taking_part = {0}
    pods = [
        worker_pod("running", "w0-a", 0, incarnation="other"),
        worker_pod("running", "w0-b", 0, incarnation="registered"),
    ]
    scene.fleet.note(Listed(pods, scene.now_s))
    assert scene.fleet.pods == ["w0-b"]
    assert scene.orders.deleted == [("w0-a", None)]


def test_a_worker_whose_pod_vanished_with_the_master_is_lost() -> None:
    scene = Scene(wanted=1)
    scene.job.taking_part = {0}
    scene.fleet.note(Listed([], scene.now_s))
    assert scene.job.losses == ["its pod is gone"]


def test_the_predecessor_of_a_pod_that_is_taken_over_is_lost() -> None:
    """An earlier master had ordered the pod, and did not come to write down why."""
    scene = Scene(wanted=1)
    scene.job.taking_part = {0}
    scene.fleet.note(Listed([worker_pod("running", "w0-b", 0, "newer")], scene.now_s))
    assert scene.job.losses == ["its pod is gone"]
    assert scene.fleet.pods == ["w0-b"]


def test_of_the_pods_that_ended_under_an_earlier_master_the_last_is_kept() -> None:
    scene = Scene(wanted=1)
    pods = [worker_pod("killed", "w0-a", 0), worker_pod("crashed", "w0-b", 0)]
    pods[0]["metadata"]["creationTimestamp"] = "2026-11-21T14:30:00Z"
    pods[1]["metadata"]["creationTimestamp"] = "2026-11-21T14:31:00Z"
    scene.fleet.note(Listed(pods, scene.now_s))
    assert scene.orders.deleted == [("w0-a", None)]


def test_at_the_end_pods_that_do_not_run_yet_go_first() -> None:
    scene = Scene().started()
    scene.see("unschedulable", "w1-2", 1)
    scene.fleet.dismiss()
    assert scene.orders.deleted == [("w1-2", None)]
    assert scene.fleet.pods == ["w0-1"]


def test_at_the_end_all_pods_go() -> None:
    scene = Scene().started()
    scene.fleet.end()
    assert scene.orders.deleted == [("w0-1", None), ("w1-2", None)]
