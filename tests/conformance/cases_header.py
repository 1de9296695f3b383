# SPDX-License-Identifier: MIT
"""RFC 6120 s4 (streams: headers, namespaces, errors, closing) and s5 (STARTTLS)."""
import re
import ssl
import time

import speaker
from ledger import add, case
from speaker import CLIENT, LANG, SASL, STREAM, TLS, Skip, Wrong

HEADER_ERRORS = "stream:bad-format stream:invalid-xml stream:not-well-formed"


def answer(probe, data, tls=False):
    """What a first header gets: "features" or how the stream ended. The response header is kept in .header."""
    stream = probe.connect()
    if tls:
        stream = probe.secure()
        stream.restart()
    stream.say(data)
    return stream, stream.outcome()


def heading(probe, **more):
    stream = probe.connect()
    return answer(probe, stream.head(**more))


def header_case(ident, section, level, requirement, prefer, weak="", **more):
    add(ident, section, level, requirement, prefer, weak, lambda probe: heading(probe, **more)[1])


def raw_case(ident, section, level, requirement, prefer, weak, build):
    """build(head) gives the bytes."""
    add(ident, section, level, requirement, prefer, weak,
        lambda probe: answer(probe, build(probe.connect().head()))[1])


# ---- the response header ----

# Holds 6120:4.1/1 6120:4.3.2/1 6120:4.5/1 6120:4.8.1/1 6120:5.4.1/1 6120:5.4.1/2 6120:6.4.1/3.
# Holds 6120:feature/stream-negotiation-features 6120:feature/stream-tcp-binding.
header_case("header.features", "RFC 6120 s4.3.2", "MUST", "A header of version 1.0 is answered by a header and features.",
            "features")


# Holds 6120:11.5/1.
@case("header.declaration", "RFC 6120 s11.5", "SHOULD", "An XML declaration precedes the response header.", "declared", "absent")
def _(probe):
    return "declared" if probe.plain().reader.declaration else "absent"


# Holds 6120:11.5/2.
@case("header.standalone", "RFC 6120 s11.5", "MUST", "The declaration has no standalone document declaration.", "none")
def _(probe):
    declaration = probe.plain().reader.declaration
    return "none" if declaration is None or declaration[2] == -1 else "standalone"


# Holds 6120:11.6/1 6120:11.6/2 6120:11.6/4 6120:12/1.
@case("header.encoding", "RFC 6120 s11.6", "MUST", "The response stream is in UTF-8 and has no byte order mark.", "utf-8")
def _(probe):
    stream = probe.plain()
    encoding = (stream.reader.declaration or (0, None))[1] or "UTF-8"
    return "bom" if stream.raw.startswith(b"\xef\xbb\xbf") else encoding.lower()


# Holds 6120:feature/xml-namespace-content-client.
# Holds 6120:4.8.2/1.
@case("header.content-namespace", "RFC 6120 s4.8.2", "MUST", "The content namespace of both streams is the same.", "same")
def _(probe):
    return "same" if probe.plain().reader.declared.get("") == CLIENT else "different"


# Holds 6120:4.7.1/2 6120:feature/stream-attribute-response-from.
@case("header.from", "RFC 6120 s4.7.1", "MUST", "The response header has 'from' with an FQDN of the server.", "domain", "other")
def _(probe):
    found = probe.plain().header.get("from")
    return "absent" if found is None else "domain" if found == probe.domain else "other"


# Holds 6120:4.7.2/3.
@case("header.to-absent", "RFC 6120 s4.7.2", "MUST", "Without 'from' in the initial header the response has no 'to'.", "absent")
def _(probe):
    return "absent" if probe.plain().header.get("to") is None else "present"


def echoed(probe, sender, tls):
    more = f" from='{speaker.escape(sender)}'"
    stream = probe.secure(more=more) if tls else probe.plain(more=more)
    found = stream.header.get("to")
    return "absent" if found is None else "bare" if found == probe.target.bare(1) else "other"


# Holds 6120:4.7.2/2 6120:feature/stream-attribute-response-to.
add("header.to", "RFC 6120 s4.7.2", "MUST", "With 'from' the response has 'to' with that bare JID.", "bare", "",
    lambda probe: echoed(probe, probe.target.bare(1), False))
# Holds 6120:4.7.2/2.
add("header.to-under-tls", "RFC 6120 s4.7.2", "MUST", "The same under TLS.", "bare", "",
    lambda probe: echoed(probe, probe.target.bare(1), True))


# Holds 6120:4.7.2/2.
@case("header.to-of-full-jid", "RFC 6120 s4.7.2", "MUST", "With a full JID in 'from' the response has its bare JID in 'to'.",
      "bare", "stream:invalid-from stream:improper-addressing")
def _(probe):
    stream, word = heading(probe, more=f" from='{probe.target.bare(1)}/probe'")
    found = stream.header.get("to")
    return word if word != "features" else "bare" if found == probe.target.bare(1) else f"to={found}"


# Holds 6120:4.7.3/4 6120:feature/stream-attribute-response-id.
@case("header.id", "RFC 6120 s4.7.3", "MUST", "The response header has an id.", "present")
def _(probe):
    return "present" if probe.plain().header.get("id") else "absent"


def identifiers(probe, count):
    streams = [probe.connect() for _ in range(count)]
    for stream in streams:
        stream.push(stream.head())
    return [stream.header["id"] for stream in streams if stream.outcome() == "features"]


# Holds 6120:4.7.3/1 6120:4.7.3/2 6120:6.4.1/1 6120:feature/stream-attribute-response-id-unique.
@case("header.id-unique", "RFC 6120 s4.7.3", "MUST", "Stream ids are not repeated.", "unique")
def _(probe):
    found = identifiers(probe, 16)
    return "unique" if len(set(found)) == 16 else "repeated"


# Holds 6120:4.7.3/2.
@case("header.id-unpredictable", "RFC 6120 s4.7.3", "MUST", "Stream ids are unpredictable: 64 bits at least, no two alike.",
      "random", "short")
def _(probe):
    found = identifiers(probe, 16)
    width = min(map(len, found))
    alphabet = len(set("".join(found)))
    varying = sum(len({one[i] for one in found}) > 4 for i in range(width))
    for one, other in zip(found, found[1:]):
        if sum(a == b for a, b in zip(one, other)) > width / 2:
            return "alike"
    bits = varying * (alphabet - 1).bit_length()
    return "random" if bits >= 64 else "short" if bits >= 32 else "predictable"


# Holds 6120:4.7.3/3.
@case("header.id-of-client", "RFC 6120 s4.7.3", "MUST", "An id in the initial header is ignored.", "ignored")
def _(probe):
    stream, word = heading(probe, more=" id='probe-1'")
    return word if word != "features" else "ignored" if stream.header["id"] != "probe-1" else "taken"


# Holds 6120:4.3.3/1 6120:4.3.3/3 6120:5.4.3.3/5 6120:6.4.1/2 6120:feature/stream-negotiation-restart.
# Holds 6120:feature/tls-restart.
@case("header.id-after-tls", "RFC 6120 s5.4.3.3", "MUST", "The stream id after TLS is a new one.", "new")
def _(probe):
    stream = probe.plain()
    before = stream.header["id"]
    return "new" if stream.start_tls().open().header["id"] != before else "same"


# Holds 6120:4.3.3/3 6120:6.4.6/3 6120:feature/sasl-restart 6120:feature/stream-negotiation-restart.
@case("header.id-after-sasl", "RFC 6120 s6.4.6", "MUST", "The stream id after SASL is a new one.", "new")
def _(probe):
    stream = probe.secure()
    before = stream.header["id"]
    return "new" if stream.authenticate().open().header["id"] != before else "same"


# Holds 6120:4.7.4/2.
@case("header.lang", "RFC 6120 s4.7.4", "MUST", "The response header has xml:lang.", "present")
def _(probe):
    return "present" if probe.plain().header.get(LANG) else "absent"


# Holds 6120:4.7.4/4.
@case("header.lang-unsupported", "RFC 6120 s4.7.4", "MUST", "To a language it lacks the server answers with its own default.",
      "default")
def _(probe):
    usual = probe.plain().header.get(LANG)
    found = probe.plain(more=" xml:lang='x-probe'").header.get(LANG)
    return "absent" if found is None else "default" if found == usual else "echoed"


# Holds 6120:4.7.4/3.
@case("header.lang-asked", "RFC 6120 s4.7.4", "MUST", "To a language that it speaks the server answers with just that.", "same")
def _(probe):
    usual = probe.plain().header.get(LANG)
    return "same" if probe.plain(more=f" xml:lang='{usual}'").header.get(LANG) == usual else "other"


# Holds 6120:4.7.4/1.
@case("header.lang-tag", "RFC 6120 s4.7.4", "MUST", "The language of the response header is a language tag.", "tag")
def _(probe):
    found = probe.plain().header.get(LANG, "")
    return "tag" if re.fullmatch("[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", found) else f"lang={found}"


# Holds 6120:4.8.5/5.
@case("header.declarations", "RFC 6120 s4.8.5", "MUST", "The header declares no namespace for what stanzas contain.", "none")
def _(probe):
    declared = set(probe.plain().reader.declared.values())
    return "none" if declared <= {CLIENT, STREAM, "jabber:server:dialback"} else "more"


def version_of(stream, word):
    """A server that takes the client for one of before 1.0 sends a header and no features (s4.3.2)."""
    is_old = word == "silence" and stream.header is not None
    return word if word != "features" and not is_old else f"version={stream.header.get('version')}"


def version_case(ident, requirement, prefer, weak, level="MUST", **more):
    add(ident, "RFC 6120 s4.7.5", level, requirement, prefer, weak, lambda probe: version_of(*heading(probe, **more)))


# Holds 6120:4.7.5/2 6120:4.7.5/5.
version_case("header.version", "Version 1.0 is answered by 1.0.", "version=1.0", "", version="1.0")
# Holds 6120:4.7.5/3 6120:4.7.5/5.
version_case("header.version-minor", "Version 1.5 is answered by the lower of the two: 1.0.", "version=1.0", "", version="1.5")
# Holds 6120:4.7.5/1 6120:4.7.5/6.
version_case("header.version-number", "Minor versions are compared as integers: 1.10 is answered by 1.0.", "version=1.0", "",
             version="1.10")
# Holds 6120:4.7.5/5.
version_case("header.version-major", "Version 2.0 is answered by the lower of the two, 1.0; unsupported-version is defined.",
             "version=1.0", "stream:unsupported-version", version="2.0")
# Holds 6120:4.7.5/2 6120:4.7.5/6.
version_case("header.version-zeros", "Leading zeros are ignored: 01.0 is 1.0.", "version=1.0", "", version="01.0")
version_case("header.version-low", "Version 0.9 is answered by 0.9 or refused.", "version=0.9 stream:unsupported-version",
             "version=None", version="0.9")
version_case("header.version-word", "A version that is no number is refused.", "stream:unsupported-version stream:bad-format "
             "stream:invalid-xml", "version=*", version="one")


# Holds 6120:4.7.5/7.
@case("header.version-absent", "RFC 6120 s4.7.5", "SHOULD", "Without a version the response header has none either.",
      "none", "version")
def _(probe):
    stream, word = heading(probe, version=None)
    if stream.header is None:
        return word
    return "none" if stream.header.get("version") is None else "version"


@case("header.feature-namespaces", "RFC 6120 s4.3.2", "MUST", "Features are in namespaces other than stream and content.",
    "other")
def _(probe):
    for features in (probe.plain().features, probe.secure().features, probe.authenticated().features):
        if any(speaker.space(child) in ("", STREAM, CLIENT) for child in features):
            return "same"
    return "other"


# ---- what is wrong or unusual with the initial header ----

def wrong_namespace(head):
    return head.replace(STREAM, "http://wrong.namespace.example.org/")


# Holds 6120:4.8.1/2.
# Holds stream:invalid-namespace - a header of another stream namespace.
raw_case("header.namespace", "RFC 6120 s4.8.1", "SHOULD", "A wrong stream namespace is answered by invalid-namespace.",
         "stream:invalid-namespace", "stream:*", wrong_namespace)
# Holds 6120:feature/xml-namespace-streams-declaration.
# Holds 6120:4.8.1/2.
raw_case("header.no-namespace", "RFC 6120 s4.8.1", "SHOULD", "A root element in no namespace is answered by invalid-namespace.",
         "stream:invalid-namespace", "stream:*",
         lambda head: "<stream version='1.0' to='localhost'>")
# Holds 6120:feature/xml-namespace-streams-prefix.
# Holds 6120:4.8.5/1.
raw_case("header.prefix", "RFC 6120 s4.8.5", "MUST", "Another prefix for the stream namespace is accepted or refused by "
         "bad-namespace-prefix.", "features stream:bad-namespace-prefix", "stream:*",
         lambda head: head.replace("<stream:", "<foobar:").replace("xmlns:stream", "xmlns:foobar"))
raw_case("header.prefix-free", "RFC 6120 s4.8.2", "MUST", "The stream namespace as default namespace is acceptable.",
         "features", "stream:bad-namespace-prefix stream:bad-format",
         lambda head: head.replace("<stream:stream", "<stream").replace(f" xmlns='{CLIENT}'", "").replace("xmlns:stream",
         "xmlns"))


def content(probe, namespace):
    """s4.8.2: who serves another content namespace must answer in it."""
    stream, word = answer(probe, probe.connect().head().replace(CLIENT, namespace))
    return "as-asked" if word == "features" and stream.reader.declared.get("") == namespace else word


# Holds 6120:4.8.3/2.
add("header.content-unknown", "RFC 6120 s4.8.3", "MUST",
    "An unsupported content namespace is refused; a supported one is answered in kind.",
    "stream:invalid-namespace", "stream:bad-format as-asked", lambda probe: content(probe, "jabber:wrong"))
add("header.content-server", "RFC 6120 s4.8.3", "MUST", "jabber:server on a client's port is refused, or answered in kind.",
    "stream:invalid-namespace", "stream:* as-asked", lambda probe: content(probe, "jabber:server"))
raw_case("header.element", "RFC 6120 s4.9.1.1", "MUST", "A root element of another name is a stream error.",
         HEADER_ERRORS + " stream:invalid-namespace stream:unsupported-stanza-type", "stream:*",
         lambda head: head.replace("<stream:stream", "<stream:features"))
# Holds 6120:feature/xml-namespace-streams-declaration.
raw_case("header.unbound-prefix", "RFC 6120 s11.3", "MUST", "An undeclared prefix on the root is not-well-formed.",
         "stream:not-well-formed", "stream:bad-format stream:bad-namespace-prefix stream:invalid-namespace",
         lambda head: head.replace(f" xmlns:stream='{STREAM}'", ""))
raw_case("header.attribute-twice", "RFC 6120 s11.3", "MUST", "An attribute twice is not-well-formed.",
         "stream:not-well-formed", "stream:bad-format", lambda head: head.replace(" to=", " to='a' to="))
raw_case("header.foreign-attribute", "RFC 6120 s8.4", "SHOULD", "Attributes of other namespaces are ignored.", "features", "",
         lambda head: head.replace(" to=", " xmlns:p='urn:probe' p:a='b' to="))
raw_case("header.quotes", "RFC 6120 s11.3", "MUST", "Double quotes and line ends inside the tag are XML.", "features", "",
         lambda head: head.replace("'", '"').replace(" ", "\n\t"
                                                    ).replace("<?xml\n\tversion", "<?xml version"))
raw_case("header.references", "RFC 6120 s11.1", "MUST", "Character references in attributes are XML.", "features", "",
         lambda head: head.replace("version='1.0'>", "version='&#49;.&#x30;'>"))
header_case("header.to-missing", "RFC 6120 s4.7.2", "SHOULD", "A header without 'to' is accepted.", "features",
            "stream:host-unknown stream:improper-addressing", to=None)
# Holds stream:host-unknown - a header to a domain that is not served.
header_case("header.to-unknown", "RFC 6120 s4.9.3.6", "MUST", "An unknown host is answered by host-unknown.",
            "stream:host-unknown", "stream:host-gone", to="unknown.host.example.com")
header_case("header.to-empty", "RFC 6120 s4.9.3.6", "MUST", "An empty 'to' names no host that is served.",
            "stream:host-unknown stream:improper-addressing", "features stream:*", to="")
header_case("header.to-malformed", "RFC 7622 s4", "MUST", "A malformed 'to' is refused.",
            "stream:host-unknown stream:improper-addressing", "stream:*", to="a@b@c//d e")
header_case("header.to-user", "RFC 6120 s4.7.2", "MUST", "'to' is a domainpart, not the address of a user.",
            "stream:host-unknown stream:improper-addressing", "features stream:*", to="user@unknown.host.example.com")
# Holds 7622:3.2.3/1.
add("header.to-case", "RFC 7622 s3.2.2", "MUST", "Domainparts are compared after case mapping.", "features", "",
    lambda probe: heading(probe, to=probe.domain.upper())[1])
# Holds 7622:3.2/3.
add("header.to-dot", "RFC 7622 s3.2", "MUST", "A final dot is stripped from the domainpart.", "features", "",
    lambda probe: heading(probe, to=probe.domain + ".")[1])


# Holds 6120:4.7.1/2 6120:4.9.1.3/1.
@case("header.error-from", "RFC 6120 s4.9.1.3", "MUST", "'from' with host-unknown is an FQDN of the server or empty.", "own",
    "other")
def _(probe):
    stream, word = heading(probe, to="unknown.host.example.com")
    if stream.header is None:
        return word
    found = stream.header.get("from")
    return "absent" if found is None else "asked" if found == "unknown.host.example.com" else \
        "own" if found in ("", probe.domain) else "other"


# Holds 6120:4.9.1.2/1.
@case("header.error-inside", "RFC 6120 s4.9.1.2", "MUST", "An error in the header comes inside a stream of the server's own.",
      "inside")
def _(probe):
    stream, word = answer(probe, wrong_namespace(probe.connect().head()))
    return "inside" if stream.header is not None and word.startswith("stream:") else word


# Holds 6120:4.7.3/4.
@case("header.error-id", "RFC 6120 s4.7.3", "MUST", "The header before an error has an id, version and xml:lang too.", "whole",
    "partial")
def _(probe):
    stream, word = answer(probe, wrong_namespace(probe.connect().head()))
    if stream.header is None:
        return word
    return "whole" if all(stream.header.get(key) for key in ("id", "version", LANG)) else \
        "partial" if stream.header.get("id") else "absent"


for name, data in (("garbage", b"hello\r\n"), ("http", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                   ("end-tag", b"</stream:stream>"), ("text", b"<?xml version='1.0'?>text<stream:stream>")):
    # Holds 6120:4.9.1.2/1.
    add(f"header.before-{name}", "RFC 6120 s4.9.1.2", "MUST", f"{name} instead of a header is not-well-formed, inside a stream.",
        "stream:not-well-formed", "stream:bad-format stream:invalid-xml", lambda probe, data=data: answer(probe, data)[1])


def stanza_first(head):
    return f"<message xmlns='{CLIENT}' to='localhost'><body>x</body></message>"


raw_case("header.before-stanza", "RFC 6120 s4.9.1.2", "MUST", "A stanza instead of a header is a stream error.",
         "stream:invalid-namespace stream:not-well-formed stream:bad-format stream:not-authorized stream:invalid-xml",
         "stream:*",
         stanza_first)

# ---- declaration and encoding ----

XML = "<?xml version='1.0'?>"
raw_case("declaration.none", "RFC 6120 s11.5", "SHOULD", "A header without a declaration is accepted.", "features", "",
         lambda head: head.replace(XML, ""))
raw_case("declaration.utf-8", "RFC 6120 s11.6", "MUST", "encoding='utf-8' is accepted, in any case of letters.", "features", "",
         lambda head: head.replace(XML, "<?xml version='1.0' encoding='utf-8'?>"))
# Holds 6120:11.6/2 6120:11.6/3.
for name in ("UTF-16", "ISO-8859-1", "US-ASCII"):
    # Holds stream:unsupported-encoding - a declaration of another encoding.
    raw_case(f"declaration.{name.lower()}", "RFC 6120 s11.6", "SHOULD",
        f"encoding='{name}' is answered by unsupported-encoding.",
             "stream:unsupported-encoding", "stream:*",
             lambda head, name=name: head.replace(XML, f"<?xml version='1.0' encoding='{name}'?>"))
# Holds 6120:11.6/3.
raw_case("declaration.utf-16-bytes", "RFC 6120 s11.6", "SHOULD", "A stream in UTF-16 is answered by unsupported-encoding.",
         "stream:unsupported-encoding", "stream:*", lambda head: head.encode("utf-16"))
# Holds 6120:11.6/5.
raw_case("declaration.bom", "RFC 6120 s11.6", "MUST", "U+FEFF in front is a character, not a byte order mark: no XML begins so.",
         "stream:not-well-formed", "stream:*", lambda head: b"\xef\xbb\xbf" + head.encode())
# Holds 6120:11.5/3.
raw_case("declaration.standalone", "RFC 6120 s11.5", "MUST", "standalone='no' is ignored or answered by restricted-xml.",
         "features stream:restricted-xml", "stream:bad-format",
         lambda head: head.replace(XML, "<?xml version='1.0' standalone='no'?>"))
# Holds 6120:11.5/1.
raw_case("declaration.late", "RFC 6120 s11.3", "MUST", "Nothing may precede the declaration, not even a blank.",
         "stream:not-well-formed stream:restricted-xml", "stream:bad-format", lambda head: " " + head)
raw_case("declaration.blanks", "RFC 6120 s11.3", "MUST", "Blanks before a header without declaration are XML.", "features", "",
         lambda head: "\r\n " + head.replace(XML, ""))
# Holds 6120:11.5/1.
raw_case("declaration.malformed", "RFC 6120 s11.3", "MUST", "A declaration without version is not-well-formed.",
         "stream:not-well-formed", "stream:bad-format stream:restricted-xml",
         lambda head: head.replace(XML, "<?xml encoding='UTF-8'?>"))
for name, what in (("comment", "<!-- x -->"), ("instruction", "<?probe x?>"),
                   ("doctype", "<!DOCTYPE x>"), ("entities", "<!DOCTYPE x [<!ENTITY a 'b'>]>")):
    raw_case(f"declaration.{name}", "RFC 6120 s11.1", "SHOULD", f"{name} before the header is answered by restricted-xml.",
             "stream:restricted-xml", "stream:*",
             lambda head, what=what: head.replace(XML, XML + what))


@case("header.split", "RFC 6120 s4.2", "MUST", "A header may come in any number of pieces.", "features")
def _(probe):
    stream = probe.connect()
    stream.sent.append("a header, a byte at a time")
    for byte in stream.head().encode():
        stream.push(bytes([byte]))
    return stream.outcome()


@case("header.oversize", "RFC 6120 s13.12", "MUST", "A header of 2 MiB is not read to its end.",
      "stream:policy-violation", "stream:* dropped closed")
def _(probe):
    stream = probe.connect()
    stream.push(stream.head()[:-1] + " a='")
    for _ in range(32):
        stream.push("x" * 65536)
        if stream.pump(0):
            break
    return stream.outcome()


# ---- closing (s4.4) and the form of stream errors (s4.9) ----

@case("close.plain", "RFC 6120 s4.4", "MUST", "The end tag is answered by the end tag, then the connection ends.", "ended")
def _(probe):
    return closing(probe.plain())


def closing(stream):
    stream.say("</stream:stream>")
    word = stream.outcome()
    return stream.finish() if word == "closed" else word


# Holds 6120:4.4/2.
@case("close.tls", "RFC 6120 s4.4", "MUST", "The same under TLS, with close_notify.", "ended")
def _(probe):
    return closing(probe.secure())


# Holds 6120:4.4/1.
@case("close.bound", "RFC 6120 s4.4", "MUST", "The same on a bound session.", "ended")
def _(probe):
    return closing(probe.login())


@case("close.before-header", "RFC 6120 s4.4", "MUST", "The end tag right behind a header is answered by the end tag.",
      "closed stream:*")
def _(probe):
    stream = probe.connect()
    stream.say(stream.head() + "</stream:stream>")
    word = stream.outcome()
    return stream.outcome() if word == "features" else word


@case("close.pending", "RFC 6120 s4.4", "MUST", "What was sent before the end tag is still answered.", "answered")
def _(probe):
    stream = probe.login()
    stream.say("<iq type='get' id='last'><ping xmlns='urn:xmpp:ping'/></iq></stream:stream>")
    word = stream.outcome()
    return "answered" if word in ("result", "stanza:service-unavailable") and stream.outcome() == "closed" else word


@case("close.behind", "RFC 6120 s4.4", "MUST", "A stanza behind the end tag is not processed.", "ignored")
def _(probe):
    sender, receiver = probe.pair()
    sender.say(f"</stream:stream><message id='m1' to='{receiver.jid}' type='chat'><body>x</body></message>")
    sender.outcome()
    receiver.push(f"<message id='mark' to='{receiver.jid}' type='chat'/>")
    time.sleep(0.2)
    words, stanzas = receiver.settle()
    return "delivered" if any(one is not None and one.get("id") == "m1" for one in stanzas) else "ignored"


# Holds 6120:4.9/1 6120:4.9.1.1/1 6120:feature/stream-error-generate.
@case("error.closes", "RFC 6120 s4.9.1.1", "MUST", "After a stream error the stream is closed, and the connection with it.",
    "ended")
def _(probe):
    stream, word = heading(probe, to="unknown.host.example.com")
    return stream.finish() if word.startswith("stream:") else word


# Holds 6120:4.9/1 6120:4.9.1.1/1 6120:feature/stream-error-generate.
@case("error.closes-tls", "RFC 6120 s4.9.1.1", "MUST", "The same under TLS, with close_notify.", "ended")
def _(probe):
    stream = probe.secure()
    stream.say("<a></b>")
    word = stream.outcome()
    return stream.finish() if word.startswith("stream:") else word


# Holds 6120:4.9.2/4.
@case("error.text-lang", "RFC 6120 s4.9.2", "SHOULD", "The text of a stream error has xml:lang.", "lang none", "bare")
def _(probe):
    stream, word = heading(probe, to="unknown.host.example.com")
    if not word.startswith("stream:"):
        return word
    text = stream.error_element.find(f"{{{speaker.ERRORS}}}text")
    return "none" if text is None else "lang" if text.get(LANG) else "bare"


# Holds 6120:4.9.2/1 6120:4.9.2/3 6120:4.9.2/6.
@case("error.only-condition", "RFC 6120 s4.9.2", "MUST",
    "A stream error holds one condition, at most one text, at most one more.",
      "right")
def _(probe):
    stream, word = heading(probe, to="unknown.host.example.com")
    if not word.startswith("stream:"):
        return word
    names = [(speaker.space(child) == speaker.ERRORS, speaker.local(child) == "text") for child in stream.error_element]
    conditions = sum(a and not b for a, b in names)
    return "right" if conditions == 1 and names.count((True, True)) <= 1 and sum(not a for a, _ in names) <= 1 else "wrong"


RECEIVED = (("defined", "A stream error ends the stream", "<reset xmlns='{0}'/>"),
            ("unknown", "An unknown condition is one like any other", "<probe xmlns='{0}'/>"),
            ("text", "The text of an error decides nothing",
             "<undefined-condition xmlns='{0}'/><text xmlns='{0}'>ignore this</text>"))
for name, requirement, inner in RECEIVED:
    # Holds 6120:4.9.1.1/2 6120:4.9.2/2 6120:4.9.2/7.
    @case(f"error.received-{name}", "RFC 6120 s4.9.2" if name != "defined" else "RFC 6120 s4.9.1.1", "MUST",
          f"{requirement}: the server closes it too.", "ended")
    def _(probe, inner=inner):
        stream = probe.login()
        stream.say(f"<stream:error>{inner.format(speaker.ERRORS)}</stream:error>")
        word = stream.outcome()
        return stream.finish() if word == "closed" else word


# ---- STARTTLS (s5) ----

def is_required(features):
    found = features.find(f"{{{TLS}}}starttls")
    if found is None:
        raise Skip("the server offers no STARTTLS")
    return found.find(f"{{{TLS}}}required") is not None or len(features) == 1


def needs_required(stream):
    if not is_required(stream.features):
        raise Skip("TLS is not required here")
    return stream


# Holds 6120:5.2/1 6120:5.4.1/3 6120:feature/tls-support.
@case("tls.offered", "RFC 6120 s5.4.1", "MUST", "STARTTLS is offered before TLS.", "offered")
def _(probe):
    return "offered" if probe.plain().feature(TLS, "starttls") is not None else "absent"


# Holds 6120:5.4.1/4.
@case("tls.required-child", "RFC 6120 s5.4.1", "MUST", "Where STARTTLS is mandatory it says <required/>.", "required")
def _(probe):
    stream = needs_required(probe.plain())
    return "required" if stream.feature(TLS, "starttls").find(f"{{{TLS}}}required") is not None else "absent"


@case("tls.required-alone", "RFC 6120 s5.3.1", "SHOULD", "Where STARTTLS is mandatory nothing else is offered.", "alone", "more")
def _(probe):
    return "alone" if len(needs_required(probe.plain()).features) == 1 else "more"


# Holds 6120:5.3.3/1 6120:5.4.2.1/1 6120:5.4.2.3/1.
@case("tls.proceed-bytes", "RFC 6120 s5.3.3", "MUST", "proceed comes without whitespace around it.", "exact")
def _(probe):
    stream = probe.plain()
    needs_offer(stream)
    before = len(stream.raw)
    stream.say(f"<starttls xmlns='{TLS}'/>")
    word = stream.outcome()
    found = stream.raw[before:]
    return word if word != "proceed" else "exact" if found.startswith(b"<") and found.endswith(b">") else repr(found)


def needs_offer(stream):
    if stream.feature(TLS, "starttls") is None:
        raise Skip("the server offers no STARTTLS")


# Holds 6120:5.4.3.3/6.
@case("tls.not-again", "RFC 6120 s5.4.3.3", "MUST", "STARTTLS is not offered after TLS.", "absent")
def _(probe):
    return "absent" if probe.secure().feature(TLS, "starttls") is None else "offered"


# Holds 6120:4.3.4/1 6120:5.2/1 6120:5.4.3.3/6 6120:6.4.1/3 6120:13.4/1 6120:feature/tls-support.
@case("tls.sasl-follows", "RFC 6120 s5.4.3.3", "SHOULD", "SASL is offered after TLS.", "offered", "absent")
def _(probe):
    return "offered" if probe.secure().mechanisms() else "absent"


# Holds 6120:5.4.2.1/1 6120:5.4.2.2/1.
@case("tls.twice", "RFC 6120 s5.4.2.2", "MUST", "STARTTLS that was not offered fails, and the stream is closed.",
      "tls-failure", "stream:*")
def _(probe):
    stream = probe.secure()
    stream.say(f"<starttls xmlns='{TLS}'/>")
    word = stream.outcome()
    return word if word != "tls-failure" or stream.outcome() == "closed" else "unclosed"


# Holds 6120:5.3.4/1 6120:13.3/1.
@case("tls.after-sasl", "RFC 6120 s5.4.2.2", "MUST", "STARTTLS after SASL fails, and the stream is closed.", "tls-failure",
    "stream:*")
def _(probe):
    stream = probe.authenticated()
    stream.say(f"<starttls xmlns='{TLS}'/>")
    return stream.outcome()


@case("tls.proceed-from-client", "RFC 6120 s4.8.4", "MUST", "proceed from a client is ignored or a stream error.",
      "stream:unsupported-stanza-type stream:not-authorized silence", "stream:* tls-failure")
def _(probe):
    stream = probe.plain()
    stream.say(f"<proceed xmlns='{TLS}'/>")
    return stream.outcome(wait=0.5)


# Holds 6120:5.4.2.3/2.
@case("tls.injection", "RFC 6120 s5.4.3.3", "MUST", "Plain text behind starttls is not carried into the encrypted stream.",
      "handshake-refused discarded tls-failure stream:policy-violation", "stream:*")
def _(probe):
    stream = probe.plain()
    needs_offer(stream)
    stream.say(f"<starttls xmlns='{TLS}'/>" + stream.head())
    word = stream.outcome()
    if word != "proceed":
        return word
    try:
        if not stream.wire.start_tls(probe.target.context(), probe.domain):
            return "handshake-refused"
    except (ssl.SSLError, OSError):
        return "handshake-refused"
    stream.restart()
    if stream.pump(0.4) and not stream.has_ended:
        return "carried"
    return "discarded"


# Holds 6120:5.4.3.2/1 6120:5.4.3.2/2.
@case("tls.garbage", "RFC 6120 s5.4.3.2", "MUST", "A failed handshake ends the connection, without an end tag.", "ended")
def _(probe):
    stream = probe.plain()
    needs_offer(stream)
    stream.push(f"<starttls xmlns='{TLS}'/>")
    if stream.outcome() != "proceed":
        raise Wrong("setup: no proceed")
    stream.say("<presence/>" + "x" * 64)
    data, until = b"", time.monotonic() + speaker.WAIT
    while not stream.wire.has_ended and time.monotonic() < until:
        data += stream.wire.receive_raw(until - time.monotonic()) or b""
    return "tag" if b"<" in data else "ended" if stream.wire.has_ended else "lingers"


@case("tls.direct", "RFC 6120 s5.4.3.3", "MUST", "On a port for direct TLS the first features have SASL and no STARTTLS.",
    "right")
def _(probe):
    stream = probe.connect(tls=True).handshake().open()
    return "right" if stream.mechanisms() and stream.feature(TLS, "starttls") is None else "wrong"


@case("tls.without-sni", "RFC 6120 s5.4.3.1", "SHOULD", "The certificate is chosen by 'to' of the header where there is no SNI.",
    "right")
def _(probe):
    stream = probe.plain()
    needs_offer(stream)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    stream.push(f"<starttls xmlns='{TLS}'/>")
    stream.outcome()
    stream.wire.start_tls(context, None)
    plain = stream.wire.tls.getpeercert(True)
    other = probe.secure().wire.tls.getpeercert(True)
    return "right" if plain == other else "wrong"


# Holds 6120:5.4.3.3/3.
@case("tls.from-discarded", "RFC 6120 s5.4.3.3", "MUST", "'from' of before TLS is forgotten: no 'to' in the header after it.",
    "absent")
def _(probe):
    stream = probe.plain(more=f" from='{probe.target.bare(1)}'")
    needs_offer(stream)
    return "absent" if stream.start_tls().open().header.get("to") is None else "kept"


for stage in ("tls", "sasl"):
    @case(f"restart.to-after-{stage}", "RFC 6120 s4.9.3.6", "MUST", f"An unknown host at the restart after {stage} is refused.",
          "stream:host-unknown", "stream:*")
    def _(probe, stage=stage):
        stream = probe.secure()
        if stage == "sasl":
            stream.authenticate()
        else:
            stream = probe.plain()
            needs_offer(stream)
            stream.start_tls()
        stream.restart()
        stream.say(stream.head(to="unknown.host.example.com"))
        return stream.outcome()

    # Holds 6120:5.3.2/1 6120:6.3.2/1 6120:feature/tls-restart.
    @case(f"restart.none-after-{stage}", "RFC 6120 s4.3.3", "MUST",
        f"A stanza instead of the header after {stage} is a stream error.",
          "stream:*", "dropped")
    def _(probe, stage=stage):
        stream = probe.secure()
        if stage == "sasl":
            stream.authenticate()
        else:
            stream = probe.plain()
            needs_offer(stream)
            stream.start_tls()
        stream.restart()
        stream.say(f"<message xmlns='{CLIENT}' to='{probe.target.bare(1)}'><body>x</body></message>")
        return stream.outcome()


# Holds 6120:feature/sasl-correlate.
@case("restart.from-differs", "RFC 6120 s6.4.6", "SHOULD", "SASL as another than 'from' of the protected header is refused.",
      "sasl:* stream:*", "success")
def _(probe):
    stream = probe.secure(more=f" from='{probe.target.bare(2)}'")
    stream.sent.append(f"a header from='{probe.target.bare(2)}', then SASL as {probe.target.account(1)[0]}")
    name, password = probe.target.account(1)
    how = next((each for each in ("SCRAM-SHA-256", "SCRAM-SHA-1") if each in stream.mechanisms()), None)
    if not how:
        raise Skip("no SCRAM is offered")
    return stream.scram(how, name, password)


# ---- what comes too early ----

STANZAS_EARLY = {"message": "<message to='someone@{domain}'><body>x</body></message>", "presence": "<presence/>",
                 "iq": "<iq type='get' id='m1'><ping xmlns='urn:xmpp:ping'/></iq>",
                 "bind": "<iq type='set' id='m1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"}
for name, text in STANZAS_EARLY.items():
    # To others it MUST be this (s4.3.5); what concerns the server or the client itself may get a stanza error.
    allowed = "stream:policy-violation" + ("" if name == "message" else " stanza:*")
    # Holds 6120:4.3.5/3 6120:13.12/1.
    # Holds stream:not-authorized - stanzas before authentication.
    add(f"early.{name}-before-tls", "RFC 6120 s4.9.3.12", "MUST", f"{name} before TLS and SASL is answered by not-authorized.",
        "stream:not-authorized", allowed,
        lambda probe, text=text: early(probe.plain(), text.format(domain=probe.domain)))
    add(f"early.{name}-before-sasl", "RFC 6120 s4.9.3.12", "MUST", f"{name} before SASL is answered by not-authorized.",
        "stream:not-authorized", allowed,
        lambda probe, text=text: early(probe.secure(), text.format(domain=probe.domain)))


def early(stream, text):
    stream.say(text)
    return stream.outcome()


@case("early.auth-before-tls", "RFC 6120 s6.5.4", "MUST", "SASL before a mandatory TLS fails with encryption-required.",
      "sasl:encryption-required", "sasl:* stream:policy-violation stream:not-authorized")
def _(probe):
    stream = needs_required(probe.plain())
    if stream.mechanisms():
        raise Skip("SASL is offered before TLS")
    name, password = probe.target.account(1)
    return stream.plain(name, password, say=stream.say)


# Holds 6120:6.3.4/1 6120:13.8.3/3.
@case("early.plain-before-tls", "RFC 6120 s13.8.3", "MUST", "PLAIN is not offered without TLS.", "absent")
def _(probe):
    return "offered" if "PLAIN" in probe.plain().mechanisms() else "absent"


# Holds 6120:7.4/2.
@case("early.bind-offer", "RFC 6120 s7.4", "MUST", "Resource binding is not offered before SASL.", "absent")
def _(probe):
    return "offered" if any(one.feature(speaker.BIND, "bind") is not None for one in (probe.plain(),
        probe.secure())) else "absent"


# Holds 6120:4.3.4/1 6120:6.4.6/4 6120:7.4/1.
@case("early.bind-after-sasl", "RFC 6120 s7.4", "MUST", "Resource binding is offered after SASL, SASL and STARTTLS no longer.",
    "right")
def _(probe):
    stream = probe.authenticated()
    if stream.feature(speaker.BIND, "bind") is None:
        return "absent"
    return "right" if stream.feature(SASL, "mechanisms") is None and stream.feature(TLS, "starttls") is None else "more"
