/* Memory outside the heap: pages which only this process sees, and which execve drops with everything in them. */
#include "launcher.h"

#include <sys/mman.h>

void *scratch(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return pages == MAP_FAILED ? NULL : pages;
}
