#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Looks at what this router, Debian's prosody and Debian's ejabberd do with streams whose certificate expires, is revoked or
is no longer trusted, and writes the last part of docs/CERTIFICATES.md.

  tests/chains/lifetime.py [--folder DIR] [--server NAME]... [--output FILE]

Each server runs as in field.py, all at a time; the other end is tests/integration/neighbour.py, certificates are answered
for by tests/integration/answers.py. The router is that of $SLUICED, else build/release."""
import argparse
import concurrent.futures
import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(HERE), *(str(ROOT / "tests" / name) for name in ("schema", "integration", "conformance"))]
import answers  # noqa: E402
import field  # noqa: E402
import generate  # noqa: E402
import rivals  # noqa: E402
import throwaway  # noqa: E402
import wire  # noqa: E402
from answers import domain  # noqa: E402
from envoy import context_of  # noqa: E402
from nameserver import NameServer  # noqa: E402
from neighbour import Keeper, Neighbour, Stay  # noqa: E402
from responder import REVOKED, Authority, Responder, key_of, revocation, write_certificate  # noqa: E402

AT_ONCE = 8
LIFE = 20      # seconds, of the certificates that expire
PATIENCE = 30  # seconds that a server has to do something
SERVED, CLIENT = ("dialled", "opened"), "client"
CHANGED = "chang|differ|renew|replace|previous|another|no longer"  # in a line of a log that names the domain


# ---- the servers -----------------------------------------------------------------------------------------------------


class Certified:
    """own: writes its certificate and key, in the folder."""

    def __init__(self, folder, domains, roots, dns, own):
        self.own = own
        super().__init__(folder, domains, roots, dns)


class Sluice(Certified, field.Sluice):
    """certs.interval: seconds instead of a day, since nobody here waits for a day."""
    title, settings, has_external = "sluice", (), True
    wish = ("`s2s.policy = pkix`; `certs.interval = 2s`, which is a day unless told otherwise (nextUpdate is sooner mostly; `certs "
            "check` asks at once); `certs.allow_private = true`, since all is on loopback")

    def start(self):
        self.own(self.folder)
        (self.folder / "authority").mkdir()
        for end in ("pem", "key"):
            shutil.copy(self.folder / f"ca.{end}", self.folder / "authority")
        self.install()
        made = throwaway.start(self.folder, self.domains, port=self.port, users=1, plaintext=True, s2s_port=self.s2s,
                               authority=self.folder / "authority", settings=[
                                   f"s2s.ca={self.roots}", f"s2s.nameservers=127.0.0.1@{self.dns}", "s2s.policy=pkix",
                                   "certs.interval=2s", "certs.fetch_timeout=2s", "certs.allow_private=true",
                                   "timeouts.reset=0s", "tls.client_certificates=optional",
                                   f"tls.client_ca_file={self.roots}", *self.settings])
        self.process = made["process"]

    def install(self):
        for end in ("pem", "key"):
            for name in self.domains:
                shutil.copy(self.folder / f"own.{end}", self.folder / f"{name}.{end}")

    def reload(self):
        with throwaway.Stats(str(self.folder / "stats.sock")) as stats:
            stats.ask("reload")

    def stop(self):
        throwaway.stop(self.folder)


class HardSluice(Sluice):
    title, settings = "sluice, hard", ("certs.revocation=hard", "certs.unchecked=refuse")
    wish = "the same and `certs.revocation = hard`, `certs.unchecked = refuse`"


class Prosody(Certified, field.Prosody):
    title, text = "prosody", field.PROSODY
    wish = "`s2s_require_encryption = true`, `s2s_secure_auth = true`; it has no SASL EXTERNAL for clients"
    has_external = False

    def start(self):
        self.own(self.folder)
        text = self.text.format(**self.values()) + "".join(f'VirtualHost "{name}"\n' for name in self.domains)
        for name in self.domains:
            accounts = self.folder / "data" / name.replace(".", "%2e").replace("-", "%2d") / "accounts"
            accounts.mkdir(parents=True)
            (accounts / "user0.dat").write_text(f'return {{ ["password"] = "{rivals.PASSWORD}"; }};\n')
        self.process = rivals.run_prosody(self.folder, text, self.port)
        rivals.wait_for(self.s2s, self.process, self.folder / "prosody.out")

    def install(self):
        pass

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


class ListProsody(Prosody):
    """LuaSec hands verifyext to OpenSSL, which reads lists from the file of the authorities."""
    title = "prosody, with a list"
    text = field.PROSODY.replace('cafile = "{roots}";', 'cafile = "{roots}"; verifyext = {{ "lsec_continue", '
                                 '"lsec_ignore_purpose", "crl_check" }};')
    wish = ("the same and `ssl.verifyext = { \"lsec_continue\", \"lsec_ignore_purpose\", \"crl_check\" }`, with the authority's "
            "list (CRL) in `ssl.cafile`, written anew and reloaded whenever it changes")
    has_list = True


class Ejabberd(Certified, field.Ejabberd):
    """Reloaded as by ejabberdctl, which would need a node with a name."""
    title, has_external = "ejabberd", True
    wish = ("`s2s_use_starttls: required`, `s2s_cafile`, no `mod_s2s_dialback`; for clients `tls_verify: true` and `cafile`; no "
            "setting is about revocation")
    text = field.EJABBERD.replace("module: ejabberd_c2s}}", 'module: ejabberd_c2s, starttls: true, tls_verify: true, '
                                  'cafile: "{roots}"}}')

    def start(self):
        self.own(self.folder)
        self.install()
        (self.folder / "inetrc").write_text(field.INETRC)
        text = self.text.format(**self.values(), hosts=", ".join(self.domains))
        reloading = (f'spawn(fun() -> R = fun R() -> timer:sleep(100), case file:delete("{self.folder}/reload") of '
                     'ok -> io:format("reload ~p~n", [ejabberd_admin:reload_config()]); _ -> ok end, R() end, R() end).')
        self.process = rivals.run_ejabberd(self.folder, text, [("user0", name) for name in self.domains], self.port,
                                           ["-kernel", "inetrc", f'"{self.folder}/inetrc"', "-eval",
                                            f"inet_db:add_ns({{127,0,0,1}}, {self.dns}).", "-eval", reloading])

    def install(self):
        (self.folder / "both.pem").write_text((self.folder / "own.pem").read_text() + (self.folder / "own.key").read_text())

    def reload(self):
        (self.folder / "reload").write_text("")


SERVERS = (Sluice, HardSluice, Prosody, ListProsody, Ejabberd)


# ---- the other end ---------------------------------------------------------------------------------------------------


class Trial:
    """One server, with an authority of its own. parties: by name; files: what the other end presents."""

    def __init__(self, kind, folder):
        self.kind, self.folder = kind, folder
        self.kinds = (*SERVED, CLIENT) if kind.has_external else SERVED
        folder.mkdir(parents=True)
        self.responder, self.keeper, self.names = Responder(), Keeper(), NameServer()
        self.authority, self.other = Authority(self.responder), Authority(self.responder)
        self.other.party = generate.authority("Another authority", None)
        self.parties, self.cells, self.revoked = {}, answers.cells(self.authority), []
        self.files = folder / "parties"
        self.files.mkdir()
        self.neighbour = Neighbour(self.files, self.keeper, field.WAIT)
        self.names.add_address("localhost")
        for name, cell in self.cells.items():
            self.add(name, cell[0])
        self.revoked = [cell[0] for name, cell in self.cells.items() if cell[1] == "revoked"]
        self.roots = folder / "roots.pem"
        self.write_roots([self.authority, self.other])
        self.home = f"home.{kind.name}.example"
        self.user = f"user0@{self.home}"
        self.server = kind(folder / "server", [self.home], self.roots, self.names.port, self.certify)

    # ---- certificates ----

    def add(self, name, party):
        self.parties[name] = party
        write_certificate(self.files, name, party)
        self.names.add_service("xmpp-server", domain(name), "localhost", self.neighbour.port)

    def issue(self, name, by=None, source="ocsp", **options):
        """One that is answered for: good, until it is revoked."""
        by = by or self.authority
        if name.endswith(CLIENT):
            options["people"] = [self.user]
        party = by.issue(domain(name), **{source: "/list" if source == "crl" else f"/{name}"}, **options)
        if source == "ocsp":
            self.responder.answers[f"/{name}"] = lambda: by.answer(party)
        self.add(name, party)

    def certify(self, folder):
        """The server's own, which is answered for too; with its issuer, as servers want it who staple."""
        party = self.authority.issue(f"*.{self.kind.name}.example", ocsp="/own")
        self.responder.answers["/own"] = lambda: self.authority.answer(party)
        (folder / "own.pem").write_text(generate.pem(party.der) + generate.pem(self.authority.party.der))
        (folder / "own.key").write_bytes(key_of(party))
        return party

    def write_roots(self, authorities):
        """And the list, where the server takes one; with another inode, as one installs a file."""
        text = "".join(generate.pem(one.party.der) for one in authorities)
        if hasattr(self.kind, "has_list"):
            text += "".join(ssl.DER_cert_to_PEM_cert(self.list_of(one)).replace("CERTIFICATE", "X509 CRL") for one in authorities)
        new = self.roots.with_suffix(".new")
        new.write_text(text)
        os.replace(new, self.roots)
        self.authorities = authorities

    def list_of(self, authority):
        revocation.NOW = datetime.datetime.utcnow().replace(microsecond=0)
        return revocation.crl(by=authority.party, revoked=self.revoked if authority is self.authority else [])

    def revoke(self, names):
        for name in names:
            party = self.parties[name]
            self.revoked.append(party)
            self.responder.answers[f"/{name}"] = lambda party=party: self.authority.answer(party, status=REVOKED)
        self.responder.answers["/list"] = self.list_of(self.authority)
        if hasattr(self.kind, "has_list"):
            self.write_roots(self.authorities)
            self.server.reload()

    # ---- streams ----

    def open(self, kind, name):
        if kind == "opened":
            return self.neighbour.visit(name, self.home, self.server.s2s)
        if kind == CLIENT:
            return self.log_in(name)
        client = self.server.log_in(self.home)
        try:
            client.message(f"juliet@{domain(name)}", "but soft")
            return self.neighbour.await_stream(name)
        finally:
            client.close()

    def log_in(self, name):
        """A user's client, by its certificate."""
        client = field.Sender(self.server.port, self.home)
        stay = Stay(client, self.user, self.home)
        try:
            client.open()
            client.start_tls(context_of(self.files, name, False), self.home)
            client.open()
            client.auth("EXTERNAL", self.user.encode())
            kind, value = client.sasl_answer()
            refusal = client.logged_in("user0", kind, value)
            if not refusal:
                client.open()
                client.bind()
                return self.keeper.keep(client, client.jid, self.home)
            stay.over(f"sasl:{refusal}")
        except (OSError, wire.Wrong) as error:
            stay.over("tls" if isinstance(error, ssl.SSLError) else f"ended: {error}")
        client.close()
        return stay

    def open_all(self, wanted):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(wanted, pool.map(lambda one: self.open(*one), wanted)))

    def carries(self, stay, kind, name):
        """Whether a stanza still goes through, on this very stream."""
        if kind == CLIENT:
            return stay.ping()
        body, client = f"t{time.monotonic()}", self.server.log_in(self.home)
        try:
            if kind == "dialled":
                client.message(f"juliet@{domain(name)}", body)
                return stay.wait_for(lambda: any(body in "".join(one.itertext()) for one in stay.heard), 5)
            stay.say(f"<message from='juliet@{domain(name)}' to='{client.jid}' type='chat'><body>{body}</body></message>")
            with contextlib.suppress(TimeoutError):
                return client.body(5) == body
            return False
        finally:
            client.close()

    def outcome(self, stay, kind, name, moment):
        """In words, of a stream that was there at that moment."""
        if stay.word is None:
            return "nothing" + ("" if self.carries(stay, kind, name) else ", but stanzas do not get through")
        if stay.word in ("ended", "closed"):
            return f"{stay.word} without a word after {stay.at - moment:.1f} s"
        return f"`<{stay.word}/>` after {stay.at - moment:.1f} s"

    def word(self, stay):
        """In words, of a stream that was asked for."""
        if stay is None:
            return "no stream"
        if stay.word is None:
            return "let in"
        text = f' "{stay.text}"' if stay.text else ""
        shown = {"closed": "closed unused", "ended": "cut", "silence": "silence", "tls": "TLS ended", "nothing": "left without a way in"}
        return shown.get(stay.word) or (f"SASL `<{stay.word[5:]}/>`" if stay.word.startswith("sasl:") else f"`<{stay.word}/>`") + text

    # ---- the cells ----

    def warm_up(self):
        until = time.monotonic() + field.START_SECONDS
        while True:
            try:
                self.server.log_in(self.home).close()
                return
            except (OSError, wire.Wrong, TimeoutError):
                if time.monotonic() > until:
                    raise throwaway.Trouble(f"{self.kind.title} lets nobody in; see {self.server.folder}") from None
                time.sleep(0.2)

    def judge_answers(self):
        words = {}
        for kind in SERVED:  # not at once: a stream that was opened may serve both ways (XEP-0288)
            stays = self.open_all([(kind, name) for name in self.cells])
            words.update({one: self.word(stay) for one, stay in stays.items()})
            self.leave(stays.values())
        self.found["answers"] = {name: [words[kind, name] for kind in SERVED] for name in self.cells}

    @staticmethod
    def leave(stays):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda stay: stay.leave(), [stay for stay in stays if stay]))

    def pairs(self, *names):
        return [(kind, f"{name}-{kind}") for name in names for kind in self.kinds]

    def tell(self, title, names, stays, moment):
        self.found["lives"][title] = [self.outcome(stays[one], *one, moment(one)) for one in names]

    def end_of(self, name):
        return self.parties[name].certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp()

    def ask_again(self, title, names):
        stays = self.open_all(names)
        self.found["lives"][title] = [self.word(stays[one]) for one in names]

    def run(self):
        self.found = {"answers": {}, "lives": {}}
        self.revoke([])
        for kind in self.kinds:
            for name in ("asked", "calm", "ticket"):
                self.issue(f"{name}-{kind}")
            self.issue(f"listed-{kind}", source="crl")
            self.issue(f"trust-{kind}", by=self.other)
        self.warm_up()
        self.judge_answers()
        for kind in self.kinds:
            self.issue(f"brief-{kind}", seconds=LIFE)
        stays = self.open_all(self.pairs("brief", "asked", "listed", "trust", "calm"))
        missing = [one for one, stay in stays.items() if stay is None or stay.word]
        if missing:
            raise throwaway.Trouble(f"{self.kind.title} did not let in {missing}; see {self.server.folder}")
        self.expire_and_revoke(stays)
        self.come_back()
        self.renew(stays)
        self.distrust(stays)
        self.change(stays)
        return self.found

    def expire_and_revoke(self, stays):
        ticket = self.take_tickets()
        begin = time.time()
        self.revoke([name for _, name in self.pairs("asked", "listed")])
        until = max(self.end_of(name) for _, name in self.pairs("brief")) + PATIENCE
        for one in self.pairs("brief", "asked", "listed"):
            stays[one].wait_for_end(max(0, until - time.time()))
        self.tell("expires", self.pairs("brief"), stays, lambda one: self.end_of(one[1]))
        self.tell("is revoked, says OCSP", self.pairs("asked"), stays, lambda _: begin)
        self.tell("is revoked, says a list", self.pairs("listed"), stays, lambda _: begin)
        self.tell("of another, meanwhile", self.pairs("calm"), stays, lambda _: begin)
        self.use_tickets(ticket)

    def come_back(self):
        self.leave([stay for stay in self.keeper.stays if stay.ours.startswith(("brief", "asked", "listed"))])
        time.sleep(1)
        self.ask_again("expires; a new stream", self.pairs("brief"))
        self.ask_again("is revoked, says OCSP; a new stream", self.pairs("asked"))
        self.ask_again("is revoked, says a list; a new stream", self.pairs("listed"))

    def take_tickets(self):
        """Two streams that we open, by TLS 1.2 and 1.3, with what their sessions could be resumed by."""
        made = {}
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = context_of(self.files, "ticket-opened", False, version)
            stay = self.neighbour.visit("ticket-opened", self.home, self.server.s2s, context)
            time.sleep(0.5)
            made[context] = stay.made.wire.tls.session
            stay.leave()
        return made

    def use_tickets(self, tickets):
        words = []
        for context, session in tickets.items():
            stay = self.neighbour.visit("ticket-opened", self.home, self.server.s2s, context, session)
            words.append("resumed" if stay.made.wire.tls and stay.made.wire.tls.session_reused else "full handshake")
            stay.leave()
        self.found["lives"]["comes back with a session of before (TLS 1.2, 1.3)"] = ["-", ", ".join(words)]

    def renew(self, stays):
        """Our own certificate."""
        person = self.server.log_in(self.home)
        party = self.certify(self.server.folder)
        self.server.install()
        begin = time.time()
        self.server.reload()
        until, seen = time.time() + PATIENCE / 3, None
        while seen != party.der and time.time() < until:
            time.sleep(0.5)
            stay = self.neighbour.visit("good", self.home, self.server.s2s)
            with contextlib.suppress(AttributeError):  # no TLS
                seen = stay.made.wire.tls.getpeercert(True)
            stay.leave()
        self.tell("the server's own is renewed by its issuer and it is reloaded", self.pairs("calm"), stays, lambda _: begin)
        self.found["lives"]["- its users' sessions"] = ["-", "stay" if self.is_well(person) else "are closed"]
        self.found["lives"]["- new streams see"] = ["-", "the new one" if seen == party.der else "the old one"]
        is_stapled = any(self.is_stapled() or time.sleep(1) for _ in range(PATIENCE // 3))
        self.found["lives"]["- with its issuer's answer stapled"] = ["-", "yes" if is_stapled else "no"]

    def is_stapled(self):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.server.s2s}", "-starttls", "xmpp-server", "-xmpphost",
                   self.home, "-status"]
        done = subprocess.run(command, input="", capture_output=True, text=True, timeout=field.WAIT, check=False)
        return "OCSP Response Status: successful" in done.stdout

    @staticmethod
    def is_well(person):
        try:
            person.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", person.domain, 5)
            return True
        except (OSError, wire.Wrong, TimeoutError):
            return False
        finally:
            person.close()

    def distrust(self, stays):
        """Its authority is none any more."""
        time.sleep(1.1)  # times of files are of seconds
        self.write_roots([self.authority])
        begin = time.time()
        self.server.reload()
        for one in self.pairs("trust"):
            stays[one].wait_for_end(max(0, begin + PATIENCE - time.time()))
        self.tell("its authority is taken away and the server reloaded", self.pairs("trust"), stays, lambda _: begin)
        self.tell("of another authority, meanwhile", self.pairs("calm"), stays, lambda _: begin)
        self.leave([stays[one] for one in self.pairs("trust")])
        time.sleep(1)
        self.ask_again("its authority is taken away; a new stream", self.pairs("trust"))

    def change(self, stays):
        """The other server comes back with another key."""
        self.leave([stays[one] for one in self.pairs("calm")])
        for _, name in self.pairs("calm"):
            self.issue(name)
        time.sleep(1)
        before = self.log_lines()
        self.ask_again("another key; a new stream", self.pairs("calm"))
        time.sleep(1)
        said = [line for line in self.log_lines()[len(before):] if "calm-" in line]
        self.found["said"] = said[:40]
        told = [any(name in line and re.search(CHANGED, line) for line in said) for kind, name in self.pairs("calm") if kind in SERVED]
        self.found["lives"]["- the log says that it is another one"] = ["yes" if is_told else "no" for is_told in told]

    def log_lines(self):
        lines = []
        for name in ("sluiced.log", "prosody.log", "ejabberd.log"):
            with contextlib.suppress(OSError):
                lines += (self.server.folder / name).read_text(errors="replace").splitlines()
        return lines

    def stop(self):
        self.keeper.close()
        self.server.stop()
        self.neighbour.close()
        self.names.close()
        self.responder.close()


# ---- the page --------------------------------------------------------------------------------------------------------


HEAD = """{heading}, beside two other servers

*Made by `tests/chains/lifetime.py` (two minutes, all servers at a time). The other end is `tests/integration/neighbour.py`, what
issuers answer is in `tests/integration/answers.py`. `test_lives.py` and `test_certs.py` there hold Sluice to its part in every
run of the checks.*

{date}. Each server trusts the same two authorities, demands TLS and certificates, and believes no dialback:

{wishes}

RFC 6120 s13.7.2.3 has certificates of long-lived streams checked for expiry and revocation for as long as they live, and such a
stream closed with `<reset/>` (s4.9.3.16) where they are no longer good. Seconds count from the event, of expiry from notAfter. A
stream is left alone for {patience} s behind each event: *nothing* means that it was there still and carried a stanza. *Dialled*:
the server opened the stream, the certificate is a server's; *opened*: another server opened it, by SASL EXTERNAL; *client*: a
user's client logged in by SASL EXTERNAL. *Closed unused*: the server dialled and went before it authenticated, with no error to
tell. **Bold**: against the letter.
"""
ANSWERS = """
## What its issuer answers, before a stream is authenticated

Is the stream let in, dialled and opened? All certificates name an OCSP responder but those called `list-` (a CRL) and `unchecked`
(nobody). **Bold**: a revoked one that is let in. What nobody answers for is a matter of policy: `soft`, the default of
Sluice, goes on, tells and asks again; `hard` does not.
"""
MUST_END = ("expires", "is revoked, says OCSP", "is revoked, says a list")  # RFC 6120 s13.7.2.3, s13.7.2


def shown(row, words):
    """In one cell; bold is what must not be."""
    must_end, kinds = row.split(";")[0] in MUST_END, {}
    for kind, word in zip((*SERVED, CLIENT), words):
        if word != "-":
            kinds.setdefault(f"**{word}**" if must_end and word in ("nothing", "let in") else word, []).append(kind)
    return next(iter(kinds)) if len(kinds) == 1 else "; ".join(f"{', '.join(who)}: {word}" for word, who in kinds.items())


def ends(found):
    """The words of the streams that are not let in, a line for each server."""
    for title, made in found.items():
        words = [sorted({pair[index] for pair in made["answers"].values()} - {"let in"}) for index in range(len(SERVED))]
        told = [f"{kind}: {', '.join(some)}" for kind, some in zip(SERVED, words) if some]
        yield f"- {title}: " + ("; ".join(told) or "all are let in")


def page(found):
    titles, first = list(found), next(iter(found.values()))
    wishes = "\n".join(f"- {kind.title} ({found[kind.title]['version']}): {kind.wish}." for kind in SERVERS if kind.title in found)
    lines = [HEAD.format(heading=field.LIFETIME, date=datetime.date.today(), wishes=wishes, patience=PATIENCE),
             "| a certificate in use... | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
    for row in first["lives"]:
        lines.append(f"| {row} | " + " | ".join(shown(row, made["lives"][row]) for made in found.values()) + " |")
    lines += [ANSWERS, "| answer | it is | " + " | ".join(titles) + " |", "|---|---|" + "---|" * len(titles)]
    for name, standing in first["standings"].items():
        cells = []
        for made in found.values():
            words = ["yes" if word == "let in" else "no" for word in made["answers"][name]]
            cells.append(" ".join(f"**{word}**" if (standing, word) == ("revoked", "yes") else word for word in words))
        lines.append(f"| `{name}` | {standing} | " + " | ".join(cells) + " |")
    lines += ["", "How those end that are not let in:", "", *ends(found)]
    return "\n".join(lines) + "\n"


def write_page(path, text):
    """What field.py has made stays."""
    before = path.read_text(encoding="utf-8").partition(field.LIFETIME)[0].rstrip() + "\n\n" if path.exists() else ""
    path.write_text(before + text, encoding="utf-8")


def try_out(kind, folder):
    trial = Trial(kind, folder)
    try:
        found = trial.run()
    finally:
        trial.stop()
    found["version"] = kind.version()
    found["standings"] = {name: cell[1] for name, cell in trial.cells.items()}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="kept; default: a temporary one, thrown away")
    parser.add_argument("--server", action="append", choices=[kind.title for kind in SERVERS])
    parser.add_argument("--output", default=str(ROOT / "docs" / "CERTIFICATES.md"))
    given = parser.parse_args()
    folder = pathlib.Path(given.folder or tempfile.mkdtemp(prefix="lifetime-")).resolve()
    rivals.START_SECONDS = field.START_SECONDS  # they all start at once
    kinds = [kind for kind in SERVERS if kind.is_installed() and (not given.server or kind.title in given.server)]
    found = {}
    try:
        folder.mkdir(exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
            runs = {kind.title: pool.submit(try_out, kind, folder / kind.__name__.lower()) for kind in kinds}
            found = {title: run.result() for title, run in runs.items()}
        (folder / "found.json").write_text(json.dumps(found, indent=1))
        write_page(pathlib.Path(given.output), page(found))
    except throwaway.Trouble as trouble:
        print(f"lifetime: {trouble}", file=sys.stderr)
        return 1
    finally:
        if not given.folder:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
