/* What a file of a draft holds, where something happens between its listing and the look at it. */
#include "store_place.h"

#include "core/look.h"

/* A draft of one file, listed and known. */
struct listed {
	struct draft_area *area;
	struct scan scan;
	struct known_file known;
	struct looker looker;
	struct look look;
};

static void list(struct place *place, struct listed *ret, bool quiet)
{
	uint32_t run = make_run(place, "r");
	struct listed *l = ret;

	put_directory(place, run, "m");
	put_file(place, run, "m/f", "old");
	/* The clock of files moves in ticks. */
	usleep(50000);
	*l = (struct listed){ .look = { .name = "m/f", .fd = -1 } };
	assert_int_equal(draft_area_get(place->store, run, &l->area), 0);
	l->scan.store = place->store;
	l->scan.top = draft_top_get(l->area, "m");
	l->scan.touches = draft_watch(l->scan.top);
	l->scan.quiet = quiet;
	clock_gettime(CLOCK_REALTIME, &l->scan.started);
	stat_draft(place, run, "m/f", &l->look.st);
	l->known = (struct known_file){
		.ino = l->look.st.st_ino, .size = (uint64_t)l->look.st.st_size,
		.mtime = l->look.st.st_mtim, .ctime = l->look.st.st_ctim,
	};
	digest_of(slice_str("old"), &l->known.digest);
	l->scan.known = (struct known_files){ &l->known, 1, 1 };
	l->look.directory = l->area->fd;
	looker_init(&l->looker, &l->scan);
}

static void look(struct listed *l, const char *expected)
{
	struct digest digest;

	digest_of(slice_str(expected), &digest);
	look_at(&l->looker, &l->look);
	assert_int_equal(l->look.err, 0);
	assert_int_equal(l->look.size, strlen(expected));
	assert_true(digest_equal(&l->look.digest, &digest));
}

static void release(struct listed *l)
{
	look_release(&l->scan, &l->look);
	assert_int_equal(l->area->progress.bytes, 0);
	looker_release(&l->looker);
	draft_unwatch(l->scan.top);
	draft_top_put(l->scan.top);
	draft_area_put(l->area);
}

static void what_is_known_is_not_read(void **state)
{
	struct listed l;

	list(*state, &l, true);
	look(&l, "old");
	assert_true(l.look.staged && l.look.lasting);
	release(&l);
}

/* It was open when the reading began, so it may have been written after it was listed. */
static void what_was_open_at_the_beginning_is_looked_at(void **state)
{
	struct place *place = *state;
	struct listed l;

	list(place, &l, false);
	put_file(place, l.area->run, "m/f", "written");
	look(&l, "written");
	assert_false(l.look.staged);
	release(&l);
}

static void what_was_opened_since_is_looked_at(void **state)
{
	struct place *place = *state;
	struct listed l;

	list(place, &l, true);
	draft_touch(l.scan.top, l.look.st.st_ino);
	put_file(place, l.area->run, "m/f", "written");
	look(&l, "written");
	assert_false(l.look.staged);
	release(&l);
}

/* The same size, and times that were set back: what was touched is not trusted. */
static void what_was_touched_and_looks_the_same_is_read(void **state)
{
	struct place *place = *state;
	struct listed l;
	struct stat st;

	list(place, &l, true);
	draft_touch(l.scan.top, l.look.st.st_ino);
	put_file(place, l.area->run, "m/f", "new");
	stat_draft(place, l.area->run, "m/f", &st);
	l.known.mtime = st.st_mtim;
	l.known.ctime = st.st_ctim;
	look(&l, "new");
	release(&l);
}

static void what_is_open_now_is_refused(void **state)
{
	struct draft_writer *writer;
	struct listed l;

	list(*state, &l, true);
	writer = draft_writer_open(l.scan.top, l.look.st.st_ino);
	look_at(&l.looker, &l.look);
	assert_int_equal(l.look.err, -EBUSY);
	draft_writer_close(writer);
	look_again(&l.look);
	look(&l, "old");
	release(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(memory, what_is_known_is_not_read),
		ON(memory, what_was_open_at_the_beginning_is_looked_at),
		ON(memory, what_was_opened_since_is_looked_at),
		ON(memory, what_was_touched_and_looks_the_same_is_read),
		ON(memory, what_is_open_now_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
