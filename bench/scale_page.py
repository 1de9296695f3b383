# SPDX-License-Identifier: MIT
"""What bench/scale found, as a part of docs/BENCH.md."""


def slope(points, key):
    """Least squares: bytes a session, and what there is without any."""
    mean_x = sum(point["sessions"] for point in points) / len(points)
    mean_y = sum(point[key] for point in points) / len(points)
    over = sum((point["sessions"] - mean_x) * (point[key] - mean_y) for point in points)
    each = over / sum((point["sessions"] - mean_x) ** 2 for point in points)
    return each, mean_y - each * mean_x


def percentiles(chat):
    told = chat["latency_ns"]
    return ", ".join(f"{told[part] / 1e6:.2f}" for part in ("p50", "p99", "p999")) + " ms" if told else "–"


def row(point):
    return (f"| {point['sessions']:,} | {point['resident'] / 1e6:,.1f} MB | {point['kernel'] / 1e6:,.0f} MB | "
            f"{point['generator'] / 1e6:,.0f} MB | {point['login_seconds']:.0f} s | "
            f"{point['chat']['server']['cpu_us_per_event']:.2f} | {percentiles(point['chat'])} |")


def line(report):
    part = report["line"]
    points = part["points"]
    lines = [f"A fresh router of {part['shards']} shards for each row; {part['pairs']} pairs among them write {part['rate']:,} messages "
             f"a second for {part['duration']:g} s.", "",
             "| sessions | router, resident | kernel, both ends | generator | logins within | us CPU a message | p50, p99, p99.9 |",
             "|---|---|---|---|---|---|---|", *map(row, points)]
    if len(points) > 1:
        each, base = slope(points, "resident")
        lines += ["", f"Straight line: {each:,.0f} B of the router's memory for each session and {base / 1e6:,.1f} MB without any, "
                  f"{slope(points, 'kernel')[0]:,.0f} B of the kernel's for both ends, {slope(points, 'generator')[0]:,.0f} B of the generator's."]
    return lines


def largest(report):
    part = report["largest"]
    chat, sessions = part["chat"], part["sessions"]
    told = chat["latency_ns"]
    lines = [f"**{sessions:,} sessions in one process**, {part['shards']} shards (a ring has 20,000 descriptors here), of which "
             f"{2 * part['pairs']:,} wrote {part['rate']:,} messages a second to each other for {part['minutes']:g} minutes: "
             f"{chat['received']:,} messages, {chat['lost']} lost, {chat['duplicated']} doubled, {chat['reordered']} out of order, "
             f"{chat['broken']} connections ended, and in the end all {part['idle']:,} idle sessions were there and logged out in order.", "",
             "| | |", "|---|---|",
             f"| logins | within {part['login_seconds']:.0f} s, {part['idle'] / part['login_seconds']:,.0f} a second, of router and generator on the same cores |",
             f"| router, resident | {part['resident'] / 1e6:,.0f} MB: {(part['resident'] - part['fresh']) / sessions:,.0f} B a session over the "
             f"{part['fresh'] / 1e6:,.0f} MB of a fresh one |",
             f"| kernel's objects, both ends | {part['kernel'] / 1e6:,.0f} MB: {part['kernel'] / sessions:,.0f} B a session |",
             f"| generator | {part['generator'] / 1e6:,.0f} MB: {part['generator'] / part['idle']:,.0f} B a session |",
             f"| free memory of the machine at the least | {part['least_free'] / 1e6:,.0f} MB |",
             f"| CPU of the router for a message | {chat['server']['cpu_us_per_event']:.2f} us |"]
    if told:
        lines += [f"| latency p50, p99, p99.9, most | {percentiles(chat)[:-3]}, {told['max'] / 1e6:.1f} ms |"]
    if "line" in report and len(report["line"]["points"]) > 1:
        each, base = slope(report["line"]["points"], "resident")
        lines += [f"| the straight line above says | {(base + each * sessions) / 1e6:,.0f} MB resident |"]
    return lines


def cost(report):
    part = report["cost"]
    first = part["points"][0]["us"]["median"]
    lines = [f"The same traffic ({part['pairs']} pairs, {part['rate']:,} messages a second, {part['duration']:g} s, three times) at a router of "
             f"{part['shards']} shards that gets more and more sessions:", "", "| sessions | us CPU a message: median (least to most) | |", "|---|---|---|"]
    for point in part["points"]:
        us = point["us"]
        lines.append(f"| {point['sessions']:,} | {us['median']:.2f} ({us['least']:.2f} to {us['most']:.2f}) | {us['median'] / first:.2f} x |")
    return lines


def shards(report):
    part = report["shards"]
    lines = [f"{part['pairs']} pairs, closed loop, 100 B, {part['rounds']} rounds of 3 s, the shard counts in turn; every message checked for "
             "order, sender and bytes, none lost or doubled:", "",
             "| shards | window | us CPU a message: median (least to most) | messages/s, generator on the same cores | messages in all |", "|---|---|---|---|---|"]
    for point in part["rows"]:
        us, rate = point["us"], point["rate"]
        lines.append(f"| {point['shards']} | {point['window']} | {us['median']:.2f} ({us['least']:.2f} to {us['most']:.2f}) | "
                     f"{rate['median']:,.0f} ({rate['least']:,.0f} to {rate['most']:,.0f}) | {point['messages']:,} |")
    return lines


PARTS = {"line": line, "largest": largest, "cost": cost, "shards": shards}


def page(report):
    said = "TLS 1.3" if report.get("tls") == "direct" else "in plain"
    lines = [f"`bench/scale --nice {report.get('nice', 0)}`, {said}, on {report.get('machine', '?')}; router and generator share both cores."]
    for name, make in PARTS.items():
        if name in report:
            lines += ["", *make(report)]
    return "\n".join(lines)
