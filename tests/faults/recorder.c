/* Records what a process does to the files under one folder, and what it sends to whoever called it, as one stream.
 *
 * LD_PRELOAD=recorder.so RECORDER_ROOT=/folder RECORDER_LOG=/elsewhere/log python -m gateway serve ...
 *
 * Each call runs and is written down under one lock, so the log has the order in which the calls were done, over all
 * threads; a further process appends to the same log. Only absolute paths below the root count, and names in its folders. What SQLite maps into
 * memory (-shm) is left out: it is made anew after a power cut. RECORDER_FAILS=n makes every n-th fsync or fdatasync of
 * a file fail with EIO, undone, as a dying disk does, once anybody was answered; and while there is a
 * file named as the log with ".fails" behind it, every one of a file whose name ends with what that holds. Whatever this misses (a write through a copied descriptor, a
 * mapping) shows when the files made again from the log are compared with the real ones: tests/support/recording.py.
 *
 * A record, little endian: op u8, handle u64, number u64, length of path u32, length of data u32, path, data.
 *   O open     handle, flags, path                  W write    handle, offset, data      T truncate handle, length
 *   S synced   handle                               F sync failed                        A answer   connection, port, data
 *   R rename   path, new path in data               L link     as rename                 U unlink   path
 *   M folder made, path                             D folder removed, path
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DESCRIPTORS = 65536 };
enum kind { NOTHING, A_FILE, A_FOLDER, A_CONNECTION };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { uint8_t kind; uint16_t port; uint64_t handle; char path[256]; } known[DESCRIPTORS];
static uint64_t last_handle, syncs, fails_every, answered;
static const char *root;
static char fails_while[4096];
static size_t root_length;
static int log_descriptor = -1;

/* The libc function that a name of ours hides. */
#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char *log = getenv("RECORDER_LOG"), *fails = getenv("RECORDER_FAILS");
  root = getenv("RECORDER_ROOT");
  if (!log || !root) return;
  root_length = strlen(root);
  snprintf(fails_while, sizeof fails_while, "%s.fails", log);
  fails_every = fails ? strtoull(fails, 0, 10) : 0;
  last_handle = (uint64_t)getpid() << 32; /* handles of two processes differ */
  int (*open_)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
  log_descriptor = open_(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* What follows the root, or NULL for a path that is none of ours. */
static const char *below(const char *path) {
  if (log_descriptor < 0 || !path || strncmp(path, root, root_length)) return NULL;
  size_t length = strlen(path);
  if (length >= 4 && !strcmp(path + length - 4, "-shm")) return NULL;
  if (!path[root_length]) return "";
  return path[root_length] == '/' ? path + root_length + 1 : NULL;
}

static void record(char op, uint64_t handle, uint64_t number, const char *path, const void *data, size_t size) {
  REAL(write);
  uint32_t path_length = path ? strlen(path) : 0, data_length = size;
  size_t whole = 25 + path_length + size;
  uint8_t *made = malloc(whole);
  if (!made) abort();
  made[0] = op;
  memcpy(made + 1, &handle, 8);
  memcpy(made + 9, &number, 8);
  memcpy(made + 17, &path_length, 4);
  memcpy(made + 21, &data_length, 4);
  if (path) memcpy(made + 25, path, path_length);
  if (size) memcpy(made + 25 + path_length, data, size);
  for (size_t done = 0; done < whole;) { /* a torn log would be read as another history: better none at all */
    ssize_t now = real(log_descriptor, made + done, whole - done);
    if (now < 0 && errno != EINTR) abort();
    done += now > 0 ? now : 0;
  }
  free(made);
}

static enum kind kind_of(int fd) { return fd >= 0 && fd < DESCRIPTORS ? known[fd].kind : NOTHING; }

static void opened(int fd, const char *path, int flags) {
  struct stat found;
  if (fd < 0 || fd >= DESCRIPTORS) return;
  known[fd].kind = NOTHING;
  if (!path || fstat(fd, &found)) return;
  known[fd].kind = S_ISDIR(found.st_mode) ? A_FOLDER : A_FILE;
  known[fd].handle = ++last_handle;
  snprintf(known[fd].path, sizeof known[fd].path, "%s", path);
  record('O', known[fd].handle, flags, path, NULL, 0);
}

#define LOCKED(statements) do { pthread_mutex_lock(&lock); statements; pthread_mutex_unlock(&lock); } while (0)

/* ---- names ---------------------------------------------------------------------------------------------------- */

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
    int fd; \
    LOCKED(fd = real(path, flags, mode); int kept = errno; opened(fd, below(path), flags); errno = kept); \
    return fd; \
  }
OPEN(open)
OPEN(open64)

/* The same of a path in an open folder. Under the lock. */
static const char *below_at(int at, const char *path) {
  static char whole[512];
  if (!path || path[0] == '/' || kind_of(at) != A_FOLDER) return below(path);
  snprintf(whole, sizeof whole, "%s/%s", known[at].path, path);
  return whole;
}

#define OPENAT(name) \
  int name(int at, const char *path, int flags, ...) { \
    REAL(name); \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
    int fd; \
    LOCKED(fd = real(at, path, flags, mode); int kept = errno; opened(fd, below_at(at, path), flags); errno = kept); \
    return fd; \
  }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
  REAL(close);
  int done;
  LOCKED(if (kind_of(fd)) known[fd].kind = NOTHING; done = real(fd));
  return done;
}

#define ONE_NAME(op, name, parameters, call, path) \
  int name parameters { \
    REAL(name); \
    int done; \
    LOCKED(done = real call; if (!done && below(path)) record(op, 0, 0, below(path), NULL, 0)); \
    return done; \
  }
ONE_NAME('U', unlink, (const char *path), (path), path)
ONE_NAME('U', unlinkat, (int at, const char *path, int flags), (at, path, flags), path)
ONE_NAME('M', mkdir, (const char *path, mode_t mode), (path, mode), path)
ONE_NAME('D', rmdir, (const char *path), (path), path)

#define TWO_NAMES(op, name, parameters, call) \
  int name parameters { \
    REAL(name); \
    int done; \
    LOCKED(done = real call; \
      if (!done && below(from) && below(to)) record(op, 0, 0, below(from), below(to), strlen(below(to)))); \
    return done; \
  }
TWO_NAMES('R', rename, (const char *from, const char *to), (from, to))
TWO_NAMES('R', renameat, (int at, const char *from, int there, const char *to), (at, from, there, to))
TWO_NAMES('L', link, (const char *from, const char *to), (from, to))

/* ---- bytes ---------------------------------------------------------------------------------------------------- */

static void wrote(int fd, const void *data, ssize_t size, off64_t offset) {
  if (size <= 0) return;
  int kept = errno;
  if (kind_of(fd) == A_FILE) record('W', known[fd].handle, offset, NULL, data, size);
  if (kind_of(fd) == A_CONNECTION) {
    record('A', known[fd].handle, known[fd].port, NULL, data, size);
    answered = 1;
  }
  errno = kept;
}

/* Where the write that was just done began: the position stands behind it, also of a file opened to append. */
static off64_t began(int fd, ssize_t size) {
  return kind_of(fd) == A_FILE && size > 0 ? lseek64(fd, 0, SEEK_CUR) - size : 0;
}

static void wrote_parts(int fd, const struct iovec *parts, int count, ssize_t size, off64_t offset) {
  for (int part = 0; part < count && size > 0; part++) {
    ssize_t here = parts[part].iov_len < (size_t)size ? (ssize_t)parts[part].iov_len : size;
    wrote(fd, parts[part].iov_base, here, offset);
    offset += here;
    size -= here;
  }
}

#define BYTES(type, name, parameters, call, after) \
  type name parameters { \
    REAL(name); \
    if (!kind_of(fd)) return real call; \
    type done; \
    LOCKED(done = real call; after); \
    return done; \
  }
BYTES(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), wrote(fd, data, done, began(fd, done)))
BYTES(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), wrote(fd, data, done, at))
BYTES(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at),
      wrote(fd, data, done, at))
BYTES(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count),
      wrote_parts(fd, parts, count, done, began(fd, done)))
BYTES(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at),
      wrote_parts(fd, parts, count, done, at))
BYTES(ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at),
      wrote_parts(fd, parts, count, done, at))
BYTES(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags), wrote(fd, data, done, 0))
BYTES(ssize_t, sendto,
      (int fd, const void *data, size_t size, int flags, __CONST_SOCKADDR_ARG to, socklen_t length),
      (fd, data, size, flags, to, length), wrote(fd, data, done, 0))
BYTES(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
      wrote_parts(fd, message->msg_iov, message->msg_iovlen, done, 0))
BYTES(int, ftruncate, (int fd, off_t size), (fd, size),
      if (!done && kind_of(fd) == A_FILE) record('T', known[fd].handle, size, NULL, NULL, 0))
BYTES(int, ftruncate64, (int fd, off64_t size), (fd, size),
      if (!done && kind_of(fd) == A_FILE) record('T', known[fd].handle, size, NULL, NULL, 0))

/* ---- durability ----------------------------------------------------------------------------------------------- */

static int fails_now(const char *path) {
  char end[256];
  FILE *sign = fopen(fails_while, "r");
  if (!sign) return 0;
  size_t length = fread(end, 1, sizeof end, sign), whole = strlen(path);
  fclose(sign);
  return length <= whole && !memcmp(path + whole - length, end, length);
}

static int to_fail(int fd) {
  if (kind_of(fd) != A_FILE) return 0;
  return fails_now(known[fd].path) || (fails_every && answered && ++syncs % fails_every == 0);
}

static int synced(int fd, int (*real)(int)) {
  int fails = to_fail(fd), done = fails ? -1 : real(fd);
  int kept = fails ? EIO : errno;
  record(done ? 'F' : 'S', known[fd].handle, 0, NULL, NULL, 0);
  errno = kept;
  return done;
}

#define SYNC(name) \
  int name(int fd) { \
    REAL(name); \
    if (!kind_of(fd)) return real(fd); \
    int done; \
    LOCKED(done = synced(fd, real)); \
    return done; \
  }
SYNC(fsync)
SYNC(fdatasync)

/* ---- who called ----------------------------------------------------------------------------------------------- */

static void accepted(int fd) {
  struct sockaddr_in peer;
  socklen_t length = sizeof peer;
  int kept = errno;
  if (fd >= 0 && fd < DESCRIPTORS && log_descriptor >= 0 && !getpeername(fd, (struct sockaddr *)&peer, &length)) {
    known[fd].kind = A_CONNECTION;
    known[fd].port = peer.sin_family == AF_INET ? ntohs(peer.sin_port) : 0;
    known[fd].handle = ++last_handle;
  }
  errno = kept;
}

int accept4(int fd, __SOCKADDR_ARG peer, socklen_t *restrict length, int flags) {
  REAL(accept4);
  int done = real(fd, peer, length, flags); /* it may wait: not under the lock */
  LOCKED(accepted(done));
  return done;
}

int accept(int fd, __SOCKADDR_ARG peer, socklen_t *restrict length) {
  REAL(accept);
  int done = real(fd, peer, length);
  LOCKED(accepted(done));
  return done;
}
