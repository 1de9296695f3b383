# SPDX-License-Identifier: MIT
"""Other servers to federate with, as Debian has them: prosody and ejabberd on loopback, with certificates of a test CA
and a name server of the test's. How they are run is shared with tests/conformance/rivals.py."""
import pathlib
import sys

import throwaway

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))
import rivals  # noqa: E402

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
s2s_direct_tls_ports = {{ {s2s_tls} }}
s2s_direct_tls_ssl = {{ certificate = "{folder}/{direct}.pem"; key = "{folder}/{direct}.key" }}
modules_enabled = {{ "disco"; "roster"; "saslauth"; "tls"; "dialback"; "s2s_bidi"; "smacks"; "ping"; "posix" }}
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = false
smacks_enabled_s2s = true
authentication = "internal_plain"
ssl = {{ cafile = "{authority}" }}
unbound = {{ resolvconf = false; forward = "127.0.0.1@{dns}"{trust} }}
{more}
"""
PROSODY_HOST = """
VirtualHost "{domain}"
  ssl = {{ cafile = "{authority}"; certificate = "{folder}/{domain}.pem"; key = "{folder}/{domain}.key" }}
  modules_disabled = {{ {disabled} }}
"""
EJABBERD = """
loglevel: debug
hosts: [{hosts}]
certfiles: ["{folder}/both/*.pem"]
ca_file: "{authority}"
s2s_cafile: "{authority}"
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, starttls_required: true}}
  - {{port: {s2s}, ip: "127.0.0.1", module: ejabberd_s2s_in}}
  - {{port: {s2s_tls}, ip: "127.0.0.1", module: ejabberd_s2s_in, tls: true}}
s2s_use_starttls: required
outgoing_s2s_families: [ipv4]
auth_password_format: plain
modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_s2s_dialback: {{}}
"""
# Erlang's own resolver, no file of the system; which name server is said by a call, since a file cannot name a port.
INETRC = """
{lookup, [dns]}.
{resolv_conf, ""}.
{hosts_file, ""}.
"""


class Peer:
    """user0 in each of domains. port, s2s, s2s_tls; authority: the CA that it trusts. anchor: a file of trust anchors, for
    one that has DANE."""
    has_bidi = True

    def __init__(self, folder, domains, authority, dns, anchor=None):
        self.folder, self.domains, self.authority, self.dns = folder, list(domains), authority, dns
        self.anchor = anchor
        self.port, self.s2s, self.s2s_tls = (throwaway.free_port() for _ in range(3))
        self.start()

    def values(self):
        return {"folder": self.folder, "port": self.port, "s2s": self.s2s, "s2s_tls": self.s2s_tls, "dns": self.dns,
                "authority": self.authority, "direct": next(name for name in self.domains if name.startswith("direct-out"))}

    def stop(self):
        rivals.end(self.process)


class Prosody(Peer):
    is_installed = staticmethod(rivals.Prosody.is_installed)

    def start(self):
        trust = f'; trustfile = "{self.anchor}"' if self.anchor else ""
        text = PROSODY.format(**self.values(), trust=trust, more="use_dane = true" if self.anchor else "")
        for domain in self.domains:
            disabled = '"s2s_bidi"' if domain.startswith("oneway") else ""
            text += PROSODY_HOST.format(**self.values(), domain=domain, disabled=disabled)
            # Its own format of files: one process of prosodyctl for each account would take most of the test's time.
            accounts = self.folder / "data" / domain.replace(".", "%2e").replace("-", "%2d") / "accounts"
            accounts.mkdir(parents=True)
            (accounts / "user0.dat").write_text(f'return {{ ["password"] = "{rivals.PASSWORD}"; }};\n')
        self.process = rivals.run_prosody(self.folder, text, self.port)


class Ejabberd(Peer):
    is_installed = staticmethod(rivals.Ejabberd.is_installed)
    has_bidi = False  # mod_s2s_bidi came with a later release than Debian 12's and 13's

    def start(self):
        (self.folder / "both").mkdir()
        for domain in self.domains:
            both = self.folder / "both" / f"{domain}.pem"
            both.write_text((self.folder / f"{domain}.pem").read_text() + (self.folder / f"{domain}.key").read_text())
        (self.folder / "inetrc").write_text(INETRC)
        text = EJABBERD.format(**self.values(), hosts=", ".join(self.domains))
        self.process = rivals.run_ejabberd(self.folder, text, [("user0", domain) for domain in self.domains], self.port,
                                           ["-kernel", "inetrc", f'"{self.folder}/inetrc"', "-eval",
                                            f"inet_db:add_ns({{127,0,0,1}}, {self.dns})."])


def authorities(folder):
    """folder/known and folder/unknown: two CAs; folder/clients.pem: what clients trust."""
    for name in ("known", "unknown"):
        (folder / name).mkdir()
        throwaway.make_ca(folder / name, f"The {name} CA")
    (folder / "clients.pem").write_text("".join((folder / name / "ca.pem").read_text() for name in ("known", "unknown")))


def certificates(folder, domains, authority_of):
    """Each domain's, by the authority that is said for it."""
    folder.mkdir()
    for domain in domains:
        authority = authority_of(domain)
        throwaway.make_certificate(authority, domain)
        for end in ("pem", "key"):
            (authority / f"{domain}.{end}").rename(folder / f"{domain}.{end}")
