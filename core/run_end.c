/*
 * run_end.c - how a run's command ended: what may be said of it, and the names of signals.
 */
#include "run.h"

#include <signal.h>
#include <stdio.h>

/* A number of at most three digits, the whole of a text; -1: it is not one. */
static int small_number(struct slice text)
{
	const char *p = text.data;
	int n = 0;

	if (text.len == 0 || text.len > 3)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		n = n * 10 + (p[i] - '0');
	}
	return n;
}

static int signal_number(struct slice text)
{
	int n = small_number(text);

	if (n >= 0)
		return n;
	if (slice_starts(text, slice_str("SIG")))
		text = slice((const char *)text.data + 3, text.len - 3);
	for (int i = 1; i < NSIG; i++) {
		const char *name = sigabbrev_np(i);

		if (name && slice_equal(text, slice_str(name)))
			return i;
	}
	return -1;
}

int run_end_parse(struct slice word, struct run_end *ret)
{
	static const char code[] = "exit_code=", signal[] = "signal=";
	const char *p = word.data;
	int n;

	if (slice_starts(word, slice_str(code))) {
		n = small_number(slice(p + sizeof(code) - 1, word.len - sizeof(code) + 1));
		if (n < 0 || n > 255)
			return -EINVAL;
		ret->has_exit_code = true;
		ret->exit_code = n;
		return 0;
	}
	if (!slice_starts(word, slice_str(signal)))
		return -EINVAL;
	n = signal_number(slice(p + sizeof(signal) - 1, word.len - sizeof(signal) + 1));
	if (n < 1 || n > SIGRTMAX)
		return -EINVAL;
	ret->signal = n;
	return 0;
}

void run_end_apply(struct run *run, const struct run_end *end)
{
	static const struct run_end unknown = { 0 };

	if (!end)
		end = &unknown;
	run->has_exit_code = end->has_exit_code;
	run->exit_code = end->has_exit_code ? end->exit_code : 0;
	run->signal = end->signal;
	free(run->reason);
	run->reason = xstrdup(end->reason ? end->reason : "");
}

void run_signal_name(int signal, struct buf *ret)
{
	const char *name = sigabbrev_np(signal);

	if (name)
		buf_printf(ret, "SIG%s", name);
	else if (signal >= SIGRTMIN && signal <= SIGRTMAX)
		buf_printf(ret, "SIGRTMIN+%d", signal - SIGRTMIN);
	else
		buf_printf(ret, "signal %d", signal);
}
