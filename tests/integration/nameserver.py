# SPDX-License-Identifier: MIT
"""An authoritative name server for tests, on loopback over UDP: RFC 1035 with SRV (RFC 2782), nothing signed. What it
does not know does not exist."""
import socket
import struct
import threading

TYPES = {"A": 1, "SOA": 6, "SRV": 33}
NXDOMAIN, REFUSED = 3, 5
# An answer, authoritative, recursion available: forwarders insist on it. That it was desired is said back (RFC 1035 s4.1.1).
FLAGS, RECURSION_DESIRED = 0x8480, 0x0100
TTL = 30


def wire_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def read_name(packet, offset):
    labels = []
    while packet[offset]:
        labels.append(packet[offset + 1:offset + 1 + packet[offset]].decode("latin-1").lower())
        offset += 1 + packet[offset]
    return ".".join(labels), offset + 1


class NameServer:
    def __init__(self):
        self.records = {}  # (name, type): list of the data
        self.asked = []    # (name, type) of every question
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def add_address(self, name, address="127.0.0.1"):
        self.records.setdefault((name, TYPES["A"]), []).append(socket.inet_aton(address))

    def add_service(self, service, domain, target, port):
        """service: xmpp-server or xmpps-server. Target ".": there is none (RFC 2782)."""
        data = struct.pack("!HHH", 0, 0, port) + wire_name(target)
        self.records.setdefault((f"_{service}._tcp.{domain}", TYPES["SRV"]), []).append(data)

    def answer(self, packet):
        name, end = read_name(packet, 12)
        kind = struct.unpack_from("!H", packet, end)[0]
        self.asked.append((name, kind))
        found = self.records.get((name, kind), [])
        exists = any(name == known or known.endswith("." + name) for known, _ in self.records)
        status = 0 if found or exists else NXDOMAIN
        flags = FLAGS | status | struct.unpack_from("!H", packet, 2)[0] & RECURSION_DESIRED
        header = packet[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0 if found else 1, 0)
        body = packet[12:end + 4]
        for data in found:
            body += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, TTL, len(data)) + data
        if not found:  # RFC 2308 s3
            soa = wire_name("ns.example") * 2 + struct.pack("!IIIII", 1, 60, 60, 60, TTL)
            body += wire_name("example") + struct.pack("!HHIH", TYPES["SOA"], 1, TTL, len(soa)) + soa
        return header + body

    def serve(self):
        while True:
            try:
                packet, sender = self.socket.recvfrom(4096)
            except OSError:
                return  # closed
            if len(packet) < 17:
                return  # close() says so
            self.socket.sendto(self.answer(packet), sender)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join()
        self.socket.close()
