/* SPDX-License-Identifier: MIT */
/* Names between wire and text. */
#include "router/s2s/dns.h"
#include "tests/unit/core/suite.h"

#include "tests/unit/router/dice.h"

static uint32_t below(uint64_t *dice, uint32_t sides)
{
    return (uint32_t)(dice_next(dice) % sides);
}

static void name__plain__read_in_lower_case(void **state)
{
    (void)state;
    char out[DNS_NAME_MAX + 1];
    assert_int_equal(dns_name_read(SPAN("\x04XmPp\x07"
                                        "example\x03"
                                        "COM\0"),
                                   out),
                     DNS_NAME_HOST);
    assert_string_equal(out, "xmpp.example.com");
}

static void name__root__told_apart(void **state)
{
    (void)state;
    char out[DNS_NAME_MAX + 1];
    assert_int_equal(dns_name_read(span_of("\0", 1), out), DNS_NAME_ROOT);
    assert_string_equal(out, "");
}

static void name__bad_wire__refused(void **state)
{
    (void)state;
    static const struct span bad[] = {
        {"", 0},         /* nothing */
        {"\x04xmp", 4},  /* cut inside a label */
        {"\x04xmpp", 5}, /* cut before the root */
        {"\xc0\x0c", 2}, /* compressed */
        {"\x40"
         "a",
         2}, /* reserved label type */
        {"\x03"
         "a.b\0",
         5}, /* a dot inside a label */
        {"\x02"
         "a\0\0",
         4}, /* a NUL inside a label */
        {"\x03"
         "\xc3\xbc"
         "a\0",
         5}, /* not ASCII */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char out[DNS_NAME_MAX + 1];
        assert_int_equal(dns_name_read(bad[i], out), DNS_NAME_BAD);
    }
}

static size_t wire_of(size_t labels, size_t size, size_t last, char *wire)
{
    size_t at = 0;
    for (size_t i = 0; i < labels; i++) {
        size_t label = i + 1 == labels ? last : size;
        wire[at++] = (char)label;
        memset(wire + at, 'a', label);
        at += label;
    }
    wire[at++] = '\0';
    return at;
}

static void name__at_the_limit__read_and_beyond_refused(void **state)
{
    (void)state;
    char wire[300], out[DNS_NAME_MAX + 1];
    size_t size = wire_of(4, 63, 61, wire); /* 255 octets on the wire */
    assert_int_equal(size, 255);
    assert_int_equal(dns_name_read(span_of(wire, size), out), DNS_NAME_HOST);
    assert_int_equal(strlen(out), DNS_NAME_MAX);
    assert_true(dns_name_is_valid(span_str(out)));
    size = wire_of(4, 63, 62, wire);
    assert_int_equal(dns_name_read(span_of(wire, size), out), DNS_NAME_BAD);
}

/* Whatever the wire, the text has a bound, and what is read as a host name is a valid one. */
static void name__random_wire__bounded_and_valid(void **state)
{
    (void)state;
    uint64_t dice = dice_seed("name__random_wire");
    unsigned hosts = 0;
    for (unsigned i = 0; i < 100000; i++) {
        char wire[64], out[DNS_NAME_MAX + 1];
        size_t size = below(&dice, sizeof wire);
        for (size_t j = 0; j < size; j++)
            wire[j] = below(&dice, 3) == 0 ? (char)below(&dice, 6) : (char)('a' + (char)below(&dice, 26));
        enum dns_name_status status = dns_name_read(span_of(wire, size), out);
        assert_true(strlen(out) <= DNS_NAME_MAX);
        if (status == DNS_NAME_HOST) {
            hosts++;
            assert_true(dns_name_is_valid(span_str(out)));
        }
    }
    assert_true(hosts > 100);
}

static void valid__texts__judged(void **state)
{
    (void)state;
    assert_true(dns_name_is_valid(SPAN("_xmpp-server._tcp.example.com")));
    assert_true(dns_name_is_valid(SPAN("xn--bcher-kva.example")));
    assert_false(dns_name_is_valid(SPAN("")));
    assert_false(dns_name_is_valid(SPAN("example.com.")));
    assert_false(dns_name_is_valid(SPAN(".example.com")));
    assert_false(dns_name_is_valid(SPAN("a..b")));
    assert_false(dns_name_is_valid(SPAN("b\xc3\xbc"
                                        "cher.example")));
    assert_false(dns_name_is_valid(SPAN("[::1]")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name__plain__read_in_lower_case),
        cmocka_unit_test(name__root__told_apart),
        cmocka_unit_test(name__bad_wire__refused),
        cmocka_unit_test(name__at_the_limit__read_and_beyond_refused),
        cmocka_unit_test(name__random_wire__bounded_and_valid),
        cmocka_unit_test(valid__texts__judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
