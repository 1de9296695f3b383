# SPDX-License-Identifier: MIT
"""report.py refuses what would make docs/CONFORMANCE.md untrue, and finds exactly the rows of a small RFC."""
import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import report  # noqa: E402
import requirements  # noqa: E402
from requirements import Requirement  # noqa: E402

ROWS = [Requirement("6120:8.1.3/1", "8.1.3", "MUST", "An iq MUST have an id."),
        Requirement("stanza:gone", "8.3.3.5", "", "")]
HELD = {"6120:8.1.3/1": [report.Holding("unit/test_a.c: a", "", False)],
        "stanza:gone": [report.Holding("unit/test_a.c: b", "an account that moved", False)]}


# ---- rows, tests and reasons ----

def test_rows__each_with_test__are_settled():
    assert report.weigh(ROWS, HELD, {}) == []


def test_row__with_reason_instead__is_settled():
    assert report.weigh(ROWS, {"6120:8.1.3/1": HELD["6120:8.1.3/1"]}, {"stanza:gone": ("never", "why")}) == []


@pytest.mark.parametrize("held, reasons, words", [
    ({}, {}, "6120:8.1.3/1: neither test nor reason"),
    ({"6120:99/1": HELD["6120:8.1.3/1"]}, {}, "6120:99/1: no such requirement (unit/test_a.c: a)"),
    ({}, {"6120:99/1": ("open", "why")}, "6120:99/1: no such requirement (reasons.txt)"),
    (HELD, {"stanza:gone": ("never", "why")}, "stanza:gone: a test holds it"),
    ({"stanza:gone": HELD["6120:8.1.3/1"]}, {}, "stanza:gone: its tag does not name the situation"),
], ids=["open", "unknown-in-tag", "unknown-in-reasons", "both", "no-situation"])
def test_contradiction__is_named(held, reasons, words):
    assert any(line.startswith(words) for line in report.weigh(ROWS, held, reasons))


@pytest.mark.parametrize("text", ["because | stanza:gone | why\n", "never | stanza:gone | \n",
                                  "never | stanza:gone | why\nopen | stanza:gone | why\n"],
                         ids=["unknown-kind", "no-reason", "twice"])
def test_reasons__that_are_none__are_refused(tmp_path, monkeypatch, text):
    monkeypatch.setattr(report, "REASONS", tmp_path / "reasons.txt")
    report.REASONS.write_text("# a comment\n\n" + text)
    with pytest.raises(report.Untrue, match=r"reasons.txt:[34]:"):
        report.all_reasons()


def test_pages__that_say_something_else__fail_the_check(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "REPORT", tmp_path / "report.md")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    monkeypatch.setattr(report, "all_tags", lambda: HELD)
    monkeypatch.setattr(report, "all_reasons", dict)
    monkeypatch.setattr(requirements, "load", lambda: ROWS)
    monkeypatch.setattr(requirements, "extract", lambda: ROWS)

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["report.py", *options])
        report.main()
    report.README.write_text("No numbers.")
    with pytest.raises(SystemExit, match="README.md does not say: 2 requirements: 2 held by a test, 0"):
        run()
    report.README.write_text("Now 9 requirements: 9 held by a\ntest, 9 with a written reason, 9 open.")
    run()
    run("--check")
    assert report.README.read_text().startswith("Now 2 requirements: 2 held")
    for path, words in ((report.README, "README.md does not say"), (report.REPORT, "is not what the tests say")):
        whole = path.read_text()
        path.write_text(whole.replace("2", "3"))
        with pytest.raises(SystemExit, match=words):
            run("--check")
        path.write_text(whole)
    monkeypatch.setattr(requirements, "extract", lambda: ROWS[:1])
    with pytest.raises(SystemExit, match="requirements.tsv is not what the texts give"):
        run("--check")


# ---- tags ----

PROGRAM = "/* Holds 6120:8.1.3/1 stanza:gone - an account that moved. */\nstatic void a(void **state)\n{\n}\n"
TABLE = "const struct CMUnitTest tests[] = {cmocka_unit_test(a)};\n"
SCRIPT = "# Holds stanza:gone - an account\n# Holds 6120:8.1.3/1\ndef test_a():\n    pass\n"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """tree(path, text) -> the tags of a file in a tree of its own, whose builds and steps name test_a and tests/good."""
    monkeypatch.setattr(report, "ROOT", tmp_path)
    for folder in ("tools", "tests/good", "tests/other", "tests/conformance"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tools" / "check_steps.py").write_text("pytest('good', 'tests/good', env)\n")
    (tmp_path / "tests" / "good" / "meson.build").write_text("foreach name : ['a']\n  test('test_' + name)\nendforeach\n")
    (tmp_path / "tests" / "conformance" / "test_probe.py").write_text(
        'EXCEPTIONS = {"x.weak": ("weak", "y", "z"), "x.skip": ("skip", None, "z")}\n')

    def tags(path, text):
        path = tmp_path / "tests" / path
        path.write_text(text)
        return list(report.tags_of(path))
    return tags


def test_tag__belongs_to_the_next_test(tree):
    test = report.Holding("good/test_a.c: a", "an account that moved", False)
    assert tree("good/test_a.c", PROGRAM + TABLE) == [("6120:8.1.3/1", test), ("stanza:gone", test)]
    assert tree("good/test_a.py", SCRIPT) == [("stanza:gone", report.Holding("good/test_a.py: test_a", "an account", False)),
                                              ("6120:8.1.3/1", report.Holding("good/test_a.py: test_a", "", False))]


@pytest.mark.parametrize("path, text, words", [
    ("good/test_a.c", PROGRAM, "not registered"),
    ("good/test_a.c", PROGRAM + TABLE.replace("(a)", "(b)"), "not registered"),
    ("good/test_b.c", PROGRAM + TABLE, "does not run"),
    ("other/test_a.c", PROGRAM + TABLE, "does not run"),
    ("other/test_a.py", SCRIPT, "does not run"),
    ("good/a.py", SCRIPT, "does not run"),
    ("good/test_a.py", SCRIPT.replace("def", "@pytest.mark.skipif(x)\ndef"), "skipped"),
    ("good/test_a.py", "@pytest.mark.skip\n" + SCRIPT, "skipped"),
    ("good/test_a.c", TABLE + PROGRAM.partition("\n")[0] + "\n", "no test behind"),
    ("good/test_a.py", SCRIPT.partition("def")[0], "no test behind"),
    ("good/test_a.py", SCRIPT.replace("6120:", "6210:"), "not a tag"),
    ("good/test_a.py", SCRIPT.replace("/1", "/1, 6120:8/1"), "not a tag"),
], ids=["no-table", "other-in-table", "not-built", "not-built-there", "folder-not-run", "file-not-run", "skipif", "skip",
        "nothing-behind-c", "nothing-behind-py", "unknown-rfc", "comma"])
def test_tag__without_a_test_that_runs__is_refused(tree, path, text, words):
    with pytest.raises(report.Untrue, match=words):
        tree(path, text)


def case(ident, line):
    one = report.ledger.Case(ident, "s", "MUST", "r", "a", "", None)
    one.place = ("cases_a.py", line)
    return one


def probe_tags(tree, monkeypatch, lines, *cases):
    monkeypatch.setattr(report.ledger, "CASES", [case(ident, line) for ident, line in cases])
    return [holding for _, holding in tree("conformance/cases_a.py", "".join(line + "\n" for line in lines))]


HOLDS = "# Holds 6120:8.1.3/1"


def test_tag__above_a_statement__means_its_cases(tree, monkeypatch):
    found = probe_tags(tree, monkeypatch, [HOLDS, "for name in (", "    x):", "    add(name)"], ("x.a", 4), ("x.b", 4))
    assert found == [report.Holding("conformance/cases_a.py: x.a and 1 like it", "", False)]


def test_tag__inside_a_list__means_the_case_of_its_line(tree, monkeypatch):
    lines = [HOLDS, "for name in (", HOLDS, HOLDS, '   ("b", 1),', HOLDS, '   ("weak", 2)):', "    add(name)"]
    found = probe_tags(tree, monkeypatch, lines, ("x.a-b", 8), ("x.weak", 8))
    assert [one.test.partition(": ")[2] for one in found] == ["x.a-b and 1 like it", "x.a-b", "x.a-b", "x.weak"]


def test_tag__of_a_case_that_passes_weakly__says_so(tree, monkeypatch):
    held = {"6120:8.1.3/1": probe_tags(tree, monkeypatch, [HOLDS, "add()"], ("x.weak", 2)), "stanza:gone": HELD["stanza:gone"]}
    assert report.status_of(ROWS[0], held, {}) == "weak"
    assert "| 6120:8.1.3/1 | An iq MUST have an id. | weak | `conformance/cases_a.py: x.weak` (weak) |" in \
        report.render(ROWS, held, {})


@pytest.mark.parametrize("lines, ident, words", [
    ([HOLDS, "add()"], "x.skip", "skipped"),
    ([HOLDS, '   ("c", 1)', "add()"], "x.a", "0 cases are named c"),
    (["add()", HOLDS], "x.a", "no test behind"),
], ids=["skipped", "not-in-list", "nothing-behind"])
def test_tag__of_a_case_that_does_not_run__is_refused(tree, monkeypatch, lines, ident, words):
    with pytest.raises(report.Untrue, match=words):
        probe_tags(tree, monkeypatch, lines, (ident, next(n for n, line in enumerate(lines, 1) if line == "add()")))


def test_tags__of_this_tree__are_tags_of_tests_that_run():
    report.all_tags()


# ---- the list of requirements ----

RFC = """
Table of Contents

   1. Introduction
   4.9.3. Defined Stream Errors

1.  Introduction

1.4.  Terminology

   The key words "MUST" and "REQUIRED" mean what they mean.

2.  Rules

   A server MUST begin.  It may go on.  "It" MUST NOT
   go on and SHALL
Writer                       Standards Track                    [Page 1]
\f
RFC 6120                       XMPP Core                      March 2011


   end; It MUST rest: nothing else.

4.9.3.1.  bad-format

   The entity has sent XML that cannot be processed.

6.5.1.  aborted

   The exchange is aborted; it is REQUIRED.

8.3.3.1.  bad-request

   The sender has sent a stanza.

15.  Conformance Requirements

   Feature:  bind-gen
   Description:  Generate a random resource, as all MUST
      do.
   Section:  Section 7.6
   Roles:  Client N/A, Server MUST.

16.  References

Appendix A.  Schemas

   This MUST NOT be found.
"""
EXTRACT = [
    ("6120:2/1", "2", "MUST", "A server MUST begin."),
    ("6120:2/2", "2", "MUST SHALL", '"It" MUST NOT go on and SHALL end;'),
    ("6120:2/3", "2", "MUST", "It MUST rest: nothing else."),
    ("stream:bad-format", "4.9.3.1", "", ""),
    ("sasl:aborted", "6.5.1", "", ""),
    ("6120:6.5.1/1", "6.5.1", "REQUIRED", "The exchange is aborted; it is REQUIRED."),
    ("stanza:bad-request", "8.3.3.1", "", ""),
    ("6120:feature/bind-gen", "15", "Client N/A, Server MUST.", "Generate a random resource, as all MUST do."),
]


def test_extraction__of_a_small_text__gives_its_rows():
    assert [tuple(row) for row in requirements.rows_of("6120", RFC)] == EXTRACT


def test_extraction__across_a_page_break__is_that_without():
    begin, end = RFC.index("Writer "), RFC.index("   end;")
    assert list(requirements.rows_of("6120", RFC[:begin] + RFC[end:])) == list(requirements.rows_of("6120", RFC))


def test_long_sentence__is_quoted_around_its_keyword():
    assert len(requirements.excerpt("x" * 20 + " MUST " + "y " * 100)) == requirements.HEAD + 3
    assert " MUST " in requirements.excerpt("x " * 300 + "MUST do it.")


def test_list__is_what_the_texts_give():
    fresh = requirements.extract()
    if fresh is None:
        pytest.skip("the texts of the RFCs are not at hand")
    assert fresh == requirements.load()
