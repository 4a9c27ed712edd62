/* The only place that prints a failure. Two lines, first what happened, then what to do:
 *
 *     SI-610 launcher: cannot read env file "/x": No such file or directory
 *     hint: ...
 *
 * They leave in one write, so that the output of other processes cannot tear them apart. A subject is quoted, its
 * bytes outside printable ASCII are escaped (a command's name must not steer a terminal or forge a log line), and it
 * is cut after SUBJECT_BYTES.
 */
#include "launcher.h"

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

void tell(const struct failure *failure)
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
    if (write(STDERR_FILENO, message.text, message.used) < 0) {
        /* stderr is closed or full; the exit status is all that is left to tell */
    }
}

_Noreturn void fail(const struct failure *failure)
{
    tell(failure);
    _exit(failure->status);
}
