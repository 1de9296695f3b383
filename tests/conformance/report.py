#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/CONFORMANCE.md: each requirement of RFC 6120 and RFC 7622 beside the test that holds it.

Tests say in a comment above them what they hold:

    /* Holds 6120:4.4/2 6120:feature/tls-restart stream:reset - a reload takes a mechanism away. */
    # Holds 6120:8.1.3/2 - the answer to a request with an id.

The comment belongs to the next test: a cmocka function, a `def test_...`, or the cases that the next statement of the
probe makes (inside a list of cases, the one of the next line). What stands behind the dash names the situation; the error
conditions need it. A tag fails that names no test, or a test that tools/check does not run. A requirement that no test
holds needs a line in reasons.txt:

    KIND | ids | reason

Without either the report is not made."""
import argparse
import ast
import collections
import pathlib
import re
import sys

sys.dont_write_bytecode = True
import ledger  # noqa: E402
import probe  # noqa: E402,F401 - imports all cases
import requirements  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs" / "CONFORMANCE.md"
README = ROOT / "README.md"
REASONS = pathlib.Path(__file__).resolve().parent / "reasons.txt"
KINDS = {
    "client": "asks something of clients, not of a server",
    "peer": "asks something of the other side",
    "words": "defines words, or repeats a requirement that has a row of its own",
    "people": "asks something of operators, registries or authors of extensions",
    "absent": "an optional part that Sluice leaves out, so that its rules have no subject",
    "later": "was replaced by a later RFC that updates this one or its references",
    "never": "a condition that Sluice never has cause to send",
    "open": "not kept yet",
}
CONDITION = re.compile(r"^(stream|sasl|stanza):")
IDENT = r"(?:6120|7622|stream|sasl|stanza):[\w./-]*\w"
TAG = re.compile(rf"(?:/\*|\*|#)\s+Holds\s+((?:{IDENT}\s+)*{IDENT})\.?\s*(?: - (.*?))?\s*(?:\*/)?$")
MISSPELT = re.compile(r"(?:/\*|\*|#)\s+Holds\s+\w+:\S")
TESTS = {  # by language: what the name of the next test looks like
    ".c": re.compile(r"^(?:static )?void (\w+)\(void \*\*"),
    ".py": re.compile(r"^\s*(?:async )?def (test_\w+)"),
}
IN_LIST = re.compile(r'\s*\("([\w-]+)",')

Holding = collections.namedtuple("Holding", "test situation weak")


class Untrue(Exception):
    pass


def tags_of(path):
    """(id, Holding) for each tag of one file; a comment may go on over several lines that begin with Holds."""
    lines = path.read_text().split("\n")
    where = path.relative_to(ROOT).as_posix()
    cases = cases_of(path.name) if path.parent == ROOT / "tests" / "conformance" else {}
    waiting = []
    for number, line in enumerate(lines, 1):
        found = TAG.search(line)
        if found:
            waiting += [(ident, (found[2] or "").rstrip("."), number) for ident in found[1].split()]
            continue
        if MISSPELT.search(line):
            raise Untrue(f"{where}:{number}: not a tag: Holds IDS - SITUATION")
        name = TESTS[path.suffix].match(line)
        if not waiting or not (number in cases if cases else name):
            continue
        if name:
            require_run(path, lines, number, name[1])
        for ident, situation, tagged in waiting:
            test, weak = (name[1], False) if name else name_of(cases[number], listed(lines, tagged), f"{where}:{tagged}")
            yield ident, Holding(f"{where.removeprefix('tests/')}: {test}", situation, weak)
        waiting = []
    if waiting:
        raise Untrue(f"{where}:{waiting[0][2]}: no test behind this tag")


# ---- cases of the probe ----

def cases_of(name):
    """By line: the ids of the cases that its statement made."""
    found = collections.defaultdict(list)
    for one in ledger.CASES:
        if one.place[0] == name:
            found[one.place[1]].append(one.id)
    return found


def listed(lines, tagged):
    """The name that begins the line behind a tag (and the tags below it) inside a list of cases."""
    behind = next(line for line in lines[tagged:] if not TAG.search(line))
    found = IN_LIST.match(behind)
    return found[1] if found else None


def exceptions():
    """{id: verdict} of the cases that do not pass, as test_probe.py lists them; without pytest, which it imports."""
    text = (ROOT / "tests" / "conformance" / "test_probe.py").read_text()
    table = next(node.value for node in ast.parse(text).body
                 if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXCEPTIONS")
    return {key.value: value.elts[0].value for key, value in zip(table.keys, table.values)}


def name_of(idents, chosen, tag):
    """(what to call these cases, whether one of them is held weakly)."""
    if chosen:
        idents = [ident for ident in idents if re.search(rf"[.-]{re.escape(chosen)}$", ident)]
        if len(idents) != 1:
            raise Untrue(f"{tag}: {len(idents)} cases are named {chosen}")
    verdicts = {verdict for ident, verdict in exceptions().items() if ident in idents}
    if "skip" in verdicts:
        raise Untrue(f"{tag}: a case of these is skipped")
    return idents[0] + (f" and {len(idents) - 1} like it" if len(idents) > 1 else ""), "weak" in verdicts


# ---- that a test runs in tools/check ----

def require_run(path, lines, number, test):
    where = f"{path.relative_to(ROOT)}: {test}"
    if path.suffix == ".c":
        _, _, tables = path.read_text().partition("struct CMUnitTest ")
        if not re.search(rf"\w\(\s*{test}\s*[,)]", tables):  # cmocka_unit_test(), or a macro around it
            raise Untrue(f"{where}: not registered in its program")
    else:
        first = next((n for n in range(number - 1, 0, -1) if not lines[n - 1].strip()), 0)
        if re.search(r"mark\.(skip|xfail)", "\n".join(lines[first:number])):
            raise Untrue(f"{where}: is or may be skipped")
    if not path.stem.startswith("test_") or not (is_built(path) or is_collected(path)):
        raise Untrue(f"{where}: tools/check does not run this file")


def is_built(path):
    """Whether the meson.build beside it names the program, whole or put together."""
    build = path.parent / "meson.build"
    if not build.exists():
        return False
    literals = set(re.findall(r"'([^'\n]+)'", re.sub(r"#.*", "", build.read_text())))
    cuts = ((path.stem[:n], path.stem[n:]) for n in range(1, len(path.stem)))
    return bool({path.stem, path.name} & literals) or any(a in literals and b in literals for a, b in cuts)


def is_collected(path):
    """Whether tools/check gives its folder to pytest."""
    steps = (ROOT / "tools" / "check_steps.py").read_text()
    return path.suffix == ".py" and f"'{path.parent.relative_to(ROOT).as_posix()}'" in steps


def all_tags():
    held = collections.defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("*")):
        if path.suffix in TESTS and path.name not in ("report.py", "requirements.py", "test_report.py"):
            for ident, holding in tags_of(path):
                held[ident].append(holding)
    return held


def all_reasons():
    reasons = {}
    for number, line in enumerate(REASONS.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        kind, idents, text = (part.strip() for part in line.split("|", 2))
        if kind not in KINDS or not text:
            raise Untrue(f"reasons.txt:{number}: KIND | ids | reason, with KIND one of {' '.join(KINDS)}")
        for ident in idents.split():
            if ident in reasons:
                raise Untrue(f"reasons.txt:{number}: {ident} has a reason already")
            reasons[ident] = (kind, text)
    return reasons


def weigh(rows, held, reasons):
    """What contradicts: names that are no requirement, rows with neither test nor reason, rows with both."""
    known = {row.id for row in rows}
    wrong = [f"{ident}: no such requirement ({holdings[0].test})" for ident, holdings in held.items() if ident not in known]
    wrong += [f"{ident}: no such requirement (reasons.txt)" for ident in reasons if ident not in known]
    for row in rows:
        if row.id not in held and row.id not in reasons:
            wrong.append(f"{row.id}: neither test nor reason: {row.keywords} {row.head}")
        if row.id in held and row.id in reasons:
            wrong.append(f"{row.id}: a test holds it ({held[row.id][0].test}); take its reason away")
        if row.id in held and CONDITION.match(row.id) and not any(one.situation for one in held[row.id]):
            wrong.append(f"{row.id}: its tag does not name the situation ({held[row.id][0].test})")
    return wrong


def cell(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def tests_cell(holdings):
    tests = list(dict.fromkeys(f"`{one.test}`" + " (weak)" * one.weak for one in holdings))
    more = f" and {len(tests) - 3} more" if len(tests) > 3 else ""
    return "<br>".join(tests[:3]) + more


def status_of(row, held, reasons):
    if row.id not in held:
        return reasons[row.id][0]
    return "weak" if all(one.weak for one in held[row.id]) else "tested"


def numbers(rows, held, reasons):
    """[(name, rows, tested, by reason, open)]"""
    groups = (("RFC 6120, sentences with MUST, SHALL, REQUIRED", lambda i: re.match(r"6120:\d", i)),
              ("RFC 6120 s15, features", lambda i: i.startswith("6120:feature/")),
              ("RFC 7622, sentences", lambda i: re.match(r"7622:\d", i)),
              ("RFC 7622 s8, features", lambda i: i.startswith("7622:feature/")),
              ("stream errors (s4.9.3)", lambda i: i.startswith("stream:")),
              ("SASL failures (s6.5)", lambda i: i.startswith("sasl:")),
              ("stanza errors (s8.3.3)", lambda i: i.startswith("stanza:")))
    table = []
    for name, belongs in groups:
        states = [status_of(row, held, reasons) for row in rows if belongs(row.id)]
        tested = states.count("tested") + states.count("weak")
        table.append((name, len(states), tested, len(states) - tested - states.count("open"), states.count("open")))
    total = [sum(column) for column in zip(*(line[1:] for line in table))]
    return table + [("**all**", *total)]


def headline(table):
    _, rows, tested, reasoned, not_kept = table[-1]
    return f"{rows} requirements: {tested} held by a test, {reasoned} with a written reason, {not_kept} open"


HEADLINE = re.compile(r"\d+\s+requirements:\s+\d+\s+held\s+by\s+a\s+test,\s+\d+\s+with\s+a\s+written\s+reason,\s+\d+\s+open")


def render(rows, held, reasons):
    table = numbers(rows, held, reasons)
    out = ["# Conformance", "",
           "*Made by `tests/conformance/report.py` from tags in the tests; what stands here ran in `tools/check`.*", "",
           headline(table) + ".", "",
           "Rows are the sentences of RFC 6120 and RFC 7622 with MUST, SHALL or REQUIRED, the features of their conformance",
           "sections and the error conditions. `6120:4.4/2` is the second such sentence of RFC 6120 s4.4; the text is quoted by its head.",
           "*weak*: every test of the row is a case of the probe whose answer is allowed but not the preferred one.",
           "", "| | rows | tested | by reason | open |", "|---|---|---|---|---|"]
    out += [f"| {name} | {a} | {b} | {c} | {d} |" for name, a, b, c, d in table]
    out += ["", "Reasons: " + "; ".join(f"*{kind}* {text}" for kind, text in KINDS.items()) + "."]
    for kind, title in (("stream", "Stream errors"), ("sasl", "SASL failures"), ("stanza", "Stanza errors")):
        out += ["", f"## {title}", "", "| condition | section | situation | test |", "|---|---|---|---|"]
        for row in rows:
            if row.id.startswith(kind + ":"):
                name = row.id.split(":")[1]
                if row.id in held:
                    situation = "; ".join(dict.fromkeys(one.situation for one in held[row.id] if one.situation))
                    out.append(f"| `{name}` | {row.section} | {cell(situation)} | {tests_cell(held[row.id])} |")
                else:
                    out.append(f"| `{name}` | {row.section} | *{reasons[row.id][0]}*: {cell(reasons[row.id][1])} | |")
    for rfc in ("6120", "7622"):
        mine = [row for row in rows if row.id.startswith(rfc + ":")]
        out += ["", f"## RFC {rfc}: features (s{requirements.SUMMARY[rfc]})", ""] + body(
            [row for row in mine if "feature/" in row.id], held, reasons)
        out += ["", f"## RFC {rfc}: sentences", ""] + body([row for row in mine if "feature/" not in row.id], held, reasons)
    return "\n".join(out) + "\n"


def body(rows, held, reasons):
    out = ["| id | text | status | test or reason |", "|---|---|---|---|"]
    for row in rows:
        text = f"{row.head} ({row.keywords.rstrip('.')})" if "feature/" in row.id else row.head
        answer = tests_cell(held[row.id]) if row.id in held else cell(reasons[row.id][1])
        out.append(f"| {row.id} | {cell(text)} | {status_of(row, held, reasons)} | {answer} |")
    return out


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="write nothing: fail where the report or the README is not true")
    options.add_argument("--extract", action="store_true", help="make requirements.tsv anew from the texts of the RFCs")
    options.add_argument("--open", metavar="PREFIX", nargs="?", const="", help="list rows that have neither test nor reason")
    given = options.parse_args()
    fresh = requirements.extract() if given.extract or given.check else None
    if given.extract:
        if fresh is None:
            sys.exit(f"the texts are not at hand: {requirements.TEXTS}")
        requirements.store(fresh)
    rows = requirements.load()
    try:
        held, reasons = all_tags(), all_reasons()
        wrong = weigh(rows, held, reasons)
        if given.open is not None:
            print("\n".join(line for line in wrong if line.startswith(given.open)))
            return
        if given.check and fresh is not None and fresh != rows:
            wrong.append("requirements.tsv is not what the texts give: report.py --extract")
        if wrong:
            raise Untrue("\n".join(wrong) + f"\n{len(wrong)} to mend")
        text = render(rows, held, reasons)
        line = headline(numbers(rows, held, reasons))
        if not given.check:
            REPORT.write_text(text)
            README.write_text(HEADLINE.sub(line, README.read_text()))
        elif REPORT.read_text() != text:
            raise Untrue("docs/CONFORMANCE.md is not what the tests say: tests/conformance/report.py")
        if line not in " ".join(README.read_text().split()):
            raise Untrue(f"README.md does not say: {line}")
        print(line)
    except Untrue as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
