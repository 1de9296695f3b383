/* SPDX-License-Identifier: MIT */
#include "core/base/base64.h"
#include "tests/unit/core/dice.h"
#include "tests/unit/core/suite.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static bool decodes(struct span text)
{
    char out[64];
    size_t size;
    return base64_decode(text, out, &size);
}

/* RFC 4648 s10. */
static void base64__published_vectors__both_ways(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        char out[16];
        size_t size = base64_encode(span_str(vectors[i][0]), out);
        assert_int_equal(size, BASE64_ENCODED_SIZE(strlen(vectors[i][0])));
        assert_true(span_is(span_of(out, size), vectors[i][1]));
        assert_true(base64_decode(span_str(vectors[i][1]), out, &size));
        assert_true(span_is(span_of(out, size), vectors[i][0]));
    }
}

static void base64__random_bytes__round_trip(void **state)
{
    (void)state;
    struct dice dice = dice_seeded("base64", 64);
    for (size_t i = 0; i < 3000; i++) {
        char bytes[200], text[BASE64_ENCODED_SIZE(200)], back[200];
        size_t size = dice_below(&dice, sizeof bytes), back_size;
        for (size_t b = 0; b < size; b++)
            bytes[b] = (char)dice_throw(&dice);
        size_t text_size = base64_encode(span_of(bytes, size), text);
        assert_int_equal(text_size, BASE64_ENCODED_SIZE(size));
        assert_true(base64_decode(span_of(text, text_size), back, &back_size));
        assert_true(span_equal(span_of(bytes, size), span_of(back, back_size)));
    }
}

/* Of all final groups with padding exactly those with zero unused bits are canonical. */
static void base64_decode__unused_bits_set__refused(void **state)
{
    (void)state;
    unsigned accepted = 0;
    for (unsigned first = 0; first < 64; first++) {
        for (unsigned last = 0; last < 64; last++) {
            char two[] = {alphabet[first], alphabet[last], '=', '='};
            char one[] = {'A', alphabet[first], alphabet[last], '='};
            assert_int_equal(decodes(span_of(two, 4)), last % 16 == 0);
            assert_int_equal(decodes(span_of(one, 4)), last % 4 == 0);
            accepted += decodes(span_of(two, 4)) ? 1 : 0;
        }
    }
    assert_int_equal(accepted, 256);
}

static void base64_decode__every_foreign_byte_at_every_place__refused(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 8; at++) {
            char text[] = "Zm9vYmFy";
            text[at] = (char)byte;
            bool is_ours = byte != 0 && strchr(alphabet, (int)byte) != NULL;
            bool is_padding = byte == '=' && at == 7;
            char out[8];
            size_t size;
            /* 'F' before the padding has its two lowest bits set: refused as well. */
            assert_int_equal(base64_decode(span_of(text, 8), out, &size), is_ours && !is_padding);
        }
    }
}

static void base64_decode__padding_or_length_wrong__refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "=",        "==",   "===",       "====",     "A",     "AA",     "AAA",      "A===",       "=AAA",
        "A=AA",     "AA=A", "A=A=",      "==AA",     "AAAAA", "AAAA=",  "AAAA==",   "AAAA====",   "AA==AAAA",
        "AAA=AAAA", "Zg",   "Zg=",       "Zg===",    "Zm8",   "Zm9v\n", "Zm9v Zg=", "Zm9v\nZg==", " Zm9v",
        "Zm9-",     "Zm9_", "Zm9vYg\n=", "Zg==Zg==", "Z g=",  "Zg= "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (decodes(span_str(bad[i])))
            fail_msg("accepted: %s", bad[i]);
    }
    assert_false(decodes(span_of("Zm9v\0\0\0", 8)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64__published_vectors__both_ways),
        cmocka_unit_test(base64__random_bytes__round_trip),
        cmocka_unit_test(base64_decode__unused_bits_set__refused),
        cmocka_unit_test(base64_decode__every_foreign_byte_at_every_place__refused),
        cmocka_unit_test(base64_decode__padding_or_length_wrong__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
