# SPDX-License-Identifier: MIT
"""RFC 6120 s8 (stanzas) and s10 (processing), XEP-0199."""
import speaker
from ledger import add, case
from speaker import CLIENT, LANG, PING, Skip, escape, space

ANY_STANZA = "stanza:*"
DISCO = "http://jabber.org/protocol/disco#info"
UNKNOWN = "<probe xmlns='urn:probe:unknown'/>"
TYPES = {"auth", "cancel", "continue", "modify", "wait"}


def message(to, inner="<body>x</body>", more="", kind="chat", ident="m1"):
    to = f" to='{escape(to)}'" if to is not None else ""
    return f"<message id='{ident}' type='{kind}'{to}{more}>{inner}</message>"


def iq(kind, to=None, inner=f"<ping xmlns='{PING}'/>", more=" id='m1'"):
    to = f" to='{escape(to)}'" if to is not None else ""
    kind = f" type='{kind}'" if kind is not None else ""
    return f"<iq{kind}{to}{more}>{inner}</iq>"


def fate(probe, build, ident="m1", available=False):
    """One session says build(stream): what becomes of it."""
    stream = probe.login(available=available)
    stream.say(build(stream))
    word = stream.fate(ident)
    probe.last = getattr(stream, "last", None)
    return word


def fate_case(name, section, level, requirement, prefer, weak, build):
    add(name, section, level, requirement, prefer, weak, lambda probe: fate(probe, lambda stream: build(probe, stream)))


# ---- from (s8.1.2.1) ----

def stamped(probe, sender_of):
    sender, receiver = probe.pair()
    value = sender_of(probe, sender)
    more = "" if value is None else f" from='{escape(value)}'"
    word = probe.deliver(sender, receiver, message(receiver.jid, more=more))
    if word != "delivered":
        return word
    found = probe.last.get("from")
    return "stamped" if found == sender.jid else f"from={found}"


for name, requirement, sender_of in (
        # Holds 6120:8.1.2.1/1 6120:8.1.2.1/4 6120:feature/stanza-attribute-from 6120:feature/stanza-attribute-from-stamp.
        # Holds 6120:4.3.6/4.
        ("absent", "The server adds the sender's full JID.", lambda probe, s: None),
        ("own", "The sender's own full JID stays.", lambda probe, s: s.jid),
        ("bare", "A bare JID is overridden by the full JID.", lambda probe, s: probe.target.bare(1))):
    add(f"from.{name}", "RFC 6120 s8.1.2.1", "MUST", requirement, "stamped", "", lambda probe, f=sender_of: stamped(probe, f))
# Holds 6120:8.1.2.1/1 6120:feature/stanza-attribute-from-stamp.
for name, requirement, sender_of in (
        ("other-user", "Another user's address", lambda probe, s: probe.target.bare(2) + "/x"),
        ("other-resource", "Another resource of the account", lambda probe, s: probe.target.bare(1) + "/other"),
        ("domain", "The server's own address", lambda probe, s: probe.domain),
        ("remote", "An address of another domain", lambda probe, s: "romeo@example.org/x"),
        ("malformed", "A malformed address", lambda probe, s: "a b@@c")):
    add(f"from.{name}", "RFC 6120 s8.1.2.1", "MUST",
        f"{requirement} is overridden, or ends the stream with invalid-from (s4.9.3.9).",
        "stamped stream:invalid-from", "stanza:* stream:*", lambda probe, f=sender_of: stamped(probe, f))


@case("from.iq-spoofed", "RFC 6120 s8.1.2.1", "MUST", "The same for a request in another's name to the server.",
      "answered stream:invalid-from", "stanza:* stream:*")
def _(probe):
    word = fate(probe, lambda s: iq("get", probe.domain, more=f" id='m1' from='{probe.target.bare(2)}/x'"))
    return "answered" if word in ("result", "stanza:service-unavailable") else word


# Holds 6120:8.1.2.1/1.
@case("from.presence", "RFC 6120 s8.1.2.1", "MUST", "Directed presence is stamped with the full JID.", "stamped")
def _(probe):
    sender, receiver = probe.pair()
    word = probe.deliver(sender, receiver, f"<presence id='m1' to='{receiver.jid}'/>")
    return word if word != "delivered" else "stamped" if probe.last.get("from") == sender.jid else "other"


# ---- to (s8.1.1, RFC 7622 s4) ----

# Holds 7622:4/1 6120:8.3.1/1 6120:8.3.1/2 6120:8.3.1/4 6120:feature/stanza-error.
# Holds stanza:jid-malformed - a stanza to an address that RFC 7622 refuses.
for kind, build in (("message", lambda to: message(to)), ("iq", lambda to: iq("get", to)), ("presence",
    lambda to: f"<presence id='m1' to='{to}'/>")):
    fate_case(f"to.malformed-{kind}", "RFC 7622 s4", "MUST", f"A {kind} to a malformed address is answered by jid-malformed.",
              "stanza:jid-malformed", ANY_STANZA, lambda probe, s, build=build: build("a b@c d@e"))
fate_case("to.empty", "RFC 7622 s4", "MUST", "An empty 'to' is no address.", "stanza:jid-malformed", "stanza:* result",
    lambda probe, s: iq("get", ""))


@case("to.error-type", "RFC 6120 s8.3.3.8", "SHOULD", "jid-malformed is of type modify.", "modify", "other")
def _(probe):
    word = fate(probe, lambda stream: iq("get", "a b@c d@e"))
    if not word.startswith("stanza:"):
        return word
    return "modify" if probe.last.find(f"{{{CLIENT}}}error").get("type") == "modify" else "other"


# Holds 6120:8.1.1.1/3 6120:feature/stanza-attribute-to.
@case("to.unmodified", "RFC 6120 s8.1.1.1", "MUST", "'to' is not modified on delivery to a full JID.", "same")
def _(probe):
    sender, receiver = probe.pair()
    word = probe.deliver(sender, receiver, message(receiver.jid))
    return word if word != "delivered" else "same" if probe.last.get("to") == receiver.jid else "changed"


# Holds 6120:8.1.1.1/3 6120:feature/stanza-attribute-to.
@case("to.unmodified-bare", "RFC 6120 s8.1.1.1", "MUST", "'to' is not modified on delivery to a bare JID.", "same")
def _(probe):
    sender, receiver = probe.pair(available=True)
    word = probe.deliver(sender, receiver, message(probe.target.bare(2)))
    return word if word != "delivered" else "same" if probe.last.get("to") == probe.target.bare(2) else "changed"


# ---- id (s8.1.3) ----

IDENT = "a&b<'\"> \u00e9 \u4e2d"


# Holds 6120:8.1.3/2 6120:8.2.3/5 6120:feature/stanza-attribute-id.
@case("id.answer", "RFC 6120 s8.1.3", "MUST", "An answer has the id of the request, whatever it is.", "same")
def _(probe):
    stream = probe.login()
    stream.say(iq("get", more=f" id='{escape(IDENT)}'"))
    found = stream.element()
    return "same" if found.get("id") == IDENT else "changed"


# Holds 6120:8.1.3/2 6120:8.3.1/3 6120:8.3.1/4 6120:feature/stanza-error-id.
@case("id.error", "RFC 6120 s8.3.1", "MUST", "So has an error.", "same")
def _(probe):
    stream = probe.login()
    stream.say(iq("get", inner=UNKNOWN, more=f" id='{escape(IDENT)}'"))
    found = stream.element()
    return "same" if found.get("id") == IDENT and found.get("type") == "error" else "changed"


# Holds 6120:feature/stanza-attribute-id.
@case("id.delivery", "RFC 6120 s8.1.3", "MUST", "An id is delivered as it is.", "same")
def _(probe):
    sender, receiver = probe.login(), probe.login()
    sender.say(message(receiver.jid, ident=escape(IDENT)))
    return "same" if receiver.element().get("id") == IDENT else "changed"


# ---- errors (s8.3) ----

def error_of(probe, build):
    stream = probe.login()
    stream.say(build(stream))
    word = stream.fate("m1")
    if not word.startswith("stanza:"):
        raise speaker.Wrong(f"{word} instead of an error")
    return stream, stream.last, stream.last.find(f"{{{CLIENT}}}error")


@case("error.addresses", "RFC 6120 s8.3.1", "SHOULD", "An error swaps 'from' and 'to'.", "swapped", "other")
def _(probe):
    stream, found, _ = error_of(probe, lambda s: iq("get", f"nobody-here@{probe.domain}", UNKNOWN))
    return "swapped" if found.get("from") == f"nobody-here@{probe.domain}" and found.get("to") in (stream.jid, None) else "other"


# Holds 6120:8.1.1.1/4.
@case("error.to", "RFC 6120 s8.1.1.1", "MUST", "'to' of what the server makes is the client's full JID, or absent.", "right")
def _(probe):
    stream, found, _ = error_of(probe, lambda s: iq("get", probe.domain, UNKNOWN))
    return "right" if found.get("to") in (stream.jid, None) else f"to={found.get('to')}"


# Holds 6120:8.3.2/2.
@case("error.type", "RFC 6120 s8.3.2", "MUST", "The error has one of the five types; service-unavailable SHOULD be cancel.",
    "cancel",
      "auth continue modify wait")
def _(probe):
    return error_of(probe, lambda s: iq("get", probe.domain, UNKNOWN))[2].get("type") or "absent"


# Holds 6120:8.3.1/5 6120:8.3.2/3 6120:8.3.2/5 6120:feature/stanza-error-child.
@case("error.condition-first", "RFC 6120 s8.3.2", "MUST", "It has one condition, and at most one text of the same namespace.",
    "right")
def _(probe):
    _, _, error = error_of(probe, lambda s: iq("get", probe.domain, UNKNOWN))
    names = [speaker.local(child) for child in error if space(child) == speaker.STANZAS]
    return "right" if names and names[0] != "text" and names[1:] in ([], ["text"]) else "wrong"


@case("error.text-lang-stanza", "RFC 6120 s8.3.2", "SHOULD", "The text of an error has xml:lang.", "lang none", "bare")
def _(probe):
    text = error_of(probe, lambda s: iq("get", probe.domain, UNKNOWN))[2].find(f"{{{speaker.STANZAS}}}text")
    return "none" if text is None else "lang" if text.get(LANG) else "bare"


# Holds 6120:8.3.1/7.
for name, requirement, what in (
        ("malformed", "XML that is not well-formed", "<harm></harmful>"), ("restricted", "Restricted XML", "<!-- harm -->"),
        ("unprefixed", "XML that is not namespace-well-formed", "<harm:ful/>")):
    @case(f"error.unreturned-{name}", "RFC 6120 s8.3.1", "MUST", f"{requirement} is not sent back to who sent it.", "unreturned")
    def _(probe, what=what):
        stream = probe.login()
        stream.say(message(f"nobody-here@{probe.domain}", what))
        while stream.outcome() not in ("closed", "dropped", "silence"):
            pass
        return "returned" if b"harm" in stream.raw else "unreturned"


# Holds 6120:8.3.1/8.
@case("error.not-in-others", "RFC 6120 s8.3.1", "MUST", "An answer that is no error has no <error/>.", "none")
def _(probe):
    stream = probe.login()
    stream.say(iq("get"))
    found = stream.element()
    return "none" if found.get("type") == "error" or found.find(f"{{{CLIENT}}}error") is None else "error"


ERROR = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
# Holds 6120:8.2.3/6 6120:8.3.1/9 6120:feature/stanza-error-reply.
for name, to, build in (
        ("message-unknown-user", "an unknown user", lambda t: message(f"nobody-here@{t.domain}", ERROR, kind="error")),
        ("message-unknown-domain", "an unknown domain", lambda t: message("a@unknown.invalid", ERROR, kind="error")),
        ("message-malformed", "a malformed address", lambda t: message("a b@c d@e", ERROR, kind="error")),
        ("presence-unknown-user", "an unknown user",
        lambda t: f"<presence id='m1' type='error' to='nobody-here@{t.domain}'>{ERROR}</presence>"),
        ("iq-unknown-user", "an unknown user", lambda t: iq("error", f"nobody-here@{t.domain}", ERROR)),
        ("iq-server", "the server", lambda t: iq("error", t.domain, ERROR)),
        # Holds 6120:10.3.3/4.
        ("iq-nobody", "nobody", lambda t: iq("error", None, ERROR)),
        ("iq-malformed", "a malformed address", lambda t: iq("error", "a b@c d@e", ERROR)),
        ("result-server", "the server (a result)", lambda t: iq("result", t.domain, "")),
        # Holds 6120:10.3.3/4.
        ("result-nobody", "nobody (a result)", lambda t: iq("result", None, "")),
        ("result-unknown-user", "an unknown user (a result)", lambda t: iq("result", f"nobody-here@{t.domain}", "")),
        ("result-resource", "a resource that is not there (a result)", lambda t: iq("result", t.bare(1) + "/not-there", ""))):
    fate_case(f"error.none-{name}", "RFC 6120 s8.2.3" if "result" in name or name.startswith("iq") else "RFC 6120 s8.3.1",
        "MUST",
              f"An error or result to {to} is not answered.", "ignored", "", lambda probe, s, build=build: build(probe.target))

# ---- iq (s8.2.3) ----

# Holds 6120:8.2.3/2 6120:8.2.3/3 6120:feature/stanza-iq-type.
# Holds stanza:bad-request - an iq without type, id or payload, or with two payloads.
fate_case("iq.no-type", "RFC 6120 s8.2.3", "MUST", "An iq without type is answered by bad-request.", "stanza:bad-request", "",
          lambda probe, s: iq(None, probe.domain))
# Holds 6120:8.2.3/3 6120:feature/stanza-iq-type 6120:feature/stanza-attribute-type.
fate_case("iq.unknown-type", "RFC 6120 s8.2.3", "MUST", "An iq of an unknown type is answered by bad-request.",
    "stanza:bad-request", "",
          lambda probe, s: iq("subscribe", probe.domain))
# Holds 6120:8.2.3/3.
fate_case("iq.unknown-type-to-user", "RFC 6120 s8.2.3", "MUST", "So it is by a router on the way to another.",
    "stanza:bad-request", "",
          lambda probe, s: iq("subscribe", s.jid))
# Holds 6120:8.2.3/7 6120:feature/stanza-iq-child.
fate_case("iq.two-children", "RFC 6120 s8.2.3", "MUST", "A request has exactly one child: two are answered by bad-request.",
          "stanza:bad-request", ANY_STANZA, lambda probe, s: iq("get", probe.domain, f"<ping xmlns='{PING}'/>" + UNKNOWN))
# Holds 6120:8.2.3/7 6120:8.4/1 6120:feature/stanza-iq-child.
fate_case("iq.no-child", "RFC 6120 s8.2.3", "MUST", "A request without child is answered by bad-request.", "stanza:bad-request",
    ANY_STANZA,
          lambda probe, s: iq("get", probe.domain, ""))


# Holds 6120:8.1.3/1 6120:8.2.3/1 6120:feature/stanza-iq-id.
@case("iq.no-id", "RFC 6120 s8.2.3", "MUST", "An iq without id is answered by an error, with an empty or no id.",
      "stanza:bad-request", "stanza:* result stream:*")
def _(probe):
    stream = probe.login()
    stream.say(iq("get", probe.domain, more=""))
    word = stream.outcome()
    return word if word.startswith("stream:") or stream.last.get("id") in (None, "") else "another id"


# Holds 6120:8.2.3/4 6120:8.3.1/1 6120:8.4/5 6120:8.4/9 6120:10.3.3/3 6120:feature/stanza-extension.
# Holds 6120:feature/stanza-iq-reply.
# Holds stanza:service-unavailable - a request of a namespace that is not served, or to nobody.
for name, to in (("server", lambda t: t.domain), ("nobody", lambda t: None), ("own-bare", lambda t: t.bare(1))):
    fate_case(f"iq.unknown-payload-{name}", "RFC 6120 s10.3.3" if name == "nobody" else "RFC 6120 s8.4", "MUST",
              f"A request of an unknown namespace to {name} is answered by service-unavailable.", "stanza:service-unavailable",
              "",
              lambda probe, s, to=to: iq("get", to(probe.target), UNKNOWN))
    # Holds 6120:10.3.3/3.
    fate_case(f"iq.unknown-set-{name}", "RFC 6120 s10.3.3" if name == "nobody" else "RFC 6120 s8.4", "MUST",
              f"The same of type set to {name}.", "stanza:service-unavailable", "",
              lambda probe, s, to=to: iq("set", to(probe.target), UNKNOWN))

# Holds 6120:8.4/4.
fate_case("iq.prefixed-payload", "RFC 6120 s8.4", "MUST", "A payload is known by its namespace, whatever its prefix.", "result",
          "stanza:service-unavailable", lambda probe, s: iq("get", probe.domain, f"<p:ping xmlns:p='{PING}'/>"))
# Holds stanza:item-not-found - service discovery of a node that does not exist.
fate_case("iq.no-node", "XEP-0030 s7", "SHOULD", "A request about a node that does not exist finds no item.",
          "stanza:item-not-found", "stanza:* result",
          lambda probe, s: iq("get", probe.domain, f"<query xmlns='{DISCO}' node='probe'/>"))

# ---- what the server does not understand and is meant for itself (s8.4) ----

# Holds 6120:8.4/5 6120:8.4/6.
fate_case("extension.message-to-server", "RFC 6120 s8.4", "MUST",
          "A message whose only child is unknown is ignored or answered by an error.", "ignored stanza:service-unavailable",
          ANY_STANZA, lambda probe, s: message(probe.domain, UNKNOWN))


def after_presence(probe, presence):
    """What becomes of a message to the bare JID of who said just this."""
    probe.target.account(2)
    sender, receiver = probe.login(1), probe.login(2)
    receiver.say(presence)
    receiver.settle()
    return probe.deliver(sender, receiver, message(probe.target.bare(2)))


# Holds 6120:8.4/5 6120:8.4/7 6120:8.4/8 6120:feature/stanza-extension.
for name, requirement, inner in (
        ("unknown", "Presence with an unknown child counts as without", UNKNOWN),
        ("unknown-priority", "A priority of another namespace is none", "<priority xmlns='urn:probe'>-1</priority>")):
    add(f"extension.presence-{name}", "RFC 6120 s8.4", "MUST", f"{requirement}: messages are delivered.", "delivered", "",
        lambda probe, inner=inner: after_presence(probe, f"<presence>{inner}</presence>"))

# ---- ping (XEP-0199) ----

# Holds 6120:8.2.3/4 6120:10.3.3/1 6120:10.3.3/2 6120:feature/stanza-iq-reply 6120:feature/stanza-kind-iq.
for name, to in (("server", lambda t: t.domain), ("nobody", lambda t: None), ("own-bare", lambda t: t.bare(1))):
    fate_case(f"ping.{name}", "XEP-0199 s4.2", "SHOULD", f"A ping to {name} is answered by an empty result.", "result",
              "stanza:service-unavailable", lambda probe, s, to=to: iq("get", to(probe.target)))


# Holds 6120:8.1.2.1/2.
@case("ping.from", "RFC 6120 s8.1.2.1", "MUST", "The answer of the server has the server as 'from'.", "domain")
def _(probe):
    stream = probe.login()
    stream.say(iq("get", probe.domain))
    return "domain" if stream.element().get("from") == probe.domain else "other"


# Holds 6120:8.1.2.1/3 6120:10.3/1.
@case("ping.from-account", "RFC 6120 s8.1.2.1", "MUST", "The answer on behalf of the account has no 'from', or the bare JID.",
    "account")
def _(probe):
    stream = probe.login()
    stream.say(iq("get"))
    return "account" if stream.element().get("from") in (None, probe.target.bare(1)) else "other"


# ---- xml:lang (s8.1.5, s4.7.4) ----

def language(probe, header, stanza):
    receiver = probe.login(2)
    stream = probe.secure().authenticate()
    stream.restart()
    stream.push(stream.head(more=f" xml:lang='{header}'" if header else ""))
    word = stream.outcome()
    if word != "features":
        return word
    stream.bind("lang")
    more = f" xml:lang='{stanza}'" if stanza else ""
    word = probe.deliver(stream, receiver, message(receiver.jid, more=more))
    if word != "delivered":
        return word
    return probe.last.get(LANG) or "absent"


# Holds 6120:8.1.5/3 6120:12/2 6120:feature/stanza-attribute-xmllang.
# Holds 6120:4.7.4/6.
add("lang.kept", "RFC 6120 s8.1.5", "MUST", "xml:lang of a stanza is not modified.", "x-probe", "",
    lambda probe: language(probe, "de", "x-probe"))
# Holds 6120:8.1.5/1.
# Holds 6120:4.7.4/5.
add("lang.default", "RFC 6120 s8.1.5", "SHOULD", "A stanza without gets that of the sender's stream.", "x-probe", "absent",
    lambda probe: language(probe, "x-probe", None))
add("lang.none", "RFC 6120 s4.7.4", "MUST", "Where neither has one none is invented that the sender did not choose.", "absent",
    "en",
    lambda probe: language(probe, None, None))

# Holds 6120:8.1.5/2.
# Holds 6120:4.7.4/1.
add("lang.malformed", "RFC 6120 s8.1.5", "MUST", "What is no language tag is not added to stanzas.", "absent en stream:*", "",
    lambda probe: language(probe, "no tag!", None))

# ---- routing (s10) ----


def routed(ident, section, level, requirement, prefer, weak, to, available=True, build=message):
    """From account 1 to account 2's session."""
    def run(probe):
        sender, receiver = probe.pair(available=available)
        return probe.deliver(sender, receiver, build(to(probe, receiver)))
    add(ident, section, level, requirement, prefer, weak, run)


# Holds 6120:10.5.4/1 6120:feature/stanza-kind-message.
routed("route.full", "RFC 6120 s10.5.4", "MUST", "A message to a connected full JID is delivered.", "delivered", "", lambda p,
    r: r.jid, False)
routed("route.bare", "RFC 6120 s10.5.3.2", "SHOULD", "A message to a bare JID is delivered to a connected resource.",
    "delivered", "ignored",
       lambda p, r: p.target.bare(2))
# Holds 6120:10.5.4/1 6120:feature/stanza-kind-iq.
routed("route.iq-full", "RFC 6120 s10.5.4", "MUST", "A request to a connected full JID is delivered.", "delivered", "", lambda p,
    r: r.jid, False,
       lambda to: iq("get", to, UNKNOWN))
# Holds 6120:10.5.3.2/2.
routed("route.iq-bare", "RFC 6120 s10.5.3.2", "MUST", "A request to another's bare JID is handled by the server, not delivered.",
       "stanza:service-unavailable", ANY_STANZA, lambda p, r: p.target.bare(2), True, lambda to: iq("get", to, UNKNOWN))
# Holds 6120:10.5.4/1 6120:feature/stanza-kind-presence.
routed("route.presence-full", "RFC 6120 s10.5.4", "MUST", "Presence to a connected full JID is delivered.", "delivered", "",
    lambda p, r: r.jid,
       False, lambda to: f"<presence id='m1' to='{to}'/>")
routed("route.resource-missing", "RFC 6120 s10.5.4", "SHOULD",
    "A chat message to a resource that is not there goes to the bare JID.",
       "delivered", "stanza:service-unavailable ignored", lambda p, r: p.target.bare(2) + "/not-there")
routed("route.iq-resource-missing", "RFC 6120 s10.5.4", "MUST",
    "A request to a resource that is not there is not delivered to another.",
       "stanza:service-unavailable", ANY_STANZA, lambda p, r: p.target.bare(2) + "/not-there", True, lambda to: iq("get", to,
           UNKNOWN))


@case("route.iq-answer", "RFC 6120 s8.2.3", "MUST", "An answer to a request finds its way back.", "result")
def _(probe):
    sender, receiver = probe.pair()
    if probe.deliver(sender, receiver, iq("get", receiver.jid, UNKNOWN)) != "delivered":
        return "no request"
    receiver.say(iq("result", probe.last.get("from"), ""))
    return sender.outcome("m1")


# Holds 6120:10.3/1 6120:10.3.1/1.
@case("route.no-to", "RFC 6120 s10.3.1", "MUST", "A message without 'to' goes to the sender's own bare JID.", "delivered")
def _(probe):
    stream = probe.login(available=True)
    stream.say(message(None))
    word = stream.fate("m1")
    if word != "message":
        words, stanzas = stream.settle()
        return "delivered" if any(one is not None and one.get("id") == "m1" for one in stanzas) else word
    return "delivered"


@case("route.own-bare", "RFC 6120 s10.5.3.2", "SHOULD", "A message to the own bare JID is delivered to a resource of it.",
    "delivered", "ignored")
def _(probe):
    sender, receiver = probe.login(), probe.login(available=True)
    return probe.deliver(sender, receiver, message(probe.target.bare(1)))


@case("route.own-full", "RFC 6120 s10.5.4", "MUST", "A message to the own full JID is delivered.", "delivered")
def _(probe):
    stream = probe.login()
    return probe.deliver(stream, stream, message(stream.jid))


# Holds 6120:10.5.3.1/1.
fate_case("route.unknown-message", "RFC 6120 s10.5.3.1", "MUST",
    "A message to an unknown user is ignored or service-unavailable.",
          "ignored stanza:service-unavailable", "", lambda probe, s: message(f"nobody-here@{probe.domain}"))
fate_case("route.unknown-presence", "RFC 6120 s10.5.3.1", "SHOULD", "Presence to an unknown user is ignored.", "ignored",
    "stanza:*",
          lambda probe, s: f"<presence id='m1' to='nobody-here@{probe.domain}'/>")
# Holds 6120:8.3.3.7/1 6120:8.3.3.19/1 6120:10.5/4 6120:10.5.3.1/2.
fate_case("route.unknown-iq", "RFC 6120 s10.5.3.1", "MUST", "A request to an unknown user is answered by service-unavailable.",
          "stanza:service-unavailable", "", lambda probe, s: iq("get", f"nobody-here@{probe.domain}", UNKNOWN))


def answer_bytes(probe, to):
    stream = probe.login()
    before = len(stream.raw)
    stream.say(iq("get", to, UNKNOWN))
    stream.outcome("m1")
    return stream.raw[before:].replace(to.encode(), b"TO").replace(stream.jid.encode(), b"ME")


# Holds 6120:8.3.3.7/1 6120:8.3.3.19/1.
# Holds 6120:13.10.2/2.
@case("route.harvest", "RFC 6120 s13.11", "SHOULD", "The answer for an unknown user is that for a known one, byte for byte.",
    "same", "different")
def _(probe):
    probe.target.account(2)
    return "same" if answer_bytes(probe, f"nobody-here@{probe.domain}") == answer_bytes(probe,
        probe.target.bare(2)) else "different"


# Holds 6120:13.10.2/1 6120:13.10.2/2.
@case("route.presence-leak", "RFC 6120 s13.10.2", "SHOULD",
    "The answer for a resource does not tell whether the account exists.", "same", "different")
def _(probe):
    probe.target.account(2)
    one = answer_bytes(probe, f"nobody-here@{probe.domain}/r")
    return "same" if one == answer_bytes(probe, probe.target.bare(2) + "/not-there-r") else "different"


# Holds 6120:10.5.1/1.
fate_case("route.domain-message", "RFC 6120 s10.5.1", "MUST", "A message to the mere domain is handled or answered by an error.",
          "ignored stanza:*", "", lambda probe, s: message(probe.domain))
# Holds 6120:10.5.2/1.
fate_case("route.domain-resource-iq", "RFC 6120 s10.5.2", "MUST", "A request to domain/resource is answered.", "result stanza:*",
    "",
          lambda probe, s: iq("get", probe.domain + "/resource", UNKNOWN))
# Holds 6120:10.5.2/1.
fate_case("route.domain-resource-message", "RFC 6120 s10.5.2", "MUST",
    "A message to domain/resource is handled or answered by an error.",
          "ignored stanza:*", "", lambda probe, s: message(probe.domain + "/resource"))
# Holds 6120:10.4.3/1 6120:10.4.3/2.
# Holds stanza:remote-server-not-found - a stanza to a domain that no server is found for.
for kind, build in (("message", lambda to: message(to)), ("iq", lambda to: iq("get", to))):
    @case(f"route.remote-{kind}", "RFC 6120 s10.4.3", "MUST", f"A {kind} to a domain that does not exist is answered by "
          "remote-server-not-found.", "stanza:remote-server-not-found", "stanza:remote-server-timeout stanza:not-allowed "
          "stanza:service-unavailable")
    def _(probe, build=build):
        stream = probe.login()
        stream.say(build("romeo@unknown.invalid/x"))
        return stream.outcome("m1")


@case("route.remote-presence", "RFC 6120 s10.4.3", "MUST", "So is presence.", "stanza:remote-server-not-found",
      "stanza:remote-server-timeout stanza:not-allowed stanza:service-unavailable")
def _(probe):
    stream = probe.login()
    stream.say("<presence id='m1' to='romeo@unknown.invalid'/>")
    return stream.outcome("m1", wait=1)


# Holds 6120:13.10.1/1.
@case("route.address-hidden", "RFC 6120 s13.10.1", "MUST", "A client's address on the network is not made known to others.",
      "hidden")
def _(probe):
    sender, receiver = probe.pair(available=True)
    for build in (lambda: message(receiver.jid), lambda: f"<presence id='m1' to='{receiver.jid}'/>",
                  lambda: iq("get", receiver.jid, UNKNOWN)):
        probe.deliver(sender, receiver, build())
    for payload in (UNKNOWN, f"<query xmlns='{DISCO}'/>", "<query xmlns='jabber:iq:last'/>", f"<ping xmlns='{PING}'/>"):
        for to in (probe.target.bare(1), probe.domain):
            receiver.say(iq("get", to, payload))
            receiver.outcome("m1")
    address, port = sender.wire.socket.getsockname()[:2]
    return "told" if address.encode() in receiver.raw or f":{port}".encode() in receiver.raw else "hidden"


# ---- order (s10.1) ----

@case("order.full", "RFC 6120 s10.1", "MUST", "300 messages to a full JID arrive in order.", "in-order")
def _(probe):
    return order(probe, lambda n, receiver: receiver.jid)


# Holds 6120:10.1/2.
@case("order.bare-and-full", "RFC 6120 s10.1", "MUST", "Bare and full JID of the recipient are equivalent for the order.",
    "in-order")
def _(probe):
    return order(probe, lambda n, receiver: receiver.jid if n % 2 else probe.target.bare(2))


def order(probe, to):
    sender, receiver = probe.pair(available=True)
    sender.sent.append("300 messages with ids n0 to n299")
    sender.push("".join(message(to(n, receiver), ident=f"n{n}") for n in range(300)))
    found = []
    while len(found) < 300:
        element = receiver.element()
        if (element.get("id") or "").startswith("n") and speaker.local(element) == "message":
            found.append(int(element.get("id")[1:]))
    return "in-order" if found == sorted(found) else "disorder"


# Holds 6120:10.1/1.
@case("order.answers", "RFC 6120 s10.1", "MUST", "100 requests to the server are answered in order.", "in-order")
def _(probe):
    stream = probe.login()
    stream.sent.append("100 requests with ids n0 to n99, known and unknown payloads in turn")
    stream.push("".join(iq("get", probe.domain if n % 3 else None, UNKNOWN if n % 2 else f"<ping xmlns='{PING}'/>",
        f" id='n{n}'")
                        for n in range(100)))
    found = [stream.element().get("id") for _ in range(100)]
    return "in-order" if found == [f"n{n}" for n in range(100)] else "disorder"


# Holds 6120:10.1/1 6120:10.1/6.
@case("order.effect", "RFC 6120 s10.1", "MUST", "What changes how later stanzas are processed has done so before they are.",
      "in-effect", "unanswered stored")
def _(probe):
    stream = probe.login()
    stream.sent.append("presence of priority -1 and 0 in turn, a message to the own bare JID behind each, 40 times in one piece")
    stream.push("".join(f"<presence><priority>{n % 2 - 1}</priority></presence>" + message(probe.target.bare(1), ident=f"n{n}")
                        for n in range(40)))
    _, stanzas = stream.settle()
    delivered = [one.get("id") for one in stanzas if speaker.local(one) == "message" and one.get("type") != "error"]
    refused = [one.get("id") for one in stanzas if speaker.local(one) == "message" and one.get("type") == "error"]
    at_once = [ident for ident in delivered if int(ident[1:]) % 2]
    if at_once != [f"n{n}" for n in range(1, 40, 2)]:
        return "disorder"
    if delivered != at_once:
        return "stored"  # and delivered with the next presence
    return "in-effect" if refused == [f"n{n}" for n in range(0, 40, 2)] else "unanswered"


@case("route.parted", "RFC 6120 s10.5.4", "MUST", "A message to a resource that has closed is not delivered to a stranger.",
      "ignored stanza:service-unavailable delivered-to-account")
def _(probe):
    sender, receiver = probe.pair(available=True)
    gone = probe.login(2, resource="gone")
    jid = gone.jid
    gone.push("</stream:stream>")
    if gone.outcome() != "closed":
        raise Skip("the session did not close")
    word = probe.deliver(sender, receiver, message(jid))
    return "delivered-to-account" if word == "delivered" else word
