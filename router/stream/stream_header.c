/* SPDX-License-Identifier: MIT */
#include "router/stream/stream_header.h"

#include "core/base/hex.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/s2s/access.h"
#include "router/s2s/dialback.h"
#include "router/s2s/s2s.h"
#include "tls/engine.h"

#include <stdio.h>
#include <stdlib.h>

#define LANG_MAX 64u /* bytes of a language tag that is kept; longer ones are no tags (RFC 5646 s4.4.1 wants 35) */

static struct span attribute_value(const struct xml_stanza *header, enum xml_ns ns, const char *name, char *room,
                                   size_t room_size)
{
    const struct xml_attribute *attribute = xml_attribute(header, 0, ns, name);
    return attribute ? xml_value(header, attribute, room, room_size) : SPAN_NONE;
}

/* RFC 6120 s4.8.1, s4.8.2: the stream namespace, and jabber:client as default namespace; or "prefix-free", where the
 * stream namespace is the default one and every stanza declares its own. */
static enum stream_error check_namespaces(const struct stream *stream, const struct xml_stanza *header)
{
    struct span prefix, uri, content = xml_ns_uri(stream->is_s2s ? NS_SERVER : NS_CLIENT);
    bool binds_content = false;
    if (header->elements[0].ns != NS_STREAM)
        return STREAM_INVALID_NAMESPACE_ERROR;
    if (!xml_is(header, 0, NS_STREAM, "stream"))
        return STREAM_BAD_FORMAT_ERROR;
    for (unsigned i = 0; i < xml_reader_prefixes(&stream->reader); i++) {
        xml_reader_prefix(&stream->reader, i, &prefix, &uri);
        if (prefix.size) {
            binds_content |= span_equal(uri, content);
            continue;
        }
        bool is_known = span_equal(uri, content) || span_equal(uri, xml_ns_uri(NS_STREAM));
        return is_known ? STREAM_NO_ERROR : STREAM_INVALID_NAMESPACE_ERROR;
    }
    /* No default namespace: content would need a prefix (s4.8.5: it MUST NOT have one). */
    return binds_content ? STREAM_BAD_NAMESPACE_PREFIX_ERROR : STREAM_INVALID_NAMESPACE_ERROR;
}

static size_t digits(struct span text)
{
    size_t count = 0;
    while (count < text.size && text.ptr[count] >= '0' && text.ptr[count] <= '9')
        count++;
    return count;
}

static struct span without_zeros(struct span number)
{
    while (number.size > 1 && number.ptr[0] == '0')
        number = span_skip(number, 1);
    return number;
}

/* s4.7.5: two numbers. Our header tells the lower one of theirs and 1.0, which is all we speak: whoever speaks less is
 * refused behind it. No version means 0.9, and is answered by none. */
static enum stream_error take_version(struct nego *nego, const struct xml_stanza *header)
{
    char room[16];
    struct span version = attribute_value(header, NS_NONE, "version", room, sizeof room);
    size_t major_size = digits(version), minor_size;
    memcpy(nego->version, "1.0", sizeof "1.0");
    if (!xml_attribute(header, 0, NS_NONE, "version"))
        nego->version[0] = '\0';
    if (!major_size || major_size == version.size || version.ptr[major_size] != '.')
        return STREAM_UNSUPPORTED_VERSION_ERROR;
    struct span major = without_zeros(span_of(version.ptr, major_size));
    struct span minor = span_skip(version, major_size + 1);
    minor_size = digits(minor);
    if (!minor_size || minor_size != minor.size)
        return STREAM_UNSUPPORTED_VERSION_ERROR;
    if (!span_is(major, "0"))
        return STREAM_NO_ERROR;
    minor = without_zeros(minor);
    if (minor.size + sizeof "0." <= sizeof nego->version) /* a longer one is no version that there was */
        snprintf(nego->version, sizeof nego->version, "0.%.*s", SPAN_ARG(minor));
    return STREAM_UNSUPPORTED_VERSION_ERROR;
}

/* In the place of what was kept before; no text has a NUL inside (XML 1.0 s2.2). */
static bool keep(char **kept, struct span text)
{
    free(*kept);
    *kept = strndup(text.ptr, text.size);
    return *kept != NULL;
}

/* A header without 'to' comes from implementations of RFC 3920 (s4.7.2, note): the domain that the header before it
 * agreed on, the name that TLS gave, or the only domain there is. */
static struct span default_domain(const struct stream *stream)
{
    const struct config *config = stream->shard->policy->config;
    if (stream->nego->domain.size)
        return stream->nego->domain;
    if (stream->tls && engine_server_name(stream->tls).size)
        return engine_server_name(stream->tls);
    return config->domain_count == 1 ? span_str(config->domains[0].name) : SPAN_NONE;
}

static enum stream_error take_to(struct stream *stream, const struct xml_stanza *header)
{
    char room[JID_PART_MAX + 1], prepared[JID_PART_MAX];
    size_t size;
    struct nego *nego = stream->nego;
    struct span domain = default_domain(stream);
    if (xml_attribute(header, 0, NS_NONE, "to")) {
        struct span to = attribute_value(header, NS_NONE, "to", room, sizeof room);
        if (!to.ptr || jid_prepare_domain(to, prepared, &size) != JID_OK)
            return STREAM_IMPROPER_ADDRESSING_ERROR;
        domain = span_of(prepared, size);
    }
    if (!domain.ptr || !policy_has_domain(stream->shard->policy, domain))
        return STREAM_HOST_UNKNOWN_ERROR;
    /* The domain is fixed by the header under which SASL runs: a restart for another one would carry trust across. */
    if (nego->domain.size)
        return span_equal(nego->domain, domain) ? STREAM_NO_ERROR : STREAM_NOT_AUTHORIZED_ERROR;
    nego->domain = span_copy(domain);
    return nego->domain.ptr ? STREAM_NO_ERROR : STREAM_RESOURCE_CONSTRAINT_ERROR;
}

/* s4.7.1: 'from' may be the client's address; once it has authenticated it must be that one. */
static enum stream_error take_from(struct stream *stream, const struct xml_stanza *header)
{
    char room[JID_SIZE_MAX + 1];
    struct jid_buffer buffer;
    struct jid jid;
    struct span from = attribute_value(header, NS_NONE, "from", room, sizeof room);
    struct nego *nego = stream->nego;
    free(nego->from);
    nego->from = NULL;
    if (!xml_attribute(header, 0, NS_NONE, "from"))
        return STREAM_NO_ERROR;
    if (!from.ptr || jid_prepare(from, &buffer, &jid) != JID_OK)
        return STREAM_INVALID_FROM_ERROR;
    if (nego->jid.size && !span_equal(jid_bare(&jid), nego->jid))
        return STREAM_INVALID_FROM_ERROR;
    return keep(&nego->from, jid_bare(&jid)) ? STREAM_NO_ERROR : STREAM_RESOURCE_CONSTRAINT_ERROR;
}

/* RFC 5646 s2.1: subtags of 1 to 8 letters and digits, the first of letters alone. */
static bool lang_is_tag(struct span lang)
{
    size_t length = 0;
    bool is_first = true;
    for (size_t i = 0; i < lang.size; i++) {
        char c = lang.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool is_digit = c >= '0' && c <= '9' && !is_first;
        if (c == '-' && length) {
            length = 0;
            is_first = false;
        } else if ((!is_letter && !is_digit) || ++length > 8) {
            return false;
        }
    }
    return length != 0;
}

/* It is stamped on stanzas, where it must be a language tag (RFC 6120 s8.1.5). */
static void take_lang(struct nego *nego, const struct xml_stanza *header)
{
    char room[LANG_MAX];
    struct span lang = attribute_value(header, NS_XML, "lang", room, sizeof room);
    free(nego->lang);
    nego->lang = NULL;
    if (lang.ptr && lang.size < LANG_MAX && lang_is_tag(lang))
        (void)keep(&nego->lang, lang);
}

/* Another server's address is a domain (s4.7.1); the first one it gave is kept for our 'to'. */
static enum stream_error take_server_from(struct stream *stream, const struct xml_stanza *header)
{
    char room[JID_SIZE_MAX + 1];
    struct jid_buffer buffer;
    struct jid jid;
    struct span from = attribute_value(header, NS_NONE, "from", room, sizeof room);
    struct nego *nego = stream->nego;
    if (!xml_attribute(header, 0, NS_NONE, "from"))
        return STREAM_NO_ERROR;
    if (!from.ptr || jid_prepare(from, &buffer, &jid) != JID_OK || jid.local_size || jid.resource_size)
        return STREAM_INVALID_FROM_ERROR;
    if (nego->from && span_equal(jid_domain(&jid), span_str(nego->from)))
        return STREAM_NO_ERROR;
    if (nego->from) {
        s2s_misnamed(s2s_of(stream), from);
        return STREAM_INVALID_FROM_ERROR;
    }
    if (!access_permits(stream->shard->policy->config, jid_domain(&jid))) {
        shard_count(stream->shard, COUNTER_S2S_DENIED, 1);
        return STREAM_POLICY_VIOLATION_ERROR;
    }
    return keep(&nego->from, jid_domain(&jid)) ? STREAM_NO_ERROR : STREAM_RESOURCE_CONSTRAINT_ERROR;
}

/* The answer to the header that we began with: its id goes into our dialback key. */
static enum stream_error take_answer(struct s2s *s2s, const struct xml_stanza *header)
{
    char room[DIALBACK_ID_MAX];
    struct span id = attribute_value(header, NS_NONE, "id", room, sizeof room);
    if (!id.ptr || id.size > DIALBACK_ID_MAX)
        return STREAM_POLICY_VIOLATION_ERROR;
    return keep(&s2s->peer_id, id) ? STREAM_NO_ERROR : STREAM_RESOURCE_CONSTRAINT_ERROR;
}

/* 'to' of the one who begins, the id of the one who answers. */
static enum stream_error take_addressing(struct stream *stream, const struct xml_stanza *header)
{
    bool is_answer = stream->is_s2s && s2s_of(stream)->is_out;
    return is_answer ? take_answer(s2s_of(stream), header) : take_to(stream, header);
}

enum stream_error stream_header_take(struct stream *stream, const struct xml_stanza *header)
{
    enum stream_error error = check_namespaces(stream, header);
    if (error != STREAM_NO_ERROR)
        return error;
    enum stream_error version_error = take_version(stream->nego, header); /* whatever the answer is, it has a version */
    error = take_addressing(stream, header);
    if (error == STREAM_NO_ERROR)
        error = version_error;
    if (error == STREAM_NO_ERROR)
        error = stream->is_s2s ? take_server_from(stream, header) : take_from(stream, header);
    if (error == STREAM_NO_ERROR)
        take_lang(stream->nego, header);
    return error;
}

void stream_header_forget(struct nego *nego)
{
    span_free(&nego->domain);
    free(nego->lang);
    nego->lang = NULL;
    free(nego->from);
    nego->from = NULL;
    memcpy(nego->version, "1.0", sizeof "1.0");
}

static void new_id(struct stream *stream)
{
    uint8_t random[16];
    io_random(stream->shard->io, random, sizeof random);
    hex_encode(span_of(random, sizeof random), stream->nego->stream_id);
    stream->nego->stream_id[2 * sizeof random] = '\0';
}

/* s4.7: from, id (new for each stream, s4.7.3), to if they told theirs, version, the language of our texts. */
void stream_header_write(struct stream *stream)
{
    struct nego *nego = stream->nego;
    if (stream->has_sent_header)
        return;
    stream->has_sent_header = true;
    new_id(stream);
    chain_append(&stream->out, stream->shard->pool, SPAN("<?xml version='1.0'?>"));
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, "stream:stream");
    struct span domain = nego->domain.size ? nego->domain : span_str(stream->shard->policy->config->domains[0].name);
    xml_write_attribute(&w, "from", domain);
    bool is_ours = stream->is_s2s && s2s_of(stream)->is_out;
    if (!is_ours) /* s4.7.3: who answers gives the id */
        xml_write_attribute(&w, "id", span_str(nego->stream_id));
    if (nego->from)
        xml_write_attribute(&w, "to", span_str(nego->from));
    if (nego->version[0])
        xml_write_attribute(&w, "version", span_str(nego->version));
    xml_write_attribute(&w, "xml:lang", SPAN("en"));
    xml_namespace(&w, stream->is_s2s ? "jabber:server" : "jabber:client");
    if (stream->is_s2s) /* XEP-0220 s2: the prefix is declared here, always */
        xml_write_attribute(&w, "xmlns:db", SPAN("jabber:server:dialback"));
    xml_write_attribute(&w, "xmlns:stream", SPAN("http://etherx.jabber.org/streams"));
    xml_leave_open(&w);
}

/* XEP-0478 s3: what the peer may send in one piece, from now on. */
void stream_header_write_limits(const struct stream *stream, struct xml_writer *w)
{
    char number[16];
    if (!stream->tls)
        return;
    int size = snprintf(number, sizeof number, "%u", stream->reader.limits->stanza_size_max);
    xml_open(w, "limits");
    xml_namespace(w, "urn:xmpp:stream-limits:0");
    xml_open(w, "max-bytes");
    xml_write_text(w, span_of(number, (size_t)size));
    xml_close(w);
    xml_close(w);
}
