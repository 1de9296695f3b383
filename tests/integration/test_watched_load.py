# SPDX-License-Identifier: MIT
"""Many streams behind few certificates: each certificate is there once and asked for once, and when one that many streams share is
revoked these end with <reset/> and no other does. 300 streams behind 20 certificates, 100 of them behind one; in the long form
20,000, 1,000 and 5,000. What it costs is measured by bench/watched-streams."""
import sys

import pytest

import bed as bed_module
import tap
import wire
from test_load import load_binary

sys.path.insert(0, str(bed_module.ROOT / "bench"))
import watched  # noqa: E402

STREAMS, CERTIFICATES, SHARED, PATIENCE = (20000, 1000, 5000, 900) if bed_module.IS_LONG else (300, 20, 100, 60)
ORDINARY = CERTIFICATES - 1  # and behind them the one that is shared
RATE = ["--login-rate", 200] if bed_module.IS_LONG else []  # bench/watched-streams has the reason
PAIRS = min(ORDINARY // 2, 100)


@pytest.fixture
def people(tmp_path):
    made = watched.People(tmp_path / "people", ORDINARY, 1, SHARED)
    yield made
    made.close()


class Crowd:
    """Loads on a bed by certificates of people's; what their clients hear goes to the tap."""

    def __init__(self, bed, people, folder):
        self.bed, self.people, self.folder, self.loads = bed, people, folder, {}

    def begin(self, name, mode, first, count, sessions, *more):
        heard = self.folder / name
        heard.mkdir()
        load = watched.Load(load_binary(), mode, self.bed.tls_port, *self.people.words(first, count), "--sessions", sessions, "--tap",
                            heard, "--patience", PATIENCE, *RATE, *more)
        self.loads[name] = load, heard

    def end(self, name, **how):
        load, heard = self.loads.pop(name)
        report = load.end(PATIENCE, **how)
        tap.adopt(self.bed.tls_port, heard)
        return report

    def close(self):
        for load, _ in self.loads.values():
            load.kill()


@pytest.fixture
def crowd(start_bed, people, tmp_path):
    made = Crowd(start_bed(users=people.users, settings=people.settings("timeouts.idle=7d", "certs.wait=60s")), people, tmp_path)
    yield made
    made.close()


def test_revoked__of_one_certificate_that_many_share__ends_those_and_no_others(crowd, people, tmp_path):
    bed = crowd.bed
    crowd.begin("others", "idle", 0, ORDINARY, STREAMS - SHARED, "--duration", 3600)
    crowd.begin("those", "idle", ORDINARY, 1, SHARED, "--duration", 3600, "--resets", SHARED, "--record", tmp_path / "record")
    assert bed_module.wait_until(lambda: bed.stats()["sessions"] == STREAMS, PATIENCE, 0.1), bed.stats()["sessions"]
    rows = watched.peers(bed.json)
    assert len(rows) == CERTIFICATES == people.asked()
    assert {row["standing"] for row in rows.values()} == {"good"}
    assert sum(row["streams"] for row in rows.values()) == STREAMS
    assert rows[people.name(ORDINARY)]["streams"] == SHARED

    people.revoke(ORDINARY)
    assert bed.json(f"certs check {people.name(ORDINARY)}") == {"chains": 1}
    crowd.begin("pairs", "chat", 0, 2 * PAIRS, 2 * PAIRS, "--count", 20)
    those, pairs = crowd.end("those"), crowd.end("pairs")
    assert those["ok"] and those["resets"] == SHARED, those
    assert sorted(number for _, number in watched.read_record(tmp_path / "record")["reset"]) == list(range(SHARED))
    assert pairs["ok"] and pairs["received"] == 40 * PAIRS, pairs
    assert bed.stats()["streams_reset"] == SHARED and people.asked() == CERTIFICATES + 1
    rows = watched.peers(bed.json)
    assert len(rows) == ORDINARY and people.name(ORDINARY) not in rows

    crowd.begin("again", "idle", ORDINARY, 1, 1, "--duration", 1)
    again = crowd.end("again")
    assert again["logins_failed"] == 1 and "not-authorized" in again["first_error"], again
    others = crowd.end("others", is_told=True)
    assert others["ok"] and others["logins"] == STREAMS - SHARED and not others["broken"] + others["resets"], others
    assert bed_module.wait_until(lambda: bed.stats()["sessions"] == 0, wire.WAIT)
