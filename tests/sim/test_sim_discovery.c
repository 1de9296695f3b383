/* SPDX-License-Identifier: MIT */
/* What the router says of itself, and of an account to its owner (XEP-0030 s3.1): what it is, and what it answers. */
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define INFO "<query xmlns='http://jabber.org/protocol/disco#info'/>"

static void log_in_anonymously(struct caller *caller)
{
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    caller_say_text(caller, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>");
    caller_run(caller);
    assert_true(caller_has_heard(caller, "<success"));
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
}

/* The bare JID in the answer to binding. */
static void bare_of(const struct caller *caller, char out[128])
{
    const char *jid = strstr(caller->heard, "<jid>");
    assert_non_null(jid);
    snprintf(out, 128, "%.*s", (int)strcspn(jid + 5, "/"), jid + 5);
}

static void ask(struct caller *caller, const char *type, const char *to, const char *payload)
{
    char text[512], attribute[160] = "";
    if (to)
        snprintf(attribute, sizeof attribute, " to='%s'", to);
    snprintf(text, sizeof text, "<iq type='%s' id='1'%s>%s</iq>", type, attribute, payload);
    caller_forget(caller);
    caller_say_text(caller, text);
    caller_run(caller);
}

static void finish(struct rig *rig)
{
    rig_run(rig, 200000);
    rig_free(rig);
}

/* XEP-0175 s5: anonymous, for as long as it lasts; XEP-0030 s3.1: otherwise registered. Asked with 'to' and without. */
static void account__by_how_it_came__is_registered_or_anonymous(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 3; shards += 2) {
        struct rig *rig = rig_new(1, shards, NULL, 3, NULL);
        for (unsigned i = 0; i < 6; i++) {
            bool is_anonymous = i % 2;
            struct caller caller;
            char bare[128];
            caller_open(&caller, rig, i % shards);
            if (is_anonymous)
                log_in_anonymously(&caller);
            else
                assert_true(caller_login(&caller, i / 2));
            assert_true(caller_bind(&caller, "a"));
            bare_of(&caller, bare);
            for (unsigned named = 0; named < 2; named++) {
                ask(&caller, "get", named ? bare : NULL, INFO);
                assert_true(caller_has_heard(&caller, is_anonymous
                                                          ? "<identity category='account' type='anonymous'/>"
                                                          : "<identity category='account' type='registered'/>"));
            }
            ask(&caller, "get", "example.com", INFO);
            assert_true(caller_has_heard(&caller, "<identity category='server' type='im' name='Sluice'/>"));
            caller_close(&caller);
        }
        finish(rig);
    }
}

struct probe {
    const char *payload, *feature;
};

/* What is announced is answered, and what is answered is announced (XEP-0030 s3.1, XEP-0199 s5): of each address what
 * it does itself. */
static void features__of_each_address__are_those_it_answers(void **state)
{
    (void)state;
    static const struct probe probes[] = {
        {INFO, "http://jabber.org/protocol/disco#info"},
        {"<query xmlns='http://jabber.org/protocol/disco#items'/>", "http://jabber.org/protocol/disco#items"},
        {"<ping xmlns='urn:xmpp:ping'/>", "urn:xmpp:ping"},
        {"<query xmlns='jabber:iq:version'/>", "jabber:iq:version"},
        {"<time xmlns='urn:xmpp:time'/>", "urn:xmpp:time"},
        {"<query xmlns='jabber:iq:roster'/>", "jabber:iq:roster"},
    };
    static const char *const addresses[] = {NULL, "user0@example.com", "example.com"};
    static const unsigned counts[] = {3, 3, 5};
    struct rig *rig = rig_new(1, 1, NULL, 1, NULL);
    struct caller caller;
    char feature[128];
    caller_open(&caller, rig, 0);
    assert_true(caller_login(&caller, 0) && caller_bind(&caller, "a"));
    for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        unsigned announced = 0, answered = 0;
        for (unsigned k = 0; k < sizeof probes / sizeof probes[0]; k++) {
            ask(&caller, "get", addresses[i], probes[k].payload);
            bool is_answered = caller_has_heard(&caller, "type='result'");
            ask(&caller, "get", addresses[i], INFO);
            snprintf(feature, sizeof feature, "<feature var='%s'/>", probes[k].feature);
            assert_int_equal(caller_has_heard(&caller, feature), is_answered);
            answered += is_answered;
        }
        for (const char *at = caller.heard; (at = strstr(at, "<feature ")); at++)
            announced++;
        assert_int_equal(answered, counts[i]);
        assert_int_equal(announced, counts[i]);
    }
    caller_close(&caller);
    finish(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(account__by_how_it_came__is_registered_or_anonymous),
        cmocka_unit_test(features__of_each_address__are_those_it_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
