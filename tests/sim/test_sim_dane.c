/* SPDX-License-Identifier: MIT */
/*
 * Two routers, TLS, and a DNS whose answers are secure or not, as the script says: who is spoken to by which word of
 * s2s.policy, and what is counted where not (RFC 7673, router/s2s/trust.h).
 */
#include "core/base/base64.h"
#include "core/base/hex.h"
#include "router/admin/control_priv.h"
#include "router/admin/survey.h"
#include "router/s2s/resolver_script.h"
#include "tests/sim/actor.h"
#include "tls/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SRV    "_xmpp-server._tcp.b.example SRV 0 0 5269 xmpp.b.example"
#define HOST   "xmpp.b.example A 127.0.0.2"
#define TLSA   "_5269._tcp.xmpp.b.example TLSA"
#define SECURE SRV " secure\n" HOST " secure\n" TLSA " "
/* How away finds home. */
#define HOME_SECURE                                                                                                    \
    "_xmpp-server._tcp.a.example SRV 0 0 5269 xmpp.a.example secure\n"                                                 \
    "xmpp.a.example A 127.0.0.1 secure\n"                                                                              \
    "_5269._tcp.xmpp.a.example TLSA "

#define WRONG "3 1 1 0000000000000000000000000000000000000000000000000000000000000000"

struct stage {
    struct rig *home, *away;
    struct actor romeo;
    unsigned heard, errors;
    char error[64];
};

/* ------------------------------------------------------------------------------------------------ records */

static const char *cert_path(const char *name)
{
    static char path[600];
    assert_non_null(getenv("SL_TEST_CERTS"));
    snprintf(path, sizeof path, "%s/%s", getenv("SL_TEST_CERTS"), name);
    return path;
}

/* The DER of one of the certificates of a file in PEM. */
static size_t read_certificate(const char *file, unsigned index, char *der, size_t room)
{
    char line[100], text[8192] = "";
    size_t size = 0;
    FILE *stream = fopen(cert_path(file), "r");
    bool is_inside = false;
    assert_non_null(stream);
    while (fgets(line, sizeof line, stream)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (strncmp(line, "-----BEGIN", 10) == 0)
            is_inside = index-- == 0;
        else if (strncmp(line, "-----END", 8) == 0)
            is_inside = false;
        else if (is_inside)
            strcat(text, line);
    }
    fclose(stream);
    assert_true(strlen(text) > 0 && strlen(text) < room);
    assert_true(base64_decode(span_str(text), der, &size));
    return size;
}

/* "3 0 1 b.pem:0": with the hash of that certificate in place of its name; what has no name stays as it is. */
static const char *record(const char *text)
{
    static char out[2][512];
    static unsigned turn;
    char der[8192], digits[2 * 32 + 1] = "", file[64];
    uint8_t hash[32];
    unsigned index, head = 6;
    char *room = out[turn++ % 2];
    if (sscanf(text + head, "%63[^:]:%u", file, &index) == 2) {
        size_t size = read_certificate(file, index, der, sizeof der);
        digest_hash(DIGEST_SHA256, span_of(der, size), hash);
        hex_encode(span_of((const char *)hash, sizeof hash), digits);
        snprintf(room, sizeof out[0], "%.*s%s", (int)head, text, digits);
    } else {
        snprintf(room, sizeof out[0], "%s", text);
    }
    return room;
}

/* ------------------------------------------------------------------------------------------------ two routers */

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct stage *stage = actor->context;
    stage->heard++;
    stage->errors += actor_condition(stanza, stage->error);
}

static void add_lines(struct rig *rig, const char *lines)
{
    struct err err;
    if (lines[0] && !resolver_script_add(rig->resolver, lines, &err))
        fail_msg("%s", err.text);
}

struct settings {
    char texts[4][700];
    const char *all[16];
};

/* authority: of the folder of certificates; what is NULL is left out. */
static const char *const *settings_of(struct settings *out, const char *domain, const char *certificate,
                                      const char *authority, const char *const *more)
{
    unsigned count = 0;
    snprintf(out->texts[0], sizeof out->texts[0], "rig.domain=%s", domain);
    snprintf(out->texts[1], sizeof out->texts[1], "rig.certificate=%s", cert_path(certificate ? certificate : ""));
    snprintf(out->texts[2], sizeof out->texts[2], "s2s.ca=%s", cert_path(authority));
    out->all[count++] = out->texts[0];
    if (certificate) {
        out->all[count++] = out->texts[1];
        out->all[count++] = out->texts[2];
    }
    out->all[count++] = "s2s.enabled=true";
    out->all[count++] = "s2s.allow_private=true";
    out->all[count++] = "s2s.dnssec_anchor=/dev/null"; /* the script says itself what is secure */
    out->all[count++] = "timeouts.reset=0ms";
    for (; more && *more; more++)
        out->all[count++] = *more;
    out->all[count] = NULL;
    return out->all;
}

static void stage_open(struct stage *stage, unsigned shards, const char *away_domain, const char *const *home,
                       const char *const *away)
{
    memset(stage, 0, sizeof *stage);
    stage->home = rig_new(1, shards, NULL, 1, home);
    stage->away = rig_join(stage->home, away_domain, "127.0.0.2", shards, 1, away);
    actor_init(&stage->romeo, stage->home, 0, keep, stage);
    assert_true(actor_bind(&stage->romeo, 0));
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->home, ms);
    actor_poll(&stage->romeo);
}

static uint64_t home_count(const struct stage *stage, enum counter counter)
{
    return rig_counter(stage->home, counter);
}

static void stage_close(struct stage *stage)
{
    struct actor *const actors[] = {&stage->romeo};
    actor_close_all(actors, 1, stage->home, stage->away);
}

/* A ping of the other domain: its answer, or the error that takes its place, is heard. */
static void ping(struct stage *stage, const char *domain, uint64_t ms)
{
    stage->error[0] = '\0';
    actor_send(&stage->romeo, "<iq to='%s' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>", domain);
    run(stage, ms);
}

/* All streams that a router has, as "show s2s" tells them. */
static void show(struct rig *rig, char *out, size_t room)
{
    size_t size = 0;
    out[0] = '\0';
    for (unsigned shard = 0; shard < rig->shard_count; shard++) {
        struct control_ask_private private = {.count_max = 100};
        struct control_ask *ask = &private.ask;
        *ask = (struct control_ask){.kind = ASK_S2S, .shard = shard, .private = &private};
        answer_init(&private.rows, CONTROL_ASK_ROOM, false);
        survey_answer(&rig->shards[shard], ask);
        assert_true(ask->is_done && size + private.rows.size < room);
        if (private.rows.size)
            memcpy(out + size, private.rows.bytes, private.rows.size);
        size += private.rows.size;
        out[size] = '\0';
        answer_fini(&private.rows);
    }
}

/* One stream, in that direction and with that proof. */
static void expect_proof(struct rig *rig, const char *direction, const char *proof)
{
    char text[8192], wanted[2][64];
    show(rig, text, sizeof text);
    snprintf(wanted[0], sizeof wanted[0], " direction=%s ", direction);
    snprintf(wanted[1], sizeof wanted[1], " proof=%s ", proof);
    const char *end = strchr(text, '\n');
    if (!end || end[1] || !strstr(text, wanted[0]) || !strstr(text, wanted[1]))
        fail_msg("%s by %s: %s", direction, proof, text);
}

/* Of all ways to fail, this one and no other, so often. */
static void expect_failure(struct rig *rig, const char *where, enum counter counter, uint64_t count)
{
    for (enum counter c = COUNTER_S2S_FAILED_RESOLVE; c <= COUNTER_S2S_FAILED_DIALBACK_INVALID; c++) {
        uint64_t expected = c == counter ? count : 0;
        if (c != COUNTER_S2S_DIAL_CANCELLED && rig_counter(rig, c) != expected)
            fail_msg("%s: %s is %lu", where, counter_infos[c].name, (unsigned long)rig_counter(rig, c));
    }
}

/* ------------------------------------------------------------------------------------------------ outgoing streams */

#define NOBODY COUNTER_S2S_FAILED_RESOLVE /* with a count of 0 */

struct cell {
    const char *name;
    const char *policy;
    const char *authority; /* trusted by home */
    const char *lines;     /* up to the record */
    const char *record, *behind;
    const char *proof; /* NULL: refused */
    enum counter failure;
    unsigned count;
    unsigned dialled;
};

#define KNOWN   "ca.pem"
#define UNKNOWN "foreign.pem"
#define MATCH   "3 0 1 b.pem:0"

static const struct cell cells[] = {
    /* the records fit */
    {"EE, dane", "dane", UNKNOWN, SECURE, MATCH, " secure", "dane", NOBODY, 0, 1},
    {"EE, dane-or-pkix", "dane-or-pkix", UNKNOWN, SECURE, MATCH, " secure", "dane", NOBODY, 0, 1},
    {"EE, default", "pkix-or-dialback", UNKNOWN, SECURE, MATCH, " secure", "dane", NOBODY, 0, 1},
    {"TA, dane", "dane", UNKNOWN, SECURE, "2 0 1 b.pem:1", " secure", "dane", NOBODY, 0, 1},
    {"PKIX-EE, dane", "dane", KNOWN, SECURE, "1 0 1 b.pem:0", " secure", "dane", NOBODY, 0, 1},
    {"PKIX-TA, dane", "dane", KNOWN, SECURE, "0 0 1 ca.pem:0", " secure", "dane", NOBODY, 0, 1},
    {"EE and authority, pkix", "pkix", KNOWN, SECURE, MATCH, " secure", "pkix", NOBODY, 0, 1},
    /* they fit, and the word wants more */
    {"EE, pkix", "pkix", UNKNOWN, SECURE, MATCH, " secure", NULL, COUNTER_S2S_FAILED_CERTIFICATE, 1, 1},
    {"PKIX-EE without authority", "dane", UNKNOWN, SECURE, "1 0 1 b.pem:0", " secure", NULL, COUNTER_S2S_FAILED_DANE, 1,
     1},
    /* they do not fit, and nothing else counts: RFC 6698 s4.1, RFC 7673 s4.2 */
    {"wrong, dane", "dane", KNOWN, SECURE, WRONG, " secure", NULL, COUNTER_S2S_FAILED_DANE, 1, 1},
    {"wrong, dane-or-pkix", "dane-or-pkix", KNOWN, SECURE, WRONG, " secure", NULL, COUNTER_S2S_FAILED_DANE, 1, 1},
    {"wrong, pkix", "pkix", KNOWN, SECURE, WRONG, " secure", NULL, COUNTER_S2S_FAILED_DANE, 1, 1},
    {"wrong, default", "pkix-or-dialback", KNOWN, SECURE, WRONG, " secure", NULL, COUNTER_S2S_FAILED_DANE, 1, 1},
    {"wrong selector", "dane", KNOWN, SECURE, "3 1 1 b.pem:0", " secure", NULL, COUNTER_S2S_FAILED_DANE, 1, 1},
    {"of another server", "dane", KNOWN, SECURE, "3 0 1 a.pem:0", " secure", NULL, COUNTER_S2S_FAILED_DANE, 1, 1},
    {"the authority as EE", "dane", KNOWN, SECURE, "3 0 1 b.pem:1", " secure", NULL, COUNTER_S2S_FAILED_DANE, 1, 1},
    /* there are none to use: RFC 7673 s3.4, RFC 6698 s4.1 */
    {"insecure TLSA, dane", "dane", KNOWN, SECURE, MATCH, "", NULL, COUNTER_S2S_FAILED_DANE, 1, 0},
    {"insecure TLSA that is wrong", "pkix-or-dialback", KNOWN, SECURE, WRONG, "", "pkix", NOBODY, 0, 1},
    {"insecure SRV", "dane", KNOWN, SRV "\n" HOST " secure\n" TLSA " ", MATCH, " secure", NULL, COUNTER_S2S_FAILED_DANE,
     1, 0},
    {"insecure SRV, wrong", "pkix", KNOWN, SRV "\n" HOST " secure\n" TLSA " ", WRONG, " secure", "pkix", NOBODY, 0, 1},
    {"insecure address", "dane", KNOWN, SRV " secure\n" HOST "\n" TLSA " ", MATCH, " secure", NULL,
     COUNTER_S2S_FAILED_DANE, 1, 0},
    {"another port's", "dane", KNOWN, SRV " secure\n" HOST " secure\n_5270._tcp.xmpp.b.example TLSA ", MATCH, " secure",
     NULL, COUNTER_S2S_FAILED_DANE, 1, 0},
    {"another port's, wrong", "pkix", KNOWN, SRV " secure\n" HOST " secure\n_5270._tcp.xmpp.b.example TLSA ", WRONG,
     " secure", "pkix", NOBODY, 0, 1},
    {"unusable, dane", "dane", KNOWN, SECURE, "4 0 1 b.pem:0", " secure", NULL, COUNTER_S2S_FAILED_DANE, 1, 0},
    {"unusable, dane-or-pkix", "dane-or-pkix", KNOWN, SECURE, "4 0 1 b.pem:0", " secure", "pkix", NOBODY, 0, 1},
    {"unusable, nothing else", "dane-or-pkix", UNKNOWN, SECURE, "3 0 9 b.pem:0", " secure", NULL,
     COUNTER_S2S_FAILED_CERTIFICATE, 1, 1},
    {"none, dane-or-pkix", "dane-or-pkix", KNOWN, SRV " secure\n" HOST " secure\n" TLSA " ", "nodata", " secure",
     "pkix", NOBODY, 0, 1},
    {"none, dane", "dane", KNOWN, SRV " secure\n" HOST " secure\n" TLSA " ", "nodata", " secure", NULL,
     COUNTER_S2S_FAILED_DANE, 1, 0},
    {"none, default", "pkix-or-dialback", UNKNOWN, SRV " secure\n" HOST " secure\n" TLSA " ", "nodata", " secure",
     "dialback", NOBODY, 0, 1},
    /* somebody lies: RFC 7673 s3.1, s3.2, s3.4 */
    {"bogus TLSA", "pkix-or-dialback", KNOWN, SECURE, "bogus", "", NULL, COUNTER_S2S_FAILED_RESOLVE, 1, 0},
    {"bogus TLSA, dane", "dane", KNOWN, SECURE, "bogus", "", NULL, COUNTER_S2S_FAILED_RESOLVE, 1, 0},
    {"bogus address", "pkix-or-dialback", KNOWN, SRV " secure\nxmpp.b.example A ", "bogus", "", NULL,
     COUNTER_S2S_FAILED_RESOLVE, 1, 0},
    {"bogus SRV", "pkix-or-dialback", KNOWN, "_xmpp-server._tcp.b.example SRV ", "bogus", "", NULL,
     COUNTER_S2S_FAILED_RESOLVE, 1, 0},
    {"TLSA not to be had", "pkix-or-dialback", KNOWN, SECURE, "fail", "", NULL, COUNTER_S2S_FAILED_RESOLVE, 1, 0},
};

static void check_cell(const struct cell *cell, unsigned shards)
{
    char policy[64], lines[1024];
    struct settings home, away;
    struct stage stage;
    const char *const home_more[] = {policy, NULL}, *const away_more[] = {"s2s.policy=pkix-or-dialback", NULL};
    snprintf(policy, sizeof policy, "s2s.policy=%s", cell->policy);
    snprintf(lines, sizeof lines, "%s%s%s", cell->lines, record(cell->record), cell->behind);
    stage_open(&stage, shards, "b.example", settings_of(&home, "a.example", "a", cell->authority, home_more),
               settings_of(&away, "b.example", "b", KNOWN, away_more));
    add_lines(stage.home, lines);
    add_lines(stage.away, HOME_SECURE "nodata secure");
    ping(&stage, "b.example", 6000);
    assert_int_equal(stage.heard, 1);
    if (stage.errors != (cell->proof == NULL))
        fail_msg("%s: %s", cell->name, stage.error);
    if (cell->proof)
        expect_proof(stage.home, "out", cell->proof);
    expect_failure(stage.home, cell->name, cell->failure, cell->count);
    if (home_count(&stage, COUNTER_S2S_DIALLED) != cell->dialled)
        fail_msg("%s: dialled %lu", cell->name, (unsigned long)home_count(&stage, COUNTER_S2S_DIALLED));
    stage_close(&stage);
}

/* RFC 7673 s3, s4; RFC 6698 s4.1. */
static void records__of_each_kind__by_each_word__their_outcome(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof cells / sizeof cells[0]; i++)
        check_cell(&cells[i], 1 + i % 2);
}

/* RFC 7673 s3.4: where there are records nothing is said without TLS, not even where the operator allows it. */
static void records__of_a_server_without_tls__nothing_is_said(void **state)
{
    (void)state;
    struct settings home, away;
    struct stage stage;
    char lines[1024];
    const char *const open[] = {"s2s.tls_required=false", NULL};
    snprintf(lines, sizeof lines, "%s%s secure", SECURE, record(MATCH));
    stage_open(&stage, 1, "b.example", settings_of(&home, "a.example", "a", KNOWN, open),
               settings_of(&away, "b.example", NULL, KNOWN, open));
    add_lines(stage.home, lines);
    ping(&stage, "b.example", 6000);
    assert_string_equal(stage.error, "remote-server-timeout");
    expect_failure(stage.home, "without TLS", COUNTER_S2S_FAILED_TLS, 1);
    stage_close(&stage);
}

/* RFC 7673 s4.1: a secure SRV record's host is as good a name as the domain; any other one's is nothing. */
static void host__of_an_srv_record__a_name_if_it_is_secure(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *proof;
    } cases[] = {
        {"_xmpp-server._tcp.shop.example SRV 0 0 5269 b.example secure\nb.example A 127.0.0.2 secure", "pkix"},
        {"_xmpp-server._tcp.shop.example SRV 0 0 5269 b.example secure\nb.example A 127.0.0.2", "pkix"},
        {"_xmpp-server._tcp.shop.example SRV 0 0 5269 b.example\nb.example A 127.0.0.2 secure", NULL},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings home, away;
        struct stage stage;
        const char *const pkix[] = {"s2s.policy=pkix", NULL};
        stage_open(&stage, 1, "shop.example", settings_of(&home, "a.example", "a", KNOWN, pkix),
                   settings_of(&away, "shop.example", "b", KNOWN, NULL));
        add_lines(stage.home, cases[i].lines);
        ping(&stage, "shop.example", 6000);
        if (cases[i].proof)
            expect_proof(stage.home, "out", cases[i].proof);
        else
            expect_failure(stage.home, "insecure", COUNTER_S2S_FAILED_CERTIFICATE, 1);
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ incoming streams */

/* Both want DANE and know no authority. TLSA records say nothing of a client's certificate, so who is called asks the
 * caller's own server, which they do vouch for (RFC 7712 s4.3). */
static void both__by_dane__each_proven_to_the_other(void **state)
{
    (void)state;
    static const char *const words[] = {"s2s.policy=dane", "s2s.policy=dane-or-pkix", "s2s.policy=pkix-or-dialback"};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct settings home, away;
        struct stage stage;
        char lines[1024];
        const char *const more[] = {words[i], NULL};
        stage_open(&stage, 1 + i, "b.example", settings_of(&home, "a.example", "a", UNKNOWN, more),
                   settings_of(&away, "b.example", "b", UNKNOWN, more));
        snprintf(lines, sizeof lines, "%s%s secure", SECURE, record(MATCH));
        add_lines(stage.home, lines);
        snprintf(lines, sizeof lines, "%s%s secure", HOME_SECURE, record("3 0 1 a.pem:0"));
        add_lines(stage.away, lines);
        ping(&stage, "b.example", 6000);
        assert_string_equal(stage.error, "");
        expect_proof(stage.home, "out", "dane");
        expect_proof(stage.away, "in", "dane-dialback");
        expect_failure(stage.home, words[i], NOBODY, 0);
        expect_failure(stage.away, words[i], NOBODY, 0);
        stage_close(&stage);
    }
}

/* A key is not believed when the server that was asked for it is not the one that the records tell; where the word is
 * strict, not without records either. */
static void key__of_a_server_that_records_do_not_vouch_for__not_believed(void **state)
{
    (void)state;
    static const struct {
        const char *word, *record, *behind;
        const char *authority; /* trusted by away, who is called */
        unsigned dialled;
    } cases[] = {
        {"s2s.policy=pkix-or-dialback", "3 0 1 b.pem:0", " secure", UNKNOWN, 1},
        {"s2s.policy=dane-or-pkix", "3 0 1 b.pem:0", " secure", UNKNOWN, 1},
        {"s2s.policy=dane", "3 0 1 b.pem:0", " secure", UNKNOWN, 1},
        {"s2s.policy=dane", "nodata", " secure", UNKNOWN, 0},
        {"s2s.policy=dane", "3 0 1 a.pem:0", "", UNKNOWN, 0},
        {"s2s.policy=dane", "nodata", " secure", KNOWN, 0}, /* a client's certificate alone will not do */
        {"s2s.policy=dane-or-pkix", "nodata", " secure", UNKNOWN, 1},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings home, away;
        struct stage stage;
        char lines[1024];
        const char *const more[] = {cases[i].word, NULL};
        stage_open(&stage, 1, "b.example", settings_of(&home, "a.example", "a", KNOWN, NULL),
                   settings_of(&away, "b.example", "b", cases[i].authority, more));
        add_lines(stage.home, SRV "\n" HOST);
        snprintf(lines, sizeof lines, "%s%s%s", HOME_SECURE, record(cases[i].record), cases[i].behind);
        add_lines(stage.away, lines);
        ping(&stage, "b.example", 6000);
        assert_string_equal(stage.error, "remote-server-timeout");
        expect_failure(stage.away, cases[i].word, COUNTER_S2S_FAILED_DANE, 1);
        assert_int_equal(rig_counter(stage.away, COUNTER_S2S_DIALLED), cases[i].dialled);
        assert_int_equal(rig_counter(stage.away, COUNTER_S2S_STREAMS_IN), 0);
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ words per domain */

/* s2s.policies is for the domain that it names, in both directions. */
static void word__for_one_domain__for_that_one_only(void **state)
{
    (void)state;
    static const struct {
        const char *policies;
        bool is_refused;
    } cases[] = {
        {"s2s.policies=b.example=pkix", true},
        {"s2s.policies=*.example=pkix", true},
        {"s2s.policies=*.example=pkix, b.example=pkix-or-dialback", false},
        {"s2s.policies=*.b.example=pkix, c.example=pkix", false},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings home, away;
        struct stage stage;
        const char *const more[] = {cases[i].policies, NULL};
        stage_open(&stage, 2, "b.example", settings_of(&home, "a.example", "a", UNKNOWN, more),
                   settings_of(&away, "b.example", "b", UNKNOWN, NULL));
        add_lines(stage.home, SRV "\n" HOST);
        add_lines(stage.away, HOME_SECURE "nodata");
        ping(&stage, "b.example", 6000);
        assert_int_equal(stage.errors, cases[i].is_refused);
        expect_failure(stage.home, cases[i].policies, COUNTER_S2S_FAILED_CERTIFICATE, cases[i].is_refused);
        /* Who is called goes by its own word for the caller: a key of ours, and a check of it, which we let in. */
        struct rig *rig = stage.away;
        assert_int_equal(rig_counter(rig, COUNTER_S2S_STREAMS_IN), !cases[i].is_refused);
        stage_close(&stage);
    }
}

/* The reload of one word ends the streams that it would not let in, and no others, on both sides of a stream. */
static void reload__of_words__ends_what_they_would_not_let_in(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        bool is_ended;
    } cases[] = {
        {"s2s.policies=b.example=pkix", true},
        {"s2s.policy=pkix", true},
        {"s2s.policies=*.example=dane-or-pkix", true},
        {"s2s.policies=c.example=pkix, *.b.example=dane", false},
        {"s2s.bidi=true", false},
    };
    for (unsigned i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        bool is_called = i % 2 == 1; /* the one who reloads */
        struct settings home, away, again;
        struct stage stage;
        char word[128];
        snprintf(word, sizeof word, "%s", cases[i / 2].word);
        if (is_called && strstr(word, "=b.example"))
            strstr(word, "=b.example")[1] = 'a';
        const char *const more[] = {word, NULL};
        stage_open(&stage, 1 + i % 3, "b.example", settings_of(&home, "a.example", "a", UNKNOWN, NULL),
                   settings_of(&away, "b.example", "b", UNKNOWN, NULL));
        add_lines(stage.home, SRV "\n" HOST);
        add_lines(stage.away, HOME_SECURE "nodata");
        ping(&stage, "b.example", 6000);
        expect_proof(stage.home, "out", "dialback");
        expect_proof(stage.away, "in", "dialback");
        rig_reload(is_called ? stage.away : stage.home, is_called
                                                            ? settings_of(&again, "b.example", "b", UNKNOWN, more)
                                                            : settings_of(&again, "a.example", "a", UNKNOWN, more));
        run(&stage, 1000);
        assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_OUT), !cases[i / 2].is_ended);
        assert_int_equal(rig_counter(stage.away, COUNTER_S2S_STREAMS_IN), !cases[i / 2].is_ended);
        ping(&stage, "b.example", 10000);
        assert_int_equal(stage.errors, cases[i / 2].is_ended);
        stage_close(&stage);
    }
}

/* In negotiation the word for who the peer says it is counts: what was offered goes by it. */
static void reload__in_negotiation__of_the_word_for_the_peer(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        bool is_ended;
    } cases[] = {
        {"s2s.policies=b.example=pkix", true},
        {"s2s.policies=*.example=dane-or-pkix", true},
        {"s2s.policy=pkix", true},
        {"s2s.policies=c.example=pkix, *.b.example=pkix", false},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings home, away, again;
        struct stage stage;
        const char *const more[] = {cases[i].word, NULL};
        stage_open(&stage, 1, "b.example", settings_of(&home, "a.example", "a", UNKNOWN, NULL),
                   settings_of(&away, "b.example", "b", UNKNOWN, NULL));
        struct peer *peer = peer_connect_to(stage.home->group, 0, LISTEN_S2S);
        peer_send(peer, SPAN("<stream:stream xmlns='jabber:server' version='1.0' from='b.example' to='a.example' "
                             "xmlns:stream='http://etherx.jabber.org/streams'>"));
        rig_run(stage.home, 20);
        rig_reload(stage.home, settings_of(&again, "a.example", "a", UNKNOWN, more));
        rig_run(stage.home, 20);
        struct span got = peer_received(peer);
        assert_int_equal(memmem(got.ptr, got.size, "<reset", 6) != NULL, cases[i].is_ended);
        assert_int_equal(memmem(got.ptr, got.size, "</stream:stream>", 16) != NULL, cases[i].is_ended);
        peer_free(peer);
        stage_close(&stage);
    }
}

/* A looser word ends nothing; one that has no use for the proof does, whatever else the peer could have shown. */
static void reload__from_dane__by_what_the_proof_is_worth(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        bool is_ended;
    } cases[] = {{"s2s.policy=dane-or-pkix", false}, {"s2s.policy=pkix-or-dialback", false}, {"s2s.policy=pkix", true}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings home, away, again;
        struct stage stage;
        char lines[1024];
        const char *const dane[] = {"s2s.policy=dane", NULL}, *const more[] = {cases[i].word, NULL};
        stage_open(&stage, 2, "b.example", settings_of(&home, "a.example", "a", KNOWN, dane),
                   settings_of(&away, "b.example", "b", KNOWN, NULL));
        snprintf(lines, sizeof lines, "%s%s secure", SECURE, record(MATCH));
        add_lines(stage.home, lines);
        ping(&stage, "b.example", 6000);
        expect_proof(stage.home, "out", "dane");
        expect_proof(stage.away, "in", "pkix");
        rig_reload(stage.home, settings_of(&again, "a.example", "a", KNOWN, more));
        run(&stage, 1000);
        assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_OUT), !cases[i].is_ended);
        ping(&stage, "b.example", 10000);
        assert_string_equal(stage.error, "");
        expect_proof(stage.home, "out", cases[i].is_ended ? "pkix" : "dane");
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ s2s test */

static void answered(struct shard *shard, void *question)
{
    (void)shard;
    (void)question;
}

static bool try_domain(struct stage *stage, const char *domain, char *out, size_t room)
{
    struct shard *shard = &stage->home->shards[0];
    struct control_ask_private private = {.count_max = 100};
    struct control_ask *ask = &private.ask;
    *ask = (struct control_ask){
        .kind = ASK_S2S_TEST, .private = &private, .domain = span_str(domain), .ours = span_str(stage->home->domain)};
    answer_init(&private.rows, CONTROL_ASK_ROOM, false);
    shard->answered = answered;
    (void)survey_answer(shard, ask);
    io_notify(shard->io);
    run(stage, 6000);
    snprintf(out, room, "%.*s", (int)private.rows.size, private.rows.bytes);
    answer_fini(&private.rows);
    return ask->count == 1;
}

static void test__of_a_domain__tells_records_and_which_one_fits(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *record, *behind, *wanted[2];
        bool is_good;
    } cases[] = {
        {SECURE WRONG " secure\n" TLSA " ",
         MATCH,
         " secure",
         {"tlsa ok=true text=\"_5269._tcp.xmpp.b.example 3 0 1 ", "dane ok=true text=\"matched: 3 0 1 "},
         true},
        {SECURE,
         WRONG,
         " secure",
         {"tlsa ok=true text=\"_5269._tcp.xmpp.b.example 3 1 1 0000000000000000.., secure\"",
          "dane ok=false text=\"no record is of these certificates\""},
         false},
        {SECURE,
         "2 0 1 b.pem:1",
         " secure",
         {"certificate ok=true text=valid", "dane ok=true text=\"matched: 2 0 1 "},
         true},
        {SECURE,
         "9 0 1 b.pem:1",
         " secure",
         {", secure, not usable\"", "dane ok=true text=\"no usable record\""},
         true},
        {SECURE, MATCH, "", {"tlsa ok=true text=\"none, or not secure\"", "certificate ok=true text=valid"}, true},
        {SRV "\n" HOST " secure\n" TLSA " ",
         MATCH,
         " secure",
         {"tlsa ok=true text=\"not asked for: the SRV record is not secure\"", ""},
         true},
        {SRV " secure\n" HOST "\n" TLSA " ",
         MATCH,
         " secure",
         {"tlsa ok=true text=\"not asked for: the addresses are not secure\"", ""},
         true},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings home, away;
        struct stage stage;
        char lines[1024], steps[8192];
        stage_open(&stage, 1, "b.example", settings_of(&home, "a.example", "a", KNOWN, NULL),
                   settings_of(&away, "b.example", "b", KNOWN, NULL));
        snprintf(lines, sizeof lines, "%s%s%s", cases[i].lines, record(cases[i].record), cases[i].behind);
        add_lines(stage.home, lines);
        if (try_domain(&stage, "b.example", steps, sizeof steps) != cases[i].is_good ||
            !strstr(steps, cases[i].wanted[0]) || !strstr(steps, cases[i].wanted[1]))
            fail_msg("%u: %s", i, steps);
        stage_close(&stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records__of_each_kind__by_each_word__their_outcome),
        cmocka_unit_test(records__of_a_server_without_tls__nothing_is_said),
        cmocka_unit_test(host__of_an_srv_record__a_name_if_it_is_secure),
        cmocka_unit_test(both__by_dane__each_proven_to_the_other),
        cmocka_unit_test(key__of_a_server_that_records_do_not_vouch_for__not_believed),
        cmocka_unit_test(word__for_one_domain__for_that_one_only),
        cmocka_unit_test(reload__of_words__ends_what_they_would_not_let_in),
        cmocka_unit_test(reload__in_negotiation__of_the_word_for_the_peer),
        cmocka_unit_test(reload__from_dane__by_what_the_proof_is_worth),
        cmocka_unit_test(test__of_a_domain__tells_records_and_which_one_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
