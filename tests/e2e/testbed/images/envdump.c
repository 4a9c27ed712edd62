/*
 * The only file of an image without shell, C library or /etc: shows what a process was given.
 *
 *   envdump [cat FILE | sleep | exit STATUS]...
 *
 * Writes its environment to standard output, each variable ended by a NUL, and a newline, without
 * which the container runtime would hold the output back. Then it does what the arguments say in
 * their order. `sleep` lasts until SIGTERM.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static void put(const char *bytes, size_t left)
{
    while (left > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, left);
        if (n <= 0)
            _exit(74);
        bytes += n;
        left -= (size_t)n;
    }
}

static void cat(const char *path)
{
    char buffer[65536];
    int file = open(path, O_RDONLY);
    ssize_t n;

    if (file < 0)
        _exit(66);
    while ((n = read(file, buffer, sizeof buffer)) > 0)
        put(buffer, (size_t)n);
    close(file);
}

static void end(int number)
{
    (void)number;
    _exit(0);
}

int main(int argc, char **argv)
{
    signal(SIGTERM, end);
    for (char **variable = environ; *variable; variable++)
        put(*variable, strlen(*variable) + 1);
    put("\n", 1);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "cat") && i + 1 < argc)
            cat(argv[++i]);
        else if (!strcmp(argv[i], "exit") && i + 1 < argc)
            return atoi(argv[++i]);
        else if (!strcmp(argv[i], "sleep"))
            for (;;)
                pause();
        else
            return 64;
    }
    return 0;
}
