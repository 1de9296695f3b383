/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Xml spare: a reader that reads on behind what is not namespace-well-formed, beside a parser that knows no namespaces.
 *
 * expat without namespaces says where every top-level element ends and what is not well-formed; expat with them says of
 * each element alone whether it is namespace-well-formed. The reader must agree with both.
 */
#include "tests/unit/core/xml_run.h"

struct spared {
    uint64_t start, end;
    bool is_misnamed;
};

struct spared_list {
    enum run_end end; /* RUN_REFUSED: see error; for expat, refused for any reason */
    enum xml_error error;
    int code; /* expat's */
    uint64_t header_end;
    uint32_t count, room;
    struct spared *items;
};

extern const struct xml_limits spare_limits; /* the default ones, sparing */

struct spared_list spare_reader(struct span bytes);
/* is_misnamed is not set. */
struct spared_list spare_expat(struct span bytes);
void spare_free(struct spared_list *list);

/* What is wrong with how a sparing reader takes the bytes, whole and cut (first piece, other pieces); NULL: nothing. */
const char *spare_fault(struct span bytes, size_t first, size_t chunk);
