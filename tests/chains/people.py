#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes certificates of clients' in the folder given, for the accounts user0, user1... of the domain: NAME.pem (leaf
first), NAME.key, and NAME.sha256, the fingerprint; people.pem is the authority to trust for them. See README.md."""

import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU

from generate import XMPP, dns, issue, usage, xmpp

CLIENT = [EKU.CLIENT_AUTH]
SIGNS = usage("digital_signature")


def write(folder, name, leaf, *above):
    def path(ending):
        return os.path.join(folder, name + ending)

    with open(path(".pem"), "wb") as file:
        for party in (leaf, *above):
            file.write(party.certificate.public_bytes(serialization.Encoding.PEM))
    with open(path(".key"), "wb") as file:
        file.write(leaf.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption()))
    with open(path(".sha256"), "w", encoding="ascii") as file:
        file.write(leaf.certificate.fingerprint(hashes.SHA256()).hex(":").upper() + "\n")


def authority(name):
    return issue(name, None, ca=True, key_usage=usage("key_cert_sign", "crl_sign"))


def make(folder, domain):
    """Whoever adds one tells in tests/sim/test_sim_external.c what becomes of it."""
    people, others = authority("People"), authority("Other people")
    below = issue("People below", people, ca=True, key_usage=usage("key_cert_sign", "crl_sign"))
    os.makedirs(folder, exist_ok=True)
    write(folder, "people", people)
    write(folder, "others", others)

    def address(user):
        return xmpp(f"{user}@{domain}")

    def person(name, *names, issuer=people, purposes=CLIENT, above=(), **options):
        options = {"ca": False, "key_usage": SIGNS, "purposes": purposes, **options}
        write(folder, name, issue(name, issuer, names=list(names), **options), *above)

    person("valid", address("user0"))
    person("renewed", address("user0"))
    person("below", address("user0"), issuer=below, above=[below])
    person("any_case", xmpp(f"User0@{domain.upper()}"))
    person("no_purpose", address("user0"), purposes=None)
    person("for_xmpp", address("user0"), purposes=[XMPP])
    person("for_all", address("user0"), purposes=[EKU.ANY_EXTENDED_KEY_USAGE])
    person("for_servers", address("user0"), purposes=[EKU.SERVER_AUTH])
    person("for_agreement", address("user0"), key_usage=usage("key_agreement"))
    person("an_authority", address("user0"), ca=True, key_usage=usage("digital_signature", "key_cert_sign"))
    person("expired", address("user0"), start=-20, end=-10)
    person("not_yet", address("user0"), start=10, end=20)
    person("of_others", address("user0"), issuer=others)
    person("self_signed", address("user0"), issuer=None)
    person("twice", address("user0"), xmpp(f"USER0@{domain}"))
    person("several", address("user0"), address("user1"))
    person("two_domains", xmpp("user1@elsewhere.example"), address("user0"))
    person("elsewhere", xmpp("user0@elsewhere.example"))
    person("device", xmpp(f"user0@{domain}/phone"))
    person("domain", xmpp(domain), dns(domain))
    person("nameless")
    person("mail", x509.RFC822Name(f"user0@{domain}"))
    person("mail_elsewhere", x509.RFC822Name("user0@elsewhere.example"))
    person("mail_and_address", x509.RFC822Name(f"user1@{domain}"), address("user0"))
    person("unknown", address("nobody"))


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2])
    with open(os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "people-stamp"), "w", encoding="ascii"):
        pass
