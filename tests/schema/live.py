# SPDX-License-Identifier: MIT
"""Sessions against a router of tools/testbed that make it say as much of what it can say as possible."""
import base64
import re
import socket
import threading

import bed as bed_module
import tap
import throwaway
import wire
from wire import BIND, SASL, STREAM

# XPath, with the prefixes of mutations.py: without one of these the sessions below have missed something.
MUST_BE_SEEN = [
    "/s:stream/@to",
    "/s:stream/s:features/tls:starttls/tls:required",
    "/s:stream/s:features[tls:starttls[not(*)]]/sasl:mechanisms",
    "/s:stream[not(*)] | /s:stream[s:error][count(*)=1]",
    "//tls:proceed",
    "//cb:channel-binding",
    "//limits:max-bytes",
    "//sasl:challenge[not(text())]",
    "//sasl:challenge[text()]",
    "//sasl:success[text()]",
    "//sasl:success[not(text())]",
    *(f"//sasl:failure/sasl:{name}" for name in (
        "aborted", "incorrect-encoding", "invalid-authzid", "invalid-mechanism", "malformed-request", "not-authorized")),
    *(f"/s:stream/s:error/se:{name}" for name in (
        "bad-format", "bad-namespace-prefix", "conflict", "host-unknown", "improper-addressing", "invalid-from",
        "invalid-namespace", "not-authorized", "not-well-formed", "policy-violation", "restricted-xml",
        "system-shutdown", "unsupported-encoding", "unsupported-stanza-type", "unsupported-version")),
    *(f"//c:{kind}/c:error/e:{name}" for kind, name in (
        ("iq", "service-unavailable"), ("iq", "bad-request"), ("iq", "item-not-found"), ("iq", "conflict"),
        ("iq", "jid-malformed"), ("iq", "remote-server-not-found"), ("message", "service-unavailable"),
        ("message", "jid-malformed"), ("message", "remote-server-not-found"), ("presence", "bad-request"))),
    "//c:error/e:text",
    *(f"//c:iq[@type='{kind}']" for kind in ("get", "set", "result", "error")),
    *(f"//c:message[@type='{kind}']" for kind in ("chat", "headline", "normal", "error")),
    "//c:message[not(@type)]",
    "//c:message[@xml:lang]",
    "//c:presence[@type='unavailable'][@to]",
    "//c:presence[@type='unavailable'][not(@to)]",
    "//c:presence/c:priority",
    "//info:query/info:identity[@category='server']",
    "//info:query/info:identity[@category='account']",
    "//c:iq[@type='result']/version:query",
    "//c:iq[@type='result']/time:time",
    "//c:iq[@type='result'][not(*)]",
]

PAYLOADS = {
    "ping": "<ping xmlns='urn:xmpp:ping'/>",
    "info": "<query xmlns='http://jabber.org/protocol/disco#info'/>",
    "items": "<query xmlns='http://jabber.org/protocol/disco#items'/>",
    "info-node": "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>",
    "version": "<query xmlns='jabber:iq:version'/>",
    "time": "<time xmlns='urn:xmpp:time'/>",
    "roster": "<query xmlns='jabber:iq:roster'/>",
    "private": "<query xmlns='jabber:iq:private'><x xmlns='urn:example:x'/></query>",
}


def finish(client):
    """Whatever comes until the connection ends. Our half of it ends when the router has ended its stream."""
    try:
        while client.event()[0] != "end":
            if client.has_footer:
                client.wire.fin()
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
    client.close()


def say(client, data):
    """Says what ends the stream, and hears it out."""
    try:
        client.send(data)
        if not client.wire.tls:
            client.wire.fin()
    except ConnectionError:
        pass  # it ended before we had said it all
    finish(client)


# ---- negotiation ----

def broken_beginnings(bed):
    header = wire.header(bed.domains[0]).decode()
    for data in (
            wire.header("elsewhere.example").decode(), wire.header("a@@b").decode(),
            header.replace("jabber:client", "jabber:server"), header.replace("jabber:client", "urn:example:x"),
            header.replace("xmlns='jabber:client'", "xmlns:c='jabber:client'"), header.replace("<?xml", "<!-- --><?xml"),
            header.replace("'1.0'?>", "'1.0' encoding='ISO-8859-1'?>"), "<stream:stream>", "x", "\n\n<a/>",
            header.replace("stream:stream", "stream:error"), header + "</stream:stream>", header + "<a></b>",
            header + "<!DOCTYPE x>", header + "<?x y?>", header + "&x;", header + "<x>&y;</x>", header + "\xff",
            header + "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            header + "<x " + "y" * 20000, header + header.partition("?>")[2],
            header.replace(" version", " from='user0@localhost' version") + "<message/>"):
        say(bed.connect(), data.encode("latin-1"))
    for version in ("0.9", None):
        client = bed.connect()
        client.answered = version  # RFC 6120 s4.7.5
        say(client, wire.header("localhost", version))
    client = bed.connect()
    client.wire.fin()
    finish(client)


def failed_logins(bed):
    client = bed.secure()
    for data in (f"<auth xmlns='{SASL}' mechanism='GSSAPI'/>", f"<auth xmlns='{SASL}' mechanism='PLAIN'>====</auth>",
                 f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>eA==</auth>"):
        client.send(data)
        client.sasl_answer()
    client.close()
    client = bed.secure()
    client.send(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'/>")
    client.sasl_answer()
    client.send(f"<abort xmlns='{SASL}'/>")
    client.sasl_answer()
    client.plain("user0", "secret", "user1@localhost")
    client.scram("user0", "wrong")
    assert client.plain("user0", "secret") is None
    client.open()
    say(client, "<presence/>")
    client = bed.secure()
    for _ in range(5):  # sasl.attempts_max
        assert client.scram("nobody", "secret") == "not-authorized"
    finish(client)


# ---- sessions ----

def conversation(bed, first, second):
    """Both are available; each reads what comes for it."""
    for kind in ("chat", "headline", "normal"):
        first.message(second.jid, f"{kind} <&>'\"", kind, " xml:lang='de'")
    first.send(f"<message to='{second.jid}'><subject xml:lang='en'>s</subject><subject xml:lang='cs'>t</subject>"
               "<body>b</body>"
               "<thread parent='p'>t1</thread><active xmlns='http://jabber.org/protocol/chatstates'/></message>")
    for to in ("nobody@localhost", "user7@localhost/none", "someone@elsewhere.example", "a@@b"):
        first.message(to, "x")
        first.send(f"<iq type='get' id='{first.next_id()}' to='{to}'>{PAYLOADS['ping']}</iq>")
        first.send(f"<presence to='{to}'/>")
    first.send("<presence id='p1'><show>dnd</show><status>busy</status><status xml:lang='cs'>x</status>"
               "<priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>")
    first.send("<presence type='no-such-type' id='p2'/>")
    first.send(f"<presence to='{second.jid}'><show>xa</show></presence>")
    first.send(f"<presence to='{second.jid}' type='subscribe'/>")
    for payload in PAYLOADS.values():
        for to in (None, "localhost", first.jid.partition("/")[0], second.jid.partition("/")[0]):
            first.iq("get", payload, to)
    first.iq("set", f"<session xmlns='{wire.SESSION}'/>")
    first.iq("set", f"<bind xmlns='{BIND}'/>")
    first.iq("get", PAYLOADS["ping"] + PAYLOADS["time"])
    first.send("<iq type='push' id='i1'><x xmlns='urn:example:x'/></iq>")
    first.send(f"<iq type='get' id='r1' to='{second.jid}'>{PAYLOADS['version']}</iq>"
               f"<iq type='set' id='r2' to='{second.jid}'>{PAYLOADS['private']}</iq>")
    second.ping()
    second.send(f"<iq type='result' id='r1' to='{first.jid}'/>"
                f"<iq type='error' id='r2' to='{first.jid}'><error type='modify' by='{second.jid}'>"
                "<not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
                "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no</text><x xmlns='urn:example:x'/>"
                "</error></iq>")
    first.ping()
    second.ping()


def sessions(bed):
    first, second = bed.pair()
    conversation(bed, first, second)
    twin = bed.login("user0", "twin")
    newer = bed.login("user0", "twin")  # takes the place of the other
    finish(twin)
    newer.send("<presence type='unavailable'><status>gone</status></presence>")
    newer.ping()
    newer.end()
    first.send("<presence type='unavailable'/>")
    first.end()
    second.ping()
    second.end()
    third, fourth = bed.pair(is_split=False, direct=True)
    conversation(bed, third, fourth)
    third.wire.reset()
    fourth.ping()
    fourth.end()


def broken_sessions(bed):
    for data in ("<message from='other@localhost'/>", "<x/>", "<x xmlns='urn:example:x'/>", "x", "<message>",
                 "<message/></message>",
                 "<iq xmlns='jabber:server'/>", f"<auth xmlns='{SASL}' mechanism='PLAIN'/>", "<!-- -->",
                 f"<stream:features xmlns:stream='{STREAM}'/>", "<message>" + "x" * 300000):
        client = bed.login("user3")
        say(client, data + "</stream:stream>")


def optional_tls(bed):
    """tls.required = false, bind.conflict = refuse."""
    client = bed.connect().open()
    assert client.scram("user0", "secret") is None
    client.open()
    assert client.bind("r") is None
    other = bed.connect().open()
    other.start_tls(bed.context())
    other.open(attributes=" from='user0@localhost' xml:lang='de'")
    assert other.scram("user0", "secret", "SCRAM-SHA-256-PLUS", "tls-server-end-point") is None
    other.open()
    assert other.bind("r") == "conflict"
    assert other.iq("set", f"<bind xmlns='{BIND}'><resource><r/></resource></bind>").get("type") == "error"
    assert other.bind("s") is None
    other.end()
    client.end()
    anonymous = bed.connect().open()
    anonymous.auth("ANONYMOUS", base64.b64decode(""))
    assert anonymous.sasl_answer() == ("success", b"")
    anonymous.restart()
    anonymous.open()
    assert anonymous.bind() is None
    anonymous.end()


def shutdown(bed):
    """The router ends while one is bound and others are on their way."""
    waiting = [bed.login("user4"), bed.secure(), bed.connect().open()]
    stop = threading.Thread(target=bed.stop)
    stop.start()
    for client in waiting:
        finish(client)
    stop.join()


# ---- another server ----

SERVER_HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
                 "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from='{}' to='localhost'{}>")


class Neighbour:
    """Another server's end of a connection, word by word; what the router says there goes to the tap."""

    def __init__(self, connected, port):
        """port: the bed's, if the router has accepted the connection; None if it has dialled."""
        self.socket, self.tap, self.bytes = connected, tap.Connection(port), b""
        self.socket.settimeout(wire.WAIT)

    def say(self, *words):
        self.socket.sendall("".join(words).encode())

    def hear(self, *words):
        """Until all of these were said, which were not before; b"" stands for the end."""
        for word in words:
            while word.encode() not in self.bytes or not word:
                data = self.tap.heard(self.socket.recv(65536))
                self.bytes += data
                if not data:
                    assert not word, (word, self.bytes)
                    return self
            self.bytes = self.bytes[self.bytes.index(word.encode()) + len(word):]
        return self

    def finish(self):
        self.say("</stream:stream>")
        self.socket.shutdown(socket.SHUT_WR)
        self.hear("")
        self.socket.close()


def call(bed, port, header=SERVER_HEADER.format("peer.example", "")):
    neighbour = Neighbour(socket.create_connection(("127.0.0.1", port)), bed.port)
    neighbour.say(header)
    return neighbour


def answer(listener, name, features="<stream:features/>"):
    """The router has dialled: it gets a header."""
    neighbour = Neighbour(listener.accept()[0], None)
    neighbour.hear("<stream:stream ", ">")
    neighbour.say(SERVER_HEADER.format(name, " id='a-neighbours-stream'"), features)
    return neighbour


def calls(bed, port, listener):
    """The neighbour opens: what is wrong, then dialback for one pair, in both directions."""
    for header in (SERVER_HEADER.format("peer.example", "").replace("localhost", "nowhere.example"),
                   SERVER_HEADER.format("a@peer.example", ""), wire.header().decode()):
        call(bed, port, header).hear("</stream:stream>").finish()
    neighbour = call(bed, port).hear("</stream:features>")
    neighbour.say("<bidi xmlns='urn:xmpp:bidi'/><db:result from='peer.example' to='localhost'>a key</db:result>")
    own = answer(listener, "peer.example").hear("<db:verify ")
    while b"</db:verify>" not in own.bytes:
        own.bytes += own.tap.heard(own.socket.recv(65536))
    ident = re.search(rb" id='([^']*)'", own.bytes).group(1).decode()
    own.say(f"<db:verify from='peer.example' to='localhost' id='{ident}' type='valid'/>")
    own.hear("</stream:stream>").finish()
    neighbour.hear("type='valid'/>")
    addresses = "from='a@peer.example/r' to='{}' id='i1'"
    neighbour.say(f"<iq type='get' {addresses.format('localhost')}>{PAYLOADS['info']}</iq>")
    neighbour.hear("</iq>")
    neighbour.say(f"<message {addresses.format('nobody@localhost')}><body>x</body></message>")
    neighbour.hear("</message>")
    neighbour.say("<db:verify from='peer.example' to='localhost' id='x'>no key</db:verify>")
    neighbour.hear("type='invalid'/>")
    neighbour.say("<db:result from='peer.example' to='nowhere.example'>a key</db:result>")
    neighbour.hear("</db:result>")
    neighbour.say("<message from='a@other.example' to='user0@localhost'/>")
    neighbour.hear("<invalid-from").finish()


def is_called(bed, listener):
    """The router opens: it is let in by dialback, and speaks."""
    client = bed.login("user0", "caller", secure=False)
    client.message("a@other.example", "in jabber:server", "chat")
    neighbour = answer(listener, "other.example", "<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/>"
                       "</dialback><bidi xmlns='urn:xmpp:features:bidi'/></stream:features>")
    neighbour.hear("<bidi ", "<db:result ", "</db:result>")
    neighbour.say("<db:result from='other.example' to='localhost' type='valid'/>")
    neighbour.hear("in jabber:server", "</message>")
    neighbour.say("<iq type='get' from='other.example' to='localhost' id='i2'>", PAYLOADS["version"], "</iq>")
    neighbour.hear("</iq>").finish()
    client.end()


def neighbours(folder):
    port = throwaway.free_port()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(wire.WAIT)
        routes = ",".join(f"{name}=127.0.0.1:{listener.getsockname()[1]}" for name in ("peer.example", "other.example"))
        bed = bed_module.Bed(folder, plaintext=True, users=2, settings=(
            f"listen.s2s=127.0.0.1:{port}", "s2s.enabled=true", "s2s.tls_required=false", f"s2s.routes={routes}"))
        try:
            calls(bed, port, listener)
            is_called(bed, listener)
        finally:
            bed.stop()


def run(folder):
    bed = bed_module.Bed(folder / "tls")
    try:
        broken_beginnings(bed)
        failed_logins(bed)
        sessions(bed)
        broken_sessions(bed)
    finally:
        shutdown(bed)
    bed = bed_module.Bed(folder / "plain", plaintext=True, users=2,
                         settings=("bind.conflict=refuse", "sasl.anonymous=true"))
    try:
        optional_tls(bed)
    finally:
        bed.stop()
    neighbours(folder / "servers")
