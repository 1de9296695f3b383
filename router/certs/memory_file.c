/* SPDX-License-Identifier: MIT */
#include "router/certs/memory_file_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD             "sluice certificates 1\n"
#define NAME_SIZE_MAX    4096u
#define CONTENT_SIZE_MAX REVOCATION_CRL_MAX

struct record_head {
    int64_t until;
    uint32_t name_size;
    uint32_t content_size;
    uint8_t kind;
    uint8_t zero[7];
};

static bool put(FILE *file, struct span bytes)
{
    return fwrite(bytes.ptr, 1, bytes.size, file) == bytes.size;
}

static bool write_all(FILE *file, const struct inquiries *inquiries)
{
    struct inquiries_memory memory;
    uint32_t position = 0;
    if (!put(file, SPAN(HEAD)))
        return false;
    while (inquiries_next_memory(inquiries, &position, &memory)) {
        const struct record_head head = {.until = memory.until,
                                         .name_size = (uint32_t)memory.name.size,
                                         .content_size = (uint32_t)memory.content.size,
                                         .kind = (uint8_t)memory.kind};
        if (!put(file, span_of(&head, sizeof head)) || !put(file, memory.name) || !put(file, memory.content))
            return false;
    }
    return fflush(file) == 0 && fsync(fileno(file)) == 0;
}

bool memory_file_write(const char *path, const struct inquiries *inquiries, struct err *err)
{
    char beside[4096];
    int size = snprintf(beside, sizeof beside, "%s.new", path);
    FILE *file = size > 0 && (size_t)size < sizeof beside ? fopen(beside, "wbe") : NULL;
    if (!file) {
        err_set(err, "%s: cannot write beside it: %s", path, strerror(errno));
        return false;
    }
    bool is_written = write_all(file, inquiries);
    int reason = errno;
    is_written = fclose(file) == 0 && is_written;
    if (is_written && rename(beside, path) == 0)
        return true;
    err_set(err, "%s: cannot be written: %s", path, strerror(is_written ? errno : reason));
    (void)unlink(beside);
    return false;
}

static struct span take(FILE *file, size_t size)
{
    char *bytes = malloc(size + 1);
    if (bytes && fread(bytes, 1, size, file) == size)
        return span_of(bytes, size);
    free(bytes);
    return SPAN_NONE;
}

static bool read_record(FILE *file, struct inquiries *inquiries, int64_t now)
{
    struct record_head head;
    if (fread(&head, 1, sizeof head, file) != sizeof head || head.name_size > NAME_SIZE_MAX ||
        head.content_size > CONTENT_SIZE_MAX)
        return false;
    struct span name = take(file, head.name_size), content = take(file, head.content_size);
    bool is_whole = name.ptr && content.ptr;
    if (is_whole) {
        const struct inquiries_memory memory = {(char)head.kind, name, content, head.until};
        inquiries_remember(inquiries, &memory, now);
    }
    span_free(&name);
    span_free(&content);
    return is_whole;
}

bool memory_file_read(const char *path, struct inquiries *inquiries, int64_t now, struct err *err)
{
    char head[sizeof HEAD - 1];
    FILE *file = fopen(path, "rbe");
    if (!file && errno == ENOENT)
        return true;
    if (!file) {
        err_set(err, "%s: cannot be read: %s", path, strerror(errno));
        return false;
    }
    bool is_ours = fread(head, 1, sizeof head, file) == sizeof head && memcmp(head, HEAD, sizeof head) == 0;
    if (!is_ours)
        err_set(err, "%s: not a file of certificate answers that this version wrote; move it away", path);
    while (is_ours && read_record(file, inquiries, now)) {
    }
    fclose(file);
    return is_ours;
}
