# SPDX-License-Identifier: MIT
"""RFC 7622: what is an address, and which two are one."""
from cases_stanza import UNKNOWN, iq, message
from ledger import add, case

VALID = "stanza:service-unavailable"
MALFORMED = "stanza:jid-malformed"
OTHER = "stanza:bad-request"  # refused, but by another condition than s4 names
REMOTE = "stanza:remote-server-not-found"
REMOTE_WEAK = "stanza:remote-server-timeout stanza:not-allowed stanza:service-unavailable silence"


def asked(ident, section, level, requirement, prefer, weak, build):
    """A request of an unknown namespace to the address."""
    def run(probe):
        stream = probe.login()
        stream.say(iq("get", build(probe.target), UNKNOWN))
        return stream.outcome("m1", wait=1.5)
    add(ident, section, level, requirement, prefer, weak, run)


def reaches(ident, section, level, requirement, build, prefer="delivered", weak="", resource=None):
    """A message to another spelling of the address of account 2's session."""
    def run(probe):
        sender, receiver = probe.login(1), probe.login(2, resource, available=True)
        return probe.deliver(sender, receiver, message(build(probe.target, receiver)))
    add(ident, section, level, requirement, prefer, weak, run)


def wide(text):
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


# ---- one and the same ----

reaches("jid.case-local", "RFC 7622 s3.3", "MUST", "The localpart is case-mapped: bare JID in capitals.",
        lambda t, r: t.bare(2).replace(t.account(2)[0], t.account(2)[0].upper()))
reaches("jid.case-local-full", "RFC 7622 s3.3", "MUST", "The same with the resource.",
        lambda t, r: r.jid.replace(t.account(2)[0] + "@", t.account(2)[0].upper() + "@"))
# Holds 7622:3.2.2/1 7622:3.2.3/1.
reaches("jid.case-domain", "RFC 7622 s3.2.2", "MUST", "So is the domainpart.", lambda t,
    r: f"{t.account(2)[0]}@{t.domain.upper()}")
reaches("jid.wide-local", "RFC 7622 s3.3", "MUST", "Fullwidth letters of a localpart are mapped.", lambda t,
    r: f"{wide(t.account(2)[0])}@{t.domain}")
# Holds 7622:3.2.2/1 7622:3.2.3/1.
reaches("jid.wide-domain", "RFC 7622 s3.2.2", "MUST", "Fullwidth letters of a domainpart are mapped.",
        lambda t, r: f"{t.account(2)[0]}@{wide(t.domain).replace(chr(0xFF0E), '.')}")
# Holds 7622:3.2/3.
reaches("jid.dot", "RFC 7622 s3.2", "MUST", "A final dot of the domainpart is stripped.", lambda t, r: t.bare(2) + ".")
reaches("jid.dot-full", "RFC 7622 s3.2", "MUST", "The same with a resource.", lambda t, r: r.jid.replace("/", "./", 1))
reaches("jid.resource-nfc", "RFC 7622 s3.4", "MUST", "A resourcepart is normalised to NFC.", lambda t,
    r: t.bare(2) + "/caf" + "e\u0301-n",
        resource="caf\u00e9-n")
reaches("jid.resource-blank", "RFC 7622 s3.4", "MUST", "Foreign blanks in a resourcepart are U+0020.", lambda t,
    r: t.bare(2) + "/a\u3000b-s",
        resource="a b-s")
reaches("jid.resource-slash", "RFC 7622 s3.2", "MUST", "The first / ends the domainpart; / and @ may follow it.", lambda t,
    r: t.bare(2) + "/x/y@z",
        resource="x/y@z")


@case("jid.resource-case", "RFC 7622 s3.4", "MUST", "A resourcepart is not case-mapped.", "stanza:service-unavailable",
    "stanza:*")
def _(probe):
    sender, receiver = probe.login(1), probe.login(2, "lower-case", available=True)
    return probe.deliver(sender, receiver, iq("get", receiver.jid.replace("lower-case", "LOWER-case"), UNKNOWN))


@case("jid.resource-width", "RFC 7622 s3.4", "MUST", "A resourcepart is not width-mapped.", "stanza:service-unavailable",
    "stanza:*")
def _(probe):
    sender, receiver = probe.login(1), probe.login(2, "width", available=True)
    return probe.deliver(sender, receiver, iq("get", receiver.jid.replace("width", wide("width")), UNKNOWN))


# ---- allowed ----

for name, requirement, build in (
        ("1023", "A localpart of 1023 octets", lambda t: "l" * 1023 + "@" + t.domain),
        ("sharp-s", "U+00DF in a localpart", lambda t: f"fu\u00dfball@{t.domain}"),
        ("greek", "Greek letters in a localpart", lambda t: f"\u03c0@{t.domain}"),
        ("hebrew", "A localpart from right to left", lambda t: f"\u05d0\u05d1@{t.domain}"),
        ("punctuation", "ASCII punctuation in a localpart", lambda t: f"a.b-c_d+e!#$%*=?^`{{|}}~;,()[]\\@{t.domain}"),
        ("resource-1023", "A resourcepart of 1023 octets", lambda t: t.bare(1) + "/" + "r" * 1023),
        ("resource-symbol", "A symbol in a resourcepart", lambda t: t.bare(1) + "/\u265a"),
        ("resource-blank-inside", "A blank in a resourcepart", lambda t: t.bare(1) + "/foo bar")):
    asked(f"jid.valid-{name}", "RFC 7622 s3.4" if name.startswith("resource") else "RFC 7622 s3.3", "MUST",
        f"{requirement} is allowed.",
          VALID, "", build)
for name, requirement, build in (
        ("idn", "An internationalised domainpart", "a@b\u00fccher.invalid"), ("a-label", "An A-label, to be converted",
        "a@xn--bcher-kva.invalid"),
        ("ipv4", "An IPv4 address", "a@192.0.2.1"), ("ipv6", "An IPv6 address", "a@[2001:db8::1]"),
        ("label-63", "A label of 63 octets", "a@" + "d" * 63 + ".invalid")):
    asked(f"jid.domain-{name}", "RFC 7622 s3.2", "MUST", f"{requirement} is a domainpart.", REMOTE, REMOTE_WEAK, lambda t,
        to=build: to)

# ---- not allowed ----

for name, character in (("quote", '"'), ("ampersand", "&"), ("apostrophe", "'"), ("colon", ":"), ("less", "<"), ("greater",
    ">")):
    asked(f"jid.local-{name}", "RFC 7622 s3.3.1", "MUST", f"{character} is not allowed in a localpart.", MALFORMED, OTHER,
          lambda t, c=character: f"a{c}b@{t.domain}")
# Holds 7622:4/1.
for name, requirement, section, build in (
        ("local-blank", "A blank in a localpart", "s3.3", lambda t: f"a b@{t.domain}"),
        ("local-control", "A control character (U+0085) in a localpart", "s3.3", lambda t: f"a\u0085b@{t.domain}"),
        ("local-symbol", "A symbol (U+265A) in a localpart", "s3.3", lambda t: f"king\u265a@{t.domain}"),
        ("local-roman", "U+2163, which has a compatibility form", "s3.3", lambda t: f"henry\u2163@{t.domain}"),
        ("local-ignorable", "An ignorable character (U+200B) in a localpart", "s3.3", lambda t: f"a\u200bb@{t.domain}"),
        ("local-unassigned", "An unassigned code point (U+0378) in a localpart", "s3.3", lambda t: f"a\u0378b@{t.domain}"),
        ("local-private", "A private code point (U+E000) in a localpart", "s3.3", lambda t: f"a\ue000b@{t.domain}"),
        ("local-bidi", "A localpart of both directions", "s3.3", lambda t: f"a\u05d0b@{t.domain}"),
        # Holds 7622:3.3/1 7622:feature/address-localpart-length.
        ("local-empty", "An empty localpart", "s3.3", lambda t: "@" + t.domain),
        # Holds 7622:3.3/1 7622:feature/address-localpart-length.
        ("local-1024", "A localpart of 1024 octets", "s3.3", lambda t: "l" * 1024 + "@" + t.domain),
        ("local-1024-utf8", "A localpart of 1024 octets in 512 characters", "s3.3", lambda t: "\u03c0" * 512 + "@" + t.domain),
        ("two-at", "A second @ in front of the resource", "s3.2", lambda t: f"a@b@{t.domain}"),
        # Holds 7622:3.4/1 7622:feature/address-resource-length.
        ("resource-empty", "An empty resourcepart", "s3.4", lambda t: t.bare(1) + "/"),
        ("resource-domain-empty", "An empty resourcepart of a domain", "s3.4", lambda t: t.domain + "/"),
        # Holds 7622:3.4/1 7622:feature/address-resource-length.
        ("resource-1024", "A resourcepart of 1024 octets", "s3.4", lambda t: t.bare(1) + "/" + "r" * 1024),
        ("resource-control", "A control character (U+0085) in a resourcepart", "s3.4", lambda t: t.bare(1) + "/a\u0085b"),
        ("resource-ignorable", "An ignorable character (U+200B) in a resourcepart", "s3.4", lambda t: t.bare(1) + "/a\u200bb"),
        ("resource-unassigned", "An unassigned code point (U+0378) in a resourcepart", "s3.4",
        lambda t: t.bare(1) + "/a\u0378b"),
        # Holds 7622:3.2/1 7622:3.2/5 7622:feature/address-domain-length.
        ("no-domain", "No domainpart", "s3.2", lambda t: "a@"),
        ("no-domain-resource", "No domainpart, but a resource", "s3.2", lambda t: "a@/r"),
        ("only-resource", "Nothing but a resource", "s3.2", lambda t: "/r")):
    asked(f"jid.{name}", f"RFC 7622 {section}", "MUST", f"{requirement} is malformed.", MALFORMED, OTHER, build)
for name, requirement, to in (
        ("domain-blank", "A blank", "a@b c.invalid"), ("domain-symbol", "A symbol (U+2603)", "a@\u2603.invalid"),
        ("domain-empty-label", "An empty label", "a@b..invalid"), ("domain-hyphen", "A label that begins with a hyphen",
        "a@-b.invalid"),
        ("domain-label-64", "A label of 64 octets", "a@" + "d" * 64 + ".invalid"),
        # Holds 7622:3.2/5 7622:feature/address-domain-length.
        ("domain-1024", "1024 octets", "a@" + ("d" * 60 + ".") * 17 + "invalid"),
        ("domain-bad-a-label", "An A-label that decodes to nothing", "a@xn--0.invalid"),
        ("domain-only-dot", "A fullwidth dot alone", "a@\uff0e")):
    asked(f"jid.{name}", "RFC 7622 s3.2", "MUST", f"{requirement} in a domainpart is malformed.", MALFORMED,
        OTHER + " " + REMOTE + " " + REMOTE_WEAK,
          lambda t, to=to: to)


@case("jid.error-keeps-session", "RFC 6120 s8.3", "MUST", "A malformed address does not end the stream.", "alive")
def _(probe):
    stream = probe.login()
    stream.say(message("a b@c d@e"))
    stream.settle()
    words, _ = stream.settle()
    return "ended" if words else "alive"


@case("jid.message-upper", "RFC 7622 s3.5", "MUST", "A message to the own address in capitals comes back.", "delivered")
def _(probe):
    stream = probe.login()
    name = probe.target.account(1)[0]
    return probe.deliver(stream, stream, message(stream.jid.replace(name + "@" + probe.domain,
        (name + "@" + probe.domain).upper())))

