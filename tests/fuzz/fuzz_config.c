/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the configuration file, of any bytes. It is refused whole, with a reason; or what was understood of it,
 * printed, is understood as the same.
 *
 * Built by clang with -fsanitize=fuzzer it searches; with replay.c it runs its corpus as a normal test.
 */
#include "router/admin/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "fuzz_config: %s\n", what);
    abort();
}

static struct config *load(const void *data, size_t size)
{
    static char path[] = "/tmp/sluice-fuzz-XXXXXX";
    static int fd = -1;
    struct err err = {0};
    if (fd < 0)
        fd = mkstemp(path);
    check(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "the file of the test");
    struct config *config = config_load(path, NULL, 0, &err);
    check(config || err.text[0], "refused without a reason");
    check(!config || config->domain_count, "taken, and there is no domain");
    return config;
}

static char *print(const struct config *config, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    check(out != NULL, "memory");
    config_print(config, out);
    fclose(out);
    return text;
}

/* Behind each key stands where it is from, as a comment; the last of its line. */
static void strip(char *text)
{
    for (char *line = text, *end; *line; line = end) {
        end = strchrnul(line, '\n');
        for (char *at = end; at > line + 4; at--) {
            if (memcmp(at - 4, "; # ", 4) == 0) {
                memset(at - 4, ' ', (size_t)(end - at) + 4);
                break;
            }
        }
        end += *end == '\n';
        char *last = end;
        while (last > line && (last[-1] == ' ' || last[-1] == '\n'))
            last--;
        if (last == end)
            continue;
        memmove(last + 1, end, strlen(end) + 1);
        *last = '\n';
        end = last + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* What the library reads by itself, beside the file, is not the target's to give. */
    static const char *const others[] = {"include", "load", "inherit", "priority"};
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
        if (memmem(data, size, others[i], strlen(others[i])))
            return 0;
    struct config *config = size <= 4096 ? load(data, size) : NULL;
    if (!config)
        return 0;
    size_t first_size, second_size;
    char *first = print(config, &first_size);
    config_unref(config);
    config = load(first, first_size);
    check(config != NULL, "does not understand what it has printed");
    char *second = print(config, &second_size);
    strip(first);
    strip(second);
    check(strcmp(first, second) == 0, "understands it as something else");
    config_unref(config);
    free(first);
    free(second);
    return 0;
}
