#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes the chains of matrix.txt in the folder given: NAME.pem (the chain as a server presents it, leaf first) and
NAME.key for each, and roots.pem, the certificates that are trusted. See README.md.

A second folder gets those of identities() once more, without the domain in the common name."""

import datetime
import ipaddress
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU
from cryptography.x509.oid import NameOID, ObjectIdentifier

DOMAIN = "peer.example"
NOW = datetime.datetime.utcnow().replace(microsecond=0)
DAY = datetime.timedelta(days=1)
XMPP = ObjectIdentifier("1.3.6.1.5.5.7.8.5")
SRV = ObjectIdentifier("1.3.6.1.5.5.7.8.7")
UNKNOWN = ObjectIdentifier("1.3.6.1.4.1.99999.1")

chains = {}
trusted = []
default_common = DOMAIN  # of leaves


# ---- DER, for what no library would write --------------------------------------------------------------------------


def tlv(tag, content):
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def split(content):
    """The elements in content, whole."""
    out = []
    while content:
        size, head = content[1], 2
        if size >= 0x80:
            head += size & 0x7F
            size = int.from_bytes(content[2:head], "big")
        out.append(content[: head + size])
        content = content[head + size :]
    return out


def inside(element):
    size = element[1]
    return element[2 if size < 0x80 else 2 + (size & 0x7F) :]


ECDSA_SHA256 = tlv(0x30, tlv(6, bytes.fromhex("2a8648ce3d040302")))
ECDSA_SHA1 = tlv(0x30, tlv(6, bytes.fromhex("2a8648ce3d0401")))


def signed_again(certificate, key, edit=None, algorithm=ECDSA_SHA256, digest=hashes.SHA256()):
    """The same certificate with its fields (a list of elements) edited, signed by an EC key."""
    fields = split(inside(split(inside(certificate.public_bytes(serialization.Encoding.DER)))[0]))
    fields[2] = algorithm
    if edit:
        fields = edit(fields)
    tbs = tlv(0x30, b"".join(fields))
    signature = key.sign(tbs, ec.ECDSA(digest))
    return tlv(0x30, tbs + algorithm + tlv(3, b"\0" + signature))


# ---- certificates --------------------------------------------------------------------------------------------------


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def name_of(common):
    if common is None:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sluice tests"),
                      x509.NameAttribute(NameOID.COMMON_NAME, common)])


def dns(name):
    return x509.DNSName(name)


def srv(name):
    return x509.OtherName(SRV, tlv(0x16, name.encode("ascii")))


def xmpp(name):
    return x509.OtherName(XMPP, tlv(0x0C, name.encode("utf-8")))


def usage(*names):
    all_names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                 "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: name in names for name in all_names})


class Party:
    def __init__(self, name, key, certificate):
        self.name, self.key, self.certificate = name, key, certificate

    @property
    def der(self):
        if isinstance(self.certificate, bytes):
            return self.certificate
        return self.certificate.public_bytes(serialization.Encoding.DER)


def issue(name, issuer, key=None, digest=hashes.SHA256(), start=-1, end=3650, ca=None, length=None, names=None,
          key_usage=None, purposes=None, purposes_critical=False, names_critical=False, constraints=None, extra=(),
          pss=False):
    """ca: None for no basicConstraints. issuer None: signed by itself."""
    key = key or new_key()
    subject = name_of(name)
    signer = issuer.key if issuer else key
    builder = (x509.CertificateBuilder().subject_name(subject)
               .issuer_name(name_of(issuer.name) if issuer else subject)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(NOW + start * DAY).not_valid_after(NOW + end * DAY))
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=length), critical=True)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=purposes_critical)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=names_critical)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    for extension, is_critical in extra:
        builder = builder.add_extension(extension, critical=is_critical)
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        digest = None
    return Party(name, key, builder.sign(signer, digest))


def authority(name, issuer, **options):
    options.setdefault("ca", True)
    options.setdefault("key_usage", usage("digital_signature", "key_cert_sign", "crl_sign"))
    return issue(name, issuer, **options)


def leaf(issuer, common=DOMAIN, **options):
    options.setdefault("ca", False)
    options.setdefault("names", [dns(DOMAIN)])
    return issue(default_common if common == DOMAIN else common, issuer, **options)


def chain(name, *parties):
    chains[name] = parties


def trust(party):
    trusted.append(party)
    return party


def only(*names):
    return x509.NameConstraints(permitted_subtrees=list(names), excluded_subtrees=None)


def never(*names):
    return x509.NameConstraints(permitted_subtrees=None, excluded_subtrees=list(names))


root = trust(authority("Root", None))
middle = authority("Intermediate", root)
stranger = authority("Stranger", None)


def good(name, **options):
    """A chain whose leaf alone is of interest."""
    chain(name, leaf(middle, **options), middle)


def under(name, options, **leaf_options):
    """A chain whose authority is of interest."""
    one = authority("Odd authority", root, **options)
    chain(name, leaf(one, **leaf_options), one)


# ---- paths ---------------------------------------------------------------------------------------------------------


def line(count):
    """Intermediates below each other, the last one first."""
    parties = [root]
    for i in range(count):
        parties.append(authority(f"Step {i}", parties[-1]))
    return parties[:0:-1]


def paths():
    good("good")
    chain("direct", leaf(root))
    chain("root_sent", leaf(middle), middle, root)
    steps = line(3)
    chain("out_of_order", leaf(steps[0]), steps[2], steps[0], steps[1])
    chain("beside_the_point", leaf(middle), stranger, middle)
    chain("sent_twice", leaf(middle), middle, middle)
    steps = line(8)
    chain("chain_of_10", leaf(steps[0]), *steps)
    steps = line(9)
    chain("chain_of_11", leaf(steps[0]), *steps)
    chain("nine_roots_sent", leaf(middle), middle, *[root] * 7)

    crossed = new_key()
    by_stranger = authority("Crossed", stranger, key=crossed)
    by_root = authority("Crossed", root, key=crossed)
    chain("cross_signed", leaf(by_root), by_stranger, by_root)
    chain("cross_signed_by_strangers", leaf(by_root), by_stranger)
    old_key = new_key()
    old_root = trust(authority("Old root", None, key=old_key, start=-20, end=-10))
    chain("cross_signed_old_root", leaf(old_root), authority("Old root", root, key=old_key))
    first, second = new_key(), new_key()
    one, two = Party("Ring 1", first, None), Party("Ring 2", second, None)
    chain("cross_signed_circle", leaf(one), authority("Ring 1", two, key=first), authority("Ring 2", one, key=second))
    chain("root_expired", leaf(old_root))
    early_root = trust(authority("Early root", None, start=3000))
    chain("root_not_yet_valid", leaf(early_root))

    good("leaf_expired", start=-20, end=-1)
    good("leaf_not_yet_valid", start=3000)
    under("intermediate_expired", {"start": -20, "end": -1})
    under("intermediate_not_yet_valid", {"start": 3000})

    chain("self_signed", leaf(None))
    chain("self_signed_authority", leaf(None, ca=True))
    chain("self_signed_pinned", trust(leaf(None, common="Pinned")))
    chain("self_signed_pinned_authority", trust(leaf(None, common="Pinned authority", ca=True)))
    chain("self_signed_pinned_expired", trust(leaf(None, common="Pinned and old", start=-20, end=-1)))
    partial = trust(authority("Trusted intermediate", stranger))
    chain("intermediate_trusted", leaf(partial))

    step = trust(authority("Trusted step", root))
    chain("root_and_step_trusted", leaf(step))
    crossed = new_key()
    second_root = trust(authority("Second root", None))
    by_root, by_second = (authority("Twice crossed", one, key=crossed) for one in (root, second_root))
    chain("two_roots", leaf(by_root), by_second, by_root)

    chain("unknown_root", leaf(stranger))
    step = authority("Step of the stranger", stranger)
    chain("unknown_chain_sent", leaf(step), step, stranger)
    chain("unknown_chain_cut", leaf(step), step)
    chain("unknown_root_sent", leaf(stranger), stranger)
    chain("intermediate_missing", leaf(middle))
    chain("unknown_intermediate", leaf(authority("Nobody", stranger)))
    chain("impostor_root", leaf(authority("Root", None)))
    chain("impostor_intermediate", leaf(authority("Intermediate", root)), middle)
    chain("key_of_another_kind", leaf(Party("Intermediate", rsa_key(2048), None)), middle)

    spoilt = leaf(middle)
    chain("leaf_changed", Party(DOMAIN, spoilt.key, spoilt.der[:-1] + bytes([spoilt.der[-1] ^ 1])), middle)
    one = authority("Changed", root)
    chain("intermediate_changed", leaf(one), Party("Changed", one.key, one.der[:-1] + bytes([one.der[-1] ^ 1])))


# ---- authorities ---------------------------------------------------------------------------------------------------


def authorities():
    under("intermediate_no_ca_flag", {"ca": False})
    under("intermediate_no_constraints", {"ca": None})
    under("intermediate_no_cert_sign", {"key_usage": usage("digital_signature", "crl_sign")})
    under("intermediate_no_key_usage", {"key_usage": None})
    other = leaf(middle, common="other.example", names=[dns("other.example")])
    chain("issued_by_a_leaf", leaf(other), other, middle)
    good("leaf_is_authority", ca=True)
    good("leaf_no_constraints", ca=None)

    short = authority("Short", root, length=0)
    below = authority("Below", short)
    chain("path_length_0_kept", leaf(short), short)
    chain("path_length_0_broken", leaf(below), below, short)
    longer = authority("Longer", root, length=1)
    below = authority("Below", longer)
    chain("path_length_1_kept", leaf(below), below, longer)
    rolled = authority("Short", short)
    chain("path_length_self_issued", leaf(rolled), rolled, short)
    short_root = trust(authority("Short root", None, length=0))
    below = authority("Below", short_root)
    chain("path_length_of_the_root", leaf(below), below)
    no_root = trust(issue("Root without flag", None, ca=None))
    chain("root_no_ca_flag", leaf(no_root))
    old = authority("Old style root", None, ca=None, key_usage=None)
    old.certificate = signed_again(old.certificate, old.key, lambda fields: fields[1:7])
    trust(old)
    chain("root_version_1", leaf(old))
    chain("intermediate_version_1", *version_1_intermediate())


def version_1_intermediate():
    one = authority("Old style", root, ca=None, key_usage=None)
    one.certificate = signed_again(one.certificate, root.key, lambda fields: fields[1:7])
    return leaf(one), one


# ---- usage ---------------------------------------------------------------------------------------------------------


def purposes():
    good("purpose_server", purposes=[EKU.SERVER_AUTH])
    good("purpose_client", purposes=[EKU.CLIENT_AUTH])
    good("purpose_both", purposes=[EKU.SERVER_AUTH, EKU.CLIENT_AUTH])
    good("purpose_any", purposes=[ObjectIdentifier("2.5.29.37.0")])
    good("purpose_xmpp", purposes=[XMPP])
    good("purpose_code", purposes=[EKU.CODE_SIGNING])
    good("purpose_code_critical", purposes=[EKU.CODE_SIGNING], purposes_critical=True)
    good("purpose_server_critical", purposes=[EKU.SERVER_AUTH], purposes_critical=True)
    under("authority_purpose_server", {"purposes": [EKU.SERVER_AUTH]})
    under("authority_purpose_client", {"purposes": [EKU.CLIENT_AUTH]})
    under("authority_purpose_code", {"purposes": [EKU.CODE_SIGNING]})
    good("usage_signature", key_usage=usage("digital_signature"))
    good("usage_encipherment", key_usage=usage("key_encipherment"))
    good("usage_agreement", key_usage=usage("key_agreement"))


# ---- algorithms ----------------------------------------------------------------------------------------------------


rsa_keys = {}


def rsa_key(bits):
    if bits not in rsa_keys:
        rsa_keys[bits] = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return rsa_keys[bits]


def algorithms():
    good("rsa_2048", key=rsa_key(2048))
    good("p384", key=ec.generate_private_key(ec.SECP384R1()), digest=hashes.SHA384())
    good("ed25519", key=ed25519.Ed25519PrivateKey.generate())
    under("authority_rsa_2048", {"key": rsa_key(2048)})
    under("authority_rsa_sha512", {"key": rsa_key(2048)}, digest=hashes.SHA512())
    under("authority_p384", {"key": ec.generate_private_key(ec.SECP384R1())}, digest=hashes.SHA384())
    under("authority_p521", {"key": ec.generate_private_key(ec.SECP521R1())}, digest=hashes.SHA512())
    under("authority_ed25519", {"key": ed25519.Ed25519PrivateKey.generate()})
    one = authority("PSS", root, key=rsa_key(2048))
    chain("authority_rsa_pss", pss_leaf(one, 32), one)
    chain("authority_rsa_pss_odd_salt", pss_leaf(one, 20), one)
    good("weak_rsa_1024", key=rsa_key(1024))
    under("weak_authority_rsa_1024", {"key": rsa_key(1024)})
    under("weak_authority_p224", {"key": ec.generate_private_key(ec.SECP224R1())})
    under("weak_authority_p256k1", {"key": ec.generate_private_key(ec.SECP256K1())})
    weak = leaf(middle)
    weak.certificate = signed_again(weak.certificate, middle.key, None, ECDSA_SHA1, hashes.SHA1())
    chain("weak_sha1", weak, middle)
    one = authority("By SHA-1", root)
    one.certificate = signed_again(one.certificate, root.key, None, ECDSA_SHA1, hashes.SHA1())
    chain("weak_authority_sha1", leaf(one), one)
    weak_root = authority("Root of SHA-1", None)
    weak_root.certificate = signed_again(weak_root.certificate, weak_root.key, None, ECDSA_SHA1, hashes.SHA1())
    trust(weak_root)
    chain("root_sha1", leaf(weak_root))  # an anchor's own signature is of no use to anybody


def pss_leaf(issuer, salt):
    made = leaf(issuer)
    sha256 = tlv(0x30, tlv(6, bytes.fromhex("608648016503040201")) + tlv(5, b""))
    mgf1 = tlv(0x30, tlv(6, bytes.fromhex("2a864886f70d010108")) + sha256)
    parameters = tlv(0x30, tlv(0xA0, sha256) + tlv(0xA1, mgf1) + tlv(0xA2, tlv(2, bytes([salt]))))
    algorithm = tlv(0x30, tlv(6, bytes.fromhex("2a864886f70d01010a")) + parameters)
    fields = split(inside(split(inside(made.der))[0]))
    fields[2] = algorithm
    tbs = tlv(0x30, b"".join(fields))
    signature = issuer.key.sign(tbs, padding.PSS(padding.MGF1(hashes.SHA256()), salt), hashes.SHA256())
    made.certificate = tlv(0x30, tbs + algorithm + tlv(3, b"\0" + signature))
    return made


# ---- extensions ----------------------------------------------------------------------------------------------------


def extensions():
    unknown = x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00")
    policies = x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier("2.5.29.32.0"), None)])
    good("extension_unknown", extra=[(unknown, False)])
    good("extension_unknown_critical", extra=[(unknown, True)])
    under("authority_unknown_critical", {"extra": [(unknown, True)]})
    good("policies_critical", extra=[(policies, True)])
    under("policy_constraints_critical", {"extra": [(x509.PolicyConstraints(0, None), True)]})
    version_1 = leaf(middle)
    version_1.certificate = signed_again(version_1.certificate, middle.key, lambda fields: fields[1:7])
    chain("version_1", version_1, middle)
    doubled = leaf(middle)
    doubled.certificate = signed_again(doubled.certificate, middle.key, double_extensions)
    chain("extension_twice", doubled, middle)
    other = leaf(middle)
    der = other.der  # the algorithm outside is not the one inside, which is what is signed
    other.certificate = der.replace(ECDSA_SHA256, tlv(0x30, tlv(6, bytes.fromhex("2a8648ce3d040303"))))
    other.certificate = der[: der.rindex(ECDSA_SHA256)] + other.certificate[der.rindex(ECDSA_SHA256) :]
    chain("algorithms_differ", other, middle)
    chain("intermediate_garbage", leaf(middle), Party("Garbage", None, b"\x30\x03\x02\x01\x01"))


def double_extensions(fields):
    inner = inside(inside(fields[-1]))
    return fields[:-1] + [tlv(0xA3, tlv(0x30, inner + split(inner)[0]))]


# ---- name constraints ----------------------------------------------------------------------------------------------


def constraints():
    def held(name, rule, *names, **options):
        under(name, {"constraints": rule}, names=list(names), **options)

    held("constraint_permits", only(dns("example")), dns(DOMAIN))
    held("constraint_permits_exactly", only(dns(DOMAIN)), dns(DOMAIN))
    held("constraint_permits_dotted", only(dns(".example")), dns(DOMAIN))
    held("constraint_dotted_itself", only(dns("." + DOMAIN)), dns(DOMAIN))
    held("constraint_not_permitted", only(dns("other.example")), dns(DOMAIN))
    held("constraint_part_of_a_label", only(dns("er.example")), dns(DOMAIN))
    held("constraint_one_of_two_names", only(dns(DOMAIN)), dns(DOMAIN), dns("other.example"))
    held("constraint_excludes", never(dns(DOMAIN)), dns(DOMAIN))
    held("constraint_excludes_case", never(dns("PEER.Example")), dns(DOMAIN))
    held("constraint_excludes_other", never(dns("other.example")), dns(DOMAIN))
    held("constraint_excludes_all_dns", never(dns("")), dns(DOMAIN))
    held("constraint_srv_by_dns", only(dns("other.example")), srv("_xmpp-server." + DOMAIN))
    held("constraint_srv_by_dns_permits", only(dns("example")), srv("_xmpp-server." + DOMAIN))
    held("constraint_xmpp_by_dns", only(dns("other.example")), xmpp(DOMAIN))
    held("constraint_xmpp_by_dns_permits", only(dns("example")), xmpp(DOMAIN))
    held("constraint_srv_service", only(srv("_xmpp-server")), srv("_xmpp-server." + DOMAIN))
    held("constraint_srv_other_service", only(srv("_xmpp-client")), srv("_xmpp-server." + DOMAIN))
    held("constraint_srv_excluded", never(srv(DOMAIN)), srv("_xmpp-server." + DOMAIN))
    held("constraint_wildcard_permitted", only(dns("example")), dns("*." + DOMAIN))
    held("constraint_wildcard_too_wide", only(dns("x." + DOMAIN)), dns("*." + DOMAIN))
    held("constraint_wildcard_excluded", never(dns("x." + DOMAIN)), dns("*." + DOMAIN))
    held("constraint_directory", only(x509.DirectoryName(name_of(DOMAIN))), dns(DOMAIN))
    held("constraint_directory_other", only(x509.DirectoryName(name_of("other"))), dns(DOMAIN))
    held("constraint_address", only(x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))),
         dns(DOMAIN), x509.IPAddress(ipaddress.ip_address("192.0.2.7")))
    held("constraint_address_other", only(x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))),
         dns(DOMAIN), x509.IPAddress(ipaddress.ip_address("198.51.100.7")))
    held("constraint_mail_without_mail", only(x509.RFC822Name("example")), dns(DOMAIN))
    for name, rule, base, address in (
            ("", only, "example", "x@example"), ("_case", only, "Example", "x@eXAMPLE"),
            ("_other_host", only, "example", "x@a.example"), ("_below", only, ".example", "x@a.example"),
            ("_below_itself", only, ".example", "x@example"), ("_box", only, "x@example", "x@example"),
            ("_other_box", only, "x@example", "y@example"), ("_box_case", only, "x@example", "X@example"),
            ("_excluded", never, "example", "x@example"), ("_other_excluded", never, "y@example", "x@example")):
        held("constraint_mail" + name, rule(x509.RFC822Name(base)), dns(DOMAIN), x509.RFC822Name(address))
    bound_root = trust(authority("Bound root", None, constraints=only(dns("other.example"))))
    chain("constraint_of_the_root", leaf(bound_root))
    bound = authority("Bound", root, constraints=only(x509.DirectoryName(name_of(DOMAIN))))
    rolled = authority("Bound", bound)
    chain("constraint_self_issued", leaf(rolled), rolled, bound)
    below = authority("Below", bound)
    chain("constraint_authority_below", leaf(below), below, bound)


# ---- identity ------------------------------------------------------------------------------------------------------


def identities():
    good("cn_only", names=None)
    good("cn_and_other_dns", names=[dns("other.example")])
    good("dns_other_cn", common="other.example")
    good("dns_upper_case", names=[dns("PEER.EXAMPLE")])
    good("dns_trailing_dot", names=[dns(DOMAIN + ".")])
    good("dns_underscore", names=[dns("a_b.example")])
    good("dns_nul", names=[dns(DOMAIN + "\0.evil.example")])
    good("dns_utf8", names=[x509.DNSName._init_without_validation("m\u00fcller.example")])
    good("subject_empty", common=None, names_critical=True)
    good("wildcard", names=[dns("*.peer.example")])
    good("wildcard_not_itself", names=[dns("*.peer.example")])
    good("wildcard_two_labels", names=[dns("*.peer.example")])
    good("wildcard_top_level", names=[dns("*.example")])
    good("wildcard_partial", names=[dns("p*.example")])
    good("wildcard_inside", names=[dns("x.*.example")])
    good("wildcard_alone", names=[dns("*")])
    good("srv_server", names=[srv("_xmpp-server." + DOMAIN)])
    good("srv_client", names=[srv("_xmpp-client." + DOMAIN)])
    good("srv_client_and_dns", names=[srv("_xmpp-client." + DOMAIN), dns(DOMAIN)])
    good("srv_wildcard", names=[srv("_xmpp-server.*.peer.example")])
    good("srv_two", names=[srv("_xmpp-client." + DOMAIN), srv("_xmpp-server." + DOMAIN)])
    good("xmpp_addr", names=[xmpp(DOMAIN)])
    good("xmpp_addr_user", names=[xmpp("user@" + DOMAIN)])
    good("xmpp_addr_idn", names=[xmpp("m\u00fcller.example")])
    good("host_dns", names=[dns("host.example")])
    good("host_srv", names=[srv("_xmpp-server.host.example")])
    good("idn", names=[dns("xn--mller-kva.example")])
    good("idn_wildcard", names=[dns("*.peer.example")])
    good("two_names_first", names=[dns("other.example"), dns(DOMAIN)])
    good("two_names_second", names=[dns("other.example"), dns(DOMAIN)])
    good("hundred_names", names=[dns(f"n{i}.example") for i in range(99)] + [dns(DOMAIN)])
    good("address_only", names=[x509.IPAddress(ipaddress.ip_address("192.0.2.1"))])
    good("address_as_dns", names=[dns("192.0.2.1")])
    good("uri_only", names=[x509.UniformResourceIdentifier("xmpp:peer.example")])
    good("mail_only", names=[x509.RFC822Name("x@peer.example")])


# ---- writing -------------------------------------------------------------------------------------------------------


def pem(der):
    import base64
    text = base64.encodebytes(der).decode("ascii").replace("\n", "")
    lines = "\n".join(text[i : i + 64] for i in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def write_chains(folder):
    os.makedirs(folder, exist_ok=True)
    for name, parties in chains.items():
        with open(f"{folder}/{name}.pem", "w") as file:
            file.write("".join(pem(party.der) for party in parties))
        with open(f"{folder}/{name}.key", "wb") as file:
            file.write(parties[0].key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                    serialization.NoEncryption()))
    with open(f"{folder}/roots.pem", "w") as file:
        file.write("".join(pem(party.der) for party in trusted))
    with open(f"{folder}/names", "w") as file:
        file.write("".join(f"{name}\n" for name in chains))


def main():
    global default_common
    folder = sys.argv[1]
    for part in (paths, authorities, purposes, algorithms, extensions, constraints, identities):
        part()
    write_chains(folder)
    if len(sys.argv) > 2:
        chains.clear()
        default_common = "A server"
        identities()
        write_chains(sys.argv[2])
    with open(os.path.join(os.path.dirname(os.path.abspath(folder)), "stamp"), "w") as file:
        file.write("made\n")


if __name__ == "__main__":
    main()
