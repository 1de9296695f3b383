# SPDX-License-Identifier: MIT
"""Operating a router: --check, reload, renewed certificates, drain, and what the admin socket tells."""
import json
import os
import signal
import subprocess
import time

import pytest

import bed as bed_module
import throwaway
import wire


def check(folder, text, *more):
    (folder / "test.conf").write_text(text)
    return subprocess.run([bed_module.sluiced(), "--config", str(folder / "test.conf"), "--check", *more],
                          capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certified")
    throwaway.make_ca(folder)
    throwaway.make_certificate(folder, "localhost")
    throwaway.make_certificate(folder, "other.example")
    return folder


GOOD = 'domain "localhost" { certificate = "localhost.pem"; key = "localhost.key"; }\nadmin.socket = "stats.sock";\n'


def test_check__of_a_good_file__prints_every_value_and_its_origin(certified):
    done = check(certified, GOOD + "limits.depth = 99;\n", "--set", "shards=3")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any("limits.depth" in line and "99" in line and "# line 3" in line for line in lines)
    assert any("shards" in line and "3" in line and "--set" in line for line in lines)
    assert any("timeouts.header" in line and "10s" in line and "default" in line for line in lines)


@pytest.mark.parametrize("line, key", [
    ("limits.dept = 9;", "limits.dept"), ("limits.depth = 1;", "limits.depth"), ("limits.depth = many;", "limits.depth"),
    ("timeouts.header = 10;", "timeouts.header"), ("shards = 9999;", "shards"), ("tls.required = maybe;", "tls.required"),
    ("limits.stanza_size = 9999B;", "limits.stanza_size"), ("bind.conflict = fight;", "bind.conflict"),
    ("sasl.mechanisms = [PLAIN, MAGIC];", "sasl.mechanisms"), ("listen.c2s = [\"nowhere\"];", "listen.c2s"),
    ("limits.link_size = 100KiB;", "limits.link_size"), ('domain "a b" { }', "domain"),
])
def test_check__of_a_bad_line__names_file_line_and_key(certified, line, key):
    done = check(certified, GOOD + line + "\n")
    assert done.returncode != 0 and done.stdout == ""
    assert "test.conf:3" in done.stderr and key in done.stderr, done.stderr


@pytest.mark.parametrize("certificate, key, words", [
    ("none.pem", "localhost.key", "none.pem"), ("other.example.pem", "localhost.key", "does not match"),
    ("other.example.pem", "none.key", "none.key"), ("test.conf", "localhost.key", "test.conf"),
])
def test_check__of_a_bad_certificate__names_domain_and_file(certified, certificate, key, words):
    done = check(certified, GOOD + f'domain "other.example" {{ certificate = "{certificate}"; key = "{key}"; }}\n')
    assert done.returncode != 0 and done.stdout == ""
    assert "other.example" in done.stderr and words in done.stderr, done.stderr


@pytest.mark.parametrize("text", ["", "domain {", GOOD + 'x = "open\n', GOOD + "limits.depth = 9;\nlimits.depth = 9;\n",
                                  GOOD + "\0"], ids=["empty", "brace", "quote", "twice", "nul"])
def test_check__of_a_broken_file__fails(certified, text):
    done = check(certified, text)
    assert done.returncode != 0 and "test.conf" in done.stderr


def test_check__of_a_bad_setting__names_it(certified):
    done = check(certified, GOOD, "--set", "limits.depth=none")
    assert done.returncode != 0 and "--set" in done.stderr and "limits.depth" in done.stderr


def test_start__on_a_taken_port__says_so(bed, tmp_path):
    done = subprocess.run([bed_module.sluiced(), "--config", str(bed.folder / "sluice.conf"), "--set", "admin.socket=",
                           "--set", f"store.path={tmp_path}/store"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0 and str(bed.port) in done.stderr + done.stdout


@pytest.mark.parametrize("line, words", [
    ('s2s.routes = "example.net=192.0.2.1:xmpp";', ["s2s.routes", "xmpp"]), ('s2s.routes = "example.net";', ["s2s.routes", "example.net"]),
    ('s2s.nameservers = "192.0.2.1 dns.example";', ["s2s.nameservers", "dns.example"]),
    ('s2s.enabled = true; s2s.dnssec_anchor = "none.key";', ["s2s.dnssec_anchor", "none.key"]),
])
def test_check__of_what_the_resolver_would_refuse__names_it(certified, line, words):
    done = check(certified, GOOD + line + "\n")
    assert done.returncode != 0 and done.stdout == ""
    assert all(word in done.stderr for word in words), done.stderr


# ---- reload ----

def serial(client):
    return client.wire.tls.getpeercert()["serialNumber"]


@pytest.mark.parametrize("how", ["hup", "command"])
def test_reload__of_a_renewed_certificate__keeps_sessions(start_bed, how):
    bed = start_bed(name="renewed")
    old = [bed.login(f"user{n}") for n in range(4)]
    throwaway.make_certificate(bed.folder, "localhost")
    if how == "hup":
        os.kill(bed.pid, signal.SIGHUP)
    else:
        bed.ask("reload")

    before = serial(old[0])
    assert bed_module.wait_until(lambda: serial(bed.secure()) != before)
    for n, client in enumerate(old):
        client.message(old[n - 1].jid, "still here")
        assert old[n - 1].body() == "still here"
    for direct in (False, True):
        assert serial(bed.secure(direct)) != before


def test_reload__of_limits__reaches_open_sessions(start_bed):
    bed = start_bed(name="reloaded")
    client = bed.login("user0")
    configuration = bed.folder / "sluice.conf"
    before = configuration.read_text()
    configuration.write_text(before + "limits.depth = 8;\n")
    bed.ask("reload")
    client.ping()
    assert any('limits.depth' in line and '8' in line for line in bed.ask("show limits"))
    client.send("<message to='user0@localhost'>" + "<a>" * 8 + "</a>" * 8 + "</message>")
    client.expect_error("policy-violation")


def test_reload__of_a_bad_file__changes_nothing(start_bed):
    bed = start_bed(name="bad")
    client = bed.login("user0")
    before = bed.ask("show config")
    configuration = bed.folder / "sluice.conf"
    text = configuration.read_text()
    for bad, words in ((text + "limits.depth = 9;\nnonsense = 1;\n", "sluice.conf:.*nonsense"), ("", "sluice.conf"),
                       (text.replace("localhost.pem", "missing.pem"), "localhost.*missing.pem")):
        configuration.write_text(bad)
        with pytest.raises(throwaway.Trouble, match=words):
            bed.ask("reload")
        os.kill(bed.pid, signal.SIGHUP)
        time.sleep(0.1)
        assert bed.ask("show config") == before
        client.ping()
        bed.login("user1").end()
    configuration.write_text(text)
    bed.ask("reload")


def test_reload__of_keys_that_need_a_restart__names_them(start_bed):
    bed = start_bed(name="late")
    configuration = bed.folder / "sluice.conf"
    text = configuration.read_text()
    assert bed.ask("reload") == []
    configuration.write_text(text + 'admin.mode = "0660";\n')
    assert bed.ask("reload") == ['notice: "admin.mode: a restart is needed for it to take effect"']
    configuration.write_text(text + 'log.file = "other.log";\nlimits.connections = 500;\n')
    assert bed.ask("reload") == [
        'notice: "admin.mode, log.file, limits.connections: a restart is needed for them to take effect"']
    told = [line for line in bed.log() if "reloaded" in line]
    assert len(told) == 3 and all(' config.reloaded domains=1 notice="' in line for line in told), told


def test_reload__that_turns_other_servers_on__waits_for_a_restart(start_bed):
    """Stanzas for them get what they got, at once, as long as nobody could look for them."""
    bed = start_bed(name="alone")
    configuration = bed.folder / "sluice.conf"
    text = configuration.read_text()
    client = bed.login("user0")

    def refused():
        client.send("<message to='romeo@example.net'><body>x</body></message>")
        assert client.stanza().find("{jabber:client}error")[0].tag.endswith("}remote-server-not-found")

    refused()
    configuration.write_text(text + "s2s.enabled = true;\nlimits.depth = 40;\n")
    for _ in range(2):  # as long as it is so
        notice, = bed.ask("reload")
        assert "s2s.enabled: turning it on needs a restart" in notice
        refused()
    assert any("limits.depth" in line and "40" in line for line in bed.ask("show limits"))
    configuration.write_text(text)
    assert len(bed.ask("reload")) == 0


# ---- the end ----

@pytest.mark.parametrize("how", ["term", "drain"])
def test_drain__with_200_sessions__tells_everyone(start_bed, tmp_path_factory, how):
    bed = bed_module.Bed(tmp_path_factory.mktemp("drain"), users=10, settings=["bind.sessions_max=100"])
    clients = [bed.login(f"user{n % 10}", is_available=False, direct=True) for n in range(200)]
    others = [bed.connect(), bed.connect().open()]  # in negotiation
    assert bed.stats()["sessions"] == len(bed.sessions()) == 200
    begin = time.monotonic()
    if how == "term":
        os.kill(bed.pid, signal.SIGTERM)
    else:
        bed.ask("drain")
    for client in clients + others[1:]:
        client.expect_error("system-shutdown")
    others[0].close()
    assert bed_module.wait_until(lambda: throwaway.pid_of(bed.folder) is None, 10)
    seconds = time.monotonic() - begin
    print(f"200 sessions drained in {seconds:.2f} s")
    assert seconds < 10
    assert not [line for line in bed.log() if any(sign in line for sign in throwaway.SIGNS_OF_A_CRASH)]


def test_drain__with_deaf_sessions__ends_at_its_deadline_with_status_0(tmp_path):
    bed = bed_module.Bed(tmp_path / "bed", settings=["timeouts.drain=1s"])
    throwaway.stop(bed.folder)
    process = bed.relaunch()
    clients = [bed.login("user0", is_available=False) for _ in range(5)]  # they read nothing and close nothing
    begin = time.monotonic()
    os.kill(bed.pid, signal.SIGTERM)
    assert process.wait(10) == 0
    assert time.monotonic() - begin < 5
    for client in clients:
        client.close()


# ---- show ----

@pytest.mark.parametrize("what", ["info", "stats", "sessions", "shards", "limits"])
def test_show__in_text_and_json__tells_the_same(bed, what):
    client = bed.login("user0", "r\u00e9sum\u00e9 \"x\"")
    text = bed.ctl("show", what)
    made = bed.ctl("--json", "show", what)
    assert text.returncode == made.returncode == 0 and text.stdout and not text.stderr
    value = json.loads(made.stdout)
    lines = text.stdout.splitlines()
    if what == "stats":
        names = [line.split(" ")[0] for line in lines]
        assert names == [row["name"] for row in value] and len(set(names)) == len(names)
    elif what == "sessions":
        assert len(value) == len(lines) == 1
        row = value[0]
        assert row["jid"] == client.jid and row["shard"] in (0, 1) and row["mechanism"] == "SCRAM-SHA-256"
    elif what == "shards":
        assert len(value) == len(lines) == 2
        assert sum(row["connections"] for row in value) == 1
    elif what == "info":
        assert f"pid: {bed.pid}" in lines and value["pid"] == bed.pid
    else:
        assert len(lines) == len(value) and any(line.startswith("limits.stanza_size ") for line in lines)


def test_show_metrics__is_prometheus(bed):
    lines = bed.ask("show metrics")
    samples = [line for line in lines if not line.startswith("#")]
    assert samples and all(len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0 for line in samples)
