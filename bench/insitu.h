/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * In situ: RapidXML in its fastest mode, the floor of micro-xml: a parser that leaves text where it is and makes a tree
 * of pointers into it. It takes whole documents, and checks hardly anything: no end tag against its start tag, no
 * namespaces, no UTF-8, no characters, no entities, no limits.
 */
#include <stdbool.h>
#include <stdint.h>

/* Is RapidXML in this build? Without it (insitu_none.c) there is nothing to call. */
extern const bool insitu_is_here;

struct insitu;

struct insitu *insitu_new(void);
void insitu_free(struct insitu *insitu);
/* One whole element, ended by NUL; the text stays as it is. The tree before it is forgotten. What is no XML ends the
 * process. */
void insitu_parse(struct insitu *insitu, char *text);
/* Elements in the tree. */
uint64_t insitu_count(const struct insitu *insitu);
