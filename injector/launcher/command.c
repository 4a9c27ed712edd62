/* The last step: find the command as a container runtime would, and become it.
 *
 *   - A name with a slash is that file. Any other name is looked for along the PATH of the *new* environment.
 *   - Only absolute directories of PATH count. An empty or relative one would mean the working directory, where the
 *     application may be able to write; runtimes refuse such a hit too. Without a PATH nothing is found.
 *   - A candidate that may not be executed is passed over, and decides the exit status if no better one follows.
 *   - A file the kernel cannot run (no #! line, another architecture) ends the search: it is never given to a shell.
 *
 * PATH may itself come from the env file, so messages do not quote it, nor the candidates.
 */
#include "launcher.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* Linux takes no single argument or variable above this many pages, its NUL included (MAX_ARG_STRLEN). */
static const size_t MAX_TEXT_PAGES = 32;

static bool means_absent(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG || error == ELOOP;
}

/* Return why the command could not be started from this directory of PATH. */
static int try_directory(const char *directory, size_t length, char *const argv[], char *const environment[])
{
    char candidate[PATH_MAX];
    size_t command_size = strlen(argv[0]) + 1;

    if (length == 0 || directory[0] != '/')
        return ENOENT;
    if (length + 1 + command_size > sizeof candidate)
        return ENAMETOOLONG;
    memcpy(candidate, directory, length);
    candidate[length] = '/';
    memcpy(candidate + length + 1, argv[0], command_size);
    execve(candidate, argv, environment);
    return errno;
}

static int try_path(const char *path, char *const argv[], char *const environment[])
{
    int outcome = ENOENT;

    for (;;) {
        size_t length = strcspn(path, ":");
        int error = try_directory(path, length, argv, environment);
        if (error == EACCES)
            outcome = EACCES;
        else if (!means_absent(error))
            return error;
        if (path[length] == '\0')
            return outcome;
        path += length + 1;
    }
}

static const char *longest_text(char *const environment[])
{
    const char *longest = "";

    for (; *environment != NULL; environment++)
        if (strlen(*environment) > strlen(longest))
            longest = *environment;
    return longest;
}

static _Noreturn void fail_too_large(const char *command, char *const environment[])
{
    struct failure failure = {
        .status = EXIT_NOT_EXECUTABLE,
        .code = "SI-613",
        .what = "environment and arguments are too large to execute",
        .subject = command,
        .why = strerror(E2BIG),
        .hint = "deliver large values as files; all variables and arguments share a quarter of the stack limit",
    };
    const char *text = longest_text(environment);
    size_t name_length = strcspn(text, "=");
    char name[NAME_MAX + 1] = "";

    if (strlen(text) + 1 > MAX_TEXT_PAGES * getauxval(AT_PAGESZ)) {
        memcpy(name, text, name_length < NAME_MAX ? name_length : NAME_MAX);
        failure.what = "variable too long for execve";
        failure.subject = name;
        failure.hint = "deliver this value as a file";
    }
    fail(&failure);
}

static _Noreturn void fail_command(const char *command, const char *path, int error)
{
    bool is_absent = means_absent(error);
    bool is_searched = strchr(command, '/') == NULL;
    struct failure failure = {
        .status = is_absent ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE,
        .code = "SI-612",
        .what = "cannot execute",
        .subject = command,
        .why = strerror(error),
        .hint = "it must be a program for this machine, or a script that begins with #!, and be executable",
    };

    if (is_absent)
        failure.hint = "check the container's command; the interpreter or loader that the file names must exist too";
    if (is_absent && is_searched) {
        failure.why = path == NULL ? "PATH is not set" : "not found in PATH";
        failure.hint = "check the container's command, or name it with its directory";
    }
    fail(&failure);
}

_Noreturn void become(char *const argv[], char *const environment[])
{
    const char *path = value_of("PATH", environment);
    int error = ENOENT;

    if (strchr(argv[0], '/') != NULL) {
        execve(argv[0], argv, environment);
        error = errno;
    } else if (path != NULL && argv[0][0] != '\0') {
        error = try_path(path, argv, environment);
    }
    if (error == E2BIG)
        fail_too_large(argv[0], environment);
    fail_command(argv[0], path, error);
}
