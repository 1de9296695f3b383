# SPDX-License-Identifier: MIT
"""What bench/compare has done, and how it is told: tables for docs/BENCH.md and README.md, plots."""
import collections

import half_load

Work = collections.namedtuple("Work", "words unit")
RATE = 500
AUDIENCE = 200
BODIES = (100, 1024, 4096, 16384)
TLS_NAMES = {"none": "plain", "direct": "TLS"}
SHARDED_NAMES = ("sluice, pairs on one of 2 shards", "sluice, pairs across 2 shards")


def works():
    """{name: words of sluice-load, unit} in the order of the table."""
    made = {"login, TLS": Work(["login", "--tls", "direct", "--sessions", "64"], "us")}
    for tls, name in TLS_NAMES.items():
        for body in BODIES:
            for window in (1, 16):
                words = ["chat", "--tls", tls, "--body", str(body), "--window", str(window)]
                made[f"chat, {name}, {body} B, window {window}"] = Work(words, "us")
    made["ping, plain, window 16"] = Work(["iq", "--tls", "none", "--window", "16"], "us")
    for tls, name in TLS_NAMES.items():
        words = ["presence", "--tls", tls, "--sessions", str(AUDIENCE + 1), "--users", "1"]
        made[f"presence to {AUDIENCE}, {name}"] = Work(words, "us")
    for tls, name in TLS_NAMES.items():
        made[f"{RATE} messages/s, {name}"] = Work(["rate", "--tls", tls, "--rate", str(RATE)], "us")
    for tls, name in TLS_NAMES.items():
        made[f"idle session, {name}"] = Work(["idle", "--tls", tls, "--settle", "5"], "B")
    return made


WORKS = works()
SHARDED_WORKS = [name for name in WORKS if name.startswith("chat") and ", 100 B, " in name]


def best_rival(report, work):
    """The lower figure of the others, and whose it is."""
    others = [(report["figures"][f"{name}: {work}"]["figure"]["median"], name)
              for name in report["versions"] if name != "sluice" and f"{name}: {work}" in report["figures"]]
    return min(others) if others else None


def text_of(worth):
    digits = 0 if worth["median"] >= 1000 else 1 if worth["median"] >= 100 else 2
    return f"{worth['median']:,.{digits}f} ({worth['least']:,.{digits}f} to {worth['most']:,.{digits}f})"


def cell(figure):
    if not figure:
        return "–"
    return text_of(figure["figure"]) + (f" *{figure['disturbed']}/{figure['runs']}*" if figure["disturbed"] else "")


def table(report, works_shown):
    names = list(report["versions"])
    lines = ["| work | " + " | ".join(names) + " | the better of the two against ours |", "|---|" + "---|" * (len(names) + 1)]
    for work in works_shown:
        figures = [report["figures"].get(f"{name}: {work}") for name in names]
        if not any(figures):
            continue
        ours, best = report["figures"].get(f"sluice: {work}"), best_rival(report, work)
        ratio = f"**{best[0] / ours['figure']['median']:.1f} x** ({best[1]})" if ours and best else ""
        lines.append(f"| {work}, {WORKS[work].unit} | " + " | ".join(map(cell, figures)) + f" | {ratio} |")
        if any(figure and figure["kernel"] for figure in figures):
            kernel = " | ".join(text_of(figure["kernel"]) if figure else "–" for figure in figures)
            lines.append(f"| the kernel's objects for it, both ends, B | {kernel} | |")
    return "\n".join(lines)


def sharded(report):
    """One shard beside two on the same core."""
    names = ("sluice", *SHARDED_NAMES)
    lines = ["| two shards on one core, us | one shard | pairs on one of two | pairs across two |", "|---|---|---|---|"]
    for work in SHARDED_WORKS:
        figures = [report["figures"].get(f"{name}: {work}") for name in names]
        if any(figures[1:]):
            lines.append(f"| {work} | " + " | ".join(map(cell, figures)) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""


def latencies(report):
    lines = ["| at a fixed rate | server | p50 | p99 | p99.9 (ms, medians of the rounds) |", "|---|---|---|---|---|"]
    for work in WORKS:
        for name in report["versions"]:
            figure = report["figures"].get(f"{name}: {work}")
            if WORKS[work].words[0] == "rate" and figure:
                parts = figure["latency"]
                told = [f"{parts[part]['median']:.2f}" for part in ("p50", "p99", "p999")] if parts else ["–"] * 3
                lines.append(f"| {work} | {name} | " + " | ".join(told) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""


def versions_of(report):
    return ", ".join(f"{name} {version}" for name, version in report["versions"].items())


def page(report):
    command = (f"bench/compare --rounds {report['rounds']} --duration {report['duration']:g} --pairs {report['pairs']} --nice "
               f"{report['nice']}{' --realtime' if report['realtime'] else ''}")
    parts = [f"`{command}` on\n{report['machine']}; {versions_of(report)}.\nServer on one core, generator on another. Medians (least "
             f"to most); *n/m*: others had a core for more than a tenth of the\ntime in n of m rounds.",
             table(report, WORKS), sharded(report), latencies(report), half_load.table(report["half_load"]) if report["half_load"] else ""]
    return "\n\n".join(part for part in parts if part)


def headline(report):
    shown = [name for name in WORKS if name.startswith(("login", "presence", "idle")) or ", 100 B, " in name]
    return (f"{table(report, shown)}\n\n{versions_of(report)}; one core each, the same generator. CPU time of the "
            f"server for each\nmessage, presence delivered or login, memory for each session; medians (least to most); *n/m*: the machine was "
            f"disturbed in n\nof m rounds. [How it was measured](docs/BENCH.md), with more work and plots; `bench/compare` does it again.")


# ---- plots ----

def bars(axes, report, groups, labels, key="figure"):
    """A group of bars for each work, one for each server."""
    for place, name in enumerate(report["versions"]):
        heights = [report["figures"][f"{name}: {work}"][key]["median"] for work in groups]
        made = axes.bar([n + 0.27 * place for n in range(len(groups))], heights, 0.25, label=name)
        axes.bar_label(made, [f"{height:,.0f}" if height >= 100 else f"{height:.3g}" for height in heights], fontsize=6)
    axes.set_yscale("log")
    axes.set_xticks([n + 0.27 for n in range(len(groups))], labels, fontsize=7)
    axes.legend(fontsize=8)


def has_all(report, work):
    return all(f"{name}: {work}" in report["figures"] for name in report["versions"])


def plot_chat(report, folder, pyplot):
    for tls in TLS_NAMES.values():
        groups = [name for name in WORKS if name.startswith(f"chat, {tls},") and has_all(report, name)]
        if not groups:
            continue
        figure, axes = pyplot.subplots(figsize=(8, 4))
        bars(axes, report, groups, [work.split(", ", 2)[2].replace(", window ", "\nwindow ") for work in groups])
        axes.set_ylabel("CPU us per message")
        axes.set_title(f"Chat, {tls}: CPU time of the server per message delivered")
        figure.tight_layout()
        figure.savefig(folder / f"compare-{tls.lower()}.png", dpi=110)


def plot_other(report, folder, pyplot):
    costs = [name for name in WORKS if name.startswith(("login", "ping", "presence")) and has_all(report, name)]
    idle = [name for name in WORKS if name.startswith("idle") and has_all(report, name)]
    if not costs or not idle:
        return
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    bars(left, report, costs, [work.replace(", ", "\n") for work in costs])
    left.set_title("CPU us per login, answer, presence delivered", fontsize=9)
    bars(right, report, idle, [work.replace(", ", "\n") for work in idle])
    right.set_title("memory of the server per idle session, B", fontsize=9)
    figure.tight_layout()
    figure.savefig(folder / "compare-other.png", dpi=110)


def plot_latency(report, folder, pyplot):
    """At half load, with the rounds' spread."""
    if not report["half_load"]:
        return
    figure, axes = pyplot.subplots(figsize=(8, 4))
    for place, (key, worth) in enumerate(report["half_load"]["figures"].items()):
        if not worth["latency"]:
            continue
        parts = [worth["latency"][part] for part in half_load.PARTS]
        heights = [part["median"] for part in parts]
        reach = [[part["median"] - part["least"] for part in parts], [part["most"] - part["median"] for part in parts]]
        made = axes.bar([n + 0.2 * place for n in range(len(parts))], heights, 0.18, yerr=reach, capsize=2, label=key.replace(": ", ", at half of "))
        axes.bar_label(made, [f"{height:.2f}" for height in heights], fontsize=6)
    axes.set_yscale("log")
    axes.set_ylabel("ms")
    axes.set_xticks([n + 0.3 for n in range(len(half_load.PARTS))], ["p50", "p99 (budget 1 ms)", "p99.9 (budget 3 ms)"])
    axes.set_title("Latency at half load, open loop, 100 B")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(folder / "compare-latency.png", dpi=110)


def plot(report, folder):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    for one in (plot_chat, plot_other, plot_latency):
        one(report, folder, pyplot)
