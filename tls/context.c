/* SPDX-License-Identifier: MIT */
#include "core/base/check.h"
#include "core/base/err.h"
#include "tls/anchors_priv.h"
#include "tls/context_certificate_priv.h"
#include "tls/identity.h"
#include "tls/ticket_keys_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn_public.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

/* AEAD with ephemeral keys only (RFC 7590 s3.4, RFC 9325 s4.2); AES-128 first, it is the cheapest with AES-NI. */
#define CIPHERS                                                                                                        \
    "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:"                                  \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                                       \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                                       \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

/* X25519 first: key share and agreement take 44 us with the library's assembly, those of P-256 79 us (EPYC, 2.4 GHz). */
static const int curves[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};
#define CURVE_COUNT ((int)(sizeof(curves) / sizeof(curves[0])))

#define FILE_SIZE_MAX (1u << 20) /* of a PEM file: the largest bundles of trust anchors have 300 KB */

/* Seconds that a client may keep a ticket: not longer than the key that opens it (RFC 8446 s4.6.1). */
#define TICKET_HINT_S ((int)(TICKET_KEY_LIFE_S - TICKET_KEY_SEAL_S))

/* ---- files ----------------------------------------------------------------------------------------------------- */

struct file {
    unsigned char *bytes;
    long size;
};

static void file_free(struct file *file)
{
    if (file->bytes != NULL)
        explicit_bzero(file->bytes, (size_t)file->size);
    free(file->bytes);
    file->bytes = NULL;
}

static bool file_load(const char *name, struct file *out, struct err *err)
{
    FILE *stream = fopen(name, "re");
    out->bytes = NULL;
    if (stream == NULL) {
        err_set(err, "%s: %s", name, strerror(errno));
        return false;
    }
    out->bytes = malloc(FILE_SIZE_MAX);
    out->size = out->bytes == NULL ? 0 : (long)fread(out->bytes, 1, FILE_SIZE_MAX, stream);
    bool is_whole = out->bytes != NULL && !ferror(stream) && out->size > 0 && (size_t)out->size < FILE_SIZE_MAX;
    if (!is_whole)
        err_set(err, "%s: %s", name, ferror(stream) ? strerror(errno) : out->size == 0 ? "is empty" : "is too large");
    fclose(stream);
    if (!is_whole)
        file_free(out);
    return is_whole;
}

static const char *reason_of(int code)
{
    return wolfSSL_ERR_reason_error_string((unsigned long)code);
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

const struct party *context_find(const struct context *context, struct span a_label)
{
    for (unsigned i = 0; i < context->party_count; i++) {
        const struct party *party = &context->parties[i];
        if (party->a_label != NULL && strlen(party->a_label) == a_label.size &&
            strncasecmp(party->a_label, a_label.ptr, a_label.size) == 0)
            return party;
    }
    return NULL;
}

const struct party *context_party(const struct context *context, struct span name)
{
    char *a_label = name.size == 0 ? NULL : identity_a_label(name);
    const struct party *party = a_label == NULL ? NULL : context_find(context, span_str(a_label));
    free(a_label);
    return party == NULL ? &context->parties[0] : party;
}

/* ---- tickets --------------------------------------------------------------------------------------------------- */

/* The library's view of ticket_keys: 16 bytes of name, 16 of nonce (we use 12, and one for the generation), 32 of tag
 * (we use 16). */
static int crypt_ticket(WOLFSSL *library, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                        unsigned char iv[WOLFSSL_TICKET_IV_SZ], unsigned char mac[WOLFSSL_TICKET_MAC_SZ],
                        int is_sealing, unsigned char *bytes, int size, int *out_size, void *context)
{
    const struct party *party = context;
    const struct ticket_frame frame = {name, iv, mac, iv + TICKET_KEY_IV_SIZE, party->ticket_era};
    uint8_t *generation = engine_ticket_generation(wolfSSL_GetIOReadCtx(library));
    struct span domain = span_str(party->a_label != NULL ? party->a_label : party->name);
    enum ticket_status status;

    *out_size = size;
    if (is_sealing) {
        memset(iv, 0, WOLFSSL_TICKET_IV_SZ);
        memset(mac, 0, WOLFSSL_TICKET_MAC_SZ);
        *frame.generation = *generation;
        status = ticket_keys_seal(party->ticket_keys, domain, frame, bytes, (size_t)size);
    } else {
        status = ticket_keys_open(party->ticket_keys, domain, frame, bytes, (size_t)size);
    }
    switch (status) {
    case TICKET_OK:
        if (!is_sealing)
            *generation = (uint8_t)(*frame.generation + 1);
        return WOLFSSL_TICKET_RET_OK;
    case TICKET_REFUSED:
        return WOLFSSL_TICKET_RET_REJECT;
    case TICKET_ERROR:
        break;
    }
    return WOLFSSL_TICKET_RET_FATAL;
}

void context_bind_tickets(struct context *context, uint32_t era)
{
    for (unsigned i = 0; i < context->party_count; i++)
        context->parties[i].ticket_era = era;
}

static bool set_tickets(struct party *party, const struct context_config *config)
{
    WOLFSSL_CTX *library = party->library;
    party->ticket_keys = config->ticket_keys;
    if (config->ticket_keys == NULL) {
        bool has_1_2 = config->version_min == 0x0303;
        bool has_1_3 = config->version_max != 0x0303;
        return (!has_1_3 || wolfSSL_CTX_no_ticket_TLSv13(library) == 0) &&
               (!has_1_2 || wolfSSL_CTX_NoTicketTLSv12(library) == WOLFSSL_SUCCESS);
    }
    /* TLS 1.2 promises a ticket before the client's certificate is seen, and a promise must be kept (RFC 5077 s3.3). */
    bool has_promise = config->anchors != NULL && config->version_min == 0x0303;
    if (has_promise && wolfSSL_CTX_NoTicketTLSv12(library) != WOLFSSL_SUCCESS)
        return false;
    /* The first makes the library give a new ticket for one that it refused (RFC 5077 s3.3). */
    return wolfSSL_CTX_UseSessionTicket(library) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_TicketEncCb(library, crypt_ticket) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_TicketEncCtx(library, party) == WOLFSSL_SUCCESS &&
           wolfSSL_CTX_set_TicketHint(library, TICKET_HINT_S) == WOLFSSL_SUCCESS;
}

/* ---- certificates ------------------------------------------------------------------------------------------------ */

/* The leaf in DER, for the facts that we read ourselves. */
static bool leaf_of(const struct file *pem, unsigned char **der, struct span *out)
{
    *der = malloc((size_t)pem->size);
    int size = *der == NULL ? 0 : wc_CertPemToDer(pem->bytes, (int)pem->size, *der, (int)pem->size, CERT_TYPE);
    if (size <= 0)
        return false;
    *out = span_of(*der, (size_t)size);
    return true;
}

/* For one of the two services; which one the certificate will answer for is not known here. */
static bool is_for(struct span leaf, struct span domain)
{
    struct identity identity;
    bool is_good = identity_read(leaf, &identity) && (identity_matches(&identity, domain, "xmpp-client") ||
                                                      identity_matches(&identity, domain, "xmpp-server"));
    identity_free(&identity);
    return is_good;
}

static void judge_leaf(struct party *party, const char *file, struct span leaf, struct err *warning)
{
    struct certificate certificate;
    int64_t now = (int64_t)time(NULL);
    party->end_point_size = (uint8_t)certificate_hash(leaf, party->end_point);
    certificate_identity(leaf, party->identity);
    party->leaf = span_copy(leaf);
    if (warning == NULL || warning->text[0] != '\0')
        return;
    if (!certificate_read(leaf, &certificate))
        err_set(warning, "%s: the certificate breaks the syntax of RFC 5280: others may refuse it", file);
    else if (now > certificate.not_after)
        err_set(warning, "%s: the certificate expired %lld days ago", file,
                (long long)((now - certificate.not_after) / 86400));
    else if (now < certificate.not_before)
        err_set(warning, "%s: the certificate is not valid yet", file);
    else if (party->a_label != NULL && !is_for(leaf, span_str(party->a_label)))
        err_set(warning, "%s: the certificate is not for %s: no such name in subjectAltName", file, party->name);
}

/* ---- the peer's certificates ------------------------------------------------------------------------------------- */

/* Called for every leaf, good or not (WOLFSSL_ALWAYS_VERIFY_CB), with the index 0. */
static int verify(int is_good, WOLFSSL_X509_STORE_CTX *store)
{
    if (store->error_depth == 0 && store->totalCerts > 0)
        engine_see_certificate(store->userCtx, span_of(store->certs[0].buffer, store->certs[0].length));
    return is_good;
}

static int verify_nothing(int is_good, WOLFSSL_X509_STORE_CTX *store)
{
    (void)is_good;
    (void)verify(1, store);
    return 1;
}

/* Where we judge. Called for the leaf, and before it for what the library does not like, which is everything, since its
 * list of authorities is empty. It must stay empty: the library would enter into it every authority that we let pass
 * here, for good, and trusted, for all connections of the context. So above the leaf its own verification is switched
 * off, for that is what it is that would enter it, and with the leaf it is on again: from here on it makes sure that
 * the peer has sent the certificate, and has its key. */
static int judge(int is_good, WOLFSSL_X509_STORE_CTX *store)
{
    struct span sent[CREDENTIAL_SENT_MAX];
    bool is_leaf = store->error_depth == 0;
    (void)is_good;
    if (store->totalCerts == 0) /* a client that has none */
        return 1;
    if (store->totalCerts < 0 || store->totalCerts > (int)CREDENTIAL_SENT_MAX)
        return 0;
    for (int i = 0; i < store->totalCerts; i++)
        sent[i] = span_of(store->certs[i].buffer, store->certs[i].length);
    WOLFSSL *library = engine_judge(store->userCtx, sent, (unsigned)store->totalCerts, is_leaf);
    if (library == NULL)
        return 0;
    /* What a ticket resumed would be a stream without this certificate. Between servers there is none anyway, and in
     * TLS 1.2 this does nothing. */
    (void)wolfSSL_no_ticket_TLSv13(library);
    wolfSSL_set_verify(library, is_leaf ? WOLFSSL_VERIFY_PEER : WOLFSSL_VERIFY_NONE, judge);
    return 1;
}

/* A client that is not given anchors: one authority file for the library, or no care at all. */
static bool set_trust(struct party *party, const struct context_config *config, struct err *err)
{
    struct file pem;
    if (config->insecure) {
        wolfSSL_CTX_set_verify(party->library, WOLFSSL_VERIFY_PEER, verify_nothing);
        return true;
    }
    if (config->ca_file == NULL) {
        err_set(err, "a client needs a file of trust anchors");
        return false;
    }
    if (!file_load(config->ca_file, &pem, err))
        return false;
    int code = wolfSSL_CTX_load_verify_buffer(party->library, pem.bytes, pem.size, WOLFSSL_FILETYPE_PEM);
    file_free(&pem);
    wolfSSL_CTX_set_verify(party->library, WOLFSSL_VERIFY_PEER, verify);
    if (code == WOLFSSL_SUCCESS)
        return true;
    err_set(err, "%s: no certificates in PEM: %s", config->ca_file, reason_of(code));
    return false;
}

/* ---- the library's context -----------------------------------------------------------------------------------------
 */

static WOLFSSL_METHOD *method_of(const struct context *context)
{
    bool is_server = context->role == CONTEXT_SERVER;
    if (context->version_max == 0x0303)
        return is_server ? wolfTLSv1_2_server_method() : wolfTLSv1_2_client_method();
    if (context->version_min == 0x0304)
        return is_server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method();
    return is_server ? wolfSSLv23_server_method() : wolfSSLv23_client_method();
}

static bool set_policy(const struct context *context, WOLFSSL_CTX *library)
{
    int list[CURVE_COUNT];
    memcpy(list, curves, sizeof(list)); /* the library's parameter is not const */
    bool is_good = wolfSSL_CTX_set_cipher_list(library, CIPHERS) == WOLFSSL_SUCCESS &&
                   wolfSSL_CTX_set_group_messages(library) == WOLFSSL_SUCCESS;
    if (is_good && context->version_min == 0x0303)
        is_good = wolfSSL_CTX_SetMinVersion(library, WOLFSSL_TLSV1_2) == WOLFSSL_SUCCESS;
    for (int i = 0; is_good && i < CURVE_COUNT; i++)
        is_good = wolfSSL_CTX_UseSupportedCurve(library, (word16)curves[i]) == WOLFSSL_SUCCESS;
    /* The list above is for offers and for TLS 1.2; key shares of TLS 1.3 have one of their own. */
    if (is_good && context->version_max != 0x0303)
        is_good = wolfSSL_CTX_set_groups(library, list, CURVE_COUNT) == WOLFSSL_SUCCESS;
    wolfSSL_CTX_SetIORecv(library, engine_receive);
    wolfSSL_CTX_SetIOSend(library, engine_send);
    /* The peer is asked; one that presents nothing, or nothing good, is for the caller to send away. */
    if (context->anchors != NULL)
        wolfSSL_CTX_set_verify(library, WOLFSSL_VERIFY_PEER, judge);
    /* Without this a client's wish is not written into its hello; a server's part of it is not used: see staple.c. */
    if (context->anchors != NULL && context->role == CONTEXT_CLIENT)
        is_good = is_good && wolfSSL_CTX_EnableOCSPStapling(library) == WOLFSSL_SUCCESS;
    return is_good;
}

static WOLFSSL_CTX *open_library(const struct context *context)
{
    WOLFSSL_CTX *library = wolfSSL_CTX_new(method_of(context));
    if (library == NULL || set_policy(context, library))
        return library;
    wolfSSL_CTX_free(library);
    return NULL;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static bool load_certificate(struct party *party, const char *file, struct err *err, struct err *warning)
{
    struct file pem;
    struct span leaf;
    unsigned char *der = NULL;
    if (!file_load(file, &pem, err))
        return false;
    int code = wolfSSL_CTX_use_certificate_chain_buffer(party->library, pem.bytes, pem.size);
    bool is_good = code == WOLFSSL_SUCCESS && leaf_of(&pem, &der, &leaf);
    if (is_good)
        judge_leaf(party, file, leaf, warning);
    else
        err_set(err, "%s: not a certificate in PEM: %s", file, reason_of(code));
    is_good = is_good && context_certificate_load(party, span_of(pem.bytes, (size_t)pem.size));
    free(der);
    file_free(&pem);
    return is_good;
}

static bool load_key(struct party *party, const struct context_domain *domain, struct err *err)
{
    struct file pem;
    if (!file_load(domain->key_file, &pem, err))
        return false;
    int code = wolfSSL_CTX_use_PrivateKey_buffer(party->library, pem.bytes, pem.size, WOLFSSL_FILETYPE_PEM);
    file_free(&pem);
    if (code != WOLFSSL_SUCCESS) {
        err_set(err, "%s: not a private key in PEM, or an encrypted one, which is not supported: %s", domain->key_file,
                reason_of(code));
        return false;
    }
    if (wolfSSL_CTX_check_private_key(party->library) != WOLFSSL_SUCCESS) {
        err_set(err, "%s: the key does not match the certificate in %s", domain->key_file, domain->certificate_file);
        return false;
    }
    return true;
}

static bool load_domain(struct party *party, const struct context_domain *domain, struct err *err, struct err *warning)
{
    party->name = strdup(domain->name);
    party->a_label = identity_a_label(span_str(domain->name));
    party->staple = staple_shelf_new();
    if (party->name == NULL || party->staple == NULL)
        return false;
    if (load_certificate(party, domain->certificate_file, err, warning) && load_key(party, domain, err))
        return true;
    err_prefix(err, "%s", domain->name);
    return false;
}

static bool open_party(struct context *context, struct party *party, const struct context_config *config,
                       const struct context_domain *domain, struct err *err, struct err *warning)
{
    party->library = open_library(context);
    if (party->library == NULL) {
        err_set(err, "wolfSSL refuses the policy; was it built by tools/setup?");
        return false;
    }
    if (domain != NULL && !load_domain(party, domain, err, warning))
        return false;
    if (context->role == CONTEXT_SERVER && !set_tickets(party, config)) {
        err_set(err, "wolfSSL refuses session tickets; was it built by tools/setup?");
        return false;
    }
    return context->role == CONTEXT_SERVER || context->anchors != NULL || set_trust(party, config, err);
}

/* wolfSSL takes the protocols as one comma-separated list. */
static char *join_protocols(const char *const *alpn)
{
    size_t size = 1;
    for (unsigned i = 0; alpn[i] != NULL; i++)
        size += strlen(alpn[i]) + 1;
    char *list = calloc(1, size);
    for (unsigned i = 0; list != NULL && alpn[i] != NULL; i++) {
        if (i > 0)
            strcat(list, ",");
        strcat(list, alpn[i]);
    }
    return list;
}

static bool open_parties(struct context *context, const struct context_config *config, struct err *err,
                         struct err *warning)
{
    if (config->alpn != NULL && config->alpn[0] != NULL) {
        context->alpn = join_protocols(config->alpn);
        if (context->alpn == NULL)
            return false;
    }
    for (unsigned i = 0; i < context->party_count; i++) {
        const struct context_domain *domain = i < config->domain_count ? &config->domains[i] : NULL;
        if (!open_party(context, &context->parties[i], config, domain, err, warning))
            return false;
    }
    return true;
}

static int64_t clock_of_system(void)
{
    return (int64_t)time(NULL);
}

struct context *context_new(const struct context_config *config, struct err *err, struct err *warning)
{
    bool is_nameless = config->role == CONTEXT_CLIENT && config->domain_count == 0;
    unsigned count = is_nameless ? 1 : config->domain_count;
    SL_CHECK(count >= 1);
    /* A resumed handshake shows no certificate: what expired or was revoked meanwhile would pass, and the library's
     * ticket keeps nothing of the peer's chain to look at again. */
    SL_CHECK(config->anchors == NULL || config->ticket_keys == NULL || config->for_users);
    SL_CHECK(!config->for_users || (config->anchors != NULL && config->role == CONTEXT_SERVER));
    SL_CHECK(config->version_min == 0x0303 || config->version_min == 0x0304);
    if (warning != NULL)
        warning->text[0] = '\0';
    struct context *context = calloc(1, sizeof(*context) + count * sizeof(context->parties[0]));
    err_set(err, "out of memory");
    if (context == NULL)
        return NULL;
    atomic_init(&context->references, 1);
    context->role = config->role;
    context->judged = config->role == CONTEXT_CLIENT ? CREDENTIAL_SERVER
                      : config->for_users            ? CREDENTIAL_USER
                                                     : CREDENTIAL_CLIENT;
    context->party_count = count;
    context->version_min = config->version_min;
    context->version_max = config->version_max == 0 ? 0x0304 : config->version_max;
    context->anchors = config->anchors == NULL ? NULL : anchors_ref(config->anchors);
    context->clock = config->clock == NULL ? clock_of_system : config->clock;
    if (open_parties(context, config, err, warning))
        return context;
    context_unref(context);
    return NULL;
}

struct context *context_ref(struct context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

bool context_set_staple(struct context *context, unsigned index, struct span response)
{
    bool is_served = context->role == CONTEXT_SERVER && index < context->party_count;
    if (!is_served || response.size > CONTEXT_STAPLE_MAX)
        return false;
    struct staple *staple = response.size == 0 ? NULL : staple_new(response);
    if (response.size > 0 && staple == NULL)
        return false;
    staple_shelf_put(context->parties[index].staple, staple);
    return true;
}

struct span context_staple(const struct context *context, unsigned index)
{
    bool is_served = context->role == CONTEXT_SERVER && index < context->party_count;
    struct staple *staple = is_served ? staple_shelf_get(context->parties[index].staple) : NULL;
    struct span copy = staple == NULL ? SPAN_NONE : span_copy(staple_bytes(staple));
    staple_unref(staple);
    return copy;
}

bool context_is_renewal(const struct context *before, const struct context *after, struct span domain)
{
    char *a_label = identity_a_label(domain);
    if (a_label == NULL)
        return true; /* an address: no certificate is chosen for it */
    const struct party *old = before ? context_find(before, span_str(a_label)) : NULL;
    const struct party *new = after ? context_find(after, span_str(a_label)) : NULL;
    free(a_label);
    if (old == NULL || new == NULL)
        return old == new;
    return memcmp(old->identity, new->identity, sizeof(old->identity)) == 0;
}

void context_unref(struct context *context)
{
    if (context == NULL)
        return;
    /* Release: what this holder did happens before the free; acquire: the last one sees it all. */
    if (atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < context->party_count; i++) {
        struct party *party = &context->parties[i];
        wolfSSL_CTX_free(party->library);
        free(party->name);
        free(party->a_label);
        context_certificate_drop(party);
        staple_shelf_free(party->staple);
    }
    anchors_unref(context->anchors);
    free(context->alpn);
    free(context);
}
