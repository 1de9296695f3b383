# SPDX-License-Identifier: MIT
"""testbed, sluiced and sluicectl together: start, accounts, show, reload, stop. Environment: SLUICED, SLUICECTL."""
import json
import os
import pathlib
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import throwaway  # noqa: E402

TESTBED = str(ROOT / "tools" / "testbed")
SLUICECTL = os.environ.get("SLUICECTL", str(throwaway.BUILD / "tools" / "sluicectl"))


def testbed(*arguments):
    return subprocess.run([TESTBED, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def fields(line):
    return dict(word.split("=", 1) for word in line.split())


class Bed(unittest.TestCase):
    """A router for each class of tests."""
    settings = ()

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="sluice-admin-")
        cls.folder = pathlib.Path(cls.temporary.name) / "bed"
        done = testbed("start", cls.folder, "--shards", 2, *cls.settings)
        if done.returncode != 0:
            cls.temporary.cleanup()
            raise AssertionError(done.stderr)
        cls.made = fields(done.stdout)

    @classmethod
    def tearDownClass(cls):
        done = testbed("stop", cls.folder)
        log = (cls.folder / "sluiced.log").read_text()
        cls.temporary.cleanup()
        if done.returncode != 0:
            raise AssertionError(done.stderr + log)

    def ctl(self, *words, given="", options=()):
        return subprocess.run([SLUICECTL, "--socket", self.made["stats"], *options, *words], input=given,
                              capture_output=True, text=True, timeout=30, check=False)

    def must(self, *words, **more):
        done = self.ctl(*words, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return done.stdout

    def refused(self, *words, **more):
        done = self.ctl(*words, **more)
        self.assertEqual((done.returncode, done.stdout), (1, ""), words)
        return done.stderr


class Testbed(Bed):
    settings = ("--domain", "localhost", "--domain", "b.example", "--users", 3, "--password", "pass word")

    def test_line__of_start__is_true(self):
        self.assertEqual(set(self.made), {"pid", "c2s", "tls", "s2s", "stats"})
        self.assertEqual(self.made["s2s"], "0")
        os.kill(int(self.made["pid"]), 0)
        for port in (self.made["c2s"], self.made["tls"]):
            socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()

    def test_accounts__in_each_domain__are_there(self):
        listed = [line.split()[0] for line in self.must("account", "list", "user").splitlines()]
        self.assertEqual(listed, ["user0@b.example", "user0@localhost", "user1@b.example", "user1@localhost",
                                  "user2@b.example", "user2@localhost"])

    def test_keys__of_import__are_those_the_router_derives(self):
        self.must("account", "add", "check@localhost", given="pass word\n")
        mine, theirs = (self.must("account", "export", name).split("\t") for name in ("user0@localhost", "check@"))
        salt = throwaway.SALT
        try:
            throwaway.SALT = throwaway.base64.b64decode(theirs[2])
            self.assertEqual("\t".join(theirs[1:]).strip(), throwaway.account_tail("pass word"))
        finally:
            throwaway.SALT = salt
        self.assertEqual("\t".join(mine[1:]).strip(), throwaway.account_tail("pass word"))
        self.must("account", "del", "check@localhost")

    def test_second_start__in_the_same_folder__is_refused(self):
        done = testbed("start", self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"a router runs here already, pid {self.made['pid']}", done.stderr)

    def test_second_router__on_the_same_store__is_told_why(self):
        done = subprocess.run([throwaway.binary(), "--config", str(self.folder / "sluice.conf")], capture_output=True,
                              text=True, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("check failed", done.stderr)
        self.must("show", "info")  # the first one lives on

    def test_stop__of_another_process__touches_nothing(self):
        with tempfile.TemporaryDirectory() as other:
            (pathlib.Path(other) / "sluiced.pid").write_text(f"{os.getpid()}\n")
            done = testbed("stop", other)
            self.assertEqual((done.returncode, done.stderr), (1, f"testbed: {other}: no router runs here\n"))

    def test_start__with_bad_setting__says_what_the_router_said(self):
        with tempfile.TemporaryDirectory() as other:
            done = testbed("start", other, "--set", "limits.dept=3")
            self.assertEqual(done.returncode, 1)
            self.assertIn("--set limits.dept: unknown key; did you mean limits.depth?", done.stderr)


class Sluicectl(Bed):
    def test_account__of_its_life__by_standard_input(self):
        self.must("account", "add", "romeo@localhost", given="secret\n")
        self.assertEqual(self.refused("account", "add", "romeo@localhost", given="x\n"),
                         "sluicectl: the account exists already\n")
        self.must("account", "passwd", "romeo@localhost", given="other\n")
        self.must("account", "del", "romeo@localhost")
        self.assertEqual(self.refused("account", "del", "romeo@localhost"), "sluicectl: there is no such account\n")

    def test_account_add__without_password__adds_nothing(self):
        done = self.ctl("account", "add", "nobody@localhost")
        self.assertEqual(done.returncode, 2)
        self.assertNotIn("nobody", self.must("account", "list"))

    def test_account_add__refused__does_not_send_the_password(self):
        self.assertIn("not served here", self.refused("account", "add", "a@elsewhere", given="hush-hush\n"))
        self.assertNotIn("hush-hush", (self.folder / "sluiced.log").read_text())

    def ask_on_terminal(self, *answers):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(SLUICECTL, [SLUICECTL, "--socket", self.made["stats"], "account", "add", "tty@localhost"])
        seen = b""
        for prompt, answer in zip((b"Password: ", b"Again: "), answers):
            while prompt not in seen:
                seen += os.read(terminal, 1000)
            time.sleep(0.1)  # the echo goes off behind the prompt
            os.write(terminal, answer + b"\n")
        try:
            while more := os.read(terminal, 1000):
                seen += more
        except OSError:
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen

    def test_account_add__on_a_terminal__asks_twice_without_echo(self):
        status, seen = self.ask_on_terminal(b"sesame", b"sesame")
        self.assertEqual(status, 0)
        self.assertNotIn(b"sesame", seen)
        self.must("account", "del", "tty@localhost")
        status, seen = self.ask_on_terminal(b"sesame", b"simsim")
        self.assertEqual(status, 2)
        self.assertIn(b"the two passwords differ; nothing was changed", seen)
        self.assertNotIn("tty@", self.must("account", "list"))

    def test_import__of_an_export__is_the_same(self):
        before = self.must("account", "export")
        self.assertEqual(self.must("account", "import", "replace", given=before), "summary imported=2 refused=0\n")
        self.assertEqual(self.must("account", "export"), before)
        done = self.ctl("account", "import", given="# nothing\nnonsense\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("summary imported=0 refused=1", done.stdout)

    def test_json__of_each_show__is_json(self):
        for words in ("info", "stats", "stats manual", "shards", "sessions", "limits", "config"):
            json.loads(self.must("show", *words.split(), options=["--json"]))
        json.loads(self.must("help", options=["--json"]))
        json.loads(self.must("account", "list", options=["--json"]))

    def test_top__of_one_period__has_rates(self):
        table = self.must("top", "1", "1").splitlines()
        self.assertRegex(table[0], r"^counter +total +per second +shard 0 +shard 1")
        self.assertTrue(any(line.startswith("connections_accepted ") for line in table))

    def test_wrong_use__has_its_own_status(self):
        self.assertEqual(self.ctl().returncode, 2)
        self.assertEqual(self.ctl("account", "add", "a\"b").returncode, 2)
        self.assertEqual(self.ctl("top", "0").returncode, 2)
        done = subprocess.run([SLUICECTL, "--socket", "/nonexistent", "help"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("is the router running?", done.stderr)

    def test_reload__by_command_and_signal__is_whole_or_nothing(self):
        path = self.folder / "sluice.conf"
        before = path.read_text()
        try:
            path.write_text(before + "timeouts.header = 7s;\n")
            self.must("reload")
            self.assertIn("timeouts.header value=7s line=", self.must("show", "limits"))
            path.write_text(before + "timeouts.header = 6s;\nlimits.depth = few;\n")
            self.assertIn('limits.depth: "few" is not a number', self.refused("reload"))
            os.kill(int(self.made["pid"]), signal.SIGHUP)
            time.sleep(0.3)
            self.assertIn("timeouts.header value=7s line=", self.must("show", "limits"))
        finally:
            path.write_text(before)
            self.must("reload")
        self.assertIn("timeouts.header value=10s from=default", self.must("show", "limits"))

    def test_socket__is_for_its_owner_only(self):
        self.assertEqual(os.stat(self.made["stats"]).st_mode & 0o777, 0o600)


class TenThousand(unittest.TestCase):
    def test_start__with_ten_thousand_accounts__takes_less_than_five_seconds(self):
        throwaway.binary()  # not counted: a build, if there is none
        with tempfile.TemporaryDirectory(prefix="sluice-admin-") as folder:
            begin = time.monotonic()
            done = testbed("start", folder, "--users", 10000)
            spent = time.monotonic() - begin
            self.assertEqual(done.returncode, 0, done.stderr)
            print(f"testbed start with 10,000 accounts: {spent:.2f} s")
            stopped = testbed("stop", folder)
            self.assertEqual(stopped.returncode, 0, stopped.stderr)
            self.assertLess(spent, 5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
