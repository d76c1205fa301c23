#include "lineage_outline.h"

/*
 * An edge as seen from a node towards what it leads to. The order is that of the edges, upstream;
 * turned round, downstream: either way a run that is entered over an edge leads to what it has
 * before that.
 */
struct way {
	uint32_t order;
	uint32_t to;
};

/* A node that was entered, and what of it counts: ways of a run before this order. */
struct entry {
	uint32_t node;
	uint32_t before;
	uint32_t others;
};

struct entries {
	struct entry *list;
	size_t count, cap;
};

struct frame {
	struct entries children;
	size_t next;
	uint32_t line; /* of which they are the children */
	unsigned depth;
};

struct outlining {
	const struct picture *p;
	const struct outline_options *options;
	struct outline *out;
	/* The ways of a node: from first[node] to first[node + 1], in order. */
	struct way *ways;
	uint32_t *first;
	uint32_t *gone;	 /* how many of them an outline has gone */
	uint32_t *steps; /* from the root to an artifact */
	bool *passed;	 /* artifacts of other types */
	struct frame *stack;
	size_t stack_count, stack_cap;
	struct frame *parts; /* that are still to come: a queue */
	size_t part_count, part_cap, next_part;
};

static void push(struct entries *e, struct entry entry)
{
	e->list = xgrow(e->list, &e->cap, e->count + 1, sizeof(*e->list));
	e->list[e->count++] = entry;
}

/* ---- ways ---- */

static void count_way(struct outlining *o, const struct picture_edge *e, uint32_t order, bool put)
{
	uint32_t from = o->options->up ? e->to : e->from, to = o->options->up ? e->from : e->to;

	/* Who logged an equal version later is shown nowhere: it leads to nothing. */
	if (e->kind == PICTURE_REPRODUCED)
		return;
	if (put)
		o->ways[o->first[from + 1]++] = (struct way){ order, to };
	else
		o->first[from + 2]++;
}

static void make_ways(struct outlining *o)
{
	const struct picture *p = o->p;
	uint32_t count = (uint32_t)p->edge_count;

	o->first = xcalloc(p->node_count + 3, sizeof(*o->first));
	o->ways = xcalloc(p->edge_count + 1, sizeof(*o->ways));
	for (uint32_t i = 0; i < count; i++)
		count_way(o, &p->edges[i], 0, false);
	for (size_t i = 2; i < p->node_count + 2; i++)
		o->first[i] += o->first[i - 1];
	for (uint32_t i = 0; i < count; i++)
		count_way(o, &p->edges[o->options->up ? i : count - 1 - i], i, true);
}

/*
 * Goes the next way of a node that was entered and was not gone before; false: there is none. Order
 * does not matter to an artifact: its ways are all gone at once.
 */
static bool go(struct outlining *o, const struct entry *e, struct entry *ret)
{
	uint32_t at = o->first[e->node] + o->gone[e->node];
	const struct way *way = &o->ways[at];

	if (at == o->first[e->node + 1] || (o->p->nodes[e->node].run && way->order >= e->before))
		return false;
	o->gone[e->node]++;
	*ret = (struct entry){ .node = way->to, .before = way->order };
	return true;
}

/* ---- steps ---- */

/* The runs that an entry leads to, at once and over drafts; the artifacts beyond are `found`. */
static void step_over_runs(struct outlining *o, struct entry from, struct entries *found)
{
	struct entries runs = { 0 };
	struct entry next;

	push(&runs, from);
	for (size_t i = 0; i < runs.count; i++) {
		/* By value: the list moves when it grows. */
		struct entry run = runs.list[i];

		while (go(o, &run, &next))
			push(o->p->nodes[next.node].run ? &runs : found, next);
	}
	free(runs.list);
}

/* How far each artifact is from the root; farther than the bound: not met. */
static void count_steps(struct outlining *o, struct entry root)
{
	struct entries level = { 0 };

	memset(o->steps, 0xff, o->p->node_count * sizeof(*o->steps));
	o->steps[root.node] = 0;
	push(&level, root);
	for (uint32_t steps = 1; level.count && steps <= o->options->steps; steps++) {
		struct entries found = { 0 };

		for (size_t i = 0; i < level.count; i++)
			step_over_runs(o, level.list[i], &found);
		level.count = 0;
		for (size_t i = 0; i < found.count; i++) {
			if (o->steps[found.list[i].node] != UINT32_MAX)
				continue;
			o->steps[found.list[i].node] = steps;
			push(&level, found.list[i]);
		}
		free(found.list);
	}
	free(level.list);
	memset(o->gone, 0, o->p->node_count * sizeof(*o->gone));
}

/* ---- children ---- */

static bool is_shown(const struct outlining *o, uint32_t node)
{
	const char *type = o->options->type;

	return !type || (!o->p->nodes[node].run && !strcmp(o->p->nodes[node].type, type));
}

static bool leads_on(const struct outlining *o, uint32_t node)
{
	return o->p->nodes[node].run || o->steps[node] < o->options->steps;
}

/* Into the order in which things happened. */
static void turn_round(struct entries *e)
{
	for (size_t i = 0; i < e->count / 2; i++) {
		struct entry swap = e->list[i];

		e->list[i] = e->list[e->count - 1 - i];
		e->list[e->count - 1 - i] = swap;
	}
}

/* What is not shown is passed, nearest first, so that the way over the fewest others is told. */
static void find_children(struct outlining *o, struct entry from, struct entries *ret)
{
	struct entries queue = { 0 };
	struct entry next;

	push(&queue, from);
	for (size_t i = 0; i < queue.count; i++) {
		struct entry at = queue.list[i];

		if (!leads_on(o, at.node))
			continue;
		while (go(o, &at, &next)) {
			bool run = o->p->nodes[next.node].run;

			next.others = at.others;
			if (is_shown(o, next.node)) {
				push(ret, next);
			} else if (run || !o->passed[next.node]) {
				o->out->others += !run;
				next.others += !run;
				o->passed[next.node] = true;
				push(&queue, next);
			}
		}
	}
	free(queue.list);
	if (!o->options->up && !o->options->type)
		turn_round(ret);
}

/* ---- lines ---- */

static void push_frame(struct frame **list, size_t *count, size_t *cap, struct frame frame)
{
	*list = xgrow(*list, cap, *count + 1, sizeof(**list));
	(*list)[(*count)++] = frame;
}

static uint32_t add_line(struct outlining *o, struct outline_line line)
{
	struct outline *out = o->out;

	out->lines = xgrow(out->lines, &out->cap, out->count + 1, sizeof(*out->lines));
	out->lines[out->count] = line;
	return (uint32_t)out->count++;
}

static void meet(struct outlining *o, uint32_t node)
{
	if (o->out->met[node])
		return;
	o->out->met[node] = true;
	if (o->p->nodes[node].run)
		o->out->runs++;
	else
		o->out->artifacts++;
}

static void show_child(struct outlining *o, uint32_t parent, unsigned depth, struct entry e)
{
	struct frame below = { .depth = depth + 1 };
	bool again = o->out->met[e.node];
	struct outline_line line = {
		.node = e.node,
		.others = e.others,
		.parent = parent,
		.depth = depth,
		.again = again,
	};

	meet(o, e.node);
	e.others = 0;
	find_children(o, e, &below.children);
	line.later = below.children.count > 0 && below.depth >= o->options->depth;
	below.line = add_line(o, line);
	if (line.later)
		push_frame(&o->parts, &o->part_count, &o->part_cap, below);
	else
		push_frame(&o->stack, &o->stack_count, &o->stack_cap, below);
}

static void show_frames(struct outlining *o)
{
	while (o->stack_count > 0) {
		struct frame *top = &o->stack[o->stack_count - 1];

		if (top->next == top->children.count) {
			free(top->children.list);
			o->stack_count--;
		} else {
			struct entry child = top->children.list[top->next++];

			show_child(o, top->line, top->depth, child);
		}
	}
}

/* Of the lines below one line, which is the last at its depth. */
static void mark_last(struct outline *out, unsigned depth)
{
	autofree bool *more = xcalloc(depth + 2, sizeof(*more));

	for (size_t i = out->count; i-- > 0;) {
		struct outline_line *line = &out->lines[i];

		if (line->part) {
			memset(more, 0, (depth + 2) * sizeof(*more));
			continue;
		}
		line->last = !more[line->depth];
		more[line->depth] = true;
		memset(more + line->depth + 1, 0, (depth + 1 - line->depth) * sizeof(*more));
	}
}

static void outlining_release(struct outlining *o)
{
	free(o->ways);
	free(o->first);
	free(o->gone);
	free(o->steps);
	free(o->passed);
	free(o->stack);
	free(o->parts);
}

void outline_make(const struct picture *p, const struct outline_options *options,
		  struct outline *ret)
{
	AUTO(outlining_release) struct outlining o = { .p = p, .options = options, .out = ret };
	struct entry root = { .node = p->root, .before = UINT32_MAX };
	struct frame frame = { .line = OUTLINE_NONE };

	*ret = (struct outline){ .met = xcalloc(p->node_count, sizeof(bool)) };
	o.gone = xcalloc(p->node_count, sizeof(*o.gone));
	o.steps = xcalloc(p->node_count, sizeof(*o.steps));
	o.passed = xcalloc(p->node_count, sizeof(*o.passed));
	make_ways(&o);
	count_steps(&o, root);
	ret->met[p->root] = o.passed[p->root] = true;
	find_children(&o, root, &frame.children);
	push_frame(&o.stack, &o.stack_count, &o.stack_cap, frame);
	show_frames(&o);
	while (o.next_part < o.part_count) {
		frame = o.parts[o.next_part++];
		add_line(&o, (struct outline_line){
			.node = ret->lines[frame.line].node, .part = true,
			.parent = OUTLINE_NONE });
		frame.depth = 0;
		push_frame(&o.stack, &o.stack_count, &o.stack_cap, frame);
		show_frames(&o);
	}
	mark_last(ret, options->depth);
}

void outline_release(struct outline *o)
{
	free(o->lines);
	free(o->met);
	*o = OUTLINE_INIT;
}
