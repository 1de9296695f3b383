/* SPDX-License-Identifier: MIT */
/* What one peer can take: time, memory, places; and how a shard ends. Virtual clock, so every deadline is exact. */
#include "core/base/base64.h"
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "router/route/session.h"
#include "router/stream/stream.h"
#include "tls/engine.h"

#define SASL_NS  "urn:ietf:params:xml:ns:xmpp-sasl"
#define STARTTLS "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

/* Ends what a test began, and looks at the books. */
static void finish(struct rig *rig)
{
    rig_run(rig, 200000);
    rig_free(rig);
}

/* --- logins ------------------------------------------------------------------------------------------------------- */

/* Account names are longer than any key of the store. */
static void login__with_a_name_no_store_can_hold__fails_like_any_other(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 1, NULL);
    struct caller caller;
    char name[1001], text[3000], encoded[2000];
    for (size_t size = 400; size <= 1000; size += 100) {
        memset(name, 'a', size);
        name[size] = '\0';
        struct scram_client scram;
        (void)scram;
        int length = snprintf(text, sizeof text, "n,,n=%s,r=0123456789", name);
        size_t count = base64_encode(span_of(text, (size_t)length), encoded);
        caller_open(&caller, rig, 0);
        caller_say_text(&caller, CALLER_HEADER);
        snprintf(text, sizeof text, "<auth xmlns='" SASL_NS "' mechanism='SCRAM-SHA-256'>%.*s</auth>", (int)count,
                 encoded);
        caller_say_text(&caller, text);
        caller_run(&caller);
        assert_true(caller_has_heard(&caller, "<challenge"));
        caller_close(&caller);
    }
    finish(rig);
}

int main(void)
{
    struct err err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login__with_a_name_no_store_can_hold__fails_like_any_other),
    };
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
