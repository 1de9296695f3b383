/* SPDX-License-Identifier: MIT */
/*
 * Properties over seeded random texts: what is prepared is its own preparation, the ASCII fast path and the slow path
 * agree, nothing is read or written beyond its bounds. SL_SEED and SL_ROUNDS choose another run.
 */
#include "core/base/utf8.h"
#include "core/jid/ascii_priv.h"
#include "core/jid/part_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT_MAX 4000u

static uint64_t random_state;

/* SplitMix64 (Steele, Lea and Flood, 2014): any seed will do, 0 too. */
static uint64_t random_next(void)
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint32_t random_below(uint32_t bound)
{
    return (uint32_t)(random_next() % bound);
}

static unsigned rounds_of(unsigned usual)
{
    const char *rounds = getenv("SL_ROUNDS");
    return rounds ? (unsigned)strtoul(rounds, NULL, 10) : usual;
}

static int seed(void **state)
{
    (void)state;
    const char *text = getenv("SL_SEED");
    random_state = text ? strtoull(text, NULL, 0) : 20150901;
    print_message("seed %llu\n", (unsigned long long)random_state);
    return 0;
}

/* Where the rules do something: letters with case, marks, jamo, joiners, widths, digits of three scripts, exceptions.
 */
static const struct {
    uint32_t first, last;
} ranges[] = {
    {0x21, 0x7E},     {0x20, 0x7E},       {0xA0, 0x24F},      {0x300, 0x36F},     {0x370, 0x3FF},
    {0x400, 0x4FF},   {0x590, 0x5F4},     {0x600, 0x6FF},     {0x700, 0x74F},     {0x900, 0x97F},
    {0x1100, 0x11FF}, {0x1E00, 0x1FFF},   {0x2000, 0x206F},   {0x2100, 0x218F},   {0x3000, 0x30FF},
    {0xA640, 0xA69F}, {0xAC00, 0xAC40},   {0xF900, 0xFAFF},   {0xFB00, 0xFDFF},   {0xFE70, 0xFEFF},
    {0xFF00, 0xFFEF}, {0x10400, 0x1044F}, {0x10D00, 0x10D3F}, {0x1D150, 0x1D170}, {0x1E900, 0x1E95F},
    {0x200C, 0x200D}, {0x660, 0x669},     {0x6F0, 0x6F9},     {0x130, 0x131},     {0x3A3, 0x3A3},
    {0x94D, 0x94D},   {0xB7, 0xB7},       {'l', 'l'},         {'.', '.'},         {'-', '-'},
    {0x3002, 0x3002}, {0x4E00, 0x4E10},   {0x0, 0xD7FF},      {0xE000, 0x10FFFF},
};

/* A text of some code points of a few ranges; mostly of one, so that it has a chance of being accepted. */
static size_t random_text(char *text, unsigned points_max)
{
    const size_t ranges_count = sizeof ranges / sizeof ranges[0];
    size_t home = random_below((uint32_t)ranges_count);
    size_t size = 0;
    unsigned count = 1 + random_below(points_max);
    for (unsigned i = 0; i < count; i++) {
        size_t range = random_below(4) ? home : random_below((uint32_t)ranges_count);
        uint32_t code_point = ranges[range].first + random_below(ranges[range].last - ranges[range].first + 1);
        unsigned n = utf8_encode(code_point, text + size);
        size += n;
    }
    return size;
}

typedef enum jid_status (*part_fn)(struct span text, char *out, size_t *size);

static const part_fn parts[] = {jid_prepare_local, jid_prepare_domain, jid_prepare_resource};
static enum jid_status const longs[] = {JID_LOCAL_LONG, JID_DOMAIN_LONG, JID_RESOURCE_LONG};

/* Input and output in memory of exactly their bounds, so that a sanitizer sees any step beyond. */
static enum jid_status prepare_in_exact_memory(part_fn part, const char *text, size_t size, char *prepared,
                                               size_t *prepared_size)
{
    char *input = malloc(size ? size : 1);
    char *out = malloc(JID_PART_MAX);
    assert_non_null(input);
    assert_non_null(out);
    memcpy(input, text, size);
    enum jid_status status = part(span_of(input, size), out, prepared_size);
    if (status == JID_OK) {
        assert_true(*prepared_size >= 1 && *prepared_size <= JID_PART_MAX);
        memcpy(prepared, out, *prepared_size);
    }
    free(input);
    free(out);
    return status;
}

static void jid_parts__prepared_text__is_its_own_preparation(void **state)
{
    (void)state;
    char text[TEXT_MAX], first[JID_PART_MAX], second[JID_PART_MAX];
    unsigned accepted[3] = {0};
    unsigned rounds = rounds_of(30000);
    for (unsigned round = 0; round < rounds; round++) {
        size_t size = random_text(text, round % 64 ? 6 : 300);
        for (size_t i = 0; i < 3; i++) {
            size_t first_size = 0, second_size = 0;
            if (prepare_in_exact_memory(parts[i], text, size, first, &first_size) != JID_OK)
                continue;
            accepted[i]++;
            assert_true(utf8_is_valid(span_of(first, first_size)));
            assert_int_equal(prepare_in_exact_memory(parts[i], first, first_size, second, &second_size), JID_OK);
            assert_int_equal(first_size, second_size);
            assert_memory_equal(first, second, first_size);
        }
    }
    print_message("%u rounds; accepted: %u local, %u domain, %u resource\n", rounds, accepted[0], accepted[1],
                  accepted[2]);
    assert_true(accepted[0] > rounds / 20 && accepted[1] > rounds / 40 && accepted[2] > rounds / 4);
}

/* A whole address, taken from the parts' texts with separators strewn in. */
static void jid_prepare__prepared_address__is_its_own_preparation(void **state)
{
    (void)state;
    char text[TEXT_MAX];
    unsigned accepted = 0, rounds = rounds_of(30000);
    for (unsigned round = 0; round < rounds; round++) {
        size_t size = random_text(text, 4);
        text[size++] = '@';
        size += random_text(text + size, 3);
        text[size++] = round % 8 ? '/' : '@';
        size += random_text(text + size, 4);
        struct jid_buffer one, two;
        struct jid jid, again;
        struct jid_reason reason;
        enum jid_status status = jid_prepare(span_of(text, size), &one, &jid);
        assert_int_equal(jid_explain(span_of(text, size), &two, &again, &reason), status);
        if (status != JID_OK)
            continue;
        accepted++;
        assert_int_equal(jid_prepare(jid_full(&jid), &two, &again), JID_OK);
        assert_true(span_equal(jid_full(&jid), jid_full(&again)));
        again = jid_of_prepared(jid_full(&jid));
        assert_true(span_equal(jid_local(&jid), jid_local(&again)));
        assert_true(span_equal(jid_domain(&jid), jid_domain(&again)));
        assert_true(span_equal(jid_resource(&jid), jid_resource(&again)));
    }
    print_message("%u of %u accepted\n", accepted, rounds);
    assert_true(accepted > rounds / 100);
}

/* Either the fast path does not know, or the slow path accepts with the same octets; and it knows nearly everything. */
static void compare_paths(size_t part, struct span text, unsigned *fast_count, unsigned *slow_count)
{
    char fast[JID_PART_MAX], slow[JID_PART_MAX];
    size_t size = 0;
    struct jid_reason reason;
    bool is_known = false;
    enum part_result result = PART_OK;
    if (part == 0) {
        is_known = ascii_prepare_local(text, fast);
        result = part_prepare_local(text, slow, &size, &reason);
    } else if (part == 1) {
        is_known = ascii_prepare_domain(text, fast);
        result = part_prepare_domain(text, slow, &size, &reason);
    } else {
        is_known = ascii_prepare_opaque(text, JID_PART_MAX, fast);
        result = part_prepare_opaque(text, slow, JID_PART_MAX, &size, &reason);
    }
    *fast_count += is_known;
    *slow_count += result == PART_OK;
    if (!is_known)
        return;
    assert_int_equal(result, PART_OK);
    assert_int_equal(size, text.size);
    assert_memory_equal(fast, slow, size);
}

static void ascii_fast_path__any_ascii_text__as_the_slow_path_says(void **state)
{
    (void)state;
    static const char alphabet[] = "abcXYZ019-.--..@/ _~\x7F\x01[]";
    char text[1100];
    unsigned fast[3] = {0}, slow[3] = {0};
    unsigned rounds = rounds_of(30000);
    for (unsigned round = 0; round < rounds; round++) {
        size_t size = round % 256 ? random_below(12) : random_below(sizeof text);
        size_t part = round % 3;
        uint32_t letters = part == 1 ? 14 : (uint32_t)sizeof alphabet - 1;
        for (size_t i = 0; i < size; i++)
            text[i] = (char)(random_below(3) ? (uint32_t)alphabet[random_below(letters)] : 0x20 + random_below(0x5F));
        if (part == 1)
            for (size_t i = 0; i < size; i++)
                text[i] = random_below(64) ? alphabet[random_below(letters)] : text[i];
        compare_paths(part, span_of(text, size), &fast[part], &slow[part]);
    }
    for (uint32_t octet = 0; octet < 0x80; octet++) {
        char one = (char)octet;
        unsigned fast_one[3] = {0}, slow_one[3] = {0};
        for (size_t part = 0; part < 3; part++) {
            compare_paths(part, span_of(&one, 1), &fast_one[part], &slow_one[part]);
            assert_int_equal(fast_one[part], slow_one[part]);
        }
    }
    print_message("fast/slow: local %u/%u, domain %u/%u, resource %u/%u\n", fast[0], slow[0], fast[1], slow[1], fast[2],
                  slow[2]);
    /* Only a trailing dot (and an A-label, not in this alphabet) is valid ASCII that the fast path passes on. */
    assert_int_equal(fast[0], slow[0]);
    assert_int_equal(fast[2], slow[2]);
    assert_true(fast[1] > slow[1] / 2 && fast[1] < slow[1]);
}

static bool is_allowed_alone(size_t part, unsigned octet, bool is_at_end)
{
    bool is_alphanumeric = (octet >= '0' && octet <= '9') || ((octet | 0x20) >= 'a' && (octet | 0x20) <= 'z');
    if (part == 0)
        return octet > 0x20 && octet < 0x7F && memchr("\"&'/:<>@", (int)octet, 8) == NULL;
    if (part == 1)
        return is_alphanumeric || (!is_at_end && (octet == '-' || octet == '.'));
    return octet >= 0x20 && octet < 0x7F;
}

/* Each octet at each place of texts of each size up to four chunks and more, in memory of exactly that size. */
static void ascii_fast_path__each_octet_at_each_place__judged_by_itself(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 67; size += size < 40 ? 1 : 9) {
        char *text = malloc(size), *out = malloc(size);
        assert_non_null(text);
        assert_non_null(out);
        memset(text, 'Q', size);
        for (unsigned i = 0; i < size * 256 * 3; i++) {
            size_t part = i % 3, place = i / 3 / 256;
            unsigned octet = i / 3 % 256;
            text[place] = (char)octet;
            bool is_known = part == 0   ? ascii_prepare_local(span_of(text, size), out)
                            : part == 1 ? ascii_prepare_domain(span_of(text, size), out)
                                        : ascii_prepare_opaque(span_of(text, size), size, out);
            text[place] = 'Q';
            bool is_at_end = place == 0 || place + 1 == size;
            bool is_too_long = part == 1 && size > ASCII_LABEL_MAX &&
                               !(octet == '.' && place <= ASCII_LABEL_MAX && size - place - 1 <= ASCII_LABEL_MAX);
            assert_int_equal(is_known, is_allowed_alone(part, octet, is_at_end) && !is_too_long);
            for (size_t j = 0; j < size && is_known; j++) {
                unsigned given = j == place ? octet : 'Q';
                unsigned lower = given >= 'A' && given <= 'Z' ? given + 0x20 : given;
                assert_int_equal((unsigned char)out[j], part == 2 ? given : lower);
            }
        }
        free(text);
        free(out);
    }
}

static void jid_prepare__random_octets__never_beyond_the_bounds(void **state)
{
    (void)state;
    char text[TEXT_MAX], out[JID_PART_MAX];
    unsigned rounds = rounds_of(30000);
    for (unsigned round = 0; round < rounds; round++) {
        size_t size = 0;
        if (round % 2) {
            size = random_below(round % 128 == 1 ? TEXT_MAX : 24);
            for (size_t i = 0; i < size; i++)
                text[i] = (char)random_next();
        } else {
            size = random_text(text, 12);
            text[random_below((uint32_t)size)] ^= (char)(1u << random_below(8));
        }
        size_t out_size = 0;
        for (size_t i = 0; i < 3; i++) {
            enum jid_status status = prepare_in_exact_memory(parts[i], text, size, out, &out_size);
            assert_true((unsigned)status < JID_STATUS_COUNT);
            if (!utf8_is_valid(span_of(text, size)) && (i != 1 || size == 0 || text[0] != '['))
                assert_true(status == JID_BAD_UTF8 || status == longs[i]);
        }
        struct jid_buffer *buffer = malloc(sizeof *buffer);
        struct jid jid;
        assert_non_null(buffer);
        if (jid_prepare(span_of(text, size), buffer, &jid) == JID_OK)
            assert_true(jid_full(&jid).size <= JID_SIZE_MAX);
        free(buffer);
    }
}

static void jid_password__random_text__keeps_to_its_room(void **state)
{
    (void)state;
    char text[TEXT_MAX];
    unsigned rounds = rounds_of(10000);
    for (unsigned round = 0; round < rounds; round++) {
        size_t size = random_text(text, 8);
        size_t room = random_below(40);
        char *out = malloc(room ? room : 1);
        size_t out_size = 0;
        assert_non_null(out);
        enum jid_status status = jid_prepare_password(span_of(text, size), out, room, &out_size);
        if (status == JID_OK)
            assert_true(out_size <= room && out_size <= 3 * size);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jid_parts__prepared_text__is_its_own_preparation),
        cmocka_unit_test(jid_prepare__prepared_address__is_its_own_preparation),
        cmocka_unit_test(ascii_fast_path__any_ascii_text__as_the_slow_path_says),
        cmocka_unit_test(ascii_fast_path__each_octet_at_each_place__judged_by_itself),
        cmocka_unit_test(jid_prepare__random_octets__never_beyond_the_bounds),
        cmocka_unit_test(jid_password__random_text__keeps_to_its_room),
    };
    return cmocka_run_group_tests_name("core/jid properties", tests, seed, NULL);
}
