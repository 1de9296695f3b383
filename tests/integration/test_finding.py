# SPDX-License-Identifier: MIT
"""How the servers of other domains are found and dialled: addresses of two families of which one is dead or silent
(RFC 8305), and domains of whose servers the DNS says nothing good (RFC 6120 s10.4.3)."""
import contextlib
import pathlib
import socket

import pytest

import bed as bed_module
import throwaway
import wire
from nameserver import NameServer

SYN_SENT = "02"


@pytest.fixture(scope="module")
def names():
    server = NameServer()
    yield server
    server.close()


@contextlib.contextmanager
def silent_at(address, port):
    """A listener that answers no SYN: its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET6))
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(8):
            caller = stack.enter_context(socket.socket(socket.AF_INET6))
            caller.setblocking(False)
            caller.connect_ex((address, port))
        yield


def dialling(port):
    """Connections that are being made to that port."""
    table = pathlib.Path("/proc/net/tcp6").read_text() + pathlib.Path("/proc/net/tcp").read_text()
    rows = [line.split() for line in table.splitlines() if ":" in line]
    return [row for row in rows if row[2].endswith(f":{port:04X}") and row[3] == SYN_SENT]


def pair_of_routers(start_bed, names, name):
    """Ours finds the other one by SRV, at ::1 and 127.0.0.1; it listens at the second alone. An address may take a minute:
    whoever waits for the first one to fail comes too late."""
    ours, theirs = f"ours.{name}.example", f"theirs.{name}.example"
    here, there = throwaway.free_port(), throwaway.free_port()
    names.add_service("xmpp-server", theirs, f"host.{theirs}", there)
    names.add_address(f"host.{theirs}", "::1")
    names.add_address(f"host.{theirs}", "127.0.0.1")
    common = ("s2s.enabled=true", "s2s.tls_required=false")
    away = start_bed(domains=(theirs,), plaintext=True, settings=(
        *common, f"listen.s2s=127.0.0.1:{there}", f"s2s.routes={ours}=127.0.0.1:{here}"))
    home = start_bed(domains=(ours,), plaintext=True, settings=(
        *common, f"listen.s2s=127.0.0.1:{here}", f"s2s.nameservers=127.0.0.1@{names.port}", "s2s.allow_private=true",
        "s2s.dial_timeout=1min", "s2s.timeout=1min"))
    return home, away, there


def talk(home, away):
    romeo, juliet = home.login("user0", secure=False), away.login("user0", secure=False)
    romeo.message(juliet.jid, "but soft")
    assert juliet.body() == "but soft"
    juliet.message(romeo.jid, "ay me")
    assert romeo.body() == "ay me"


def close_streams(home, away):
    home.ctl("s2s", "close", away.domains[0])
    assert bed_module.wait_until(lambda: home.json("show s2s") == [] and away.json("show s2s") == [])


@pytest.mark.skipif(not throwaway.has_ipv6(), reason="this machine has no ::1")
def test_first_address__silent__the_other_family_and_nothing_left(start_bed, names):
    home, away, port = pair_of_routers(start_bed, names, "silent")
    with silent_at("::1", port):
        before = len(dialling(port))  # those that fill the backlog
        talk(home, away)
        stats = home.stats()
        assert (stats["s2s_dialled"], stats["s2s_dial_cancelled"], stats["s2s_failed_connect"]) == (2, 1, 0)
        assert bed_module.wait_until(lambda: len(dialling(port)) == before), dialling(port)
        close_streams(home, away)
        steps = [(row["step"], row["ok"]) for row in home.json(f"s2s test {away.domains[0]}")]
        assert ("cancel", True) in steps and steps[-1] == ("ready", True), steps
        assert bed_module.wait_until(lambda: len(dialling(port)) == before), dialling(port)
    close_streams(home, away)


@pytest.mark.skipif(not throwaway.has_ipv6(), reason="this machine has no ::1")
def test_first_address__refuses__the_other_at_once(start_bed, names):
    home, away, _ = pair_of_routers(start_bed, names, "refused")
    talk(home, away)
    stats = home.stats()
    assert (stats["s2s_dialled"], stats["s2s_dial_cancelled"], stats["s2s_failed_connect"]) == (2, 0, 1)
    close_streams(home, away)


def publish_faults(names):
    """Domains without a good server, and the error for each."""
    for domain, address in (("loopback.example", "127.0.0.1"), ("private.example", "10.1.2.3"), ("six.example", "::1"),
                            ("mapped.example", "::ffff:127.0.0.1"), ("link.example", "169.254.169.254")):
        names.add_service("xmpp-server", domain, f"host.{domain}", 5269)
        names.add_address(f"host.{domain}", address)
        yield domain, "remote-server-not-found"
    names.add_address("bare.example", "127.0.0.1")  # no SRV
    yield "bare.example", "remote-server-not-found"
    names.add_service("xmpp-server", "none.example", ".", 0)
    yield "none.example", "remote-server-not-found"
    yield "unknown.invalid", "remote-server-not-found"
    names.failing.add("failing.example")
    yield "failing.example", "remote-server-timeout"
    names.dead.add("dead.example")
    yield "dead.example", "remote-server-timeout"


def test_domains__without_a_good_server__each_its_error_and_none_waits_for_another(start_bed, names):
    faults = dict(publish_faults(names))
    home = start_bed(domains=("faults.example",), plaintext=True, settings=(
        "s2s.enabled=true", f"s2s.nameservers=127.0.0.1@{names.port}", "s2s.timeout=8s"))
    romeo = home.login("user0", secure=False)
    order = ["dead.example", *(domain for domain in faults if domain != "dead.example")]
    for domain in order:  # the dead one is asked for first, and answered last
        romeo.message(f"juliet@{domain}", "?")
    answers = [romeo.stanza() for _ in order]
    told = {answer.get("from").split("@")[1]: wire.condition(answer) for answer in answers}
    assert told == faults
    assert answers[-1].get("from") in ("juliet@dead.example", "juliet@failing.example")
    for domain in order:  # now all rest
        romeo.message(f"juliet@{domain}", "?")
        answer = romeo.stanza()
        assert answer.get("from") == f"juliet@{domain}" and wire.condition(answer) == faults[domain]
    assert home.stats()["s2s_dialled"] == 0
