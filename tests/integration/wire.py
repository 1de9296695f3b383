# SPDX-License-Identifier: MIT
"""A strict raw XMPP client: sockets, TLS through memory BIOs, expat. It refuses whatever a router must not send.

Wire carries bytes and knows no XML. Client reads a stream over a Wire: headers, whole top-level elements, the end tag,
the end of the connection, each exactly once and in that order, or it raises Wrong. Nothing here waits longer than
WAIT seconds."""
import os
import socket
import ssl
import struct
import time
import xml.etree.ElementTree as ET
from xml.parsers import expat

import scram
import tap

WAIT = 20.0  # generous: sanitizer builds on a busy machine; a correct router answers in microseconds
STREAM = "http://etherx.jabber.org/streams"
ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION = "urn:ietf:params:xml:ns:xmpp-session"
CB = "urn:xmpp:sasl-cb:0"
LIMITS = "urn:xmpp:stream-limits:0"
CLIENT = "jabber:client"
SEPARATOR = "\x01"  # between namespace and name; no XML holds it


class Wrong(Exception):
    """The router did what it must not do, or not what it must."""


class Cut(Exception):
    """This wire was to be cut after so many bytes, and was."""


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&apos;")


def header(to="localhost", version="1.0", attributes=""):
    to = f" to='{escape(to)}'" if to is not None else ""
    version = f" version='{version}'" if version is not None else ""
    return (f"<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAM}'"
            f"{to}{version}{attributes}>").encode()


def tls_context(authority=None, version=None, alpn=None):
    """Verifies chain and name when there is an authority; version pins the protocol."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority:
        context.load_verify_locations(str(authority))
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


class Wire:
    """Bytes of one connection, with or without TLS. budget: cut after so many bytes on the network."""

    def __init__(self, port, host="127.0.0.1", budget=None, connected=None):
        """connected: a socket that the router has dialled; then port is None."""
        self.tap = tap.Connection(port)  # first: one that is reset at once was still accepted
        self.socket = connected or socket.create_connection((host, port), timeout=WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.budget = budget
        self.sent = 0
        self.tls = None
        self.was_notified = False  # the router's close_notify has come
        self.has_ended = False     # its FIN

    def send_raw(self, data):
        if self.budget is not None and self.sent + len(data) > self.budget:
            data = data[:self.budget - self.sent]
            self.sent += len(data)
            self.socket.sendall(data)
            raise Cut
        self.sent += len(data)
        self.socket.sendall(data)

    def send(self, data):
        if not self.tls:
            self.send_raw(data)
            return
        if data:
            self.tls.write(data)
        self.push()

    def push(self):
        if self.outgoing.pending:
            self.send_raw(self.outgoing.read())

    def receive_raw(self, until):
        """b"" is the end; a reset is ConnectionResetError."""
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the router did not answer")
        self.socket.settimeout(left)
        data = self.socket.recv(65536)
        if not data:
            self.has_ended = True
        elif not self.tls:
            self.tap.heard(data)
        return data

    def receive(self, until=None):
        until = until or time.monotonic() + WAIT
        if not self.tls:
            return self.receive_raw(until)
        while True:
            try:
                data = self.tls.read(65536)
                if data:
                    return self.tap.heard(data)
                self.was_notified = True
                return b""
            except ssl.SSLWantReadError:
                self.push()
                data = self.receive_raw(until)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            except ssl.SSLZeroReturnError:
                self.was_notified = True
                return b""
            except ssl.SSLEOFError:
                return b""  # the end without close_notify: was_notified tells

    def start_tls(self, context, name="localhost", session=None, is_server=False):
        """session: of an earlier connection with this context, to be resumed."""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, is_server, None if is_server else name, session)
        until = time.monotonic() + WAIT
        while True:
            try:
                self.tls.do_handshake()
                self.push()
                return
            except ssl.SSLWantReadError:
                self.push()
                data = self.receive_raw(until)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            except ssl.SSLError:
                self.push()  # our alert
                raise

    def notify(self):
        """Our close_notify, without waiting for theirs."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        self.push()

    def wait_for_end(self, until=None):
        """Reads until FIN; what still comes is thrown away."""
        until = until or time.monotonic() + WAIT
        while not self.has_ended:
            if self.tls and not self.was_notified:
                if self.receive(until):
                    continue
            elif self.receive_raw(until):
                continue

    def fin(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


class Reader:
    """One XML stream from the router, by expat with namespaces: events as ("header", attributes), ("element", Element),
    ("footer", None)."""

    def __init__(self):
        self.events = []
        self.declared = {}
        self.stack = []
        self.depth = 0
        self.parser = expat.ParserCreate("UTF-8", SEPARATOR)
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.StartNamespaceDeclHandler = lambda prefix, uri: self.declared.setdefault(prefix or "", uri)
        for handler in ("CommentHandler", "ProcessingInstructionHandler", "StartDoctypeDeclHandler"):
            setattr(self.parser, handler, self.refuse)  # RFC 6120 s11.1

    @staticmethod
    def refuse(*what):
        raise Wrong(f"restricted XML from the router: {what}")

    @staticmethod
    def clark(name):
        return "{%s}%s" % tuple(name.split(SEPARATOR, 1)) if SEPARATOR in name else name

    def start(self, name, attributes):
        attributes = {self.clark(key): value for key, value in attributes.items()}
        if self.depth == 0:
            if self.clark(name) != f"{{{STREAM}}}stream":
                raise Wrong(f"root element {name}")
            self.events.append(("header", attributes))
        else:
            element = ET.Element(self.clark(name), attributes)
            if self.stack:
                self.stack[-1].append(element)
            self.stack.append(element)
        self.depth += 1

    def end(self, _):
        self.depth -= 1
        if self.depth == 0:
            self.events.append(("footer", None))
            return
        element = self.stack.pop()
        if not self.stack:
            self.events.append(("element", element))

    def text(self, data):
        if not self.stack:
            if data.strip(" \t\r\n"):
                raise Wrong(f"text between elements: {data!r}")
            return
        element = self.stack[-1]
        if len(element):
            element[-1].tail = (element[-1].tail or "") + data
        else:
            element.text = (element.text or "") + data

    def feed(self, data):
        try:
            self.parser.Parse(data)
        except expat.ExpatError as error:
            raise Wrong(f"the router sent XML that is not well-formed: {error}: {data!r}") from None


def condition(element):
    """The condition of a SASL failure, a stream error or a stanza error."""
    error = element.find(f"{{{CLIENT}}}error") if element.tag.startswith(f"{{{CLIENT}}}") else element
    for child in error:
        namespace, _, name = child.tag[1:].partition("}")
        if namespace in (ERRORS, STANZAS, SASL) and name != "text":
            return name
    raise Wrong(f"no condition in {ET.tostring(element)}")


class Client:
    """A stream over a Wire."""

    answered = "1.0"  # the version that the router's header must have; None: none (RFC 6120 s4.7.5)

    def __init__(self, port, domain="localhost", budget=None, host="127.0.0.1"):
        self.wire = Wire(port, host, budget)
        self.domain = domain
        self.user = None
        self.jid = None
        self.bytes = bytearray()  # everything the router said on the present stream
        self.header = None
        self.features = None
        self.id_last = 0
        self.restart()

    def restart(self):
        self.reader = Reader()
        self.events = self.reader.events
        self.bytes.clear()
        self.header = None
        self.has_footer = False

    # ---- what comes ----

    def event(self, wait=WAIT):
        """The next event; ("end", None) when the connection ended."""
        until = time.monotonic() + wait
        while not self.events:
            data = self.wire.receive(until)
            if not data:
                return ("end", None)
            self.bytes += data
            self.reader.feed(data)
        kind, value = self.events.pop(0)
        if kind == "header":
            self.check_header(value)
        if kind == "footer":
            self.has_footer = True
        return kind, value

    def check_header(self, attributes):
        """RFC 6120 s4.7, s4.8: what every header of ours has."""
        missing = {"from", "id", "{http://www.w3.org/XML/1998/namespace}lang"} - set(attributes)
        if missing or attributes.get("version") != self.answered or len(attributes["id"]) < 22:
            raise Wrong(f"stream header with {attributes}")
        if self.reader.declared.get("") != CLIENT or self.reader.declared.get("stream") != STREAM:
            raise Wrong(f"stream header declares {self.reader.declared}")
        self.header = attributes

    def element(self, wait=WAIT):
        kind, value = self.event(wait)
        if kind != "element":
            raise Wrong(f"expected an element, got {kind}: {bytes(self.bytes)!r}")
        return value

    def expect(self, tag, wait=WAIT):
        element = self.element(wait)
        if element.tag != tag:
            raise Wrong(f"expected {tag}, got {ET.tostring(element).decode()}")
        return element

    def is_silent(self, seconds):
        try:
            kind, value = self.event(seconds)
        except TimeoutError:
            return True
        raise Wrong(f"expected silence, got {kind} {value if value is None else ET.tostring(value)}")

    def expect_end(self, wait=WAIT):
        """The orderly end: end tag, close_notify under TLS, FIN; nothing between them."""
        if not self.has_footer:
            kind, value = self.event(wait)
            if kind != "footer":
                raise Wrong(f"expected the end tag, got {kind} {ET.tostring(value) if value is not None else ''}")
        kind, _ = self.event(wait)
        if kind != "end":
            raise Wrong(f"{kind} behind the end tag")
        if self.wire.tls and not self.wire.was_notified:
            raise Wrong("the connection ended without close_notify")
        self.wire.wait_for_end()
        self.wire.close()

    def expect_error(self, name, wait=WAIT):
        """A stream error inside a stream (RFC 6120 s4.9.1.2), then the orderly end; its text."""
        element = self.until_element(wait)
        if element.tag != f"{{{STREAM}}}error" or condition(element) != name:
            raise Wrong(f"expected stream error {name}, got {ET.tostring(element).decode()}")
        if element[0].tag != f"{{{ERRORS}}}{name}":
            raise Wrong("the condition is not the first child")
        self.expect_end(wait)
        text = element.find(f"{{{ERRORS}}}text")
        return text.text if text is not None else None

    def until_element(self, wait=WAIT):
        """The next element, a header before it is passed over."""
        kind, value = self.event(wait)
        if kind == "header":
            kind, value = self.event(wait)
        if kind != "element":
            raise Wrong(f"expected an element, got {kind}: {bytes(self.bytes)!r}")
        return value

    # ---- what goes ----

    def send(self, data):
        self.wire.send(data.encode() if isinstance(data, str) else data)

    def next_id(self):
        self.id_last += 1
        return f"t{self.id_last}"

    def open(self, to=None, **more):
        """Sends a header, reads theirs and the features."""
        self.restart()
        self.send(header(to or self.domain, **more))
        kind, _ = self.event()
        if kind != "header":
            raise Wrong(f"expected a header, got {kind}")
        self.features = self.expect(f"{{{STREAM}}}features")
        return self

    def feature_names(self):
        return [child.tag for child in self.features]

    def mechanisms(self):
        return [child.text for child in self.features.findall(f"{{{SASL}}}mechanisms/{{{SASL}}}mechanism")]

    def bindings(self):
        return [child.get("type") for child in self.features.findall(f"{{{CB}}}sasl-channel-binding/{{{CB}}}channel-binding")]

    def start_tls(self, context, name=None, session=None):
        self.send(f"<starttls xmlns='{TLS}'/>")
        self.expect(f"{{{TLS}}}proceed")
        self.wire.start_tls(context, name or self.domain, session)
        return self

    def direct_tls(self, context, name=None):
        self.wire.start_tls(context, name or self.domain)
        return self

    # ---- SASL ----

    def auth(self, mechanism, message=None):
        text = {None: "", b"": "="}.get(message) if message in (None, b"") else scram.b64(message)
        self.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{text}</auth>")

    def sasl_answer(self):
        """("challenge" | "success", bytes) or ("failure", condition)."""
        element = self.element()
        kind = element.tag.removeprefix(f"{{{SASL}}}")
        if kind == "failure":
            return kind, condition(element)
        if kind not in ("challenge", "success"):
            raise Wrong(f"no SASL: {ET.tostring(element).decode()}")
        return kind, scram.unb64(element.text or "")

    def plain(self, user, password, authzid=""):
        self.auth("PLAIN", f"{authzid}\0{user}\0{password}".encode())
        return self.logged_in(user, *self.sasl_answer())

    def logged_in(self, user, kind, value):
        if kind == "success":
            self.user = user
            self.restart()
            return None
        return value

    def binding_data(self, kind):
        """Of this very connection; tls-exporter is not to be had from Python's ssl (see exporter.py)."""
        if kind == "tls-unique":
            return self.wire.tls.get_channel_binding("tls-unique")
        if kind == "tls-server-end-point":
            return scram.end_point(self.wire.tls.getpeercert(True))
        raise ValueError(kind)

    def scram(self, user, password, mechanism="SCRAM-SHA-256", binding=None, binding_data=None, gs2=None, authzid=None):
        """None on success, the condition on failure. binding: type for a -PLUS mechanism; gs2: a flag of its own."""
        if binding and binding_data is None:
            binding_data = self.binding_data(binding)
        exchange = scram.Exchange(mechanism, user, password, binding, binding_data, gs2, authzid)
        self.auth(mechanism, exchange.first())
        kind, value = self.sasl_answer()
        if kind == "failure":
            return value
        if kind != "challenge":
            raise Wrong("success before the proof")
        self.send(f"<response xmlns='{SASL}'>{scram.b64(exchange.final(value))}</response>")
        kind, value = self.sasl_answer()
        if kind == "success" and not exchange.verify(value):
            raise Wrong("the router's signature is wrong")
        self.exchange = exchange
        return self.logged_in(user, kind, value)

    # ---- session ----

    def bind(self, resource=None):
        asked = f"<resource>{escape(resource)}</resource>" if resource else ""
        answer = self.iq("set", f"<bind xmlns='{BIND}'>{asked}</bind>")
        if answer.get("type") == "error":
            return condition(answer)
        self.jid = answer.find(f"{{{BIND}}}bind/{{{BIND}}}jid").text
        return None

    def iq(self, kind, payload, to=None, wait=WAIT):
        """The answer to a request; other stanzas that come before it are kept for stanza()."""
        identifier = self.next_id()
        to = f" to='{escape(to)}'" if to else ""
        self.send(f"<iq type='{kind}' id='{identifier}'{to}>{payload}</iq>")
        kept = []
        while True:
            element = self.element(wait)
            if element.tag == f"{{{CLIENT}}}iq" and element.get("id") == identifier and \
                    element.get("type") in ("result", "error"):
                self.events[:0] = [("element", other) for other in kept]
                return element
            kept.append(element)

    def ping(self, to=None):
        answer = self.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to)
        if answer.get("type") != "result":
            raise Wrong(f"ping: {ET.tostring(answer).decode()}")

    def message(self, to, body, kind="chat", extra=""):
        self.send(f"<message to='{escape(to)}' type='{kind}' id='{self.next_id()}'{extra}>"
                  f"<body>{escape(body)}</body></message>")

    def stanza(self, wait=WAIT):
        return self.element(wait)

    def body(self, wait=WAIT):
        """The body of the next message; presence before it is passed over."""
        while True:
            element = self.element(wait)
            if element.tag == f"{{{CLIENT}}}message":
                return element.findtext(f"{{{CLIENT}}}body")

    def end(self):
        """Closes the stream in order and checks that the router does (RFC 6120 s4.4)."""
        self.send(b"</stream:stream>")
        while not self.has_footer:
            kind, _ = self.event()
            if kind == "end":
                raise Wrong("the connection ended without the end tag")
        self.expect_end()

    def close(self):
        self.wire.close()


def rss(pid):
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
