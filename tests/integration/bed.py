# SPDX-License-Identifier: MIT
"""A router under test, started and stopped by tools/testbed, with what tests ask of it."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import throwaway  # noqa: E402

import tap  # noqa: E402
import wire  # noqa: E402

TESTBED = str(ROOT / "tools" / "testbed")
IS_LONG = os.environ.get("SL_LONG", "0") not in ("", "0")


def sluiced():
    return throwaway.binary()


def sluicectl():
    """SLUICECTL, or the one of the build that SLUICED is of."""
    given = os.environ.get("SLUICECTL")
    beside = pathlib.Path(sluiced()).parents[1] / "tools" / "sluicectl"
    return given or str(beside if beside.exists() else throwaway.BUILD / "tools" / "sluicectl")


def is_sanitized():
    return b"__asan_init" in pathlib.Path(sluiced()).read_bytes()


def wait_until(is_true, seconds=wire.WAIT, step=0.01):
    """Whether it became true in time."""
    until = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > until:
            return False
        time.sleep(step)
    return True


class Bed:
    def __init__(self, folder, shards=2, domains=("localhost",), users=24, plaintext=False, settings=(), s2s_port=0,
                 authority=None):
        self.folder = pathlib.Path(folder)
        self.domains = list(domains)
        self.s2s_port = s2s_port
        self.clients = []
        self.command = [TESTBED, "start", str(folder), "--shards", str(shards), "--users", str(users)]
        for domain in domains:
            self.command += ["--domain", domain]
        for setting in settings:
            self.command += ["--set", setting]
        if s2s_port:
            self.command += ["--s2s-port", str(s2s_port)]
        if authority:
            self.command += ["--ca", str(authority)]
        if plaintext:
            self.command.append("--plaintext")
        self.settings = list(settings)
        self.process = None  # once it was relaunched by us
        self.start()

    def start(self):
        done = subprocess.run(self.command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
        made = dict(word.split("=", 1) for word in done.stdout.split())
        self.pid, self.port, self.tls_port = int(made["pid"]), int(made["c2s"]), int(made["tls"])
        self.socket = made["stats"]
        self.authority = self.folder / "ca.pem"
        self.untapped_from = self.tapped()

    def relaunch(self):
        """After its end: the same folder, ports and accounts; nothing is made anew."""
        self.process = throwaway.launch(self.folder.resolve(), self.settings, {"c2s": self.port, "tls": self.tls_port})
        self.pid = self.process.pid
        self.untapped_from = self.tapped()
        return self.process

    def kill(self):
        """kill -9, and all its threads are gone: the last of them lets go of the store and the ports."""
        os.kill(self.pid, signal.SIGKILL)
        if self.process:
            self.process.wait(wire.WAIT)
            return
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        assert wait_until(lambda: not tasks.exists() or (throwaway.pid_of(self.folder) is None and
                                                         len(list(tasks.iterdir())) <= 1))

    def stop(self):
        """In order; fails if the log shows a failed check or a sanitizer's report, or somebody connected past the tap."""
        with contextlib.suppress(OSError, throwaway.Trouble):  # it may have ended before
            self.check_tap()
        done = subprocess.run([TESTBED, "stop", str(self.folder)], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise AssertionError(done.stderr + "\n".join(self.log()[-30:]))

    def log(self):
        return throwaway.log_lines(self.folder)

    # ---- what the router says of itself ----

    def ask(self, command, *more):
        with throwaway.Stats(self.socket) as stats:
            return stats.ask(command, *more)

    def json(self, command):
        return json.loads("".join(self.ask("json " + command)))

    def stats(self):
        return {row["name"]: row["total"] for row in self.json("show stats")}

    def sessions(self):
        """Each once: a user whose sessions are many may be listed twice."""
        return list({row["jid"]: row for row in self.json("show sessions 100000")}.values())

    def shard_of(self, jid):
        return next(row["shard"] for row in self.sessions() if row["jid"] == jid)

    def tapped(self):
        return tap.opened[self.port] + tap.opened[self.tls_port]

    def untapped(self):
        """Connections that the router counts and the tap does not, but for the one that saw the router listen. Other
        servers come past the tap: where they may, nothing can be said."""
        if self.s2s_port:
            return 0
        known = self.tapped() - self.untapped_from + 1
        stats = self.stats()
        return max(0, stats["connections_accepted"] - stats["s2s_accepted"] - known)  # other servers are not tapped

    def check_tap(self):
        """Told once: the next test is not to blame."""
        count = self.untapped()
        self.untapped_from -= count
        assert not count, f"{count} connections past the tap (tests/schema/tap.py)"

    def ctl(self, *words, given=None):
        return subprocess.run([sluicectl(), "--socket", self.socket, *words], input=given or "", capture_output=True,
                              text=True, timeout=60, check=False)

    # ---- clients ----

    def connect(self, domain=None, budget=None, tls=False):
        client = wire.Client(self.tls_port if tls else self.port, domain or self.domains[0], budget)
        self.clients.append(client)
        return client

    def context(self, **more):
        return wire.tls_context(self.authority, **more)

    def secure(self, direct=False, context=None, domain=None):
        """A stream under TLS with its features read."""
        client = self.connect(domain, tls=direct)
        context = context or self.context()
        if direct:
            client.direct_tls(context)
        else:
            client.open()
            client.start_tls(context)
        return client.open()

    def login(self, user, resource=None, secure=True, is_available=True, direct=False, context=None, domain=None,
              password="secret"):
        """A bound session, available unless told otherwise."""
        client = self.secure(direct, context, domain) if secure else self.connect(domain).open()
        failure = client.scram(user, password)
        assert failure is None, failure
        client.open()
        failure = client.bind(resource)
        assert failure is None, failure
        if is_available:
            client.send("<presence/>")
            client.ping()
            own = client.stanza()  # RFC 6121 s4.2.2: its own presence comes back
            assert own.tag == f"{{{wire.CLIENT}}}presence", own.tag
        return client

    def pair(self, is_split=True, **more):
        """Two sessions of different users, on two shards or on one."""
        first = self.login("user0", **more)
        shard = self.shard_of(first.jid)
        for n in range(1, 24):
            other = self.login(f"user{n}", **more)
            if (self.shard_of(other.jid) != shard) == is_split:
                return first, other
            other.end()
        raise AssertionError("all users live on one shard")

    # ---- the books ----

    def difference(self):
        """Empty when nothing is open, nothing under way, and every stanza is accounted for (router/route/deliver.h)."""
        s = self.stats()
        wrong = []
        if s["connections"] or s["sessions"]:
            wrong.append(f"connections={s['connections']} sessions={s['sessions']}")
        left = s["stanzas_accepted"] + s["stanzas_born"]
        right = sum(s[f"stanzas_{name}"] for name in ("delivered", "routed", "answered", "refused", "dropped", "lost"))
        right += s["s2s_waiting"]
        if left != right:
            wrong.append(f"accepted {s['stanzas_accepted']} + born {s['stanzas_born']} != delivered "
                         f"{s['stanzas_delivered']} + routed {s['stanzas_routed']} + waiting {s['s2s_waiting']} + answered "
                         f"{s['stanzas_answered']} + refused {s['stanzas_refused']} + dropped {s['stanzas_dropped']} + lost {s['stanzas_lost']}: "
                         f"{left} != {right}")
        if s["letters_posted"] != s["letters_taken"]:
            wrong.append(f"letters posted {s['letters_posted']} != taken {s['letters_taken']}")
        opened = s["connections_accepted"] + s["s2s_dialled"] - s["s2s_failed_connect"]
        if opened + s["handoffs_in"] != s["connections_closed"] + s["handoffs_out"]:
            wrong.append(f"connections: {s['connections_accepted']} accepted, {s['connections_closed']} closed, "
                         f"handoffs {s['handoffs_in']} in, {s['handoffs_out']} out")
        return wrong

    def settle(self):
        """Closes what tests left open, then the books must balance."""
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.close()
        self.clients.clear()
        assert wait_until(lambda: not self.difference()), self.difference()
        self.check_tap()
