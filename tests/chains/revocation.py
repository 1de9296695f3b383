#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes answers about revocation, good and bad in one way each, in the folder given: NAME.answer, the certificate that
it is about and its issuer (NAME.leaf, NAME.issuer), all in DER, and answers.txt: name, kind, the exact status, at the
time that is in the file "now". See README.md."""

import base64
import datetime
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU

import generate
from generate import DAY, NOW, Party, authority, inside, leaf, new_key, split, tlv, usage

HOUR = datetime.timedelta(hours=1)
SINCE_1970 = datetime.datetime.fromtimestamp(0, NOW.tzinfo) - NOW
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
DER = serialization.Encoding.DER

cases = []
root = generate.root
issuer = authority("Issuer", root)
about = leaf(issuer)


def spoilt(signed):
    """The last bit of the signature turned; it must be the last field."""
    return signed[:-1] + bytes([signed[-1] ^ 1])


def case(name, kind, expected, answer, certificate=about, by=issuer):
    cases.append((name, kind, expected, answer, certificate.der, by.der))


# ---- OCSP ----------------------------------------------------------------------------------------------------------


def answer(certificate=about, by=issuer, signer=None, status=GOOD, this=-1 * HOUR, until=12 * HOUR, reason=None,
           algorithm=hashes.SHA1(), encoding=ocsp.OCSPResponderEncoding.HASH, certificates=(), digest=hashes.SHA256()):
    """signer: who signs and is named as responder."""
    signer = signer or by
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=certificate.certificate, issuer=by.certificate, algorithm=algorithm, cert_status=status,
        this_update=NOW + this, next_update=NOW + until if until is not None else None,
        revocation_time=NOW - 2 * DAY if status == REVOKED else None,
        revocation_reason=reason).responder_id(encoding, signer.certificate)
    if certificates:
        builder = builder.certificates([party.certificate for party in certificates])
    if isinstance(signer.key, ed25519.Ed25519PrivateKey):
        digest = None
    return builder.sign(signer.key, digest).public_bytes(DER)


def delegate(by=issuer, **options):
    options.setdefault("purposes", [EKU.OCSP_SIGNING])
    return leaf(by, common="Responder", names=None, **options)


def by_delegate(party, **options):
    return answer(signer=party, certificates=[party], **options)


def basic_of(response):
    """responseStatus, and the fields of BasicOCSPResponse."""
    status, wrapped = split(inside(response))
    kind, octets = split(inside(inside(wrapped)))
    return status, kind, split(inside(inside(octets)))


def response_of(status, kind, fields):
    return tlv(0x30, status + tlv(0xA0, tlv(0x30, kind + tlv(4, tlv(0x30, b"".join(fields))))))


def edited(response, key, edit):
    """ResponseData's fields edited, signed again."""
    status, kind, fields = basic_of(response)
    data = tlv(0x30, b"".join(edit(split(inside(fields[0])))))
    signature = key.sign(data, ec.ECDSA(hashes.SHA256()))
    return response_of(status, kind, [data, fields[1], tlv(3, b"\0" + signature)] + fields[3:])


def responses_edited(response, key, edit):
    """The list of SingleResponses edited; it is the last field here, or the one before the extensions."""
    def change(fields):
        index = max(i for i, field in enumerate(fields) if field[0] == 0x30)
        return fields[:index] + [tlv(0x30, b"".join(edit(split(inside(fields[index])))))] + fields[index + 1:]
    return edited(response, key, change)


def serial_party(serial, by=issuer):
    """A certificate with that serial number."""
    made = leaf(by)
    made.certificate = (x509.CertificateBuilder().subject_name(made.certificate.subject)
                        .issuer_name(by.certificate.subject).public_key(made.key.public_key()).serial_number(serial)
                        .not_valid_before(NOW - DAY).not_valid_after(NOW + DAY).sign(by.key, hashes.SHA256()))
    return made


def good_answers():
    case("ocsp_good", "ocsp", "good", answer())
    case("ocsp_good_by_name", "ocsp", "good", answer(encoding=ocsp.OCSPResponderEncoding.NAME))
    case("ocsp_good_sha256_id", "ocsp", "good", answer(algorithm=hashes.SHA256()))
    case("ocsp_good_no_next_update", "ocsp", "good", answer(until=None))
    case("ocsp_good_delegate", "ocsp", "good", by_delegate(delegate()))
    case("ocsp_good_delegate_by_name", "ocsp", "good",
         by_delegate(delegate(), encoding=ocsp.OCSPResponderEncoding.NAME))
    case("ocsp_good_delegate_ed25519", "ocsp", "good", by_delegate(delegate(key=ed25519.Ed25519PrivateKey.generate())))
    case("ocsp_good_delegate_rsa", "ocsp", "good", by_delegate(delegate(key=generate.rsa_key(2048))))
    case("ocsp_good_delegate_second", "ocsp", "good",
         (lambda party: answer(signer=party, certificates=[issuer, party]))(delegate()))
    case("ocsp_good_clock_skew", "ocsp", "good", answer(this=datetime.timedelta(seconds=200)))
    other = answer(certificate=leaf(issuer))
    case("ocsp_good_among_others", "ocsp", "good", responses_edited(
        answer(), issuer.key, lambda ours: split(inside(split(inside(basic_of(other)[2][0]))[-1])) + ours))
    case("ocsp_revoked", "ocsp", "revoked", answer(status=REVOKED))
    case("ocsp_revoked_reason", "ocsp", "revoked", answer(status=REVOKED, reason=x509.ReasonFlags.key_compromise))
    case("ocsp_revoked_delegate", "ocsp", "revoked", by_delegate(delegate(), status=REVOKED))
    case("ocsp_revoked_stale", "ocsp", "revoked", answer(status=REVOKED, this=-3 * DAY, until=-2 * DAY))


def bad_answers():
    case("ocsp_hold_stale", "ocsp", "stale", answer(status=REVOKED, reason=x509.ReasonFlags.certificate_hold,
                                                    this=-3 * DAY, until=-2 * DAY))
    case("ocsp_unknown", "ocsp", "unknown", answer(status=UNKNOWN))
    for status in ("MALFORMED_REQUEST", "INTERNAL_ERROR", "TRY_LATER", "SIG_REQUIRED", "UNAUTHORIZED"):
        case("ocsp_status_" + status.lower(), "ocsp", "refused",
             ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus[status]).public_bytes(DER))
    case("ocsp_stale", "ocsp", "stale", answer(this=-3 * DAY, until=-2 * DAY))
    case("ocsp_stale_no_next_update", "ocsp", "stale", answer(this=-25 * HOUR, until=None))
    case("ocsp_early", "ocsp", "early", answer(this=1 * HOUR))
    case("ocsp_other_certificate", "ocsp", "other", answer(certificate=leaf(issuer)))
    long = serial_party(0x0102030405060708)
    case("ocsp_serial_prefix", "ocsp", "other", answer(certificate=serial_party(0x01020304)), certificate=long)
    case("ocsp_serial_suffix", "ocsp", "other", answer(certificate=serial_party(0x0506070800000000)),
         certificate=serial_party(0x05060708))
    twin = authority("Issuer", root)  # the same name, another key
    case("ocsp_other_issuer", "ocsp", "other", answer(certificate=serial_party(77, twin), by=twin),
         certificate=serial_party(77))
    case("ocsp_other_issuer_name", "ocsp", "other",
         (lambda party: answer(certificate=serial_party(78, party), by=party))(authority("Other", root, key=issuer.key)),
         certificate=serial_party(78))
    case("ocsp_forged", "ocsp", "forged", spoilt(answer()))
    case("ocsp_forged_status", "ocsp", "forged", answer(status=UNKNOWN).replace(b"\x82\x00", b"\x80\x00"))
    case("ocsp_by_stranger_as_issuer", "ocsp", "forged", edited(answer(), new_key(), lambda fields: fields))
    case("ocsp_unsigned", "ocsp", "malformed", unsigned())
    case("ocsp_by_stranger", "ocsp", "unauthorised", answer(signer=authority("Stranger", None)))
    case("ocsp_by_root", "ocsp", "unauthorised", answer(signer=root))
    case("ocsp_by_root_sent", "ocsp", "unauthorised", answer(signer=root, certificates=[root]))
    case("ocsp_by_itself", "ocsp", "unauthorised", answer(signer=about, certificates=[about]))
    case("ocsp_delegate_not_sent", "ocsp", "unauthorised", answer(signer=delegate()))
    case("ocsp_delegate_no_purpose", "ocsp", "unauthorised", by_delegate(delegate(purposes=None)))
    case("ocsp_delegate_server_purpose", "ocsp", "unauthorised", by_delegate(delegate(purposes=[EKU.SERVER_AUTH])))
    case("ocsp_delegate_any_purpose", "ocsp", "unauthorised",
         by_delegate(delegate(purposes=[x509.ObjectIdentifier("2.5.29.37.0")])))
    case("ocsp_delegate_no_signature_usage", "ocsp", "unauthorised",
         by_delegate(delegate(key_usage=usage("key_encipherment"))))
    case("ocsp_delegate_of_root", "ocsp", "unauthorised", by_delegate(delegate(by=root)))
    case("ocsp_delegate_of_twin", "ocsp", "unauthorised", by_delegate(delegate(by=twin)))
    below = authority("Below", issuer)
    case("ocsp_delegate_of_delegate", "ocsp", "unauthorised",
         (lambda party: answer(signer=party, certificates=[party, below]))(delegate(by=below)))
    case("ocsp_delegate_expired", "ocsp", "unauthorised", by_delegate(delegate(start=-20, end=-1)))
    case("ocsp_delegate_not_yet_valid", "ocsp", "unauthorised", by_delegate(delegate(start=30)))
    crowd = [delegate() for _ in range(4)]
    case("ocsp_delegate_fifth", "ocsp", "unauthorised",
         (lambda party: answer(signer=party, certificates=crowd + [party]))(delegate()))
    case("ocsp_weak_signature", "ocsp", "unsupported", weak_signature())
    case("ocsp_another_kind", "ocsp", "unsupported", another_kind())
    case("ocsp_hash_unknown", "ocsp", "unsupported", answer(algorithm=hashes.SHA224()))
    # By the clock's first second, which stands for "not told" in the judge's facts, and good for a day to come.
    case("ocsp_1970_good_forged", "ocsp", "malformed", spoilt(answer(this=SINCE_1970)))
    case("ocsp_1970_revoked_forged", "ocsp", "malformed", spoilt(answer(this=SINCE_1970, status=REVOKED)))
    case("ocsp_1970_revoked_stale_forged", "ocsp", "malformed",
         spoilt(answer(this=SINCE_1970, until=-2 * DAY, status=REVOKED)))
    case("ocsp_1970", "ocsp", "malformed", answer(this=SINCE_1970))


def unsigned():
    status, kind, fields = basic_of(answer())
    return response_of(status, kind, [fields[0], fields[1], tlv(3, b"\0")])


def weak_signature():
    status, kind, fields = basic_of(answer())
    signature = issuer.key.sign(fields[0], ec.ECDSA(hashes.SHA1()))
    return response_of(status, kind, [fields[0], generate.ECDSA_SHA1, tlv(3, b"\0" + signature)])


def another_kind():
    status, kind, fields = basic_of(answer())
    return response_of(status, tlv(6, bytes.fromhex("2b060104018737")), fields)


def broken_answers():
    good = answer()
    case("ocsp_empty", "ocsp", "malformed", b"")
    case("ocsp_cut", "ocsp", "malformed", good[:-1])
    case("ocsp_trailing", "ocsp", "malformed", good + b"\0")
    case("ocsp_text", "ocsp", "malformed", b"<html>503</html>")
    case("ocsp_version_2", "ocsp", "malformed",
         edited(good, issuer.key, lambda fields: [tlv(0xA0, tlv(2, b"\x01"))] + fields))
    case("ocsp_no_responses", "ocsp", "other", responses_edited(good, issuer.key, lambda ours: []))


# ---- CRL -----------------------------------------------------------------------------------------------------------


def crl(by=issuer, signer=None, revoked=(), this=-1 * HOUR, until=12 * HOUR, extensions=(), reason=None,
        digest=hashes.SHA256()):
    builder = (x509.CertificateRevocationListBuilder().issuer_name(by.certificate.subject)
               .last_update(NOW + this).next_update(NOW + until))
    for certificate in revoked:
        entry = (x509.RevokedCertificateBuilder().serial_number(certificate.certificate.serial_number)
                 .revocation_date(NOW - 2 * DAY))
        if reason:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    return builder.sign((signer or by).key, digest).public_bytes(DER)


def scope(**options):
    names = options.pop("names", None)
    base = dict(full_name=names, relative_name=None, only_contains_user_certs=False, only_contains_ca_certs=False,
                only_some_reasons=None, indirect_crl=False, only_contains_attribute_certs=False)
    base.update(options)
    return [(x509.IssuingDistributionPoint(**base), True)]


def crls():
    many = [leaf(issuer) for _ in range(40)]
    point = x509.UniformResourceIdentifier("http://crl.example/1")
    elsewhere = x509.UniformResourceIdentifier("http://crl.example/2")
    pointed = leaf(issuer, extra=[(x509.CRLDistributionPoints(
        [x509.DistributionPoint([point], None, None, None)]), False)])
    case("crl_good", "crl", "good", crl())
    case("crl_good_others", "crl", "good", crl(revoked=many))
    case("crl_good_rsa", "crl", "good", *rsa_crl())
    case("crl_good_numbered", "crl", "good", crl(extensions=[(x509.CRLNumber(7), False)]))
    case("crl_good_users_only", "crl", "good", crl(extensions=scope(only_contains_user_certs=True)))
    case("crl_good_point", "crl", "good", crl(extensions=scope(names=[point])), certificate=pointed)
    case("crl_revoked", "crl", "revoked", crl(revoked=many + [about]))
    case("crl_revoked_reason", "crl", "revoked", crl(revoked=[about], reason=x509.ReasonFlags.key_compromise))
    case("crl_revoked_stale", "crl", "revoked", crl(revoked=[about], this=-3 * DAY, until=-2 * DAY))
    case("crl_hold_stale", "crl", "stale",
         crl(revoked=[about], reason=x509.ReasonFlags.certificate_hold, this=-3 * DAY, until=-2 * DAY))
    case("crl_serial_prefix", "crl", "good", crl(revoked=[serial_party(0x01020304)]),
         certificate=serial_party(0x0102030405060708))
    case("crl_stale", "crl", "stale", crl(this=-3 * DAY, until=-2 * DAY))
    case("crl_early", "crl", "early", crl(this=1 * HOUR))
    case("crl_of_another", "crl", "other", crl(by=authority("Other", root)))
    case("crl_of_twin", "crl", "forged", crl(by=authority("Issuer", root)))
    case("crl_forged", "crl", "forged", spoilt(crl()))
    mute = authority("Mute", root, key_usage=usage("digital_signature", "key_cert_sign"))
    case("crl_issuer_may_not", "crl", "unauthorised", crl(by=mute), leaf(mute), mute)
    case("crl_authorities_only", "crl", "other", crl(extensions=scope(only_contains_ca_certs=True)))
    case("crl_other_point", "crl", "other", crl(extensions=scope(names=[elsewhere])), certificate=pointed)
    case("crl_point_unasked", "crl", "other", crl(extensions=scope(names=[point])))
    case("crl_some_reasons", "crl", "unsupported",
         crl(extensions=scope(only_some_reasons=frozenset([x509.ReasonFlags.superseded]))))
    case("crl_indirect", "crl", "unsupported", crl(extensions=scope(indirect_crl=True)))
    case("crl_delta", "crl", "unsupported", crl(extensions=[(x509.DeltaCRLIndicator(1), True)]))
    case("crl_unknown_critical", "crl", "unsupported",
         crl(extensions=[(x509.UnrecognizedExtension(generate.UNKNOWN, b"\x05\x00"), True)]))
    case("crl_1970", "crl", "malformed", crl(this=SINCE_1970))
    case("crl_empty", "crl", "malformed", b"")
    case("crl_cut", "crl", "malformed", crl()[:-1])
    case("crl_trailing", "crl", "malformed", crl() + b"\0")


def sources():
    """A certificate that says all that one can say about where it is asked for, with what is of no use here."""
    def point(names, reasons=None):
        return x509.DistributionPoint([x509.UniformResourceIdentifier(name) for name in names], None, reasons, None)

    def access(method, name):
        return x509.AccessDescription(method, x509.UniformResourceIdentifier(name))

    ocsp_method, issuers = x509.AuthorityInformationAccessOID.OCSP, x509.AuthorityInformationAccessOID.CA_ISSUERS
    return leaf(issuer, extra=[
        (x509.AuthorityInformationAccess([
            access(issuers, "http://ca.example/"), access(ocsp_method, "http://ocsp.example/1"),
            access(ocsp_method, "ldap://ocsp.example/"), access(ocsp_method, "http://ocsp.example/2")]), False),
        (x509.CRLDistributionPoints(
            [point(["ldap://crl.example/", "http://crl.example/0"]),
             point(["http://crl.example/some"], frozenset([x509.ReasonFlags.key_compromise]))]
            + [point([f"http://crl.example/{i}"]) for i in range(1, 5)]), False),
        (x509.TLSFeature([x509.TLSFeatureType.status_request]), False)])


def watched():
    """Leaves below a root of their own that can be asked for, and what their sources answer: file name to content."""
    top = authority("Watched root", None)

    def http(name):
        return x509.UniformResourceIdentifier(name)

    asked = (x509.AuthorityInformationAccess(
        [x509.AccessDescription(x509.AuthorityInformationAccessOID.OCSP, http("http://ocsp.example/1"))]), False)
    listed = (x509.CRLDistributionPoints([x509.DistributionPoint([http("http://crl.example/1")], None, None, None)]),
              False)
    leaves = {"ocsp": leaf(top, extra=[asked]), "both": leaf(top, extra=[asked, listed]), "plain": leaf(top),
              "crl": leaf(top, extra=[listed]), "crl2": leaf(top, extra=[listed])}
    files = {"watched.root": top.der, "watched.pem": generate.pem(top.der).encode("ascii"),
             "watched.list_good": crl(by=top), "watched.list_revoked": crl(by=top, revoked=[leaves["crl"]])}
    for name, party in leaves.items():
        files[f"watched_{name}.leaf"] = party.der
    for name in ("ocsp", "both", "plain"):
        files[f"watched_{name}.good"] = answer(certificate=leaves[name], by=top)
        files[f"watched_{name}.revoked"] = answer(certificate=leaves[name], by=top, status=REVOKED)
        files[f"watched_{name}.hold"] = answer(certificate=leaves[name], by=top, status=REVOKED,
                                               reason=x509.ReasonFlags.certificate_hold)
        files[f"watched_{name}.unknown"] = answer(certificate=leaves[name], by=top, status=UNKNOWN)
    files["watched_ocsp.later"] = answer(certificate=leaves["ocsp"], by=top, this=8 * HOUR, until=30 * HOUR)
    return files | local_lists(top, leaves)


def pem_crl(der):
    text = base64.encodebytes(der).decode("ascii")
    return f"-----BEGIN X509 CRL-----\n{text}-----END X509 CRL-----\n"


def local_lists(top, leaves):
    """CRLs as operators have them on disk, by the root of what is watched and by others."""
    everybody = list(leaves.values())
    listed, none = crl(by=top, revoked=everybody), crl(by=top)
    namesake, stranger = authority("Watched root", None), authority("Another root", None)
    return {"file_all.der": listed, "file_none.der": none,
            "file_hold.der": crl(by=top, revoked=everybody, reason=x509.ReasonFlags.certificate_hold),
            "file_stale.der": crl(by=top, this=-3 * DAY, until=-2 * DAY),
            "file_stale_all.der": crl(by=top, revoked=everybody, this=-3 * DAY, until=-2 * DAY),
            "file_early.der": crl(by=top, this=1 * HOUR), "file_forged.der": spoilt(listed),
            "file_namesake.der": crl(by=namesake, revoked=everybody), "file_stranger.der": crl(by=stranger),
            "file_short.der": listed[:-1], "file_leaf.der": leaves["plain"].der, "file_empty.pem": b"",
            "file_two.pem": ("Of the root:\n" + pem_crl(crl(by=stranger)) + "and\r\n" + pem_crl(listed)).encode("ascii"),
            "file_open.pem": pem_crl(none).encode("ascii")[:-20],
            "file_base64.pem": pem_crl(none).replace("M", "!", 1).encode("ascii"),
            "file_second.pem": (pem_crl(none) + pem_crl(b"0\0")).encode("ascii"),
            "file_text.pem": generate.pem(top.der).encode("ascii")}


def rsa_crl():
    by = authority("RSA issuer", root, key=generate.rsa_key(2048))
    return crl(by=by), leaf(by), by


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for part in (good_answers, bad_answers, broken_answers, crls):
        part()
    with open(f"{folder}/answers.txt", "w") as table:
        for name, kind, expected, told, certificate, by in cases:
            table.write(f"{name} {kind} {expected}\n")
            for suffix, content in (("answer", told), ("leaf", certificate), ("issuer", by)):
                with open(f"{folder}/{name}.{suffix}", "wb") as file:
                    file.write(content)
    now = int(NOW.replace(tzinfo=datetime.timezone.utc).timestamp())
    for name, content in {"now": b"%d\n" % now, "sources.leaf": sources().der, **watched()}.items():
        with open(f"{folder}/{name}", "wb") as file:
            file.write(content)
    with open(os.path.join(os.path.dirname(os.path.abspath(folder)), "revocation_stamp"), "w") as file:
        file.write("made\n")


if __name__ == "__main__":
    main()
