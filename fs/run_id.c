#include "run_id.h"

#include <sys/random.h>

#include "core/buf.h"

static const char *const adjectives[] = {
	"able",	  "amber", "azure", "bold",  "brave", "brief", "bright", "brisk", "broad",  "calm",
	"civil",  "clean", "clear", "cool",  "coral", "crisp", "deep",	 "dry",	  "eager",  "early",
	"fair",	  "fancy", "fast",  "fine",  "firm",  "fresh", "gentle", "glad",  "golden", "grand",
	"green",  "happy", "hardy", "jolly", "keen",  "kind",  "late",	 "light", "lively", "lucky",
	"mellow", "merry", "mild",  "neat",  "noble", "proud", "quick",	 "quiet", "rapid",  "royal",
	"sharp",  "shiny", "sleek", "smart", "solid", "steady", "still", "sunny", "swift",  "tidy",
	"vivid",  "warm",  "wise",  "young",
};

static const char *const nouns[] = {
	"acorn",  "badger", "basin",  "beech",	"birch",  "brook", "canyon", "cedar", "cliff",
	"cloud",  "comet",  "coral",  "crane",	"creek",  "delta", "dune",   "eagle", "falcon",
	"fern",	  "finch",  "forest", "fox",	"garnet", "glade", "harbor", "hawk",  "heron",
	"hill",	  "island", "jasper", "lagoon", "lake",	  "lark",  "lynx",   "maple", "marsh",
	"meadow", "moon",   "oak",    "ocean",	"orchid", "otter", "owl",    "pebble", "pine",
	"planet", "pond",   "poplar", "prairie", "quartz", "raven", "reef",  "ridge", "river",
	"robin",  "sparrow", "spruce", "star",	"stone",  "summit", "swan",  "valley", "willow",
	"wren",
};

char *run_id_new(void)
{
	uint32_t dice[3] = { 0 };

	/* Cannot fail for so few bytes, but for a kernel without the call: then EEXIST decides. */
	if (getrandom(dice, sizeof(dice), 0) < 0)
		dice[0] = dice[1] = dice[2] = (uint32_t)getpid();
	return xasprintf("%s-%s-%03u", adjectives[dice[0] % ARRAY_SIZE(adjectives)],
			 nouns[dice[1] % ARRAY_SIZE(nouns)], dice[2] % 1000);
}
