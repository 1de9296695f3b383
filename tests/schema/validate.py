#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Validates recorded streams against the grammars of docs/schema.

  tests/schema/validate.py [--grammar NAME] FILE-OR-FOLDER...

A file holds everything that a router sent on one connection, in plain text (SL_TAP=FOLDER makes tests write them).
Each stream of it is one XML document and is validated as a whole. Prints each fault and a line of totals; exits with 1 if
there was a fault or nothing to validate."""
import argparse
import dataclasses
import pathlib
import re
import sys
from xml.parsers import expat

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lxml import etree  # noqa: E402

import grammar  # noqa: E402

STREAM = "http://etherx.jabber.org/streams"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
CONTENT = ("jabber:client", "jabber:server")
DECLARATION = b"<?xml version='1.0'?>"
# A stream begins with its XML declaration or, without one, with its start tag. Neither can be inside of a stream:
# the first would be a processing instruction there, the second would be caught by the grammar.
BEGINNING = re.compile(rb"<\?xml[ \t\r\n][^>]*>\s*<stream:stream[ \t\r\n]|<stream:stream[ \t\r\n]")


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

    def __str__(self):
        return (f"{self.connections} connections, {self.streams} streams ({self.cut} cut), {self.elements} elements, "
                f"{self.stanzas} of them stanzas: {len(self.faults)} faults")


class Outline:
    """What a grammar does not see: bytes and borders. One pass of expat without namespaces."""

    def __init__(self, data):
        self.faults = []
        self.depth = 0
        self.is_border = False
        self.border = 0        # behind the last whole child, or the start tag
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
                self.border = at

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


def explain(schema, root):
    """libxml2 tells of the last attempt that failed, which is hardly ever the fault; where it lies says more."""
    at = first_refused(schema, root)
    if at:
        return f"child {at} has no place here: {etree.tostring(root[at - 1]).decode()[:600]}"
    return f"refused from its header on: {etree.tostring(root).decode()[:400]}"


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
    """Whether another stream takes this one's place: RFC 6120 s5.4.3.3, s6.4.6."""
    last = names(root)[-1:]
    return last in ([etree.QName(TLS, "proceed")], [etree.QName(SASL, "success")])


def is_negotiating(root):
    return any(child.tag in (f"{{{TLS}}}starttls", f"{{{SASL}}}mechanisms")
               for features in root.findall(f"{{{STREAM}}}features") for child in features)


def check_stream(data, schema, report):
    """One document; its root, or None if it cannot be read."""
    outline = Outline(data)
    faults = list(outline.faults)
    if not outline.is_ended:
        data = data[:outline.border] + b"</stream:stream>"
    try:
        root = parse(data)
    except (ValueError, etree.XMLSyntaxError) as error:
        report.faults += faults or [f"not to be parsed: {error}"]
        return None, outline
    if not schema.validate(root):
        faults.append(explain(schema, root))
    faults += [f"a stanza with a prefix (RFC 6120 s4.8.5): {etree.tostring(child).decode()[:300]}"
               for child in root if etree.QName(child).namespace in CONTENT and has_prefixed_content(child)]
    if outline.has_text:
        faults.append("text between the elements of a stream (RFC 6120 s8)")
    if outline.has_blank and is_negotiating(root):
        faults.append("a blank during negotiation (RFC 6120 s5.3.3, s6.3.5)")
    report.streams += 1
    report.elements += len(root)
    report.stanzas += sum(name.namespace in CONTENT for name in names(root))
    report.faults += faults
    return root, outline


def check_connection(data, schema=None):
    """Everything that was sent on one connection."""
    schema = schema or grammar.compiled()
    report = Report(connections=1)
    documents = split(data)
    ids = set()
    for number, document in enumerate(documents):
        root, outline = check_stream(document, schema, report)
        if root is None:
            continue
        is_last = number == len(documents) - 1
        if root.get("id") in ids:
            report.faults.append(f"stream id {root.get('id')} again (RFC 6120 s4.7.3)")
        ids.add(root.get("id"))
        if not is_last and (outline.is_ended or not hands_over(root)):
            report.faults.append("a stream begins where none may be replaced (RFC 6120 s4.3.3)")
        if is_last and not outline.is_ended and not hands_over(root):
            report.cut += 1
    return report


def check_file(path, schema=None):
    report = check_connection(pathlib.Path(path).read_bytes(), schema)
    report.faults = [f"{path}: {fault}" for fault in report.faults]
    return report


def check(paths, schema=None):
    total = Report()
    for path in map(pathlib.Path, paths):
        files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
        for file in files:
            total.add(check_file(file, schema))
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grammar", default="client-stream", help="of docs/schema (client-stream)")
    parser.add_argument("paths", nargs="+", metavar="FILE-OR-FOLDER")
    given = parser.parse_args()
    report = check(given.paths, grammar.compiled(given.grammar))
    for fault in report.faults:
        print(fault)
    print(report)
    return 1 if report.faults or not report.streams else 0


if __name__ == "__main__":
    sys.exit(main())
