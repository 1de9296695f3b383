/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * JID: an address by RFC 7622, prepared once and compared by memcmp ever after.
 *
 * jid_prepare() splits (s3.1), enforces UsernameCaseMapped on the localpart (RFC 8265 s3.3) with the further exclusions
 * of RFC 7622 s3.3.1, IDNA2008 on the domainpart (s3.2; IPv4 and bracketed IPv6 literals; a trailing dot is removed)
 * and OpaqueString on the resourcepart (s3.4), and writes "local@domain/resource" in one piece. ASCII takes a fast path
 * with identical results.
 *
 * Bounds:  1 to 1023 octets a part, JID_SIZE_MAX in all, measured after preparation (s3.2, s3.3, s3.4).
 * Memory:  text and out do not overlap. After a refusal out and size hold nothing of use.
 * Stack:   up to 100 KiB while a text outside ASCII is prepared.
 * Thread:  any; no state.
 */
#include "core/base/span.h"

#include <stdint.h>

#define JID_PART_MAX 1023u
#define JID_SIZE_MAX (3u * JID_PART_MAX + 2u)

/* Prepared bytes, borrowed. Parts that are absent have size 0. */
struct jid {
    const char *bytes;
    uint16_t local_size;
    uint16_t domain_size;
    uint16_t resource_size;
};

/* Room for a prepared JID. */
struct jid_buffer {
    char bytes[JID_SIZE_MAX];
};

enum jid_status {
    JID_OK,
    JID_EMPTY,
    JID_BAD_UTF8,
    JID_LOCAL_EMPTY,
    JID_LOCAL_LONG,
    JID_LOCAL_FORBIDDEN,
    JID_DOMAIN_EMPTY,
    JID_DOMAIN_LONG,
    JID_DOMAIN_FORBIDDEN,
    JID_RESOURCE_EMPTY,
    JID_RESOURCE_LONG,
    JID_RESOURCE_FORBIDDEN,
    JID_STATUS_COUNT
};

/* A sentence for a person: which part, what is wrong. */
const char *jid_status_text(enum jid_status status);

enum jid_status jid_prepare(struct span text, struct jid_buffer *buffer, struct jid *out)
    __attribute__((warn_unused_result));
/* Single parts, into out of at least JID_PART_MAX bytes. */
enum jid_status jid_prepare_local(struct span text, char *out, size_t *size) __attribute__((warn_unused_result));
enum jid_status jid_prepare_domain(struct span text, char *out, size_t *size) __attribute__((warn_unused_result));
enum jid_status jid_prepare_resource(struct span text, char *out, size_t *size) __attribute__((warn_unused_result));
/* OpaqueString for passwords (RFC 8265 s4.2); size up to 3 x text.size is never exceeded; out_size is the room.
 * Refusals are those of a resourcepart. ASCII may be as long as the room; other text has at most 3,581 octets. */
enum jid_status jid_prepare_password(struct span text, char *out, size_t out_size, size_t *size)
    __attribute__((warn_unused_result));

#define JID_ASCII_DOMAIN_MAX 253u

/* A prepared domainpart with A-labels for its U-labels, as the DNS wants it (RFC 7622 s3.2, RFC 5890 s2.3.2.1), and a
 * NUL behind it. False when it is longer than that, or is not prepared. */
bool jid_domain_to_ascii(struct span domain, char out[JID_ASCII_DOMAIN_MAX + 1]) __attribute__((warn_unused_result));

#define JID_NO_CODE_POINT UINT32_MAX

/* What exactly speaks against an address: for tools and logs, never on a hot path. */
struct jid_reason {
    uint32_t code_point; /* or JID_NO_CODE_POINT when no single one is to blame */
    /* Static text: continues "U+2163 ..." when there is a code point, else a clause. NULL: the status says it all. */
    const char *rule;
};

/* jid_prepare(), with the reason when it refuses; the same answer always. */
enum jid_status jid_explain(struct span text, struct jid_buffer *buffer, struct jid *out, struct jid_reason *reason)
    __attribute__((warn_unused_result));

static inline struct span jid_local(const struct jid *jid)
{
    return span_of(jid->bytes, jid->local_size);
}

static inline struct span jid_domain(const struct jid *jid)
{
    return span_of(jid->bytes + (jid->local_size ? jid->local_size + 1u : 0u), jid->domain_size);
}

static inline struct span jid_bare(const struct jid *jid)
{
    return span_of(jid->bytes, (jid->local_size ? jid->local_size + 1u : 0u) + jid->domain_size);
}

static inline struct span jid_full(const struct jid *jid)
{
    return span_of(jid->bytes, jid_bare(jid).size + (jid->resource_size ? jid->resource_size + 1u : 0u));
}

static inline struct span jid_resource(const struct jid *jid)
{
    return span_of(jid->bytes + jid_bare(jid).size + 1, jid->resource_size);
}

/* Takes already prepared bytes apart without checking them. */
struct jid jid_of_prepared(struct span bytes);
