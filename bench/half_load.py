# SPDX-License-Identifier: MIT
"""Latency at half load: what one core carries when pairs wait for each other (window 1, the most of three runs), and, at half of
that rate in an open loop, how long messages take; beside it the bare relay, which carries as many of the same bytes."""
import pathlib
import sys
import tempfile

import alone
import generator
import rounds

BUDGET_MS = {"p99": 1.0, "p999": 3.0}
PARTS = ("p50", "p99", "p999")
REPEATS = 2
ROUNDS_LEAST = 5


def words(given, mode, tls, *more):
    return [mode, "--tls", tls, "--pairs", given.pairs, "--duration", given.duration, "--warmup", 0.3, *more]


def saturated(given, server, tls):
    """Messages a second."""
    result = generator.run_quietly(given, server, words(given, "chat", tls, "--window", 1), 0 if given.quick else REPEATS)
    return result["events"] / result["seconds"]


def measure(given):
    """{"rates": {plain, TLS}, "runs": {"relay: plain": [report, ...], ...}}"""
    found = {"rates": {}, "runs": {}}
    names = {"plain": "none", "TLS": "direct"}
    with tempfile.TemporaryDirectory(prefix="sluice-half-") as folder:
        ours = rounds.on_core(given.server, alone.Sluice, pathlib.Path(folder) / "server", 2 * given.pairs)
        relay = rounds.on_core(given.server, alone.Relay, str(given.build / "bench" / "relay"))
        try:
            for server in (ours, relay):
                rounds.prefer(given.nice, server.pid)
            for name, tls in names.items():
                found["rates"][name] = max(saturated(given, ours, tls) for _ in range(3))
            for number in range(1 if given.quick else max(given.rounds, ROUNDS_LEAST)):
                for name, tls in names.items():
                    for server, how in ((relay, "none"), (ours, tls)):
                        result = generator.run_quietly(given, server, words(given, "rate", how, "--rate", found["rates"][name] / 2),
                                                       0 if given.quick else REPEATS, given.realtime)
                        found["runs"].setdefault(f"{server.name}: {name}", []).append(result)
                        latency = result["latency_ns"]
                        told = ", ".join(f"{latency[part] / 1e6:.3f}" for part in PARTS) if latency else "the generator's own"
                        print(f"half load {number + 1}  {server.name:8} {name:6} {told} ms", file=sys.stderr, flush=True)
        finally:
            relay.stop()
            ours.stop()
    return found


def summary(found):
    figures = {}
    for key, runs in found["runs"].items():
        fine = [run for run in runs if run["latency_ns"]]
        figures[key] = {"latency": {part: rounds.spread([run["latency_ns"][part] / 1e6 for run in fine]) for part in PARTS} if fine else None,
                        "share": rounds.spread([run["server"]["busiest_share"] for run in runs]), "runs": len(runs), "fine": len(fine)}
    return {"rates": found["rates"], "figures": figures}


def is_met(figure):
    return bool(figure["latency"]) and all(figure["latency"][part]["median"] < most for part, most in BUDGET_MS.items())


def table(report):
    lines = ["| at half load | messages/s | server | p50 | p99 | p99.9 (ms, medians of the rounds, least to most) | of its core | budget |",
             "|---|---|---|---|---|---|---|---|"]
    for name, rate in report["rates"].items():
        for who in ("relay", "sluice"):
            figure = report["figures"][f"{who}: {name}"]
            cells = ["–"] * 3
            if figure["latency"]:
                cells = [f"{part['median']:.2f} ({part['least']:.2f} to {part['most']:.2f})" for part in map(figure["latency"].get, PARTS)]
            verdict = "" if who == "relay" else "met" if is_met(figure) else "missed"
            lines.append(f"| 100 B, {name} | {rate / 2:,.0f} | {who} | {' | '.join(cells)} | {100 * figure['share']['median']:.0f} % | {verdict} |")
    return "\n".join(lines)

