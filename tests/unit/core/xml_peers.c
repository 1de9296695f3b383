/* SPDX-License-Identifier: MIT */
/*
 * The two reference parsers, set up as a conforming namespace-aware parser that reports what RFC 6120 s11.1 forbids.
 */
#include "tests/unit/core/xml_run.h"

#include <expat.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stdlib.h>

/* --- expat ----------------------------------------------------------------------------------------------------------
 */

/* A character that a URI may hold and a name may not, so the last one always parts them. */
#define SEPARATOR '!'

struct expat_job {
    struct peer peer;
    XML_Parser parser;
    unsigned depth;
};

static void split(const XML_Char *name, struct span *uri, struct span *local)
{
    const char *at = strrchr(name, SEPARATOR);
    *uri = at ? span_of(name, (size_t)(at - name)) : SPAN("");
    *local = span_str(at ? at + 1 : name);
}

static void expat_start(void *user, const XML_Char *name, const XML_Char **attributes)
{
    struct expat_job *job = user;
    struct span uri;
    struct span local;
    split(name, &uri, &local);
    job->depth++;
    record_start(&job->peer.record, uri, local);
    for (; *attributes; attributes += 2) {
        split(attributes[0], &uri, &local);
        record_attribute(&job->peer.record, uri, local, span_str(attributes[1]));
    }
}

static void expat_end(void *user, const XML_Char *name)
{
    struct expat_job *job = user;
    (void)name;
    job->depth--;
    record_end(&job->peer.record);
}

static void expat_text(void *user, const XML_Char *text, int size)
{
    struct expat_job *job = user;
    /* The reader takes white space between top-level elements silently. */
    if (job->depth > 1)
        record_text(&job->peer.record, span_of(text, (size_t)size));
}

static void expat_restricted(struct expat_job *job)
{
    job->peer.end = PEER_RESTRICTED;
    XML_StopParser(job->parser, XML_FALSE);
}

static void expat_comment(void *user, const XML_Char *text)
{
    (void)text;
    expat_restricted(user);
}

static void expat_pi(void *user, const XML_Char *target, const XML_Char *data)
{
    (void)target;
    (void)data;
    expat_restricted(user);
}

static void expat_doctype(void *user, const XML_Char *name, const XML_Char *system, const XML_Char *public_id, int has)
{
    (void)name;
    (void)system;
    (void)public_id;
    (void)has;
    expat_restricted(user);
}

struct peer run_expat(struct span bytes)
{
    struct expat_job job = {.peer = {.end = PEER_OPEN}, .parser = XML_ParserCreateNS("UTF-8", SEPARATOR)};
    XML_SetUserData(job.parser, &job);
    XML_SetElementHandler(job.parser, expat_start, expat_end);
    XML_SetCharacterDataHandler(job.parser, expat_text);
    XML_SetCommentHandler(job.parser, expat_comment);
    XML_SetProcessingInstructionHandler(job.parser, expat_pi);
    XML_SetStartDoctypeDeclHandler(job.parser, expat_doctype);
    enum XML_Status status = XML_Parse(job.parser, bytes.ptr, (int)bytes.size, 0);
    if (status == XML_STATUS_OK) {
        status = XML_Parse(job.parser, "", 0, 1);
        job.peer.end = status == XML_STATUS_OK ? PEER_ENDED : job.peer.end;
    } else if (job.peer.end != PEER_RESTRICTED) {
        job.peer.code = (int)XML_GetErrorCode(job.parser);
        job.peer.end = job.peer.code == XML_ERROR_UNDEFINED_ENTITY ? PEER_RESTRICTED : PEER_REFUSED;
    }
    XML_ParserFree(job.parser);
    return job.peer;
}

/* --- libxml2 --------------------------------------------------------------------------------------------------------
 */

struct libxml_job {
    struct peer peer;
    unsigned depth;
};

static struct span xml_str(const xmlChar *string)
{
    return string ? span_str((const char *)string) : SPAN("");
}

static void libxml_start(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int ns_count,
                         const xmlChar **namespaces, int count, int defaulted, const xmlChar **attributes)
{
    struct libxml_job *job = user;
    job->depth++;
    (void)prefix;
    (void)ns_count;
    (void)namespaces;
    (void)defaulted;
    record_start(&job->peer.record, xml_str(uri), xml_str(name));
    for (int i = 0; i < count; i++, attributes += 5) {
        struct span value = span_of(attributes[3], (size_t)(attributes[4] - attributes[3]));
        record_attribute(&job->peer.record, xml_str(attributes[2]), xml_str(attributes[0]), value);
    }
}

static void libxml_end(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct libxml_job *job = user;
    (void)name;
    (void)prefix;
    (void)uri;
    job->depth--;
    record_end(&job->peer.record);
}

static void libxml_text(void *user, const xmlChar *text, int size)
{
    struct libxml_job *job = user;
    if (job->depth > 1)
        record_text(&job->peer.record, span_of(text, (size_t)size));
}

/* libxml2 2.9's push parser leaves the line ends of CDATA sections as they are (XML s2.11 wants LF). */
static void libxml_cdata(void *user, const xmlChar *text, int size)
{
    for (int i = 0; i < size; i++) {
        bool is_pair = text[i] == '\r' && i + 1 < size && text[i + 1] == '\n';
        const xmlChar *byte = text[i] == '\r' ? (const xmlChar *)"\n" : &text[i];
        if (!is_pair)
            libxml_text(user, byte, 1);
    }
}

static void libxml_restricted(struct libxml_job *job)
{
    if (job->peer.end == PEER_OPEN)
        job->peer.end = PEER_RESTRICTED;
}

static void libxml_comment(void *user, const xmlChar *text)
{
    (void)text;
    libxml_restricted(user);
}

static void libxml_pi(void *user, const xmlChar *target, const xmlChar *data)
{
    (void)target;
    (void)data;
    libxml_restricted(user);
}

static void libxml_doctype(void *user, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name;
    (void)external;
    (void)system;
    libxml_restricted(user);
}

/* Of the errors only the first counts. A namespace name that is no URI is a warning in namespace clothes. */
static void libxml_error(void *user, xmlErrorPtr error)
{
    struct libxml_job *job = user;
    if (error->code == XML_WAR_NS_URI || error->code == XML_WAR_NS_URI_RELATIVE || error->level == XML_ERR_WARNING)
        return;
    if (job->peer.end != PEER_OPEN)
        return;
    bool is_entity = error->code == XML_ERR_UNDECLARED_ENTITY || error->code == XML_WAR_UNDECLARED_ENTITY;
    job->peer.code = error->code;
    job->peer.end = is_entity ? PEER_RESTRICTED : PEER_REFUSED;
}

struct peer run_libxml(struct span bytes)
{
    struct libxml_job job = {.peer = {.end = PEER_OPEN}};
    xmlSAXHandler sax = {.initialized = XML_SAX2_MAGIC,
                         .startElementNs = libxml_start,
                         .endElementNs = libxml_end,
                         .characters = libxml_text,
                         .cdataBlock = libxml_cdata,
                         .comment = libxml_comment,
                         .processingInstruction = libxml_pi,
                         .internalSubset = libxml_doctype,
                         .serror = libxml_error};
    xmlParserCtxtPtr parser = xmlCreatePushParserCtxt(&sax, &job, NULL, 0, NULL);
    xmlCtxtUseOptions(parser, XML_PARSE_HUGE | XML_PARSE_NONET | XML_PARSE_NOENT);
    xmlParseChunk(parser, bytes.ptr, (int)bytes.size, 0);
    if (job.peer.end == PEER_OPEN) {
        xmlParseChunk(parser, bytes.ptr, 0, 1);
        if (job.peer.end == PEER_OPEN)
            job.peer.end = PEER_ENDED;
        else if (job.peer.end == PEER_REFUSED)
            job.peer.end = PEER_OPEN;
    }
    xmlFreeParserCtxt(parser);
    return job.peer;
}
