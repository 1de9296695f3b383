/* SPDX-License-Identifier: MIT */
#include "tls/context_certificate_priv.h"

#include "tls/anchors_priv.h"
#include "tls/signature_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn_public.h>

#include <stdlib.h>

/* False: no memory. */
static bool add(struct party *party, struct span block)
{
    unsigned char *der = malloc(block.size);
    if (der == NULL)
        return false;
    int size = wc_CertPemToDer((const unsigned char *)block.ptr, (int)block.size, der, (int)block.size, CERT_TYPE);
    struct certificate certificate;
    bool is_read = size > 0 && certificate_read(span_of(der, (size_t)size), &certificate);
    struct span copy = is_read ? span_copy(certificate.der) : SPAN_NONE;
    free(der);
    if (copy.ptr)
        party->above[party->above_count++] = copy;
    return copy.ptr != NULL || !is_read;
}

bool context_certificate_load(struct party *party, struct span pem)
{
    struct span block = certificate_next_pem(&pem); /* the leaf */
    party->above = calloc(CONTEXT_ABOVE_MAX, sizeof(party->above[0]));
    bool is_good = party->above != NULL;
    while (is_good && party->above_count < CONTEXT_ABOVE_MAX && (block = certificate_next_pem(&pem)).ptr != NULL)
        is_good = add(party, block);
    return is_good;
}

void context_certificate_drop(struct party *party)
{
    for (unsigned i = 0; i < party->above_count; i++)
        span_free(&party->above[i]);
    free(party->above);
    span_free(&party->leaf);
}

/* ---- what others ask for ----------------------------------------------------------------------------------------- */

static const struct party *named_party(const struct context *context, unsigned index)
{
    bool is_named = index < context->party_count && context->parties[index].name != NULL;
    return is_named ? &context->parties[index] : NULL;
}

static void describe(struct context_certificate *out)
{
    struct certificate certificate;
    if (!out->der.ptr || !certificate_read(out->der, &certificate))
        return;
    out->serial = certificate.serial;
    out->subject = certificate_name_text(certificate.subject);
    out->issuer = certificate_name_text(certificate.issuer);
    out->not_after = certificate.not_after;
    out->must_staple = certificate.must_staple;
}

bool context_certificate(const struct context *context, unsigned index, struct context_certificate *out)
{
    const struct party *party = named_party(context, index);
    if (party == NULL)
        return false;
    *out = (struct context_certificate){.domain = party->name, .der = party->leaf};
    describe(out);
    return true;
}

bool context_certificate_above(const struct context *context, unsigned index, unsigned position,
                               struct context_certificate *out)
{
    const struct party *party = named_party(context, index);
    if (party == NULL || position >= party->above_count)
        return false;
    *out = (struct context_certificate){.domain = party->name, .der = party->above[position]};
    describe(out);
    return true;
}

static bool has_issued(const struct certificate *issuer, const struct certificate *leaf)
{
    const struct signature signature = signature_of(leaf);
    return span_equal(issuer->subject, leaf->issuer) && signature_verify(&signature, issuer->key) == SIGNATURE_GOOD;
}

static struct span find_issuer(const struct anchors *anchors, const struct certificate *leaf)
{
    for (unsigned i = 0; anchors != NULL && i < anchors->count; i++)
        if (has_issued(&anchors->certificates[i], leaf))
            return anchors->certificates[i].der;
    return SPAN_NONE;
}

struct span context_certificate_issuer(const struct context *context, unsigned index, const struct anchors *others)
{
    const struct party *party = named_party(context, index);
    struct certificate leaf, above;
    if (party == NULL || !party->leaf.ptr || !certificate_read(party->leaf, &leaf))
        return SPAN_NONE;
    for (unsigned i = 0; i < party->above_count; i++)
        if (certificate_read(party->above[i], &above) && has_issued(&above, &leaf))
            return above.der;
    struct span issuer = find_issuer(context->anchors, &leaf);
    return issuer.ptr ? issuer : find_issuer(others, &leaf);
}
