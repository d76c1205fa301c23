#include "run_process.h"

#define COMMAND_MAX 1024

struct registering {
	uint32_t run;
	struct process_row row;
};

static int register_body(struct kv_txn *txn, void *arg)
{
	AUTO(run_release) struct run run = { 0 };
	AUTO(buf_release) struct buf row = BUF_INIT;
	AUTO(buf_release) struct buf first = BUF_INIT;
	const struct registering *g = arg;
	uint32_t slot;
	int err = run_read(txn, g->run, &run);

	if (err == 0 && run.state != RUN_RUNNING)
		err = -EROFS;
	if (err < 0)
		return err;
	slot = run.next_slot++;
	encode_process_row(&row, &g->row);
	err = kv_put(txn, KV_META, KEY(process(g->run, slot)), buf_slice(&row));
	if (err == 0)
		err = run_write(txn, &run);
	if (err == 0)
		err = kv_has(txn, KV_META, KEY(watched(g->run)));
	if (err != 0)
		return err < 0 ? err : 0;
	/* Rows of before, of processes that crashed, no longer count. */
	encode_u64(&first, slot);
	return kv_put(txn, KV_META, KEY(watched(g->run)), buf_slice(&first));
}

static char *command_of(pid_t pid)
{
	AUTO(buf_release) struct buf command = BUF_INIT;

	if (process_command(pid, &command) < 0)
		return xstrdup("");
	if (command.len > COMMAND_MAX)
		command.len = COMMAND_MAX;
	while (command.len > 0 && command.data[command.len - 1] == '\0')
		command.len--;
	for (size_t i = 0; i < command.len; i++)
		if (command.data[i] == '\0')
			command.data[i] = ' ';
	return xstrndup(command.data ? command.data : "", command.len);
}

int run_process_add(struct store *store, uint32_t run, const struct process *process)
{
	struct registering g = { .run = run };
	int err;

	g.row = (struct process_row){
		.boot = xstrdup(process_boot_id()),
		.space = process_namespace(),
		.pid = (uint32_t)process->pid,
		.start = process->start,
		.uid = process->uid,
		.registered = store_now(),
		.command = command_of(process->pid),
	};
	err = kv_update(store->kv, KV_DURABLE, register_body, &g);
	process_row_release(&g.row);
	return err;
}

int run_process_next(struct store *store, uint32_t run, uint32_t after, uint32_t *ret_slot,
		     struct process_row *ret)
{
	AUTO(kv_abortp) struct kv_txn *txn = NULL;
	AUTO(kv_donep) struct kv_scan *scan = NULL;
	struct key prefix = key_prefix_id('q', run);
	struct slice key, value;
	int more = kv_begin(store->kv, KV_READ, &txn);

	if (more == 0)
		more = kv_scan(txn, KV_META, key_slice(&prefix), KEY(process(run, after + 1)),
			       &scan);
	if (more == 0)
		more = kv_next(scan, &key, &value);
	if (more <= 0)
		return more;
	*ret_slot = key_u32_at(key, 5);
	return decode_process_row(value, ret) < 0 ? -EIO : 1;
}

bool cred_in_group(const struct cred *cred, gid_t gid)
{
	return process_in_group(cred->pid, gid);
}
