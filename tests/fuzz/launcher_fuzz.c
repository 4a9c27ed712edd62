/* libFuzzer's entry into the launcher: its own sources, with what ends a process replaced.
 *
 *     ENV_FILE   the bytes are an env file. What is accepted must be, entry by entry, what was read; the environment made
 *                of it must hold each of its variables.
 *     COMMAND    NUL-separated: command, PATH, a variable, then one errno for each execve
 *     FETCHER    NUL-separated: the environment that others wrote for our own container
 *
 * Failures come back by longjmp, and each must have a code and a status of the launcher's own. Memory of `scratch` is
 * of the heap here, so that the sanitizers see where each piece ends, and is given back after every run.
 */
#include "launcher.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_PIECES = 64, MAX_TEXTS = 256, MAX_EXECS = 100000 };

static jmp_buf ended;
static void *pieces[MAX_PIECES];
static size_t piece_count;
static const uint8_t *answers;
static size_t answer_count;
static unsigned long execs;

#define INSIST(claim)                                     \
    do {                                                  \
        if (!(claim)) {                                   \
            fprintf(stderr, "not so: %s\n", #claim);      \
            abort();                                      \
        }                                                 \
    } while (0)

static void check(const struct failure *failure)
{
    INSIST(strncmp(failure->code, "SI-61", 5) == 0 && strlen(failure->code) == 6);
    INSIST(failure->what != NULL && failure->hint != NULL);
}

_Noreturn void fail(const struct failure *failure)
{
    check(failure);
    INSIST(failure->status >= EXIT_REFUSED && failure->status <= EXIT_NOT_FOUND);
    longjmp(ended, 1);
}

void tell(const struct failure *failure)
{
    check(failure);
}

void *scratch(size_t size)
{
    INSIST(piece_count < MAX_PIECES);
    return pieces[piece_count++] = calloc(1, size);
}

int fuzz_execve(const char *path, char *const argv[], char *const environment[])
{
    volatile size_t seen = strlen(path);

    INSIST(++execs < MAX_EXECS);
    for (; *argv != NULL; argv++)
        seen += strlen(*argv);
    for (; *environment != NULL; environment++)
        seen += strlen(*environment);
    if (answer_count == 0) /* the command has begun */
        longjmp(ended, 1);
    errno = *answers++;
    answer_count--;
    return -1;
}

int fuzz_chdir(const char *path)
{
    return path[0] == '/' ? 0 : -1;
}

/* Return copies of the NUL-separated texts, and a NULL behind them. */
static char **texts_of(const uint8_t *data, size_t size, size_t *count)
{
    char **texts = scratch((MAX_TEXTS + 1) * sizeof *texts);
    char *copy = scratch(size + 1);
    size_t at = 0;

    memcpy(copy, data, size);
    for (*count = 0; *count < MAX_TEXTS && at < size; (*count)++) {
        texts[*count] = copy + at;
        at += strlen(copy + at) + 1;
    }
    return texts;
}

#if defined ENV_FILE
static char *const INHERITED[] = {"PATH=/bin", "A=1", "EMPTY=", "odd", "A=2", NULL};

static void run(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("env", 0);
    struct env_file file;
    char *again;
    size_t used;

    INSIST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (setjmp(ended) != 0) {
        close(fd);
        return;
    }
    file = read_env_file(path);
    again = scratch(size + 64);
    used = 0;
    for (size_t i = 0; i < file.count; i++) {
        memcpy(again + used, file.variables[i].text, strlen(file.variables[i].text) + 1);
        used += strlen(file.variables[i].text) + 1;
    }
    char header[64];
    int length = snprintf(header, sizeof header, "SIENV1 %zu %zu\n", file.count, used);
    INSIST((size_t)length + used == size);
    INSIST(memcmp(data, header, (size_t)length) == 0 && memcmp(data + length, again, used) == 0);
    char **environment = merge_environment(INHERITED, &file);
    INSIST(environment != NULL);
    for (size_t i = 0; i < file.count; i++) {
        bool found = false;
        for (char **at = environment; *at != NULL; at++)
            found = found || strcmp(*at, file.variables[i].text) == 0;
        INSIST(found);
        if (i == 32)
            break; /* enough, and not quadratic */
    }
    close(fd);
}
#elif defined COMMAND
static void run(const uint8_t *data, size_t size)
{
    size_t count;

    if (setjmp(ended) != 0)
        return;
    char **texts = texts_of(data, size, &count);
    if (count < 3)
        return;
    char *path = scratch(strlen(texts[1]) + sizeof "PATH=");
    memcpy(path, "PATH=", sizeof "PATH=");
    strcat(path, texts[1]);
    char *argv[] = {texts[0], texts[2], NULL};
    char *environment[] = {texts[2], path, NULL};
    answer_count = 0;
    if (count > 3) {
        answers = (const uint8_t *)texts[3];
        answer_count = strlen(texts[3]);
    }
    become(argv, environment);
}
#else
static void run(const uint8_t *data, size_t size)
{
    size_t count;

    if (setjmp(ended) != 0)
        return;
    answer_count = 0;
    become_fetcher(texts_of(data, size, &count));
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    execs = 0;
    piece_count = 0;
    run(data, size);
    while (piece_count > 0)
        free(pieces[--piece_count]);
    return 0;
}
