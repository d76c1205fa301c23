#include "store_conf.h"

#define DEFAULT_CONF "/etc/lineagefs.ini"

int store_conf_read(struct conf *conf, const char *given, struct buf *why)
{
	const char *file = given ? given : getenv("LINEAGEFS_CONF");

	if (file && *file)
		return conf_read_file(conf, file, why);
	return access(DEFAULT_CONF, F_OK) == 0 ? conf_read_file(conf, DEFAULT_CONF, why) : 0;
}

struct store_options store_conf_options(const struct conf *conf)
{
	return (struct store_options){
		.cache_bytes = (size_t)conf->cache_mb << 20,
		.latest_on_equal = conf->latest_on_equal,
		.protected_aliases = conf->protected_aliases,
		.keep_drafts_seconds = (uint64_t)conf->keep_drafts_days * 86400,
		.trash_seconds = (uint64_t)conf->trash_days * 86400,
		.reference_hash_bytes = (uint64_t)conf->reference_hash_mb << 20,
		.scrub_bytes = (uint64_t)conf->scrub_mb << 20,
		.lineage_bytes = (size_t)conf->lineage_mb << 20,
		.lineage_nodes = conf->lineage_nodes,
		.document_nodes = conf->document_nodes,
		.journal_ms = 1000,
	};
}
