# SPDX-License-Identifier: MIT
"""Many TLS sessions at once, all of them in pairs that write to each other (bench/sluice-load): nothing lost, doubled or
out of order, and what a session costs. 500 sessions in a normal run, 10,000 in the long one."""
import json
import os
import pathlib
import subprocess

import pytest

import bed as bed_module
import tap
import throwaway
import wire

SESSIONS = 10000 if bed_module.IS_LONG else 500
MESSAGES = 20


def load_binary():
    """That of the build which SLUICED is of, else of build/release. There is no skipping: without it the test fails."""
    given = os.environ.get("SLUICE_LOAD")
    places = [pathlib.Path(given)] if given else [pathlib.Path(bed_module.sluiced()).parents[1] / "bench" / "sluice-load",
                                                   throwaway.BUILD / "bench" / "sluice-load"]
    for place in places:
        if place.exists():
            return str(place)
    raise AssertionError(f"{places[0]} is not built: ninja bench/sluice-load")


def load(bed, folder, *words):
    """The report of a run. What its clients hear goes to the tap."""
    folder.mkdir()
    done = subprocess.run([load_binary(), *words, "--connect", f"127.0.0.1:{bed.tls_port}", "--sessions", str(SESSIONS),
                           "--pid", str(bed.pid), "--tap", str(folder), "--json"],
                          capture_output=True, text=True, timeout=600, check=False)
    tap.adopt(bed.tls_port, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("shards, words", [(1, []), (2, []), (8, []), (8, ["--pipeline"])])
def test_sessions__all_in_pairs__chat_and_lose_nothing(start_bed, tmp_path, shards, words):
    """With --pipeline what a client knows will be offered it does not wait for: its header and resource arrive while the
    stream moves to its owner's shard."""
    bed = start_bed(shards=shards, users=SESSIONS, settings=["log.level=warn"])
    bare = wire.rss(bed.pid)
    report = load(bed, tmp_path / "tap", "chat", "--count", str(MESSAGES), "--warmup", "0", "--window", "1", *words)
    peak = int(next(line for line in open(f"/proc/{bed.pid}/status", encoding="ascii") if "VmHWM" in line).split()[1])
    print(f"{shards} shards, {SESSIONS} sessions: {((peak << 10) - bare) / SESSIONS:.0f} bytes a session at the peak "
          f"(all of the process, handshakes included); {report}")
    assert report["ok"] and report["sent"] == report["received"] == SESSIONS * MESSAGES
    assert not any(report[what] for what in ("refused", "duplicated", "reordered", "corrupt", "lost", "broken"))
    stats = bed.stats()
    assert stats["logins"] >= SESSIONS and stats["logins_failed"] == 0
    assert stats["stanzas_refused"] == stats["stanzas_dropped"] == stats["stanzas_lost"] == stats["stanzas_returned"] == 0
    assert stats["stanzas_accepted"] >= SESSIONS * MESSAGES
    if shards > 1:
        assert stats["letters_posted"] > 0


def test_idle_sessions__cost_what_is_promised(start_bed, tmp_path):
    """By sluice-load's own measure: resident memory after a rest, less that of the empty process."""
    bed = start_bed(name="idle", shards=2, users=SESSIONS, settings=["log.level=warn"])
    print(load(bed, tmp_path / "tap", "idle", "--duration", "1"))
