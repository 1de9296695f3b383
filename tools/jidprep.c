/* SPDX-License-Identifier: MIT */
/*
 * jidprep: what becomes of an XMPP address under RFC 7622, or why it is refused. For whoever imports accounts, writes
 * configuration, or wonders why a server says <jid-malformed/>.
 */
#include "core/base/utf8.h"
#include "core/jid/jid.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uniname.h>
#include <unictype.h>

enum exit_code { EXIT_ALL_PREPARED = 0, EXIT_SOME_REFUSED = 1, EXIT_USAGE = 2 };

static const char usage[] =
    "usage: jidprep [--parts] [ADDRESS...]\n"
    "Prepares XMPP addresses as RFC 7622 says: those given, or the lines of standard input.\n"
    "Prints each address and what it becomes, or why it is refused.\n"
    "\n"
    "  --parts   print the localpart, domainpart and resourcepart on lines of their own\n"
    "  --help    print this\n"
    "\n"
    "Exit status: 0 when all are valid, 1 when one is refused, 2 when the command line or input cannot be read.\n";

/* Control, format, separator and private characters could disturb a terminal or hide: they are shown by number. */
static bool is_shown_by_number(uint32_t code_point)
{
    return uc_is_general_category_withtable(code_point, UC_CATEGORY_MASK_C | UC_CATEGORY_MASK_Zl | UC_CATEGORY_MASK_Zp);
}

static void print_text(struct span text)
{
    while (text.size > 0) {
        uint32_t code_point = 0;
        unsigned size = utf8_decode(text, &code_point);
        if (size == 0) {
            printf("\\x%02X", (unsigned char)text.ptr[0]);
            size = 1;
        } else if (is_shown_by_number(code_point)) {
            printf("\\u{%04X}", code_point);
        } else {
            printf("%.*s", (int)size, text.ptr);
        }
        text = span_skip(text, size);
    }
}

static void print_refusal(enum jid_status status, const struct jid_reason *reason)
{
    printf(": refused: %s", jid_status_text(status));
    if (reason->code_point != JID_NO_CODE_POINT) {
        char name[UNINAME_MAX];
        const char *found = unicode_character_name(reason->code_point, name);
        printf(" U+%04X %s%s%s.", reason->code_point, found ? found : "", found ? " " : "", reason->rule);
    } else if (reason->rule) {
        printf(" Here %s.", reason->rule);
    }
    putchar('\n');
}

static void print_parts(const struct jid *jid)
{
    if (jid->local_size > 0) {
        fputs("  localpart     ", stdout);
        print_text(jid_local(jid));
        putchar('\n');
    }
    fputs("  domainpart    ", stdout);
    print_text(jid_domain(jid));
    putchar('\n');
    if (jid->resource_size > 0) {
        fputs("  resourcepart  ", stdout);
        print_text(jid_resource(jid));
        putchar('\n');
    }
}

static bool show(struct span address, bool with_parts)
{
    struct jid_buffer buffer;
    struct jid jid;
    struct jid_reason reason;
    enum jid_status status = jid_explain(address, &buffer, &jid, &reason);
    print_text(address);
    if (status != JID_OK) {
        print_refusal(status, &reason);
        return false;
    }
    fputs(" -> ", stdout);
    print_text(jid_full(&jid));
    putchar('\n');
    if (with_parts)
        print_parts(&jid);
    return true;
}

static enum exit_code show_lines(bool with_parts)
{
    enum exit_code code = EXIT_ALL_PREPARED;
    char *line = NULL;
    size_t room = 0;
    ssize_t size = 0;
    while ((size = getline(&line, &room, stdin)) > 0) {
        size_t used = (size_t)size;
        if (line[used - 1] == '\n')
            used--;
        if (!show(span_of(line, used), with_parts))
            code = EXIT_SOME_REFUSED;
    }
    free(line);
    if (ferror(stdin)) {
        perror("jidprep: cannot read standard input");
        return EXIT_USAGE;
    }
    return code;
}

int main(int argc, char **argv)
{
    bool with_parts = false;
    int first = 1;
    for (; first < argc && strncmp(argv[first], "--", 2) == 0; first++) {
        if (strcmp(argv[first], "--") == 0) {
            first++;
            break;
        }
        if (strcmp(argv[first], "--help") == 0) {
            fputs(usage, stdout);
            return EXIT_ALL_PREPARED;
        }
        if (strcmp(argv[first], "--parts") != 0) {
            fprintf(stderr, "jidprep: unknown option %s\n%s", argv[first], usage);
            return EXIT_USAGE;
        }
        with_parts = true;
    }
    enum exit_code code = EXIT_ALL_PREPARED;
    if (first == argc)
        code = show_lines(with_parts);
    for (int i = first; i < argc; i++) {
        if (!show(span_str(argv[i]), with_parts))
            code = EXIT_SOME_REFUSED;
    }
    if (fflush(stdout) != 0) {
        perror("jidprep: cannot write standard output");
        return EXIT_USAGE;
    }
    return (int)code;
}
