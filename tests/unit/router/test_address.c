/* SPDX-License-Identifier: MIT */
/* Which addresses may be connected to, and in what order. */
#include "router/s2s/address.h"
#include "tests/unit/core/suite.h"

#include "tests/unit/router/dice.h"

static uint32_t below(uint64_t *dice, uint32_t sides)
{
    return (uint32_t)(dice_next(dice) % sides);
}

static union address parse(const char *text)
{
    union address address;
    if (!address_parse(text, &address))
        fail_msg("%s is not an address", text);
    return address;
}

static const struct {
    const char *text;
    enum address_class class;
} rows[] = {
    /* Each range by its first and last address, and the neighbours. */
    {"0.0.0.0", ADDRESS_UNSPECIFIED},
    {"0.255.255.255", ADDRESS_UNSPECIFIED},
    {"1.0.0.0", ADDRESS_PUBLIC},
    {"9.255.255.255", ADDRESS_PUBLIC},
    {"10.0.0.0", ADDRESS_PRIVATE},
    {"10.255.255.255", ADDRESS_PRIVATE},
    {"11.0.0.0", ADDRESS_PUBLIC},
    {"100.63.255.255", ADDRESS_PUBLIC},
    {"100.64.0.0", ADDRESS_SHARED},
    {"100.127.255.255", ADDRESS_SHARED},
    {"100.128.0.0", ADDRESS_PUBLIC},
    {"126.255.255.255", ADDRESS_PUBLIC},
    {"127.0.0.1", ADDRESS_LOOPBACK},
    {"127.255.255.255", ADDRESS_LOOPBACK},
    {"128.0.0.0", ADDRESS_PUBLIC},
    {"169.253.255.255", ADDRESS_PUBLIC},
    {"169.254.169.254", ADDRESS_LINK_LOCAL},
    {"169.255.0.0", ADDRESS_PUBLIC},
    {"172.15.255.255", ADDRESS_PUBLIC},
    {"172.16.0.0", ADDRESS_PRIVATE},
    {"172.31.255.255", ADDRESS_PRIVATE},
    {"172.32.0.0", ADDRESS_PUBLIC},
    {"192.0.0.0", ADDRESS_RESERVED},
    {"192.0.1.0", ADDRESS_PUBLIC},
    {"192.0.2.255", ADDRESS_DOCUMENTATION},
    {"192.88.99.1", ADDRESS_RESERVED},
    {"192.167.255.255", ADDRESS_PUBLIC},
    {"192.168.0.0", ADDRESS_PRIVATE},
    {"192.169.0.0", ADDRESS_PUBLIC},
    {"198.17.255.255", ADDRESS_PUBLIC},
    {"198.18.0.0", ADDRESS_BENCHMARK},
    {"198.19.255.255", ADDRESS_BENCHMARK},
    {"198.20.0.0", ADDRESS_PUBLIC},
    {"198.51.100.1", ADDRESS_DOCUMENTATION},
    {"203.0.113.1", ADDRESS_DOCUMENTATION},
    {"223.255.255.255", ADDRESS_PUBLIC},
    {"224.0.0.1", ADDRESS_MULTICAST},
    {"239.255.255.255", ADDRESS_MULTICAST},
    {"240.0.0.0", ADDRESS_RESERVED},
    {"255.255.255.255", ADDRESS_RESERVED},
    {"::", ADDRESS_UNSPECIFIED},
    {"::1", ADDRESS_LOOPBACK},
    {"2600::1", ADDRESS_PUBLIC},
    {"2001:4860:4860::8888", ADDRESS_PUBLIC},
    {"2001::1", ADDRESS_RESERVED},
    {"2001:2::1", ADDRESS_BENCHMARK},
    {"2001:20::1", ADDRESS_RESERVED},
    {"2001:1ff:ffff::", ADDRESS_RESERVED},
    {"2001:200::1", ADDRESS_PUBLIC},
    {"2001:db8::1", ADDRESS_DOCUMENTATION},
    {"2001:db9::1", ADDRESS_PUBLIC},
    {"3fff:fff:ffff::1", ADDRESS_DOCUMENTATION},
    {"3fff:1000::1", ADDRESS_PUBLIC},
    {"4000::1", ADDRESS_RESERVED},
    {"100::1", ADDRESS_RESERVED},
    {"5f00::1", ADDRESS_RESERVED},
    {"fc00::1", ADDRESS_UNIQUE_LOCAL},
    {"fdff:ffff::1", ADDRESS_UNIQUE_LOCAL},
    {"fe00::1", ADDRESS_RESERVED},
    {"fe80::1", ADDRESS_LINK_LOCAL},
    {"febf::1", ADDRESS_LINK_LOCAL},
    {"fec0::1", ADDRESS_PRIVATE},
    {"ff02::1", ADDRESS_MULTICAST},
    /* IPv4 inside IPv6. */
    {"::ffff:127.0.0.1", ADDRESS_LOOPBACK},
    {"::ffff:10.0.0.1", ADDRESS_PRIVATE},
    {"::ffff:0.0.0.0", ADDRESS_UNSPECIFIED},
    {"::ffff:8.8.8.8", ADDRESS_RESERVED},
    {"::127.0.0.1", ADDRESS_LOOPBACK},
    {"::8.8.8.8", ADDRESS_RESERVED},
    {"64:ff9b::8.8.8.8", ADDRESS_PUBLIC},
    {"64:ff9b::127.0.0.1", ADDRESS_LOOPBACK},
    {"64:ff9b::169.254.169.254", ADDRESS_LINK_LOCAL},
    {"64:ff9b::224.0.0.1", ADDRESS_MULTICAST},
    {"64:ff9b:1::8.8.8.8", ADDRESS_PRIVATE},
    {"2002:0808:0808::1", ADDRESS_PUBLIC},
    {"2002:7f00:0001::1", ADDRESS_LOOPBACK},
    {"2002:c0a8:0101::1", ADDRESS_PRIVATE},
    {"2002:0000:0001::1", ADDRESS_UNSPECIFIED},
    {"2002:6440:0001::1", ADDRESS_SHARED},
};

static void class__table__as_registered(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        union address address = parse(rows[i].text);
        enum address_class class = address_class(&address);
        if (class != rows[i].class)
            fail_msg("%s is taken for %s, not %s", rows[i].text, address_class_name(class),
                     address_class_name(rows[i].class));
    }
}

static void policy__default__public_only(void **state)
{
    (void)state;
    struct address_policy policy = {.allow_private = false};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        union address address = parse(rows[i].text);
        assert_int_equal(address_is_permitted(&policy, &address), rows[i].class == ADDRESS_PUBLIC);
    }
}

static bool is_never(enum address_class class)
{
    return class == ADDRESS_UNSPECIFIED || class == ADDRESS_MULTICAST || class == ADDRESS_RESERVED;
}

static void policy__allow_private__never_what_no_peer_can_have(void **state)
{
    (void)state;
    struct address_prefix all[2];
    struct err err;
    assert_true(address_prefix_parse("0.0.0.0/0", &all[0], &err));
    assert_true(address_prefix_parse("::/0", &all[1], &err));
    struct address_policy by_switch = {.allow_private = true};
    struct address_policy by_prefix = {.allowed = all, .allowed_count = 2};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        union address address = parse(rows[i].text);
        assert_int_equal(address_is_permitted(&by_switch, &address), !is_never(rows[i].class));
        assert_int_equal(address_is_permitted(&by_prefix, &address), !is_never(rows[i].class));
    }
}

static void policy__prefixes__only_these(void **state)
{
    (void)state;
    struct address_prefix allowed[3];
    struct err err;
    assert_true(address_prefix_parse("10.20.0.0/15", &allowed[0], &err));
    assert_true(address_prefix_parse("fd00:1::/32", &allowed[1], &err));
    assert_true(address_prefix_parse("127.0.0.1", &allowed[2], &err));
    struct address_policy policy = {.allowed = allowed, .allowed_count = 3};
    static const struct {
        const char *text;
        bool is_permitted;
    } cases[] = {
        {"10.20.0.1", true}, {"10.21.255.255", true},       {"10.22.0.0", false},         {"10.19.255.255", false},
        {"127.0.0.1", true}, {"127.0.0.2", false},          {"fd00:1::1", true},          {"fd00:2::1", false},
        {"8.8.8.8", true},   {"::ffff:10.20.0.1", true},    {"64:ff9b::10.20.0.1", true}, {"2002:0a14:1::1", true},
        {"::1", false},      {"64:ff9b::10.22.0.1", false}, {"192.168.0.1", false},       {"fe80::1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        union address address = parse(cases[i].text);
        if (address_is_permitted(&policy, &address) != cases[i].is_permitted)
            fail_msg("%s", cases[i].text);
    }
}

static void prefix__bad_text__refused_with_it(void **state)
{
    (void)state;
    static const char *const bad[] = {"",         "10.0.0.0/33", "10.0.0.0/",   "10.0.0/8",    "fd00::/129",
                                      "fd00::/x", "/8",          "10.0.0.0/-1", "10.0.0.0/8x", "example.com/8"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct address_prefix prefix;
        struct err err = {""};
        assert_false(address_prefix_parse(bad[i], &prefix, &err));
        assert_non_null(strstr(err.text, bad[i]));
    }
}

static void print__both_families__with_port(void **state)
{
    (void)state;
    char text[ADDRESS_TEXT_MAX];
    union address address = parse("192.0.2.1");
    address_set_port(&address, 5269);
    address_print(&address, text);
    assert_string_equal(text, "192.0.2.1:5269");
    address = parse("2001:db8::1");
    address_set_port(&address, 5270);
    assert_int_equal(address_port(&address), 5270);
    address_print(&address, text);
    assert_string_equal(text, "[2001:db8::1]:5270");
}

static void hold_order(const char *const *in, const char *const *out, unsigned count)
{
    union address addresses[16];
    for (unsigned i = 0; i < count; i++)
        addresses[i] = parse(in[i]);
    address_order(addresses, count);
    for (unsigned i = 0; i < count; i++) {
        union address expected = parse(out[i]);
        char text[ADDRESS_TEXT_MAX];
        address_print(&addresses[i], text);
        if (memcmp(&addresses[i], &expected, sizeof expected) != 0)
            fail_msg("place %u: %s, not %s", i, text, out[i]);
    }
}

static void order__two_families__interleaved(void **state)
{
    (void)state;
    const char *const in[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "2600::1", "2600::2"};
    const char *const out[] = {"2600::1", "192.0.2.1", "2600::2", "192.0.2.2", "192.0.2.3"};
    hold_order(in, out, 5);
}

static void order__more_of_the_first__rest_at_the_end(void **state)
{
    (void)state;
    const char *const in[] = {"2600::1", "2600::2", "2600::3", "8.8.8.8"};
    const char *const out[] = {"2600::1", "8.8.8.8", "2600::2", "2600::3"};
    hold_order(in, out, 4);
}

static void order__one_family__as_it_came(void **state)
{
    (void)state;
    const char *const in[] = {"8.8.8.9", "8.8.8.1", "8.8.8.8"};
    hold_order(in, in, 3);
    hold_order(in, in, 0);
    hold_order(in, in, 1);
}

/* RFC 6724 s2.1: native IPv6 before IPv4 before 6to4 before unique local; and then interleaved. */
static void order__by_precedence__of_the_policy_table(void **state)
{
    (void)state;
    const char *const in[] = {"fd00::1", "2002:808:808::1", "2600::1"};
    const char *const out[] = {"2600::1", "2002:808:808::1", "fd00::1"};
    hold_order(in, out, 3);
    const char *const mixed[] = {"fd00::1", "8.8.8.8"};
    const char *const mixed_out[] = {"8.8.8.8", "fd00::1"};
    hold_order(mixed, mixed_out, 2);
    const char *const scopes[] = {"2600::1", "fe80::1"};
    const char *const scopes_out[] = {"fe80::1", "2600::1"};
    hold_order(scopes, scopes_out, 2);
}

/* No address is lost or made up, families alternate while both are left, and each family keeps its own order. */
static void order__random_lists__alternate_and_keep(void **state)
{
    (void)state;
    uint64_t dice = dice_seed("order__random_lists");
    for (unsigned i = 0; i < 20000; i++) {
        union address addresses[32];
        unsigned count = below(&dice, 33), count_v6 = 0;
        for (unsigned j = 0; j < count; j++) {
            /* All of one precedence within its family, numbered in order. */
            unsigned char bytes[16] = {0x26, [15] = (unsigned char)j};
            unsigned char bytes_v4[4] = {8, 8, 8, (unsigned char)j};
            bool is_v6 = below(&dice, 2) == 0;
            count_v6 += is_v6;
            addresses[j] = is_v6 ? address_v6(bytes) : address_v4(bytes_v4);
        }
        address_order(addresses, count);
        unsigned both = count_v6 < count - count_v6 ? count_v6 : count - count_v6, seen_v6 = 0;
        int last_v6 = -1, last_v4 = -1;
        for (unsigned j = 0; j < count; j++) {
            bool is_v6 = addresses[j].head.sa_family == AF_INET6;
            int number =
                is_v6 ? addresses[j].v6.sin6_addr.s6_addr[15] : (int)(ntohl(addresses[j].v4.sin_addr.s_addr) & 255);
            int *last = is_v6 ? &last_v6 : &last_v4;
            assert_true(number > *last);
            *last = number;
            seen_v6 += is_v6;
            if (j < 2 * both)
                assert_int_equal(is_v6, j % 2 == 0);
        }
        assert_int_equal(seen_v6, count_v6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class__table__as_registered),
        cmocka_unit_test(policy__default__public_only),
        cmocka_unit_test(policy__allow_private__never_what_no_peer_can_have),
        cmocka_unit_test(policy__prefixes__only_these),
        cmocka_unit_test(prefix__bad_text__refused_with_it),
        cmocka_unit_test(print__both_families__with_port),
        cmocka_unit_test(order__two_families__interleaved),
        cmocka_unit_test(order__more_of_the_first__rest_at_the_end),
        cmocka_unit_test(order__one_family__as_it_came),
        cmocka_unit_test(order__by_precedence__of_the_policy_table),
        cmocka_unit_test(order__random_lists__alternate_and_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
