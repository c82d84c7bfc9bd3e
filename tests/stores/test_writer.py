"""The thread that writes blocks: a few wait for it, and an error is the end of it."""

from __future__ import annotations

import threading

import pytest

from gridax._stores import writer as writer_module
from gridax._stores.writer import Writer

# Longer than any of this takes on the slowest machine.
PATIENCE = 600


class Gate:
    """Something to write with that lets one thing through at a time, when it is told to."""

    def __init__(self):
        self.written = []
        self._begun = threading.Semaphore(0)
        self._pass = threading.Semaphore(0)

    def __call__(self, thing):
        self._begun.release()
        assert self._pass.acquire(timeout=PATIENCE)
        self.written.append(thing)

    def wait_until_writing(self):
        assert self._begun.acquire(timeout=PATIENCE)

    def let_through(self, n=1):
        for _ in range(n):
            self._pass.release()


def in_a_thread(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


def has_ended(thread, within=PATIENCE):
    thread.join(within)
    return not thread.is_alive()


def writing_threads():
    return [thread for thread in threading.enumerate() if thread.name == "gridax writer"]


def test_things_are_written_in_order_in_another_thread():
    found = []
    writer = Writer(lambda thing: found.append((thing, threading.current_thread().name)))
    for thing in range(20):
        writer.submit(thing)
    writer.close()
    assert found == [(thing, "gridax writer") for thing in range(20)]
    assert writing_threads() == []


def test_nothing_to_write_needs_no_thread():
    writer = Writer(lambda thing: None)
    writer.close()
    assert writing_threads() == []
    assert writer.error is None


def test_closing_waits_until_everything_is_written():
    gate = Gate()
    writer = Writer(gate)
    writer.submit("a")
    gate.wait_until_writing()
    closing = in_a_thread(writer.close)
    assert not has_ended(closing, within=0.02)
    gate.let_through()
    assert has_ended(closing)
    assert gate.written == ["a"]


def test_as_many_wait_as_may_and_who_comes_next_waits_too():
    gate = Gate()
    writer = Writer(gate)
    writer.submit(0)
    gate.wait_until_writing()
    for thing in range(1, 1 + writer_module._WAITING):
        writer.submit(thing)  # returns, though nothing has been written
    last = 1 + writer_module._WAITING
    submitting = in_a_thread(writer.submit, last)
    assert not has_ended(submitting, within=0.02)
    assert gate.written == []
    gate.let_through()
    assert has_ended(submitting)  # there is a place now
    gate.let_through(last)
    writer.close()
    assert gate.written == [*range(last + 1)]


def test_it_goes_on_after_it_was_closed():
    found = []
    writer = Writer(found.append)
    for thing in range(3):
        writer.submit(thing)
        writer.close()
    assert found == [0, 1, 2]


class Refused(Exception):
    pass


def failing_at(bad, found):
    def write(thing):
        if thing == bad:
            raise Refused(thing)
        found.append(thing)

    return write


def test_an_error_is_raised_by_the_next_that_comes_and_when_it_closes():
    gate = threading.Event()

    def write(thing):
        assert gate.wait(PATIENCE)
        raise Refused(thing)

    writer = Writer(write)
    writer.submit("a")
    assert writer.error is None
    (thread,) = writing_threads()
    gate.set()
    with pytest.raises(Refused, match="a"):
        writer.close()
    assert has_ended(thread)
    assert writer.error is not None
    for _ in range(2):
        with pytest.raises(Refused, match="a"):
            writer.submit("b")
        with pytest.raises(Refused, match="a"):
            writer.close()
    assert writing_threads() == []


def test_nothing_is_written_after_an_error():
    found = []
    writer = Writer(failing_at(3, found))

    def submit_many():
        for thing in range(100):
            writer.submit(thing)

    with pytest.raises(Refused, match="3"):
        submit_many()
    with pytest.raises(Refused, match="3"):
        writer.close()
    assert found == [0, 1, 2]


@pytest.mark.parametrize(
    "error", [OSError(28, "full"), MemoryError(), SystemExit(), KeyboardInterrupt()]
)
def test_an_error_keeps_its_type(error):
    def write(thing):
        raise error

    writer = Writer(write)
    writer.submit("a")
    with pytest.raises(type(error)) as caught:
        writer.close()
    assert caught.value is error


def test_who_waits_for_a_place_while_a_write_fails_does_not_wait_forever():
    gate = threading.Event()

    def write(thing):
        assert gate.wait(PATIENCE)
        raise Refused(thing)

    writer = Writer(write)
    outcomes = []

    def submit_many():
        for thing in range(5 + writer_module._WAITING):
            writer.submit(thing)

    def noting(function):
        try:
            function()
        except Refused:
            outcomes.append(function)

    submitting = in_a_thread(noting, submit_many)
    assert not has_ended(submitting, within=0.02)
    gate.set()
    assert has_ended(submitting)
    assert has_ended(in_a_thread(noting, writer.close))
    assert outcomes == [submit_many, writer.close]
