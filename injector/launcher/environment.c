/* The new environment: the inherited one with the file's variables set. No text is copied, only pointers to it are.
 *
 *   1. An inherited entry which the file does not name stays, byte for byte and in order, even one without a `=`.
 *   2. One that the file names is replaced where it stands. Should the name occur again further on, that entry goes:
 *      libraries differ on whether the first or the last one counts, and no program may see the old value.
 *   3. Variables that are new follow in file order.
 *
 * n variables in the file and m inherited ones cost (n + m) log n comparisons.
 */
#include "launcher.h"

#include <stdlib.h>
#include <string.h>

int compare_names(const char *left, const char *right)
{
    while (*left == *right && *left != '=') {
        left++;
        right++;
    }
    int a = *left == '=' ? 0 : (unsigned char)*left;
    int b = *right == '=' ? 0 : (unsigned char)*right;
    return a - b;
}

static int compare_with_element(const void *text, const void *element)
{
    struct variable *const *variable = element;

    return compare_names(text, (*variable)->text);
}

static struct variable *find(const struct env_file *file, const char *text)
{
    if (strchr(text, '=') == NULL)
        return NULL;
    struct variable **found =
        bsearch(text, file->by_name, file->count, sizeof(*file->by_name), compare_with_element);
    return found == NULL ? NULL : *found;
}

char **merge_environment(char *const inherited[], struct env_file *file)
{
    size_t inherited_count = 0;
    while (inherited[inherited_count] != NULL)
        inherited_count++;

    char **merged = scratch((inherited_count + file->count + 1) * sizeof(*merged));
    if (merged == NULL)
        return NULL;

    size_t used = 0;
    for (size_t i = 0; i < inherited_count; i++) {
        struct variable *planned = find(file, inherited[i]);
        if (planned == NULL) {
            merged[used++] = inherited[i]; /* (1) */
        } else if (!planned->placed) {
            merged[used++] = planned->text; /* (2) */
            planned->placed = true;
        }
    }
    for (size_t i = 0; i < file->count; i++)
        if (!file->variables[i].placed)
            merged[used++] = file->variables[i].text; /* (3) */
    merged[used] = NULL;
    return merged;
}

const char *value_of(const char *name, char *const environment[])
{
    size_t length = strlen(name);

    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    return NULL;
}
