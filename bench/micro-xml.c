/* SPDX-License-Identifier: MIT */
/*
 * micro-xml: the tokenizer beside expat in namespace mode and libxml2's SAX2 push parser, and above two floors:
 * RapidXML, which checks nothing, and memcpy; on the same bytes in the same run, rounds interleaved. Budget: at least
 * 10x expat and 3x libxml2 on stanza traffic, at any chunking.
 *
 *   micro-xml [--json] [--rounds N] [--size MIB]
 *
 * Bytes come in pieces of a fixed size, wherever that cuts, and in whole stanzas. RapidXML knows documents only: it is
 * given whole stanzas, and told for nothing where each begins and ends.
 */
#include "bench/insitu.h"
#include "core/xml/reader.h"

#include <expat.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS_MAX 64

#define WHOLE   0u /* instead of a size: pieces are stanzas */
#define SCRATCH (128u << 10)

struct traffic {
    const char *name;
    char *bytes;
    size_t size, room;
    char *documents; /* the same bytes with a NUL behind each stanza */
    size_t *ends;    /* of the stream's header, and of each stanza */
    uint64_t stanzas;
    uint64_t seed;
};

struct rival {
    const char *name, *title;
    /* Elements seen, 0 by what does not tell them apart. */
    uint64_t (*parse)(const struct traffic *traffic, size_t chunk);
    bool is_whole; /* takes nothing but whole stanzas */
};

/* --- traffic --------------------------------------------------------------------------------------------------------
 */

static uint32_t dice(struct traffic *t, uint32_t sides)
{
    uint64_t z = t->seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint32_t)((z ^ z >> 31) % sides);
}

static void add(struct traffic *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct traffic *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    t->size += (size_t)vsnprintf(t->bytes + t->size, t->room - t->size, format, arguments);
    va_end(arguments);
}

/* Words, now and then an escaped character, every tenth body in Russian or German. */
static void add_body(struct traffic *t, size_t size)
{
    static const char *const ascii[] = {
        "the",      "meeting", "is",   "at",      "noon", "and",     "we",
        "should",   "bring",   "some", "slides,", "I'll", "be",      "late",
        "anyway.",  "See",     "you",  "there!",  "ok",   "really?", "https://example.org/a/b?c=d",
        "a &lt; b", "Q&amp;A"};
    static const char *const other[] = {"встреча", "в", "полдень", "größer", "schön", "и", "принеси", "слайды", "über"};
    bool is_other = dice(t, 10) == 0;
    size_t end = t->size + size;
    while (t->size < end)
        add(t, "%s ", is_other ? other[dice(t, 9)] : ascii[dice(t, 23)]);
}

static void add_message(struct traffic *t, size_t body_size)
{
    add(t, "<message from='user%u@example.com/phone.%x' to='friend%u@example.net' id='%08x' type='chat'%s><body>",
        dice(t, 10000), dice(t, 1u << 30), dice(t, 10000), dice(t, 1u << 30), dice(t, 2) ? " xml:lang='en'" : "");
    add_body(t, body_size);
    add(t, "</body>");
    if (dice(t, 2))
        add(t, "<active xmlns='http://jabber.org/protocol/chatstates'/>");
    if (dice(t, 2))
        add(t, "<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='%08x'/>", dice(t, 1u << 30));
    add(t, "</message>");
}

static void add_presence(struct traffic *t)
{
    add(t,
        "<presence from='user%u@example.com/phone.%x'><show>away</show><status>Back at "
        "%u</status><priority>5</priority>"
        "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://example.org/client' "
        "ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/></presence>",
        dice(t, 10000), dice(t, 1u << 30), dice(t, 24));
}

static void add_iq(struct traffic *t)
{
    switch (dice(t, 3)) {
    case 0:
        add(t, "<iq type='get' id='%08x' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>", dice(t, 1u << 30));
        break;
    case 1:
        add(t, "<iq type='result' id='%08x' from='user%u@example.com/x'/>", dice(t, 1u << 30), dice(t, 10000));
        break;
    default:
        add(t,
            "<iq type=\"result\" id=\"%08x\" to=\"user%u@example.com/x\"><query "
            "xmlns=\"http://jabber.org/protocol/disco#info\"><identity category=\"client\" type=\"pc\" "
            "name=\"Client %u\"/><feature var=\"http://jabber.org/protocol/caps\"/><feature "
            "var=\"urn:xmpp:ping\"/></query></iq>",
            dice(t, 1u << 30), dice(t, 10000), dice(t, 100));
    }
}

static void open_traffic(struct traffic *t, size_t size)
{
    t->room = size + 65536;
    t->bytes = malloc(t->room);
    t->ends = malloc((size / 64 + 2) * sizeof *t->ends);
    t->seed = 1;
    add(t, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
           "xmlns:stream='http://etherx.jabber.org/streams' to='example.com' version='1.0'>");
    t->ends[0] = t->size;
}

/* A stanza is complete. None is shorter than 64 bytes. */
static void add_end(struct traffic *t)
{
    t->ends[++t->stanzas] = t->size;
}

static void close_traffic(struct traffic *t)
{
    t->documents = calloc(1, t->size + t->stanzas + 1);
    for (uint64_t i = 0; i <= t->stanzas; i++) {
        size_t start = i == 0 ? 0 : t->ends[i - 1];
        memcpy(t->documents + start + i, t->bytes + start, t->ends[i] - start);
    }
}

static void free_traffic(struct traffic *t)
{
    free(t->bytes);
    free(t->documents);
    free(t->ends);
}

/* Where the piece that begins at `at` ends. */
static size_t piece_end(const struct traffic *t, size_t chunk, size_t at, uint64_t *stanza)
{
    if (chunk == WHOLE)
        return t->ends[(*stanza)++];
    return t->size - at < chunk ? t->size : at + chunk;
}

static struct traffic mixed_traffic(size_t size)
{
    struct traffic t = {.name = "stanzas"};
    open_traffic(&t, size);
    for (; t.size < size; add_end(&t)) {
        uint32_t kind = dice(&t, 10);
        if (kind < 6)
            add_message(&t, 100 + dice(&t, 924));
        else if (kind < 8)
            add_presence(&t);
        else
            add_iq(&t);
    }
    close_traffic(&t);
    return t;
}

static struct traffic short_traffic(size_t size)
{
    struct traffic t = {.name = "short"};
    open_traffic(&t, size);
    for (; t.size < size; add_end(&t))
        add_message(&t, 20 + dice(&t, 80));
    close_traffic(&t);
    return t;
}

static struct traffic long_traffic(size_t size)
{
    struct traffic t = {.name = "16k-bodies"};
    open_traffic(&t, size);
    for (; t.size < size; add_end(&t))
        add_message(&t, 16384);
    close_traffic(&t);
    return t;
}

/* Encrypted content (XEP-0384): one run of Base64. */
static struct traffic sealed_traffic(size_t size)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct traffic t = {.name = "16k-base64"};
    open_traffic(&t, size);
    for (; t.size < size; add_end(&t)) {
        add(&t,
            "<message to='friend%u@example.net' id='%08x' type='chat'><encrypted xmlns='urn:xmpp:omemo:2'><payload>",
            dice(&t, 10000), dice(&t, 1u << 30));
        for (unsigned i = 0; i < 16384; i++)
            t.bytes[t.size++] = alphabet[dice(&t, 64)];
        add(&t, "</payload></encrypted></message>");
    }
    close_traffic(&t);
    return t;
}

/* --- parsers --------------------------------------------------------------------------------------------------------
 */

static void stop(const char *what)
{
    fprintf(stderr, "micro-xml: %s refused the traffic\n", what);
    exit(1);
}

static uint64_t parse_sluice(const struct traffic *traffic, size_t chunk)
{
    struct xml_scratch *scratch = xml_scratch_new(&xml_limits_default);
    struct xml_reader reader;
    xml_reader_init(&reader, &xml_limits_default);
    uint64_t seen = 0;
    uint64_t number = 0;
    for (size_t at = 0, end; at < traffic->size; at = end) {
        end = piece_end(traffic, chunk, at, &number);
        struct span in = span_of(traffic->bytes + at, end - at);
        struct xml_stanza stanza;
        enum xml_event event;
        while ((event = xml_reader_next(&reader, scratch, &in, &stanza)) != XML_MORE) {
            if (event == XML_REFUSED)
                stop("sluice");
            seen += stanza.element_count;
        }
    }
    xml_reader_fini(&reader);
    xml_scratch_free(scratch);
    return seen;
}

static void expat_start(void *seen, const XML_Char *name, const XML_Char **attributes)
{
    (void)name;
    (void)attributes;
    ++*(uint64_t *)seen;
}

static void expat_end(void *seen, const XML_Char *name)
{
    (void)seen;
    (void)name;
}

static void expat_text(void *seen, const XML_Char *text, int size)
{
    (void)seen;
    (void)text;
    (void)size;
}

static uint64_t parse_expat(const struct traffic *traffic, size_t chunk)
{
    XML_Parser parser = XML_ParserCreateNS(NULL, '\n');
    uint64_t seen = 0, stanza = 0;
    XML_SetUserData(parser, &seen);
    XML_SetElementHandler(parser, expat_start, expat_end);
    XML_SetCharacterDataHandler(parser, expat_text);
    for (size_t at = 0, end; at < traffic->size; at = end) {
        end = piece_end(traffic, chunk, at, &stanza);
        if (XML_Parse(parser, traffic->bytes + at, (int)(end - at), 0) != XML_STATUS_OK)
            stop("expat");
    }
    XML_ParserFree(parser);
    return seen;
}

static void libxml_start(void *seen, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int ns_count,
                         const xmlChar **namespaces, int count, int defaulted, const xmlChar **attributes)
{
    (void)name;
    (void)prefix;
    (void)uri;
    (void)ns_count;
    (void)namespaces;
    (void)count;
    (void)defaulted;
    (void)attributes;
    ++*(uint64_t *)seen;
}

static void libxml_end(void *seen, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    (void)seen;
    (void)name;
    (void)prefix;
    (void)uri;
}

static void libxml_text(void *seen, const xmlChar *text, int size)
{
    (void)seen;
    (void)text;
    (void)size;
}

static uint64_t parse_libxml(const struct traffic *traffic, size_t chunk)
{
    xmlSAXHandler sax = {.initialized = XML_SAX2_MAGIC,
                         .startElementNs = libxml_start,
                         .endElementNs = libxml_end,
                         .characters = libxml_text};
    uint64_t seen = 0, stanza = 0;
    xmlParserCtxtPtr parser = xmlCreatePushParserCtxt(&sax, &seen, NULL, 0, NULL);
    xmlCtxtUseOptions(parser, XML_PARSE_HUGE | XML_PARSE_NONET);
    for (size_t at = 0, end; at < traffic->size; at = end) {
        end = piece_end(traffic, chunk, at, &stanza);
        if (xmlParseChunk(parser, traffic->bytes + at, (int)(end - at), 0) != 0)
            stop("libxml2");
    }
    xmlFreeParserCtxt(parser);
    return seen;
}

/* Elements are counted elsewhere: a walk through the tree is no part of making it. */
static uint64_t parse_insitu(const struct traffic *traffic, size_t chunk)
{
    struct insitu *insitu = insitu_new();
    (void)chunk;
    for (uint64_t i = 1; i <= traffic->stanzas; i++)
        insitu_parse(insitu, traffic->documents + traffic->ends[i - 1] + i);
    insitu_free(insitu);
    return 0;
}

static uint64_t count_insitu(const struct traffic *traffic)
{
    struct insitu *insitu = insitu_new();
    uint64_t seen = 1; /* the stream's header, which it does not get */
    for (uint64_t i = 1; i <= traffic->stanzas; i++) {
        insitu_parse(insitu, traffic->documents + traffic->ends[i - 1] + i);
        seen += insitu_count(insitu);
    }
    insitu_free(insitu);
    return seen;
}

/* Each piece to the same place, as one would receive it. */
static uint64_t copy(const struct traffic *traffic, size_t chunk)
{
    static char scratch[SCRATCH];
    uint64_t stanza = 0;
    for (size_t at = 0, end; at < traffic->size; at = end) {
        end = piece_end(traffic, chunk, at, &stanza);
        memcpy(scratch, traffic->bytes + at, end - at);
        __asm__ volatile("" : : "r"(scratch) : "memory"); /* somebody looks at it */
    }
    return 0;
}

/* --- measuring ------------------------------------------------------------------------------------------------------
 */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static const struct rival rivals[] = {
    {"sluice", "sluice", parse_sluice, false},
    {"expat", "expat-NS", parse_expat, false},
    {"libxml2", "libxml2 SAX2", parse_libxml, false},
    {"rapidxml", "RapidXML", parse_insitu, true},
    {"memcpy", "memcpy", copy, false},
};
#define RIVALS (sizeof rivals / sizeof *rivals)

struct result {
    double median, least, most; /* MB/s; 0: does not take part */
};

static bool takes_part(const struct rival *rival, size_t chunk)
{
    return !rival->is_whole || (chunk == WHOLE && insitu_is_here);
}

static void check_seen(const struct traffic *traffic, size_t chunk, const uint64_t seen[RIVALS])
{
    for (unsigned r = 1; r < RIVALS; r++)
        if (seen[r] != 0 && seen[r] != seen[0])
            stop("two parsers counted different elements: one");
    if (chunk == WHOLE && insitu_is_here && count_insitu(traffic) != seen[0])
        stop("RapidXML counted different elements: it");
}

static void measure(const struct traffic *traffic, size_t chunk, unsigned rounds, struct result results[RIVALS])
{
    double rates[RIVALS][ROUNDS_MAX] = {0};
    uint64_t seen[RIVALS] = {0};
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned r = 0; r < RIVALS; r++) {
            if (!takes_part(&rivals[r], chunk))
                continue;
            double start = now();
            seen[r] = rivals[r].parse(traffic, chunk);
            rates[r][round] = (double)traffic->size / (now() - start) / 1e6;
        }
    }
    check_seen(traffic, chunk, seen);
    for (unsigned r = 0; r < RIVALS; r++) {
        qsort(rates[r], rounds, sizeof(double), by_value);
        results[r] = (struct result){rates[r][rounds / 2], rates[r][0], rates[r][rounds - 1]};
    }
}

/* --- telling --------------------------------------------------------------------------------------------------------
 */

static void tell_head(bool is_json, unsigned rounds)
{
    if (is_json) {
        printf("{\"bench\":\"micro-xml\",\"scanner\":\"%s\",\"rounds\":%u,\"runs\":[", xml_scan_name(), rounds);
        return;
    }
    printf("MB/s, median of %u rounds ± half of the way from the least to the most, and how many times that sluice is; "
           "scanner %s\n\n| traffic | piece |",
           rounds, xml_scan_name());
    for (unsigned r = 0; r < RIVALS; r++)
        printf(" %s |", rivals[r].title);
    printf("\n|%s\n", "---|---|---|---|---|---|---|");
}

static void tell_json(const struct traffic *traffic, size_t chunk, const struct result *results, bool is_first)
{
    printf("%s{\"traffic\":\"%s\",\"chunk\":%zu", is_first ? "" : ",", traffic->name, chunk);
    for (unsigned r = 0; r < RIVALS; r++)
        if (results[r].median > 0)
            printf(",\"%s\":{\"mb_s\":%.1f,\"min\":%.1f,\"max\":%.1f,\"ratio\":%.3f}", rivals[r].name,
                   results[r].median, results[r].least, results[r].most, results[0].median / results[r].median);
    printf("}");
}

/* "1,234 ±5 %" */
static void tell_rate(const struct result *result)
{
    unsigned rate = (unsigned)(result->median + 0.5);
    if (rate >= 1000)
        printf(" %u,%03u", rate / 1000, rate % 1000);
    else
        printf(" %u", rate);
    printf(" ±%.0f %%", (result->most - result->least) / 2 / result->median * 100);
}

static void tell_row(const struct traffic *traffic, size_t chunk, const struct result *results)
{
    if (chunk == WHOLE)
        printf("| %s | stanza |", traffic->name);
    else
        printf("| %s | %zu |", traffic->name, chunk);
    tell_rate(&results[0]);
    printf(" |");
    for (unsigned r = 1; r < RIVALS; r++) {
        if (results[r].median > 0) {
            double ratio = results[0].median / results[r].median;
            tell_rate(&results[r]);
            printf(ratio < 1 ? ", **%.2f x**" : ", **%.1f x**", ratio);
        }
        printf(" |");
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    bool is_json = false;
    unsigned rounds = 7;
    size_t size = 2u << 20;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            is_json = true;
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = (unsigned)atoi(argv[++i]);
        else if (strcmp(argv[i], "--size") == 0 && i + 1 < argc)
            size = (size_t)atoi(argv[++i]) << 20;
        else {
            fprintf(stderr, "usage: micro-xml [--json] [--rounds N] [--size MIB]\n");
            return 2;
        }
    }
    if (rounds < 1 || rounds > ROUNDS_MAX)
        rounds = 7;
    static const size_t chunks[] = {64, 1024, 8192, 65536, WHOLE};
    struct traffic all[] = {mixed_traffic(size), short_traffic(size), long_traffic(size), sealed_traffic(size)};
    tell_head(is_json, rounds);
    for (unsigned t = 0; t < sizeof all / sizeof *all; t++) {
        for (unsigned c = 0; c < sizeof chunks / sizeof *chunks; c++) {
            struct result results[RIVALS];
            measure(&all[t], chunks[c], rounds, results);
            if (is_json)
                tell_json(&all[t], chunks[c], results, t == 0 && c == 0);
            else
                tell_row(&all[t], chunks[c], results);
            fflush(stdout);
        }
        free_traffic(&all[t]);
    }
    if (is_json)
        printf("]}\n");
    return 0;
}
