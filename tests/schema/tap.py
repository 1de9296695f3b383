# SPDX-License-Identifier: MIT
"""The tap: what a test's client hears from the router, in plain text, one file a connection, all its streams in order.

A proxy before the router would see TLS records; so it is the clients that tell: each makes a Connection where it
connects and says what it has heard. With SL_TAP=FOLDER in the environment (tests/conftest.py sets it for every run of
pytest) it is kept there; names.tsv says which test opened what."""
import collections
import itertools
import os
import pathlib
import shutil

numbers = itertools.count()
opened = collections.Counter()  # connections by the router's port: a bed compares it with the router's own count


def new_file(folder, name):
    """A path for another connection, under the name of the running test."""
    path = pathlib.Path(folder, f"{name}-{os.getpid()}-{next(numbers)}.xml")
    with open(path.with_name("names.tsv"), "a", encoding="utf-8") as file:
        file.write(f"{path.name}\t{os.environ.get('PYTEST_CURRENT_TEST', 'no test')}\n")
    return path


class Connection:
    """One connection of a client to the router that listens on this port."""

    def __init__(self, port, name="live"):
        opened[port] += 1
        folder = os.environ.get("SL_TAP")
        self.path = new_file(folder, name) if folder else None

    def heard(self, data):
        if self.path and data:
            with open(self.path, "ab") as file:
                file.write(data)
        return data


def adopt(port, folder, name="load"):
    """What another program's clients heard: a file a connection."""
    for path in sorted(pathlib.Path(folder).glob("*.xml")):
        opened[port] += 1
        shutil.move(path, new_file(os.environ["SL_TAP"], name))


def names(folder):
    """The test of each file."""
    path = pathlib.Path(folder, "names.tsv")
    return dict(line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines()) if path.exists() else {}
