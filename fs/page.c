#include "page.h"

#include <assert.h>

/* What stands in the page where the graph is to be. */
#define PLACE "@GRAPH@"

/* The file as it is: the assembler reads it, from the directory that make runs in. */
__asm__(".pushsection .rodata\n"
	"page_begin:\n"
	".incbin \"fs/graph.html\"\n"
	"page_end:\n"
	".popsection\n");
extern const char page_begin[], page_end[];

void page_write(struct slice graph, struct buf *ret)
{
	size_t len = (size_t)(page_end - page_begin);
	const char *place = memmem(page_begin, len, PLACE, sizeof(PLACE) - 1);
	const char *rest = place + sizeof(PLACE) - 1;

	assert(place);
	buf_add(ret, page_begin, (size_t)(place - page_begin));
	buf_add_slice(ret, graph);
	buf_add(ret, rest, (size_t)(page_end - rest));
}
