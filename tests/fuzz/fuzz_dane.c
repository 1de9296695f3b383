/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: TLSA records and chains of certificates. Its world are chains of tests/chains/generate.py. Whoever edits
 * a certificate has no authority's key, and whoever edits a record not what it is of: so a match has to be one by
 * hashes counted here once more, and a path has to begin with what an authority signed, unaltered.
 *
 *   octet 0   what is done: MODE_*
 *         1   whose chain is sent
 *         2   which of its certificates is edited
 *         3   how many records there are, of six octets each: usage, selector, matching type, whose chain, which
 *             certificate, what is done to the data
 *   and then  a program of der_edit.h
 *
 * Built by clang with -fsanitize=fuzzer it searches; with replay.c it runs its corpus as a normal test. SL_TEST_CHAINS
 * is the folder of the chains.
 */
#include "core/base/base64.h"
#include "tests/fuzz/der_edit.h"
#include "tls/certificate_priv.h"
#include "tls/credential_priv.h"
#include "tls/dane_priv.h"
#include "tls/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHAINS_MAX  32u
#define RECORDS_MAX 6u /* with the true one */
#define RECORD_SIZE 6u
#define OWN         0xffu /* of a record: of the chain that is sent, as it is sent */

enum {
    MODE_CERTIFICATE = 1, /* one is edited */
    MODE_STRANGER = 2,    /* the domain is one that no certificate names */
    MODE_TRUE = 4,        /* the first record is one of the leaf, as it is sent */
};

enum tweak { TWEAK_NONE, TWEAK_CUT, TWEAK_FLIP, TWEAK_SELECTOR, TWEAK_EMPTY, TWEAK_EDIT, TWEAK_COUNT };

struct world_chain {
    const char *name;
    unsigned count;
    struct span certificates[CREDENTIAL_SENT_MAX];
};

static struct world_chain chains[] = {
    {.name = "good"},
    {.name = "unknown_root_sent"},
    {.name = "unknown_chain_sent"},
    {.name = "self_signed"},
    {.name = "two_roots"},
    {.name = "host_dns"},
    {.name = "srv_server"},
    {.name = "leaf_expired"},
    {.name = "intermediate_expired"},
    {.name = "chain_of_10"},
    {.name = "impostor_intermediate"},
    {.name = "beside_the_point"},
    {.name = "purpose_code"},
    {.name = "weak_rsa_1024"},
    {.name = "leaf_changed"},
    {.name = "xmpp_addr"},
    {.name = "cn_and_other_dns"},
};
#define CHAIN_COUNT (sizeof chains / sizeof chains[0])

static struct anchors *anchors;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "fuzz_dane: %s\n", what);
    abort();
}

/* ---- the world --------------------------------------------------------------------------------------------------- */

static void load_chain(struct world_chain *chain, const char *folder)
{
    char path[1024], line[128], text[16384], der[sizeof text];
    size_t used = 0, size;
    snprintf(path, sizeof path, "%s/%s.pem", folder, chain->name);
    FILE *file = fopen(path, "r");
    check(file != NULL, path);
    while (fgets(line, sizeof line, file)) {
        size_t length = strcspn(line, "\r\n");
        if (strncmp(line, "-----END CERT", 13) == 0) {
            check(base64_decode(span_of(text, used), der, &size) && chain->count < CREDENTIAL_SENT_MAX, path);
            chain->certificates[chain->count++] = span_copy(span_of(der, size));
            used = 0;
        } else if (line[0] != '-') {
            check(used + length <= sizeof text, path);
            memcpy(text + used, line, length);
            used += length;
        }
    }
    fclose(file);
    check(chain->count > 0, path);
}

static void load_world(void)
{
    char path[1024];
    struct err err;
    const char *folder = getenv("SL_TEST_CHAINS");
    check(folder != NULL, "SL_TEST_CHAINS is not set");
    for (size_t i = 0; i < CHAIN_COUNT; i++)
        load_chain(&chains[i], folder);
    snprintf(path, sizeof path, "%s/roots.pem", folder);
    anchors = anchors_new(path, &err);
    check(anchors != NULL, path);
}

static struct span signed_part(struct span certificate)
{
    return der_edit_find(certificate, "00");
}

/* Somebody signed it: what stands in it does so in one of the world's. */
static bool is_signed(struct span certificate)
{
    struct span part = signed_part(certificate);
    for (size_t i = 0; part.ptr && i < CHAIN_COUNT; i++)
        for (unsigned k = 0; k < chains[i].count; k++)
            if (span_equal(part, signed_part(chains[i].certificates[k])))
                return true;
    return false;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* What a record of that certificate holds, in out. Empty: it has no key, or the type is none. */
static struct span data_of(struct span certificate, uint8_t selector, uint8_t matching, uint8_t out[DIGEST_SIZE_MAX])
{
    /* tbsCertificate, whose version is there, and in it subjectPublicKeyInfo */
    struct span part = selector == DANE_KEY ? der_edit_find(certificate, "006") : certificate;
    if (!part.ptr || selector > DANE_KEY || matching > DANE_SHA512)
        return SPAN("");
    if (matching == DANE_FULL)
        return part;
    digest_hash(matching == DANE_SHA256 ? DIGEST_SHA256 : DIGEST_SHA512, part, out);
    return span_of(out, matching == DANE_SHA256 ? 32 : 64);
}

static bool is_of(const struct dane_record *record, struct span certificate)
{
    uint8_t room[DIGEST_SIZE_MAX];
    struct span data = data_of(certificate, record->selector, record->matching, room);
    return data.size && span_equal(data, record->data);
}

static bool has_known_type(const struct dane_record *record)
{
    return record->usage <= DANE_EE && record->selector <= DANE_KEY && record->matching <= DANE_SHA512;
}

/* A hash of its right size can always be used; what a whole certificate or key is, is not told here. */
static bool is_surely_usable(const struct dane_record *record)
{
    return has_known_type(record) && ((record->matching == DANE_SHA256 && record->data.size == 32) ||
                                      (record->matching == DANE_SHA512 && record->data.size == 64));
}

static bool is_perhaps_usable(const struct dane_record *record)
{
    return is_surely_usable(record) || (has_known_type(record) && record->matching == DANE_FULL);
}

static struct dane_record make_record(const uint8_t *octets, const struct span *sent, unsigned count,
                                      struct span program)
{
    const struct world_chain *chain = &chains[octets[3] % CHAIN_COUNT];
    struct span whose = octets[3] == OWN ? sent[octets[4] % count] : chain->certificates[octets[4] % chain->count];
    struct dane_record record = {octets[0], octets[1], octets[2], SPAN("")};
    uint8_t room[DIGEST_SIZE_MAX];
    enum tweak tweak = (enum tweak)(octets[5] % TWEAK_COUNT);
    struct span data = data_of(whose, tweak == TWEAK_SELECTOR ? octets[1] ^ 1 : octets[1], octets[2], room);
    if (tweak == TWEAK_EMPTY || (tweak == TWEAK_CUT && data.size == 0))
        data = SPAN("");
    else if (tweak == TWEAK_CUT)
        data.size--;
    record.data = der_edit(data, whose, tweak == TWEAK_EDIT ? program : SPAN(""));
    if (tweak == TWEAK_FLIP && record.data.size)
        ((char *)(uintptr_t)record.data.ptr)[octets[4] % record.data.size] ^= 1;
    return record;
}

/* ---- what may be found ------------------------------------------------------------------------------------------- */

struct scene {
    struct span sent[CREDENTIAL_SENT_MAX];
    unsigned count;
    struct dane_record records[RECORDS_MAX];
    unsigned record_count;
    const struct credential *credential;
    bool is_stranger;
};

static bool is_of_any(const struct dane_record *record, const struct span *certificates, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (is_of(record, certificates[i]))
            return true;
    return false;
}

static void check_match(const struct scene *scene, const struct dane_record *record)
{
    if (record->usage == DANE_EE || record->usage == DANE_PKIX_EE)
        check(is_of(record, scene->sent[0]), "matched by a record of another certificate");
    if (record->usage == DANE_EE)
        return;
    check(!scene->is_stranger, "matched for a domain that no certificate names");
    check(is_signed(scene->sent[0]), "matched by a path to a leaf that nobody signed");
    if (record->usage == DANE_TA && record->matching != DANE_FULL)
        check(is_of_any(record, scene->sent + 1, scene->count - 1), "matched by an authority that was not sent");
    if (record->usage != DANE_TA)
        check(scene->credential->verdict == CREDENTIAL_VALID, "matched without a path to a trusted authority");
    if (record->usage != DANE_PKIX_TA || record->matching == DANE_FULL)
        return;
    bool is_there = is_of_any(record, scene->sent + 1, scene->count - 1);
    for (unsigned i = 1; i < scene->credential->count; i++)
        is_there |= is_of(record, scene->credential->path[i].der);
    check(is_there, "matched by an authority that is not on the path");
}

static void check_finding(const struct scene *scene, const struct dane_finding *finding)
{
    const struct dane_record *record = &scene->records[finding->record];
    check(finding->verdict <= DANE_WRONG_NAME, "a verdict that is none");
    if (finding->verdict == DANE_UNUSABLE) {
        for (unsigned i = 0; i < scene->record_count; i++)
            check(!is_surely_usable(&scene->records[i]), "unusable, and yet one can be used");
        return;
    }
    if (finding->verdict == DANE_MISMATCH)
        return;
    check(finding->record < scene->record_count, "a record that there is not");
    check(is_perhaps_usable(record), "a record that cannot be used");
    if (finding->verdict == DANE_MATCHED)
        check_match(scene, record);
}

/* A record of the leaf as it is sent, and none with a stronger hash beside it: whatever else there is. */
static void check_true(const struct scene *scene, const struct dane_finding *finding, bool is_edited, const char *name)
{
    for (unsigned i = 1; i < scene->record_count; i++)
        if (scene->records[i].usage == DANE_EE && scene->records[i].selector == DANE_CERTIFICATE &&
            scene->records[i].matching == DANE_SHA512)
            return;
    struct certificate leaf;
    if (!certificate_read(scene->sent[0], &leaf)) {
        check(finding->verdict != DANE_MATCHED, "matched, and is no certificate");
        return;
    }
    check(finding->verdict != DANE_UNUSABLE && finding->verdict != DANE_MISMATCH, "its own record is not of it");
    if (!is_edited && strcmp(name, "weak_rsa_1024") != 0)
        check(finding->verdict == DANE_MATCHED, "not matched by its own record");
}

static void judge(struct scene *scene, bool is_true, bool is_edited, const char *name)
{
    struct span domain = scene->is_stranger ? SPAN("stranger.example") : SPAN("peer.example");
    struct span host = scene->is_stranger ? SPAN("") : SPAN("host.example");
    int64_t now = time(NULL);
    struct credential *credential = credential_judge(anchors, scene->sent, scene->count, CREDENTIAL_SERVER, now);
    struct dane *dane = dane_new(scene->records, scene->record_count, domain, host);
    check(credential && dane, "no memory");
    scene->credential = credential;
    check(credential->verdict != CREDENTIAL_VALID || is_signed(scene->sent[0]), "valid, and nobody signed it");
    const struct dane_finding finding = dane_judge(dane, anchors, credential, scene->sent, scene->count, now);
    check_finding(scene, &finding);
    if (is_true)
        check_true(scene, &finding, is_edited, name);
    dane_free(dane);
    credential_free(credential);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t true_record[RECORD_SIZE] = {DANE_EE, DANE_CERTIFICATE, DANE_SHA256, OWN, 0, TWEAK_NONE};
    struct scene scene = {0};
    if (!anchors)
        load_world();
    unsigned count = size < 4 ? 0 : data[3] % RECORDS_MAX;
    if (size < 4 || size < 4 + count * RECORD_SIZE)
        return 0;
    const struct world_chain *chain = &chains[data[1] % CHAIN_COUNT];
    struct span program = span_of(data + 4 + count * RECORD_SIZE, size - 4 - count * RECORD_SIZE);
    bool is_edited = data[0] & MODE_CERTIFICATE, is_true = data[0] & MODE_TRUE;
    scene.is_stranger = data[0] & MODE_STRANGER;
    for (scene.count = 0; scene.count < chain->count; scene.count++) {
        bool is_it = is_edited && data[2] % chain->count == scene.count;
        scene.sent[scene.count] = der_edit(chain->certificates[scene.count],
                                           chains[data[2] % CHAIN_COUNT].certificates[0], is_it ? program : SPAN(""));
    }
    if (is_true)
        scene.records[scene.record_count++] = make_record(true_record, scene.sent, scene.count, program);
    for (unsigned i = 0; i < count; i++)
        scene.records[scene.record_count++] = make_record(data + 4 + i * RECORD_SIZE, scene.sent, scene.count, program);
    judge(&scene, is_true, is_edited, chain->name);
    for (unsigned i = 0; i < scene.record_count; i++)
        free((void *)(uintptr_t)scene.records[i].data.ptr);
    for (unsigned i = 0; i < scene.count; i++)
        free((void *)(uintptr_t)scene.sent[i].ptr);
    return 0;
}
