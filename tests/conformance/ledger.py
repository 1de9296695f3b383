# SPDX-License-Identifier: MIT
"""Cases, their verdicts and what they run against."""
import contextlib
import fnmatch
import pathlib
import re
import select
import ssl
import sys
import time

import mechanism
import speaker
from speaker import Skip, Stream, Wire, Wrong

CASES = []


def place():
    """(file, line) of the statement that makes a case: tags stand above it (report.py)."""
    frame = sys._getframe(1)
    while frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return pathlib.Path(frame.f_code.co_filename).name, frame.f_lineno


class Case:
    def __init__(self, ident, section, level, requirement, prefer, weak, run):
        self.id, self.section, self.level, self.requirement = ident, section, level, requirement
        self.prefer, self.weak, self.run = prefer.split(), weak.split(), run
        self.place = place()

    def verdict(self, word):
        if any(fnmatch.fnmatchcase(word, pattern) for pattern in self.prefer):
            return "pass"
        return "weak" if any(fnmatch.fnmatchcase(word, pattern) for pattern in self.weak) else "fail"


def case(ident, section, level, requirement, prefer, weak=""):
    """The function returns a word for what happened; prefer and weak are patterns of allowed words."""
    def register(run):
        assert all(known.id != ident for known in CASES), ident
        CASES.append(Case(ident, section, level, requirement, prefer, weak, run))
        return run
    return register


def add(ident, section, level, requirement, prefer, weak, run):
    case(ident, section, level, requirement, prefer, weak)(run)


class Target:
    """The server under test."""

    def __init__(self, host, port, tls_port, domain, accounts, authority=None, insecure=False):
        self.host, self.port, self.tls_port, self.domain = host, port, tls_port, domain
        self.accounts, self.authority, self.insecure = accounts, authority, insecure
        self.contexts = {}

    def account(self, n):
        if n > len(self.accounts):
            raise Skip("no second account was given")
        return self.accounts[n - 1]

    def bare(self, n):
        return f"{self.account(n)[0]}@{self.domain}"

    def context(self, version=None):
        if version not in self.contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            else:
                context.load_default_certs()
                if self.authority:
                    context.load_verify_locations(self.authority)
            if version:
                context.minimum_version = context.maximum_version = version
            self.contexts[version] = context
        return self.contexts[version]


class Probe:
    """What one case works with; every connection it makes is closed behind it."""

    def __init__(self, target, number):
        self.target, self.number = target, number
        self.streams = []
        self.domain = target.domain

    def connect(self, tls=False):
        if tls and not self.target.tls_port:
            raise Skip("no port for direct TLS was given")
        wire = Wire(self.target.host, self.target.tls_port if tls else self.target.port)
        self.streams.append(Stream(self.target, wire))
        return self.streams[-1]

    def plain(self, **more):
        return self.connect().open(**more)

    def secure(self, version=None, **more):
        """Under TLS, features read."""
        stream = self.plain()
        if stream.feature(speaker.TLS, "starttls") is None:
            raise Skip("the server offers no STARTTLS")
        return stream.start_tls(version).open(**more)

    def authenticated(self, user=1, how=None, **more):
        return self.secure().authenticate(user, how).open(**more)

    def login(self, user=1, resource=None, available=False, **more):
        stream = self.authenticated(user, **more)
        word = stream.bind(resource or f"p{self.number}u{user}n{len(self.streams)}")
        if word != "result":
            raise Wrong(f"setup: bind: {word}")
        if available:
            stream.push("<presence/>")
            stream.settle()
        return stream

    def pair(self, available=False, **more):
        """Sessions of both accounts."""
        self.target.account(2)
        return self.login(1, **more), self.login(2, available=available)

    def deliver(self, sender, receiver, xml, ident="m1"):
        """What became of xml, which holds id ident: delivered, ignored, or the sender's word. A message behind it to the
        receiver's full JID marks the end (RFC 6120 s10.1, s10.5.4)."""
        marker = f"mark{len(sender.sent)}-{ident}"
        sender.say(xml)
        sender.push(f"<message type='chat' id='{marker}' to='{speaker.escape(receiver.jid)}'><body>.</body></message>")
        until, verdict, self.last = time.monotonic() + speaker.WAIT, None, None
        while time.monotonic() < until:
            for stream in (receiver, sender):
                while stream.events or stream.pump(0):
                    word = self.arrival(stream, receiver, ident, marker)
                    if word == "delivered":
                        return word
                    if verdict in (None, "ignored"):  # the marker may overtake an error: it takes another way
                        verdict = word or verdict
                    if verdict and stream.has_ended:
                        break
            if verdict == "ignored":
                return sender.fate(ident)
            if verdict:
                until = min(until, time.monotonic() + 0.1)
            select.select([stream.wire.socket for stream in {sender, receiver} if not stream.has_ended], [], [], 0.02)
        return verdict or "silence"

    def arrival(self, stream, receiver, ident, marker):
        found = stream.event(0)
        if found is None:
            return None
        kind, element = found
        if kind == "element" and speaker.space(element) == speaker.CLIENT:
            is_error = element.get("type") == "error"
            if stream is receiver and not is_error and element.get("id") == ident:
                self.last = element
                return "delivered"
            if stream is receiver and not is_error and element.get("id") == marker:
                return "ignored"
            if element.get("id") == ident and is_error:
                self.last = element
                return stream.word(kind, element)
            return None
        return stream.word(kind, element) if stream is not receiver or kind != "element" else None

    def sent(self):
        return [text for stream in self.streams for text in stream.sent]

    def close(self):
        for stream in self.streams:
            with contextlib.suppress(OSError):
                stream.close()


def run(one, target, number):
    """A row of the report."""
    probe = Probe(target, number)
    begin = time.monotonic()
    word, reason = None, ""
    try:
        word = one.run(probe)
        verdict = one.verdict(word)
    except Skip as skip:
        verdict, reason = "skip", str(skip)
    except (Wrong, mechanism.Mistake) as wrong:
        verdict, reason = "fail", str(wrong)
    except (OSError, ssl.SSLError) as error:
        verdict, reason = "fail", f"{type(error).__name__}: {error}"
    finally:
        probe.close()
    return {"id": one.id, "section": one.section, "level": one.level, "requirement": one.requirement,
            "sent": probe.sent(), "accepted": one.prefer, "accepted_weakly": one.weak, "observed": word,
            "verdict": verdict, "reason": reason, "seconds": round(time.monotonic() - begin, 3)}


def chapter(section):
    """Where a row is counted: "RFC 6120 s4", "RFC 7622", "XEP-0440"."""
    found = re.match(r"(RFC 6120) s(\d+)|(RFC \d+|XEP-\d+)", section)
    return f"{found.group(1)} s{found.group(2)}" if found.group(1) else found.group(3)
