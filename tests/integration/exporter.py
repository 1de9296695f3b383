# SPDX-License-Identifier: MIT
"""A Wire whose TLS is `openssl s_client`: Python's ssl does not export keying material, and tls-exporter (RFC 9266) is
made of it. Direct TLS only; the router must send no tickets (tls.tickets=false), since s_client writes them between
the lines."""
import os
import re
import select
import subprocess
import time

import tap
import wire

MARK = b"Keying material: "


class ExporterWire:
    """As far as Client uses a Wire: send, receive, close; binding_data is that of tls-exporter."""

    def __init__(self, port, authority, name):
        self.tls = self
        self.was_notified = True  # s_client does not tell; wire.Wire does
        self.has_ended = False
        self.tap = tap.Connection(port)
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(authority), "-verify_return_error",
             "-servername", name, "-tls1_3", "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32",
             "-nocommands", "-ign_eof"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        text = b""
        while not re.search(MARK + rb"[0-9A-F]{64}\r?\n", text) or not text.endswith(b"---\n"):
            text += self.read(time.monotonic() + wire.WAIT)
        self.binding_data = bytes.fromhex(re.search(MARK + rb"([0-9A-F]{64})", text).group(1).decode())

    def read(self, until):
        ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
        if not ready:
            raise TimeoutError("the router did not answer")
        return os.read(self.process.stdout.fileno(), 65536)

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def receive(self, until=None):
        data = self.read(until or time.monotonic() + wire.WAIT)
        # It tells of the end in words of its own behind the last bytes of the stream.
        end = data.find(b"</stream:stream>")
        self.has_ended = not data
        return self.tap.heard(data if end < 0 else data[:end + 16])

    def wait_for_end(self, _=None):
        self.process.wait(wire.WAIT)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def client(port, authority, domain="localhost"):
    made = wire.Client.__new__(wire.Client)
    made.wire = ExporterWire(port, authority, domain)
    made.domain, made.user, made.jid, made.id_last, made.bytes = domain, None, None, 0, bytearray()
    made.restart()
    return made
