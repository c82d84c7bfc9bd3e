"""Sizes as people write them, and how much memory there is."""

from __future__ import annotations

import os
import re

import jax
import numpy as np
import pytest

from gridax import _memory
from gridax._memory import free, human, parsed, physical
from tests.ids import plain


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1500, "1.5 kB"),
        (12_345, "12.3 kB"),
        (4.2e9, "4.2 GB"),
        (5e15, "5 PB"),
        (1e19, "10 EB"),
    ],
)
def test_sizes_read_well(nbytes, text):
    assert human(nbytes) == text


@pytest.mark.parametrize(("nbytes", "text"), [(999_999, "1 MB"), (999.9, "1 kB")])
def test_sizes_just_below_a_unit_read_well(nbytes, text):
    assert human(nbytes) == text


def test_a_size_beyond_all_numbers_is_refused():
    with pytest.raises(ValueError, match="memory must be a positive number of bytes"):
        parsed("9" * 400 + " GB")


@pytest.mark.parametrize(
    ("size", "nbytes"),
    [
        (1, 1),
        (2**40, 2**40),
        (np.int64(5), 5),
        ("512 B", 512),
        ("4 GB", 4 * 10**9),
        ("4GB", 4 * 10**9),
        ("  1.5 kB ", 1500),
        ("1 mb", 10**6),
        ("2 TB", 2 * 10**12),
        ("3 PB", 3 * 10**15),
        ("1 KiB", 1024),
        ("2 mib", 2 * 2**20),
        ("0.5 GiB", 2**29),
        ("1 TiB", 2**40),
        (".5 kB", 500),
    ],
    ids=plain,
)
def test_numbers_and_texts_are_read_as_bytes(size, nbytes):
    found = parsed(size)
    assert found == nbytes
    assert type(found) is int


@pytest.mark.parametrize("nbytes", [1, 999, 1000, 4_200_000, 7_000_000_000])
def test_what_is_written_for_people_is_read_again(nbytes):
    assert parsed(human(nbytes)) == nbytes


@pytest.mark.parametrize(
    "size",
    [
        *("", "lots", "4", "4 G", "4 gigabytes", "GB", "GB 4", "1.2.3 GB", ". GB", "4 GB or so"),
        *("-1 GB", "0 GB", "0.1 B", 0, -5, True, False),
    ],
    ids=plain,
)
def test_what_is_no_positive_number_of_bytes_is_refused(size):
    text = (
        "memory must be a positive number of bytes or text such as '4 GB' "
        f"(B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB), got {size!r}"
    )
    with pytest.raises(ValueError, match=re.escape(text) + "$"):
        parsed(size)


@pytest.mark.parametrize("size", [4e9, None, [1], {"GB": 4}, b"4 GB"], ids=plain)
def test_what_is_neither_a_whole_number_nor_text_is_refused(size):
    text = f"memory must be a number of bytes or text such as '4 GB', got {size!r}"
    with pytest.raises(TypeError, match=re.escape(text) + "$"):
        parsed(size)


@pytest.fixture
def machine(monkeypatch):
    """Set what the machine and its container say; what is not set is not said."""

    def say(**said):
        for name, value in said.items():
            monkeypatch.setattr(_memory, f"_{name}", value)

    physical.cache_clear()
    yield say
    physical.cache_clear()


def container(**figures):
    """What a control group says of its memory."""
    return figures.get


def test_the_machine_has_the_memory_that_the_system_says():
    there = physical()
    if there is None:
        pytest.skip("the system does not say how much memory it has")
    assert 2**20 < there <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_container_has_less_than_its_machine(machine):
    machine(of_container=container(max=1000))
    assert physical() == 1000


def test_a_container_without_a_limit_has_all_of_its_machine(machine):
    machine(of_container=container())
    assert physical() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_container_has_no_more_than_its_machine(machine):
    machine(of_container=container(max=2**70))
    assert physical() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize("error", [AttributeError, ValueError, OSError])
def test_a_system_that_does_not_say_has_unknown_memory(machine, monkeypatch, error):
    def refusing(name):
        raise error(name)

    machine()
    monkeypatch.setattr(os, "sysconf", refusing)
    assert physical() is None


class Device:
    """A device that says of its memory what it is told to."""

    def __init__(self, platform, **stats):
        self.platform, self._stats = platform, stats or None

    def memory_stats(self):
        return self._stats


def test_a_device_that_knows_its_memory_says_what_is_left():
    assert free(Device("gpu", bytes_limit=1000, bytes_in_use=300)) == 700


def test_a_device_that_does_not_say_what_it_uses_has_all():
    assert free(Device("gpu", bytes_limit=1000)) == 1000


@pytest.mark.parametrize("device", [Device("gpu"), Device("gpu", bytes_in_use=300)])
def test_a_device_that_does_not_say_how_much_it_has_is_unknown(device):
    assert free(device) is None


def test_a_cpu_has_what_the_system_would_give(machine):
    machine(available=lambda: 500, of_container=container())
    assert free(Device("cpu")) == 500


def test_a_cpu_in_a_container_has_what_the_container_has_left(machine):
    machine(available=lambda: 500, of_container=container(max=400, current=150))
    assert free(Device("cpu")) == 250


def test_a_cpu_in_a_large_container_has_no_more_than_the_system_would_give(machine):
    machine(available=lambda: 500, of_container=container(max=4000, current=150))
    assert free(Device("cpu")) == 500


def test_a_container_tells_where_the_system_does_not(machine):
    machine(available=lambda: None, of_container=container(max=400, current=150))
    assert free(Device("cpu")) == 250


def test_a_cpu_whose_system_says_nothing_is_unknown(machine):
    machine(available=lambda: None, of_container=container())
    assert free(Device("cpu")) is None


@pytest.fixture
def files(machine, monkeypatch):
    """Let there be some files of the system and no others."""

    def contain(**texts):
        def read(path):
            if path.name not in texts:
                raise FileNotFoundError(path)
            return texts[path.name]

        monkeypatch.setattr(_memory.Path, "read_text", read)

    return contain


def test_what_linux_would_give_is_read_in_kilobytes(files):
    files(meminfo="MemTotal:  3000 kB\nMemAvailable:   2000 kB\nSwapTotal:  0 kB\n")
    assert free(Device("cpu")) == 2000 * 1024


def test_a_container_is_read_in_bytes_and_may_have_no_limit(files):
    meminfo = "MemAvailable:   2000 kB\n"
    files(**{"meminfo": meminfo, "memory.max": "5000\n", "memory.current": "1000\n"})
    assert free(Device("cpu")) == 4000
    files(**{"meminfo": meminfo, "memory.max": "max\n", "memory.current": "1000\n"})
    assert free(Device("cpu")) == 2000 * 1024


@pytest.mark.parametrize("texts", [{}, {"meminfo": "MemTotal:  3000 kB\n"}], ids=["none", "old"])
def test_a_cpu_has_all_of_its_machine_where_nobody_says_what_is_left(files, texts):
    files(**texts)
    assert free(Device("cpu")) == physical()


def test_a_cpu_of_this_machine_has_less_than_all_memory():
    there = physical()
    if there is None:
        pytest.skip("the system does not say how much memory it has")
    assert 0 < free(jax.local_devices(backend="cpu")[0]) < there


def test_what_does_not_fit_is_refused_with_both_sizes(monkeypatch):
    monkeypatch.setattr(_memory, "physical", lambda: 80)
    _memory.check_fits(80, "ten numbers", "use fewer")
    text = "eleven numbers need 88 B, but the machine has 80 B of memory; use fewer"
    with pytest.raises(MemoryError, match=f"^{text}$"):
        _memory.check_fits(88, "eleven numbers", "use fewer")
