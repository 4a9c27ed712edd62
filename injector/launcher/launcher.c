/* launcher: set the variables of an env file, then become the command.
 *
 *     launcher ENVFILE -- COMMAND [ARG...]
 *     launcher exec COMMAND [ARG...]       for people: the env file is `env`, beside this program
 *     launcher --version
 *     launcher fetch                       in our own container: fetcher.c
 *
 * In:   ENVFILE, in the format that envfile.c describes; the inherited environment; COMMAND with its arguments.
 * Out:  COMMAND in the same process, so with the same PID, signals and exit status. Its environment is the inherited
 *       one in which the file's variables replace those of the same name in place; new ones follow in file order.
 * Flow: launcher.c -> envfile.c (read, parse) -> environment.c (merge) -> command.c (search, execve).
 *
 * The rules it keeps, each for a reason:
 *   - All or nothing: whatever is wrong with the file, the command does not start.
 *   - No value is ever printed, and nothing is written but the lines of a failure (report.c), so there is no log or
 *     disk a value could reach. The only copy is in anonymous memory, which execve gives back. A container's first
 *     process also writes those lines into its termination log, if the kubelet has put one at the usual place.
 *   - No shell, and no fallback to one: a value is bytes, never a program.
 *   - No heap, no /proc, no need of /dev, no writable directory, no thread, no signal handler: it runs as PID 1 of an empty
 *     image on a read-only root, and whatever the command inherits (descriptors, umask, directory, limits, signal
 *     dispositions and mask) is as the runtime set it.
 *   - Nobody of the same user may read this process while it holds the values: it is not dumpable (prctl(2)), which
 *     execve resets for the command.
 *   - Few system calls: prctl, open, fcntl (FD_CLOEXEC), fstat, read, close, mmap and execve; after a failure write,
 *     getpid, open and exit_group; before main the C library's arch_prctl and set_tid_address. All are in the runtimes' default
 *     seccomp profiles. The tests hold it to this list.
 *
 * Exit status when the command could not be started: 125 SI-610 env file unreadable, SI-611 env file malformed,
 * SI-614 usage; 126 SI-612 found but not executable, SI-613 too large for execve; 127 SI-612 not found.
 */
#include "launcher.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef LAUNCHER_VERSION
#define LAUNCHER_VERSION "unversioned"
#endif

extern char **environ;

static int print_version(void)
{
    static const char line[] = "secret-injector launcher " LAUNCHER_VERSION " (SIENV1)\n";
    const ssize_t length = sizeof line - 1;

    return write(STDOUT_FILENO, line, sizeof line - 1) == length ? 0 : EXIT_REFUSED;
}

static _Noreturn void fail_usage(void)
{
    fail(&(struct failure){
        .status = EXIT_REFUSED,
        .code = "SI-614",
        .what = "usage: launcher ENVFILE -- COMMAND [ARG...], or launcher exec COMMAND [ARG...]",
        .hint = "the webhook writes the first; the second is for kubectl exec, with the launcher's whole path",
    });
}

static _Noreturn void fail_memory(const char *path)
{
    fail(&(struct failure){
        .status = EXIT_REFUSED,
        .code = "SI-610",
        .what = "cannot set the variables of env file",
        .subject = path,
        .why = strerror(errno),
        .hint = "raise the memory limit of the container",
    });
}

/* Return the path of the env file that lies beside this program, by the name that it was started with. */
static const char *env_file_beside(const char *program)
{
    static const char name[] = "env";
    static char path[PATH_MAX];
    const char *slash = strrchr(program, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash - program) + 1;

    if (folder == 0 || folder + sizeof name > sizeof path)
        fail_usage();
    memcpy(path, program, folder);
    memcpy(path + folder, name, sizeof name);
    return path;
}

int main(int argc, char *argv[])
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return print_version();
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L); /* where a seccomp profile refuses it, the values are as safe as before */
    if (argc == 2 && strcmp(argv[1], "fetch") == 0)
        become_fetcher(environ);
    const char *path;
    char **command;
    if (argc >= 4 && strcmp(argv[2], "--") == 0)
        command = argv + 3;
    else if (argc >= 3 && strcmp(argv[1], "exec") == 0 && strcmp(argv[2], "--") != 0)
        command = argv + 2;
    else
        fail_usage();
    path = strcmp(argv[1], "exec") == 0 ? env_file_beside(argv[0]) : argv[1];

    struct env_file file = read_env_file(path);
    char **environment = merge_environment(environ, &file);
    if (environment == NULL)
        fail_memory(path);
    become(command, environment);
}
