/* SPDX-License-Identifier: MIT */
#include "core/jid/jid.h"

#include "core/base/check.h"
#include "core/jid/ascii_priv.h"

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

enum jid_status jid_prepare_local(struct span text, char *out, size_t *size)
{
    if (ascii_prepare_local(text, out)) {
        *size = text.size;
        return JID_OK;
    }
    if (text.size == 0)
        return JID_LOCAL_EMPTY;
    return text.size > JID_PART_MAX ? JID_LOCAL_LONG : JID_LOCAL_FORBIDDEN;
}

enum jid_status jid_prepare_domain(struct span text, char *out, size_t *size)
{
    if (ascii_prepare_domain(text, out)) {
        *size = text.size;
        return JID_OK;
    }
    if (text.size == 0)
        return JID_DOMAIN_EMPTY;
    return text.size > JID_PART_MAX ? JID_DOMAIN_LONG : JID_DOMAIN_FORBIDDEN;
}

enum jid_status jid_prepare_resource(struct span text, char *out, size_t *size)
{
    if (ascii_prepare_opaque(text, JID_PART_MAX, out)) {
        *size = text.size;
        return JID_OK;
    }
    if (text.size == 0)
        return JID_RESOURCE_EMPTY;
    return text.size > JID_PART_MAX ? JID_RESOURCE_LONG : JID_RESOURCE_FORBIDDEN;
}

enum jid_status jid_prepare_password(struct span text, char *out, size_t out_size, size_t *size)
{
    if (ascii_prepare_opaque(text, out_size, out)) {
        *size = text.size;
        return JID_OK;
    }
    if (text.size == 0)
        return JID_RESOURCE_EMPTY;
    return text.size > out_size ? JID_RESOURCE_LONG : JID_RESOURCE_FORBIDDEN;
}

/* The first '/' ends the domainpart, then the first '@' before it begins it (RFC 7622 s3.2); a part is absent when its
 * separator is. Example 15 of s3.5, <a.example.com/b@example.net>, is why the order matters. */
enum jid_status jid_prepare(struct span text, struct jid_buffer *buffer, struct jid *out)
{
    if (text.size == 0)
        return JID_EMPTY;
    const char *end = text.ptr + text.size;
    const char *slash = memchr(text.ptr, '/', text.size);
    const char *domain_end = slash ? slash : end;
    size_t head_size = (size_t)(domain_end - text.ptr);
    const char *at = head_size ? memchr(text.ptr, '@', head_size) : NULL;
    const char *domain = at ? at + 1 : text.ptr;

    struct jid jid = {.bytes = buffer->bytes};
    char *write = buffer->bytes;
    size_t size = 0;
    if (at) {
        enum jid_status status = jid_prepare_local(span_of(text.ptr, (size_t)(at - text.ptr)), write, &size);
        if (status != JID_OK)
            return status;
        jid.local_size = (uint16_t)size;
        write += size;
        *write++ = '@';
    }
    enum jid_status status = jid_prepare_domain(span_of(domain, (size_t)(domain_end - domain)), write, &size);
    if (status != JID_OK)
        return status;
    jid.domain_size = (uint16_t)size;
    write += size;
    if (slash) {
        *write++ = '/';
        status = jid_prepare_resource(span_of(slash + 1, (size_t)(end - slash - 1)), write, &size);
        if (status != JID_OK)
            return status;
        jid.resource_size = (uint16_t)size;
    }
    *out = jid;
    return JID_OK;
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
