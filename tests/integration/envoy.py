# SPDX-License-Identifier: MIT
"""Another server that presents any chain of tests/chains, word by word, to a server under test: it opens streams to it
(the chain is a client's) and accepts streams from it (the chain is a server's). What becomes of each is one word:

  external         the certificate was accepted: SASL EXTERNAL was offered and succeeded, or was asked for and its stanza came
  dialback         it was not, and dialback (XEP-0220) went through instead
  tls              the handshake was ended, or the connection before a word behind it
  closed, ended    the stream was ended without an error; the connection without a word
  nothing          no way to authenticate is left, and the stream stays open
  silence          nothing came in time
  not-authorized   or another condition: that of a stream error; of a SASL failure it is "sasl:" and the condition

Which chain it shows to who dials, it reads in the name of who dials: its first label is the chain's name."""
import base64
import contextlib
import socket
import ssl
import threading
import time

import bare_tls
import wire

SERVER = "jabber:server"
DIALBACK = "jabber:server:dialback"
FEATURE = "urn:xmpp:features:dialback"
HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
          "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from='{}' to='{}'{}>")
EXTERNAL = f"<mechanisms xmlns='{wire.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
GRACE = 0.5  # how long features without a way may be followed by an end


def local_domain(chain, suffix):
    """The server under test has one domain for each chain."""
    return f"{chain.replace('_', '-')}.{suffix}"


def context_of(folder, chain, is_server, version=None, by_hand=False):
    """What OpenSSL does not load, since it cannot parse it, is presented by hand."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else it does not present what is weak
    if version:
        context.minimum_version = context.maximum_version = version
    try:
        if by_hand:
            return bare_tls.context_of(folder / f"{chain}.pem", folder / f"{chain}.key")
        context.load_cert_chain(folder / f"{chain}.pem", folder / f"{chain}.key")
    except ssl.SSLError:
        return bare_tls.context_of(folder / f"{chain}.pem", folder / f"{chain}.key")
    return context


class Over(Exception):
    """The stream came to its end: the outcome, and the text of a stream error, if there was one."""

    def __init__(self, word, text=None):
        super().__init__(word)
        self.text = text


class Speech:
    """One connection: what is said on it, and the next thing that is heard."""

    def __init__(self, made, wait):
        self.wire, self.wait = made, wait
        self.reader = wire.Reader()
        self.features = self.session = None
        self.is_under_tls = self.is_heard_under_tls = False

    def say(self, *words):
        try:
            self.wire.send("".join(words).encode())
        except (OSError, ssl.SSLError):
            pass  # what they said before they closed is still to be heard

    def open(self, ours, theirs, more=""):
        self.say(HEADER.format(ours, theirs, more))

    def event(self, wait=None):
        until = time.monotonic() + (wait or self.wait)
        while not self.reader.events:
            try:
                data = self.wire.receive(until)
            except TimeoutError:
                raise Over("silence") from None
            except ssl.SSLError:
                raise Over("tls") from None  # of TLS 1.3 the client hears the alert only behind its own last message
            except OSError:
                data = b""
            if not data:
                # An alert is lost when what we had sent meanwhile is not read any more: then the connection is reset.
                raise Over("tls" if self.is_under_tls and not self.is_heard_under_tls else "ended")
            self.is_heard_under_tls = self.is_under_tls
            self.reader.feed(data)
        return self.reader.events.pop(0)

    def header(self):
        kind, value = self.event()
        return value if kind == "header" else self.end(kind, value)

    def element(self, wait=None):
        kind, value = self.event(wait)
        if kind != "element":
            self.end(kind, value)
        if value.tag == f"{{{wire.STREAM}}}error":
            raise Over(wire.condition(value), value.findtext(f"{{{wire.ERRORS}}}text"))
        return value

    @staticmethod
    def end(kind, value):
        raise Over("closed" if kind == "footer" else f"unexpected {kind} {value}")

    def expect(self, tag):
        element = self.element()
        if element.tag == tag:
            return element
        if element.tag == f"{{{wire.SASL}}}failure":
            raise Over("sasl:" + wire.condition(element), element.findtext(f"{{{wire.SASL}}}text"))
        raise Over(f"unexpected {element.tag}")

    def hear_features(self):
        self.header()
        self.features = self.expect(f"{{{wire.STREAM}}}features")

    def start_tls(self, context, name="", is_server=False):
        try:
            self.wire.start_tls(context, name, self.session, is_server)
        except (OSError, ssl.SSLError):
            raise Over("tls") from None
        self.is_under_tls = True
        self.reader = wire.Reader()

    def offers_external(self):
        return any(item.text == "EXTERNAL" for item in self.features.iter(f"{{{wire.SASL}}}mechanism"))

    def offers_dialback(self):
        return self.features.find(f"{{{FEATURE}}}dialback") is not None

    def close(self):
        self.say("</stream:stream>")
        self.wire.close()


class Envoy:
    """folder: of the chains. suffix: what the local domains of the server under test end with. has_dialback: it offers
    dialback, and is asked for it where it is offered."""

    def __init__(self, folder, chains, suffix, wait=wire.WAIT):
        self.folder, self.suffix, self.wait = folder, suffix, wait
        self.chains = {local_domain(chain, suffix): chain for chain in chains}
        self.has_dialback = False
        self.by_hand = ()  # chains presented by bare_tls
        self.heard = {}  # by local domain: what became of the stream that it opened
        self.news = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    # ---- streams that we open ----

    def call(self, chain, domain, port, version=None):
        """What becomes of a stream from domain with this chain to its local domain, and the text of the error."""
        context = context_of(self.folder, chain, False, version, chain in self.by_hand)
        ours, speech = local_domain(chain, self.suffix), None
        try:
            speech = Speech(wire.Wire(port), self.wait)
            return self.negotiate(speech, context, domain, ours), None
        except Over as over:
            return str(over), over.text
        finally:
            if speech:
                speech.close()

    def negotiate(self, speech, context, domain, ours):
        speech.open(domain, ours)
        speech.hear_features()
        speech.say(f"<starttls xmlns='{wire.TLS}'/>")
        speech.expect(f"{{{wire.TLS}}}proceed")
        speech.start_tls(context, ours)
        speech.open(domain, ours)
        speech.hear_features()
        if speech.offers_external():
            return self.authenticate(speech, domain, ours)
        if self.has_dialback and speech.offers_dialback():
            speech.say(f"<db:result from='{domain}' to='{ours}'>a key</db:result>")
            answer = speech.expect(f"{{{DIALBACK}}}result")
            return "dialback" if answer.get("type") == "valid" else f"dialback {answer.get('type')}"
        try:
            speech.event(GRACE)
        except Over as over:
            if str(over) != "silence":
                raise
        return "nothing"

    def authenticate(self, speech, domain, ours):
        identity = base64.b64encode(domain.encode()).decode()
        speech.say(f"<auth xmlns='{wire.SASL}' mechanism='EXTERNAL'>{identity}</auth>")
        speech.expect(f"{{{wire.SASL}}}success")
        speech.reader = wire.Reader()
        speech.open(domain, ours)
        speech.hear_features()
        return "external"

    # ---- streams that they open ----

    def listen(self):
        while True:
            try:
                connected, _ = self.listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self.answer, args=(connected,), daemon=True).start()

    def answer(self, connected):
        speech, theirs = Speech(wire.Wire(None, connected=connected), self.wait), None
        try:
            header = speech.header()
            theirs = header.get("from")
            word = self.receive(speech, header.get("to"), theirs)
        except Over as over:
            word = str(over)
        except wire.Wrong as wrong:
            word = f"wrong: {wrong}"
        if word != "verify":
            with self.news:
                self.heard.setdefault(theirs, word)
                self.news.notify_all()
        with contextlib.suppress(OSError, ssl.SSLError):
            speech.close()

    def chain_for(self, _, theirs):
        return self.chains[theirs]

    def server_context(self, chain):
        return context_of(self.folder, chain, True, None, chain in self.by_hand)

    def receive(self, speech, ours, theirs):
        context = self.server_context(self.chain_for(ours, theirs))
        speech.open(ours, theirs, " id='s0'")
        speech.say(f"<stream:features><starttls xmlns='{wire.TLS}'><required/></starttls></stream:features>")
        speech.expect(f"{{{wire.TLS}}}starttls")
        speech.say(f"<proceed xmlns='{wire.TLS}'/>")
        speech.start_tls(context, is_server=True)
        speech.header()
        dialback = f"<dialback xmlns='{FEATURE}'><errors/></dialback>" if self.has_dialback else ""
        speech.open(ours, theirs, " id='s1'")
        speech.say(f"<stream:features>{EXTERNAL}{dialback}</stream:features>")
        element = speech.element()
        if element.tag == f"{{{wire.SASL}}}auth":
            return self.let_in(speech, ours, theirs)
        if element.tag == f"{{{DIALBACK}}}verify":
            speech.say(f"<db:verify from='{ours}' to='{theirs}' id='{element.get('id')}' type='valid'/>")
            return "verify"
        if element.tag == f"{{{DIALBACK}}}result":
            speech.say(f"<db:result from='{ours}' to='{theirs}' type='valid'/>")
            speech.expect(f"{{{SERVER}}}message")
            return "dialback"
        return f"unexpected {element.tag}"

    @staticmethod
    def let_in(speech, ours, theirs):
        """What counts is the stanza: who sends it has judged the certificate."""
        speech.say(f"<success xmlns='{wire.SASL}'/>")
        speech.reader = wire.Reader()
        speech.header()
        speech.open(ours, theirs, " id='s2'")
        speech.say("<stream:features/>")
        speech.expect(f"{{{SERVER}}}message")
        return "external"

    def word_for(self, chain, wait=None):
        """What became of the stream that the chain's local domain opened, and forgets it; "silence" when none came."""
        name = local_domain(chain, self.suffix)
        with self.news:
            self.news.wait_for(lambda: name in self.heard, wait or self.wait)
            return self.heard.pop(name, "silence")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
