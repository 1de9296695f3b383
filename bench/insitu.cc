/* SPDX-License-Identifier: MIT */
extern "C" {
#include "bench/insitu.h"
}

#include <rapidxml/rapidxml.hpp>

extern const bool insitu_is_here = true;

/* The document has the first 64 KiB for its nodes within it: a stanza's fit, so that nothing is allocated. */
struct insitu {
    rapidxml::xml_document<> document;
};

struct insitu *insitu_new(void)
{
    return new insitu;
}

void insitu_free(struct insitu *insitu)
{
    delete insitu;
}

void insitu_parse(struct insitu *insitu, char *text)
{
    insitu->document.clear();
    insitu->document.parse<rapidxml::parse_fastest>(text);
}

static uint64_t count(const rapidxml::xml_node<> *node)
{
    uint64_t seen = 0;
    for (const auto *child = node->first_node(); child; child = child->next_sibling())
        seen += 1 + count(child);
    return seen;
}

uint64_t insitu_count(const struct insitu *insitu)
{
    return count(&insitu->document);
}
