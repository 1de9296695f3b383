# SPDX-License-Identifier: MIT
"""All clients are cut and come back at once while connections that never log in come from other addresses: all are back, the floods
end by limits and deadlines, and nothing of them is left. 200 clients; bench/storm measures what others notice of 20,000."""
import signal
import sys

import bed as bed_module
import tap
import wire
from test_load import load_binary

sys.path.insert(0, str(bed_module.ROOT / "bench"))
import watched  # noqa: E402

CLIENTS = 200
SETTINGS = ("limits.connections_per_address=60", "limits.handshakes_per_address=20", "limits.logins_waiting=32", "timeouts.tls=1s",
            "timeouts.header=1s", "log.level=warn")


def begin(bed, loads, folder, mode, *words):
    folder.mkdir(exist_ok=True)
    loads.append(watched.Load(load_binary(), mode, bed.tls_port, *words, "--duration", 3600, "--patience", 60, "--tap", folder))
    return loads[-1]


def test_storm__of_all_beside_floods__all_are_back(start_bed, tmp_path):
    bed, loads, folder = start_bed(users=CLIENTS, settings=SETTINGS), [], tmp_path / "heard"
    try:
        clients = begin(bed, loads, folder, "storm", "--sessions", CLIENTS, "--logins-at-once", CLIENTS)
        assert bed_module.wait_until(lambda: bed.stats()["sessions"] == CLIENTS, 60, 0.1), bed.stats()
        floods = [begin(bed, loads, folder, "flood", "--flood-kind", kind, "--sessions", 100, "--login-rate", 100, "--source", "127.0.1.1",
                        "--source-count", 2) for kind in ("tcp", "hello", "tls")]
        clients.process.send_signal(signal.SIGUSR1)
        assert bed_module.wait_until(lambda: bed.stats()["logins"] == 2 * CLIENTS and bed.stats()["sessions"] == CLIENTS, 60, 0.1), bed.stats()
        assert bed_module.wait_until(lambda: bed.stats()["handshakes_held"] > 0 and bed.stats()["connections"] > CLIENTS, 60, 0.1)
        ends = [flood.end(60, is_told=True) for flood in floods]
        assert bed_module.wait_until(lambda: bed.stats()["connections"] == CLIENTS, wire.WAIT), bed.stats()
        told = clients.end(60, is_told=True)
    finally:
        for load in loads:
            load.kill()
    tap.adopt(bed.tls_port, folder)
    bed.untapped_from -= bed.untapped()  # the floods hear no XML
    assert told["ok"] and told["cut"] == CLIENTS and told["last_back_ns"] and not told["broken"], told
    assert all(end["ok"] and end["begun"] for end in ends) and sum(end["denied"] for end in ends), ends
