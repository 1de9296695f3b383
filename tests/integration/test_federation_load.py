# SPDX-License-Identifier: MIT
"""Pairs of users whose halves are at two routers, all writing at once (bench/sluice-load): everything arrives once and in
order, over one TLS connection, although both routers dial at the first message."""
import json
import pathlib
import subprocess

import pytest

import bed as bed_module
import peers
import tap
import throwaway
from test_load import load_binary

PAIRS = 10
COUNT = 10000 if bed_module.IS_LONG else 100
ESTABLISHED = "01"
DOMAINS = ("a.example", "b.example")


@pytest.fixture
def routers(start_bed, tmp_path):
    """Both have certificates of one CA, and no proof but certificates is accepted."""
    peers.authorities(tmp_path)
    ports = {domain: throwaway.free_port() for domain in DOMAINS}
    routes = ", ".join(f"{domain}=127.0.0.1:{port}" for domain, port in ports.items())
    settings = (f"s2s.routes={routes}", "s2s.policy=pkix", "log.level=warn")
    return [start_bed(domains=(domain,), shards=2, users=PAIRS, s2s_port=ports[domain], authority=tmp_path / "known",
                      settings=settings) for domain in DOMAINS]


def connections(routers):
    """Established ones between the two, each by the end that accepted it."""
    ports = {f"{router.s2s_port:04X}" for router in routers}
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {(row[1], row[2]) for row in rows if row[3] == ESTABLISHED and row[1][-4:] in ports}


def load(routers, folder, window):
    """The report of a run. What its clients hear goes to the tap."""
    folder.mkdir()
    words = ["chat", "--pairs", str(PAIRS), "--count", str(COUNT), "--window", str(window), "--tap", str(folder), "--json"]
    for prefix, router in zip(("--", "--peer-"), routers):
        words += [f"{prefix}connect", f"127.0.0.1:{router.tls_port}", f"{prefix}domain", router.domains[0],
                  f"{prefix}pid", str(router.pid)]
    done = subprocess.run([load_binary(), *words], capture_output=True, text=True, timeout=300, check=False)
    tap.adopt(routers[0].tls_port, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_pairs_over_two_routers__all_write_at_once__lose_nothing_on_one_connection(routers, tmp_path):
    report = load(routers, tmp_path / "first", window=16)
    print(f"{report['sum_cpu_us_per_event']:.1f} us of both routers a message, connecting included; {report}")
    assert report["ok"] and report["sent"] == report["received"] == 2 * PAIRS * COUNT
    assert not any(report[what] for what in ("refused", "duplicated", "reordered", "corrupt", "lost", "broken"))
    # Both have dialled; one of the two streams has ended by now or is about to.
    assert bed_module.wait_until(lambda: len(connections(routers)) == 1), connections(routers)
    kept = connections(routers)
    second = load(routers, tmp_path / "second", window=1)
    assert second["ok"] and connections(routers) == kept
    rows = [row for router in routers for row in router.json("show s2s") if row["state"] == "ready"]
    assert [(row["bidi"], row["proof"]) for row in rows] == [(True, "pkix")] * 2
    assert {row["direction"] for row in rows} == {"in", "out"}
    for router in routers:
        stats = router.stats()
        assert stats["stanzas_refused"] == stats["stanzas_dropped"] == stats["stanzas_lost"] == stats["stanzas_returned"] == 0
    assert routers[0].ctl("s2s", "close", DOMAINS[1]).returncode == 0
    assert bed_module.wait_until(lambda: not connections(routers))
