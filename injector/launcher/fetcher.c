/* Our own container's start: the fetcher, in an environment that nobody else wrote.
 *
 *     launcher fetch
 *
 * Whatever other webhooks, a namespace's defaults or a tenant put into our container's env, the interpreter sees the
 * fixed variables below and those of the table, in the table's order. This program is static, so no loader has read the
 * environment before it.
 *
 *   - A name stands in the table because the webhook writes it or because a provider reads it; exact names, no prefix.
 *   - Its value must be of the form that the table says and occur once. If not, it is left out, which a line tells:
 *     the fetcher then says what it lacks. All other variables are left out without a word.
 *   - The paths, the arguments and the working directory are compiled in: there is nothing to pass.
 */
#include "launcher.h"

#include <string.h>
#include <unistd.h>

/* A variable that may be passed on; `is_valid` says whether the value is of the form that `form` tells. */
struct passed {
    const char *name;
    size_t max_bytes;
    bool (*is_valid)(const char *value);
    const char *form;
};

static const char LOWER[] = "abcdefghijklmnopqrstuvwxyz";
static const char DNS_NAME[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
static const char DIGITS[] = "0123456789";
static const char BASE64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char PATH_BYTES[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./";

/* Where EKS mounts the token of a pod identity. No token of ours and no other one is below it. */
static const char IDENTITY_FOLDER[] = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/";

/* The agents that AWS documents, and loopback; the provider looks again. */
static const char *const AGENTS[] = {
    "http://169.254.170.2", "http://169.254.170.23", "http://[fd00:ec2::23]", "http://127.0.0.1", "http://[::1]",
};

static bool consists_of(const char *text, const char *bytes)
{
    return text[strspn(text, bytes)] == '\0';
}

static const char *after(const char *prefix, const char *text)
{
    size_t length = strlen(prefix);

    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

static bool is_plan(const char *value)
{
    return consists_of(value, BASE64URL);
}

static bool is_word(const char *value)
{
    return consists_of(value, LOWER);
}

static bool is_dns_name(const char *value)
{
    return consists_of(value, DNS_NAME);
}

/* No `.` or `..` and nothing empty between slashes: the path cannot lead out of its folder. */
static bool is_canonical(const char *path)
{
    for (;;) {
        size_t length = strcspn(path, "/");
        if (length == 0 || strncmp(path, "..", length) == 0)
            return false;
        if (path[length] == '\0')
            return true;
        path += length + 1;
    }
}

static bool is_identity_file(const char *value)
{
    const char *rest = after(IDENTITY_FOLDER, value);

    return rest != NULL && consists_of(rest, PATH_BYTES) && is_canonical(rest);
}

static bool is_path_of_agent(const char *rest)
{
    if (*rest == ':') {
        size_t digits = strspn(rest + 1, DIGITS);
        if (digits == 0 || digits > 5)
            return false;
        rest += 1 + digits;
    }
    return *rest == '\0' || (*rest == '/' && consists_of(rest, PATH_BYTES));
}

static bool is_agent(const char *value)
{
    for (size_t i = 0; i < sizeof AGENTS / sizeof *AGENTS; i++) {
        const char *rest = after(AGENTS[i], value);
        if (rest != NULL && is_path_of_agent(rest))
            return true;
    }
    return false;
}

static const struct passed PASSED[] = {
    {"SECRET_INJECTOR_PLAN", 96 * 1024, is_plan, "it is not a plan: base64url of at most 96 KiB"},
    {"SECRET_INJECTOR_LOG_LEVEL", 16, is_word, "it is not a word of lower-case letters"},
    {"POD_NAME", 253, is_dns_name, "it is not the name of a pod"},
    {"AWS_CONTAINER_CREDENTIALS_FULL_URI", 256, is_agent, "it is not the address of an agent of AWS on this node"},
    {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", 512, is_identity_file, "it is not below the folder of EKS Pod Identity"},
};

enum { PASSED_COUNT = sizeof PASSED / sizeof *PASSED };

static char *const FIXED[] = {
    "PATH=/usr/bin",
    "HOME=/nonexistent",
};

enum { FIXED_COUNT = sizeof FIXED / sizeof *FIXED };

/* -I and -S: no variable, no folder and no site file decides what is imported; start.py names the two that count. */
static char *const ARGUMENTS[] = {
    "/usr/bin/python", "-I", "-S", "-X", "lazy_imports=all", "/app/start.py", "fetch", NULL,
};

static void tell_left_out(const char *name, const char *why)
{
    tell(&(struct failure){
        .code = "SI-615",
        .what = "variable not passed to the fetcher",
        .subject = name,
        .why = why,
        .hint = "the webhook and the cloud's own webhook set it; see who else writes it into the container",
    });
}

/* Return the entry NAME=VALUE when it may be passed on; NULL without a word when there is none. */
static char *pass(const struct passed *variable, char *const inherited[])
{
    size_t length = strlen(variable->name);
    char *found = NULL;

    for (; *inherited != NULL; inherited++) {
        if (strncmp(*inherited, variable->name, length) != 0 || (*inherited)[length] != '=')
            continue;
        if (found != NULL) {
            tell_left_out(variable->name, "it is set twice");
            return NULL;
        }
        found = *inherited;
    }
    if (found == NULL)
        return NULL;
    const char *value = found + length + 1;
    if (*value == '\0' || strnlen(value, variable->max_bytes + 1) > variable->max_bytes || !variable->is_valid(value)) {
        tell_left_out(variable->name, variable->form);
        return NULL;
    }
    return found;
}

_Noreturn void become_fetcher(char *const inherited[])
{
    char *environment[FIXED_COUNT + PASSED_COUNT + 1];
    size_t used = 0;

    for (size_t i = 0; i < FIXED_COUNT; i++)
        environment[used++] = FIXED[i];
    for (size_t i = 0; i < PASSED_COUNT; i++) {
        char *entry = pass(&PASSED[i], inherited);
        if (entry != NULL)
            environment[used++] = entry;
    }
    environment[used] = NULL;
    if (chdir("/") != 0) {
        /* then it starts where it is: isolated Python looks at no working directory */
    }
    become(ARGUMENTS, environment);
}
