/* The only place that tells a failure. Two lines, first what happened, then what to do:
 *
 *     SI-610 launcher: cannot read env file "/x": No such file or directory
 *     hint: ...
 *
 * They leave in one write, so that the output of other processes cannot tear them apart. A subject is quoted, its
 * bytes outside printable ASCII are escaped (a command's name must not steer a terminal or forge a log line), and it
 * is cut after SUBJECT_BYTES.
 *
 * What ends a container's first process also goes into the termination log, where `kubectl describe pod` and
 * `kubectl get` look; whoever is started by kubectl exec or as a probe leaves that alone.
 */
#include "launcher.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { SUBJECT_BYTES = 256, MESSAGE_BYTES = 4 * SUBJECT_BYTES + 1024 };

struct message {
    size_t used;
    char text[MESSAGE_BYTES];
};

static void add(struct message *message, const char *text)
{
    for (; *text != '\0' && message->used < MESSAGE_BYTES; text++)
        message->text[message->used++] = *text;
}

static void add_escaped(struct message *message, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    const char plain[] = {(char)byte, '\0'};
    const char quoted[] = {'\\', (char)byte, '\0'};
    const char hex[] = {'\\', 'x', digits[byte >> 4], digits[byte & 15], '\0'};

    if (byte == '"' || byte == '\\')
        add(message, quoted);
    else if (byte >= ' ' && byte <= '~')
        add(message, plain);
    else
        add(message, hex);
}

static void add_quoted(struct message *message, const char *subject)
{
    add(message, " \"");
    for (size_t i = 0; i < SUBJECT_BYTES && subject[i] != '\0'; i++)
        add_escaped(message, (unsigned char)subject[i]);
    add(message, strnlen(subject, SUBJECT_BYTES + 1) > SUBJECT_BYTES ? "\"..." : "\"");
}

static struct message worded(const struct failure *failure)
{
    struct message message = {.used = 0};

    add(&message, failure->code);
    add(&message, " launcher: ");
    add(&message, failure->what);
    if (failure->subject != NULL)
        add_quoted(&message, failure->subject);
    if (failure->why != NULL) {
        add(&message, ": ");
        add(&message, failure->why);
    }
    add(&message, "\nhint: ");
    add(&message, failure->hint);
    add(&message, "\n");
    return message;
}

/* The kubelet makes the file, mode 0666, and mounts it; nothing is made where there is none. */
static void leave_for_kubelet(const struct message *message)
{
    int log = open("/dev/termination-log", O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (log >= 0 && write(log, message->text, message->used) < 0) {
        /* the lines are on stderr, too */
    }
}

static void print(const struct message *message)
{
    if (write(STDERR_FILENO, message->text, message->used) < 0) {
        /* stderr is closed or full; the exit status is all that is left to tell */
    }
}

void tell(const struct failure *failure)
{
    const struct message message = worded(failure);

    print(&message);
}

_Noreturn void fail(const struct failure *failure)
{
    const struct message message = worded(failure);

    print(&message);
    if (getpid() == 1)
        leave_for_kubelet(&message);
    _exit(failure->status);
}
