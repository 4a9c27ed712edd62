/* Stands in for scratch.c in the sanitized build: on the heap, AddressSanitizer sees every byte that is read or
 * written outside a block. */
#include "launcher.h"

#include <stdlib.h>

void *scratch(size_t size)
{
    return calloc(1, size);
}
