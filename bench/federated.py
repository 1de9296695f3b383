# SPDX-License-Identifier: MIT
"""Two servers of one kind that talk to each other, as bench/compare-federation runs them: each with one domain on an
address of loopback, certificates of a CA of the bench's, found through its name server. Limits of rate are off, modules
are those without which there is no federated message, and both run on one core."""
import re
import subprocess
import time

import rivals
import throwaway

HOSTS = ("127.0.1.1", "127.0.1.2")
PASSWORD = rivals.PASSWORD
STREAM_SECONDS = 20
PROSODY = """
run_as_root = true
daemonize = false
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
log = {{ warn = "{folder}/prosody.log" }}
interfaces = {{ "{host}" }}
use_ipv6 = false
network_backend = "epoll"
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ {tls} }}
s2s_ports = {{ {s2s} }}
modules_enabled = {{ "saslauth"; "tls"; "s2s_bidi"; "posix" }}
modules_disabled = {{ "offline" }}
c2s_require_encryption = false
s2s_require_encryption = true
s2s_secure_auth = true
authentication = "internal_plain"
ssl = {{ cafile = "{authority}"; certificate = "{folder}/{domain}.pem"; key = "{folder}/{domain}.key" }}
unbound = {{ resolvconf = false; forward = "127.0.0.1@{dns}" }}
VirtualHost "{domain}"
"""
EJABBERD = """
loglevel: warning
hosts: ["{domain}"]
certfiles: ["{folder}/both.pem"]
ca_file: "{authority}"
s2s_cafile: "{authority}"
listen:
  - {{port: {c2s}, ip: "{host}", module: ejabberd_c2s}}
  - {{port: {tls}, ip: "{host}", module: ejabberd_c2s, tls: true}}
  - {{port: {s2s}, ip: "{host}", module: ejabberd_s2s_in}}
s2s_use_starttls: required
outgoing_s2s_families: [ipv4]
auth_password_format: plain
modules: {{}}
"""
INETRC = '{lookup, [dns]}.\n{resolv_conf, ""}.\n{hosts_file, ""}.\n'  # as in tests/integration/peers.py
# Schedulers that find nothing to do sleep at once: with waiting awake the CPU time would be that of the waiting.
ERLANG = ("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none")


class Side:
    """One server: domain, host, c2s, tls, s2s (ports), pid."""

    def __init__(self, couple, number):
        self.couple, self.host = couple, HOSTS[number]
        self.domain = f"{'ab'[number]}.{couple.name}.example"
        self.folder = couple.folder / self.domain
        self.c2s, self.tls, self.s2s = (throwaway.free_port(self.host) for _ in range(3))

    def values(self):
        return {**{key: getattr(self, key) for key in ("domain", "host", "folder", "c2s", "tls", "s2s")},
                "authority": self.couple.authority / "ca.pem", "dns": self.couple.names.port}

    def certify(self):
        self.folder.mkdir(parents=True)
        throwaway.make_certificate(self.couple.authority, self.domain)
        for end in ("pem", "key"):
            (self.couple.authority / f"{self.domain}.{end}").rename(self.folder / f"{self.domain}.{end}")


class Couple:
    """Starts both; sides; stop(). streams: how many connections carry what they say to each other."""
    streams = 1

    def __init__(self, folder, authority, names, users):
        self.folder, self.authority, self.names, self.users = folder, authority, names, users
        self.sides = [Side(self, number) for number in range(2)]
        for side in self.sides:
            side.certify()
            target = self.target(side)
            names.add_service("xmpp-server", side.domain, target, side.s2s)
            names.add_address(target, side.host)
        self.processes = []
        try:
            for side in self.sides:
                self.start(side)
        except BaseException:
            self.stop()
            raise

    def target(self, side):
        return f"host.{side.domain}"

    def stop(self):
        for process in self.processes:
            rivals.end(process)

    def connections(self):
        """{(accepting end, other end): bytes in both directions} of the streams between the two."""
        found = {}
        filters = " or ".join(f"src {side.host}:{side.s2s}" for side in self.sides)
        text = subprocess.run(["ss", "-tinOH", "state", "established", filters], capture_output=True, text=True, check=True).stdout
        for line in text.splitlines():
            ends = re.findall(r"\d+\.\d+\.\d+\.\d+:\d+", line)[:2]
            counts = dict(re.findall(r"\b(bytes_sent|bytes_received):(\d+)", line))
            found[tuple(ends)] = sum(map(int, counts.values()))
        return found

    def await_streams(self):
        """Their connections, once there are as many as should be: of two that were opened at once one is closed."""
        until = time.monotonic() + STREAM_SECONDS
        while len(found := self.connections()) != self.streams:
            if time.monotonic() > until:
                raise throwaway.Trouble(f"{self.name}: {self.streams} connections between servers wanted, there are {found}")
            time.sleep(0.05)
        return found


class Sluice(Couple):
    name = "sluice"
    settings = ()  # more of them
    version = staticmethod(rivals.Sluice.version)
    is_installed = staticmethod(rivals.Sluice.is_installed)

    def start(self, side):
        settings = [f"s2s.nameservers=127.0.0.1@{self.names.port}", "s2s.policy=pkix", *self.settings]
        made = throwaway.start(side.folder, [side.domain], shards=1, port=side.c2s, tls_port=side.tls, users=self.users,
                               password=PASSWORD, plaintext=True, settings=settings, s2s_port=side.s2s,
                               authority=self.authority, host=side.host)
        side.pid = made["pid"]

    def stop(self):
        for side in self.sides:
            throwaway.stop(side.folder)


class Prosody(Couple):
    name = "prosody"
    version = staticmethod(rivals.Prosody.version)
    is_installed = staticmethod(rivals.Prosody.is_installed)

    def start(self, side):
        accounts = side.folder / "data" / side.domain.replace(".", "%2e") / "accounts"
        accounts.mkdir(parents=True)
        for n in range(self.users):
            (accounts / f"user{n}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}"; }};\n')
        process = rivals.run_prosody(side.folder, PROSODY.format(**side.values()), side.c2s, side.host)
        self.processes.append(process)
        side.pid = process.pid


class Ejabberd(Couple):
    name = "ejabberd"
    version = staticmethod(rivals.Ejabberd.version)
    is_installed = staticmethod(rivals.Ejabberd.is_installed)
    streams = 2  # XEP-0288 came with a later release than Debian's

    def target(self, side):
        return side.host  # it takes the names of SRV records to the C library, which knows no name for this address

    def start(self, side):
        (side.folder / "both.pem").write_text("".join((side.folder / f"{side.domain}.{end}").read_text() for end in ("pem", "key")))
        (side.folder / "inetrc").write_text(INETRC)
        accounts = [(f"user{n}", side.domain) for n in range(self.users)]
        flags = [*ERLANG, "-kernel", "inetrc", f'"{side.folder}/inetrc"', "-eval",
                 f"inet_db:add_ns({{127,0,0,1}}, {self.names.port})."]
        process = rivals.run_ejabberd(side.folder, EJABBERD.format(**side.values()), accounts, side.c2s, flags, side.host)
        self.processes.append(process)
        side.pid = process.pid


KINDS = (Sluice, Prosody, Ejabberd)
