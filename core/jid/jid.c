/* SPDX-License-Identifier: MIT */
#include "core/jid/jid.h"

#include "core/base/check.h"
#include "core/jid/ascii_priv.h"
#include "core/jid/idna_priv.h"
#include "core/jid/part_priv.h"

const char *jid_status_text(enum jid_status status)
{
    static const char *const texts[JID_STATUS_COUNT] = {
        [JID_OK] = "The address is valid.",
        [JID_EMPTY] = "The address is empty: a domainpart is required (RFC 7622 s3.2).",
        [JID_BAD_UTF8] = "The address is not valid UTF-8 (RFC 7622 s3.1).",
        [JID_LOCAL_EMPTY] = "The localpart before '@' is empty; leave out the '@' or name someone (RFC 7622 s3.3).",
        [JID_LOCAL_LONG] = "The localpart is longer than 1023 octets after preparation (RFC 7622 s3.3).",
        [JID_LOCAL_FORBIDDEN] = "The localpart holds a character or a sequence that UsernameCaseMapped or RFC 7622 "
                                "s3.3.1 forbids.",
        [JID_DOMAIN_EMPTY] = "The domainpart is empty; it is the one part that is required (RFC 7622 s3.2).",
        [JID_DOMAIN_LONG] = "The domainpart, or one label of it, is longer than DNS or RFC 7622 s3.2 allows.",
        [JID_DOMAIN_FORBIDDEN] = "The domainpart is neither a domain name by IDNA2008 nor an IP address (RFC 7622 "
                                 "s3.2).",
        [JID_RESOURCE_EMPTY] = "The resourcepart after '/' is empty; leave out the '/' or name a resource (RFC 7622 "
                               "s3.4).",
        [JID_RESOURCE_LONG] = "The resourcepart is longer than 1023 octets after preparation (RFC 7622 s3.4).",
        [JID_RESOURCE_FORBIDDEN] = "The resourcepart holds a character that OpaqueString forbids (RFC 7622 s3.4).",
    };
    SL_CHECK((unsigned)status < JID_STATUS_COUNT);
    return texts[status];
}

/* The statuses of a part, by what became of it. */
enum part { PART_LOCAL, PART_DOMAIN, PART_RESOURCE, PART_COUNT };

static enum jid_status status_of(enum part part, enum part_result result)
{
    static const enum jid_status statuses[PART_COUNT][PART_RESULT_COUNT] = {
        [PART_LOCAL] = {JID_OK, JID_BAD_UTF8, JID_LOCAL_EMPTY, JID_LOCAL_LONG, JID_LOCAL_FORBIDDEN},
        [PART_DOMAIN] = {JID_OK, JID_BAD_UTF8, JID_DOMAIN_EMPTY, JID_DOMAIN_LONG, JID_DOMAIN_FORBIDDEN},
        [PART_RESOURCE] = {JID_OK, JID_BAD_UTF8, JID_RESOURCE_EMPTY, JID_RESOURCE_LONG, JID_RESOURCE_FORBIDDEN},
    };
    return statuses[part][result];
}

enum jid_status jid_prepare_local(struct span text, char *out, size_t *size)
{
    struct jid_reason reason;
    *size = text.size;
    if (ascii_prepare_local(text, out))
        return JID_OK;
    return status_of(PART_LOCAL, part_prepare_local(text, out, size, &reason));
}

bool jid_domain_to_ascii(struct span domain, char out[JID_ASCII_DOMAIN_MAX + 1])
{
    return idna_to_ascii(domain, out);
}

enum jid_status jid_prepare_domain(struct span text, char *out, size_t *size)
{
    struct jid_reason reason;
    *size = text.size;
    if (ascii_prepare_domain(text, out))
        return JID_OK;
    return status_of(PART_DOMAIN, part_prepare_domain(text, out, size, &reason));
}

enum jid_status jid_prepare_resource(struct span text, char *out, size_t *size)
{
    struct jid_reason reason;
    *size = text.size;
    if (ascii_prepare_opaque(text, JID_PART_MAX, out))
        return JID_OK;
    return status_of(PART_RESOURCE, part_prepare_opaque(text, out, JID_PART_MAX, size, &reason));
}

enum jid_status jid_prepare_password(struct span text, char *out, size_t out_size, size_t *size)
{
    struct jid_reason reason;
    *size = text.size;
    if (ascii_prepare_opaque(text, out_size, out))
        return JID_OK;
    return status_of(PART_RESOURCE, part_prepare_opaque(text, out, out_size, size, &reason));
}

/* An address cut at its separators; nothing is judged yet. */
struct cut {
    struct span local, domain, resource;
    bool has_local, has_resource;
};

/* The first '/' ends the domainpart, then the first '@' before it begins it (RFC 7622 s3.2); a part is absent when its
 * separator is. Example 15 of s3.5, <a.example.com/b@example.net>, is why the order matters. */
static struct cut cut_at_separators(struct span text)
{
    struct cut cut = {.domain = text};
    const char *slash = text.size ? memchr(text.ptr, '/', text.size) : NULL;
    if (slash) {
        cut.domain.size = (size_t)(slash - text.ptr);
        cut.resource = span_skip(text, cut.domain.size + 1);
        cut.has_resource = true;
    }
    const char *at = cut.domain.size ? memchr(text.ptr, '@', cut.domain.size) : NULL;
    if (at) {
        cut.local = span_of(text.ptr, (size_t)(at - text.ptr));
        cut.domain = span_skip(cut.domain, cut.local.size + 1);
        cut.has_local = true;
    }
    return cut;
}

enum jid_status jid_prepare(struct span text, struct jid_buffer *buffer, struct jid *out)
{
    if (text.size == 0)
        return JID_EMPTY;
    struct cut cut = cut_at_separators(text);
    struct jid jid = {.bytes = buffer->bytes};
    char *write = buffer->bytes;
    size_t size = 0;
    enum jid_status status = JID_OK;
    if (cut.has_local) {
        status = jid_prepare_local(cut.local, write, &size);
        if (status != JID_OK)
            return status;
        jid.local_size = (uint16_t)size;
        write += size;
        *write++ = '@';
    }
    status = jid_prepare_domain(cut.domain, write, &size);
    if (status != JID_OK)
        return status;
    jid.domain_size = (uint16_t)size;
    write += size;
    if (cut.has_resource) {
        *write++ = '/';
        status = jid_prepare_resource(cut.resource, write, &size);
        if (status != JID_OK)
            return status;
        jid.resource_size = (uint16_t)size;
    }
    *out = jid;
    return JID_OK;
}

enum jid_status jid_explain(struct span text, struct jid_buffer *buffer, struct jid *out, struct jid_reason *reason)
{
    *reason = (struct jid_reason){.code_point = JID_NO_CODE_POINT};
    enum jid_status status = jid_prepare(text, buffer, out);
    if (status == JID_OK || status == JID_EMPTY)
        return status;
    /* Refusals come from the slow path alone, so asking it again part by part finds the same one. */
    struct cut cut = cut_at_separators(text);
    char scratch[JID_PART_MAX];
    size_t size = 0;
    enum part_result result = PART_OK;
    struct span blamed = cut.local;
    if (cut.has_local)
        result = part_prepare_local(cut.local, scratch, &size, reason);
    if (result == PART_OK) {
        blamed = cut.domain;
        result = part_prepare_domain(cut.domain, scratch, &size, reason);
    }
    if (result == PART_OK) {
        blamed = cut.resource;
        result = part_prepare_opaque(cut.resource, scratch, JID_PART_MAX, &size, reason);
    }
    SL_CHECK(result != PART_OK);
    part_blame_original(blamed, reason);
    return status;
}

struct jid jid_of_prepared(struct span bytes)
{
    struct jid jid = {.bytes = bytes.ptr};
    SL_CHECK(bytes.size <= JID_SIZE_MAX);
    const char *slash = bytes.size ? memchr(bytes.ptr, '/', bytes.size) : NULL;
    size_t head_size = slash ? (size_t)(slash - bytes.ptr) : bytes.size;
    const char *at = head_size ? memchr(bytes.ptr, '@', head_size) : NULL;
    jid.local_size = (uint16_t)(at ? (size_t)(at - bytes.ptr) : 0);
    jid.domain_size = (uint16_t)(at ? head_size - jid.local_size - 1u : head_size);
    jid.resource_size = (uint16_t)(slash ? bytes.size - head_size - 1u : 0);
    return jid;
}
