# SPDX-License-Identifier: MIT
"""One server of a kind with one domain, as bench/compare runs it: ours, Debian's prosody, Debian's ejabberd. The same
certificate, the same hashed password for all accounts, no limits of rate, the modules that a message needs and no others,
all schedulers of the one core that each is given."""
import json
import pathlib
import subprocess
import time

import rivals
import throwaway

DOMAIN = "localhost"
PASSWORD = rivals.PASSWORD
PROSODY = """
run_as_root = true
daemonize = false
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
log = {{ warn = "{folder}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
use_ipv6 = false
network_backend = "epoll"
network_settings = {{ tcp_backlog = 1024 }}
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ {tls} }}
s2s_ports = {{ }}
modules_enabled = {{ "saslauth"; "tls"; "ping"; "posix" }}
modules_disabled = {{ "offline"; "s2s" }}
c2s_require_encryption = false
authentication = "internal_hashed"
password_hash = "SHA-256"
ssl = {{ certificate = "{folder}/localhost.pem"; key = "{folder}/localhost.key" }}
VirtualHost "localhost"
"""
PROSODY_ACCOUNT = 'return {{ ["iteration_count"] = {iterations}; ["salt"] = "{salt}"; ["stored_key"] = "{stored}"; ["server_key"] = "{server}"; }};\n'
EJABBERD = """
loglevel: warning
hosts: [localhost]
certfiles: ["{folder}/both.pem"]
listen:
  - {{port: {c2s}, ip: "127.0.0.1", module: ejabberd_c2s, backlog: 1024}}
  - {{port: {tls}, ip: "127.0.0.1", module: ejabberd_c2s, tls: true, backlog: 1024}}
auth_password_format: scram
auth_scram_hash: sha256
shaper_rules:
  max_user_sessions: [infinity: all]
modules:
  mod_ping: {{}}
"""
# Schedulers that find nothing to do sleep at once: with waiting awake the CPU time would be that of the waiting.
ERLANG = ("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "+K", "true", "+P", "1000000", "+Q", "65536")


class Server:
    """Starts in a folder with so many accounts; c2s, tls (ports), pid; stop()."""

    def __init__(self, folder, users):
        self.folder, self.users = folder, users
        folder.mkdir(parents=True)
        self.start()

    def prepare(self):
        throwaway.make_ca(self.folder)
        throwaway.make_certificate(self.folder, DOMAIN)
        self.c2s, self.tls = throwaway.free_port(), throwaway.free_port()
        return {"folder": self.folder, "c2s": self.c2s, "tls": self.tls}

    def stop(self):
        rivals.end(self.process)


class Sluice(Server):
    name = "sluice"
    shards = 1
    version = staticmethod(rivals.Sluice.version)
    is_installed = staticmethod(rivals.Sluice.is_installed)

    def start(self):
        made = throwaway.start(self.folder, [DOMAIN], shards=self.shards, users=self.users, password=PASSWORD, plaintext=True,
                               settings=("bind.sessions_max=1000",))
        self.c2s, self.tls, self.pid, self.stats = made["c2s"], made["tls"], made["pid"], made["stats"]

    def ask(self, command):
        with throwaway.Stats(self.stats) as stats:
            return json.loads("".join(stats.ask(f"json {command}")))

    def stop(self):
        throwaway.stop(self.folder)


class Sharded(Sluice):
    """Two shards share the core. Which of them an account is on is told by the router once somebody is logged in."""
    shards = 2

    def seats(self, load, pairs, is_across):
        """A file for sluice-load --seats: partners on one shard, half of the pairs on either; or all of them across."""
        idle = subprocess.Popen([load, "idle", "--sessions", str(self.users), "--tls", "none", "--connect", f"127.0.0.1:{self.c2s}"],
                                stdout=subprocess.DEVNULL)
        until = time.monotonic() + rivals.START_SECONDS
        try:
            while len(rows := self.ask(f"show sessions {self.users}")) < self.users:
                if time.monotonic() > until:
                    raise throwaway.Trouble(f"{len(rows)} of {self.users} accounts are logged in")
                time.sleep(0.05)
        finally:
            idle.terminate()
            idle.wait()
        by_shard = [[int(row["jid"].partition("@")[0].removeprefix("user")) for row in rows if row["shard"] == shard] for shard in range(2)]
        first, second = by_shard if is_across else [shard[:pairs] for shard in by_shard]
        order = [user for pair in zip(first, second) for user in pair] if is_across else first[:pairs // 2 * 2] + second
        if len(order) < 2 * pairs:
            raise throwaway.Trouble(f"{len(rows)} accounts are too few for {pairs} pairs of the wanted kind")
        path = pathlib.Path(self.folder) / "seats"
        path.write_text(" ".join(map(str, order)) + "\n")
        return path

    def letters(self):
        """Stanzas that have gone from one shard to the other."""
        return next(row["total"] for row in self.ask("show stats") if row["name"] == "letters_posted")


class Together(Sharded):
    name = "sluice, pairs on one of 2 shards"
    is_across = False


class Across(Sharded):
    name = "sluice, pairs across 2 shards"
    is_across = True


class Relay:
    """The floor: the same bytes and nothing else. Speaks no XMPP: sluice-load --relay."""
    name = "relay"

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.c2s, self.pid = int(self.process.stdout.readline()), self.process.pid

    def stop(self):
        rivals.end(self.process)


class Prosody(Server):
    name = "prosody"
    version = staticmethod(rivals.Prosody.version)
    is_installed = staticmethod(rivals.Prosody.is_installed)

    def start(self):
        values = self.prepare()
        accounts = self.folder / "data" / DOMAIN / "accounts"
        accounts.mkdir(parents=True)
        stored, server = throwaway.scram_keys(PASSWORD, "sha256")
        text = PROSODY_ACCOUNT.format(iterations=throwaway.ITERATIONS, salt=throwaway.SALT.decode(), stored=stored.hex(),
                                      server=server.hex())
        for n in range(self.users):
            (accounts / f"user{n}.dat").write_text(text)
        self.process = rivals.run_prosody(self.folder, PROSODY.format(**values), self.c2s)
        self.pid = self.process.pid


class Ejabberd(Server):
    name = "ejabberd"
    version = staticmethod(rivals.Ejabberd.version)
    is_installed = staticmethod(rivals.Ejabberd.is_installed)

    def start(self):
        values = self.prepare()
        (self.folder / "both.pem").write_text("".join((self.folder / f"localhost.{end}").read_text() for end in ("pem", "key")))
        accounts = [(f"user{n}", DOMAIN) for n in range(self.users)]
        self.process = rivals.run_ejabberd(self.folder, EJABBERD.format(**values), accounts, self.c2s, ERLANG)
        self.pid = self.process.pid


KINDS = (Sluice, Prosody, Ejabberd)
SHARDED = (Together, Across)
