# SPDX-License-Identifier: MIT
"""sluice-load, as bench/compare has it run: on a core of its own, in the favour that is asked for, its report checked."""
import json
import subprocess

import alone
import rounds
import throwaway

LIMIT_SECONDS = 100  # of any one run
FIRST = 2  # of SCHED_FIFO


def run(given, server, words, is_first=False):
    """The report of one run. is_first: nobody else gets a core that server or generator want; these sleep between messages."""
    kind = ["--relay"] if server.name == "relay" else ["--domain", alone.DOMAIN]
    port = server.tls if words[words.index("--tls") + 1] == "direct" else server.c2s
    command = ["taskset", "-c", str(given.generator), str(given.build / "bench" / "sluice-load"), *map(str, words), *kind, "--json",
               "--connect", f"127.0.0.1:{port}", "--pid", str(server.pid), *(["--calm"] if is_first else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        rounds.prefer(given.nice, process.pid)
        for pid in (process.pid, server.pid) if is_first else ():
            rounds.hasten(pid, FIRST)
        told = process.communicate(timeout=LIMIT_SECONDS)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise throwaway.Trouble(f"{server.name}: {' '.join(command)}: no end after {LIMIT_SECONDS} s") from None
    finally:
        if is_first:
            rounds.relax(server.pid)
    result = json.loads(told)
    if not result["ok"]:
        raise throwaway.Trouble(f"{server.name}: {' '.join(command)}: {result['failure']} {result['first_error']}")
    return result


def is_disturbed(result):
    """Others had a core for long, nothing arrived, or what is asked for, latencies, is the generator's own."""
    if result["mode"] == "idle":
        return False
    return rounds.is_disturbed(result) or not result["events"] or (result["mode"] == "rate" and result["saturated"])


def run_quietly(given, server, words, repeats, is_first=False):
    """The first run that nobody disturbed; the last one if all were."""
    for _ in range(1 + repeats):
        result = run(given, server, words, is_first)
        if not is_disturbed(result):
            break
    if not result["events"] and result["mode"] != "idle":
        raise throwaway.Trouble(f"{server.name}: {' '.join(map(str, words))}: nothing arrived while it was measured")
    return result
