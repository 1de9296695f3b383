#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the certificates of the TLS tests in the folder $1: an authority, and leaves NAME.pem, NAME.key.
set -eu
out=$1
mkdir -p "$out"
cd "$out"

key() { # name algorithm...
    name=$1
    shift
    openssl genpkey -quiet "$@" -out "$name.key" 2>/dev/null || openssl genpkey "$@" -out "$name.key" 2>/dev/null
}

sign() { # name domain days digest extra-arguments...
    name=$1 domain=$2 days=$3 digest=$4
    shift 4
    printf 'subjectAltName=DNS:%s\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n%s\n' "$domain" \
        "${feature:-}" >"$name.ext"
    openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr" 2>/dev/null
    openssl x509 -req -in "$name.csr" -CA "$authority.pem" -CAkey "$authority.key" -CAcreateserial -days "$days" "-$digest" \
        -extfile "$name.ext" -out "$name.leaf" "$@" 2>/dev/null
    cat "$name.leaf" "$authority.pem" >"$name.pem"
    openssl x509 -in "$name.leaf" -outform DER -out "$name.der"
}

authority=ca
key ca -algorithm EC -pkeyopt ec_paramgen_curve:P-256
openssl req -x509 -new -key ca.key -subj '/CN=Sluice test authority' -days 3650 -out ca.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign,cRLSign 2>/dev/null

# The authority once more: with its key, to a later and to a sooner end; by its name alone, with another key; with its
# key and what forbids it to vouch for one or the other.
authority() { # name key days [basic-constraints key-usage other-extension]
    openssl req -x509 -new -key "$2.key" -subj '/CN=Sluice test authority' -days "$3" -out "$1.pem" \
        -addext "basicConstraints=critical,${4:-CA:TRUE}" -addext "keyUsage=${5:-keyCertSign,cRLSign}" \
        ${6:+-addext "$6"} 2>/dev/null
}
key namesake -algorithm EC -pkeyopt ec_paramgen_curve:P-256
authority ca_later ca 3700
authority ca_sooner ca 20
authority ca_namesake namesake 3700
authority ca_none ca 3700 CA:FALSE
authority ca_mute ca 3700 CA:TRUE cRLSign
authority ca_short ca 3700 CA:TRUE,pathlen:0
authority ca_long ca 3700 CA:TRUE,pathlen:1
authority ca_narrow ca 3700 CA:TRUE keyCertSign 'nameConstraints=critical,permitted;DNS:b.example'
authority ca_wide ca 3700 CA:TRUE keyCertSign 'nameConstraints=critical,permitted;DNS:example'
authority ca_mail ca 3700 CA:TRUE keyCertSign extendedKeyUsage=emailProtection
authority ca_strange ca 3700 CA:TRUE keyCertSign 1.2.3.4=critical,ASN1:NULL

key a -algorithm EC -pkeyopt ec_paramgen_curve:P-256
sign a a.example 3650 sha256
key b -algorithm RSA -pkeyopt rsa_keygen_bits:2048
sign b b.example 3650 sha384
key c -algorithm ED25519
sign c c.example 3650 sha512
key wild -algorithm EC -pkeyopt ec_paramgen_curve:P-384
sign wild '*.wild.example' 3650 sha256
# xn--mller-kva.example is the A-label of müller.example.
key idn -algorithm EC -pkeyopt ec_paramgen_curve:P-256
sign idn xn--mller-kva.example 3650 sha256
# RFC 7633: it comes with an OCSP answer, or is none.
key must -algorithm EC -pkeyopt ec_paramgen_curve:P-256
feature='tlsfeature=status_request'
sign must b.example 3650 sha256
feature=
cp a.key old.key
sign old a.example -1 sha256
# Another key for the same name, and the same name by another authority.
key fresh -algorithm EC -pkeyopt ec_paramgen_curve:P-256
sign fresh a.example 3650 sha256
# What may come after a: renewed, with other names, with the same ones told otherwise, by another issuer.
for name in renewed moved shuffled reissued; do
    cp a.key "$name.key"
done
sign renewed a.example 3000 sha256
sign moved a.example,DNS:also.example 3650 sha256
sign shuffled also.example,DNS:A.example 3650 sha256
authority=second
key second -algorithm EC -pkeyopt ec_paramgen_curve:P-256
openssl req -x509 -new -key second.key -subj '/CN=Second test authority' -days 3650 -out second.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign,cRLSign 2>/dev/null
sign reissued a.example 3650 sha256
cat ca.pem second.pem >authorities.pem
# Two issuers of one organisation, as public authorities have them, and one of another that is called the same.
organised() { # name subject
    authority=$1
    key "$1" -algorithm EC -pkeyopt ec_paramgen_curve:P-256
    openssl req -x509 -new -key "$1.key" -subj "$2" -days 3650 -out "$1.pem" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign,cRLSign 2>/dev/null
    cp a.key "by_$1.key"
    sign "by_$1" a.example 3650 sha256
}
organised e5 '/C=AQ/O=Encrypting Penguins/CN=E5'
organised e6 '/C=AQ/O=Encrypting Penguins/CN=E6'
organised e7 '/C=AQ/O=Encrypting Seals/CN=E6'
# One below the authority, and who is below that.
key middle -algorithm EC -pkeyopt ec_paramgen_curve:P-256
openssl req -new -key middle.key -subj '/CN=Middle' -out middle.csr 2>/dev/null
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n' >middle.ext
openssl x509 -req -in middle.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -sha256 -extfile middle.ext \
    -out middle.pem 2>/dev/null
authority=middle
cp a.key below.key
sign below a.example 3650 sha256
for name in ca second middle; do
    openssl x509 -in "$name.pem" -outform DER -out "$name.der"
done
authority=ca
openssl req -x509 -new -key a.key -subj '/CN=another authority' -days 3650 -out foreign.pem \
    -addext subjectAltName=DNS:a.example 2>/dev/null
# Signed by an RSA authority of its own: RSASSA-PSS with SHA-384, RSA with SHA-1, and Ed25519.
key rsa -algorithm RSA -pkeyopt rsa_keygen_bits:2048
for kind in pss sha1; do
    case $kind in
    pss) set -- -sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:48 ;;
    sha1) set -- -sha1 ;;
    esac
    openssl req -x509 -new -key rsa.key -subj "/CN=$kind" -days 3650 "$@" -outform DER -out "$kind.der" 2>/dev/null
done
openssl req -x509 -new -key c.key -subj /CN=ed -days 3650 -outform DER -out ed.der 2>/dev/null
for name in a b c pss sha1; do
    for digest in sha256 sha384 sha512; do
        openssl dgst "-$digest" -binary "$name.der" >"$name.$digest"
    done
done
echo 'this is no PEM' >garbage.pem
: >empty.pem
touch ../stamp
