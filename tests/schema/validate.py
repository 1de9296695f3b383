#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Validates recorded streams against the grammars of docs/schema.

  tests/schema/validate.py FILE-OR-FOLDER...

A file holds everything that a router sent on one connection, in plain text (SL_TAP=FOLDER makes tests write them).
Each stream of it is one XML document and is validated as a whole, by the grammar of its content namespace. Prints each
fault and a line of totals; exits with 1 if there was a fault or nothing to validate."""
import argparse
import collections
import dataclasses
import multiprocessing
import os
import pathlib
import re
import sys
from xml.parsers import expat

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lxml import etree  # noqa: E402

import grammar  # noqa: E402
import tap  # noqa: E402

STREAM = "http://etherx.jabber.org/streams"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
SERVER = "jabber:server"
DIALBACK = "jabber:server:dialback"
SM = "urn:xmpp:sm:3"
GRAMMARS = {"jabber:client": "client-stream", "jabber:server": "server-stream"}  # by content namespace
CONTENT = tuple(GRAMMARS)
DECLARATION = b"<?xml version='1.0'?>"
# A stream begins with its XML declaration or, without one, with its start tag. Neither can be inside of a stream:
# the first would be a processing instruction there, the second would be caught by the grammar.
BEGINNING = re.compile(rb"<\?xml[ \t\r\n][^>]*>\s*<stream:stream[ \t\r\n]|<stream:stream[ \t\r\n]")
# What differs from stream to stream and means the same to the grammars, if it has this form: ids of streams and
# stanzas, generated resources, rounds of SASL, bodies. Streams that differ in nothing else are validated once.
SHAPES = [
    (re.compile(rb" id='[0-9A-Za-z_.-]{22,}'"), b" id='0123456789abcdef0123456789abcdef'"),
    (re.compile(rb" id='[0-9A-Za-z_.-]{1,21}'"), b" id='x'"),
    (re.compile(rb" (from|to|by)='[a-z0-9]{1,20}@[a-z.]{1,40}/[A-Za-z0-9_-]{1,40}'"), rb" \1='a@b/c'"),
    (re.compile(rb" (from|to|by)='[a-z0-9]{1,20}@[a-z.]{1,40}'"), rb" \1='a@b'"),
    (re.compile(rb"<jid>[a-z0-9]{1,40}@[a-z.]{1,40}/[A-Za-z0-9_-]{1,40}</jid>"), b"<jid>a@b/c</jid>"),
    (re.compile(rb">(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?</(challenge|success)>"), rb">YWJj</\1>"),
    (re.compile(rb"<body>[\x20-%'-;=-~]{1,4096}</body>"), b"<body>x</body>"),
]
IDS = re.compile(rb"<stream:stream [^>]*? id='([^']*)'")
# Behind <proceed/>, or where plain text came to a port of TLS, a record: an alert. No XML has such a character.
RECORD = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")


def shape(document):
    for pattern, instead in SHAPES:
        document = pattern.sub(instead, document)
    return document


STANZA = re.compile(rb"\s*<(?:message|presence|iq)[ />]")
FEW = 20  # children: fewer are not worth the looking


def without_repeats(data, borders):
    """A stream that is long because one was said what many are said: of stanzas of one shape the first is left. It
    begins with what negotiates and ends with its last three children, whatever they are: so all that has an order has
    kept it."""
    if len(borders) <= FEW:
        return data
    kept, seen = [data[:borders[3]]], set()
    for start, end in zip(borders[3:-4], borders[4:-3]):
        child = data[start:end]
        if STANZA.match(child):
            key = shape(child)
            if key in seen:
                continue
            seen.add(key)
        kept.append(child)
    return b"".join((*kept, data[borders[-4]:]))


@dataclasses.dataclass
class Report:
    connections: int = 0
    streams: int = 0
    elements: int = 0  # children of streams: stanzas, features, errors, what negotiates
    stanzas: int = 0
    cut: int = 0       # streams without an end tag that nothing replaced: the connection was lost
    faults: list = dataclasses.field(default_factory=list)

    def add(self, other):
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        return self

    def __str__(self):
        return (f"{self.connections} connections, {self.streams} streams ({self.cut} cut), {self.elements} elements, "
                f"{self.stanzas} of them stanzas: {len(self.faults)} faults")


class Outline:
    """What a grammar does not see: bytes and borders. One pass of expat without namespaces."""

    def __init__(self, data):
        self.faults = []
        self.depth = 0
        self.is_border = False
        self.borders = []      # behind the start tag, and behind each whole child
        self.is_ended = False  # the end tag is there
        self.has_blank = False
        self.has_text = False
        self.parser = expat.ParserCreate()
        self.parser.ordered_attributes = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.XmlDeclHandler = self.declaration
        for handler in ("CommentHandler", "ProcessingInstructionHandler", "StartDoctypeDeclHandler"):
            setattr(self.parser, handler, self.restricted)
        if hasattr(self.parser, "SetReparseDeferralEnabled"):  # from expat 2.6 on it would keep tags back
            self.parser.SetReparseDeferralEnabled(False)
        try:
            self.feed(data)
        except expat.ExpatError as error:
            self.faults.append(f"not well-formed (RFC 6120 s11.3): {error}")

    def feed(self, data):
        """Piece by piece, each up to a '>', so that a tag that ends within a piece ends with it."""
        at = 0
        while at < len(data):
            end = data.find(b">", at) + 1 or len(data)
            self.is_border = False
            self.parser.Parse(data[at:end])
            at = end
            if self.is_border:
                self.borders.append(at)

    def declaration(self, version, encoding, _standalone):
        if version != "1.0" or (encoding or "UTF-8").upper() != "UTF-8":
            self.faults.append(f"XML declaration of {version}, {encoding} (RFC 6120 s11.6, s11.8)")

    def restricted(self, *_):
        self.faults.append("a comment, processing instruction or DTD (RFC 6120 s11.1)")

    def start(self, name, attributes):
        if self.depth == 0:
            given = dict(zip(attributes[::2], attributes[1::2]))
            if name != "stream:stream" or given.get("xmlns:stream") != STREAM or given.get("xmlns") not in CONTENT:
                self.faults.append(f"stream header <{name}> without the usual prefix and content namespace "
                                   "(RFC 6120 s4.8.2, s4.8.5)")
            if given.get("xmlns") == SERVER and given.get("xmlns:db") != DIALBACK:
                self.faults.append("a header between servers without xmlns:db (XEP-0220 s2)")
            self.is_border = True
        self.depth += 1

    def end(self, _):
        self.depth -= 1
        self.is_border |= self.depth == 1
        self.is_ended = self.depth == 0

    def text(self, text):
        if self.depth == 1:
            self.has_blank = True
            self.has_text |= bool(text.strip(" \t\r\n"))


def split(data):
    """The streams of a connection."""
    starts = [match.start() for match in BEGINNING.finditer(data)]
    if not starts or starts[0] != 0:
        starts.insert(0, 0)
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)])]


def first_refused(schema, root):
    """The least number of first children that is refused, by halving: a refused prefix stays refused with more."""
    children = list(root)
    low, high = 0, len(children)
    while low < high:
        middle = (low + high) // 2
        shorter = etree.fromstring(etree.tostring(root))
        for child in list(shorter)[middle:]:
            shorter.remove(child)
        if schema.validate(shorter):
            low = middle + 1
        else:
            high = middle
    return high


def spoils(schema, root, at):
    """What alone keeps child at (0: the header) from being accepted: (element, attribute or None), or None."""
    whole = root[at - 1] if at else root
    for place, element in reversed(list(enumerate(whole.iter()))):  # the innermost first
        for name in (*element.attrib, None):
            shorter = etree.fromstring(etree.tostring(root))
            for child in list(shorter)[at:]:
                shorter.remove(child)
            found = list((shorter[at - 1] if at else shorter).iter())[place]
            if name is not None:
                del found.attrib[name]
            elif place and at:
                found.getparent().remove(found)
            else:
                continue
            if schema.validate(shorter):
                return element, name
    return None


def place_of(schema, root, at):
    """The line of the grammar that speaks of what was refused."""
    found = spoils(schema, root, at)
    element, name = found or (root[at - 1] if at else root, None)
    lines = grammar.lines_of(element.tag)
    while not lines and element.getparent() is not None:
        element = element.getparent()
        lines = grammar.lines_of(element.tag)
    what = f"attribute {name} of " if name else ""
    return f"{what}<{etree.QName(found[0] if found else element).localname}/>; see {', '.join(lines) or 'common.rnc'}"


def explain(schema, root):
    """libxml2 tells of the last attempt that failed, which is hardly ever the fault; where it lies says more."""
    at = first_refused(schema, root)
    if at:
        return (f"child {at} has no place here: {etree.tostring(root[at - 1]).decode()[:600]} "
                f"[{place_of(schema, root, at)}]")
    return f"refused from its header on: {etree.tostring(root).decode()[:400]} [{place_of(schema, root, 0)}]"


def parse(xml):
    """libxml2 calls a namespace name that is no URI an error; Namespaces in XML s2.2 and s7 do not."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, recover=True,
                             remove_comments=True, remove_pis=True)
    root = etree.fromstring(xml, parser)
    for entry in parser.error_log:
        if entry.type not in (etree.ErrorTypes.WAR_NS_URI, etree.ErrorTypes.WAR_NS_URI_RELATIVE):
            raise ValueError(entry.message)
    return root


def has_prefixed_content(element):
    """RFC 6120 s4.8.5: MUST NOT be generated, and not be delivered either. Extensions are not looked into."""
    return element.prefix is not None or any(
        has_prefixed_content(child) for child in element if etree.QName(child).namespace in CONTENT)


def names(root):
    return [etree.QName(child) for child in root]


def hands_over(root):
    """Whether another stream takes this one's place: RFC 6120 s5.4.3.3, s6.4.6. Who has opened it is at the end of its
    words when it has asked; the other side's answer is not heard here."""
    last = names(root)[-1:]
    return last in ([etree.QName(TLS, "proceed")], [etree.QName(SASL, "success")], [etree.QName(TLS, "starttls")],
                    [etree.QName(SASL, "auth")])


def is_let_in(root):
    """Whether a stream to another server carries what none may carry that was not let in: stanzas, with no dialback key
    in front of them. Then another stream has been let in by EXTERNAL in its place (RFC 6120 s4.3.5, s6.4.6)."""
    if root.nsmap.get(None) != SERVER or "id" in root.attrib:
        return False
    for name in names(root):
        if name == etree.QName(DIALBACK, "result"):
            return False
        if name.namespace in (SERVER, SM):
            return True
    return False


def is_negotiating(root):
    return any(child.tag in (f"{{{TLS}}}starttls", f"{{{SASL}}}mechanisms")
               for features in root.findall(f"{{{STREAM}}}features") for child in features)


def schema_of(root):
    """None: a stream of no known content namespace, which Outline has found wrong."""
    name = GRAMMARS.get(root.nsmap.get(None))
    return grammar.compiled(name) if name else None


# What came of a header before its end: enough to see that it is one.
HEADER_BEGUN = re.compile(rb"<\?xml version='1.0'\?>(<stream:stream( [^<>]*)?)?$")


def check_stream(data, report):
    """One document; its root, or None if it cannot be read."""
    outline = Outline(data)
    faults = list(outline.faults)
    if not outline.is_ended and not outline.borders and not faults and HEADER_BEGUN.match(data):
        report.cut += 1
        return None, outline  # the connection was lost within the header
    if not outline.is_ended:
        data = data[:outline.borders[-1] if outline.borders else 0] + b"</stream:stream>"
    children = list(zip(outline.borders, outline.borders[1:]))
    report.elements += len(children)
    report.stanzas += sum(bool(STANZA.match(data, start)) for start, _ in children)
    if not faults:
        data = without_repeats(data, outline.borders)
    try:
        root = parse(data)
    except (ValueError, etree.XMLSyntaxError) as error:
        report.faults += faults or [f"not to be parsed: {error}"]
        return None, outline
    schema = schema_of(root)
    if schema is None or not schema.validate(root):
        faults.append(explain(schema, root) if schema else "no grammar for its content namespace")
    faults += [f"a stanza with a prefix (RFC 6120 s4.8.5): {etree.tostring(child).decode()[:300]}"
               for child in root if etree.QName(child).namespace in CONTENT and has_prefixed_content(child)]
    faults += [f"a dialback element without its prefix (XEP-0220 s2): {etree.tostring(child).decode()[:300]}"
               for child in root if etree.QName(child).namespace == DIALBACK and child.prefix != "db"]
    if outline.has_text:
        faults.append("text between the elements of a stream (RFC 6120 s8)")
    if outline.has_blank and is_negotiating(root):
        faults.append("a blank during negotiation (RFC 6120 s5.3.3, s6.3.5)")
    report.streams += 1
    report.faults += faults
    return root, outline


@dataclasses.dataclass
class Verdict:
    """Of a shape: what is kept of a stream."""
    report: Report
    is_read: bool
    is_ended: bool
    hands_over: bool
    is_asked_for: bool  # by EXTERNAL
    is_let_in: bool     # so it says; the stream before it has to know of it


def verdict_of(document):
    """The verdict on a stream; the last ones are kept by shape, small ones only."""
    key = shape(document) if len(document) < SHAPE_MAX else None
    if key is None or key not in verdicts:
        report = Report()
        root, outline = check_stream(document, report)
        is_read = root is not None
        verdict = Verdict(report, is_read, outline.is_ended, is_read and hands_over(root),
                          is_read and names(root)[-1:] == [etree.QName(SASL, "auth")], is_read and is_let_in(root))
        if key is None or report.faults:  # a fault is told with its own bytes
            return verdict
        verdicts[key] = verdict
    return verdicts[key]


SHAPE_MAX = 20000
verdicts = {}


def without_records(data):
    """What is plain of a connection, and whether TLS that nobody has read follows."""
    found = RECORD.search(data)
    if found and (found.start() == 0 or data[:found.start()].endswith(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")):
        return data[:found.start()]
    return data


def check_connection(data):
    """Everything that was sent on one connection."""
    report = Report(connections=1)
    data = without_records(data)
    documents = split(data) if data else []
    ids = set()
    was_asked_for = False
    for number, document in enumerate(documents):
        verdict = verdict_of(document)
        found = dataclasses.replace(verdict.report, faults=[f"stream {number + 1}: {fault}" for fault in verdict.report.faults])
        report.add(found)
        if not verdict.is_read:
            continue
        is_last = number == len(documents) - 1
        if verdict.is_let_in and not was_asked_for:
            report.faults.append(f"stream {number + 1}: stanzas to a server that has let nobody in (RFC 6120 s4.3.5)")
        was_asked_for = verdict.is_asked_for
        given = IDS.search(document)
        if given and given.group(1) in ids:
            report.faults.append(f"stream {number + 1}: its id again (RFC 6120 s4.7.3)")
        ids.add(given and given.group(1))
        if not is_last and (verdict.is_ended or not verdict.hands_over):
            report.faults.append(f"stream {number + 2}: begins where none may be replaced (RFC 6120 s4.3.3)")
        if is_last and not verdict.is_ended and not verdict.hands_over:
            report.cut += 1
    return report


def suite_of(path):
    """live, probe, test_sim_storm, ...: what stands before the numbers of a file's name."""
    return re.sub(r"(-\d+)*$", "", path.stem)


def check_files(paths):
    """(suite, report) of each."""
    found = []
    for path in paths:
        report = check_connection(path.read_bytes())
        report.faults = [f"{path}: {fault}" for fault in report.faults]
        found.append((suite_of(path), report))
    return found


def files_of(paths):
    for path in map(pathlib.Path, paths):
        yield from sorted(path.glob("*.xml")) if path.is_dir() else [path]


def check_suites(paths):
    """Reports by suite. All cores share the files when they are many."""
    files = list(files_of(paths))
    grammar.prepare(GRAMMARS.values())
    if len(files) < 200:
        parts = [check_files(files)]
    else:
        chunks = [files[at:at + 100] for at in range(0, len(files), 100)]
        with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
            parts = pool.map(check_files, chunks, chunksize=1)
    total = collections.defaultdict(Report)
    for part in parts:
        for suite, report in part:
            total[suite].add(report)
    return dict(total)


def check(paths):
    total = Report()
    for report in check_suites(paths).values():
        total.add(report)
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="FILE-OR-FOLDER")
    given = parser.parse_args()
    suites, total = check_suites(given.paths), Report()
    for suite, report in sorted(suites.items()):
        for fault in report.faults:
            print(fault)
        print(f"tap: {suite}: {report}")
        total.add(report)
    print(f"tap: {total}")
    return 1 if total.faults or not total.streams else 0


if __name__ == "__main__":
    sys.exit(main())
