/* SPDX-License-Identifier: MIT */
/* Whose account a client's certificate is: names in it, the operator's map, and the map's own file. */
#include "router/stream/bearer.h"

#include "core/base/hex.h"
#include "router/admin/config.h"
#include "tests/unit/tls/der_build.h"
#include "tls/credential.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- certificates ------------------------------------------------------------------------------------------------ */

enum form { XMPP, MAIL, DNS, IA5_XMPP };

struct name {
    enum form form;
    const char *value; /* NULL: no more */
};

#define NAMES_MAX 4u

/* What a valid chain would have become whose leaf has these names; its fingerprint is all ones. */
static struct credential *credential_with(const struct name *names)
{
    static struct der_build built_names, built;
    built_names.size = 0;
    for (unsigned i = 0; i < NAMES_MAX && names[i].value; i++) {
        struct span value = span_str(names[i].value);
        switch (names[i].form) {
        case XMPP:
            der_build_other(&built_names, 5, 0x0c, value);
            break;
        case IA5_XMPP:
            der_build_other(&built_names, 5, 0x16, value);
            break;
        case MAIL:
            der_build_add(&built_names, 0x81, value);
            break;
        case DNS:
            der_build_add(&built_names, 0x82, value);
            break;
        }
    }
    struct credential *credential = calloc(1, sizeof *credential + sizeof credential->path[0]);
    assert_non_null(credential);
    credential->verdict = CREDENTIAL_VALID;
    credential->count = 1;
    memset(credential->path[0].sha256, 0x11, CREDENTIAL_SHA256);
    struct span der = der_build_certificate(&built, span_of(built_names.bytes, built_names.size));
    assert_true(identity_read(der, &credential->identity));
    return credential;
}

/* ---- maps -------------------------------------------------------------------------------------------------------- */

static const struct config_domain domains[] = {{.name = "example.com"},
                                               {.name = "b\xc3\xbc"
                                                        "cher.example"}};
static const struct config config = {.domains = domains, .domain_count = 2};

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"

static char map_path[] = "/tmp/sluice-bearer-XXXXXX";

static struct client_map *map_of(struct span text, struct err *err)
{
    FILE *file = fopen(map_path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.size, file), text.size);
    fclose(file);
    return client_map_new(map_path, &config, err);
}

static struct client_map *good_map(const char *text)
{
    struct err err = {""};
    struct client_map *map = map_of(span_str(text), &err);
    if (!map)
        fail_msg("%s", err.text);
    return map;
}

/* ---- whose ------------------------------------------------------------------------------------------------------- */

struct row {
    struct name names[NAMES_MAX];
    const char *map; /* NULL: none */
    bool takes_mail;
    const char *domain;
    const char *wanted; /* NULL: nobody in particular */
    enum bearer finding;
    const char *account;
};

static void check_row(const struct row *row, size_t number)
{
    struct credential *credential = credential_with(row->names);
    struct client_map *map = row->map ? good_map(row->map) : NULL;
    const struct bearer_rules rules = {map, row->takes_mail};
    struct jid_buffer buffer;
    struct span account = SPAN_NONE;
    enum bearer finding = bearer_find(credential, &rules, span_str(row->domain),
                                      row->wanted ? span_str(row->wanted) : SPAN_NONE, &buffer, &account);
    if (finding != row->finding)
        fail_msg("row %zu: %d instead of %d", number, (int)finding, (int)row->finding);
    if (finding == BEARER_FOUND && !span_is(account, row->account))
        fail_msg("row %zu: %.*s instead of %s", number, SPAN_ARG(account), row->account);
    client_map_free(map);
    credential_free(credential);
}

#define ROWS(rows)                                                                                                     \
    for (size_t number = 0; number < sizeof(rows) / sizeof((rows)[0]); number++)                                       \
    check_row(&(rows)[number], number)

static const char a[] = "a@example.com", b[] = "b@example.com", com[] = "example.com";

/* Holds 6120:13.7.1.4/1 6120:13.7.2.2.1/1 6120:13.7.2.2.1/2. */
static void address__of_the_certificate__is_the_account(void **state)
{
    static const struct row rows[] = {
        {{{XMPP, "a@example.com"}}, NULL, false, com, NULL, BEARER_FOUND, a},
        {{{XMPP, "A@EXAMPLE.com"}}, NULL, false, com, NULL, BEARER_FOUND, a},
        {{{XMPP, "a@example.com"}}, NULL, false, com, a, BEARER_FOUND, a},
        {{{XMPP, "a@example.com"}}, NULL, false, com, b, BEARER_OTHER, NULL},
        {{{XMPP, "a@example.com"}}, NULL, false, "example.org", NULL, BEARER_NOBODY, NULL},
        {{{XMPP, "a@example.com"}}, NULL, false, "example.org", "a@example.org", BEARER_NOBODY, NULL},
        {{{XMPP, "a@sub.example.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, "a@example.com"}, {XMPP, "b@example.com"}}, NULL, false, com, NULL, BEARER_SEVERAL, NULL},
        {{{XMPP, "a@example.com"}, {XMPP, "b@example.com"}}, NULL, false, com, a, BEARER_FOUND, a},
        {{{XMPP, "a@example.com"}, {XMPP, "b@example.com"}}, NULL, false, com, b, BEARER_FOUND, b},
        {{{XMPP, "a@example.com"}, {XMPP, "b@example.com"}}, NULL, false, com, "c@example.com", BEARER_OTHER, NULL},
        {{{XMPP, "a@example.com"}, {XMPP, "a@example.COM"}}, NULL, false, com, NULL, BEARER_FOUND, a},
        {{{XMPP, "x@example.org"}, {XMPP, "a@example.com"}}, NULL, false, com, NULL, BEARER_FOUND, a},
        {{{XMPP, "example.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, "a@example.com/phone"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, "@example.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, "a@"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, "a b@example.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, "a@b@example.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, "a\xff@example.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, "*@example.com"}}, NULL, false, com, a, BEARER_OTHER, NULL}, /* a wildcard is a name like others */
        {{{XMPP, "a@*.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{IA5_XMPP, "a@example.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{DNS, "a@example.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{DNS, "example.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, "\xc3\x84@b\xc3\xbc"
                 "cher.example"}},
         NULL,
         false,
         "b\xc3\xbc"
         "cher.example",
         NULL,
         BEARER_FOUND,
         "\xc3\xa4@b\xc3\xbc"
         "cher.example"},
        {{{XMPP, "a@xn--bcher-kva.example"}},
         NULL,
         false,
         "b\xc3\xbc"
         "cher.example",
         NULL,
         BEARER_FOUND,
         "a@b\xc3\xbc"
         "cher.example"},
        {{{XMPP, NULL}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, NULL}}, NULL, false, com, a, BEARER_NOBODY, NULL},
    };
    (void)state;
    ROWS(rows);
}

static void rules__in_their_order__the_first_with_an_answer_counts(void **state)
{
    static const char to_a[] = ONES " a@example.com\n", to_b[] = ONES " b@example.com\n",
                      to_both[] = ONES " a@example.com\n" ONES " b@example.com\n",
                      to_nobody[] = TWOS " a@example.com\n";
    static const struct row rows[] = {
        {{{XMPP, NULL}}, to_a, false, com, NULL, BEARER_FOUND, a},
        {{{XMPP, NULL}}, to_a, false, com, b, BEARER_OTHER, NULL},
        {{{XMPP, NULL}}, to_both, false, com, NULL, BEARER_SEVERAL, NULL},
        {{{XMPP, NULL}}, to_both, false, com, b, BEARER_FOUND, b},
        {{{XMPP, NULL}}, to_nobody, false, com, NULL, BEARER_NOBODY, NULL},
        {{{XMPP, NULL}},
         to_a,
         false,
         "b\xc3\xbc"
         "cher.example",
         NULL,
         BEARER_NOBODY,
         NULL},
        {{{XMPP, "a@example.com"}}, to_b, false, com, NULL, BEARER_FOUND, a},
        {{{XMPP, "a@example.com"}}, to_b, false, com, b, BEARER_OTHER, NULL},
        {{{XMPP, "a@example.org"}}, to_b, false, com, NULL, BEARER_FOUND, b},
        {{{MAIL, "a@example.com"}}, NULL, false, com, NULL, BEARER_NOBODY, NULL},
        {{{MAIL, "a@example.com"}}, NULL, true, com, NULL, BEARER_FOUND, a},
        {{{MAIL, "A@Example.com"}}, NULL, true, com, NULL, BEARER_FOUND, a},
        {{{MAIL, "a@example.com"}, {MAIL, "b@example.com"}}, NULL, true, com, NULL, BEARER_SEVERAL, NULL},
        {{{MAIL, "a@example.com"}}, to_b, true, com, NULL, BEARER_FOUND, b},
        {{{MAIL, "a@example.com"}}, to_nobody, true, com, NULL, BEARER_FOUND, a},
        {{{MAIL, "b@example.com"}, {XMPP, "a@example.com"}}, NULL, true, com, NULL, BEARER_FOUND, a},
        {{{MAIL, "b@example.com"}, {XMPP, "a@example.com"}}, NULL, true, com, b, BEARER_OTHER, NULL},
        {{{MAIL, "a@example.org"}}, NULL, true, com, NULL, BEARER_NOBODY, NULL},
        {{{MAIL, "example.com"}}, NULL, true, com, NULL, BEARER_NOBODY, NULL},
        {{{MAIL, "\"a b\"@example.com"}}, NULL, true, com, NULL, BEARER_NOBODY, NULL},
        {{{MAIL, "\xc3\xa4@example.com"}}, NULL, true, com, NULL, BEARER_NOBODY, NULL}, /* not ASCII */
    };
    (void)state;
    ROWS(rows);
}

/* ---- the map's file ---------------------------------------------------------------------------------------------- */

static void map__in_every_form__is_read(void **state)
{
    (void)state;
    uint8_t ones[CLIENT_MAP_KEY_SIZE], mixed[CLIENT_MAP_KEY_SIZE];
    memset(ones, 0x11, sizeof ones);
    memset(mixed, 0xaF, sizeof mixed);
    struct client_map *map =
        good_map("# first a comment\n"
                 "\n"
                 "  \t \r\n"
                 "   # another\n"
                 "11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:"
                 "11:11:11:11:11:11:11:11:11:11:11:11:11:11:11:11\tB@example.com\r\n" ONES "   a@EXAMPLE.com.  \n"
                 "aFAFafAfafafafafafafafafafafafafafafafafafafafafafafafafafafafaf #@example.com");
    assert_true(span_is(client_map_account(map, ones, 0), b)); /* in the order of the file */
    assert_true(span_is(client_map_account(map, ones, 1), a));
    assert_null(client_map_account(map, ones, 2).ptr);
    assert_true(span_is(client_map_account(map, mixed, 0), "#@example.com"));
    assert_null(client_map_account(map, mixed, 1).ptr);
    memset(mixed, 0, sizeof mixed);
    assert_null(client_map_account(map, mixed, 0).ptr);
    assert_null(client_map_account(NULL, ones, 0).ptr);
    client_map_free(map);
    map = good_map("");
    assert_null(client_map_account(map, ones, 0).ptr);
    client_map_free(map);
}

static void map__with_a_bad_line__is_refused_with_file_and_line(void **state)
{
    static const struct {
        struct span text;
        const char *reason;
    } rows[] = {
        {{"x", 1}, ":1: \"x\" is no SHA-256 fingerprint, which has 64 hexadecimal digits"},
        {{"\n\n" ONES, 2 + 64}, ":3: an account is missing behind the fingerprint"},
        {{"#\n" ONES "1 a@example.com", 2 + 65 + 14}, ":2: \"" ONES "1\" is no SHA-256 fingerprint"},
        {{ONES "\n", 65}, ":1: an account is missing behind the fingerprint"},
        {{"1:" ONES " a@example.com", 2 + 64 + 14}, "is no SHA-256 fingerprint"},
        {{ONES ": a@example.com", 65 + 14}, "is no SHA-256 fingerprint"},
        {{":" ONES " a@example.com", 65 + 14}, "is no SHA-256 fingerprint"},
        {{ONES " example.com", 64 + 12}, ":1: \"example.com\" is no account: wanted is an address like"},
        {{ONES " a@example.com/x", 64 + 16}, ":1: \"a@example.com/x\" is no account"},
        {{ONES " a@example.org", 64 + 14}, ":1: \"a@example.org\" is of none of the domains here"},
        {{ONES " a@example.com b@example.com", 64 + 28}, ":1: \"a@example.com b@example.com\": "},
        {{ONES " a\0@example.com", 64 + 15}, ":1: "},
        {{ONES " @example.com", 64 + 13}, ":1: \"@example.com\": "},
        {{ONES " a@example.com\n" TWOS " \xff@example.com\n", 64 + 15 + 64 + 15}, ":2: "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = {""};
        if (map_of(rows[i].text, &err))
            fail_msg("row %zu was taken", i);
        if (strncmp(err.text, map_path, strlen(map_path)) != 0 || !strstr(err.text, rows[i].reason))
            fail_msg("row %zu: %s", i, err.text);
    }
    struct err err = {""};
    assert_null(client_map_new("/nonexistent/map", &config, &err));
    assert_string_equal(err.text, "/nonexistent/map: cannot be read: No such file or directory");
    assert_null(client_map_new("/tmp", &config, &err));
    assert_string_equal(err.text, "/tmp: is no file");
}

/* Whatever is in it, each certificate finds its own lines, in their order, and nobody else's. */
static void map__of_many__finds_each(void **state)
{
    enum { COUNT = 3000, KEYS = 1000 };
    static char text[COUNT * 96];
    (void)state;
    const char *given = getenv("SL_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : 0x5eed0001u, size = 0;
    static unsigned key_of[COUNT];
    printf("seed %#x\n", seed);
    srand(seed);
    for (unsigned i = 0; i < COUNT; i++) {
        uint8_t key[CLIENT_MAP_KEY_SIZE] = {0};
        char digits[2 * CLIENT_MAP_KEY_SIZE + 1] = "";
        key_of[i] = (unsigned)rand() % KEYS;
        memcpy(key + 7, &key_of[i], sizeof key_of[i]);
        hex_encode(span_of(key, sizeof key), digits);
        size += (unsigned)snprintf(text + size, sizeof text - size, "%s u%u@example.com\n", digits, i);
    }
    struct client_map *map = good_map(text);
    for (unsigned k = 0; k < KEYS + 10; k++) {
        uint8_t key[CLIENT_MAP_KEY_SIZE] = {0};
        unsigned index = 0;
        memcpy(key + 7, &k, sizeof k);
        for (unsigned i = 0; i < COUNT; i++) {
            char expected[32];
            if (key_of[i] != k)
                continue;
            snprintf(expected, sizeof expected, "u%u@example.com", i);
            assert_true(span_is(client_map_account(map, key, index++), expected));
        }
        assert_null(client_map_account(map, key, index).ptr);
    }
    client_map_free(map);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(map_path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return remove(map_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address__of_the_certificate__is_the_account),
        cmocka_unit_test(rules__in_their_order__the_first_with_an_answer_counts),
        cmocka_unit_test(map__in_every_form__is_read),
        cmocka_unit_test(map__with_a_bad_line__is_refused_with_file_and_line),
        cmocka_unit_test(map__of_many__finds_each),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
