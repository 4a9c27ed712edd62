/* What the parts of the launcher share; launcher.c says how they fit together. */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, which C11 and POSIX leave out */

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses, as env(1), timeout(1) and container runtimes use them. */
enum { EXIT_REFUSED = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* One coded failure. The texts come from this program and strerror; `subject` is a path, a command or a variable's
 * name. There is no member for a value or for a file's content, and none may be added. */
struct failure {
    int status;
    const char *code;
    const char *what;
    const char *subject; /* NULL: none */
    const char *why;     /* NULL: none */
    const char *hint;
};

/* One variable of the env file. */
struct variable {
    char *text;  /* NAME=value, NUL-terminated, in the bytes that were read */
    bool placed; /* it stands in the new environment already */
};

/* A well-formed env file: every name is valid and occurs once. */
struct env_file {
    size_t count;
    struct variable *variables; /* in file order */
    struct variable **by_name;  /* the same ones, sorted by name */
};

/* report.c: print the failure on stderr, in two lines and one write, and exit with its status. */
_Noreturn void fail(const struct failure *failure);

/* report.c: print the failure like `fail`, and go on. */
void tell(const struct failure *failure);

/* scratch.c: return `size` zero bytes outside the heap, or NULL with errno set. They are never given back: execve
 * and exit do that. */
void *scratch(size_t size);

/* envfile.c: return the content of the env file at `path`, or fail with SI-610 or SI-611. */
struct env_file read_env_file(const char *path);

/* environment.c: compare the names of two NAME=value texts like strcmp. */
int compare_names(const char *left, const char *right);

/* environment.c: return `inherited` with the file's variables set, or NULL with errno set. */
char **merge_environment(char *const inherited[], struct env_file *file);

/* environment.c: return the value of the first variable called `name`, or NULL. */
const char *value_of(const char *name, char *const environment[]);

/* command.c: become the command argv[0], or fail with SI-612 or SI-613. */
_Noreturn void become(char *const argv[], char *const environment[]);

/* fetcher.c: become our image's fetcher with those of the inherited variables that it may see. */
_Noreturn void become_fetcher(char *const inherited[]);

#endif
