# SPDX-License-Identifier: MIT
"""The requirements of RFC 6120 and RFC 7622, found by script in their texts: every sentence with MUST, SHALL or
REQUIRED, every feature of the conformance sections (s15, s8), every error condition that has a section of its own.

A requirement is named by its place: `6120:4.4/2` is the second such sentence of RFC 6120 s4.4, `6120:feature/bind-gen`
a row of s15, `stream:bad-format`, `sasl:aborted` and `stanza:gone` the conditions of s4.9.3, s6.5 and s8.3.3."""
import collections
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
LIST = HERE / "requirements.tsv"
TEXTS = HERE.parents[2] / "shared" / "specs" / "rfc"  # beside the project, where the texts are at hand
HEAD = 140  # characters of a requirement that the report quotes

KEYWORD = re.compile(r"\b(MUST|SHALL|REQUIRED)\b")
HEADING = re.compile(r"^(\d+(?:\.\d+)*)\.\s+(\S.*)$")
FURNITURE = re.compile(r"^(RFC \d+ .*\d{4}|\S.* Standards Track .*\[Page \d+\])\s*$")
ERRORS = {"stream": "4.9.3", "sasl": "6.5", "stanza": "8.3.3"}
SUMMARY = {"6120": "15", "7622": "8"}
BOILERPLATE = {"6120": "1.4", "7622": "2"}  # what RFC 2119's words mean: names them, demands nothing

Requirement = collections.namedtuple("Requirement", "id section keywords head")


def paragraphs(text):
    """(section, title, words) of the body, in order; pages are joined, contents and references left out."""
    lines = [line for line in text.replace("\f", "\n").split("\n") if not FURNITURE.match(line)]
    first = max(n for n, line in enumerate(lines) if re.match(r"^1\.\s+Introduction", line))
    section, title, words = None, None, []
    for line in lines[first:] + [""]:
        heading = HEADING.match(line)
        if line.startswith("Appendix A."):
            break
        if heading or not line.strip():
            if words:
                yield section, title, " ".join(words)
            words = []
            if heading:
                section, title = heading.groups()
        else:
            words.append(line.strip())


def joined(found):
    """Paragraphs that a page cut in two, made one: the first half ends in the middle of a sentence."""
    held = None
    for section, title, words in found:
        if held and held[0] == section and re.match(r"[a-z'<(]", words) and not re.search(r"[.:;!>]\"?\)?$", held[2]):
            held = (section, title, held[2] + " " + words)
            continue
        if held:
            yield held
        held = (section, title, words)
    if held:
        yield held


def sentences(words):
    return re.split(r"(?<=[.:;])\s+(?=[\"'(<A-Z])", re.sub(r"\s+", " ", words))


def rows_of(rfc, text):
    count, feature = collections.Counter(), None
    for section, title, words in joined(paragraphs(text)):
        chapter = section.split(".")[0]
        for kind, parent in ERRORS.items() if rfc == "6120" else ():
            ident = f"{kind}:{title}"
            if section.rsplit(".", 1)[0] == parent and not count[ident]:
                count[ident] += 1
                yield Requirement(ident, section, "", "")
        if chapter == SUMMARY[rfc]:
            feature = feature if feature else {}
            feature.update(re.findall(r"(Feature|Description|Section|Roles):\s+(.*?)(?=\s+(?:Description|Section|Roles):|$)", words))
            if "Roles" in feature:
                yield Requirement(f"{rfc}:feature/{feature['Feature']}", section, feature["Roles"], shortened(feature["Description"]))
                feature = None
            continue
        if section == BOILERPLATE[rfc]:
            continue
        for sentence in sentences(words):
            keywords = KEYWORD.findall(sentence)
            if keywords:
                count[section] += 1
                yield Requirement(f"{rfc}:{section}/{count[section]}", section, " ".join(keywords), excerpt(sentence))


def shortened(text):
    return text[:HEAD] + ("..." if len(text) > HEAD else "")


def excerpt(sentence):
    """The head of a sentence; of a long one, the part around its first keyword."""
    at = KEYWORD.search(sentence).start()
    if at < HEAD - 30:
        return shortened(sentence)
    begin = sentence.rfind(" ", 0, at - HEAD + 40) + 1
    return "..." + sentence[begin:begin + HEAD] + ("..." if begin + HEAD < len(sentence) else "")


def extract():
    """The list made anew from the texts; None where they are not at hand."""
    if not TEXTS.is_dir():
        return None
    found = []
    for rfc in ("6120", "7622"):
        found += rows_of(rfc, (TEXTS / f"rfc{rfc}.txt").read_text(encoding="utf-8-sig"))
    assert len({one.id for one in found}) == len(found)
    return found


def load():
    return [Requirement(*line.split("\t")) for line in LIST.read_text().splitlines() if not line.startswith("#")]


def store(found):
    head = "# SPDX-License-Identifier: MIT\n# Made by report.py --extract from the texts of the RFCs; heads of sentences, as a reference into them.\n"
    LIST.write_text(head + "".join("\t".join(one) + "\n" for one in found))
