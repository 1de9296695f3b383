/* SPDX-License-Identifier: MIT */
#include "core/base/check.h"
#include "core/xml/scan_priv.h"

static const struct span uris[NS_KNOWN_COUNT] = {
    {"", 0},
#define NAMESPACE(symbol, uri) {uri, sizeof(uri) - 1},
#include "core/xml/namespaces.def"
#undef NAMESPACE
};

/* Candidates by size and last byte, chained; a chain of namespaces.def is one or two long. */
#define SLOTS 128u
static uint8_t first[SLOTS];
static uint8_t next[NS_KNOWN_COUNT];

_Static_assert(NS_KNOWN_COUNT < 255, "namespaces.def outgrew its table");

static unsigned slot_of(struct span uri)
{
    unsigned last = (uint8_t)uri.ptr[uri.size - 1];
    unsigned middle = (uint8_t)uri.ptr[uri.size / 2];
    return ((unsigned)uri.size * 5 + last * 3 + middle) % SLOTS;
}

/* Before main(), so that any thread may read afterwards. */
__attribute__((constructor)) static void fill(void)
{
    for (unsigned ns = NS_KNOWN_COUNT; ns-- > NS_NONE + 1;) {
        unsigned slot = slot_of(uris[ns]);
        next[ns] = first[slot];
        first[slot] = (uint8_t)ns;
    }
}

struct span xml_ns_uri(enum xml_ns ns)
{
    SL_CHECK((unsigned)ns < NS_KNOWN_COUNT);
    return uris[ns];
}

enum xml_ns xml_ns_find(struct span uri)
{
    if (uri.size == 0)
        return NS_NONE;
    for (unsigned ns = first[slot_of(uri)]; ns != NS_NONE; ns = next[ns]) {
        if (span_equal(uris[ns], uri))
            return (enum xml_ns)ns;
    }
    return NS_NONE;
}
