# SPDX-License-Identifier: MIT
"""What the probe speaks with: bytes, TLS through memory BIOs, a strict stream reader (expat with namespaces), and the
steps of stream negotiation. Written from the RFCs; knows no server. Nothing waits longer than WAIT seconds."""
import base64
import select
import socket
import ssl
import time
import xml.etree.ElementTree as ET
from xml.parsers import expat

import mechanism

WAIT = 3.0
GRACE = 0.25
STREAM = "http://etherx.jabber.org/streams"
CLIENT = "jabber:client"
ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
CB = "urn:xmpp:sasl-cb:0"
LIMITS = "urn:xmpp:stream-limits:0"
PING = "urn:xmpp:ping"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
SEPARATOR = "\x01"

# RFC 6120 s4.9.3, s8.3.3 and s6.5: nothing else is a defined condition.
STREAM_CONDITIONS = set("""bad-format bad-namespace-prefix conflict connection-timeout host-gone host-unknown
    improper-addressing internal-server-error invalid-from invalid-namespace invalid-xml not-authorized not-well-formed
    policy-violation remote-connection-failed reset resource-constraint restricted-xml see-other-host system-shutdown
    undefined-condition unsupported-encoding unsupported-feature unsupported-stanza-type unsupported-version""".split())
STANZA_CONDITIONS = set("""bad-request conflict feature-not-implemented forbidden gone internal-server-error
    item-not-found jid-malformed not-acceptable not-allowed not-authorized policy-violation recipient-unavailable
    redirect registration-required remote-server-not-found remote-server-timeout resource-constraint
    service-unavailable subscription-required undefined-condition unexpected-request""".split())
SASL_CONDITIONS = set("""aborted account-disabled credentials-expired encryption-required incorrect-encoding
    invalid-authzid invalid-mechanism malformed-request mechanism-too-weak not-authorized
    temporary-auth-failure""".split())


class Wrong(Exception):
    """The server did what it must not do, or not what it must."""


class Skip(Exception):
    """The case does not apply here; the text says why."""


def escape(text):
    for plain, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&apos;"), ('"', "&quot;")):
        text = text.replace(plain, escaped)
    return text


def b64(data):
    return base64.b64encode(data).decode()


def text_of(element):
    return ET.tostring(element, encoding="unicode")


def local(element):
    return element.tag.rpartition("}")[2]


def space(element):
    return element.tag[1:].partition("}")[0] if element.tag.startswith("{") else ""


class Reader:
    """One XML stream from the server: events ("header", attributes), ("element", Element), ("footer", None). Refuses
    what RFC 6120 s11.1 and s11.3 say must not be generated, and prefixes on content (s4.8.5)."""

    def __init__(self):
        self.events = []
        self.declared = {}
        self.stack = []
        self.depth = 0
        self.declaration = None
        self.parser = expat.ParserCreate("UTF-8", SEPARATOR)
        self.parser.namespace_prefixes = True
        self.parser.buffer_text = True
        if hasattr(self.parser, "SetReparseDeferralEnabled"):  # expat 2.6: or an answer in pieces is seen late
            self.parser.SetReparseDeferralEnabled(False)
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.StartNamespaceDeclHandler = lambda prefix, uri: self.declared.setdefault(prefix or "", uri or "")
        self.parser.XmlDeclHandler = self.declare
        for handler in ("CommentHandler", "ProcessingInstructionHandler", "StartDoctypeDeclHandler"):
            setattr(self.parser, handler, self.refuse)

    def declare(self, version, encoding, standalone):
        self.declaration = (version, encoding, standalone)

    @staticmethod
    def refuse(*what):
        raise Wrong(f"s11.1: restricted XML from the server: {what}")

    @staticmethod
    def split(name):
        """(Clark name, prefix or None) of expat's uri, name, prefix."""
        parts = name.split(SEPARATOR)
        if len(parts) == 1:
            return parts[0], None
        return "{%s}%s" % (parts[0], parts[1]), parts[2] if len(parts) > 2 else None

    def start(self, name, attributes):
        tag, prefix = self.split(name)
        attributes = {self.split(key)[0]: value for key, value in attributes.items()}
        if self.depth == 0:
            if tag != f"{{{STREAM}}}stream":
                raise Wrong(f"s4.8.1: root element {tag}")
            self.events.append(("header", attributes))
        else:
            if self.depth == 1 and prefix and tag.startswith(f"{{{CLIENT}}}"):
                raise Wrong(f"s4.8.5: prefix {prefix} on {tag}")
            element = ET.Element(tag, attributes)
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
                raise Wrong(f"s11.7: text between elements: {data!r}")
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
            raise Wrong(f"s11.3: not well-formed: {error}: {data[:200]!r}") from None


class Wire:
    """Bytes of one connection, with or without TLS. Who wants to keep what the server says sets connected: it is called
    with the port and gives what is called with all bytes behind TLS."""
    connected = staticmethod(lambda port: lambda data: None)

    def __init__(self, host, port):
        self.heard = self.connected(port)
        self.socket = socket.create_connection((host, port), timeout=WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = None
        self.is_tls = False        # or its handshake is under way
        self.was_notified = False  # their close_notify has come
        self.has_ended = False

    def send(self, data):
        self.socket.settimeout(WAIT)
        if self.tls:
            self.tls.write(data)
            data = self.outgoing.read()
        self.socket.sendall(data)

    def receive_raw(self, wait):
        if not select.select([self.socket], [], [], max(0, wait))[0]:
            return None
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.has_ended = True
        elif not self.is_tls:
            self.heard(data)
        return data

    def receive(self, wait):
        """Plain bytes; None when nothing came in time; b"" at the end."""
        until = time.monotonic() + wait
        while self.tls:
            try:
                data = self.tls.read(65536)
                if not data:
                    self.was_notified = True
                self.heard(data)
                return data
            except ssl.SSLWantReadError:
                if self.outgoing.pending:
                    self.socket.sendall(self.outgoing.read())
                data = self.receive_raw(until - time.monotonic())
                if data is None:
                    return None
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            except ssl.SSLZeroReturnError:
                self.was_notified = True
                return b""
            except ssl.SSLError:
                return b""
        return self.receive_raw(wait)

    def start_tls(self, context, name):
        """True once the handshake is through; False when the server ended it."""
        self.is_tls = True
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        until = time.monotonic() + WAIT
        while True:
            try:
                tls.do_handshake()
                if self.outgoing.pending:
                    self.socket.sendall(self.outgoing.read())
                self.tls = tls
                return True
            except ssl.SSLWantReadError:
                if self.outgoing.pending:
                    self.socket.sendall(self.outgoing.read())
                data = self.receive_raw(until - time.monotonic())
                if not data:
                    return False
                self.incoming.write(data)

    def notify(self):
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        if self.outgoing.pending:
            try:
                self.socket.sendall(self.outgoing.read())
            except OSError:
                pass

    def close(self):
        self.socket.close()


class Stream:
    """A client's stream over a Wire."""

    def __init__(self, target, wire):
        self.target = target
        self.wire = wire
        self.sent = []      # what a case itself said
        self.raw = b""      # what the server said on the present stream
        self.jid = None
        self.count = 0
        self.restart()

    def restart(self):
        self.reader = Reader()
        self.events = self.reader.events
        self.raw = b""
        self.header = None
        self.features = None
        self.has_footer = False
        self.has_ended = False

    # ---- bytes ----

    def push(self, data):
        """Sends as a step towards the case: not reported."""
        data = data.encode() if isinstance(data, str) else data
        try:
            self.wire.send(data)
        except (ConnectionError, ssl.SSLError, TimeoutError):
            pass  # what the server said before it closed is still to be read

    def say(self, data):
        """Sends what the case is about."""
        self.sent.append(data if isinstance(data, str) else data.decode("utf-8", "backslashreplace"))
        self.push(data)

    def pump(self, wait):
        """Reads once; whether anything came."""
        if self.has_ended:
            return False
        data = self.wire.receive(wait)
        if data is None:
            return False
        if not data:
            self.has_ended = True
            self.events.append(("end", None))
            return True
        self.raw += data
        self.reader.feed(data)
        return True

    def event(self, wait=None):
        """The next event, or None in time."""
        until = time.monotonic() + (WAIT if wait is None else wait)
        while not self.events:
            if self.has_ended:
                return ("end", None)
            if not self.pump(until - time.monotonic()) and time.monotonic() >= until:
                return None
        kind, value = self.events.pop(0)
        if kind == "header":
            self.header = value
        if kind == "footer":
            self.has_footer = True
        return kind, value

    def element(self, wait=None):
        found = self.event(wait)
        if found is None:
            raise Wrong("no answer")
        if found[0] == "header":
            return self.element(wait)
        if found[0] != "element":
            raise Wrong(f"the stream ended: {self.raw[-300:]!r}")
        return found[1]

    # ---- what an answer amounts to ----

    def outcome(self, ident=None, wait=None):
        """A word for the next decisive event; other stanzas are passed over when ident is given."""
        until = time.monotonic() + (WAIT if wait is None else wait)
        while True:
            found = self.event(until - time.monotonic())
            if found is None:
                return "silence"
            word = self.word(*found, ident)
            if word:
                return word

    def word(self, kind, value, ident=None):
        self.last = value
        if kind == "header":
            return None
        if kind == "footer":
            return "closed"
        if kind == "end":
            return "dropped"
        return self.element_word(value, ident)

    def element_word(self, element, ident):
        name, namespace = local(element), space(element)
        if namespace == STREAM:
            return self.error_word(element) if name == "error" else self.keep_features(element)
        if namespace == TLS:
            return "tls-failure" if name == "failure" else name
        if namespace == SASL:
            return "sasl:" + condition(element, SASL, SASL_CONDITIONS) if name == "failure" else name
        if namespace != CLIENT:
            return f"element:{name}"
        if ident is not None and element.get("id") != ident:
            return None
        if element.get("type") == "error":
            return "stanza:" + stanza_condition(element)
        return "result" if name == "iq" and element.get("type") == "result" else name

    def keep_features(self, element):
        self.features = element
        return local(element)

    def error_word(self, element):
        """A stream error, which must be followed by the end tag (RFC 6120 s4.9.1.1)."""
        self.error_element = element
        name = condition(element, ERRORS, STREAM_CONDITIONS)
        found = self.event()
        if found is None or found[0] != "footer":
            return f"unclosed:{name}"
        return "stream:" + name

    # ---- negotiation ----

    def head(self, to=True, version="1.0", more="", declaration="<?xml version='1.0'?>"):
        to = f" to='{escape(self.target.domain if to is True else to)}'" if to is not None else ""
        version = f" version='{version}'" if version is not None else ""
        return f"{declaration}<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAM}'{to}{version}{more}>"

    def open(self, **more):
        self.restart()
        self.push(self.head(**more))
        word = self.outcome()
        if word != "features":
            raise Wrong(f"setup: {word} instead of features")
        return self

    def feature(self, namespace, name):
        return self.features.find(f"{{{namespace}}}{name}")

    def mechanisms(self):
        found = self.feature(SASL, "mechanisms")
        return [] if found is None else [child.text for child in found.findall(f"{{{SASL}}}mechanism")]

    def bindings(self):
        found = self.feature(CB, "sasl-channel-binding")
        return None if found is None else [child.get("type") for child in found]

    def start_tls(self, version=None, name=True):
        self.push(f"<starttls xmlns='{TLS}'/>")
        word = self.outcome()
        if word != "proceed":
            raise Wrong(f"setup: {word} instead of proceed")
        return self.handshake(version, name)

    def handshake(self, version=None, name=True):
        if not self.wire.start_tls(self.target.context(version), self.target.domain if name is True else name):
            raise Wrong("setup: the TLS handshake failed")
        return self

    def authenticate(self, user=1, how=None):
        """By the best mechanism without channel binding that is offered."""
        name, password = self.target.account(user)
        offered = self.mechanisms()
        how = how or next((each for each in ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN") if each in offered), None)
        if how is None:
            raise Wrong(f"setup: no mechanism known among {offered}")
        word = self.plain(name, password) if how == "PLAIN" else self.scram(how, name, password)
        if word != "success":
            raise Wrong(f"setup: {how}: {word}")
        return self

    def auth(self, how, message=None):
        text = "" if message is None else "=" if message == b"" else b64(message)
        return f"<auth xmlns='{SASL}' mechanism='{how}'>{text}</auth>"

    @staticmethod
    def response(message):
        return f"<response xmlns='{SASL}'>{b64(message) if message else ''}</response>"

    def sasl_data(self):
        text = (self.last.text or "").strip()
        if text in ("", "="):
            return b""
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            raise Wrong(f"s6.3.5: not base64: {text!r}") from None

    def plain(self, name, password, authzid="", say=None):
        (say or self.push)(self.auth("PLAIN", f"{authzid}\0{name}\0{password}".encode()))
        return self.outcome()

    def scram(self, how, name, password, say=None, **more):
        """The whole exchange: the word it ends with. Raises Wrong when the server's side of it is wrong."""
        say = say or self.push
        self.exchange = exchange = mechanism.Exchange(how, name, password, **more)
        say(self.auth(how, exchange.first()))
        word = self.outcome()
        if word != "challenge":
            return word
        say(self.response(exchange.final(self.sasl_data())))
        word = self.outcome()
        if word == "challenge":  # s6.3.10: without additional data with success
            exchange.verify(self.sasl_data())
            say(self.response(b""))
            return self.outcome()
        if word == "success":
            exchange.verify(self.sasl_data())
        return word

    def bind(self, resource=None, ident="bind"):
        asked = f"<resource>{escape(resource)}</resource>" if resource is not None else ""
        self.push(f"<iq type='set' id='{ident}'><bind xmlns='{BIND}'>{asked}</bind></iq>")
        word = self.outcome(ident)
        if word == "result":
            found = self.last.find(f"{{{BIND}}}bind/{{{BIND}}}jid")
            if found is None or not (found.text or "").strip():
                raise Wrong("s7.6.1: no <jid/> in the result")
            self.jid = found.text.strip()
        return word

    # ---- a bound session ----

    def settle(self):
        """A request and its answer: what was sent before has been processed (s10.1). The words and the stanzas that came
        before the answer."""
        self.count += 1
        ident = f"settle{self.count}"
        self.push(f"<iq type='get' id='{ident}'><ping xmlns='{PING}'/></iq>")
        words, stanzas = [], []
        while True:
            found = self.event()
            if found is None:
                return words + ["silence"], stanzas
            if found[0] == "element" and found[1].get("id") == ident:
                return words, stanzas
            word = self.word(*found)
            words.append(word)
            stanzas.append(found[1])
            if word and (word in ("closed", "dropped") or word.startswith(("stream:", "unclosed:"))):
                return words, stanzas

    def fate(self, ident):
        """What became of what was just sent: an error of this id, the end of the stream, or "ignored"."""
        words, stanzas = self.settle()
        for word, stanza in zip(words, stanzas):
            if stanza is not None and stanza.get("id") == ident:
                self.last = stanza
                return word
        for word in words:
            if word and (word in ("closed", "dropped", "silence") or word.startswith(("stream:", "unclosed:"))):
                return word
        # An answer that another part of the server gives may come behind the answer to ours: s10.1 orders what goes to one
        # recipient, not what comes from several.
        word = self.outcome(ident, GRACE)
        return "ignored" if word == "silence" else word

    def finish(self):
        """After the end tag or an error: our end tag, then the end of the connection. A word."""
        self.push("</stream:stream>")
        until = time.monotonic() + WAIT
        while not self.has_ended:
            if not self.pump(until - time.monotonic()) and time.monotonic() >= until:
                return "lingers"
        if self.wire.tls and not self.wire.was_notified:
            return "truncated"
        return "ended"

    def close(self):
        try:
            if self.jid and not self.has_ended and not self.has_footer:
                self.wire.send(b"</stream:stream>")
        except (OSError, ssl.SSLError):
            pass
        self.wire.close()


def condition(element, namespace, known):
    names = [local(child) for child in element if space(child) == namespace and local(child) != "text"]
    if not names:
        raise Wrong(f"no condition in {text_of(element)}")
    if names[0] not in known:
        raise Wrong(f"undefined condition in {text_of(element)}")
    return names[0]


def stanza_condition(stanza):
    error = stanza.find(f"{{{CLIENT}}}error")
    if error is None:
        raise Wrong(f"s8.3.1: no <error/> in {text_of(stanza)}")
    return condition(error, STANZAS, STANZA_CONDITIONS)
