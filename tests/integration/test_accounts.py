# SPDX-License-Identifier: MIT
"""Accounts on a running router, and across kill -9: what was acknowledged is there, exactly."""
import os
import pathlib
import random
import subprocess
import threading
import time

import pytest

import bed as bed_module
import throwaway
import wire

ROUNDS = 200 if bed_module.IS_LONG else 20


def done(result):
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return result.stdout


def refused(result):
    assert result.returncode == 1 and result.stdout == ""
    return result.stderr


def can_log_in(bed, user, password):
    return bed.secure().scram(user, password) is None


def test_account__added__can_log_in_at_once(bed):
    done(bed.ctl("account", "add", "new@localhost", given="pass word\n"))
    assert can_log_in(bed, "new", "pass word") and not can_log_in(bed, "new", "pass")
    assert "exists" in refused(bed.ctl("account", "add", "new@localhost", given="x\n"))
    done(bed.ctl("account", "passwd", "new@localhost", given="other\n"))
    assert can_log_in(bed, "new", "other") and not can_log_in(bed, "new", "pass word")
    assert "new@localhost" in done(bed.ctl("account", "list", "10", "new@"))
    done(bed.ctl("account", "del", "new@localhost"))
    assert not can_log_in(bed, "new", "other")
    assert refused(bed.ctl("account", "del", "new@localhost")) and refused(bed.ctl("account", "passwd", "new@localhost",
                                                                                   given="x\n"))


@pytest.mark.parametrize("jid", ["localhost", "a@elsewhere.example", "a b@localhost", "a@localhost/r", "@localhost", "a@"])
def test_account__of_no_user_of_ours__is_refused(bed, jid):
    assert refused(bed.ctl("account", "add", jid, given="x\n"))


def test_account__deleted__loses_its_sessions(bed):
    done(bed.ctl("account", "add", "gone@localhost", given="secret\n"))
    clients = [bed.login("gone", name) for name in "ab"]
    done(bed.ctl("account", "del", "gone@localhost"))
    for client in clients:
        while True:  # what is still told of the other one comes first
            element = client.element()
            if element.tag == f"{{{wire.STREAM}}}error":
                break
        assert wire.condition(element) == "not-authorized"
        client.expect_end()
    assert not [row for row in bed.sessions() if row["jid"].startswith("gone@")]


def test_export_and_import__carry_the_keys_not_the_password(bed):
    done(bed.ctl("account", "add", "carried@localhost", given="top secret\n"))
    text = done(bed.ctl("account", "export", "carried@"))
    assert "top secret" not in text and len(text.splitlines()) == 1
    done(bed.ctl("account", "del", "carried@localhost"))
    done(bed.ctl("account", "import", given=text))
    assert can_log_in(bed, "carried", "top secret")
    assert done(bed.ctl("account", "export", "carried@")) == text
    done(bed.ctl("account", "del", "carried@localhost"))


def test_password__never_stands_on_a_command_line(bed):
    """While sluicectl waits for it and sends it, no process shows it, and no word of the command takes one."""
    process = subprocess.Popen([bed_module.sluicectl(), "--socket", bed.socket, "account", "add", "quiet@localhost"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"hush-hush")
    process.stdin.flush()
    time.sleep(0.1)
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                shown = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            except OSError:
                continue
            assert b"hush-hush" not in shown
    process.communicate(b"\n", timeout=20)
    assert process.returncode == 0
    assert can_log_in(bed, "quiet", "hush-hush")
    assert bed.ctl("account", "add", "loud@localhost", "hush-hush").returncode != 0
    assert not [line for line in bed.log() if "hush" in line]
    done(bed.ctl("account", "del", "quiet@localhost"))


# ---- kill -9 ----

class Changes(threading.Thread):
    """Adds, changes and deletes accounts one after the other; keeps what was acknowledged and the one under way."""

    def __init__(self, bed, truth, name, seed):
        super().__init__(daemon=True)
        self.bed, self.truth, self.name_, self.dice = bed, truth, name, random.Random(seed)
        self.under_way = None
        self.count = 0
        self.start()

    def run(self):
        try:
            with throwaway.Stats(self.bed.socket) as stats:
                while True:
                    self.change(stats)
        except (OSError, throwaway.Trouble, IndexError, ValueError):
            pass

    def change(self, stats):
        jid = f"{self.name_}{self.dice.randrange(40)}@localhost"
        password = f"p{self.dice.randrange(10 ** 9)}"
        if jid not in self.truth:
            self.under_way = (jid, password)
            stats.ask(f"account add {jid}", password)
            self.truth[jid] = password
        elif self.dice.random() < 0.4:
            self.under_way = (jid, None)
            stats.ask(f"account del {jid}")
            del self.truth[jid]
        else:
            self.under_way = (jid, password)
            stats.ask(f"account passwd {jid}", password)
            self.truth[jid] = password
        self.under_way = None
        self.count += 1


def keys_match(line, password):
    """Whether an exported line is this password's."""
    fields = line.split("\t")
    salt = wire.scram.unb64(fields[2])
    salted = wire.scram.salted("sha256", password, salt, int(fields[1]))
    stored = wire.scram.hashlib.sha256(wire.scram.hmac.digest(salted, b"Client Key", "sha256")).digest()
    return wire.scram.unb64(fields[5]) == stored


def check_truth(bed, truth, under_way, name):
    lines = {line.split("\t")[0]: line for line in bed.ask(f"account export {name}")}
    for jid, password in truth.items():
        if under_way and jid == under_way[0]:
            continue
        assert jid in lines, f"{jid} was acknowledged and is gone"
        assert keys_match(lines[jid], password), f"{jid} has another password than the one acknowledged"
    unknown = set(lines) - set(truth) - ({under_way[0]} if under_way else set())
    assert not unknown, f"deleted, and there again: {unknown}"
    if under_way:  # done or not done, nothing between
        jid, password = under_way
        before = truth.pop(jid, None)
        if jid in lines:
            now = [word for word in (password, before) if word and keys_match(lines[jid], word)]
            assert now, f"{jid} has a password that nobody gave it"
            truth[jid] = now[0]
        else:
            assert password is None or before is None, f"{jid} is gone"


def test_kill__under_changes__loses_nothing_acknowledged(start_bed):
    seed = int(os.environ.get("SL_SEED", "1"))
    print(f"seed {seed}")
    bed = start_bed(name="kill", users=0, settings=["sasl.iterations=4096", "log.level=warn"])
    dice = random.Random(seed)
    truths = [{}, {}]
    total = 0
    for number in range(ROUNDS):
        changes = [Changes(bed, truths[i], "ab"[i], dice.random()) for i in range(2)]
        time.sleep(dice.uniform(0.02, 0.25))
        bed.kill()
        for thread in changes:
            thread.join(20)
            assert not thread.is_alive()
        bed.relaunch()
        for i, thread in enumerate(changes):
            total += thread.count
            check_truth(bed, truths[i], thread.under_way, "ab"[i])
    print(f"{ROUNDS} kills, {total} acknowledged changes")
    assert total > ROUNDS
    for truth in truths:
        for jid, password in list(truth.items())[:3]:
            assert can_log_in(bed, jid.partition("@")[0], password)
