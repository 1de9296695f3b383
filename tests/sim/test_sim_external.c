/* SPDX-License-Identifier: MIT */
/* SASL EXTERNAL of clients, by the certificates of tests/chains/people.py (RFC 6120 s6.3.4, s13.7.2.2; XEP-0178 s2). */
#include "core/base/base64.h"
#include "router/admin/control_priv.h"
#include "router/admin/survey.h"
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define SASL_NS "urn:ietf:params:xml:ns:xmpp-sasl"
#define OFFER   "<mechanisms xmlns='" SASL_NS "'><mechanism>"

static const char *person_path(const char *name, const char *ending)
{
    static char paths[8][600];
    static unsigned next;
    char *path = paths[next++ % 8];
    const char *folder = getenv("SL_TEST_PEOPLE");
    assert_non_null(folder);
    snprintf(path, 600, "%s/%s%s", folder, name, ending);
    return path;
}

/* Behind the usual overrides: clients are asked, and people.pem is trusted. NULL in more ends it. */
static const char *const *overrides(const char *policy, const char *const *more)
{
    static const char *list[16];
    static char texts[2][700];
    unsigned count = 0;
    for (const char *const *usual = caller_tls_overrides(); *usual; usual++)
        list[count++] = *usual;
    snprintf(texts[0], sizeof texts[0], "tls.client_certificates=%s", policy);
    snprintf(texts[1], sizeof texts[1], "tls.client_ca_file=%s", person_path("people", ".pem"));
    list[count++] = texts[0];
    list[count++] = texts[1];
    for (; more && *more; more++)
        list[count++] = *more;
    list[count] = NULL;
    return list;
}

/* Up to the features behind TLS. */
static void meet_on(struct caller *caller, struct rig *rig, const char *person, uint16_t version_max)
{
    caller_open_from(caller, rig, 0, LISTEN_C2S, "192.0.2.1");
    caller->person = person ? person_path(person, "") : NULL;
    caller->version_max = version_max;
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    assert_false(caller_has_heard(caller, "EXTERNAL"));
    caller_say_text(caller, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    caller_run(caller);
    assert_true(caller_has_heard(caller, "<proceed"));
    caller_forget(caller);
    assert_true(caller_start_tls(caller));
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
}

static void meet(struct caller *caller, struct rig *rig, const char *person)
{
    meet_on(caller, rig, person, 0);
    assert_true(caller_has_heard(caller, "<stream:features>"));
}

/* By a password, on a stream whose features are there. */
static bool log_in(struct caller *caller, unsigned number)
{
    caller_forget(caller);
    caller_auth(caller, number);
    caller_run(caller);
    if (!caller_has_heard(caller, "<challenge"))
        return false;
    caller_prove(caller);
    caller_run(caller);
    if (!caller_has_heard(caller, "<success"))
        return false;
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    return true;
}

static void ask(struct caller *caller, const char *authzid)
{
    char text[4096], encoded[2048] = "=";
    if (*authzid)
        encoded[base64_encode(span_str(authzid), encoded)] = '\0';
    snprintf(text, sizeof text, "<auth xmlns='" SASL_NS "' mechanism='EXTERNAL'>%s</auth>", encoded);
    caller_forget(caller);
    caller_say_text(caller, text);
    caller_run(caller);
}

static bool has_failed_with(const struct caller *caller, const char *condition)
{
    char text[200];
    snprintf(text, sizeof text, "<failure xmlns='" SASL_NS "'><%s/></failure>", condition);
    return strcmp(caller->heard, text) == 0;
}

/* Behind <success/>, which has no content (RFC 4422 A.1): the restart, and the address that the router tells. */
static bool goes_on_as(struct caller *caller, const char *jid)
{
    char text[200];
    if (strcmp(caller->heard, "<success xmlns='" SASL_NS "'/>") != 0)
        return false;
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    snprintf(text, sizeof text, "<jid>%s/x</jid>", jid);
    return caller_bind(caller, "x") && caller_has_heard(caller, text);
}

static void leave(struct caller *caller)
{
    if (!caller_is_over(caller))
        caller_say_text(caller, "</stream:stream>");
    caller_run(caller);
    caller_notify(caller);
    caller_run(caller);
    caller_close(caller);
}

static void finish(struct rig *rig)
{
    rig_run(rig, 20000);
    rig_free(rig);
}

/* ---- what each certificate is worth ------------------------------------------------------------------------------ */

struct row {
    const char *person; /* NULL: none */
    bool is_offered;
    const char *alone; /* without an authorization identity: the account, or the condition */
    const char *named; /* asked for user0@example.com */
    const char *other; /* asked for user1@example.com */
};

static const char user0[] = "user0@example.com", user1[] = "user1@example.com";

static const struct row rows[] = {
    {NULL, false, "invalid-mechanism", "invalid-mechanism", "invalid-mechanism"},
    {"valid", true, user0, user0, "invalid-authzid"},
    {"below", true, user0, user0, "invalid-authzid"},
    {"any_case", true, user0, user0, "invalid-authzid"},
    {"no_purpose", true, user0, user0, "invalid-authzid"},
    {"for_xmpp", true, user0, user0, "invalid-authzid"},
    {"for_all", true, user0, user0, "invalid-authzid"},
    {"for_servers", false, "not-authorized", "not-authorized", "not-authorized"},
    {"for_agreement", false, "not-authorized", "not-authorized", "not-authorized"},
    {"an_authority", false, "not-authorized", "not-authorized", "not-authorized"},
    {"expired", false, "credentials-expired", "credentials-expired", "credentials-expired"},
    {"not_yet", false, "not-authorized", "not-authorized", "not-authorized"},
    {"of_others", false, "not-authorized", "not-authorized", "not-authorized"},
    {"self_signed", false, "not-authorized", "not-authorized", "not-authorized"},
    {"twice", true, user0, user0, "invalid-authzid"},
    {"several", true, "invalid-authzid", user0, user1},
    {"two_domains", true, user0, user0, "invalid-authzid"},
    {"elsewhere", false, "not-authorized", "not-authorized", "not-authorized"},
    {"device", false, "not-authorized", "not-authorized", "not-authorized"},
    {"domain", false, "not-authorized", "not-authorized", "not-authorized"},
    {"nameless", false, "not-authorized", "not-authorized", "not-authorized"},
    {"mail", false, "not-authorized", "not-authorized", "not-authorized"},
    {"mail_and_address", true, user0, user0, "invalid-authzid"},
    {"unknown", true, "not-authorized", "invalid-authzid", "invalid-authzid"},
};

static void check(struct rig *rig, const struct row *row, const char *authzid, const char *expected,
                  uint16_t version_max)
{
    struct caller caller;
    meet_on(&caller, rig, row->person, version_max);
    if (caller_has_heard(&caller, "<mechanism>EXTERNAL<") != row->is_offered)
        fail_msg("%s: offered %d", row->person, !row->is_offered);
    assert_int_equal(caller_has_heard(&caller, OFFER "EXTERNAL<"), row->is_offered); /* first, if at all (s6.3.4) */
    assert_true(caller_has_heard(&caller, "<mechanism>SCRAM-SHA-256<"));
    ask(&caller, authzid);
    bool is_right = strchr(expected, '@') ? goes_on_as(&caller, expected) : has_failed_with(&caller, expected);
    if (!is_right)
        fail_msg("%s as \"%s\": expected %s, heard %s", row->person, authzid, expected, caller.heard);
    if (!strchr(expected, '@')) { /* a password still does */
        assert_true(log_in(&caller, 1));
        assert_true(caller_bind(&caller, "y"));
    }
    leave(&caller);
}

/* Holds 6120:13.8.4/1 6120:feature/security-mti-both-external 6120:6.3.8/5 6120:13.7.2/1 6120:13.7.2/2. */
/* Holds 6120:13.7.2.2.1/1 6120:13.7.2.2.1/2 6120:13.7.2.2.2/1 6120:13.7.2.2.3/1. */
/* Holds sasl:credentials-expired - EXTERNAL by a certificate that has expired. */
static void certificates__each__are_worth_what_they_say(void **state)
{
    static const char *const patient[] = {"limits.failed_logins_per_address=0", NULL};
    (void)state;
    struct rig *rig = rig_new(1, 2, NULL, 2, overrides("optional", patient));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check(rig, &rows[i], "", rows[i].alone, 0);
        check(rig, &rows[i], user0, rows[i].named, 0x0303);
        check(rig, &rows[i], "user1@example.com", rows[i].other, 0);
    }
    uint64_t valid = 0, invalid = 0;
    for (size_t i = 1; i < sizeof rows / sizeof rows[0]; i++) {
        bool is_refused = !rows[i].is_offered && strncmp(rows[i].person, "elsewhere", 9) != 0 &&
                          strcmp(rows[i].person, "device") != 0 && strcmp(rows[i].person, "domain") != 0 &&
                          strcmp(rows[i].person, "nameless") != 0 && strcmp(rows[i].person, "mail") != 0;
        valid += is_refused ? 0 : 3;
        invalid += is_refused ? 3 : 0;
    }
    assert_int_equal(rig_counter(rig, COUNTER_TLS_CERTIFICATES), valid);
    assert_int_equal(rig_counter(rig, COUNTER_TLS_CERTIFICATES_REFUSED), invalid);
    assert_true(rig_counter(rig, COUNTER_LOGINS_EXTERNAL) >= 20);
    finish(rig);
}

/* The exact form of an authorization identity: a bare JID in any spelling (RFC 6120 s6.3.8, RFC 7622), no NUL and UTF-8
 * (RFC 4422 A.1), as base64 and nothing else (s6.3.5). */
static void authzid__in_every_form__gets_its_answer(void **state)
{
    const struct {
        struct span authzid;
        const char *expected;
    } forms[] = {
        {SPAN("user0@example.com"), user0},
        {SPAN("USER0@EXAMPLE.com"), user0},
        {SPAN("user0@example.com."), user0},
        {SPAN("user0@example.com/phone"), "invalid-authzid"},
        {SPAN("user0"), "invalid-authzid"},
        {SPAN("example.com"), "invalid-authzid"},
        {SPAN("@example.com"), "invalid-authzid"},
        {SPAN("user0@"), "invalid-authzid"},
        {SPAN("user0@example.org"), "invalid-authzid"},
        {SPAN(" user0@example.com"), "invalid-authzid"},
        {SPAN("user0@example.com\0"), "malformed-request"},
        {SPAN("user0@example.com\0user1@example.com"), "malformed-request"},
        {SPAN("\xff"), "malformed-request"},
    };
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 2, overrides("optional", NULL));
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct caller caller;
        char encoded[256], text[512];
        meet(&caller, rig, "valid");
        caller_forget(&caller);
        size_t size = base64_encode(forms[i].authzid, encoded);
        snprintf(text, sizeof text, "<auth xmlns='" SASL_NS "' mechanism='EXTERNAL'>%.*s</auth>", (int)size, encoded);
        caller_say_text(&caller, text);
        caller_run(&caller);
        const char *expected = forms[i].expected;
        bool is_right = strchr(expected, '@') ? goes_on_as(&caller, expected) : has_failed_with(&caller, expected);
        if (!is_right)
            fail_msg("form %zu: expected %s, heard %s", i, expected, caller.heard);
        leave(&caller);
    }
    finish(rig);
}

/* Without an initial response there is an empty challenge, and the response is the message (RFC 4422 A.1). */
static void auth__without_a_response__is_challenged_once(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 2, overrides("optional", NULL));
    for (unsigned named = 0; named < 2; named++) {
        struct caller caller;
        meet(&caller, rig, "valid");
        caller_forget(&caller);
        caller_say_text(&caller, "<auth xmlns='" SASL_NS "' mechanism='EXTERNAL'/>");
        caller_run(&caller);
        assert_string_equal(caller.heard, "<challenge xmlns='" SASL_NS "'/>");
        caller_forget(&caller);
        caller_say_text(&caller, named ? "<response xmlns='" SASL_NS "'>dXNlcjBAZXhhbXBsZS5jb20=</response>"
                                       : "<response xmlns='" SASL_NS "'/>");
        caller_run(&caller);
        assert_true(goes_on_as(&caller, user0));
        leave(&caller);
    }
    finish(rig);
}

/* Failures count as those of passwords do, and so does the end behind them. */
static void failures__too_many__end_the_stream(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 2, overrides("optional", NULL));
    struct caller caller;
    meet(&caller, rig, "several");
    for (unsigned i = 0; i < rig->policy->config->sasl_attempts_max; i++) {
        assert_false(caller_is_over(&caller));
        ask(&caller, "");
    }
    assert_true(caller_has_heard(&caller, "<policy-violation"));
    assert_int_equal(rig_counter(rig, COUNTER_LOGINS_FAILED), rig->policy->config->sasl_attempts_max);
    leave(&caller);
    finish(rig);
}

/* Held prefixes get the one answer that tells nothing, certificate or not. */
static void prefix__that_failed_too_often__is_held(void **state)
{
    static const char *const few[] = {"limits.failed_logins_per_address=3", NULL};
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 2, overrides("optional", few));
    struct caller caller;
    for (unsigned i = 0; i < 5; i++) {
        meet(&caller, rig, i < 4 ? "unknown" : "valid");
        ask(&caller, "");
        assert_true(has_failed_with(&caller, i < 3 ? "not-authorized" : "temporary-auth-failure"));
        leave(&caller);
    }
    finish(rig);
}

/* s6.4.6: 'from' of the protected header is who authenticates. */
static void from__of_another__ends_the_stream(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 2, overrides("optional", NULL));
    for (unsigned i = 0; i < 2; i++) {
        struct caller caller;
        caller_open(&caller, rig, 0);
        caller.person = person_path("valid", "");
        caller_say_text(&caller, CALLER_HEADER);
        caller_run(&caller);
        caller_say_text(&caller, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        caller_run(&caller);
        assert_true(caller_start_tls(&caller));
        caller_say_text(&caller, i ? "<stream:stream xmlns='jabber:client' to='example.com' from='user1@example.com' "
                                     "version='1.0' xmlns:stream='http://etherx.jabber.org/streams'>"
                                   : "<stream:stream xmlns='jabber:client' to='example.com' from='user0@example.com' "
                                     "version='1.0' xmlns:stream='http://etherx.jabber.org/streams'>");
        caller_run(&caller);
        ask(&caller, "");
        assert_int_equal(caller_has_heard(&caller, "<not-authorized"), i);
        assert_int_equal(caller_has_heard(&caller, "<invalid-from"), i);
        assert_int_equal(caller_has_heard(&caller, "<success"), !i);
        leave(&caller);
    }
    finish(rig);
}

/* ---- whose it is by the operator's word -------------------------------------------------------------------------- */

static char *read_line_of(const char *path)
{
    static char line[200];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    line[strcspn(line, "\n")] = '\0';
    fclose(file);
    return line;
}

/* A map of one person to up to two accounts; the override that names it. */
static const char *map_of(const char *person, const char *account, const char *another)
{
    static char text[200], path[] = "/tmp/sluice-map-XXXXXX";
    if (!text[0]) {
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "# people\n\n%s %s\n", read_line_of(person_path(person, ".sha256")), account);
    if (another)
        fprintf(file, "%s\t%s\n", read_line_of(person_path(person, ".sha256")), another);
    fclose(file);
    snprintf(text, sizeof text, "tls.client_map=%s", path);
    return text;
}

static void expect(struct rig *rig, const char *person, const char *authzid, const char *expected)
{
    struct caller caller;
    meet(&caller, rig, person);
    ask(&caller, authzid);
    bool is_right = strchr(expected, '@') ? goes_on_as(&caller, expected) : has_failed_with(&caller, expected);
    if (!is_right)
        fail_msg("%s as \"%s\": expected %s, heard %s", person, authzid, expected, caller.heard);
    leave(&caller);
}

static void map__of_a_certificate_without_an_address__tells_whose_it_is(void **state)
{
    (void)state;
    const char *more[] = {map_of("nameless", "USER0@example.com", NULL), NULL};
    struct rig *rig = rig_new(1, 2, NULL, 2, overrides("optional", more));
    expect(rig, "nameless", "", user0);
    expect(rig, "nameless", user0, user0);
    expect(rig, "nameless", user1, "invalid-authzid"); /* XEP-0178 s2, step 11.3 */
    expect(rig, "device", "", "not-authorized");
    more[0] = map_of("nameless", user0, user1);
    rig_reload(rig, overrides("optional", more));
    expect(rig, "nameless", "", "invalid-authzid");
    expect(rig, "nameless", user1, user1);
    more[0] = map_of("valid", user1, NULL); /* its own word goes first */
    rig_reload(rig, overrides("optional", more));
    expect(rig, "valid", "", user0);
    expect(rig, "valid", user1, "invalid-authzid");
    more[0] = map_of("elsewhere", user1, NULL); /* what it says is of another domain */
    rig_reload(rig, overrides("optional", more));
    expect(rig, "elsewhere", "", user1);
    expect(rig, "elsewhere", user0, "invalid-authzid");
    remove(strchr(more[0], '=') + 1);
    finish(rig);
}

static void mail__where_it_is_taken__is_an_address(void **state)
{
    static const char *const more[] = {"tls.client_mail=true", NULL};
    (void)state;
    struct rig *rig = rig_new(1, 2, NULL, 2, overrides("optional", more));
    expect(rig, "mail", "", user0);
    expect(rig, "mail", user1, "invalid-authzid");
    expect(rig, "mail_elsewhere", "", "not-authorized");
    expect(rig, "mail_and_address", "", user0);
    expect(rig, "mail_and_address", user1, "invalid-authzid");
    finish(rig);
}

/* ---- policies ---------------------------------------------------------------------------------------------------- */

static void clients__that_are_not_asked__present_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 2, caller_tls_overrides());
    struct caller caller;
    meet(&caller, rig, "valid");
    assert_false(caller_has_heard(&caller, "EXTERNAL"));
    ask(&caller, "");
    assert_true(has_failed_with(&caller, "invalid-mechanism"));
    assert_int_equal(rig_counter(rig, COUNTER_TLS_CERTIFICATES), 0);
    leave(&caller);
    finish(rig);
}

/* Before TLS it is a mechanism that needs TLS, where there could be a certificate; else there is none (s6.5.4). */
static void auth__before_tls__needs_tls(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct rig *rig = rig_new(1, 1, NULL, 2, i ? overrides("optional", NULL) : caller_tls_overrides());
        struct caller caller;
        caller_open(&caller, rig, 0);
        caller_say_text(&caller, CALLER_HEADER);
        caller_run(&caller);
        ask(&caller, "");
        assert_true(has_failed_with(&caller, i ? "encryption-required" : "invalid-mechanism"));
        caller_say_text(&caller, "</stream:stream>");
        caller_run(&caller);
        caller_close(&caller);
        finish(rig);
    }
}

/* Holds 6120:13.7.2/3. */
static void certificate__required__ends_all_streams_without_a_valid_one(void **state)
{
    static const struct {
        const char *person;
        bool is_let_in;
    } people[] = {{NULL, false},          {"expired", false},  {"of_others", false}, {"self_signed", false},
                  {"for_servers", false}, {"elsewhere", true}, {"valid", true}};
    (void)state;
    struct rig *rig = rig_new(1, 2, NULL, 2, overrides("required", NULL));
    for (size_t i = 0; i < sizeof people / sizeof people[0]; i++) {
        struct caller caller;
        meet_on(&caller, rig, people[i].person, i % 2 ? 0x0303 : 0);
        assert_int_equal(caller_has_heard(&caller, "<stream:features>"), people[i].is_let_in);
        assert_int_equal(caller_has_heard(&caller, "<policy-violation"), !people[i].is_let_in);
        if (people[i].is_let_in) /* by a password beside a certificate that is nobody's */
            assert_true(log_in(&caller, 1));
        leave(&caller);
    }
    finish(rig);
}

static void mechanism_min__external__leaves_passwords_too_weak(void **state)
{
    static const char *const more[] = {"sasl.mechanism_min=EXTERNAL", "sasl.anonymous=false", NULL};
    static const char scram[] = "<auth xmlns='" SASL_NS "' mechanism='SCRAM-SHA-256-PLUS'/>";
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 2, overrides("optional", more));
    struct caller caller;
    meet(&caller, rig, "valid");
    assert_true(caller_has_heard(&caller, OFFER "EXTERNAL</mechanism></mechanisms>"));
    caller_forget(&caller);
    caller_say_text(&caller, scram);
    caller_run(&caller);
    assert_true(has_failed_with(&caller, "mechanism-too-weak"));
    ask(&caller, "");
    assert_true(goes_on_as(&caller, user0));
    leave(&caller);
    meet_on(&caller, rig, NULL, 0); /* no way is left: empty features would say that nothing is to be done any more */
    assert_true(caller_has_heard(&caller, "<policy-violation"));
    assert_false(caller_has_heard(&caller, "<stream:features>"));
    leave(&caller);
    finish(rig);
}

static void mechanism__not_configured__is_not_offered(void **state)
{
    static const char *const more[] = {"sasl.mechanisms=SCRAM-SHA-256", NULL};
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 2, overrides("optional", more));
    struct caller caller;
    meet(&caller, rig, "valid");
    assert_false(caller_has_heard(&caller, "EXTERNAL"));
    ask(&caller, "");
    assert_true(has_failed_with(&caller, "invalid-mechanism"));
    assert_true(log_in(&caller, 0));
    leave(&caller);
    finish(rig);
}

/* ---- what a reload takes away ------------------------------------------------------------------------------------ */

/* Sessions by certificate, by password, and one between login and binding. */
struct party {
    struct rig *rig;
    struct caller external, scram, between;
};

static void party_open(struct party *party, const char *policy, const char *const *more)
{
    party->rig = rig_new(1, 2, NULL, 2, overrides(policy, more));
    meet(&party->external, party->rig, "valid");
    ask(&party->external, "");
    assert_true(goes_on_as(&party->external, user0));
    meet(&party->scram, party->rig, "renewed");
    assert_true(log_in(&party->scram, 1));
    assert_true(caller_bind(&party->scram, "x"));
    meet(&party->between, party->rig, "valid");
    ask(&party->between, "");
    assert_true(caller_has_heard(&party->between, "<success"));
    caller_say_text(&party->between, CALLER_HEADER);
    caller_run(&party->between);
}

static void party_reload(struct party *party, const char *const *list)
{
    struct caller *const all[] = {&party->external, &party->scram, &party->between};
    for (unsigned i = 0; i < 3; i++)
        caller_forget(all[i]);
    rig_reload(party->rig, list);
    rig_run(party->rig, party->rig->policy->config->timeouts_reset_ms + 1000);
    for (unsigned i = 0; i < 3; i++)
        caller_run(all[i]);
}

static void party_close(struct party *party)
{
    leave(&party->external);
    leave(&party->scram);
    leave(&party->between);
    finish(party->rig);
}

static void reload__that_takes_away_what_was_proven_by__resets_that_alone(void **state)
{
    static char others[700];
    snprintf(others, sizeof others, "tls.client_ca_file=%s", person_path("others", ".pem"));
    static const char *const no_external[] = {"sasl.mechanisms=SCRAM-SHA-256", NULL};
    const char *const other_anchors[] = {others, NULL};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct party party;
        party_open(&party, "optional", NULL);
        party_reload(&party, i == 0   ? caller_tls_overrides()
                             : i == 1 ? overrides("optional", no_external)
                             : i == 2 ? overrides("optional", other_anchors)
                                      : overrides("optional", NULL));
        bool is_reset = i < 3;
        assert_int_equal(caller_has_heard(&party.external, "<reset"), is_reset);
        assert_int_equal(caller_has_heard(&party.between, "<reset"), is_reset);
        assert_false(caller_is_over(&party.scram));
        party_close(&party);
    }
}

/* The map is part of what was proven by; another line of it is not. */
static void reload__of_the_map__resets_who_is_not_in_it(void **state)
{
    const char *more[] = {map_of("nameless", user0, NULL), NULL};
    (void)state;
    struct rig *rig = rig_new(1, 2, NULL, 2, overrides("optional", more));
    for (unsigned i = 0; i < 2; i++) {
        struct caller caller;
        more[0] = map_of("nameless", user0, NULL);
        rig_reload(rig, overrides("optional", more));
        meet(&caller, rig, "nameless");
        ask(&caller, "");
        assert_true(goes_on_as(&caller, user0));
        caller_forget(&caller);
        more[0] = i ? map_of("nameless", user1, NULL) : map_of("nameless", user0, user1);
        rig_reload(rig, overrides("optional", more));
        rig_run(rig, 15000);
        caller_run(&caller);
        assert_int_equal(caller_has_heard(&caller, "<reset"), i);
        leave(&caller);
    }
    remove(strchr(more[0], '=') + 1);
    finish(rig);
}

/* From now on everybody needs one: who came by a password presented none that was kept. */
static void reload__to_required__resets_who_is_without(void **state)
{
    struct party party;
    (void)state;
    party_open(&party, "optional", NULL);
    party_reload(&party, overrides("required", NULL));
    assert_true(caller_has_heard(&party.scram, "<reset"));
    assert_false(caller_is_over(&party.external));
    party_close(&party);
    /* Where it was required from the beginning, it is known of all. */
    party_open(&party, "required", NULL);
    party_reload(&party, overrides("required", NULL));
    assert_false(caller_is_over(&party.external) || caller_is_over(&party.scram) || caller_is_over(&party.between));
    party_close(&party);
}

/* A certificate that ends between handshake and login is over (RFC 6120 s6.5.3). */
static void certificate__that_ends_before_the_login__has_expired(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 2, overrides("optional", NULL));
    struct caller caller;
    meet(&caller, rig, "valid");
    assert_true(caller_has_heard(&caller, "EXTERNAL"));
    world_jump_wall(rig->world, 40LL * 365 * 86400 * 1000);
    ask(&caller, "");
    assert_true(has_failed_with(&caller, "credentials-expired"));
    assert_true(log_in(&caller, 0));
    leave(&caller);
    finish(rig);
}

/* ---- what the operator sees ----------------------------------------------------------------------------------------
 */

static void survey(struct rig *rig, char *out, size_t room)
{
    size_t size = 0;
    for (unsigned shard = 0; shard < rig->shard_count; shard++) {
        struct control_ask_private private = {.count_max = 10};
        struct control_ask *ask = &private.ask;
        *ask = (struct control_ask){.kind = ASK_SESSIONS, .shard = shard, .private = &private};
        answer_init(&private.rows, CONTROL_ASK_ROOM, false);
        survey_answer(&rig->shards[shard], ask);
        assert_true(ask->is_done && size + private.rows.size < room);
        if (private.rows.size)
            memcpy(out + size, private.rows.bytes, private.rows.size);
        size += private.rows.size;
        answer_fini(&private.rows);
    }
    out[size] = '\0';
}

/* The beginning of the fingerprint, in lower case and without colons. */
static void fingerprint_of(const char *person, char out[17])
{
    const char *line = read_line_of(person_path(person, ".sha256"));
    size_t size = 0;
    for (; size < 16; line++)
        if (*line != ':')
            out[size++] = (char)(*line >= 'A' && *line <= 'F' ? *line - 'A' + 'a' : *line);
    out[16] = '\0';
}

static void sessions__shown__tell_certificate_and_mechanism(void **state)
{
    struct party party;
    char text[4096], expected[100], fingerprint[17];
    (void)state;
    party_open(&party, "optional", NULL);
    survey(party.rig, text, sizeof text);
    fingerprint_of("valid", fingerprint);
    snprintf(expected, sizeof expected, "mechanism=EXTERNAL certificate=%s", fingerprint);
    assert_non_null(strstr(text, expected));
    assert_null(strstr(strstr(text, "certificate=") + 1, "certificate=")); /* who used a password: it was forgotten */
    party_close(&party);
    party_open(&party, "required", NULL);
    survey(party.rig, text, sizeof text);
    fingerprint_of("renewed", fingerprint);
    snprintf(expected, sizeof expected, "mechanism=SCRAM-SHA-256 certificate=%s", fingerprint);
    assert_non_null(strstr(text, expected));
    party_close(&party);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates__each__are_worth_what_they_say),
        cmocka_unit_test(authzid__in_every_form__gets_its_answer),
        cmocka_unit_test(auth__without_a_response__is_challenged_once),
        cmocka_unit_test(failures__too_many__end_the_stream),
        cmocka_unit_test(prefix__that_failed_too_often__is_held),
        cmocka_unit_test(from__of_another__ends_the_stream),
        cmocka_unit_test(map__of_a_certificate_without_an_address__tells_whose_it_is),
        cmocka_unit_test(mail__where_it_is_taken__is_an_address),
        cmocka_unit_test(clients__that_are_not_asked__present_nothing),
        cmocka_unit_test(auth__before_tls__needs_tls),
        cmocka_unit_test(certificate__required__ends_all_streams_without_a_valid_one),
        cmocka_unit_test(mechanism_min__external__leaves_passwords_too_weak),
        cmocka_unit_test(mechanism__not_configured__is_not_offered),
        cmocka_unit_test(reload__that_takes_away_what_was_proven_by__resets_that_alone),
        cmocka_unit_test(reload__of_the_map__resets_who_is_not_in_it),
        cmocka_unit_test(reload__to_required__resets_who_is_without),
        cmocka_unit_test(certificate__that_ends_before_the_login__has_expired),
        cmocka_unit_test(sessions__shown__tell_certificate_and_mechanism),
    };
    if (!tls_start(&(struct err){""}))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
