# SPDX-License-Identifier: MIT
"""Sessions against a router of tools/testbed that make it say as much of what it can say as possible."""
import base64
import threading

import bed as bed_module
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
