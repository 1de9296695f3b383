/* SPDX-License-Identifier: MIT */
#include "bench/proc.h"

#include "core/base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Files of /proc come whole with one read. False: there is none. */
static bool slurp(const char *path, char *text, size_t room)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t size = fread(text, 1, room - 1, file);
    text[size] = '\0';
    fclose(file);
    return size > 0;
}

/* "NAME:   123 kB" as bytes; 0 when there is no such line. */
static uint64_t kilobytes(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found ? strtoull(found + strlen(name), NULL, 10) * 1024 : 0;
}

static bool thread_cpu(int pid, uint32_t tid, uint64_t *ns)
{
    char path[96], text[1024];
    snprintf(path, sizeof path, "/proc/%d/task/%u/schedstat", pid, tid);
    if (slurp(path, text, sizeof text)) {
        *ns = strtoull(text, NULL, 10);
        return true;
    }
    snprintf(path, sizeof path, "/proc/%d/task/%u/stat", pid, tid);
    if (!slurp(path, text, sizeof text))
        return false;
    /* Fields 14 and 15, counted from behind the name, which may hold anything: utime and stime. */
    const char *rest = strrchr(text, ')');
    unsigned long long user = 0, system = 0;
    if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        return false;
    *ns = (user + system) * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
    return true;
}

static bool read_threads(struct proc_sample *sample, int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        uint32_t tid = (uint32_t)strtoul(entry->d_name, NULL, 10);
        uint64_t ns;
        if (!tid || !thread_cpu(pid, tid, &ns))
            continue; /* "." and "..", and threads that ended just now */
        sample->cpu_ns += ns;
        if (sample->thread_count < PROC_THREADS_MAX)
            sample->threads[sample->thread_count++] = (struct proc_thread){tid, ns};
    }
    closedir(folder);
    return sample->thread_count > 0;
}

static void read_machine(struct proc_sample *sample)
{
    char text[8192];
    if (slurp("/proc/meminfo", text, sizeof text))
        sample->slab = kilobytes(text, "\nSlab:");
    if (!slurp("/proc/net/sockstat", text, sizeof text))
        return;
    const char *tcp = strstr(text, "\nTCP:");
    const char *pages = tcp ? strstr(tcp, " mem ") : NULL;
    if (pages)
        sample->tcp_memory = strtoull(pages + 5, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

bool proc_read(struct proc_sample *sample, int pid, struct err *err)
{
    char path[64], text[8192];
    *sample = (struct proc_sample){.wall_ns = clock_mono_ns()};
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (!slurp(path, text, sizeof text) || !read_threads(sample, pid)) {
        err_set(err, "process %d: %s", pid, strerror(errno ? errno : ESRCH));
        return false;
    }
    sample->rss = kilobytes(text, "\nVmRSS:");
    sample->anonymous = kilobytes(text, "\nRssAnon:");
    read_machine(sample);
    return true;
}

static uint64_t cpu_of(const struct proc_sample *sample, uint32_t tid)
{
    for (uint32_t i = 0; i < sample->thread_count; i++)
        if (sample->threads[i].tid == tid)
            return sample->threads[i].cpu_ns;
    return 0;
}

uint64_t proc_busiest_ns(const struct proc_sample *before, const struct proc_sample *after)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < after->thread_count; i++) {
        uint64_t used = after->threads[i].cpu_ns - cpu_of(before, after->threads[i].tid);
        if (used > most)
            most = used;
    }
    return most;
}
