#!/bin/sh
# SPDX-License-Identifier: MIT
# What jidprep prints and how it exits. The one argument is the program.
jidprep=$1
failed=0

# expect STATUS OUTPUT ARGUMENT...
expect() {
    status=$1 output=$2
    shift 2
    got=$("$jidprep" "$@" 2>&1 </dev/null)
    got_status=$?
    if [ "$got_status" != "$status" ] || ! printf '%s\n' "$got" | grep -qF -e "$output"; then
        printf 'jidprep %s: exit %s, printed:\n%s\nexpected exit %s and: %s\n' "$*" "$got_status" "$got" "$status" "$output"
        failed=1
    fi
}

expect 0 'Juliet@Example.COM/Balcony -> juliet@example.com/Balcony' 'Juliet@Example.COM/Balcony'
expect 0 'domainpart    bücher.example' --parts 'a@xn--bcher-kva.example'
expect 1 'U+2163 ROMAN NUMERAL FOUR has a compatibility equivalent' 'henryⅣ@example.com'
expect 1 'U+003A COLON is excluded from localparts (RFC 7622 s3.3.1)' 'a:b@example.com'
expect 1 "localpart before '@' is empty" 'a@example.com' '@example.com'
expect 1 'a\u{001B}b: refused' "$(printf 'a\033b')"
expect 1 'refused: The domainpart' -- --parts
expect 2 'unknown option --nothing' --nothing
expect 0 'usage: jidprep' --help

got=$(printf 'A@B\n\377@b\n\nC' | "$jidprep")
[ $? = 1 ] || failed=1
wanted='A@B -> a@b
\xFF@b: refused: The address is not valid UTF-8 (RFC 7622 s3.1).
: refused: The address is empty: a domainpart is required (RFC 7622 s3.2).
C -> c'
if [ "$got" != "$wanted" ]; then
    printf 'standard input: printed:\n%s\n' "$got"
    failed=1
fi
exit $failed
