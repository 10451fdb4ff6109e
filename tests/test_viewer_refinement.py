"""Coarse while moving, finer at rest: the rules, for any sequence of moves and renderings."""

from hypothesis import given
from hypothesis import strategies as st

from gpnerf.viewer.refinement import Job, Refinement

LEVELS, REST = 3, 1.0


def start() -> Refinement[str]:
    return Refinement(LEVELS, REST)


def test_nothing_is_due_before_the_first_move() -> None:
    refinement = start()
    assert refinement.due_at() is None and refinement.next_job(100.0) is None


def test_a_move_is_shown_coarsely_at_once_and_finer_after_a_rest() -> None:
    refinement = start()
    refinement.moved("a", 5.0)
    coarse = refinement.next_job(5.0)
    assert coarse == Job("a", 1, 0)
    refinement.done(coarse)
    assert refinement.next_job(5.9) is None and refinement.due_at() == 6.0
    for level in (1, 2):
        job = refinement.next_job(6.0)
        assert job == Job("a", 1, level)
        refinement.done(job)
    assert refinement.due_at() is None


def test_a_move_cancels_a_fine_picture_but_not_a_coarse_one() -> None:
    refinement = start()
    refinement.moved("a", 0.0)
    coarse = refinement.next_job(0.0)
    refinement.moved("b", 0.1)
    assert coarse is not None and not refinement.cancelled(coarse)
    refinement.done(coarse)  # too late: "b" has not been shown yet
    again = refinement.next_job(0.1)
    assert again == Job("b", 2, 0)
    refinement.done(again)
    fine = refinement.next_job(1.1)
    assert fine is not None and fine.level == 1 and not refinement.cancelled(fine)
    refinement.moved("c", 1.2)
    assert refinement.cancelled(fine)
    assert refinement.next_job(1.2) == Job("c", 3, 0)


# What happens next: a pause (seconds) and then a move, or the next due picture is rendered.
events = st.lists(st.tuples(st.floats(0.0, 2.0), st.booleans()), max_size=30)


@given(events)
def test_any_flight_ends_with_every_level_of_the_last_place_in_order(flight: list[tuple[float, bool]]) -> None:
    refinement, now, moves = start(), 0.0, 0
    moved_at = 0.0
    for pause, moves_on in flight:
        now += pause
        if moves_on:
            moves, moved_at = moves + 1, now
            refinement.moved(f"place {moves}", now)
        elif job := refinement.next_job(now):
            assert job.camera == f"place {moves}" and not refinement.cancelled(job)
            assert job.level == 0 or now - moved_at >= REST
            refinement.done(job)
    moves += 1
    refinement.moved("last", now)
    shown = []
    while (due := refinement.due_at()) is not None:
        job = refinement.next_job(due)
        assert job is not None and job.camera == "last" and due <= now + REST
        shown.append(job.level)
        refinement.done(job)
    assert shown == list(range(LEVELS))


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=20))
def test_while_the_camera_keeps_moving_only_coarse_pictures_come(pauses: list[float]) -> None:
    refinement, now = start(), 0.0
    for pause in pauses:
        refinement.moved("somewhere", now)
        job = refinement.next_job(now)
        assert job is not None and job.level == 0
        refinement.done(job)
        now += pause
        assert refinement.next_job(now) is None
