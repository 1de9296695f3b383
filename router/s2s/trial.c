/* SPDX-License-Identifier: MIT */
#include "router/s2s/trial.h"

#include "router/s2s/resolver.h"
#include "router/s2s/s2s.h"
#include "router/s2s/target.h"
#include "tls/engine.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_MAX 600u

void trial_say(struct trial *trial, const char *what, bool is_good, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    if (!trial)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    trial->step(trial, what, is_good, text);
}

/* What DNSSEC vouches for of one that an SRV record names. */
static void say_records(struct trial *trial, const struct resolver_candidate *candidate)
{
    char text[TARGET_RECORD_TEXT];
    if (!candidate->is_secure)
        trial_say(trial, "tlsa", true, "not asked for: %s not secure",
                  candidate->is_srv_secure ? "the addresses are" : "the SRV record is");
    else if (candidate->tlsa_count == 0)
        trial_say(trial, "tlsa", true, "none, or not secure");
    for (unsigned i = 0; i < candidate->tlsa_count; i++) {
        const struct resolver_tlsa *tlsa = &candidate->tlsa[i];
        const struct dane_record record = {tlsa->usage, tlsa->selector, tlsa->matching, tlsa->data};
        bool is_usable = dane_record_is_usable(&record);
        trial_say(trial, "tlsa", is_usable, "_%u._tcp.%s %s, secure%s", candidate->port, candidate->host,
                  target_record_text(&record, text), is_usable ? "" : ", not usable");
    }
}

void trial_resolved(struct trial *trial, const struct resolver_answer *answer)
{
    static const char *const sources[] = {"s2s.routes", "an address", "SRV", "the domain itself"};
    if (!trial)
        return;
    if (answer->status != RESOLVER_FOUND) {
        trial_say(trial, "resolve", false, "%s", resolver_status_text(answer->status));
        return;
    }
    trial_say(trial, "resolve", true, "%u by %s%s", answer->count, sources[answer->source],
              answer->is_cached ? ", cached" : "");
    for (unsigned i = 0; i < answer->count; i++) {
        const struct resolver_candidate *candidate = &answer->candidates[i];
        trial_say(trial, "candidate", true, "%s port %u, %s, %u address%s%s", candidate->host, candidate->port,
                  candidate->is_direct_tls ? "direct TLS" : "STARTTLS", candidate->address_count,
                  candidate->address_count == 1 ? "" : "es", candidate->is_secure ? ", DNSSEC" : "");
        if (answer->source == RESOLVER_BY_SRV)
            say_records(trial, candidate);
    }
}

void trial_address(struct trial *trial, const char *what, bool is_good, const union address *address, const char *text)
{
    char room[ADDRESS_TEXT_MAX];
    if (!trial)
        return;
    address_print(address, room);
    trial_say(trial, what, is_good, "%s%s%s", room, text[0] ? ": " : "", text);
}

static void say_finding(struct trial *trial, const struct engine *tls)
{
    char text[TARGET_RECORD_TEXT];
    const struct dane_finding *finding = engine_finding(tls);
    if (!finding)
        return;
    bool has_record = finding->verdict != DANE_UNUSABLE && finding->verdict != DANE_MISMATCH;
    trial_say(trial, "dane", finding->verdict <= DANE_MATCHED, "%s%s%s%s%s", dane_text(finding->verdict),
              has_record ? ": " : "",
              has_record ? target_record_text(dane_record(engine_expected(tls), finding->record), text) : "",
              finding->verdict == DANE_INVALID ? ", " : "",
              finding->verdict == DANE_INVALID ? credential_text(finding->path) : "");
}

void trial_secured(struct trial *trial, const struct s2s *s2s)
{
    const struct engine *tls = s2s->stream.tls;
    if (!trial || !tls)
        return;
    trial_say(trial, "tls", true, "%s %s%s", engine_version(tls), engine_cipher(tls),
              engine_is_resumed(tls) ? ", resumed" : "");
    const struct credential *credential = engine_credential(tls);
    enum credential_verdict verdict = credential ? credential->verdict : CREDENTIAL_NONE;
    bool is_certain = (s2s->evidence & EVIDENCE_PKIX) != 0;
    trial_say(trial, "certificate", is_certain, "%s%s", credential_text(verdict),
              verdict == CREDENTIAL_VALID && !is_certain ? ", but of another domain" : "");
    say_finding(trial, tls);
}

void trial_offered(struct trial *trial, const struct s2s *s2s)
{
    static const struct {
        enum s2s_offer offer;
        const char *name;
    } names[] = {
        {OFFERS_TLS, " starttls"},
        {OFFERS_EXTERNAL, " EXTERNAL"},
        {OFFERS_DIALBACK, " dialback"},
        {OFFERS_BIDI, " bidi"},
    };
    char text[64] = "";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (s2s->offers & names[i].offer)
            strcat(text, names[i].name);
    trial_say(trial, "features", true, "%s", text[0] ? text + 1 : "none that is known");
}
