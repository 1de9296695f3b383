/* SPDX-License-Identifier: MIT */
/*
 * The fetcher against servers on loopback that mean it ill: each kind of answer has its exact result, in bounded time
 * and memory. What libcurl allocates is counted: at the end of each fetcher nothing is left.
 */
#include "router/certs/fetch_priv.h"
#include "tests/unit/router/ill_server.h"

#include <curl/curl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define LONG_MS  60000u      /* of fetches that something else than time ends, however slow the machine is */
#define SHORT_MS 400u        /* of those that only time ends */
#define LATE_MS  50000       /* below LONG_MS: it was not that time that ended it */
#define HEAP_MAX (4u << 20)  /* of libcurl; 32 fetches at a time are 0.9 MiB */
#define SENT_MAX (96u << 20) /* with what sockets hold: 32 MiB here and there */

/* ---- libcurl's memory -------------------------------------------------------------------------------------------- */

static _Atomic size_t heap_size, heap_peak;

static void *count(void *memory)
{
    size_t size = atomic_fetch_add(&heap_size, malloc_usable_size(memory)) + malloc_usable_size(memory);
    size_t peak = atomic_load(&heap_peak);
    while (size > peak && !atomic_compare_exchange_weak(&heap_peak, &peak, size)) {
    }
    return memory;
}

static void *count_malloc(size_t size)
{
    return count(malloc(size));
}

static void *count_calloc(size_t number, size_t size)
{
    return count(calloc(number, size));
}

static char *count_strdup(const char *text)
{
    return count(strdup(text));
}

static void count_free(void *memory)
{
    atomic_fetch_sub(&heap_size, malloc_usable_size(memory));
    free(memory);
}

static void *count_realloc(void *memory, size_t size)
{
    atomic_fetch_sub(&heap_size, malloc_usable_size(memory));
    return count(realloc(memory, size));
}

/* ---- one fetch --------------------------------------------------------------------------------------------------- */

struct outcome {
    bool is_over;
    uint64_t number;
    char *body; /* NULL: it failed */
    size_t size;
    char error[128];
    int64_t took_ms;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void done(void *context, uint64_t number, struct span body, const char *error)
{
    struct outcome *outcome = context;
    assert_false(outcome->is_over);
    assert_true((body.ptr == NULL) == (error != NULL));
    outcome->is_over = true;
    outcome->number = number;
    snprintf(outcome->error, sizeof outcome->error, "%s", error ? error : "");
    if (!body.ptr)
        return;
    outcome->body = malloc(body.size + 1);
    assert_non_null(outcome->body);
    memcpy(outcome->body, body.ptr, body.size);
    outcome->size = body.size;
}

/* Where may be fetched from: everywhere, nowhere private, or this one address. */
enum where { ANYWHERE, PUBLIC, FIRST };

static struct inspector_settings settings_of(enum where where, uint32_t timeout_ms)
{
    static struct address_prefix first;
    struct err err;
    struct inspector_settings settings = {0};
    assert_true(address_prefix_parse("127.0.0.1", &first, &err));
    settings.timeout_ms = timeout_ms;
    settings.addresses.allow_private = where == ANYWHERE;
    settings.addresses.allowed = where == FIRST ? &first : NULL;
    settings.addresses.allowed_count = where == FIRST;
    return settings;
}

static struct outcome fetch(const struct ill_server *server, const char *url, struct span request, enum where where,
                            uint32_t timeout_ms)
{
    char address[65536];
    const struct inspector_settings settings = settings_of(where, timeout_ms);
    struct outcome outcome = {0};
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), timer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    size_t before = atomic_load(&heap_size);
    struct fetcher *fetcher = fetcher_new(&settings, done, &outcome);
    assert_non_null(fetcher);
    ill_server_spell(server, url, address, sizeof address);
    int64_t begin = now_ms();
    fetcher_begin(fetcher, 42, address, request);
    assert_false(outcome.is_over); /* never before it returns */
    while (!outcome.is_over)
        fetcher_wait(fetcher, bell, timer);
    outcome.took_ms = now_ms() - begin;
    fetcher_free(fetcher);
    assert_int_equal(outcome.number, 42);
    assert_int_equal(atomic_load(&heap_size), before);
    close(bell);
    close(timer);
    return outcome;
}

static struct outcome get(const struct ill_server *server, const char *url, enum where where)
{
    return fetch(server, url, SPAN(""), where, LONG_MS);
}

static void expect_body(struct outcome outcome, const char *body)
{
    assert_string_equal(outcome.error, "");
    assert_int_equal(outcome.size, strlen(body));
    assert_memory_equal(outcome.body, body, outcome.size);
    free(outcome.body);
}

#define FORBIDDEN    "its address is not one that may be connected to"
#define TOO_LARGE    "the answer is too large"
#define LONG_HEADER  "its header is too large"
#define OTHER_STATUS "the status of the answer is another one than 200"

static void expect_error(struct outcome outcome, const char *error)
{
    assert_null(outcome.body);
    assert_string_equal(outcome.error, error);
    assert_true(outcome.took_ms < LATE_MS);
}

/* ---- what is sent ------------------------------------------------------------------------------------------------ */

/* A line of more than 100 KB; libcurl from 8.6 on calls it CURLE_TOO_LARGE, which older headers do not name. */
#define LINE_TOO_LONG (curl_version_info(CURLVERSION_NOW)->version_num < 0x080600 ? CURLE_OUT_OF_MEMORY : (CURLcode)100)

#define FINE "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"

static const struct ill_answer answers[] = {
    {.path = "/fine", .first = FINE},
    {.path = "/untyped", .first = "HTTP/1.0 200 OK\r\n\r\ngood"},
    {.path = "/type", .first = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\ngood"},
    {.path = "/empty", .first = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
    {.path = "/gzip", .first = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08Z"},
    {.path = "/chunks",
     .first = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ngo\r\n2\r\nod\r\n0\r\n\r\n"},
    {.path = "/404", .first = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngood"},
    {.path = "/500", .first = "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\ngood"},
    {.path = "/204", .first = "HTTP/1.1 204 No Content\r\n\r\n"},
    {.path = "/206", .first = "HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\ngood"},
    {.path = "/304", .first = "HTTP/1.1 304 Not Modified\r\n\r\n"},
    {.path = "/nowhere", .first = "HTTP/1.1 302 Found\r\nContent-Length: 4\r\n\r\ngood"},
    {.path = "/closed", .first = ""},
    {.path = "/http09", .first = "<html>good</html>"},
    {.path = "/version", .first = "HTTP/7.3 200 OK\r\nContent-Length: 4\r\n\r\ngood"},
    {.path = "/short", .first = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngood"},
    {.path = "/lengths", .first = "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\ngood"},
    {.path = "/chunk", .first = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\ngood"},
    /* redirects */
    {.path = "/1", .first = "HTTP/1.1 301 Moved\r\nLocation: /2\r\nSet-Cookie: a=b; Path=/\r\n\r\n"},
    {.path = "/2", .first = "HTTP/1.1 302 Moved\r\nLocation: http://localhost:$PORT/3\r\n\r\n"},
    {.path = "/3", .first = "HTTP/1.1 307 Moved\r\nLocation: fine\r\n\r\n"},
    {.path = "/0", .first = "HTTP/1.1 302 Moved\r\nLocation: /1\r\n\r\n"},
    {.path = "/loop", .first = "HTTP/1.1 308 Moved\r\nLocation: /loop\r\n\r\n"},
    {.path = "/https", .first = "HTTP/1.1 302 Moved\r\nLocation: https://127.0.0.1:$PORT/fine\r\n\r\n"},
    {.path = "/file", .first = "HTTP/1.1 302 Moved\r\nLocation: file:///etc/passwd\r\n\r\n"},
    {.path = "/ftp", .first = "HTTP/1.1 302 Moved\r\nLocation: ftp://127.0.0.1:$PORT/fine\r\n\r\n"},
    {.path = "/gopher", .first = "HTTP/1.1 302 Moved\r\nLocation: gopher://127.0.0.1:$PORT/_fine\r\n\r\n"},
    {.path = "/user", .first = "HTTP/1.1 302 Moved\r\nLocation: http://me:word@127.0.0.1:$PORT/fine\r\n\r\n"},
    {.path = "/other", .first = "HTTP/1.1 302 Moved\r\nLocation: http://127.0.0.2:$PORT/fine\r\n\r\n"},
    {.path = "/control", .first = "HTTP/1.1 302 Moved\r\nLocation: /fi\tne\x01\r\n\r\n"},
    /* without end */
    {.path = "/huge",
     .first = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
     .again = "good",
     .is_endless = true},
    {.path = "/endless", .first = "HTTP/1.1 200 OK\r\n\r\n", .again = "good", .is_endless = true},
    {.path = "/endless-chunks",
     .first = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
     .again = "4\r\ngood\r\n",
     .is_endless = true},
    {.path = "/endless-header", .first = "HTTP/1.1 200 OK\r\n", .again = "X-Good: good\r\n", .is_endless = true},
    {.path = "/endless-field", .first = "HTTP/1.1 200 OK\r\nX-Good: ", .again = "good", .is_endless = true},
    {.path = "/endless-status", .first = "HTTP/1.1 200 ", .again = "good", .is_endless = true},
    {.path = "/endless-1xx", .first = "", .again = "HTTP/1.1 100 Continue\r\n\r\n", .is_endless = true},
    {.path = "/endless-trailer",
     .first = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n",
     .again = "X-Good: good\r\n",
     .is_endless = true},
    {.path = "/bomb",
     .first = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
     .again = "\x1f\x8b\x08\x08good",
     .is_endless = true},
    /* only time ends these */
    {.path = "/silent", .first = "", .is_held = true},
    {.path = "/drip",
     .first = "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n",
     .again = "g",
     .pause_ms = 5,
     .is_endless = true},
    {.path = "/drip-header", .first = "HTTP/1.1 200 OK\r\nX-Good: ", .again = "g", .pause_ms = 5, .is_endless = true},
    {.path = "/held", .first = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngood", .is_held = true},
    {.path = "/hop", .first = "HTTP/1.1 302 Moved\r\nLocation: /hop2\r\n\r\n", .delay_ms = SHORT_MS * 2 / 3},
    {.path = "/hop2", .first = "HTTP/1.1 302 Moved\r\nLocation: /hop3\r\n\r\n", .delay_ms = SHORT_MS * 2 / 3},
    {.path = "/hop3", .first = FINE, .delay_ms = SHORT_MS * 2 / 3},
};

static int begin(void **state)
{
    *state = ill_server_new(answers, sizeof answers / sizeof answers[0]);
    return *state ? 0 : -1;
}

static int finish(void **state)
{
    ill_server_free(*state);
    return 0;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void answer__of_any_type__is_handed_over_as_it_came(void **state)
{
    static const char *const paths[] = {"fine", "untyped", "type", "chunks"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:$PORT/%s", paths[i]);
        expect_body(get(*state, url, ANYWHERE), "good");
    }
    expect_body(get(*state, "http://127.0.0.1:$PORT/empty", ANYWHERE), "");
    expect_body(get(*state, "http://127.0.0.1:$PORT/gzip", ANYWHERE), "\x1f\x8b\x08Z"); /* nothing is unpacked */
}

static void answer__that_is_none__has_its_error(void **state)
{
    const struct {
        const char *path;
        const char *error;
    } cells[] = {
        {"404", curl_easy_strerror(CURLE_HTTP_RETURNED_ERROR)},
        {"500", curl_easy_strerror(CURLE_HTTP_RETURNED_ERROR)},
        {"204", OTHER_STATUS},
        {"206", OTHER_STATUS},
        {"304", OTHER_STATUS},
        {"nowhere", OTHER_STATUS},
        {"closed", curl_easy_strerror(CURLE_GOT_NOTHING)},
        {"http09", curl_easy_strerror(CURLE_UNSUPPORTED_PROTOCOL)},
        {"version", curl_easy_strerror(CURLE_UNSUPPORTED_PROTOCOL)},
        {"short", curl_easy_strerror(CURLE_PARTIAL_FILE)},
        {"lengths", curl_easy_strerror(CURLE_WEIRD_SERVER_REPLY)},
        {"chunk", curl_easy_strerror(CURLE_RECV_ERROR)},
    };
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:$PORT/%s", cells[i].path);
        expect_error(get(*state, url, ANYWHERE), cells[i].error);
    }
    expect_error(get(*state, "http://127.0.0.1:1/", ANYWHERE), curl_easy_strerror(CURLE_COULDNT_CONNECT));
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static void redirect__of_three__is_followed_and_of_four_is_not(void **state)
{
    expect_body(get(*state, "http://127.0.0.1:$PORT/1", ANYWHERE), "good");
    expect_error(get(*state, "http://127.0.0.1:$PORT/0", ANYWHERE), curl_easy_strerror(CURLE_TOO_MANY_REDIRECTS));
    expect_error(get(*state, "http://127.0.0.1:$PORT/loop", ANYWHERE), curl_easy_strerror(CURLE_TOO_MANY_REDIRECTS));
}

static void redirect__of_a_question__asks_it_there(void **state)
{
    expect_body(fetch(*state, "http://127.0.0.1:$PORT/1", SPAN("question"), ANYWHERE, LONG_MS), "good");
    const char *heard = ill_server_heard(*state); /* the last one */
    assert_memory_equal(heard, "POST /fine HTTP/1.1\r\n", 21);
    assert_non_null(strstr(heard, "\r\n\r\nquestion"));
}

static void redirect__to_another_protocol__is_not_followed(void **state)
{
    static const char *const paths[] = {"https", "file", "ftp", "gopher"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:$PORT/%s", paths[i]);
        expect_error(get(*state, url, ANYWHERE), curl_easy_strerror(CURLE_UNSUPPORTED_PROTOCOL));
    }
}

static void redirect__to_an_address_that_may_not_be__is_refused(void **state)
{
    expect_body(get(*state, "http://127.0.0.1:$PORT/fine", FIRST), "good");
    expect_error(get(*state, "http://127.0.0.1:$PORT/other", FIRST), FORBIDDEN);
    expect_body(get(*state, "http://127.0.0.1:$PORT/other", ANYWHERE), "good");
}

/* However it is written, what counts is where the connection would go. */
static void address__that_may_not_be__is_not_connected_to(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1:$PORT/fine",
        "http://localhost:$PORT/fine",
        "http://2130706433:$PORT/fine",
        "http://0x7f.1:$PORT/fine",
        "http://0177.0.0.1:$PORT/",
        "http://127.1:$PORT/fine",
        "http://[::1]:$PORT/fine",
        "http://0.0.0.0:$PORT/fine",
        "http://[::]:$PORT/fine",
        "http://[::ffff:127.0.0.1]:$PORT/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[64:ff9b::7f00:1]:$PORT/",
        "http://224.0.0.1/",
        "http://[fe80::1%25lo]:$PORT/fine",
    };
    unsigned connections = ill_server_connections(*state);
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
        expect_error(get(*state, urls[i], PUBLIC), FORBIDDEN);
    assert_int_equal(ill_server_connections(*state), connections);
    expect_error(get(*state, "http://0.0.0.0:$PORT/fine", ANYWHERE), FORBIDDEN); /* permitted to nobody */
}

/* The other address of the name may be connected to. */
static void address__one_of_two_that_may_be__is_connected_to(void **state)
{
    expect_body(get(*state, "http://localhost:$PORT/fine", FIRST), "good");
}

static void url__that_is_none_or_of_another_kind__is_an_error(void **state)
{
    static char long_url[60000];
    memset(long_url, 'a', sizeof long_url - 1);
    memcpy(long_url, "ldap://", 7);
    const struct {
        const char *url;
        CURLcode code;
    } cells[] = {
        {"", CURLE_URL_MALFORMAT},
        {"http://", CURLE_URL_MALFORMAT},
        {"http://127.0.0.1:99999/", CURLE_URL_MALFORMAT},
        {"http://127.0.0.1:$PORT/a\r\nX-Evil: 1", CURLE_URL_MALFORMAT},
        {"http://127.0.0.1:$PORT/\x01", CURLE_URL_MALFORMAT},
        {"http://127.0.0.1:$PORT/\x7f", CURLE_URL_MALFORMAT},
        {"http://127.0.0.1:$PORT/a b", CURLE_URL_MALFORMAT},
        {"http://127.0.0.1\t:$PORT/", CURLE_URL_MALFORMAT},
        {"http://me@127.0.0.1:$PORT/fine", CURLE_LOGIN_DENIED},
        {"http://me:word@127.0.0.1:$PORT/fine", CURLE_LOGIN_DENIED},
        {"http://127.0.0.1:$PORT/user", CURLE_LOGIN_DENIED},
        {"https://127.0.0.1:$PORT/fine", CURLE_UNSUPPORTED_PROTOCOL},
        {"ftp://127.0.0.1:$PORT/fine", CURLE_UNSUPPORTED_PROTOCOL},
        {"file:///etc/passwd", CURLE_UNSUPPORTED_PROTOCOL},
        {"ldap://127.0.0.1:$PORT/", CURLE_UNSUPPORTED_PROTOCOL},
        {"dict://127.0.0.1:$PORT/d:a", CURLE_UNSUPPORTED_PROTOCOL},
        {"nonsense:", CURLE_URL_MALFORMAT},
        {long_url, CURLE_UNSUPPORTED_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        expect_error(get(*state, cells[i].url, ANYWHERE), curl_easy_strerror(cells[i].code));
    }
}

/* What a redirect smuggles comes out as what a path may hold. */
static void redirect__with_control_characters__sends_none(void **state)
{
    struct outcome outcome = get(*state, "http://127.0.0.1:$PORT/control", ANYWHERE);
    assert_null(outcome.body);
    const char *heard = ill_server_heard(*state);
    for (const char *at = heard; *at && *at != '\r'; at++)
        assert_true(*at >= ' ' && *at != 0x7f);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void request__with_everything_in_the_environment__tells_nothing_of_it(void **state)
{
    char folder[] = "/tmp/sluice-fetch-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/.netrc", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs("default login me password word\n", file);
    fclose(file);
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"};
    setenv("HOME", folder, 1);
    setenv("NETRC", path, 1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        setenv(names[i], "http://127.0.0.1:1", 1);
    expect_body(get(*state, "http://127.0.0.1:$PORT/1", ANYWHERE), "good"); /* one of these sets a cookie */
    char expected[256];
    ill_server_spell(*state, "GET /fine HTTP/1.1\r\nHost: localhost:$PORT\r\nAccept: */*\r\n\r\n", expected,
                     sizeof expected);
    assert_string_equal(ill_server_heard(*state), expected);
    expect_body(fetch(*state, "http://127.0.0.1:$PORT/fine", SPAN("question"), ANYWHERE, LONG_MS), "good");
    ill_server_spell(*state,
                     "POST /fine HTTP/1.1\r\nHost: 127.0.0.1:$PORT\r\nAccept: */*\r\n"
                     "Content-Type: application/ocsp-request\r\nContent-Length: 8\r\n\r\nquestion",
                     expected, sizeof expected);
    assert_string_equal(ill_server_heard(*state), expected);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    unsetenv("NETRC");
    unlink(path);
    rmdir(folder);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static void body__beyond_its_bound__is_too_large(void **state)
{
    static const char *const paths[] = {"huge", "endless", "endless-chunks", "bomb"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:$PORT/%s", paths[i]);
        for (unsigned is_question = 0; is_question < 2; is_question++) {
            uint64_t sent = ill_server_sent(*state);
            struct span request = is_question ? SPAN("question") : SPAN("");
            expect_error(fetch(*state, url, request, ANYWHERE, LONG_MS), TOO_LARGE);
            assert_true(ill_server_sent(*state) - sent < SENT_MAX);
        }
    }
}

static void body__at_its_bound__is_not(void **state)
{
    static char head[2][128];
    static const size_t bounds[] = {REVOCATION_CRL_MAX, REVOCATION_OCSP_MAX};
    for (unsigned is_question = 0; is_question < 2; is_question++) {
        for (size_t extra = 0; extra < 2; extra++) {
            size_t size = bounds[is_question] + extra;
            snprintf(head[extra], sizeof head[extra], "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
            const struct ill_answer exact = {.path = "/", .first = head[extra], .again = "good", .is_endless = true};
            struct ill_server *server = ill_server_new(&exact, 1);
            struct span request = is_question ? SPAN("question") : SPAN("");
            struct outcome outcome = fetch(server, "http://127.0.0.1:$PORT/", request, ANYWHERE, LONG_MS);
            if (extra) {
                expect_error(outcome, TOO_LARGE);
            } else {
                assert_string_equal(outcome.error, "");
                assert_int_equal(outcome.size, size);
                for (size_t i = 0; i + 4 <= size; i += 4)
                    assert_true(memcmp(outcome.body + i, "good", 4) == 0);
                free(outcome.body);
            }
            ill_server_free(server);
        }
    }
    (void)state;
}

static void header__without_end__is_too_large(void **state)
{
    static const char *const paths[] = {"endless-header", "endless-1xx", "endless-trailer"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:$PORT/%s", paths[i]);
        uint64_t sent = ill_server_sent(*state);
        expect_error(get(*state, url, ANYWHERE), LONG_HEADER);
        assert_true(ill_server_sent(*state) - sent < SENT_MAX);
    }
    /* A single line libcurl itself bounds: it hands out whole ones. */
    static const char *const lines[] = {"endless-field", "endless-status"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:$PORT/%s", lines[i]);
        expect_error(get(*state, url, ANYWHERE), curl_easy_strerror(LINE_TOO_LONG));
    }
}

static void time__over__ends_it(void **state)
{
    static const char *const paths[] = {"silent", "drip", "drip-header", "held", "hop"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:$PORT/%s", paths[i]);
        struct outcome outcome = fetch(*state, url, SPAN(""), ANYWHERE, SHORT_MS);
        expect_error(outcome, curl_easy_strerror(CURLE_OPERATION_TIMEDOUT));
        assert_true(outcome.took_ms >= SHORT_MS - 1);
    }
}

/* ---- many -------------------------------------------------------------------------------------------------------- */

struct many {
    unsigned good, failed;
    struct fetcher *fetcher;
    const char *url;
    uint64_t follow; /* begun by the end of another, as the inspector does */
};

static void count_done(void *context, uint64_t number, struct span body, const char *error)
{
    struct many *many = context;
    (void)error;
    if (number % 2)
        many->failed += body.ptr == NULL;
    else
        many->good += body.ptr && span_equal(body, SPAN("good"));
    if (many->follow == 0)
        return;
    many->follow--;
    fetcher_begin(many->fetcher, 1000, many->url, SPAN(""));
}

static void many__of_which_every_other_is_silent__hold_nobody_up(void **state)
{
    char good[64], silent[64];
    const struct inspector_settings settings = settings_of(ANYWHERE, LONG_MS);
    struct many many = {.url = good, .follow = 8};
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), timer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    size_t before = atomic_load(&heap_size);
    many.fetcher = fetcher_new(&settings, count_done, &many);
    ill_server_spell(*state, "http://127.0.0.1:$PORT/fine", good, sizeof good);
    ill_server_spell(*state, "http://127.0.0.1:$PORT/silent", silent, sizeof silent);
    int64_t begun = now_ms();
    for (uint64_t number = 0; number < 32; number++)
        fetcher_begin(many.fetcher, number, number % 2 ? silent : good, SPAN(""));
    while (many.good < 16 + 8)
        fetcher_wait(many.fetcher, bell, timer);
    assert_true(now_ms() - begun < LATE_MS);
    assert_int_equal(many.failed, 0);
    fetcher_free(many.fetcher); /* with 16 under way, which are given up */
    assert_int_equal(many.good, 24);
    assert_int_equal(many.failed, 0);
    assert_int_equal(atomic_load(&heap_size), before);
    close(bell);
    close(timer);
}

static void heap__after_all__stayed_below_its_bound(void **state)
{
    (void)state;
    assert_true(atomic_load(&heap_peak) < HEAP_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer__of_any_type__is_handed_over_as_it_came),
        cmocka_unit_test(answer__that_is_none__has_its_error),
        cmocka_unit_test(redirect__of_three__is_followed_and_of_four_is_not),
        cmocka_unit_test(redirect__of_a_question__asks_it_there),
        cmocka_unit_test(redirect__to_another_protocol__is_not_followed),
        cmocka_unit_test(redirect__to_an_address_that_may_not_be__is_refused),
        cmocka_unit_test(redirect__with_control_characters__sends_none),
        cmocka_unit_test(address__that_may_not_be__is_not_connected_to),
        cmocka_unit_test(address__one_of_two_that_may_be__is_connected_to),
        cmocka_unit_test(url__that_is_none_or_of_another_kind__is_an_error),
        cmocka_unit_test(request__with_everything_in_the_environment__tells_nothing_of_it),
        cmocka_unit_test(body__beyond_its_bound__is_too_large),
        cmocka_unit_test(body__at_its_bound__is_not),
        cmocka_unit_test(header__without_end__is_too_large),
        cmocka_unit_test(time__over__ends_it),
        cmocka_unit_test(many__of_which_every_other_is_silent__hold_nobody_up),
        cmocka_unit_test(heap__after_all__stayed_below_its_bound),
    };
    if (curl_global_init_mem(CURL_GLOBAL_ALL, count_malloc, count_free, count_realloc, count_strdup, count_calloc) !=
        CURLE_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, begin, finish);
    curl_global_cleanup();
    return failed;
}
