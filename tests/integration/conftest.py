# SPDX-License-Identifier: MIT
"""Fixtures: routers by what they are set to, shared within a module; after every test the books must balance."""
import os
import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import bed as bed_module  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the long forms too: hours of kills, 10,000 sessions")


def pytest_configure(config):
    if config.getoption("--long"):
        os.environ["SL_LONG"] = "1"
        bed_module.IS_LONG = True


@pytest.fixture(scope="module")
def beds(tmp_path_factory):
    """Routers of this module, each started when first asked for. At the end all stop in order, with clean logs."""
    started = {}
    yield started
    wrong = []
    for bed in started.values():
        try:
            bed.stop()
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def start_bed(beds, tmp_path_factory):
    """start_bed(shards=, domains=, users=, plaintext=, settings=, name=): a running router; a name makes it another one
    than an equal one without."""
    used = []

    def start(name="", **how):
        how["settings"] = tuple(how.get("settings", ()))
        how["domains"] = tuple(how.get("domains", ("localhost",)))
        key = (name, *sorted(how.items()))
        if key not in beds:
            beds[key] = bed_module.Bed(tmp_path_factory.mktemp("bed"), **how)
        if beds[key] not in used:
            used.append(beds[key])
        return beds[key]

    yield start
    for bed in used:
        bed.settle()


@pytest.fixture
def bed(start_bed):
    """The usual one: two shards, localhost, user0 to user23 with the password "secret"."""
    return start_bed()


@pytest.fixture
def plain_bed(start_bed):
    """The same with tls.required = false, for what is about XML and not about TLS."""
    return start_bed(plaintext=True)
