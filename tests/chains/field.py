#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Shows the chains of generate.py to this router, Debian's prosody and Debian's ejabberd, and writes docs/CERTIFICATES.md.

  tests/chains/field.py [--folder DIR] [--server NAME]... [--output FILE]

Each server runs in a folder of its own below DIR (default: a temporary one), on free ports of loopback, with a domain
for each chain and the roots of the chains as all it trusts, and it demands certificates of other servers. The router is
that of $SLUICED, else build/release. What is started here is ended here, by its own process id."""
import argparse
import concurrent.futures
import contextlib
import datetime
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(HERE), *(str(ROOT / "tests" / name) for name in ("schema", "integration", "conformance"))]
import rivals  # noqa: E402
import throwaway  # noqa: E402
import verdicts  # noqa: E402
import wire  # noqa: E402
from envoy import Envoy, local_domain  # noqa: E402
from nameserver import NameServer  # noqa: E402

AT_ONCE = 8
START_SECONDS = 120
WAIT = 15.0  # seconds until a server counts as one that hangs
PROSODY = """
run_as_root = true
daemonize = false
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
log = {{ debug = "{folder}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
use_ipv6 = false
c2s_ports = {{ {port} }}
s2s_ports = {{ {s2s} }}
modules_enabled = {{ "disco"; "roster"; "saslauth"; "tls"; "dialback"; "posix" }}
modules_disabled = {{ "limits" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
s2s_require_encryption = true
s2s_secure_auth = true
authentication = "internal_plain"
ssl = {{ cafile = "{roots}"; certificate = "{folder}/own.pem"; key = "{folder}/own.key" }}
unbound = {{ resolvconf = false; forward = "127.0.0.1@{dns}" }}
"""
EJABBERD = """
loglevel: info
hosts: [{hosts}]
certfiles: ["{folder}/both.pem"]
ca_file: "{roots}"
s2s_cafile: "{roots}"
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s}}
  - {{port: {s2s}, ip: "127.0.0.1", module: ejabberd_s2s_in}}
s2s_use_starttls: required
outgoing_s2s_families: [ipv4]
auth_password_format: plain
modules:
  mod_disco: {{}}
"""
INETRC = '{lookup, [dns]}.\n{resolv_conf, ""}.\n{hosts_file, ""}.\n'


def certify(folder, name):
    """One certificate for all domains of a server: folder/own.pem, own.key, by a CA that nobody asks about."""
    folder.mkdir(parents=True)
    throwaway.make_ca(folder)
    throwaway.make_certificate(folder, f"*.{name}")
    for end in ("pem", "key"):
        (folder / f"*.{name}.{end}").rename(folder / f"own.{end}")


class Sender(wire.Client):
    """A client of whatever server: how it writes its headers is not what is asked here."""

    def check_header(self, attributes):
        self.header = attributes


class Server:
    """domains: those of its own. port: for clients; s2s: for servers."""

    def __init__(self, folder, domains, roots, dns):
        self.folder, self.domains, self.roots, self.dns = folder, domains, roots, dns
        certify(folder, f"{self.name}.example")
        self.port, self.s2s = throwaway.free_port(), throwaway.free_port()
        self.start()

    def values(self):
        return {"folder": self.folder, "port": self.port, "s2s": self.s2s, "dns": self.dns, "roots": self.roots}

    def log_in(self, domain):
        client = Sender(self.port, domain)
        client.open()
        assert client.plain("user0", rivals.PASSWORD) is None
        client.open()
        assert client.bind() is None
        return client

    def is_alive(self):
        return self.process.poll() is None

    def stop(self):
        rivals.end(self.process)


class Sluice(Server):
    name, is_installed, version = "sluice", rivals.Sluice.is_installed, staticmethod(rivals.Sluice.version)

    def start(self):
        (self.folder / "authority").mkdir()
        for end in ("pem", "key"):
            shutil.copy(self.folder / f"ca.{end}", self.folder / "authority")
            for domain in self.domains:
                shutil.copy(self.folder / f"own.{end}", self.folder / f"{domain}.{end}")
        made = throwaway.start(self.folder, self.domains, port=self.port, users=1, plaintext=True, s2s_port=self.s2s,
                               authority=self.folder / "authority",
                               settings=[f"s2s.ca={self.roots}", f"s2s.nameservers=127.0.0.1@{self.dns}", "s2s.policy=pkix"])
        self.process = made["process"]

    def log_in(self, domain):
        client = wire.Client(self.port, domain)
        client.open()
        assert client.scram("user0", rivals.PASSWORD) is None
        client.open()
        assert client.bind() is None
        return client

    def stop(self):
        throwaway.stop(self.folder)


class Prosody(Server):
    name, is_installed, version = "prosody", rivals.Prosody.is_installed, staticmethod(rivals.Prosody.version)

    def start(self):
        text = PROSODY.format(**self.values()) + "".join(f'VirtualHost "{domain}"\n' for domain in self.domains)
        for domain in self.domains:  # its own format of files: prosodyctl would take a process for each
            accounts = self.folder / "data" / domain.replace(".", "%2e").replace("-", "%2d").replace("_", "%5f") / "accounts"
            accounts.mkdir(parents=True)
            (accounts / "user0.dat").write_text(f'return {{ ["password"] = "{rivals.PASSWORD}"; }};\n')
        self.process = rivals.run_prosody(self.folder, text, self.port)
        rivals.wait_for(self.s2s, self.process, self.folder / "prosody.out")


class Ejabberd(Server):
    name, is_installed, version = "ejabberd", rivals.Ejabberd.is_installed, staticmethod(rivals.Ejabberd.version)

    def start(self):
        (self.folder / "both.pem").write_text((self.folder / "own.pem").read_text() + (self.folder / "own.key").read_text())
        (self.folder / "inetrc").write_text(INETRC)
        text = EJABBERD.format(**self.values(), hosts=", ".join(self.domains))
        self.process = rivals.run_ejabberd(self.folder, text, [("user0", domain) for domain in self.domains], self.port,
                                           ["-kernel", "inetrc", f'"{self.folder}/inetrc"', "-eval",
                                            f"inet_db:add_ns({{127,0,0,1}}, {self.dns})."])


class Trial:
    """All chains in both roles against one server."""

    def __init__(self, kind, folder, chains, rows):
        self.rows, self.unnamed = rows, chains.with_name("unnamed")
        self.suffix = f"{kind.name}.example"
        self.envoy = Envoy(chains, [row.name for row in rows], self.suffix, WAIT)
        self.names = NameServer()
        for domain in {row.domain for row in rows}:
            self.names.add_service("xmpp-server", domain.encode("idna").decode(), "localhost", self.envoy.port)
        self.names.add_address("localhost")
        self.server = kind(folder, [local_domain(row.name, self.suffix) for row in rows], chains / "roots.pem", self.names.port)

    def call(self, row):
        word, text = self.envoy.call(row.name, row.domain, self.server.s2s)
        return {"word": word, "text": text}

    def dial(self, row):
        if not row.is_name():  # an address: it would be dialled itself
            return {"word": None, "text": None}
        client = self.server.log_in(local_domain(row.name, self.suffix))
        try:
            client.message(f"juliet@{row.domain}/balcony", "but soft")
            word = self.envoy.word_for(row.name, None if row.is_domain else 2.0)
            return {"word": word, "text": None if word == "external" else self.error(client)}
        finally:
            client.close()

    @staticmethod
    def error(client):
        with contextlib.suppress(TimeoutError, wire.Wrong, OSError):
            while True:
                kind, value = client.event(WAIT)
                if kind == "end":
                    return "the client's stream ended"
                if kind == "element" and value.get("type") == "error":
                    return wire.condition(value)
        return "nothing"

    def warm_up(self):
        """A server of so many domains listens before it has them all."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.server.log_in(self.server.domains[-1]).close()
                return
            except (OSError, wire.Wrong, TimeoutError):
                if time.monotonic() > until:
                    raise throwaway.Trouble(f"{self.server.name} lets nobody in; see {self.server.folder}") from None

    def run(self):
        found = {}
        self.warm_up()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for role, judge in (("client", self.call), ("server", self.dial)):
                for row, result in zip(self.rows, pool.map(judge, self.rows)):
                    found.setdefault(row.name, {})[role] = result
                if not self.server.is_alive():
                    raise throwaway.Trouble(f"{self.server.name} has ended; see {self.server.folder}")
            # Which of the accepted ones were so by their common name?
            self.envoy.folder = self.unnamed
            known = [row for row in self.rows if (self.unnamed / f"{row.name}.pem").exists()
                     and found[row.name]["client"]["word"] == "external"]
            for row, result in zip(known, pool.map(self.call, known)):
                found[row.name]["unnamed"] = result
        return found

    def stop(self):
        self.server.stop()
        self.envoy.close()
        self.names.close()


# ---- the page ------------------------------------------------------------------------------------------------------


WORDS = {True: "yes", False: "no", None: "-"}
DEMANDS = {"+": "yes", "-": "no", "~": "open"}
# Whatever OpenSSL, the common name and the text of an error do not explain.
AS_SERVERS = "it has clients' certificates verified as servers'"
COMMON = "OpenSSL holds the common name to constraints of DNS names where there is no DNS-ID"
XMPP_ADDR = "its stream breaks down on an XmppAddr: badarg in xmpp_stream_pkix:get_cert_domains, says its log"
REASONS = {
    ("prosody", "purpose_client"): AS_SERVERS, ("prosody", "authority_purpose_client"): AS_SERVERS,
    ("prosody", "usage_encipherment"): "OpenSSL lets it pass in servers for key exchange by RSA; and " + AS_SERVERS,
    ("prosody", "constraint_srv_by_dns"): COMMON, ("ejabberd", "constraint_srv_by_dns"): COMMON,
    ("ejabberd", "xmpp_addr"): XMPP_ADDR, ("ejabberd", "xmpp_addr_idn"): XMPP_ADDR,
    ("ejabberd", "constraint_xmpp_by_dns_permits"): XMPP_ADDR,
    ("prosody", "address_as_dns"): "it compares the address as a name", ("ejabberd", "address_as_dns"): "it compares the address as a name",
}


class Page:
    """found: by server, chain and role. All that is said is counted from it."""

    def __init__(self, found, versions):
        self.found, self.versions, self.rows, self.demands = found, versions, verdicts.rows(), verdicts.demands()

    def result(self, server, row, role):
        """True: accepted. None: it was not shown."""
        word = self.found[server][row.name][role]["word"]
        return None if word is None else word == "external"

    def is_broken(self, server, row, role):
        """An error of the server's own, an end without a reason of a stream that somebody opened, or no answer at all."""
        result = self.found[server][row.name][role]
        is_cut = role == "client" and result["word"] in ("closed", "ended")
        return row.is_domain and (is_cut or result["text"] == "internal-server-error" or result["word"] == "silence")

    def is_wrong(self, server, row, role, sign=None):
        demand, result = self.demands[row.name].signs[role], self.result(server, row, role)
        is_wrong = (demand, result) in (("+", False), ("-", True))
        return is_wrong and sign in (None, demand)

    def cell(self, server, row):
        words = []
        for role in verdicts.ROLES:
            word = "fails" if self.is_broken(server, row, role) else WORDS[self.result(server, row, role)]
            words.append(f"**{word}**" if self.is_wrong(server, row, role) else word)
        return " ".join(words)

    def counts(self, server):
        def count(judge):
            return " + ".join(str(sum(bool(judge(row, role)) for row in self.rows)) for role in verdicts.ROLES)
        return [count(lambda row, role: self.result(server, row, role) is not None),
                count(lambda row, role: self.is_wrong(server, row, role, "-")),
                count(lambda row, role: self.is_wrong(server, row, role, "-") and self.is_by_common_name(server, row)),
                count(lambda row, role: self.is_wrong(server, row, role, "+")),
                count(lambda row, role: self.is_broken(server, row, role))]

    def is_by_common_name(self, server, row):
        unnamed = self.found[server][row.name].get("unnamed")
        return unnamed is not None and unnamed["word"] != "external"

    def reason(self, server, row, role):
        if (server, row.name) in REASONS:
            return REASONS[server, row.name]
        if self.is_broken(server, row, role):
            return "its stream breaks down (an internal error)"
        if self.is_by_common_name(server, row):
            return "by the common name: without it, it is refused"
        is_openssls = (row.verdicts[role] == "valid") == (role not in row.openssl)
        if role in row.openssl and is_openssls == self.result(server, row, role):
            return "OpenSSL " + row.why
        text = self.found[server][row.name]["client"]["text"]
        if text and not self.result(server, row, role):
            return f"it says: {text}"
        return "as Sluice" if self.result("sluice", row, role) == self.result(server, row, role) else "-"

    def departures(self, server):
        """Against the demand, or where the matter is open, other than this router: by reason."""
        lines = []
        for row in self.rows:
            by_reason = {}
            for role in verdicts.ROLES:
                result, ours = self.result(server, row, role), self.result("sluice", row, role)
                is_other = self.demands[row.name].signs[role] == "~" and result not in (None, ours) and ours is not None
                if self.is_wrong(server, row, role) or is_other:
                    word = ("accepted" if result else "refused") + ("" if is_other else ", **wrongly**")
                    by_reason.setdefault((word, self.reason(server, row, role)), []).append(role)
            lines += [f"| `{row.name}` | {', '.join(roles)} | {word} | {reason} |" for (word, reason), roles in by_reason.items()]
        return lines

    def remarks(self):
        """Of this router: what it does against the letter, and where that is open."""
        for row in self.rows:
            demand = self.demands[row.name]
            is_wrong = any(self.is_wrong("sluice", row, role) for role in verdicts.ROLES)
            if demand.remark:
                yield is_wrong, f"| `{row.name}` | {demand.section} | {self.cell('sluice', row)} | {demand.remark} |"

    def text(self):
        servers = list(self.found)
        lines = [HEAD.format(date=datetime.date.today(), count=len(self.rows)),
                 "| | " + " | ".join(f"{name} {self.versions[name]}" for name in servers) + " |", "|---|" + "---|" * len(servers)]
        columns = [self.counts(server) for server in servers]
        for title, *cells in zip(("shown as a server's + as a client's", "wrongly accepted",
                                  "of these by the common name", "wrongly refused", "broken down"), *columns):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        lines += ["", "## Chain by chain", "", TABLE, "", "| chain | what is odd about it | section | demanded | " + " | ".join(servers) + " |",
                  "|---|---|---|---|" + "---|" * len(servers)]
        for row in self.rows:
            demand = self.demands[row.name]
            signs = " ".join(DEMANDS[demand.signs[role]] for role in verdicts.ROLES)
            lines.append(f"| `{row.name}` | {demand.oddity} | {demand.section} | {signs} | "
                         + " | ".join(self.cell(server, row) for server in servers) + " |")
        remarks = list(self.remarks())
        lines += ["", "## Sluice against the letter", "", "| chain | section | Sluice | why |", "|---|---|---|---|"]
        lines += [line for is_wrong, line in remarks if is_wrong]
        lines += ["", "## Sluice where the matter is open", "", "| chain | section | Sluice | why |", "|---|---|---|---|"]
        lines += [line for is_wrong, line in remarks if not is_wrong]
        for server in servers:
            if server != "sluice":
                lines += ["", f"## {server}: against the letter, or other than Sluice where the matter is open", "",
                          "| chain | as | | why, as far as can be told from outside |", "|---|---|---|---|", *self.departures(server)]
        return "\n".join(lines) + "\n"


HEAD = """# Certificate chains, beside two other servers

*Made by `tests/chains/field.py` (four minutes; it needs Debian's prosody and ejabberd, which `tools/setup` installs). The
chains are those of `tests/chains`; each is shown to a running server by another one, which opens a stream to it with the
chain as a client's certificate, and to which it opens a stream, with a stanza of one of its users, and finds the chain
as the server's. `tests/integration/test_chains.py` holds Sluice to its part in every run of the checks.*

{date}. {count} chains. All three servers trust the same roots and demand a certificate: Sluice by `s2s.policy = pkix`,
prosody by `s2s_secure_auth = true`, ejabberd by `s2s_use_starttls: required` and no dialback. Accepted means: SASL EXTERNAL
succeeded; or the stanza was sent. What is demanded is the letter of the specifications, MUST and SHOULD alike, as
`tests/chains/demands.txt` has it; where they leave it open no answer is wrong. Domains that are addresses were not
dialled (`-`). prosody and ejabberd leave chains to OpenSSL, Sluice verifies them itself
(`tls/path.c`). Nearly every chain has the domain in its common name too, so that who takes that (RFC 9525 s2 forbids it)
shows it; the chains of names were offered once more without it.
"""
LIFETIME = "# For the life of a stream"  # the part of the page that lifetime.py makes
TABLE = "As a server's, then as a client's certificate. **Bold**: against the demand."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="kept; default: a temporary one, thrown away")
    parser.add_argument("--server", action="append", choices=[kind.name for kind in (Sluice, Prosody, Ejabberd)])
    parser.add_argument("--output", default=str(ROOT / "docs" / "CERTIFICATES.md"))
    given = parser.parse_args()
    folder = pathlib.Path(given.folder or tempfile.mkdtemp(prefix="chains-")).resolve()
    rows = verdicts.rows()
    found, versions = {}, {}
    try:
        subprocess.run(["/usr/bin/python3", "-B", str(HERE / "generate.py"), str(folder / "made" / "chains"),
                        str(folder / "made" / "unnamed")], check=True)
        for kind in (Sluice, Prosody, Ejabberd):
            if given.server and kind.name not in given.server:
                continue
            if not kind.is_installed():
                print(f"{kind.name}: not installed, left out")
                continue
            trial = Trial(kind, folder / kind.name, folder / "made" / "chains", rows)
            try:
                found[kind.name], versions[kind.name] = trial.run(), kind.version()
            finally:
                trial.stop()
        (folder / "found.json").write_text(json.dumps({"found": found, "versions": versions}))
        if "sluice" in found:  # the others are compared with it
            output = pathlib.Path(given.output)
            _, heading, rest = (output.read_text(encoding="utf-8") if output.exists() else "").partition(LIFETIME)
            output.write_text(Page(found, versions).text() + ("\n" + heading + rest if heading else ""), encoding="utf-8")
    except throwaway.Trouble as trouble:
        print(f"field: {trouble}", file=sys.stderr)
        return 1
    finally:
        if not given.folder:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
