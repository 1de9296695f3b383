# SPDX-License-Identifier: MIT
"""RFC 6120 s6 (SASL), RFC 5802 and 7677 (SCRAM), RFC 5929, 9266 and XEP-0440 (channel binding), RFC 6120 s7 (binding)."""
import re
import ssl

import mechanism
from ledger import add, case
from speaker import BIND, SASL, Skip, Wrong, b64, escape

REFUSED = "sasl:* unlisted-sasl:*"


def offer(stream, *names):
    """The first of these that is offered."""
    found = next((name for name in names if name in stream.mechanisms()), None)
    if found is None:
        raise Skip(f"none of {', '.join(names)} is offered")
    return found


def best(stream):
    return offer(stream, "SCRAM-SHA-256", "SCRAM-SHA-1")


# ---- what is offered ----

for name, level, section, weak in (("SCRAM-SHA-1", "MUST", "RFC 6120 s13.8.1", ""), ("SCRAM-SHA-1-PLUS", "MUST",
    "RFC 6120 s13.8.1", ""),
                                   ("SCRAM-SHA-256", "SHOULD", "RFC 7677 s4", "absent"),
                                   ("SCRAM-SHA-256-PLUS", "SHOULD", "RFC 7677 s4", "absent")):
    # Holds 6120:6.3.4/2 6120:13.8.1/1 6120:feature/security-mti-auth-scram.
    add(f"sasl.offers-{name.lower()}", section, level, f"{name} is offered under TLS.", "offered", weak,
        lambda probe, name=name: "offered" if name in probe.secure().mechanisms() else "absent")


# Holds 6120:6.4.1/4.
@case("sasl.names", "RFC 6120 s6.4.1", "MUST", "One <mechanism/> for each mechanism, with a name of RFC 4422 s3.1.", "right")
def _(probe):
    names = probe.secure().mechanisms()
    return "right" if names and len(set(names)) == len(names) and all(re.fullmatch("[A-Z0-9_-]{1,20}",
        n) for n in names) else "wrong"


@case("sasl.plus-pairs", "RFC 5802 s6", "SHOULD", "Where a -PLUS variant is offered, the other is too.", "right", "alone")
def _(probe):
    names = probe.secure().mechanisms()
    return "right" if all(n.removesuffix("-PLUS") in names for n in names) else "alone"


# Holds 6120:6.3.3/1.
@case("sasl.order", "RFC 6120 s6.3.3", "SHOULD", "Mechanisms are in the order of strength: no PLAIN in front of SCRAM.", "right",
    "other")
def _(probe):
    names = [n for n in probe.secure().mechanisms() if n.startswith("SCRAM") or n == "PLAIN"]
    return "other" if "PLAIN" in names[:-1] else "right"


# ---- mechanisms and flow ----

def auth_case(ident, section, level, requirement, prefer, weak, build, wait=None):
    """build(probe, stream) gives what is said under TLS before SASL."""
    def run(probe):
        stream = probe.secure()
        stream.say(build(probe, stream))
        return stream.outcome(wait=wait)
    add(ident, section, level, requirement, prefer, weak, run)


# Holds 6120:6.4.5/1 6120:feature/sasl-errors.
# Holds sasl:invalid-mechanism - a mechanism that is not offered.
auth_case("sasl.mechanism-unknown", "RFC 6120 s6.5.7", "MUST", "An unknown mechanism is answered by invalid-mechanism.",
          "sasl:invalid-mechanism", "", lambda probe, stream: stream.auth("X-PROBE"))
auth_case("sasl.mechanism-none", "RFC 6120 s6.5.7", "MUST", "So is <auth/> without a mechanism.",
          "sasl:invalid-mechanism", "sasl:malformed-request", lambda probe, stream: f"<auth xmlns='{SASL}'/>")
auth_case("sasl.mechanism-empty", "RFC 6120 s6.5.7", "MUST", "So is an empty name.",
          "sasl:invalid-mechanism", "sasl:malformed-request", lambda probe, stream: stream.auth(""))
auth_case("sasl.mechanism-case", "RFC 6120 s6.5.7", "MUST", "So is a name in small letters, which is no mechanism's.",
          "sasl:invalid-mechanism", "", lambda probe, stream: stream.auth("plain",
          b"\0" + "\0".join(probe.target.account(1)).encode()))
auth_case("sasl.abort-without", "RFC 6120 s6.4.4", "MUST", "<abort/> is answered by aborted, even without a handshake.",
          "sasl:aborted", "sasl:malformed-request stream:*", lambda probe, stream: f"<abort xmlns='{SASL}'/>")
auth_case("sasl.response-without", "RFC 6120 s6.5.8", "MUST", "<response/> without a handshake is refused.",
          "sasl:malformed-request", "sasl:* stream:*", lambda probe, stream: stream.response(b"x"))
auth_case("sasl.challenge-from-client", "RFC 6120 s6.5.8", "MUST", "<challenge/> from a client is refused.",
          "sasl:malformed-request stream:unsupported-stanza-type stream:not-authorized", "sasl:* stream:*", lambda probe,
          stream: f"<challenge xmlns='{SASL}'/>")
auth_case("sasl.success-from-client", "RFC 6120 s4.8.4", "MUST", "<success/> from a client is refused or ignored.",
          "stream:unsupported-stanza-type stream:not-authorized sasl:malformed-request silence", "sasl:* stream:*", lambda probe,
          stream: f"<success xmlns='{SASL}'/>", 0.5)


def started(probe):
    """A stream with a challenge of SCRAM open."""
    stream = probe.secure()
    how = best(stream)
    stream.exchange = mechanism.Exchange(how, *probe.target.account(1))
    stream.push(stream.auth(how, stream.exchange.first()))
    word = stream.outcome()
    if word != "challenge":
        raise Wrong(f"setup: {word} instead of a challenge")
    return stream


# Holds 6120:6.4.4/1 6120:feature/sasl-errors.
# Holds sasl:aborted - <abort/> during a handshake.
@case("sasl.abort", "RFC 6120 s6.4.4", "MUST", "<abort/> during a handshake is answered by aborted.", "sasl:aborted")
def _(probe):
    stream = started(probe)
    stream.say(f"<abort xmlns='{SASL}'/>")
    return stream.outcome()


@case("sasl.after-abort", "RFC 6120 s6.4.5", "SHOULD", "After an abort another handshake may succeed.", "success", "stream:*")
def _(probe):
    stream = started(probe)
    stream.say(f"<abort xmlns='{SASL}'/>")
    stream.outcome()
    how = best(stream)
    return stream.scram(how, *probe.target.account(1), say=stream.say)


# Holds 6120:6.4.2/2.
@case("sasl.second-auth", "RFC 6120 s6.4.2", "MUST", "A second <auth/> discards the ongoing handshake and is processed.",
    "success")
def _(probe):
    stream = started(probe)
    return stream.scram(best(stream), *probe.target.account(1), say=stream.say)


# Holds 6120:6.4.2/2.
@case("sasl.discarded-handshake", "RFC 6120 s6.4.2", "MUST", "The response to a discarded handshake does not count.", "sasl:*")
def _(probe):
    stream = started(probe)
    final = stream.exchange.final(stream.sasl_data())
    other = mechanism.Exchange(best(stream), *probe.target.account(1))
    stream.say(stream.auth(best(stream), other.first()))
    stream.outcome()
    stream.say(stream.response(final))
    return stream.outcome()


@case("sasl.stanza-during", "RFC 6120 s4.9.3.12", "MUST", "A stanza during a handshake is answered by not-authorized.",
      "stream:not-authorized", "stream:*")
def _(probe):
    stream = started(probe)
    stream.say("<presence/>")
    return stream.outcome()


# Holds 6120:6.3.10/1.
@case("sasl.without-initial", "RFC 6120 s6.3.10", "MUST", "A handshake without initial response is supported: SCRAM.", "success")
def _(probe):
    stream = probe.secure()
    how = best(stream)
    stream.say(stream.auth(how))
    word = stream.outcome()
    if word != "challenge" or stream.sasl_data():
        return word
    exchange = mechanism.Exchange(how, *probe.target.account(1))
    stream.say(stream.response(exchange.first()))
    if stream.outcome() != "challenge":
        return "no challenge"
    stream.say(stream.response(exchange.final(stream.sasl_data())))
    return stream.outcome()


# Holds 6120:6.3.10/1.
@case("sasl.without-initial-plain", "RFC 6120 s6.3.10", "MUST", "A handshake without initial response is supported: PLAIN.",
    "success")
def _(probe):
    stream = probe.secure()
    stream.say(stream.auth(offer(stream, "PLAIN")))
    word = stream.outcome()
    if word != "challenge":
        return word
    stream.say(stream.response(b"\0" + "\0".join(probe.target.account(1)).encode()))
    return stream.outcome()


# Holds 6120:6.3.5/2 6120:6.3.10/1.
@case("sasl.success-data", "RFC 6120 s6.3.10", "SHOULD", "The server's signature comes with success.", "data", "challenge")
def _(probe):
    stream = probe.secure()
    how = best(stream)
    exchange = mechanism.Exchange(how, *probe.target.account(1))
    stream.push(stream.auth(how, exchange.first()))
    if stream.outcome() != "challenge":
        return "no challenge"
    stream.push(stream.response(exchange.final(stream.sasl_data())))
    word = stream.outcome()
    exchange.verify(stream.sasl_data())
    return "data" if word == "success" else word


# Holds 6120:6.3.5/1.
@case("sasl.bytes", "RFC 6120 s6.3.5", "MUST", "No whitespace comes between the elements of SASL.", "exact")
def _(probe):
    stream = probe.secure()
    before = len(stream.raw)
    stream.authenticate()
    found = stream.raw[before:]
    return "exact" if found.startswith(b"<") and found.endswith(b">") and not re.search(rb">\s+<", found) else "blanks"


# Holds 6120:4.3.3/1.
@case("sasl.features-wait", "RFC 6120 s6.4.6", "MUST", "After success nothing comes until the new header.", "silence")
def _(probe):
    return probe.secure().authenticate().outcome(wait=0.3)


@case("sasl.again", "RFC 6120 s6.4.1", "MUST", "SASL after SASL is refused.", "stream:* sasl:*", "")
def _(probe):
    stream = probe.authenticated()
    return stream.plain(*probe.target.account(1), say=stream.say)


# ---- base64 (s6.3.5, s13.9.1, RFC 4648 s4) ----

def encoded(ident, requirement, spoil, section="RFC 6120 s6.5.5"):
    """Right credentials for PLAIN in wrong base64."""
    def run(probe):
        stream = probe.secure()
        offer(stream, "PLAIN")
        text = spoil(probe, b64(b"\0" + "\0".join(probe.target.account(1)).encode()))
        stream.say(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{text}</auth>")
        return stream.outcome()
    add(ident, section, "MUST", requirement, "sasl:incorrect-encoding", "sasl:malformed-request sasl:not-authorized", run)


def padding_bits(probe, text):
    if not text.endswith("="):
        text = b64(f"{probe.target.bare(1)}\0".encode() + "\0".join(probe.target.account(1)).encode())
    if not text.endswith("="):
        raise Skip("neither form of the credentials needs padding")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    end = len(text.rstrip("="))
    return text[:end - 1] + alphabet[alphabet.index(text[end - 1]) + 1] + text[end:]


# Holds 6120:13.9.1/1 6120:13.9.1/2.
encoded("sasl.base64-alphabet", "Characters outside the alphabet are refused.", lambda probe, text: "!" + text[1:])
# Holds 6120:13.9.1/2.
encoded("sasl.base64-blank", "A blank inside is refused.", lambda probe, text: text[:4] + " " + text[4:])
encoded("sasl.base64-line", "A line end behind is refused.", lambda probe, text: text + "\n")
# Holds 6120:13.9.1/3.
encoded("sasl.base64-pad-inside", "A pad inside is refused.", lambda probe, text: "AA==" + text)
# Holds 6120:13.9.1/3.
encoded("sasl.base64-pad-first", "A pad in front is refused.", lambda probe, text: "=" + text[1:], "RFC 6120 s13.9.1")
# Holds 6120:13.9.1/3.
encoded("sasl.base64-pad-more", "A pad too many is refused.", lambda probe, text: text + "=")
# Holds 6120:13.9.1/4.
encoded("sasl.base64-short", "A length that is no multiple of four is refused.", lambda probe, text: text.rstrip("=")[:-1]
        if len(text.rstrip("=")) % 4 == 0 else text.rstrip("="))
# Holds 6120:6.3.5/2 6120:13.9.1/4.
encoded("sasl.base64-bits", "Padding bits that are not zero are refused.", padding_bits, "RFC 6120 s6.3.5")
# Holds 6120:13.9.1/2.
encoded("sasl.base64-url", "The alphabet for URLs is refused.", lambda probe, text: "-_" + text[2:])


# Holds 6120:13.9.1/1.
@case("sasl.base64-response", "RFC 6120 s6.5.5", "MUST", "The same in a <response/>.", "sasl:incorrect-encoding",
      "sasl:malformed-request sasl:not-authorized")
def _(probe):
    stream = started(probe)
    stream.say(f"<response xmlns='{SASL}'>!!!!</response>")
    return stream.outcome()


auth_case("sasl.child-element", "RFC 6120 s6.3.5", "MUST", "An element inside <auth/> is no base64.",
          "sasl:malformed-request sasl:incorrect-encoding", "sasl:* stream:* challenge",
          lambda probe, stream: f"<auth xmlns='{SASL}' mechanism='{offer(stream, 'PLAIN')}'><a xmlns='urn:p'/></auth>")
# Holds 6120:6.4.2/1.
auth_case("sasl.empty-initial", "RFC 6120 s6.4.2", "MUST", "= is an empty initial response, which PLAIN does not allow.",
          "sasl:malformed-request", "sasl:not-authorized sasl:incorrect-encoding", lambda probe,
          stream: stream.auth(offer(stream, "PLAIN"), b""))

# ---- PLAIN (RFC 4616) ----

for name, build in (("no-nul", lambda user, word: user + word), ("one-nul", lambda user, word: f"{user}\0{word}"),
                    ("three-nul", lambda user, word: f"\0{user}\0{word}\0"), ("no-user", lambda user, word: f"\0\0{word}"),
                    ("no-password", lambda user, word: f"\0{user}\0")):
    auth_case(f"plain.{name}", "RFC 6120 s6.5.8", "MUST", f"A message against the grammar of PLAIN ({name}) is malformed.",
              "sasl:malformed-request", "sasl:not-authorized",
              lambda probe, stream, build=build: stream.auth(offer(stream, "PLAIN"), build(*probe.target.account(1)).encode()))
auth_case("plain.utf-8", "RFC 6120 s6.5.8", "MUST", "A message of PLAIN that is no UTF-8 is refused.", "sasl:malformed-request",
          "sasl:not-authorized sasl:incorrect-encoding", lambda probe, stream: stream.auth(offer(stream, "PLAIN"),
          b"\0\xff\xfe\0x"))


def plain(probe, user=None, password=None, authzid=""):
    stream = probe.secure()
    offer(stream, "PLAIN")
    name, word = probe.target.account(1)
    return stream.plain(user or name, password or word, authzid, stream.say)


# Holds 6120:6.2/1 6120:13.5/1 6120:feature/sasl-support.
add("plain.success", "RFC 6120 s6.4.6", "MUST", "Right credentials succeed.", "success", "", plain)
add("plain.wrong", "RFC 6120 s6.5.10", "MUST", "A wrong password is answered by not-authorized.", "sasl:not-authorized", "",
    lambda probe: plain(probe, password="wrong"))
add("plain.unknown", "RFC 6120 s6.5.10", "MUST", "So is an unknown user.", "sasl:not-authorized", "",
    lambda probe: plain(probe, user="nobody-here"))


@case("plain.same", "RFC 6120 s6.5.10", "SHOULD", "The two failures are alike byte for byte.", "same", "different")
def _(probe):
    stream, found = probe.secure(), []
    offer(stream, "PLAIN")
    for user in (probe.target.account(1)[0], "nobody-here"):
        before = len(stream.raw)
        stream.plain(user, "wrong")
        found.append(stream.raw[before:])
    return "same" if found[0] == found[1] else "different"


# ---- authorization identities (s6.3.8, s6.5.6) ----

AUTHZIDS = (("own", "MUST", "Its own bare JID is allowed.", "success", "", lambda t: t.bare(1)),
            # Holds 6120:6.3.8/5.
            # Holds sasl:invalid-authzid - the authorization identity is another user's.
            ("other", "MUST", "Another user's is answered by invalid-authzid.", "sasl:invalid-authzid", "",
            lambda t: f"someone@{t.domain}"),
            # Holds 6120:6.3.8/5.
            ("domain", "MUST", "So is one of another domain.", "sasl:invalid-authzid", "",
            lambda t: f"{t.account(1)[0]}@other.example"),
            # Holds 6120:6.3.8/3.
            ("full", "MUST", "So is a full JID: it must be a bare one.", "sasl:invalid-authzid", "success",
            lambda t: t.bare(1) + "/x"),
            ("malformed", "MUST", "So is a malformed JID.", "sasl:invalid-authzid", "sasl:malformed-request sasl:not-authorized",
             lambda t: "a b@c d@e"))
for name, level, requirement, prefer, weak, build in AUTHZIDS:
    add(f"authzid.plain-{name}", "RFC 6120 s6.3.8", level, requirement + " (PLAIN)", prefer, weak,
        lambda probe, build=build: plain(probe, authzid=build(probe.target)))
    if name in ("own", "other"):
        add(f"authzid.scram-{name}", "RFC 6120 s6.3.8", level, requirement + " (SCRAM)", prefer, weak,
            lambda probe, build=build: scram(probe, authzid=build(probe.target)))


# Holds 6120:4.3.6/3.
@case("authzid.jid", "RFC 6120 s4.3.6", "MUST", "The bare JID of the session is the authorization identity.", "same")
def _(probe):
    stream = probe.secure()
    offer(stream, "PLAIN")
    word = stream.plain(*probe.target.account(1), probe.target.bare(1), stream.say)
    if word != "success" or stream.open().bind() != "result":
        return word
    return "same" if stream.jid.partition("/")[0] == probe.target.bare(1) else f"jid={stream.jid}"


# ---- SCRAM (RFC 5802, RFC 7677) ----

def scram(probe, how=None, version=None, password=None, user=None, **more):
    stream = probe.secure(version)
    how = how or best(stream)
    offer(stream, how)
    name, word = probe.target.account(1)
    return stream.scram(how, user or name, password or word, say=stream.say, **more)


for how in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
    # Holds 6120:6.2/1 6120:13.5/1 6120:13.6/1 6120:13.6/3 6120:13.8.1/1 6120:feature/sasl-support.
    add(f"scram.success-{how[6:].lower()}", "RFC 5802 s5" if how[6:] == "SHA-1" else "RFC 7677 s3", "MUST",
        f"{how} succeeds, and the server proves that it knows the password.", "success", "", lambda probe, how=how: scram(probe,
        how))
# Holds 6120:6.4.5/1 6120:feature/sasl-errors.
# Holds sasl:not-authorized - a wrong password.
add("scram.wrong", "RFC 6120 s6.5.10", "MUST", "A wrong password is answered by not-authorized.", "sasl:not-authorized", "",
    lambda probe: scram(probe, password="wrong"))
# Holds sasl:not-authorized - an unknown user.
add("scram.unknown", "RFC 6120 s6.5.10", "MUST", "So is an unknown user.", "sasl:not-authorized", "",
    lambda probe: scram(probe, user="nobody-here"))


def challenge(stream, user):
    exchange = mechanism.Exchange(best(stream), user, "x")
    stream.push(stream.auth(best(stream), exchange.first()))
    word = stream.outcome()
    if word == "challenge":
        exchange.read(stream.sasl_data())
    return word, exchange


@case("scram.unknown-alike", "RFC 6120 s6.5.10", "SHOULD", "An unknown user is challenged as a known one is, alike each time.",
      "alike", "differs varies")
def _(probe):
    known, first = challenge(probe.secure(), probe.target.account(1)[0])
    unknown, second = challenge(probe.secure(), "nobody-here")
    if known != unknown or first.iterations != second.iterations or len(first.salt) != len(second.salt):
        return "differs"
    _, third = challenge(probe.secure(), "nobody-here")
    return "alike" if third.salt == second.salt else "varies"


@case("scram.iterations", "RFC 5802 s5.1", "SHOULD", "4096 iterations at least are announced.", "enough", "few")
def _(probe):
    _, exchange = challenge(probe.secure(), probe.target.account(1)[0])
    return "enough" if exchange.iterations >= 4096 else "few"


# Holds 6120:6.4.3/1.
@case("scram.nonce", "RFC 5802 s5.1", "MUST", "The server's part of the nonce differs each time.", "different")
def _(probe):
    parts = []
    for _ in range(2):
        stream = started(probe)
        nonce, _ = stream.exchange.read(stream.sasl_data())
        parts.append(nonce[len(stream.exchange.nonce):])
    return "different" if parts[0] != parts[1] and len(parts[0]) >= 8 else "same"


FIRST = (("no-header", "the GS2 header is missing", "n={user},r=abcdefgh"), ("flag", "the flag is none of n, y, p",
    "x,,n={user},r=abcdefgh"),
         ("no-nonce", "the nonce is missing", "n,,n={user}"), ("empty-nonce", "the nonce is empty", "n,,n={user},r="),
         ("no-name", "the name is missing", "n,,r=abcdefgh"), ("empty-name", "the name is empty", "n,,n=,r=abcdefgh"),
         ("order", "the nonce precedes the name", "n,,r=abcdefgh,n={user}"),
         ("escape", "= is followed by neither 2C nor 3D", "n,,n={user}=3X,r=abcdefgh"),
         ("mandatory", "a mandatory extension is not understood", "n,,m=x,n={user},r=abcdefgh"),
         ("authzid", "the authzid has no a=", "n,{user},n={user},r=abcdefgh"), ("binding-name", "p= names no type",
         "p=,,n={user},r=abcdefgh"))
for name, requirement, text in FIRST:
    auth_case(f"scram.first-{name}", "RFC 5802 s5.1" if name in ("escape", "mandatory") else "RFC 5802 s7", "MUST",
              f"The first message is refused if {requirement}.", "sasl:malformed-request sasl:not-authorized" if name in
              ("escape", "mandatory", "flag", "binding-name") else "sasl:malformed-request", REFUSED,
              lambda probe, stream, text=text: stream.auth(best(stream), text.format(user=probe.target.account(1)[0]).encode()))
add("scram.extension", "RFC 5802 s5.1", "MUST", "Unknown optional extensions in the first message are ignored.", "success", "",
    lambda probe: scram(probe, extension=",z=probe"))
add("scram.extension-final", "RFC 5802 s5.1", "MUST", "Unknown optional extensions in the final message are ignored.", "success",
    "",
    lambda probe: scram(probe, final_extension=",z=probe"))


def final_case(ident, requirement, section="RFC 5802 s5.1", prefer="sasl:not-authorized sasl:malformed-request", weak=REFUSED,
    **more):
    def run(probe):
        stream = started(probe)
        message = stream.exchange.final(stream.sasl_data(), **more)
        stream.say(stream.response(message))
        return stream.outcome()
    add(ident, section, "MUST", requirement, prefer, weak, run)


final_case("scram.final-nonce", "Another nonce in the final message is refused.", nonce="abcdefghijklmnop")
final_case("scram.final-header", "A GS2 header in c= that differs from the first message's is refused.", "RFC 5802 s6",
    gs2="y,,")
final_case("scram.final-header-more", "Binding data in c= without the flag p is refused.", "RFC 5802 s7", gs2="n,,probe")
final_case("scram.final-no-proof", "A final message without proof is refused.", "RFC 5802 s7",
    cut=lambda text: text.rpartition(",p=")[0])
final_case("scram.final-no-binding", "A final message without c= is refused.", "RFC 5802 s7",
    cut=lambda text: text.partition(",")[2])
final_case("scram.final-short-proof", "A proof of another length is refused.", "RFC 5802 s7",
           cut=lambda text: text.rpartition(",p=")[0] + ",p=" + b64(b"x" * 8))
final_case("scram.final-base64", "A proof that is no base64 is refused.", "RFC 5802 s7",
    cut=lambda text: text.rpartition(",p=")[0] + ",p=!!!!")
final_case("scram.final-behind", "Nothing may follow the proof.", "RFC 5802 s7", cut=lambda text: text + ",z=1")

# ---- channel binding ----


@case("binding.y", "RFC 5802 s6", "MUST", "Flag y fails where -PLUS was offered: somebody took it out of the list.", REFUSED)
def _(probe):
    stream = probe.secure()
    how = best(stream)
    if how + "-PLUS" not in stream.mechanisms():
        raise Skip(f"{how}-PLUS is not offered")
    return stream.scram(how, *probe.target.account(1), say=stream.say, gs2="y")


@case("binding.y-without", "RFC 5802 s6", "MUST", "Flag y succeeds where channel binding is not supported.", "success")
def _(probe):
    stream = probe.secure()
    how = best(stream)
    if any(name.endswith("-PLUS") for name in stream.mechanisms()):
        raise Skip("channel binding is supported")
    return stream.scram(how, *probe.target.account(1), say=stream.say, gs2="y")


def bound(probe, kind, version, spoil=lambda data: data, how=None):
    stream = probe.secure(version)
    how = how or offer(stream, "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS")
    offer(stream, how)
    data = mechanism.binding_data(stream.wire.tls, kind)
    if data is None:
        raise Skip(f"Python's ssl does not give {kind}" if kind != "tls-server-end-point" else "undefined for this certificate")
    word = stream.scram(how, *probe.target.account(1), say=stream.say, binding=(kind, spoil(data)))
    return f"unlisted-{word}" if kind not in (stream.bindings() or []) and word != "success" else word


OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
# Holds 6120:13.6/1.
add("binding.end-point", "RFC 5929 s4.1", "MUST", "tls-server-end-point works on TLS 1.3.", "success", "unlisted-sasl:*",
    lambda probe: bound(probe, "tls-server-end-point", NEW))
add("binding.end-point-1.2", "RFC 5929 s4.1", "MUST", "tls-server-end-point works on TLS 1.2.", "success", "unlisted-sasl:*",
    lambda probe: bound(probe, "tls-server-end-point", OLD))
# Holds 6120:13.8.1/1 6120:feature/security-mti-auth-scram.
add("binding.end-point-sha-1", "RFC 5929 s4.1", "MUST", "tls-server-end-point works with SCRAM-SHA-1-PLUS.", "success",
    "unlisted-sasl:*",
    lambda probe: bound(probe, "tls-server-end-point", NEW, how="SCRAM-SHA-1-PLUS"))
add("binding.unique", "RFC 5802 s6.1", "MUST", "tls-unique works on TLS 1.2.", "success", "", lambda probe: bound(probe,
    "tls-unique", OLD))
add("binding.unique-1.3", "RFC 9266 s3", "MUST", "tls-unique is not defined for TLS 1.3 and fails there.", REFUSED, "",
    lambda probe: bound(probe, "tls-unique", NEW))
add("binding.exporter", "RFC 9266 s2", "MUST", "tls-exporter works on TLS 1.3.", "success", "", lambda probe: bound(probe,
    "tls-exporter", NEW))
add("binding.wrong-data", "RFC 5802 s6", "MUST", "Wrong binding data fails.", REFUSED, "",
    lambda probe: bound(probe, "tls-server-end-point", NEW, lambda data: bytes(len(data))))
add("binding.no-data", "RFC 5802 s7", "MUST", "Flag p without binding data fails.", REFUSED, "",
    lambda probe: bound(probe, "tls-server-end-point", NEW, lambda data: b""))


@case("binding.unknown-type", "RFC 5802 s6", "MUST", "A binding type that the server does not support fails.", REFUSED)
def _(probe):
    stream = probe.secure()
    how = offer(stream, "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS")
    return stream.scram(how, *probe.target.account(1), say=stream.say, binding=("tls-probe", b"x" * 32))


@case("binding.plus-without", "RFC 5802 s6", "MUST", "A -PLUS mechanism with the flag n does not bind and is refused.", REFUSED,
    "success")
def _(probe):
    stream = probe.secure()
    how = offer(stream, "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS")
    return stream.scram(how, *probe.target.account(1), say=stream.say)


@case("binding.types", "XEP-0440 s2", "MAY", "The types that are supported are listed where -PLUS is offered.", "listed",
    "absent")
def _(probe):
    stream = probe.secure()
    if not any(name.endswith("-PLUS") for name in stream.mechanisms()):
        raise Skip("no -PLUS mechanism is offered")
    return "listed" if stream.bindings() and all(stream.bindings()) else "absent"


@case("binding.types-end-point", "XEP-0440 s3", "MUST", "tls-server-end-point is among them.", "listed")
def _(probe):
    found = probe.secure().bindings()
    if found is None:
        raise Skip("no types are listed")
    return "listed" if "tls-server-end-point" in found else "missing"


@case("binding.types-1.3", "RFC 9266 s3", "SHOULD", "On TLS 1.3 tls-exporter is among them and tls-unique is not.", "right",
    "no-exporter")
def _(probe):
    found = probe.secure(NEW).bindings()
    if found is None:
        raise Skip("no types are listed")
    return "unique" if "tls-unique" in found else "right" if "tls-exporter" in found else "no-exporter"


@case("binding.types-1.2", "RFC 5802 s6.1", "MUST", "On TLS 1.2 tls-unique is among them.", "listed")
def _(probe):
    found = probe.secure(OLD).bindings()
    if found is None:
        raise Skip("no types are listed")
    return "listed" if "tls-unique" in found else "missing"


# ---- retries (s6.4.5) ----

@case("retry.success", "RFC 6120 s6.4.5", "SHOULD", "After a wrong password the right one succeeds on the same stream.",
    "success", "stream:*")
def _(probe):
    stream = probe.secure()
    how, (name, password) = best(stream), probe.target.account(1)
    word = stream.scram(how, name, "wrong", say=stream.say)
    return stream.scram(how, name, password, say=stream.say) if word.startswith("sasl:") else word


# Holds 6120:6.4.5/2 6120:13.9.4/1.
# Holds stream:policy-violation - more failed logins than sasl.attempts_max.
@case("retry.limit", "RFC 6120 s6.4.5", "MUST", "Too many failures end the stream with policy-violation, after 2 to 5 retries.",
      "stream:policy-violation", "stream:not-authorized early-* late-*")
def _(probe):
    stream = probe.secure()
    offer(stream, "PLAIN")
    for count in range(1, 12):
        word = stream.plain("nobody-here", "wrong", say=stream.say)
        if word.startswith("sasl:"):
            continue
        retries = count - 1 if stream.events or word.startswith("stream") else count
        if word not in ("stream:policy-violation", "stream:not-authorized"):
            return word
        return word if 2 <= retries <= 6 else f"{'early' if retries < 2 else 'late'}-{word[7:]}"
    return "endless"


# ---- resource binding (s7) ----

# Holds 6120:7.1/2 6120:7.2/1 6120:7.6/1 6120:7.6/2 6120:feature/bind-gen 6120:feature/bind-support.
@case("bind.generated", "RFC 6120 s7.6", "MUST", "The server makes a random resourcepart.", "random")
def _(probe):
    found = []
    for _ in range(3):
        stream = probe.authenticated()
        if stream.bind() != "result":
            return "refused"
        found.append(stream.jid.partition("/")[2])
    width = min(map(len, found))
    alike = sum(len({one[i] for one in found}) == 1 for i in range(width))
    return "random" if len(set(found)) == 3 and width - alike >= 6 else "alike"


# Holds 6120:4.3.6/1 6120:4.3.6/3 6120:7.6.1/1.
@case("bind.jid", "RFC 6120 s7.6.1", "MUST", "The full JID is that of the account.", "own")
def _(probe):
    stream = probe.authenticated()
    stream.bind()
    return "own" if stream.jid and stream.jid.partition("/")[0] == probe.target.bare(1).lower() else f"jid={stream.jid}"


def bind(probe, resource):
    """"as-asked", "changed" or the error."""
    stream = probe.authenticated()
    stream.sent.append(f"bind with {resource[:40]!a}")
    word = stream.bind(resource)
    return word if word != "result" else "as-asked" if stream.jid.partition("/")[2] == resource else "changed"


# Holds 6120:4.3.6/4 6120:7.2/1 6120:feature/bind-support.
add("bind.requested", "RFC 6120 s7.7.1", "SHOULD", "A resourcepart that the client submits is accepted as it is.", "as-asked",
    "changed",
    lambda probe: bind(probe, f"Probe {probe.number}"))
add("bind.separators", "RFC 7622 s3.4", "SHOULD", "/ and @ are allowed in a resourcepart.", "as-asked", "changed",
    lambda probe: bind(probe, f"a/b@c/{probe.number}"))
add("bind.unicode", "RFC 7622 s3.4", "SHOULD", "Symbols are allowed in a resourcepart.", "as-asked", "changed",
    lambda probe: bind(probe, f"\u265a \u03a3 {probe.number}"))
add("bind.1023", "RFC 7622 s3.4", "SHOULD", "A resourcepart of 1023 octets is allowed.", "as-asked", "changed",
    lambda probe: bind(probe, "r" * 1023))
# Holds 6120:4.3.6/6.
add("bind.1024", "RFC 6120 s7.7.2.1", "MUST", "One of 1024 octets is not: another one is made, or bad-request.",
    "changed stanza:bad-request stanza:jid-malformed", "stanza:*", lambda probe: bind(probe, "r" * 1024))
add("bind.empty", "RFC 6120 s7.7.2.1", "SHOULD", "For an empty one the server makes another.", "changed",
    "stanza:bad-request stanza:jid-malformed", lambda probe: bind(probe, ""))
add("bind.control", "RFC 6120 s7.7.2.1", "SHOULD", "For one with a control character (U+0085) the server makes another.",
    "changed",
    "stanza:bad-request stanza:jid-malformed", lambda probe: bind(probe, "a\u0085b"))
add("bind.ignorable", "RFC 6120 s7.7.2.1", "SHOULD", "For one with an ignorable character (U+200B) likewise.", "changed",
    "stanza:bad-request stanza:jid-malformed", lambda probe: bind(probe, "a\u200bb"))


# Holds 6120:4.3.6/6.
@case("bind.normalised", "RFC 7622 s3.4", "MUST", "A resourcepart is normalised to NFC, and foreign blanks to U+0020.",
    "normalised", "changed")
def _(probe):
    stream = probe.authenticated()
    stream.sent.append("bind with e U+0301 U+00A0 x")
    word = stream.bind(f"e\u0301\u00a0x{probe.number}")
    if word != "result":
        return word
    found = stream.jid.partition("/")[2]
    return "normalised" if found == f"\u00e9 x{probe.number}" else "raw" if "\u0301" in found or "\u00a0" in found else "changed"


# Holds 6120:7.5/1.
@case("bind.conflict", "RFC 6120 s7.7.2.2", "MUST",
    "A resourcepart in use is overridden, refused, or taken from the older session.",
      "overridden refused replaced")
def _(probe):
    older = probe.login(resource="conflict")
    newer = probe.authenticated()
    newer.sent.append("bind with the resourcepart of an older session")
    word = newer.bind("conflict")
    if word == "stanza:conflict":
        return "refused" if newer.bind() == "result" else "refused and stuck"
    if word != "result":
        return word
    if newer.jid != older.jid:
        return "overridden"
    word = older.outcome()
    return "replaced" if word == "stream:conflict" else f"both:{word}"


# Holds 6120:7.5/1.
@case("bind.two-sessions", "RFC 6120 s7.1", "SHOULD", "An account may have several connected resources.", "both", "one")
def _(probe):
    first, second = probe.login(), probe.login()
    return "both" if first.jid != second.jid and not first.settle()[0] and not second.settle()[0] else "one"


# Holds stanza:not-allowed - binding a second resource on a stream.
# Holds 6120:7.6.2.2/1.
@case("bind.twice", "RFC 6120 s7.6.2.2", "MUST", "A second binding on a stream is not allowed.", "stanza:not-allowed",
    "stanza:* stream:*")
def _(probe):
    stream = probe.login()
    stream.say(f"<iq type='set' id='m1'><bind xmlns='{BIND}'><resource>second</resource></bind></iq>")
    return stream.outcome("m1")


# Holds 6120:4.3.5/1 6120:7.3.2/1 6120:feature/bind-restart.
@case("bind.quiet", "RFC 6120 s4.3.5", "MUST", "After binding the server neither restarts the stream nor offers more features.",
      "silence")
def _(probe):
    return probe.login().outcome(wait=0.3)


# Holds 6120:7.3.2/1 6120:feature/bind-restart.
@case("bind.header-after", "RFC 6120 s7.3.2", "MUST", "A header after binding does not restart the stream.", "stream:*", "silence")
def _(probe):
    stream = probe.login()
    stream.say(stream.head(declaration="") + "</stream:stream>")
    return stream.outcome(wait=1)


# Holds 6120:4.3.5/3 6120:4.9.3.12/1 6120:7.1/3 6120:7.3.1/1 6120:13.12/1 6120:feature/stream-negotiation-complete.
# Holds stream:not-authorized - stanzas before binding.
@case("bind.stanza-before", "RFC 6120 s7.1", "MUST",
    "A stanza to another before binding is answered by not-authorized, and not processed.",
      "stream:not-authorized")
def _(probe):
    other = probe.login(2, available=True)
    stream = probe.authenticated()
    stream.say(f"<message to='{other.jid}' id='m1' type='chat'><body>x</body></message>")
    word = stream.outcome()
    words, _ = other.settle()
    return "delivered" if "message" in words else word


@case("bind.request-before", "RFC 6120 s7.1", "MAY", "A request to the server before binding is answered or refused.",
      "result stanza:* stream:not-authorized", "stream:*")
def _(probe):
    stream = probe.authenticated()
    stream.say(f"<iq type='get' id='m1' to='{probe.domain}'><ping xmlns='urn:xmpp:ping'/></iq>")
    return stream.outcome("m1")


@case("bind.get", "RFC 6120 s7.6.1", "MUST", "A binding of type get is refused, and another attempt is allowed (s7.7.3).",
      "retried", "stream:* result")
def _(probe):
    stream = probe.authenticated()
    stream.say(f"<iq type='get' id='m1'><bind xmlns='{BIND}'/></iq>")
    word = stream.outcome("m1")
    if not word.startswith("stanza:"):
        return word
    return "retried" if stream.bind() == "result" else "stuck"


@case("bind.id", "RFC 6120 s8.1.3", "MUST", "The id of the binding request is kept, whatever it is.", "kept")
def _(probe):
    stream = probe.authenticated()
    ident = "a&b<'\"> \u00e9"
    stream.say(f"<iq type='set' id='{escape(ident)}'><bind xmlns='{BIND}'/></iq>")
    word = stream.outcome()
    return word if word != "result" else "kept" if stream.last.get("id") == ident else "changed"
