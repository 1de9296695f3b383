# SPDX-License-Identifier: MIT
"""The floors that the router's cost is held to (bench/relay) carry what they are given: the same bytes, in order, in plain
and over TLS 1.3, where each side's bytes are decrypted and encrypted anew."""
import contextlib
import json
import os
import pathlib
import socket
import ssl
import subprocess

import pytest

import test_load
import throwaway

SECONDS = 30


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("floor")
    throwaway.make_ca(folder)
    throwaway.make_certificate(folder, "localhost")
    return folder


def command(*words):
    return [str(pathlib.Path(test_load.load_binary()).parent / "relay"), *map(str, words)]


@contextlib.contextmanager
def relay(certificate=None):
    """The port of one that runs."""
    words = ["--certificate", certificate / "localhost.pem", "--key", certificate / "localhost.key"] if certificate else []
    process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
        assert process.poll() is None
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)
    assert process.returncode == 0


def dial(port):
    return socket.create_connection(("127.0.0.1", port), SECONDS)


def dial_tls(port, certificate):
    context = ssl.create_default_context(cafile=certificate / "ca.pem")
    wrapped = context.wrap_socket(dial(port), server_hostname="localhost")
    assert wrapped.version() == "TLSv1.3"
    return wrapped


def read(stream, size):
    found = bytearray()
    while len(found) < size:
        piece = stream.recv(65536)
        assert piece, f"ended after {len(found)} of {size} bytes"
        found += piece
    return bytes(found)


def is_over(stream):
    """Nothing more comes: an end, or a reset."""
    try:
        return stream.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize("tls", ["none", "direct"])
@pytest.mark.parametrize("window, body", [(1, 100), (16, 100), (16, 16384)])
def test_relay__pairs_of_clients__nothing_is_lost_or_changed(certificate, tls, window, body):
    with relay(certificate if tls == "direct" else None) as port:
        done = subprocess.run([test_load.load_binary(), "chat", "--relay", "--tls", tls, "--connect", f"127.0.0.1:{port}",
                               "--pairs", "10", "--count", "50", "--warmup", "0", "--window", str(window), "--body",
                               str(body), "--json"], capture_output=True, text=True, timeout=4 * SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] and report["sent"] == report["received"] == 20 * 50


def test_relay__tls__what_came_before_the_peer_waits_and_goes_on(certificate):
    early, late = os.urandom(1 << 20), os.urandom(100_000)
    with relay(certificate) as port, dial_tls(port, certificate) as first:
        first.sendall(early)
        with dial_tls(port, certificate) as second:
            assert read(second, len(early)) == early
            second.sendall(late)
            assert read(first, len(late)) == late
        assert is_over(first)


def test_relay__tls__pairs_do_not_hear_each_other(certificate):
    with relay(certificate) as port, contextlib.ExitStack() as stack:
        ends = [stack.enter_context(dial_tls(port, certificate)) for _ in range(6)]
        for number, end in enumerate(ends):
            end.sendall(b"%d" % number * 3000)
        for number, end in enumerate(ends):
            assert read(end, 3000) == b"%d" % (number ^ 1) * 3000


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", b""])
def test_relay__a_stranger_to_tls__is_ended_and_takes_no_ones_place(certificate, words):
    with relay(certificate) as port:
        with dial(port) as stranger:
            stranger.sendall(words)
            stranger.shutdown(socket.SHUT_WR)
            while not is_over(stranger):  # an alert may come before
                pass
        with dial_tls(port, certificate) as first, dial_tls(port, certificate) as second:
            first.sendall(b"still there")
            assert read(second, 11) == b"still there"


@pytest.mark.parametrize("words, told", [
    (["--certificate", "localhost.pem"], "goes with"),
    (["--certificate", "nowhere.pem", "--key", "localhost.key"], "nowhere.pem"),
    (["--certificate", "localhost.pem", "--key", "ca.key"], "ca.key"),
    (["--shards", "0"], "--shards"),
])
def test_relay__wrong_usage__is_named(certificate, words, told):
    done = subprocess.run(command(*words), cwd=certificate, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1 and told in done.stderr and not done.stdout
