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

static bool read_thread(struct proc_thread *thread, int pid)
{
    char path[96], text[1024];
    unsigned long long first = 0, second = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%u/schedstat", pid, thread->tid);
    if (slurp(path, text, sizeof text) && sscanf(text, "%llu %llu", &first, &second) == 2) {
        thread->cpu_ns = first;
        thread->wait_ns = second;
        return true;
    }
    snprintf(path, sizeof path, "/proc/%d/task/%u/stat", pid, thread->tid);
    if (!slurp(path, text, sizeof text))
        return false;
    /* Fields 14 and 15, counted from behind the name, which may hold anything: utime and stime. */
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &first, &second) != 2)
        return false;
    thread->cpu_ns = (first + second) * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
    return true;
}

static bool read_threads(struct proc_sample *sample, int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL && sample->thread_count < PROC_THREADS_MAX;) {
        struct proc_thread thread = {.tid = (uint32_t)strtoul(entry->d_name, NULL, 10)};
        if (thread.tid && read_thread(&thread, pid)) /* not "." and "..", nor threads that ended just now */
            sample->threads[sample->thread_count++] = thread;
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
    read_machine(sample);
    return true;
}

static struct proc_thread find(const struct proc_sample *sample, uint32_t tid)
{
    for (uint32_t i = 0; i < sample->thread_count; i++)
        if (sample->threads[i].tid == tid)
            return sample->threads[i];
    return (struct proc_thread){0};
}

struct proc_use proc_use(const struct proc_sample *before, const struct proc_sample *after)
{
    struct proc_use use = {0};
    for (uint32_t i = 0; i < after->thread_count; i++) {
        struct proc_thread old = find(before, after->threads[i].tid);
        uint64_t cpu = after->threads[i].cpu_ns - old.cpu_ns, wait = after->threads[i].wait_ns - old.wait_ns;
        use.cpu_ns += cpu;
        use.wait_ns += wait;
        if (cpu > use.busiest_cpu_ns)
            use.busiest_cpu_ns = cpu;
    }
    return use;
}
