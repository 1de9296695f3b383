# SPDX-License-Identifier: MIT
"""RFC 6120 s11 (use of XML), s4.8 (namespaces of content) and s13.12 (limits), on bound sessions."""
import time
import xml.etree.ElementTree as ET

import speaker
from ledger import add, case
from speaker import CLIENT, LIMITS, Skip

RESTRICTED = "stream:restricted-xml", "stream:*"  # s11.1: MUST close, SHOULD with this
BROKEN = "stream:not-well-formed", "stream:bad-format stream:invalid-xml"
BROKEN_NAMESPACE = ("stream:not-well-formed",
                    "stanza:not-acceptable stream:bad-format stream:invalid-xml stream:bad-namespace-prefix")
ENCODING = "stream:unsupported-encoding", "stream:*"  # s11.6 likewise
HEAD = "<message type='chat' id='m1' to='{to}'>"


def deliver(probe, text, ident="m1"):
    """What becomes of text, where {to} is the full JID of a session of the same account."""
    sender, receiver = probe.login(), probe.login()
    data = text.replace(b"{to}", receiver.jid.encode()) if isinstance(text, bytes) else text.replace("{to}", receiver.jid)
    return probe.deliver(sender, receiver, data, ident)


def refuse(ident, section, level, requirement, words, text):
    """Text that must end the stream and not be delivered."""
    add(ident, section, level, requirement, words[0], words[1], lambda probe: deliver(probe, text))


def body(inner):
    if isinstance(inner, bytes):
        return HEAD.encode() + b"<body>" + inner + b"</body></message>"
    return HEAD + f"<body>{inner}</body></message>"


# ---- restricted XML (s11.1) ----

PLACES = (("between", lambda what: what + body("x")), ("inside", lambda what: body("x" + what)))
# Holds 6120:11.1/3 6120:feature/xml-restriction-comment.
for place, build in PLACES:
    # Holds stream:restricted-xml - a comment or a processing instruction.
    refuse(f"xml.comment-{place}", "RFC 6120 s11.1", "SHOULD", f"A comment {place} stanzas is answered by restricted-xml.",
           RESTRICTED, build("<!-- x -->"))
    # Holds 6120:11.1/3 6120:feature/xml-restriction-pi.
    refuse(f"xml.instruction-{place}", "RFC 6120 s11.1", "SHOULD", f"A processing instruction {place} stanzas likewise.",
           RESTRICTED, build("<?probe x?>"))
# Holds 6120:11.1/3 6120:feature/xml-restriction-dtd.
refuse("xml.doctype", "RFC 6120 s11.1", "MUST", "A DTD inside the stream is restricted, and not well-formed there.",
       ("stream:restricted-xml stream:not-well-formed", "stream:*"), "<!DOCTYPE a [<!ENTITY b 'c'>]>" + body("x"))
# Holds 6120:feature/xml-restriction-ref.
refuse("xml.entity", "RFC 6120 s11.1", "MUST", "An entity that is not predefined is restricted, and undeclared.",
       ("stream:restricted-xml stream:not-well-formed", "stream:*"), body("&probe;"))
# Holds 6120:feature/xml-restriction-ref.
refuse("xml.entity-attribute", "RFC 6120 s11.1", "MUST", "The same in an attribute.",
       ("stream:restricted-xml stream:not-well-formed", "stream:*"), body("<a xmlns='urn:p' b='&probe;'/>"))
refuse("xml.declaration-again", "RFC 6120 s11.3", "MUST", "A second XML declaration is not well-formed.",
       ("stream:not-well-formed stream:restricted-xml", "stream:bad-format"), "<?xml version='1.0'?>" + body("x"))

# ---- well-formedness (s11.3, XML 1.0) ----

# Holds 6120:11.3/2 6120:feature/xml-wellformed-xml.
for name, requirement, inner in (
        ("mismatch", "An end tag of another name", "<a xmlns='urn:p'></b>"),
        ("overlap", "Overlapping elements", "<a xmlns='urn:p'><b></a></b>"),
        ("unquoted", "An attribute value without quotes", "<a xmlns='urn:p' b=c/>"),
        ("no-value", "An attribute without value", "<a xmlns='urn:p' b/>"),
        ("no-blank", "No blank between attributes", "<a xmlns='urn:p' b='1'c='2'/>"),
        ("attribute-twice", "An attribute twice", "<a xmlns='urn:p' b='1' b='2'/>"),
        ("less-in-value", "< in an attribute value", "<a xmlns='urn:p' b='<'/>"),
        ("ampersand", "& alone", "a & b"),
        ("cdata-end", "]]> in text", "a ]]> b"),
        ("name-digit", "A name that begins with a digit", "<1a xmlns='urn:p'/>"),
        ("blank-name", "A blank between < and the name", "< a xmlns='urn:p'/>"),
        ("end-attribute", "An attribute on an end tag", "<a xmlns='urn:p'></a b='c'>"),
        ("reference-zero", "A reference to U+0000", "&#0;"),
        ("reference-control", "A reference to U+0001", "&#x1;"),
        ("reference-surrogate", "A reference to a surrogate", "&#xD800;"),
        ("reference-fffe", "A reference to U+FFFE", "&#xFFFE;"),
        ("reference-far", "A reference above U+10FFFF", "&#x110000;"),
        ("reference-open", "A reference without semicolon", "&amp x"),
        ("control", "U+0001 itself", "\x01"),
        ("zero", "U+0000 itself", "\x00"),
        ("fffe", "U+FFFE itself", "\ufffe")):
    # Holds stream:not-well-formed - XML that is not well-formed.
    refuse(f"xml.{name}", "RFC 6120 s11.3", "MUST", f"{requirement} is not-well-formed.", BROKEN, body(inner))

# ---- namespace-well-formedness (s11.3, Namespaces in XML) ----

# Holds 6120:11.3/4 6120:feature/xml-wellformed-ns.
for name, requirement, inner in (
        ("ns-element", "An element with an undeclared prefix", "<foo:b>x</foo:b>"),
        ("ns-attribute", "An attribute with an undeclared prefix", "<a xmlns='urn:p' foo:b='c'/>"),
        ("ns-same-attribute", "Two attributes of one expanded name",
        "<a xmlns='urn:p' xmlns:x='u' xmlns:y='u' x:b='1' y:b='2'/>"),
        ("ns-two-colons", "A name with two colons", "<x:a:b xmlns:x='urn:p'/>"),
        ("ns-leading-colon", "A name that begins with a colon", "<:a xmlns='urn:p'/>"),
        ("ns-undeclare", "xmlns:x=''", "<a xmlns='urn:p' xmlns:x=''/>"),
        ("ns-xmlns", "A declaration of the prefix xmlns", "<a xmlns='urn:p' xmlns:xmlns='urn:q'/>"),
        ("ns-xml", "Another namespace for the prefix xml", "<a xmlns='urn:p' xmlns:xml='urn:q'/>"),
        ("ns-xml-other", "Another prefix for the namespace of xml",
         "<a xmlns='urn:p' xmlns:x='http://www.w3.org/XML/1998/namespace'/>"),
        ("ns-end-prefix", "An end tag whose prefix differs", "<x:a xmlns:x='urn:p' xmlns:y='urn:p'></y:a>")):
    refuse(f"xml.{name}", "RFC 6120 s11.3", "MUST", f"{requirement} is not namespace-well-formed.", BROKEN_NAMESPACE,
        body(inner))

# ---- encoding (s11.6) ----

# Holds 6120:11.6/3.
for name, requirement, inner in (
        ("utf8-byte", "A byte that no UTF-8 has", b"\xff"), ("utf8-overlong", "An overlong form", b"\xc0\x80"),
        ("utf8-surrogate", "A surrogate", b"\xed\xa0\x80"), ("utf8-far", "A code point above U+10FFFF", b"\xf5\x80\x80\x80"),
        ("utf8-short", "A sequence cut short", b"\xe2\x82"), ("utf8-lone", "A continuation byte alone", b"\x80"),
        ("utf8-overlong-slash", "An overlong slash of three bytes", b"\xe0\x80\xaf")):
    # Holds stream:unsupported-encoding - bytes that are not UTF-8.
    refuse(f"xml.{name}", "RFC 6120 s11.6", "SHOULD", f"{requirement} is answered by unsupported-encoding.", ENCODING,
        body(inner))

# ---- what is to be accepted ----


def arrives(ident, section, requirement, inner, expected):
    def run(probe):
        word = deliver(probe, body(inner))
        if word != "delivered":
            return word
        found = probe.last.findtext(f"{{{CLIENT}}}body")
        return "intact" if found == expected else f"changed:{found!a}"
    add(ident, section, "MUST", requirement, "intact", "", run)


arrives("xml.predefined", "RFC 6120 s11.1", "Predefined entities are accepted.", "&lt;&gt;&amp;&apos;&quot;", "<>&'\"")
arrives("xml.references", "RFC 6120 s11.1", "Character references are accepted.", "&#65;&#x42;&#x1F600;", "AB\U0001F600")
arrives("xml.cdata", "RFC 6120 s11.1", "CDATA sections are not among what is prohibited.", "<![CDATA[<a>&]]>b", "<a>&b")
# Holds 6120:11.6/1 6120:12/1.
arrives("xml.astral", "RFC 6120 s11.6", "Characters outside the BMP are delivered.", "\U0001F600\U00020000",
    "\U0001F600\U00020000")
# Holds 6120:11.6/5.
arrives("xml.zwnbsp", "RFC 6120 s11.6", "U+FEFF inside text is a character.", "a\ufeffb", "a\ufeffb")
arrives("xml.line-ends", "RFC 6120 s11.3", "Line ends are normalised as XML says.", "a\r\nb\rc\nd", "a\nb\nc\nd")
arrives("xml.return", "RFC 6120 s11.3", "A carriage return by reference survives.", "a&#13;b", "a\rb")


@case("xml.attribute-values", "RFC 6120 s11.3", "MUST", "Line ends and tabs by reference survive in attributes.", "intact")
def _(probe):
    word = deliver(probe, body("x").replace("</message>", "<a xmlns='urn:p' b='1&#10;2&#9;3'/></message>"))
    if word != "delivered":
        return word
    found = probe.last.find("{urn:p}a")
    return "intact" if found is not None and found.get("b") == "1\n2\t3" else "changed"


@case("xml.blanks", "RFC 6120 s11.7", "MUST", "Whitespace between stanzas is allowed.", "delivered")
def _(probe):
    return deliver(probe, " \r\n\t\n " + body("x") + "\n \n")


@case("xml.text-between", "RFC 6120 s11.7", "SHOULD", "Other text between stanzas is a stream error.", "stream:*", "delivered")
def _(probe):
    return deliver(probe, "text" + body("x"))


# Holds 6120:8/2.
@case("xml.split", "RFC 6120 s8", "MUST", "A stanza may come in any number of pieces.", "delivered")
def _(probe):
    sender, receiver = probe.login(), probe.login()
    data = body("x&#x41;ü").replace("{to}", receiver.jid).encode()
    sender.sent.append("a message, a byte at a time")
    for byte in data[:-1]:
        sender.push(bytes([byte]))
    return probe.deliver(sender, receiver, data[-1:])


# Holds 6120:8/2.
@case("xml.partial", "RFC 6120 s8", "MUST", "A partial stanza is not processed.", "unseen")
def _(probe):
    sender, receiver = probe.login(), probe.login()
    sender.say(body("x").replace("{to}", receiver.jid)[:-1])
    time.sleep(0.1)
    sender.wire.close()
    sender.has_ended = True
    receiver.settle()
    time.sleep(0.1)
    words, _ = receiver.settle()
    return "unseen" if not words else "processed"


# ---- namespaces of content (s4.8) ----

# Holds 6120:4.8.5/3.
refuse("content.prefix", "RFC 6120 s4.8.5", "SHOULD",
    "A prefix for jabber:client is refused or ignored, never delivered as it is.",
       ("stream:bad-namespace-prefix ignored", "delivered stream:*"),
       f"<foo:message xmlns:foo='{CLIENT}' id='m1' type='chat' to='{{to}}'><foo:body>x</foo:body></foo:message>")
# Holds 6120:4.8.4/1.
refuse("content.other", "RFC 6120 s4.8.4", "MUST", "A message of another namespace is ignored or unsupported-stanza-type.",
       ("stream:unsupported-stanza-type ignored", "stream:*"),
       "<message xmlns='urn:probe' id='m1' type='chat' to='{to}'><body>x</body></message>")
# Holds 6120:4.8.4/1.
refuse("content.none", "RFC 6120 s4.8.4", "MUST", "A message of no namespace likewise.",
       ("stream:unsupported-stanza-type stream:invalid-namespace ignored", "stream:*"),
       "<message xmlns='' id='m1' type='chat' to='{to}'><body>x</body></message>")
# Holds 6120:4.8.3/2.
# Holds stream:invalid-namespace - a stanza of jabber:server from a client.
refuse("content.server", "RFC 6120 s4.8.3", "MUST", "A stanza of jabber:server from a client is not delivered.",
       ("stream:invalid-namespace", "stream:* ignored"),
       "<message xmlns='jabber:server' id='m1' type='chat' to='{to}'><body>x</body></message>")
# Holds 6120:4.8.4/2.
refuse("content.unknown", "RFC 6120 s4.9.3.24", "MUST",
    "An unknown element of jabber:client is ignored or unsupported-stanza-type.",
       ("stream:unsupported-stanza-type ignored", "stream:*"), "<pubsub id='m1' to='{to}'><publish/></pubsub>")
# Holds 6120:4.8.4/2.
refuse("content.stream", "RFC 6120 s4.8.4", "MUST", "An unknown element of the stream namespace likewise.",
       ("stream:unsupported-stanza-type ignored", "stream:*"), "<stream:probe id='m1' to='{to}'/>")
# Holds 6120:4.8.4/1 6120:4.8.4/2.
refuse("content.extension-element", "RFC 6120 s4.8.4", "MUST", "An addressed element of another namespace is not delivered.",
       ("stream:unsupported-stanza-type ignored", "stream:*"), "<x:foo xmlns:x='urn:probe' id='m1' to='{to}'><x:bar/></x:foo>")


# Holds 6120:8.4/3.
# Holds 6120:4.8.5/4 6120:4.8.5/6.
@case("content.header-prefix", "RFC 6120 s4.8.5", "MUST",
    "A prefix declared in the header and used in a stanza is declared again "
      "on delivery, or refused.", "declared stream:invalid-namespace", "stream:*")
def _(probe):
    receiver = probe.login()
    stream = probe.secure().authenticate().open(more=" xmlns:px='urn:probe:header'")
    stream.bind("hp")
    word = probe.deliver(stream, receiver,
        f"<message id='m1' type='chat' to='{receiver.jid}'><body>x</body><px:a px:b='c'/></message>")
    if word != "delivered":
        return word
    found = probe.last.find("{urn:probe:header}a")
    return "declared" if found is not None and found.get("{urn:probe:header}b") == "c" else "lost"


# Holds 6120:4.8.5/4.
@case("content.header-prefix-over", "RFC 6120 s4.8.5", "MUST", "A prefix of the stream before a restart is not declared after it.",
      "stream:not-well-formed", "stanza:not-acceptable stream:*")
def _(probe):
    receiver = probe.login()
    stream = probe.secure(more=" xmlns:px='urn:probe:header'").authenticate().open()
    stream.bind("hp")
    return probe.deliver(stream, receiver, f"<message id='m1' type='chat' to='{receiver.jid}'><px:a/></message>")


# Holds 6120:8.4/10 6120:feature/stanza-extension.
# Holds 6120:4.8.5/6.
@case("content.extension", "RFC 6120 s8.4", "MUST", "A child that the server does not understand is delivered unmodified.",
    "intact")
def _(probe):
    inner = ("<p:a xmlns:p='urn:probe' p:b='c' d='e'>t<f xmlns='urn:other' xmlns:g='urn:g' g:h='i'><p:j/>u</f>"
             "v<k xmlns=''/></p:a>")
    word = deliver(probe, body("x").replace("</message>", inner + "</message>"))
    if word != "delivered":
        return word
    found = probe.last.find("{urn:probe}a")
    same = found is not None and ET.canonicalize(ET.tostring(found)) == ET.canonicalize(ET.tostring(ET.fromstring(inner)))
    return "intact" if same else "changed"


# Holds 6120:8.4/10.
@case("content.extension-attribute", "RFC 6120 s8.4", "MUST", "An attribute of another namespace on a stanza is delivered.",
    "intact", "lost")
def _(probe):
    word = deliver(probe, body("x").replace(" type=", " xmlns:p='urn:probe' p:b='c' type="))
    return word if word != "delivered" else "intact" if probe.last.get("{urn:probe}b") == "c" else "lost"


# ---- limits (s13.12, XEP-0478) ----

def sized(probe, size, to):
    text = body("{fill}").replace("{to}", to)
    return text.replace("{fill}", "x" * (size - len(text.encode()) + len("{fill}")))


# Holds 6120:13.12/5.
@case("limit.10000", "RFC 6120 s13.12", "MUST", "A stanza of 10,000 bytes is accepted.", "delivered")
def _(probe):
    sender, receiver = probe.login(), probe.login()
    sender.sent.append("a message of 10,000 bytes")
    text = sized(probe, 10000, receiver.jid)
    assert len(text) == 10000
    sender.push(text)
    return probe.deliver(sender, receiver, "")


def advertised(stream):
    found = stream.feature(LIMITS, "limits")
    if found is None:
        return None
    text = found.findtext(f"{{{LIMITS}}}max-bytes")
    return None if text is None else int(text)


@case("limit.advertised", "XEP-0478 s3.1", "MAY", "Limits are advertised after SASL as integers, 10,000 bytes at least.",
    "right", "absent")
def _(probe):
    stream = probe.authenticated()
    found = stream.feature(LIMITS, "limits")
    if found is None:
        return "absent"
    for child in found:
        if not (child.text or "").strip().isdigit():
            return f"wrong:{child.text}"
    limit = advertised(stream)
    return "right" if limit is None or limit >= 10000 else "small"


@case("limit.at", "XEP-0478 s3.1", "MUST", "A stanza of just the advertised size is accepted.", "delivered")
def _(probe):
    limit, receiver = advertised(probe.authenticated()), probe.login()
    if limit is None:
        raise Skip("no limit is advertised")
    if limit > 4 << 20:
        raise Skip("the limit is above 4 MiB")
    sender = probe.login()
    sender.sent.append(f"a message of {limit} bytes")
    sender.push(sized(probe, limit, receiver.jid))
    return probe.deliver(sender, receiver, "")


# Holds 6120:13.12/6.
@case("limit.over", "RFC 6120 s13.12", "MUST", "A stanza over the limit is answered by policy-violation and not delivered.",
      "stream:policy-violation stanza:policy-violation")
def _(probe):
    limit, receiver = advertised(probe.authenticated()), probe.login()
    size = (limit or 4 << 20) + 1
    if size > (4 << 20) + 1:
        raise Skip("the limit is above 4 MiB")
    sender = probe.login()
    sender.sent.append(f"a message of {size} bytes")
    sender.push(sized(probe, size, receiver.jid))
    word = probe.deliver(sender, receiver, "")
    if limit is None and word == "delivered":
        raise Skip("no limit is advertised, none found up to 4 MiB")
    return word


@case("limit.before-sasl", "RFC 6120 s13.12", "MUST", "Before SASL 2 MiB of one element are not read to their end.",
      "stream:policy-violation sasl:*", "stream:* dropped closed")
def _(probe):
    stream = probe.secure()
    stream.push("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>")
    for _ in range(32):
        stream.push("A" * 65536)
        if stream.pump(0):
            break
    if not stream.events and not stream.has_ended:
        stream.push("</auth>")
    return stream.outcome()
