/* SPDX-License-Identifier: MIT */
#include "tls/dane_priv.h"

#include "core/base/check.h"
#include "tls/der_priv.h"
#include "tls/digest.h"
#include "tls/path_priv.h"
#include "tls/signature_priv.h"

#include <stdlib.h>

static const char *const texts[] = {
    [DANE_UNUSABLE] = "no usable record",
    [DANE_MATCHED] = "matched",
    [DANE_MISMATCH] = "no record is of these certificates",
    [DANE_INVALID] = "the record's certificate has no valid path",
    [DANE_WRONG_NAME] = "the record's certificate is that of another domain",
};

const char *dane_text(enum dane_verdict verdict)
{
    return texts[verdict];
}

/* ---- records ------------------------------------------------------------------------------------------------------
 */

struct dane {
    unsigned count;
    struct span domain;
    struct span host;
    struct dane_record records[]; /* then the bytes of all spans */
};

static struct span keep(char **room, struct span bytes)
{
    char *copy = *room;
    if (bytes.size > 0)
        memcpy(copy, bytes.ptr, bytes.size);
    *room += bytes.size;
    return span_of(copy, bytes.size);
}

struct dane *dane_new(const struct dane_record *records, unsigned count, struct span domain, struct span host)
{
    size_t size = sizeof(struct dane) + count * sizeof(records[0]) + domain.size + host.size;
    SL_CHECK(count <= DANE_RECORDS_MAX);
    for (unsigned i = 0; i < count; i++)
        size += records[i].data.size;
    struct dane *dane = malloc(size);
    if (dane == NULL)
        return NULL;
    char *room = (char *)(dane->records + count);
    dane->count = count;
    dane->domain = keep(&room, domain);
    dane->host = keep(&room, host);
    for (unsigned i = 0; i < count; i++) {
        dane->records[i] = records[i];
        dane->records[i].data = keep(&room, records[i].data);
    }
    return dane;
}

struct dane *dane_copy(const struct dane *dane)
{
    return dane == NULL ? NULL : dane_new(dane->records, dane->count, dane->domain, dane->host);
}

void dane_free(struct dane *dane)
{
    free(dane);
}

unsigned dane_count(const struct dane *dane)
{
    return dane == NULL ? 0 : dane->count;
}

const struct dane_record *dane_record(const struct dane *dane, unsigned index)
{
    SL_CHECK(index < dane->count);
    return &dane->records[index];
}

/* SubjectPublicKeyInfo (RFC 5280 s4.1), of whatever algorithm. */
static bool is_key(struct span der)
{
    struct span content, algorithm, bits;
    return der_take_tag(&der, DER_SEQUENCE, &content) && der.size == 0 &&
           der_take_tag(&content, DER_SEQUENCE, &algorithm) && der_peek(algorithm) == DER_OID &&
           der_take_tag(&content, DER_BIT_STRING, &bits) && content.size == 0;
}

/* RFC 6698 s4.1: what is not understood, or malformed, is not used. */
bool dane_record_is_usable(const struct dane_record *record)
{
    struct certificate certificate;
    if (record->usage > DANE_EE || record->selector > DANE_KEY)
        return false;
    switch (record->matching) {
    case DANE_SHA256:
        return record->data.size == digest_size(DIGEST_SHA256);
    case DANE_SHA512:
        return record->data.size == digest_size(DIGEST_SHA512);
    case DANE_FULL:
        return record->selector == DANE_CERTIFICATE ? certificate_read(record->data, &certificate)
                                                    : is_key(record->data);
    default:
        return false;
    }
}

bool dane_is_usable(const struct dane *dane)
{
    for (unsigned i = 0; i < dane_count(dane); i++) {
        if (dane_record_is_usable(&dane->records[i]))
            return true;
    }
    return false;
}

/* ---- the judgement ------------------------------------------------------------------------------------------------
 */

/* Every certificate that was sent but the leaf, and for each record its own certificate or key. */
#define AUTHORITIES_MAX (CREDENTIAL_SENT_MAX + DANE_RECORDS_MAX)

struct judging {
    const struct dane *dane;
    const struct anchors *anchors;
    const struct credential *credential;
    int64_t now;
    bool is_used[DANE_RECORDS_MAX];
    bool is_named;
    unsigned count;
    struct certificate certificates[CREDENTIAL_SENT_MAX]; /* leaf first; those that can be read */
    struct dane_finding finding;
};

static bool is_of(const struct dane_record *record, const struct certificate *certificate)
{
    uint8_t hash[DIGEST_SIZE_MAX];
    enum digest digest = record->matching == DANE_SHA512 ? DIGEST_SHA512 : DIGEST_SHA256;
    struct span part = record->selector == DANE_CERTIFICATE ? certificate->der : certificate->key;
    if (record->matching == DANE_FULL)
        return span_equal(record->data, part);
    digest_hash(digest, part, hash);
    return span_equal(record->data, span_of((const char *)hash, digest_size(digest)));
}

static void note(struct judging *judging, enum dane_verdict verdict, unsigned record, enum credential_verdict path)
{
    bool is_settled = judging->finding.verdict == DANE_MATCHED;
    if (!is_settled && (verdict == DANE_MATCHED || verdict > judging->finding.verdict))
        judging->finding = (struct dane_finding){verdict, record, path};
}

/* A record is of these certificates, and asks for a path, with that verdict, and for the name. */
static void note_path(struct judging *judging, unsigned record, enum credential_verdict path)
{
    if (path != CREDENTIAL_VALID)
        note(judging, DANE_INVALID, record, path);
    else
        note(judging, judging->is_named ? DANE_MATCHED : DANE_WRONG_NAME, record, path);
}

/* RFC 7671 s9: of one usage and selector the strongest hash counts; a record without a hash always does. */
static bool is_outdone(const struct judging *judging, const struct dane_record *record)
{
    if (record->matching != DANE_SHA256)
        return false;
    for (unsigned i = 0; i < judging->dane->count; i++) {
        const struct dane_record *other = &judging->dane->records[i];
        if (judging->is_used[i] && other->usage == record->usage && other->selector == record->selector &&
            other->matching == DANE_SHA512)
            return true;
    }
    return false;
}

/* False: none can be used. */
static bool choose_records(struct judging *judging)
{
    const struct dane *dane = judging->dane;
    bool has_any = false;
    for (unsigned i = 0; i < dane->count; i++)
        has_any |= judging->is_used[i] = dane_record_is_usable(&dane->records[i]);
    for (unsigned i = 0; i < dane->count; i++)
        judging->is_used[i] = judging->is_used[i] && !is_outdone(judging, &dane->records[i]);
    return has_any;
}

static bool is_named(const struct dane *dane, struct span leaf)
{
    struct identity identity;
    bool is_read = identity_read(leaf, &identity);
    bool is_good = is_read && (identity_matches(&identity, dane->domain, "xmpp-server") ||
                               (dane->host.size > 0 && identity_matches_host(&identity, dane->host)));
    identity_free(&identity);
    return is_good;
}

/* The first record of a usage that is of the certificate; DANE_RECORDS_MAX: none. */
static unsigned record_of(const struct judging *judging, enum dane_usage usage, const struct certificate *certificate)
{
    const struct dane *dane = judging->dane;
    for (unsigned i = 0; i < dane->count; i++) {
        if (judging->is_used[i] && dane->records[i].usage == usage && is_of(&dane->records[i], certificate))
            return i;
    }
    return DANE_RECORDS_MAX;
}

static bool has_usage(const struct judging *judging, enum dane_usage usage)
{
    for (unsigned i = 0; i < judging->dane->count; i++) {
        if (judging->is_used[i] && judging->dane->records[i].usage == usage)
            return true;
    }
    return false;
}

static void judge_leaf(struct judging *judging)
{
    const struct certificate *leaf = &judging->certificates[0];
    unsigned ours = record_of(judging, DANE_EE, leaf);
    unsigned pkix = record_of(judging, DANE_PKIX_EE, leaf);
    if (ours < DANE_RECORDS_MAX && signature_is_key_accepted(leaf->key))
        note(judging, DANE_MATCHED, ours, CREDENTIAL_NONE);
    else if (ours < DANE_RECORDS_MAX)
        note(judging, DANE_INVALID, ours, CREDENTIAL_ALGORITHM);
    if (pkix < DANE_RECORDS_MAX)
        note_path(judging, pkix, judging->credential->verdict);
}

/* ---- PKIX-TA ---- */

static unsigned record_on(const struct judging *judging, const struct path *path)
{
    unsigned record = DANE_RECORDS_MAX;
    for (unsigned i = 1; i < path->count && record == DANE_RECORDS_MAX; i++)
        record = record_of(judging, DANE_PKIX_TA, path->certificates[i]);
    return record;
}

static bool is_wanted(const void *context, const struct path *path)
{
    return record_on(context, path) < DANE_RECORDS_MAX;
}

/* A path may hold, and another one that holds too may be the record's. */
static void judge_trusted_authority(struct judging *judging)
{
    struct path path;
    unsigned record = DANE_RECORDS_MAX;
    if (!has_usage(judging, DANE_PKIX_TA))
        return;
    if (judging->credential->verdict == CREDENTIAL_VALID) {
        enum credential_verdict verdict = path_find_wanted(judging->anchors, judging->certificates, judging->count,
                                                           CREDENTIAL_SERVER, judging->now, is_wanted, judging, &path);
        if (verdict == CREDENTIAL_VALID)
            note_path(judging, record_on(judging, &path), verdict);
        return;
    }
    for (unsigned i = 1; i < judging->count && record == DANE_RECORDS_MAX; i++)
        record = record_of(judging, DANE_PKIX_TA, &judging->certificates[i]);
    if (record < DANE_RECORDS_MAX)
        note_path(judging, record, judging->credential->verdict);
}

/* ---- DANE-TA ---- */

struct authorities {
    unsigned count;
    struct certificate certificates[AUTHORITIES_MAX];
    unsigned records[AUTHORITIES_MAX]; /* which one names it */
};

static void add_authority(struct authorities *out, const struct certificate *certificate, unsigned record)
{
    out->certificates[out->count] = *certificate;
    out->records[out->count++] = record;
}

/* RFC 5280 s6.1.1 (d): a name and a key make an anchor. The name is what the topmost certificate says of its issuer
 * (RFC 7671 s5.2.3); the key has to have signed it. */
static struct certificate bare_key(struct span key, const struct certificate *topmost)
{
    return (struct certificate){
        .issuer = topmost->issuer,
        .subject = topmost->issuer,
        .key = key,
        .not_before = INT64_MIN,
        .not_after = INT64_MAX,
        .path_length_max = PATH_LENGTH_NONE,
        .version = 1,
    };
}

/* Returns how many of them were sent: they come first. */
static unsigned collect_authorities(const struct judging *judging, struct authorities *out)
{
    const struct dane *dane = judging->dane;
    struct certificate certificate;
    out->count = 0;
    for (unsigned i = 1; i < judging->count; i++) {
        unsigned record = record_of(judging, DANE_TA, &judging->certificates[i]);
        /* A leaf that is sent twice is no authority over itself. */
        if (record < DANE_RECORDS_MAX && !span_equal(judging->certificates[i].der, judging->certificates[0].der))
            add_authority(out, &judging->certificates[i], record);
    }
    unsigned sent = out->count;
    for (unsigned i = 0; i < dane->count; i++) {
        const struct dane_record *record = &dane->records[i];
        if (!judging->is_used[i] || record->usage != DANE_TA || record->matching != DANE_FULL)
            continue;
        if (record->selector == DANE_KEY)
            certificate = bare_key(record->data, &judging->certificates[judging->count - 1]);
        else if (!certificate_read(record->data, &certificate) ||
                 span_equal(record->data, judging->certificates[0].der))
            continue;
        add_authority(out, &certificate, i);
    }
    return sent;
}

static void judge_own_authority(struct judging *judging)
{
    struct authorities authorities;
    struct path path;
    if (!has_usage(judging, DANE_TA))
        return;
    unsigned sent = collect_authorities(judging, &authorities);
    if (authorities.count == 0)
        return;
    struct anchors anchors = {.count = authorities.count, .certificates = authorities.certificates};
    enum credential_verdict verdict =
        path_find(&anchors, judging->certificates, judging->count, CREDENTIAL_SERVER, judging->now, &path);
    bool is_apart = verdict == CREDENTIAL_SELF_SIGNED || verdict == CREDENTIAL_UNKNOWN_ISSUER ||
                    verdict == CREDENTIAL_BAD_SIGNATURE;
    if (is_apart && sent == 0)
        return; /* what stands in a record has to do with none of these certificates */
    unsigned index = 0;
    if (verdict == CREDENTIAL_VALID)
        index = (unsigned)(path.certificates[path.count - 1] - authorities.certificates);
    note_path(judging, authorities.records[index], verdict);
}

struct dane_finding dane_judge(const struct dane *dane, const struct anchors *anchors,
                               const struct credential *credential, const struct span *sent, unsigned count,
                               int64_t now)
{
    struct judging judging = {.dane = dane, .anchors = anchors, .credential = credential, .now = now};
    SL_CHECK(count > 0 && count <= CREDENTIAL_SENT_MAX);
    if (!choose_records(&judging))
        return judging.finding;
    judging.finding.verdict = DANE_MISMATCH;
    for (unsigned i = 0; i < count; i++) {
        if (certificate_read(sent[i], &judging.certificates[judging.count]))
            judging.count++;
        else if (i == 0)
            return judging.finding;
    }
    judging.is_named = is_named(dane, sent[0]);
    judge_leaf(&judging);
    if (judging.finding.verdict != DANE_MATCHED)
        judge_own_authority(&judging);
    if (judging.finding.verdict != DANE_MATCHED)
        judge_trusted_authority(&judging);
    return judging.finding;
}
