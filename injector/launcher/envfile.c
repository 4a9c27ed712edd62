/* The env file: read it once, accept exactly one form of it.
 *
 *     SIENV1 <count> <length>\n     decimal numbers without leading zeros, single spaces
 *     <length> bytes                exactly <count> times NAME=value, each ended by a NUL
 *
 * NAME is printable ASCII but `=`, as Kubernetes takes it, and occurs once; a value is any bytes but NUL. Anything else
 * is malformed, even where its meaning could be guessed: a file that is not byte for byte what the writer writes was
 * cut short or tampered with, and the command must not start on half of its variables.
 *
 * The path may be a symlink (files are published by swapping one), but must lead to a regular file: O_NONBLOCK keeps a
 * FIFO from holding up the start, and fstat refuses it. The file is read, not mapped, so that nothing that happens to
 * it later can change what was checked or raise SIGBUS.
 */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t MAX_FILE_BYTES = 8 * 1024 * 1024;
static const size_t MIN_ENTRY_BYTES = sizeof "A=";

/* The bytes not looked at yet. */
struct cursor {
    char *at;
    char *end;
};

static _Noreturn void fail_unreadable(const char *path)
{
    fail(&(struct failure){
        .status = EXIT_REFUSED,
        .code = "SI-610",
        .what = "cannot read env file",
        .subject = path,
        .why = strerror(errno),
        .hint = "the pod's secret-injector container writes this file; its log says why it did not",
    });
}

static _Noreturn void fail_malformed(const char *path, const char *why)
{
    fail(&(struct failure){
        .status = EXIT_REFUSED,
        .code = "SI-611",
        .what = "malformed env file",
        .subject = path,
        .why = why,
        .hint = "launcher and injector must come from the same image, and nothing else may write this file",
    });
}

static int open_regular(const char *path, size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, &status) != 0)
        fail_unreadable(path);
    if (!S_ISREG(status.st_mode))
        fail_malformed(path, "it is not a regular file");
    if (status.st_size > (off_t)MAX_FILE_BYTES)
        fail_malformed(path, "it is larger than 8 MiB");
    *size = (size_t)status.st_size;
    return fd;
}

/* Read until the end of the file or `limit` bytes; return how many there were. */
static size_t read_bytes(const char *path, int fd, char *into, size_t limit)
{
    size_t used = 0;

    while (used < limit) {
        ssize_t got = read(fd, into + used, limit - used);
        if (got == 0)
            break;
        if (got > 0)
            used += (size_t)got;
        else if (errno != EINTR)
            fail_unreadable(path);
    }
    return used;
}

static struct cursor read_whole(const char *path)
{
    size_t size;
    int fd = open_regular(path, &size);
    size_t limit = size + 1; /* the byte that shows that the file has grown, and an empty file needs a page too */
    char *content = scratch(limit);

    if (content == NULL)
        fail_unreadable(path);
    if (read_bytes(path, fd, content, limit) != size)
        fail_malformed(path, "it changed while it was read");
    close(fd);
    return (struct cursor){.at = content, .end = content + size};
}

static bool take_text(struct cursor *in, const char *text)
{
    size_t length = strlen(text);

    if ((size_t)(in->end - in->at) < length || memcmp(in->at, text, length) != 0)
        return false;
    in->at += length;
    return true;
}

static bool take_number(struct cursor *in, size_t *number)
{
    const char *first = in->at;

    *number = 0;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9' && *number <= MAX_FILE_BYTES)
        *number = *number * 10 + (size_t)(*in->at++ - '0');

    bool has_leading_zero = in->at - first > 1 && *first == '0';
    return in->at > first && !has_leading_zero && *number <= MAX_FILE_BYTES;
}

static bool is_name_byte(char byte)
{
    return byte >= ' ' && byte <= '~' && byte != '=';
}

static bool starts_with_name(const char *text)
{
    const char *at = text;

    while (is_name_byte(*at))
        at++;
    return at > text && *at == '=';
}

static const char *parse_header(struct cursor *in, size_t *count)
{
    size_t length;

    if (!take_text(in, "SIENV1 "))
        return "it does not begin with SIENV1";
    if (!take_number(in, count) || !take_text(in, " ") || !take_number(in, &length) || !take_text(in, "\n"))
        return "its header is not SIENV1, count and length";
    if (length != (size_t)(in->end - in->at))
        return "its size is not the length in its header";
    if (*count > length / MIN_ENTRY_BYTES)
        return "it has fewer entries than its header says";
    return NULL;
}

static const char *parse_entries(struct cursor *in, struct env_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        char *nul = memchr(in->at, '\0', (size_t)(in->end - in->at));
        if (nul == NULL)
            return "it has fewer entries than its header says";
        if (!starts_with_name(in->at))
            return "an entry is not a valid name, = and a value";
        file->variables[i].text = in->at;
        file->by_name[i] = &file->variables[i];
        in->at = nul + 1;
    }
    return in->at == in->end ? NULL : "it has more bytes than its entries";
}

static int compare_elements(const void *left, const void *right)
{
    struct variable *const *a = left;
    struct variable *const *b = right;

    return compare_names((*a)->text, (*b)->text);
}

/* Sorting makes duplicates neighbours here, and the merge a binary search per variable. */
static const char *sort_by_name(struct env_file *file)
{
    qsort(file->by_name, file->count, sizeof(*file->by_name), compare_elements);
    for (size_t i = 1; i < file->count; i++)
        if (compare_names(file->by_name[i - 1]->text, file->by_name[i]->text) == 0)
            return "two entries have the same name";
    return NULL;
}

struct env_file read_env_file(const char *path)
{
    struct env_file file = {.count = 0};
    struct cursor in = read_whole(path);
    const char *problem = parse_header(&in, &file.count);

    if (problem == NULL) { /* one more than needed: no array is ever NULL, not even for qsort and bsearch */
        file.variables = scratch((file.count + 1) * sizeof(*file.variables));
        file.by_name = scratch((file.count + 1) * sizeof(*file.by_name));
        if (file.variables == NULL || file.by_name == NULL)
            fail_unreadable(path);
    }
    if (problem == NULL)
        problem = parse_entries(&in, &file);
    if (problem == NULL)
        problem = sort_by_name(&file);
    if (problem != NULL)
        fail_malformed(path, problem);
    return file;
}
