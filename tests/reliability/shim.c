/* A preload library that sees every call that changes the disk below one folder.
 *
 * It counts them over all processes of one operation, and at the n-th ends the operation as a machine that dies would,
 * or has the call fail, or it writes down what was done, for a replay of what a disk may hold after a power cut.
 * `shim.py` compiles it, makes the page of memory that all processes share, and says what is wanted there.
 *
 * Seen: open with O_CREAT or O_TRUNC, creat, mkstemp, write, pwrite, writev, pwritev to regular files, rename, link,
 * symlink, unlink, remove, mkdir, mkdtemp, rmdir, truncate, fallocate, copy_file_range, sendfile, fsync, fdatasync,
 * sync_file_range, syncfs, chmod, utimes, and what stdio writes (when it is flushed: streams get a buffer of 1 MiB).
 * Not seen: memory that is mapped (SQLite's -shm file, which is made anew), system calls without the C library, and
 * programs that are linked statically.
 *
 * The environment: CRASHPOINT=PAGE or PAGE#GENERATION. It is handed on through every exec, whatever environment the
 * program gives to its children, and so is LD_PRELOAD.
 *
 * Record: one line for each call that succeeded, in the order of completion, eight fields with tabs between:
 *     seq pid op path path2 offset length hexdata
 *     create path - - MODE          a file that was not there before
 *     trunc path - - SIZE           the file has this size now (also O_TRUNC, fallocate beyond the end)
 *     write path - OFFSET LENGTH HEX
 *     rename|link OLD NEW           symlink NEW TARGET          unlink|rmdir path
 *     mkdir|chmod path - - MODE     fsync|fdatasync|syncfs path (a file or a folder)
 *     mark TEXT                     a test's note; with HEX: what was written to standard output (TEXT is "stdout")
 * A field that is not there is empty. Numbers are decimal. In paths tab, newline and backslash are \t \n \\. Paths are
 * absolute with every link in their folders followed; that of a file that was unlinked ends in " (deleted)".
 * Children inherit standard output: the pid of a "stdout" mark says whose it was.
 * Opening the path "/crashpoint-mark/TEXT" in any process writes a mark, and fails with ENOENT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utime.h>

#define PIDS 1000
#define TEXT 1024
#define MAGIC 0x43505431u
#define STREAM_BUFFER (1 << 20)
#define MARK "/crashpoint-mark/"

/* Kinds of calls, as bits of `mask`. REOPEN changes nothing, yet may fail. */
enum { OPEN, WRITE, RENAME, LINK, UNLINK, MKDIR, RMDIR, TRUNC, SYNC, MODE, REOPEN };
enum { COUNT, KILL_BEFORE, KILL_AFTER, TEAR, FAIL, FAIL_FROM, STOP };

/* `shim.py` has the same, field by field. */
struct page {
    uint32_t magic, generation;
    uint32_t on, record;
    uint32_t mask, target, action, error;
    _Atomic uint32_t counter, hits, dead, npids;
    _Atomic uint32_t lock, seq;
    uint32_t kind, hit_pid, spare, padding;
    int32_t pids[PIDS];
    char root[TEXT], log[TEXT], what[2 * TEXT], match[TEXT];
};

static struct page *page;
static uint32_t generation; /* of the case that this process belongs to; 0: it only looks on (the fork server) */
static char page_path[PATH_MAX], preload[PATH_MAX];
static int spared; /* what a step of a run starts, when only the program itself is meant */
static __thread int inside; /* our own calls are not counted */

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        fprintf(stderr, "crashpoint: no %s\n", name);
        abort();
    }
    return found;
}

#define FORWARD(name) \
    static __typeof__(&name) next; \
    if (!next) next = REAL(name)

/* -- who takes part */

static void enlist(void) {
    uint32_t at = atomic_fetch_add(&page->npids, 1);
    if (at < PIDS) page->pids[at] = getpid();
    if (page->dead) syscall(SYS_kill, getpid(), SIGKILL);
}

static void forked(void) {
    if (!page || !page->on) return;
    inside = 0;
    generation = page->generation;
    enlist();
}

__attribute__((constructor)) static void begin(void) {
    char *told = getenv("CRASHPOINT"), *own = getenv("LD_PRELOAD");
    spared = getenv("SMITHERS_NODE") != NULL;
    if (!told || page) return;
    snprintf(page_path, sizeof page_path, "%s", told);
    if (own) snprintf(preload, sizeof preload, "%s", own);
    char *number = strrchr(page_path, '#');
    if (number) *number++ = 0;
    int fd = syscall(SYS_openat, AT_FDCWD, page_path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        page = NULL;
        if (number) syscall(SYS_kill, getpid(), SIGKILL); /* what the test started has outlived it */
        return;
    }
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED || page->magic != MAGIC) {
        fprintf(stderr, "crashpoint: %s is no page\n", page_path);
        abort();
    }
    if (number && (uint32_t)atoi(number) != page->generation) syscall(SYS_kill, getpid(), SIGKILL);
    pthread_atfork(NULL, NULL, forked);
    if (page->on) {
        generation = page->generation;
        enlist();
    }
}

static int maps_page(int pid) {
    char name[64], buffer[8192 + PATH_MAX];
    size_t kept = 0, length = strlen(page_path);
    snprintf(name, sizeof name, "/proc/%d/maps", pid);
    int fd = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY), found = 0;
    if (fd < 0) return 0;
    for (ssize_t got; !found && (got = read(fd, buffer + kept, 8192)) > 0;) {
        found = memmem(buffer, kept + got, page_path, length) != NULL;
        size_t all = kept + got;
        kept = all < length ? all : length;
        memmove(buffer, buffer + all - kept, kept);
    }
    close(fd);
    return found;
}

static void die(void) {
    int own = getpid(), count = page->npids < PIDS ? page->npids : PIDS;
    page->dead = 1;
    page->hit_pid = own;
    for (int at = count - 1; at >= 0; at--)
        if (page->pids[at] != own && maps_page(page->pids[at])) syscall(SYS_kill, page->pids[at], SIGKILL);
    syscall(SYS_kill, own, SIGKILL);
    for (;;) pause();
}

/* -- where a call goes */

static int below(const char *path) {
    size_t length = strlen(page->root);
    return !strncmp(path, page->root, length) && (path[length] == '/' || !path[length]);
}

/* The real path of `path`, its last name not followed; 1 when it lies below the folder of the case. */
static int place(int dirfd, const char *path, char *out) {
    char whole[2 * PATH_MAX], folder[PATH_MAX];
    if (!page || !page->on || inside || !path || !*path) return 0;
    if (page->generation != generation) {
        if (generation) syscall(SYS_kill, getpid(), SIGKILL);
        return 0;
    }
    int kept = errno;
    if (*path == '/') {
        if (!below(path)) return 0;
        snprintf(whole, sizeof whole, "%s", path);
    } else {
        char link[64];
        if (dirfd == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
        ssize_t length = readlink(link, folder, sizeof folder - 1);
        if (length < 0) return errno = kept, 0;
        folder[length] = 0;
        snprintf(whole, sizeof whole, "%s/%s", folder, path);
    }
    size_t length = strlen(whole);
    while (length > 1 && whole[length - 1] == '/') whole[--length] = 0;
    char *slash = strrchr(whole, '/'), *name = slash + 1;
    if (!strcmp(name, ".") || !strcmp(name, "..")) return 0;
    *slash = 0;
    char *found = realpath(*whole ? whole : "/", folder);
    errno = kept;
    if (!found) return 0;
    if (strlen(folder) + strlen(name) + 2 > PATH_MAX) return 0;
    stpcpy(stpcpy(stpcpy(out, folder), "/"), name);
    return below(out);
}

static int fd_place(int fd, char *out) {
    char link[64];
    if (!page || !page->on || inside || fd < 0) return 0;
    if (page->generation != generation) {
        if (generation) syscall(SYS_kill, getpid(), SIGKILL);
        return 0;
    }
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, PATH_MAX - 1);
    errno = kept;
    if (length < 0) return 0;
    out[length] = 0;
    return below(out);
}

static int regular(int fd) {
    struct stat found;
    int kept = errno, is = !fstat(fd, &found) && S_ISREG(found.st_mode);
    errno = kept;
    return is;
}

static int there(const char *path, struct stat *found) {
    int kept = errno, is = !lstat(path, found);
    errno = kept;
    return is;
}

/* -- one call */

struct call {
    int after, fails, tears;
};

static void take(void) {
    uint32_t own = syscall(SYS_gettid);
    for (uint32_t free = 0; !atomic_compare_exchange_weak(&page->lock, &free, own); free = 0) {
        if (free && free != own && syscall(SYS_tkill, free, 0) && errno == ESRCH)
            atomic_compare_exchange_strong(&page->lock, &free, 0);
        sched_yield();
    }
}

/* Whether the call is meant: "OP PART-OF-PATH", or all when nothing is said. */
static int matches(const char *op, const char *path) {
    size_t length = strlen(op);
    if (!*page->match) return 1;
    return !strncmp(page->match, op, length) && page->match[length] == ' ' && strstr(path, page->match + length + 1);
}

static struct call enter(int kind, const char *op, const char *path) {
    struct call call = {0};
    int kept = errno;
    if (page->dead) syscall(SYS_kill, getpid(), SIGKILL);
    if ((page->mask & (1u << kind)) && !(spared && page->spare) && matches(op, path)) {
        uint32_t number = atomic_fetch_add(&page->counter, 1) + 1;
        int from = page->action == FAIL_FROM && page->target && number >= page->target;
        if (number == page->target || from) {
            if (!atomic_fetch_add(&page->hits, 1)) {
                page->kind = kind;
                snprintf(page->what, sizeof page->what, "%s %s", op, path);
                page->hit_pid = getpid();
            }
            switch (page->action) {
            case KILL_BEFORE: die(); break;
            case KILL_AFTER: call.after = 1; break;
            case TEAR:
                if (kind != WRITE) die();
                call.tears = 1;
                break;
            case FAIL:
            case FAIL_FROM: call.fails = page->error; break;
            case STOP: syscall(SYS_kill, getpid(), SIGSTOP); break;
            }
        }
    }
    if (page->record) take();
    errno = kept;
    return call;
}

static void leave(struct call call) {
    int kept = errno;
    if (page->record) page->lock = 0;
    if (call.after) die();
    errno = kept;
}

/* -- the record */

static char *escaped(char *to, const char *from) {
    for (; *from; from++) {
        if (*from == '\t') *to++ = '\\', *to++ = 't';
        else if (*from == '\n') *to++ = '\\', *to++ = 'n';
        else if (*from == '\\') *to++ = '\\', *to++ = '\\';
        else *to++ = *from;
    }
    return to;
}

static void note(const char *op, const char *path, const char *path2, long long offset, long long length,
                 const void *data, size_t size) {
    if (!page->record) return;
    int kept = errno;
    char *line = malloc(4 * PATH_MAX + 256 + 2 * size), *at = line;
    at += sprintf(at, "%u\t%d\t%s\t", atomic_fetch_add(&page->seq, 1) + 1, getpid(), op);
    at = escaped(at, path);
    *at++ = '\t';
    at = escaped(at, path2 ? path2 : "");
    *at++ = '\t';
    if (offset >= 0) at += sprintf(at, "%lld", offset);
    *at++ = '\t';
    if (length >= 0) at += sprintf(at, "%lld", length);
    *at++ = '\t';
    for (size_t n = 0; n < size; n++) {
        *at++ = "0123456789abcdef"[((const unsigned char *)data)[n] >> 4];
        *at++ = "0123456789abcdef"[((const unsigned char *)data)[n] & 15];
    }
    *at++ = '\n';
    int fd = syscall(SYS_openat, AT_FDCWD, page->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || syscall(SYS_write, fd, line, at - line) != at - line) abort();
    syscall(SYS_close, fd);
    free(line);
    errno = kept;
}

static void mark(const char *text, const void *data, size_t size) {
    if (!page || !page->on || !page->record || inside || page->generation != generation) return;
    take();
    note("mark", text, NULL, -1, -1, data, size);
    page->lock = 0;
}

/* For a process that is not preloaded: the mark of a test that watches. 0 when it was written. */
int crashpoint_mark(const char *path, const char *text) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return -1;
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (page == MAP_FAILED) return page = NULL, -1;
    generation = page->generation;
    int done = page->on && page->record;
    mark(text, NULL, 0);
    munmap(page, sizeof *page);
    page = NULL, generation = 0;
    return done ? 0 : -1;
}

/* A call on a path that needs nothing but itself. */
#define PATH_CALL(kind, op, dirfd, path, exists, invoke, recorded) \
    do { \
        char where[PATH_MAX]; \
        struct stat found; \
        if (!place(dirfd, path, where) || (exists >= 0 && there(where, &found) != exists)) return invoke; \
        struct call call = enter(kind, op, where); \
        if (call.fails) return leave(call), errno = call.fails, -1; \
        inside++; \
        int result = invoke; \
        inside--; \
        if (!result) recorded; \
        leave(call); \
        return result; \
    } while (0)

/* -- opening */

typedef int (*opener)(int, const char *, int, mode_t);

static int raw_open(int dirfd, const char *path, int flags, mode_t mode) {
    return syscall(SYS_openat, dirfd, path, flags, mode);
}

static int opening(int dirfd, const char *path, int flags, mode_t mode) {
    char where[PATH_MAX];
    struct stat found;
    if (path && !strncmp(path, MARK, sizeof MARK - 1)) return mark(path + sizeof MARK - 1, NULL, 0), errno = ENOENT, -1;
    if (!(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE || !place(dirfd, path, where))
        return raw_open(dirfd, path, flags, mode);
    int is = there(where, &found);
    if ((is && (flags & O_CREAT) && (flags & O_EXCL)) || (!is && !(flags & O_CREAT))) /* it fails */
        return raw_open(dirfd, path, flags, mode);
    int cut = is && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY && S_ISREG(found.st_mode) && found.st_size;
    int kind = is && !cut ? REOPEN : OPEN;
    if (is && !S_ISREG(found.st_mode) && !S_ISLNK(found.st_mode)) return raw_open(dirfd, path, flags, mode);
    struct call call = enter(kind, cut ? "open-trunc" : "open", where);
    if (call.fails) return leave(call), errno = call.fails, -1;
    int fd = raw_open(dirfd, path, flags, mode);
    if (fd >= 0 && page->record && !fd_place(fd, where)) where[0] = 0;
    if (fd >= 0 && !is && *where) note("create", where, NULL, -1, !fstat(fd, &found) ? found.st_mode & 07777 : 0, NULL, 0);
    if (fd >= 0 && cut && *where) note("trunc", where, NULL, -1, 0, NULL, 0);
    leave(call);
    return fd;
}

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    return opening(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    return opening(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
int openat(int dirfd, const char *path, int flags, ...) {
    MODE_OF(flags)
    return opening(dirfd, path, flags, mode);
}
int openat64(int dirfd, const char *path, int flags, ...) {
    MODE_OF(flags)
    return opening(dirfd, path, flags | O_LARGEFILE, mode);
}
int __open_2(const char *path, int flags) { return opening(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return opening(AT_FDCWD, path, flags | O_LARGEFILE, 0); }
int __openat_2(int dirfd, const char *path, int flags) { return opening(dirfd, path, flags, 0); }
int __openat64_2(int dirfd, const char *path, int flags) { return opening(dirfd, path, flags | O_LARGEFILE, 0); }
int creat(const char *path, mode_t mode) { return opening(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

static int temporary(char *template, int suffix, int flags) {
    size_t length = strlen(template);
    char *holes = template + length - suffix - 6;
    if (length < 6u + suffix || strncmp(holes, "XXXXXX", 6)) return errno = EINVAL, -1;
    for (int left = 1000; left; left--) {
        uint64_t dice;
        if (syscall(SYS_getrandom, &dice, sizeof dice, 0) != sizeof dice) return -1;
        for (int n = 0; n < 6; n++, dice /= 62)
            holes[n] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[dice % 62];
        int fd = opening(AT_FDCWD, template, flags | O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}
int mkstemp(char *template) { return temporary(template, 0, 0); }
int mkstemp64(char *template) { return temporary(template, 0, 0); }
int mkostemp(char *template, int flags) { return temporary(template, 0, flags); }
int mkostemp64(char *template, int flags) { return temporary(template, 0, flags); }
int mkstemps(char *template, int suffix) { return temporary(template, suffix, 0); }
int mkstemps64(char *template, int suffix) { return temporary(template, suffix, 0); }
int mkostemps(char *template, int suffix, int flags) { return temporary(template, suffix, flags); }
int mkostemps64(char *template, int suffix, int flags) { return temporary(template, suffix, flags); }

/* -- writing */

static ssize_t put(int fd, const void *data, size_t size, off64_t offset) {
    return offset < 0 ? syscall(SYS_write, fd, data, size) : syscall(SYS_pwrite64, fd, data, size, offset);
}

static ssize_t writing(int fd, const void *data, size_t size, off64_t offset, const char *op) {
    char where[PATH_MAX];
    if (page && page->on && page->record && fd == 1 && !inside && !fd_place(fd, where)) {
        ssize_t done = put(fd, data, size, offset);
        if (done > 0) mark("stdout", data, done);
        return done;
    }
    if (!size || !fd_place(fd, where) || !regular(fd)) return put(fd, data, size, offset);
    struct call call = enter(WRITE, op, where);
    if (call.fails) return leave(call), errno = call.fails, -1;
    if (call.tears) {
        put(fd, data, size / 2, offset);
        die();
    }
    ssize_t done = put(fd, data, size, offset);
    if (done > 0) note("write", where, NULL, offset < 0 ? lseek(fd, 0, SEEK_CUR) - done : offset, done, data, done);
    leave(call);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) { return writing(fd, data, size, -1, "write"); }
ssize_t __write(int fd, const void *data, size_t size) { return writing(fd, data, size, -1, "write"); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return writing(fd, data, size, offset, "pwrite"); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    return writing(fd, data, size, offset, "pwrite");
}

static ssize_t gathered(int fd, const struct iovec *parts, int count, off64_t offset) {
    size_t size = 0;
    for (int n = 0; n < count; n++) size += parts[n].iov_len;
    char *whole = malloc(size ? size : 1), *at = whole;
    for (int n = 0; n < count; n++) at = mempcpy(at, parts[n].iov_base, parts[n].iov_len);
    ssize_t done = writing(fd, whole, size, offset, "writev");
    int kept = errno;
    free(whole);
    errno = kept;
    return done;
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    char where[PATH_MAX];
    if (!fd_place(fd, where)) return syscall(SYS_writev, fd, parts, count);
    return gathered(fd, parts, count, -1);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return gathered(fd, parts, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return gathered(fd, parts, count, offset);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return (void)flags, gathered(fd, parts, count, offset);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
    return (void)flags, gathered(fd, parts, count, offset);
}

/* What a call of the kernel's own copying has put into a file, written down from there. */
static void copied(int fd, const char *where, off64_t start, ssize_t done) {
    if (!page->record || done <= 0) return;
    char *data = malloc(done), link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* it may be open for writing only */
    int again = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    if (again < 0 || syscall(SYS_pread64, again, data, done, start) != done) abort();
    syscall(SYS_close, again);
    note("write", where, NULL, start, done, data, done);
    free(data);
}

#define COPY_CALL(op, fd, start, invoke) \
    do { \
        char where[PATH_MAX]; \
        if (!fd_place(fd, where) || !regular(fd)) return invoke; \
        struct call call = enter(WRITE, op, where); \
        if (call.fails) return leave(call), errno = call.fails, -1; \
        if (call.tears) die(); \
        off64_t first = start; \
        ssize_t done = invoke; \
        copied(fd, where, first, done); \
        leave(call); \
        return done; \
    } while (0)

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    COPY_CALL("copy_file_range", out, to ? *to : lseek(out, 0, SEEK_CUR),
              syscall(SYS_copy_file_range, in, from, out, to, size, flags));
}
ssize_t sendfile(int out, int in, off_t *from, size_t size) {
    COPY_CALL("sendfile", out, lseek(out, 0, SEEK_CUR), syscall(SYS_sendfile, out, in, from, size));
}
ssize_t sendfile64(int out, int in, off64_t *from, size_t size) { return sendfile(out, in, from, size); }

static int sizing(int fd, const char *path, off64_t size) {
    char where[PATH_MAX];
    if (path ? !place(AT_FDCWD, path, where) : (!fd_place(fd, where) || !regular(fd)))
        return path ? syscall(SYS_truncate, path, size) : syscall(SYS_ftruncate, fd, size);
    struct call call = enter(TRUNC, "truncate", where);
    if (call.fails) return leave(call), errno = call.fails, -1;
    int result = path ? syscall(SYS_truncate, path, size) : syscall(SYS_ftruncate, fd, size);
    if (!result) note("trunc", where, NULL, -1, size, NULL, 0);
    leave(call);
    return result;
}
int ftruncate(int fd, off_t size) { return sizing(fd, NULL, size); }
int ftruncate64(int fd, off64_t size) { return sizing(fd, NULL, size); }
int truncate(const char *path, off_t size) { return sizing(-1, path, size); }
int truncate64(const char *path, off64_t size) { return sizing(-1, path, size); }

static int allocating(int fd, int mode, off64_t offset, off64_t size) {
    char where[PATH_MAX];
    struct stat before, after;
    if (!fd_place(fd, where) || !regular(fd)) return syscall(SYS_fallocate, fd, mode, offset, size);
    struct call call = enter(TRUNC, "fallocate", where);
    if (call.fails) return leave(call), errno = call.fails, -1;
    fstat(fd, &before);
    int result = syscall(SYS_fallocate, fd, mode, offset, size);
    if (!result && !fstat(fd, &after) && after.st_size != before.st_size)
        note("trunc", where, NULL, -1, after.st_size, NULL, 0);
    leave(call);
    return result;
}
int fallocate(int fd, int mode, off_t offset, off_t size) { return allocating(fd, mode, offset, size); }
int fallocate64(int fd, int mode, off64_t offset, off64_t size) { return allocating(fd, mode, offset, size); }
int posix_fallocate(int fd, off_t offset, off_t size) { return allocating(fd, 0, offset, size) ? errno : 0; }
int posix_fallocate64(int fd, off64_t offset, off64_t size) { return allocating(fd, 0, offset, size) ? errno : 0; }

/* -- flushing */

#define SYNC_CALL(op, fd, invoke, recorded) \
    do { \
        char where[PATH_MAX]; \
        if (!fd_place(fd, where)) return invoke; \
        struct call call = enter(SYNC, op, where); \
        if (call.fails) return leave(call), errno = call.fails, -1; \
        int result = invoke; \
        if (!result && recorded) note(op, where, NULL, -1, -1, NULL, 0); \
        leave(call); \
        return result; \
    } while (0)

int fsync(int fd) { SYNC_CALL("fsync", fd, syscall(SYS_fsync, fd), 1); }
int fdatasync(int fd) { SYNC_CALL("fdatasync", fd, syscall(SYS_fdatasync, fd), 1); }
int syncfs(int fd) { SYNC_CALL("syncfs", fd, syscall(SYS_syncfs, fd), 1); }
int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags) {
    SYNC_CALL("sync_file_range", fd, syscall(SYS_sync_file_range, fd, offset, size, flags), 0);
}

/* -- names */

static int moving(int from, const char *old, int to, const char *new, unsigned flags) {
    char source[PATH_MAX], where[PATH_MAX];
    struct stat found;
    int counted = place(from, old, source) && place(to, new, where) && there(source, &found);
    if (!counted) return syscall(SYS_renameat2, from, old, to, new, flags);
    struct call call = enter(RENAME, "rename", where);
    if (call.fails) return leave(call), errno = call.fails, -1;
    int result = syscall(SYS_renameat2, from, old, to, new, flags);
    if (!result) note("rename", source, where, -1, -1, NULL, 0);
    leave(call);
    return result;
}
int rename(const char *old, const char *new) { return moving(AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int from, const char *old, int to, const char *new) { return moving(from, old, to, new, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    return moving(from, old, to, new, flags);
}

static int linking(int from, const char *old, int to, const char *new, int flags) {
    char source[PATH_MAX], where[PATH_MAX];
    struct stat found;
    if (!place(to, new, where) || there(where, &found)) return syscall(SYS_linkat, from, old, to, new, flags);
    struct call call = enter(LINK, "link", where);
    if (call.fails) return leave(call), errno = call.fails, -1;
    int result = syscall(SYS_linkat, from, old, to, new, flags);
    if (!result && !place(from, old, source)) snprintf(source, sizeof source, "%s", old);
    if (!result) note("link", source, where, -1, -1, NULL, 0);
    leave(call);
    return result;
}
int link(const char *old, const char *new) { return linking(AT_FDCWD, old, AT_FDCWD, new, 0); }
int linkat(int from, const char *old, int to, const char *new, int flags) { return linking(from, old, to, new, flags); }

int symlinkat(const char *target, int dirfd, const char *path) {
    PATH_CALL(LINK, "symlink", dirfd, path, 0, syscall(SYS_symlinkat, target, dirfd, path),
              note("symlink", where, target, -1, -1, NULL, 0));
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

int unlinkat(int dirfd, const char *path, int flags) {
    int folder = flags & AT_REMOVEDIR;
    PATH_CALL(folder ? RMDIR : UNLINK, folder ? "rmdir" : "unlink", dirfd, path, 1,
              syscall(SYS_unlinkat, dirfd, path, flags),
              note(folder ? "rmdir" : "unlink", where, NULL, -1, -1, NULL, 0));
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    struct stat found;
    return unlinkat(AT_FDCWD, path, there(path, &found) && S_ISDIR(found.st_mode) ? AT_REMOVEDIR : 0);
}

int mkdirat(int dirfd, const char *path, mode_t mode) {
    PATH_CALL(MKDIR, "mkdir", dirfd, path, 0, syscall(SYS_mkdirat, dirfd, path, mode),
              note("mkdir", where, NULL, -1, !lstat(where, &found) ? found.st_mode & 07777 : 0, NULL, 0));
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
char *mkdtemp(char *template) {
    size_t length = strlen(template);
    char *holes = template + length - 6;
    if (length < 6 || strcmp(holes, "XXXXXX")) return errno = EINVAL, NULL;
    for (int left = 1000; left; left--) {
        uint64_t dice;
        if (syscall(SYS_getrandom, &dice, sizeof dice, 0) != sizeof dice) return NULL;
        for (int n = 0; n < 6; n++, dice /= 36) holes[n] = "abcdefghijklmnopqrstuvwxyz0123456789"[dice % 36];
        if (!mkdir(template, 0700)) return template;
        if (errno != EEXIST) return NULL;
    }
    return NULL;
}

/* -- modes and times */

int fchmodat(int dirfd, const char *path, mode_t mode, int flags) {
    FORWARD(fchmodat);
    PATH_CALL(MODE, "chmod", dirfd, path, 1, next(dirfd, path, mode, flags),
              note("chmod", where, NULL, -1, mode & 07777, NULL, 0));
}
int chmod(const char *path, mode_t mode) { return fchmodat(AT_FDCWD, path, mode, 0); }
int fchmod(int fd, mode_t mode) {
    char where[PATH_MAX];
    if (!fd_place(fd, where)) return syscall(SYS_fchmod, fd, mode);
    struct call call = enter(MODE, "chmod", where);
    if (call.fails) return leave(call), errno = call.fails, -1;
    int result = syscall(SYS_fchmod, fd, mode);
    if (!result) note("chmod", where, NULL, -1, mode & 07777, NULL, 0);
    leave(call);
    return result;
}

int futimens(int fd, const struct timespec times[2]) { return syscall(SYS_utimensat, fd, NULL, times, 0); }
int utimensat(int dirfd, const char *path, const struct timespec times[2], int flags) {
    PATH_CALL(MODE, "utimes", dirfd, path, 1, syscall(SYS_utimensat, dirfd, path, times, flags), (void)0);
}
int utimes(const char *path, const struct timeval times[2]) {
    FORWARD(utimes);
    PATH_CALL(MODE, "utimes", AT_FDCWD, path, 1, next(path, times), (void)0);
}
int utime(const char *path, const struct utimbuf *times) {
    FORWARD(utime);
    PATH_CALL(MODE, "utimes", AT_FDCWD, path, 1, next(path, times), (void)0);
}

/* -- stdio writes inside the C library: its streams are seen when they are flushed */

static FILE *wide(FILE *file, const char *mode) {
    char where[PATH_MAX];
    if (file && (strpbrk(mode, "wa+")) && fd_place(fileno(file), where) && regular(fileno(file)))
        setvbuf(file, malloc(STREAM_BUFFER), _IOFBF, STREAM_BUFFER);
    return file;
}

static int stream_flags(const char *mode) {
    int flags = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
    flags |= *mode == 'w' ? O_CREAT | O_TRUNC : *mode == 'a' ? O_CREAT | O_APPEND : 0;
    return flags | (strchr(mode, 'x') ? O_EXCL : 0) | (strchr(mode, 'e') ? O_CLOEXEC : 0);
}

FILE *fdopen(int fd, const char *mode) {
    FORWARD(fdopen);
    return wide(next(fd, mode), mode);
}
FILE *fopen(const char *path, const char *mode) {
    FORWARD(fopen);
    char where[PATH_MAX];
    if (!strpbrk(mode, "wa+") || strstr(mode, "ccs=") || !place(AT_FDCWD, path, where)) return next(path, mode);
    int fd = opening(AT_FDCWD, path, stream_flags(mode), 0666);
    if (fd < 0) return NULL;
    FILE *file = fdopen(fd, mode);
    if (!file) close(fd);
    return file;
}
FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

static int flushing(FILE *file, int closes) {
    char where[PATH_MAX];
    size_t size;
    if (!page || !page->on || inside || !file || !__fwritable(file) || !(size = __fpending(file))) return 0;
    int fd = fileno(file);
    if (!fd_place(fd, where) || !regular(fd)) return 0;
    struct call call = enter(WRITE, closes ? "fclose" : "fflush", where);
    if (call.fails) {
        leave(call);
        if (closes) __fpurge(file);
        return errno = call.fails, EOF;
    }
    if (call.tears) {
        put(fd, file->_IO_write_base, size / 2, -1);
        die();
    }
    char *data = page->record ? memcpy(malloc(size), file->_IO_write_base, size) : NULL;
    inside++;
    FORWARD(fflush);
    int result = next(file);
    inside--;
    if (!result && data) note("write", where, NULL, lseek(fd, 0, SEEK_CUR) - size, size, data, size);
    free(data);
    leave(call);
    return result;
}

int fflush(FILE *file) {
    FORWARD(fflush);
    return flushing(file, 0) ? EOF : next(file);
}
int fflush_unlocked(FILE *file) {
    FORWARD(fflush_unlocked);
    return flushing(file, 0) ? EOF : next(file);
}
int fclose(FILE *file) {
    FORWARD(fclose);
    int failed = flushing(file, 1), kept = errno, result = next(file);
    if (failed) errno = kept;
    return failed ? EOF : result;
}

/* -- handed on to every program that is started */

#define WITH_US(given) \
    size_t count = 0; \
    while (given && given[count]) count++; \
    char ours[PATH_MAX + 64], load[PATH_MAX + 64]; \
    char *told[count + 3]; \
    char *const *env = told; \
    if (!page || !*preload) env = (char *const *)given; \
    else { \
        size_t at = 0; \
        if (generation) snprintf(ours, sizeof ours, "CRASHPOINT=%s#%u", page_path, generation); \
        else snprintf(ours, sizeof ours, "CRASHPOINT=%s", page_path); \
        snprintf(load, sizeof load, "LD_PRELOAD=%s", preload); \
        for (size_t n = 0; n < count; n++) \
            if (strncmp(given[n], "CRASHPOINT=", 11) && strncmp(given[n], "LD_PRELOAD=", 11)) told[at++] = given[n]; \
        told[at++] = ours, told[at++] = load, told[at] = NULL; \
    }

extern char **environ;

int execve(const char *path, char *const argv[], char *const given[]) {
    WITH_US(given)
    return syscall(SYS_execve, path, argv, env);
}
int execv(const char *path, char *const argv[]) { return execve(path, argv, environ); }
int execvpe(const char *file, char *const argv[], char *const given[]) {
    FORWARD(execvpe);
    WITH_US(given)
    return next(file, argv, env);
}
int execvp(const char *file, char *const argv[]) { return execvpe(file, argv, environ); }
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                char *const argv[], char *const given[]) {
    FORWARD(posix_spawn);
    WITH_US(given)
    return next(pid, path, actions, how, argv, env);
}
int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                 char *const argv[], char *const given[]) {
    FORWARD(posix_spawnp);
    WITH_US(given)
    return next(pid, file, actions, how, argv, env);
}
