/* SPDX-License-Identifier: MIT */
/*
 * Tag: what can be said of a start tag only at its end: its declarations, its prefixes, whether its attributes are
 * unique (Namespaces in XML 1.0, s2.2, s3, s5, s6).
 */
#include "core/base/check.h"
#include "core/xml/scan_priv.h"

#include <stdlib.h>

/* Above this many attributes uniqueness is checked by sorting: n log n, whatever the peer chose. */
#define PAIRWISE_MAX 16u

bool xml_grow(void *array, uint32_t *room, uint64_t need, size_t item_size)
{
    if (need <= *room)
        return true;
    /* Small ones by half, large ones by an eighth: what is held stays near to what was received. */
    uint64_t target = *room + (uint64_t)*room / (*room < 4096 ? 2 : 8);
    if (target < 8)
        target = 8;
    if (target < need)
        target = need;
    if (target > UINT32_MAX / item_size)
        return false;
    void *old = NULL;
    memcpy(&old, array, sizeof old);
    void *grown = realloc(old, (size_t)target * item_size);
    if (!grown)
        return false;
    memcpy(array, &grown, sizeof grown);
    *room = (uint32_t)target;
    return true;
}

bool xml_grow_elements(struct xml_scan *t)
{
    struct xml_arrays *a = &t->arrays;
    return xml_grow(&a->elements, &a->element_room, (uint64_t)t->element_count + 1, sizeof *a->elements);
}

bool xml_grow_attributes(struct xml_scan *t)
{
    struct xml_arrays *a = &t->arrays;
    return xml_grow(&a->attributes, &a->attribute_room, (uint64_t)t->attribute_count + 1, sizeof *a->attributes);
}

bool xml_grow_open(struct xml_scan *t)
{
    struct xml_arrays *a = &t->arrays;
    return xml_grow(&a->open, &a->open_room, (uint64_t)t->depth + 1, sizeof *a->open);
}

void xml_tag_begin_element(struct xml_scan *t, const char *bytes, const struct xml_limits *limits,
                           const struct xml_header_names *header, bool is_first)
{
    t->bytes = bytes;
    t->limits = limits;
    t->header = header;
    t->trail = NULL;
    t->reach = BLOCK_SIZE;
    t->at = 1;
    t->tag = 0;
    t->element_count = 0;
    t->attribute_count = 0;
    t->attribute_total = 0;
    t->flags = 0;
    t->prefixes_used = 0;
    t->depth = 0;
    t->binding_count = 0;
    t->dynamic_count = 0;
    t->default_ns = header ? header->default_ns : NS_NONE;
    t->state = STATE_MARKUP;
    t->is_first = is_first;
    if (!header)
        return;
    /* At most 32 numbers; zero in the usual case of known namespaces only. */
    for (unsigned i = 0; i < header->count; i++)
        t->header_ns[i] = 0;
    if (header->default_ns == NS_DYNAMIC) {
        /* The stanza's first number is the content namespace's; a scratch has room for it from its start. */
        t->arrays.dynamics[t->dynamic_count++] = (struct xml_dynamic){0, DYNAMIC_HEADER};
        t->header_ns[0] = NS_DYNAMIC;
    }
}

/* --- namespace names ------------------------------------------------------------------------------------------------
 */

static struct span dynamic_uri(const struct xml_scan *t, const struct xml_dynamic *d, bool *is_encoded)
{
    *is_encoded = (d->size & DYNAMIC_ENCODED) != 0;
    if (d->size & DYNAMIC_HEADER)
        return t->header->bindings[d->offset].uri;
    return span_of(t->bytes + d->offset, d->size & DYNAMIC_SIZE_MAX);
}

static int dynamic_compare(const struct xml_scan *t, const struct xml_dynamic *a, const struct xml_dynamic *b)
{
    bool a_encoded = false;
    bool b_encoded = false;
    struct span a_uri = dynamic_uri(t, a, &a_encoded);
    struct span b_uri = dynamic_uri(t, b, &b_encoded);
    return xml_decode_compare(a_uri, a_encoded, b_uri, b_encoded);
}

/* The stanza's number of a namespace name; 0 when there are too many or memory is refused. */
static uint16_t number_of(struct xml_scan *t, struct xml_dynamic d, enum xml_error *error)
{
    uint32_t known = t->dynamic_count < DYNAMIC_SEARCH ? t->dynamic_count : DYNAMIC_SEARCH;
    for (uint32_t i = 0; i < known; i++) {
        const struct xml_dynamic *old = &t->arrays.dynamics[i];
        /* Sizes decide when neither has a flag. */
        if (old->size != d.size && (old->size | d.size) <= DYNAMIC_SIZE_MAX)
            continue;
        if (dynamic_compare(t, old, &d) == 0)
            return (uint16_t)(NS_DYNAMIC + i);
    }
    if (t->dynamic_count >= DYNAMIC_MAX) {
        *error = XML_LIMIT_NAMESPACES;
        return NS_NONE;
    }
    struct xml_arrays *a = &t->arrays;
    if (t->dynamic_count == a->dynamic_room &&
        !xml_grow(&a->dynamics, &a->dynamic_room, t->dynamic_count + 1u, sizeof *a->dynamics)) {
        *error = XML_MEMORY;
        return NS_NONE;
    }
    a->dynamics[t->dynamic_count] = d;
    return (uint16_t)(NS_DYNAMIC + t->dynamic_count++);
}

static enum xml_ns known_encoded(struct span raw)
{
    for (unsigned ns = NS_NONE + 1; ns < NS_KNOWN_COUNT; ns++) {
        if (xml_decode_compare(raw, true, xml_ns_uri((enum xml_ns)ns), false) == 0)
            return (enum xml_ns)ns;
    }
    return NS_NONE;
}

/* The namespace that a declaration names; it is not empty. */
static uint16_t declared_ns(struct xml_scan *t, const struct xml_attribute *a, enum xml_error *error)
{
    struct span raw = span_of(t->bytes + a->value, a->value_size);
    bool is_encoded = (a->flags & (XML_ATTR_REFERENCE | XML_ATTR_SPACE)) != 0;
    enum xml_ns ns = is_encoded ? known_encoded(raw) : xml_ns_find(raw);
    if (ns != NS_NONE)
        return (uint16_t)ns;
    uint32_t size = a->value_size | (is_encoded ? DYNAMIC_ENCODED : 0);
    return number_of(t, (struct xml_dynamic){a->value, size}, error);
}

/* --- declarations ---------------------------------------------------------------------------------------------------
 */

/* Namespaces s3: "xml" is bound to its name and only it; "xmlns" to its own, and must not be declared; s2.2: only the
 * default namespace can be undeclared. */
static bool is_allowed(struct span prefix, uint16_t ns, bool is_empty)
{
    if (ns == NS_XMLNS)
        return false;
    if (prefix.size == 0)
        return ns != NS_XML;
    if (span_equal(prefix, SPAN("xml")))
        return ns == NS_XML;
    return ns != NS_XML && !is_empty && !span_equal(prefix, SPAN("xmlns"));
}

/* Nothing is bound by it. The top-level element must not depend on it. */
static enum xml_error misdeclared(struct xml_scan *t, const struct xml_attribute *a, struct span prefix)
{
    struct span own = span_of(t->bytes + t->tag + 1, t->tag_prefix_size);
    bool is_same_kind = (a->prefix_size == 0) == (own.size == 0);
    return t->depth == 0 && is_same_kind && span_equal(prefix, own) ? XML_NAMESPACE : xml_spare(t);
}

static enum xml_error declare(struct xml_scan *t, struct xml_attribute *a)
{
    enum xml_error error = XML_OK;
    a->ns = NS_XMLNS;
    uint32_t skip = a->prefix_size ? a->prefix_size + 1u : a->name_size;
    struct span prefix = span_of(t->bytes + a->name + skip, a->name_size - skip);
    uint16_t ns = a->value_size ? declared_ns(t, a, &error) : NS_NONE;
    if (error != XML_OK)
        return error;
    bool is_nameless = a->prefix_size != 0 && prefix.size == 0; /* "xmlns:", a name that was spared */
    if (is_nameless || !is_allowed(prefix, ns, a->value_size == 0))
        return misdeclared(t, a, prefix);
    uint32_t in_scope = t->binding_count + (t->header ? t->header->count : 0u);
    uint32_t most = t->limits->namespace_max;
    if (!t->header && most > HEADER_MAX)
        most = HEADER_MAX;
    if (in_scope >= most)
        return XML_LIMIT_NAMESPACES;
    struct xml_arrays *arrays = &t->arrays;
    if (t->binding_count == arrays->binding_room &&
        !xml_grow(&arrays->bindings, &arrays->binding_room, t->binding_count + 1u, sizeof *arrays->bindings))
        return XML_MEMORY;
    arrays->bindings[t->binding_count++] = (struct xml_binding){a->name + skip, (uint16_t)prefix.size, ns};
    if (prefix.size == 0)
        t->default_ns = ns;
    t->flags |= XML_HAS_DECLARATION;
    return XML_OK;
}

static uint16_t header_ns(struct xml_scan *t, uint32_t i, enum xml_error *error)
{
    t->flags |= XML_USES_STREAM_PREFIX;
    t->prefixes_used |= 1u << i;
    if (t->header->bindings[i].ns != NS_DYNAMIC)
        return t->header->bindings[i].ns;
    if (t->header_ns[i] == 0)
        t->header_ns[i] = number_of(t, (struct xml_dynamic){i, DYNAMIC_HEADER}, error);
    return t->header_ns[i];
}

static uint16_t prefix_ns(struct xml_scan *t, struct span prefix, enum xml_error *error)
{
    /* Whether it was declared or not: it can only be bound to this. */
    if (span_equal(prefix, SPAN("xml")))
        return NS_XML;
    for (uint32_t i = t->binding_count; i-- > 0;) {
        const struct xml_binding *b = &t->arrays.bindings[i];
        if (b->prefix_size == prefix.size && memcmp(t->bytes + b->prefix, prefix.ptr, prefix.size) == 0)
            return b->ns;
    }
    for (uint32_t i = 0; t->header && i < t->header->count; i++) {
        if (span_equal(t->header->bindings[i].prefix, prefix))
            return header_ns(t, i, error);
    }
    *error = XML_NAMESPACE;
    return NS_NONE;
}

/* --- uniqueness -----------------------------------------------------------------------------------------------------
 */

static int size_compare(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int ns_compare(const struct xml_scan *t, uint16_t a, uint16_t b)
{
    if (a == b)
        return 0;
    /* Beyond the first DYNAMIC_SEARCH two numbers may stand for one name. */
    if (a >= NS_DYNAMIC && b >= NS_DYNAMIC)
        return dynamic_compare(t, &t->arrays.dynamics[a - NS_DYNAMIC], &t->arrays.dynamics[b - NS_DYNAMIC]);
    return (a > b) - (a < b);
}

/* By expanded name (Namespaces s6.3); declarations keep theirs apart. Two names that are the same as written, which
 * XML s3.1 forbids, always have equal expanded names. */
static int name_compare(const struct xml_scan *t, const struct xml_attribute *a, const struct xml_attribute *b)
{
    uint32_t a_skip = a->prefix_size ? a->prefix_size + 1u : 0;
    uint32_t b_skip = b->prefix_size ? b->prefix_size + 1u : 0;
    size_t a_size = a->name_size - a_skip;
    int order = size_compare(a_size, b->name_size - b_skip);
    if (order == 0)
        order = memcmp(t->bytes + a->name + a_skip, t->bytes + b->name + b_skip, a_size);
    if (order == 0)
        order = size_compare(a->prefix_size != 0, b->prefix_size != 0);
    return order ? order : ns_compare(t, a->ns, b->ns);
}

static int prefix_compare(const struct xml_scan *t, const struct xml_attribute *a, const struct xml_attribute *b)
{
    int order = size_compare(a->prefix_size, b->prefix_size);
    return order ? order : memcmp(t->bytes + a->name, t->bytes + b->name, a->prefix_size);
}

/* Equal expanded names lie together, and among them those that are the same as written. */
static int sort_compare(const struct xml_scan *t, const struct xml_attribute *a, const struct xml_attribute *b)
{
    int order = name_compare(t, a, b);
    return order ? order : prefix_compare(t, a, b);
}

/* XML_NOT_WELL_FORMED: the same as written; XML_NAMESPACE: only once expanded. */
static enum xml_error pair_error(const struct xml_scan *t, const struct xml_attribute *a, const struct xml_attribute *b)
{
    if (name_compare(t, a, b) != 0)
        return XML_OK;
    return prefix_compare(t, a, b) == 0 ? XML_NOT_WELL_FORMED : XML_NAMESPACE;
}

static void sift_down(const struct xml_scan *t, const struct xml_attribute *a, uint16_t *order, uint32_t at,
                      uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && sort_compare(t, &a[order[child]], &a[order[child + 1]]) < 0)
            child++;
        if (sort_compare(t, &a[order[at]], &a[order[child]]) >= 0)
            return;
        uint16_t kept = order[at];
        order[at] = order[child];
        order[child] = kept;
        at = child;
    }
}

/* A heap sort of indices: no recursion, n log n at worst. */
static enum xml_error check_sorted(const struct xml_scan *t, const struct xml_attribute *a, uint32_t count)
{
    uint16_t *order = malloc(count * sizeof *order);
    if (!order)
        return XML_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        order[i] = (uint16_t)i;
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(t, a, order, i, count);
    enum xml_error error = XML_OK;
    for (uint32_t left = count; left-- > 1 && error != XML_NOT_WELL_FORMED;) {
        uint16_t greatest = order[0];
        order[0] = order[left];
        sift_down(t, a, order, 0, left);
        enum xml_error pair = pair_error(t, &a[greatest], &a[order[0]]);
        error = pair == XML_OK ? error : pair;
    }
    free(order);
    return error;
}

/* Looks further behind a pair that only Namespaces forbids: what XML forbids is never spared. */
static enum xml_error check_unique(const struct xml_scan *t, const struct xml_attribute *a, uint32_t count)
{
    if (count > PAIRWISE_MAX)
        return check_sorted(t, a, count);
    enum xml_error error = XML_OK;
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t j = 0; j < i && error != XML_NOT_WELL_FORMED; j++) {
            enum xml_error pair = pair_error(t, &a[i], &a[j]);
            error = pair == XML_OK ? error : pair;
        }
    }
    return error;
}

enum xml_error xml_tag_resolve(struct xml_scan *t, uint16_t *ns)
{
    struct xml_attribute *a = t->arrays.attributes + t->tag_attribute;
    const struct xml_attribute *end = t->arrays.attributes + t->attribute_count;
    enum xml_error error = XML_OK;
    for (struct xml_attribute *i = a; (t->tag_flags & TAG_DECLARES) && i < end && error == XML_OK; i++) {
        if (i->flags & XML_ATTR_DECLARATION)
            error = declare(t, i);
    }
    *ns = t->default_ns;
    if (t->tag_prefix_size && error == XML_OK) {
        *ns = prefix_ns(t, span_of(t->bytes + t->tag + 1, t->tag_prefix_size), &error);
        if (error == XML_NAMESPACE && t->depth)
            error = xml_spare(t);
    }
    uint32_t prefixed = 0;
    for (struct xml_attribute *i = a; (t->tag_flags & TAG_PREFIXED) && i < end && error == XML_OK; i++) {
        if (i->prefix_size == 0 || (i->flags & XML_ATTR_DECLARATION))
            continue;
        i->ns = prefix_ns(t, span_of(t->bytes + i->name, i->prefix_size), &error);
        if (error == XML_NAMESPACE)
            error = xml_spare(t);
        prefixed++;
    }
    if (error == XML_OK && ((t->tag_flags & TAG_SUSPECT) || prefixed > 1)) {
        error = check_unique(t, a, (uint32_t)(end - a));
        if (error == XML_NAMESPACE)
            error = xml_spare(t);
    }
    return error;
}
