# SPDX-License-Identifier: MIT
"""An authoritative name server for tests, on loopback over UDP: RFC 1035 with SRV (RFC 2782) and TLSA (RFC 6698). One zone
of it may be signed (RFC 4035), for those who ask with DO; the rest is not. What it does not know does not exist."""
import socket
import struct
import threading

from zonekey import DNSKEY, NSEC, RRSIG, ZoneKey, wire_name

TYPES = {"A": 1, "SOA": 6, "SRV": 33, "OPT": 41, "DNSKEY": DNSKEY, "TLSA": 52}
NXDOMAIN, REFUSED = 3, 5
# An answer, authoritative, recursion available: forwarders insist on it. That it was desired is said back (RFC 1035 s4.1.1).
FLAGS, RECURSION_DESIRED = 0x8480, 0x0100
TTL = 30
UDP_MAX, DO = 1232, 0x8000  # RFC 6891 s6.2.3; RFC 3225 s3


def read_name(packet, offset):
    labels = []
    while packet[offset]:
        labels.append(packet[offset + 1:offset + 1 + packet[offset]].decode("latin-1").lower())
        offset += 1 + packet[offset]
    return ".".join(labels), offset + 1


def record(name, kind, data):
    return wire_name(name) + struct.pack("!HHIH", kind, 1, TTL, len(data)) + data


class NameServer:
    def __init__(self, signed_zone=None):
        self.records = {}     # (name, type): list of the data
        self.asked = []       # (name, type) of every question
        self.spoilt = set()   # (name, type) of sets whose signatures are wrong
        self.key = ZoneKey(signed_zone) if signed_zone else None
        if self.key:
            self.records[(signed_zone, DNSKEY)] = [self.key.record]
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

    def add_tlsa(self, host, port, usage, selector, matching, data):
        """Returns its place in records."""
        place = (f"_{port}._tcp.{host}", TYPES["TLSA"])
        self.records.setdefault(place, []).append(bytes([usage, selector, matching]) + data)
        return place

    def put_set(self, name, kind, data, is_signed):
        """A set of records and its signature: how many, and their bytes."""
        out = [record(name, kind, one) for one in data]
        if is_signed:
            out.append(record(name, RRSIG, self.key.sign(name, kind, TTL, data, (name, kind) in self.spoilt)))
        return len(out), b"".join(out)

    def put_absence(self, name, is_signed):
        """RFC 2308 s3; signed, every name exists, and has what it has."""
        zone = self.key.zone if self.key and self.key.holds(name) else name.rsplit(".", 1)[-1]
        soa = wire_name("ns." + zone) * 2 + struct.pack("!IIIII", 1, 60, 60, 60, TTL)
        count, body = self.put_set(zone, TYPES["SOA"], [soa], is_signed)
        if is_signed:
            kinds = [known_kind for known, known_kind in self.records if known == name]
            more, absence = self.put_set(name, NSEC, [self.key.absence(name, kinds)], True)
            count, body = count + more, body + absence
        return count, body

    def answer(self, packet):
        name, end = read_name(packet, 12)
        kind = struct.unpack_from("!H", packet, end)[0]
        self.asked.append((name, kind))
        # The one further record can only be OPT: its flags are in the TTL.
        is_extended = struct.unpack_from("!H", packet, 10)[0] == 1 and len(packet) >= end + 15
        wants_signatures = is_extended and struct.unpack_from("!H", packet, end + 11)[0] & DO
        is_signed = bool(wants_signatures and self.key and self.key.holds(name))
        found = self.records.get((name, kind), [])
        exists = is_signed or any(name == known or known.endswith("." + name) for known, _ in self.records)
        status = 0 if found or exists else NXDOMAIN
        flags = FLAGS | status | struct.unpack_from("!H", packet, 2)[0] & RECURSION_DESIRED
        count, body = self.put_set(name, kind, found, is_signed) if found else self.put_absence(name, is_signed)
        opt = b"\0" + struct.pack("!HHIH", TYPES["OPT"], UDP_MAX, DO if wants_signatures else 0, 0) if is_extended else b""
        counts = (1, count if found else 0, 0 if found else count, 1 if opt else 0)
        return packet[:2] + struct.pack("!HHHHH", flags, *counts) + packet[12:end + 4] + body + opt

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
