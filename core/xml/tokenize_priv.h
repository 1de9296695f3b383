/* SPDX-License-Identifier: MIT */
/*
 * Tokenize: the hot path from '<' to the end of a top-level element, compiled once per scanner.
 *
 * A template: the including file defines TOKENIZE (the function's name) and the scanner, before including this:
 *   scan_text(low, reach, p, end, refers)  first byte of p..end that is neither plain character data nor of a reference
 *                                          to one of the five entities, or end; sets refers when it passed one
 *   scan_value(low, reach, p, end, quote)  first byte that is not plain in an attribute value quoted so, or end
 *   scan_name(low, reach, p, end)          size of the run of ASCII name characters other than ':' at p; SCAN_NAME_MAX:
 * or more scan_name_in(w, ...), scan_value_in(w, ...)  the same within a tag; w may remember what it saw
 *   scan_is_equal(reach, a, b, n, end)
 * A scanner may stop early anywhere; it never passes a byte that is not plain. low is the first readable byte; reach:
 * see struct xml_scan.
 *
 * Every function takes the next byte and returns the byte to go on with, or NULL after a verdict (suspended at the end
 * of the bytes, refused, done). State is written on suspension only.
 */
#define HOT static inline __attribute__((always_inline))

HOT bool starts_name(char c)
{
    return (xml_class[(uint8_t)c] & CLASS_NAME_START) != 0;
}

/* A token up to this size that is cut is begun again with the next bytes: in one step, where going on in its middle
 * takes one for each byte. */
#define AGAIN_MAX 29u

/* A name that was cut, with nothing wrong so far. */
HOT bool is_begun_name(const struct xml_scan *t, const char *p, uint32_t size)
{
    return size <= AGAIN_MAX && size <= t->limits->name_size_max && (size == 0 || starts_name(*p));
}

/* The name at p: returns the byte behind it. */
HOT const char *take_name(struct xml_scan *t, struct scan_window *w, const char *p, const char *end,
                          enum xml_state state)
{
    uint32_t size = scan_name_in(w, t->bytes, t->reach, p, end);
    const char *stop = p + size;
    if (__builtin_expect(stop == end, 0) && is_begun_name(t, p, size))
        return state == STATE_START_NAME ? xml_suspend(t, p, STATE_MARKUP) : xml_suspend(t, p - 1, STATE_AFTER);
    t->token = (uint32_t)(p - t->bytes);
    t->colon = 0;
    bool is_plain = size < SCAN_NAME_MAX && stop < end && (uint8_t)*stop < 0x80 && *stop != ':' &&
                    size <= t->limits->name_size_max && starts_name(*p);
    return __builtin_expect(is_plain, 1) ? stop : xml_careful_name(t, p, end, state);
}

/* At a reference that is not one of the five, whole: one that was cut and may become one of them is begun again. The
 * state says in what it stands: STATE_CONTENT or STATE_VALUE. */
static const char *take_odd_reference(struct xml_scan *t, const char *p, const char *end, enum xml_state state)
{
    static const char five[][8] = {"&amp;", "&lt;", "&gt;", "&apos;", "&quot;"};
    size_t size = (size_t)(end - p);
    for (unsigned i = 0; i < 5 && size < 6; i++) {
        if (memcmp(p, five[i], size) == 0 && five[i][size] != 0)
            return xml_suspend(t, p, state);
    }
    return xml_careful_reference(t, p + 1, end, STATE_REF);
}

HOT const char *take_reference(struct xml_scan *t, const char *p, const char *end)
{
    uint32_t size = scan_reference(p, end);
    if (__builtin_expect(size == 0, 0))
        return take_odd_reference(t, p, end, STATE_VALUE);
    t->flags |= XML_HAS_REFERENCE;
    return p + size;
}

HOT const char *take_text(struct xml_scan *t, const char *p, const char *end)
{
    for (;;) {
        bool refers = false;
        p = scan_text(t->bytes, t->reach, p, end, &refers);
        t->flags |= refers ? XML_HAS_REFERENCE : 0;
        if (p == end)
            return xml_suspend(t, p, STATE_CONTENT);
        if (__builtin_expect(*p == '<', 1))
            return p;
        if (*p == '&')
            p = take_odd_reference(t, p, end, STATE_CONTENT);
        else
            p = xml_careful_char(t, p, end, STATE_CONTENT);
        if (!p)
            return NULL;
    }
}

/* The rest of a CDATA section: it ends at "]]>", and the two brackets are always its own (XML s2.7). */
static const char *take_cdata(struct xml_scan *t, const char *p, const char *end)
{
    for (;;) {
        bool refers = false; /* nothing does in a CDATA section: what looks so is plain */
        p = scan_text(t->bytes, t->reach, p, end, &refers);
        if (p == end)
            return xml_suspend(t, p, STATE_CDATA);
        if (*p == '>' && p[-1] == ']' && p[-2] == ']')
            return p + 1;
        if (*p == '<' || *p == '&' || *p == '>')
            p++;
        else
            p = xml_careful_char(t, p, end, STATE_CDATA);
        if (!p)
            return NULL;
    }
}

/* --- end of an element ---------------------------------------------------------------------------------------------
 */

/* p is behind the end tag's '>'. */
HOT const char *close_element(struct xml_scan *t, const char *p)
{
    const struct xml_open *open = &t->arrays.open[--t->depth];
    uint32_t end = (uint32_t)(p - t->bytes);
    t->binding_count = open->bindings;
    if (__builtin_expect(t->trail != NULL, 0)) {
        if (!xml_trail_end(t->trail, open->name_size, t->tag, end))
            return xml_refuse(t, p - 1, XML_MEMORY);
    } else {
        struct xml_element *e = &t->arrays.elements[open->index];
        e->tail = t->tag;
        e->end = end;
        e->next = t->element_count;
    }
    if (t->depth == 0)
        return xml_done(t, p, VERDICT_STANZA);
    t->default_ns = open[-1].default_ns;
    return p;
}

/* p is behind "</". */
HOT const char *take_end_tag(struct xml_scan *t, const char *p, const char *end)
{
    if (__builtin_expect(t->depth == 0, 0))
        return xml_careful_close(t, p, end);
    const struct xml_open *open = &t->arrays.open[t->depth - 1];
    size_t size = open->name_size;
    if (__builtin_expect((size_t)(end - p) > size && p[size] == '>', 1) &&
        scan_is_equal(t->reach, t->bytes + open->start + 1, p, size, end))
        return close_element(t, p + size + 1);
    size_t left = (size_t)(end - p);
    if (left <= size && left <= AGAIN_MAX && memcmp(t->bytes + open->start + 1, p, left) == 0)
        return xml_suspend(t, p - 1, STATE_MARKUP);
    p = xml_careful_close(t, p, end);
    return p ? close_element(t, p) : NULL;
}

/* --- start tags ----------------------------------------------------------------------------------------------------
 */

/* p is at the tag's '>'. */
HOT const char *finish_tag(struct xml_scan *t, const char *p, bool is_empty)
{
    uint16_t ns = t->default_ns;
    uint16_t bindings = t->binding_count;
    uint16_t outer_default = t->default_ns;
    if ((t->tag_flags | t->tag_prefix_size) != 0) {
        enum xml_error error = xml_tag_resolve(t, &ns);
        if (error != XML_OK)
            return xml_refuse(t, p, error);
    }
    uint16_t attributes = (uint16_t)(t->attribute_count - t->tag_attribute);
    struct xml_element noted;
    struct xml_element *e = &noted;
    if (__builtin_expect(t->trail == NULL, 1)) {
        if (t->element_count == t->arrays.element_room && !xml_grow_elements(t))
            return xml_refuse(t, p, XML_MEMORY);
        e = &t->arrays.elements[t->element_count];
    }
    uint32_t body = (uint32_t)(p + 1 - t->bytes);
    *e = (struct xml_element){t->tag,
                              body,
                              body,
                              body,
                              t->tag_attribute,
                              t->element_count + 1,
                              attributes,
                              t->tag_name_size,
                              t->tag_prefix_size,
                              t->depth,
                              ns};
    if (__builtin_expect(t->trail != NULL, 0)) {
        uint16_t parent_ns = t->depth ? t->arrays.open[t->depth - 1].ns : (uint16_t)NS_NONE;
        if (!xml_trail_start(t->trail, e, parent_ns, is_empty, t->arrays.attributes))
            return xml_refuse(t, p, XML_MEMORY);
        t->attribute_count = 0;
    }
    t->attribute_total += attributes;
    uint32_t index = t->element_count++;
    if (is_empty || __builtin_expect(!t->header, 0)) {
        if (!t->header)
            return xml_done(t, p + 1, VERDICT_HEADER);
        t->binding_count = bindings;
        t->default_ns = outer_default;
        return t->depth ? p + 1 : xml_done(t, p + 1, VERDICT_STANZA);
    }
    if (t->depth == t->arrays.open_room && !xml_grow_open(t))
        return xml_refuse(t, p, XML_MEMORY);
    t->arrays.open[t->depth++] = (struct xml_open){t->tag, index, t->tag_name_size, ns, t->default_ns, bindings};
    return p + 1;
}

HOT const char *take_value(struct xml_scan *t, const char *p, const char *end)
{
    struct xml_attribute *a = &t->arrays.attributes[t->attribute_count];
    for (;;) {
        p = scan_value(t->bytes, t->reach, p, end, (char)t->quote);
        if (p == end)
            return xml_suspend(t, p, STATE_VALUE);
        if (__builtin_expect(*p == (char)t->quote, 1)) {
            a->value_size = (uint32_t)(p - t->bytes) - a->value;
            t->attribute_count++;
            return p + 1;
        }
        if (*p == '&') {
            a->flags |= XML_ATTR_REFERENCE;
            p = take_reference(t, p, end);
        } else {
            p = xml_careful_char(t, p, end, STATE_VALUE);
        }
        if (!p)
            return NULL;
    }
}

HOT const char *take_quote(struct xml_scan *t, const char *p, const char *end)
{
    while (p < end && xml_is_space(*p))
        p++;
    if (p == end)
        return xml_suspend(t, p, STATE_QUOTE);
    if (*p != '\'' && *p != '"')
        return xml_refuse_byte(t, p);
    t->back = STATE_VALUE;
    t->quote = (uint8_t)*p++;
    t->arrays.attributes[t->attribute_count].value = (uint32_t)(p - t->bytes);
    return take_value(t, p, end);
}

HOT const char *take_equals(struct xml_scan *t, const char *p, const char *end)
{
    while (p < end && xml_is_space(*p))
        p++;
    if (p == end)
        return xml_suspend(t, p, STATE_EQUALS);
    if (*p != '=')
        return xml_refuse_byte(t, p);
    return take_quote(t, p + 1, end);
}

/* Different bits prove different names; only a shared bit makes tag.c compare. */
HOT uint64_t name_bit(const char *name, uint32_t size)
{
    return 1ull << (((uint8_t)name[0] + 5u * size) & 63u);
}

HOT bool is_declaration(const char *name, uint32_t size, uint32_t prefix)
{
    return *name == 'x' && size >= 5 && memcmp(name, "xmlns", 5) == 0 && (size == 5 || prefix == 5);
}

/* p is behind the attribute's name. */
HOT const char *finish_attr_name(struct xml_scan *t, const char *p, const char *end)
{
    struct xml_attribute *a = &t->arrays.attributes[t->attribute_count];
    const char *name = t->bytes + t->token;
    uint32_t size = (uint32_t)(p - name);
    a->name = t->token;
    a->name_size = (uint16_t)size;
    a->prefix_size = t->colon;
    a->ns = NS_NONE;
    a->flags = 0;
    unsigned tag_flags = t->tag_flags;
    if (t->colon)
        tag_flags |= TAG_PREFIXED;
    if (is_declaration(name, size, t->colon)) {
        a->flags = XML_ATTR_DECLARATION;
        tag_flags |= TAG_DECLARES;
    }
    uint64_t bit = name_bit(name, size);
    if (t->tag_seen & bit)
        tag_flags |= TAG_SUSPECT;
    t->tag_seen |= bit;
    t->tag_flags = (uint8_t)tag_flags;
    return take_equals(t, p, end);
}

static const char *take_attribute(struct xml_scan *t, struct scan_window *w, const char *p, const char *end)
{
    if (t->attribute_count - t->tag_attribute >= t->limits->attribute_max)
        return xml_refuse(t, p, XML_LIMIT_ATTRIBUTES);
    if (t->attribute_count == t->arrays.attribute_room && !xml_grow_attributes(t))
        return xml_refuse(t, p, XML_MEMORY);
    p = take_name(t, w, p, end, STATE_ATTR_NAME);
    return p ? finish_attr_name(t, p, end) : NULL;
}

/* The longest plain name, and the bytes from the space before it to the value: readable without a look at end. */
#define PLAIN_NAME_MAX  29u
#define PLAIN_HEAD_SIZE 34

/* What is left of a plain name behind the ':' of its prefix; 0: the careful way has to look. */
HOT uint32_t take_local_part(struct xml_scan *t, struct scan_window *w, const char *p, const char *end)
{
    uint32_t size = scan_name_in(w, t->bytes, t->reach, p, end);
    return starts_name(*p) ? size : 0;
}

/* The attributes of the usual form, one space before each and none around '=', in one loop: most time is spent here.
 * Stops before the first that is different. */
HOT const char *take_plain_attributes(struct xml_scan *t, struct scan_window *w, const char *p, const char *end)
{
    const char *bytes = t->bytes;
    const ptrdiff_t reach = t->reach;
    const ptrdiff_t slack = reach ? PLAIN_HEAD_SIZE : 0; /* behind a cut element's end there are zeros */
    uint32_t most = t->tag_attribute + t->limits->attribute_max;
    most = most < t->arrays.attribute_room ? most : t->arrays.attribute_room;
    struct xml_attribute *a = t->arrays.attributes + t->attribute_count;
    const struct xml_attribute *last = t->arrays.attributes + most;
    const uint32_t name_max = t->limits->name_size_max < PLAIN_NAME_MAX ? t->limits->name_size_max : PLAIN_NAME_MAX;
    uint64_t seen = t->tag_seen;
    uint64_t twice = 0;
    uint32_t prefixes = 0;
    uint32_t declarations = 0;
    const char *stop = NULL;
    char quote = 0;
    while (a < last && end - p >= slack && *p == ' ') {
        const char *name = p + 1;
        uint32_t size = scan_name_in(w, bytes, reach, name, end);
        uint32_t prefix = 0;
        if (__builtin_expect(size < PLAIN_NAME_MAX && name[size] == ':', 0)) {
            uint32_t local = take_local_part(t, w, name + size + 1, end);
            prefix = size;
            size = local ? size + 1 + local : 0;
        }
        if (size - 1u >= name_max || !starts_name(*name) || name[size] != '=')
            break;
        quote = name[size + 1];
        if (quote != '\'' && quote != '"')
            break;
        const char *value = name + size + 2;
        stop = scan_value_in(w, bytes, reach, value, end, quote);
        uint64_t bit = name_bit(name, size);
        bool declares = *name == 'x' && is_declaration(name, size, prefix);
        twice |= seen & bit;
        seen |= bit;
        prefixes |= prefix;
        declarations |= declares;
        *a = (struct xml_attribute){(uint32_t)(name - bytes),
                                    (uint32_t)(value - bytes),
                                    (uint32_t)(stop - value),
                                    (uint16_t)size,
                                    (uint16_t)prefix,
                                    NS_NONE,
                                    declares ? XML_ATTR_DECLARATION : 0};
        p = stop;
        if (__builtin_expect(stop == end || *stop != quote, 0))
            break;
        a++;
        p++;
    }
    t->attribute_count = (uint32_t)(a - t->arrays.attributes);
    t->tag_seen = seen;
    t->tag_flags |=
        (uint8_t)((declarations ? TAG_DECLARES : 0) | (prefixes ? TAG_PREFIXED : 0) | (twice ? TAG_SUSPECT : 0));
    if (__builtin_expect(p != stop || !stop, 1))
        return p;
    t->back = STATE_VALUE;
    t->quote = (uint8_t)quote;
    return take_value(t, p, end);
}

HOT const char *take_empty(struct xml_scan *t, const char *p, const char *end)
{
    if (p == end)
        return xml_suspend(t, p, STATE_EMPTY);
    if (*p != '>')
        return xml_refuse_byte(t, p);
    return finish_tag(t, p, true);
}

/* p is behind the element's name or an attribute. */
HOT const char *take_tag(struct xml_scan *t, struct scan_window *w, const char *p, const char *end, bool is_spaced)
{
    while (p) {
        if (!is_spaced && p < end && *p == ' ') {
            p = take_plain_attributes(t, w, p, end);
            if (!p)
                return NULL;
        }
        if (p < end && xml_is_space(*p)) {
            is_spaced = true;
            p++;
            while (p < end && __builtin_expect(xml_is_space(*p), 0))
                p++;
        }
        if (p == end)
            return xml_suspend(t, p, is_spaced ? STATE_SPACED : STATE_AFTER);
        if (*p == '>')
            return finish_tag(t, p, false);
        if (*p == '/')
            return take_empty(t, p + 1, end);
        if (!is_spaced)
            return xml_refuse_byte(t, p);
        p = take_attribute(t, w, p, end);
        is_spaced = false;
    }
    return NULL;
}

/* The same for a tag that was cut. */
static const char *take_tag_rest(struct xml_scan *t, const char *p, const char *end, bool is_spaced)
{
    struct scan_window w = {.base = NULL};
    return take_tag(t, &w, p, end, is_spaced);
}

HOT const char *finish_start_name(struct xml_scan *t, const char *p)
{
    t->tag_name_size = (uint16_t)((uint32_t)(p - t->bytes) - t->token);
    t->tag_prefix_size = t->colon;
    return p;
}

HOT const char *take_start_tag(struct xml_scan *t, const char *p, const char *end)
{
    if (t->depth >= t->limits->depth_max)
        return xml_refuse(t, p, XML_LIMIT_DEPTH);
    if (t->element_count >= t->limits->element_max)
        return xml_refuse(t, p, XML_LIMIT_ELEMENTS);
    t->tag_attribute = t->attribute_count;
    t->tag_seen = 0;
    t->tag_flags = 0;
    struct scan_window window = {.base = NULL};
    p = take_name(t, &window, p, end, STATE_START_NAME);
    return p ? take_tag(t, &window, finish_start_name(t, p), end, false) : NULL;
}

/* p is behind '<'. */
HOT const char *take_markup(struct xml_scan *t, const char *p, const char *end)
{
    if (p == end)
        return xml_suspend(t, p, STATE_MARKUP);
    t->tag = (uint32_t)(p - 1 - t->bytes);
    if (*p == '/')
        return take_end_tag(t, p + 1, end);
    if (__builtin_expect(*p == '?', 0))
        return xml_careful_pi(t, p + 1, end);
    if (__builtin_expect(*p == '!', 0)) {
        t->matched = 0;
        p = xml_careful_bang(t, p + 1, end);
        return p ? take_cdata(t, p, end) : NULL;
    }
    return take_start_tag(t, p, end);
}

/* Ends the token in which the bytes ran out. */
static const char *resume_reference(struct xml_scan *t, const char *p, const char *end)
{
    p = xml_careful_reference(t, p, end, (enum xml_state)t->state);
    if (!p || t->back == STATE_CONTENT)
        return p;
    p = take_value(t, p, end);
    return p ? take_tag_rest(t, p, end, false) : NULL;
}

static const char *resume_tag(struct xml_scan *t, const char *p, const char *end)
{
    enum xml_state state = (enum xml_state)t->state;
    if (state == STATE_ATTR_NAME) {
        p = xml_careful_name(t, p, end, STATE_ATTR_NAME);
        if (p)
            p = finish_attr_name(t, p, end);
    } else if (state == STATE_START_NAME) {
        p = xml_careful_name(t, p, end, STATE_START_NAME);
        if (p)
            p = finish_start_name(t, p);
    } else if (state == STATE_EQUALS) {
        p = take_equals(t, p, end);
    } else if (state == STATE_QUOTE) {
        p = take_quote(t, p, end);
    } else if (state == STATE_VALUE) {
        p = take_value(t, p, end);
    }
    return p ? take_tag_rest(t, p, end, state == STATE_SPACED) : NULL;
}

static const char *resume_close(struct xml_scan *t, const char *p, const char *end)
{
    if (t->state == STATE_CLOSE_NAME)
        p = xml_careful_close(t, p, end);
    else
        p = xml_careful_close_end(t, p, end);
    return p ? close_element(t, p) : NULL;
}

static const char *resume(struct xml_scan *t, const char *p, const char *end)
{
    switch ((enum xml_state)t->state) {
    case STATE_CONTENT:
        return p;
    case STATE_MARKUP:
        return p - 1;
    case STATE_EMPTY:
        return take_empty(t, p, end);
    case STATE_CLOSE_NAME:
    case STATE_CLOSE_END:
        return resume_close(t, p, end);
    case STATE_BANG:
        p = xml_careful_bang(t, p, end);
        return p ? take_cdata(t, p, end) : NULL;
    case STATE_CDATA:
        return take_cdata(t, p, end);
    case STATE_PI:
        return xml_careful_pi(t, p, end);
    case STATE_DECLARATION:
        return xml_careful_declaration(t, p, end);
    case STATE_REF:
    case STATE_REF_NAME:
    case STATE_REF_NUMBER:
    case STATE_REF_DECIMAL:
    case STATE_REF_HEX:
        return resume_reference(t, p, end);
    case STATE_START_NAME:
    case STATE_AFTER:
    case STATE_SPACED:
    case STATE_ATTR_NAME:
    case STATE_EQUALS:
    case STATE_QUOTE:
    case STATE_VALUE:
        return resume_tag(t, p, end);
    }
    return NULL;
}

void TOKENIZE(struct xml_scan *t, const char *end)
{
    const char *p = t->bytes + t->at;
    p = t->state == STATE_MARKUP ? p - 1 : resume(t, p, end);
    while (p) {
        t->back = STATE_CONTENT;
        if (p == end || *p != '<')
            p = take_text(t, p, end);
        if (p)
            p = take_markup(t, p + 1, end);
    }
}
