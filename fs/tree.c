/*
 * tree.c - the map of the mount: every kind of path, and every child that is always there. What is
 * not listed here comes from a kind's find and next.
 */
#include "tree.h"

/* / */
const struct node_kind kind_root = {
	.name = "root",
	.type = S_IFDIR,
	.fixed = (const struct node_fixed[]){
		{ "README", &kind_readme },
		{ "_status.json", &kind_status },
		{ "artifacts", &kind_collections },
		{ "runs", &kind_runs },
		{ "view", &kind_views },
		{ "lineage", &kind_lineages },
		{ "events.ndjson", &kind_events },
		{ "types", &kind_types },
		{ "jobs", &kind_jobs },
		{ "tags", &kind_tags },
		{ "digests", &kind_digests },
		{ "trash", &kind_trash },
		{ "_control", &kind_control },
		{ NULL, NULL },
	},
	.attr = root_attr,
};

const struct node_kind kind_readme = {
	.name = "README",
	.type = S_IFREG,
	.sealed = true,
	.attr = root_text_attr,
	.render = readme_render,
};

const struct node_kind kind_status = {
	.name = "_status.json",
	.type = S_IFREG,
	.attr = root_text_attr,
	.render = status_render,
};

const struct node_kind kind_events = {
	.name = "events.ndjson",
	.type = S_IFREG,
	.attr = events_attr,
	.open = events_open,
};

/* Found, not listed: it is for commands. */
const struct node_kind kind_control = {
	.name = "_control",
	.type = S_IFREG,
	.unlisted = true,
	.slow = true,
	.attr = control_attr,
	.set_attr = control_set_attr,
	.open = control_open,
};

/* /artifacts */
const struct node_kind kind_collections = {
	.name = "artifacts",
	.type = S_IFDIR,
	.find = collections_find,
	.next = collections_next,
	.attr = collections_attr,
	.edit = &collections_edit,
};

/* /artifacts/<name> */
const struct node_kind kind_collection = {
	.name = "collection",
	.type = S_IFDIR,
	.texts = true,
	.fixed = (const struct node_fixed[]){
		{ "description", &kind_collection_description },
		{ "type", &kind_collection_type },
		{ NULL, NULL },
	},
	.find = collection_find_child, /* latest, aliases, v0, v1, ... */
	.next_many = collection_next_children,
	.parent = collection_parent,
	.attr = collection_attr,
	.set_attr = collection_set_attr,
	.edit = &collection_edit,
};

const struct node_kind kind_collection_type = {
	.name = "type",
	.type = S_IFREG,
	.volatile_name = true, /* of all texts that tools rename: fs/beside.h */
	.empty = "",
	.attr = collection_text_attr,
	.render = collection_type_render,
	.accept = collection_type_accept,
};

const struct node_kind kind_collection_description = {
	.name = "description",
	.type = S_IFREG,
	.volatile_name = true,
	.empty = "",
	.attr = collection_text_attr,
	.render = collection_description_render,
	.accept = collection_description_accept,
};

/*
 * The kernel forgets their names at once: where a link is renamed over another, it thinks that the
 * name leads to what was renamed.
 */
const struct node_kind kind_alias = {
	.name = "alias",
	.type = S_IFLNK,
	.volatile_name = true,
	.attr = alias_attr,
	.target = alias_target,
};

const struct node_kind kind_temporary = {
	.name = "link to be renamed",
	.type = S_IFLNK,
	.volatile_name = true,
	.attr = temporary_attr,
	.target = temporary_target,
};

const struct node_kind kind_latest = {
	.name = "latest",
	.type = S_IFLNK,
	.attr = latest_attr,
	.target = latest_target,
};

/* /artifacts/<name>/v<N>, or /trash/<name>:v<N> */
const struct node_kind kind_version = {
	.name = "version",
	.type = S_IFDIR,
	.sealed = true,
	.texts = true,
	.volatile_times = true, /* its last use */
	.fixed = (const struct node_fixed[]){
		{ "SHA256SUMS", &kind_sums },
		{ "consumers", &kind_consumers },
		{ "description", &kind_version_description },
		{ "files", &kind_content_root },
		{ "info.json", &kind_version_info },
		{ "metadata.json", &kind_version_metadata },
		{ "producer", &kind_producer },
		{ "producers", &kind_producers },
		{ "tags", &kind_version_tags },
		{ NULL, NULL },
	},
	.parent = version_parent,
	.attr = version_place_attr,
	.xattrs = &version_xattrs,
};

const struct node_kind kind_sums = {
	.name = "SHA256SUMS",
	.type = S_IFREG,
	.sealed = true,
	.attr = sums_attr,
	.render = sums_render,
};

const struct node_kind kind_version_info = {
	.name = "info.json",
	.type = S_IFREG,
	.attr = version_text_attr,
	.render = version_info_render,
};

const struct node_kind kind_version_description = {
	.name = "description of a version",
	.type = S_IFREG,
	.volatile_name = true,
	.empty = "",
	.attr = version_note_attr,
	.render = version_description_render,
	.accept = version_description_accept,
};

const struct node_kind kind_version_metadata = {
	.name = "metadata.json of a version",
	.type = S_IFREG,
	.volatile_name = true,
	.slow = true,
	.empty = "{}\n",
	.attr = version_note_attr,
	.render = version_metadata_render,
	.accept = version_metadata_accept,
	.unfinished = json_unfinished,
};

/* /artifacts/<name>/v<N>/tags */
const struct node_kind kind_version_tags = {
	.name = "tags of a version",
	.type = S_IFDIR,
	.find = version_tags_find,
	.next = version_tags_next,
	.attr = version_note_attr,
	.edit = &version_tags_edit,
};

const struct node_kind kind_version_tag = {
	.name = "tag of a version",
	.type = S_IFREG,
	.volatile_name = true, /* logging may tag, and what is tagged may go */
	.attr = version_tag_attr,
	.render = tag_render,
	.accept = tag_accept,
};

const struct node_kind kind_producer = {
	.name = "producer",
	.type = S_IFLNK,
	.volatile_attr = true, /* its length tells where the version is */
	.sealed = true,
	.attr = version_link_attr,
	.target = producer_target,
};

const struct node_kind kind_producers = {
	.name = "producers",
	.type = S_IFDIR,
	.find = producers_find,
	.next = producers_next,
	.attr = version_attr,
};

const struct node_kind kind_consumers = {
	.name = "consumers",
	.type = S_IFDIR,
	.find = consumers_find,
	.next = consumers_next,
	.attr = version_attr,
};

const struct node_kind kind_producers_run = {
	.name = "producers/<run>",
	.type = S_IFLNK,
	.volatile_attr = true, /* its length tells where the version is */
	.sealed = true,
	.attr = version_link_attr,
	.target = version_run_target,
};

const struct node_kind kind_consumers_run = {
	.name = "consumers/<run>",
	.type = S_IFLNK,
	.volatile_attr = true, /* its length tells where the version is */
	.volatile_name = true, /* a run may take a declared input back */
	.attr = version_link_attr,
	.target = version_run_target,
};

/* /artifacts/<name>/v<N>/files and below */
const struct node_kind kind_content_root = {
	.name = "files",
	.type = S_IFDIR,
	.sealed = true,
	.final_names = true,
	.find = content_find,
	.list = content_list,
	.attr = content_root_attr,
	.parent = content_root_parent,
	.xattrs = &version_xattrs,
};

const struct node_kind kind_content_directory = {
	.name = "directory of a version",
	.type = S_IFDIR,
	.sealed = true,
	.final_names = true,
	.find = content_find,
	.parent = content_parent,
	.list = content_list,
	.attr = content_attr,
	.release = content_release,
	.xattrs = &content_xattrs,
};

const struct node_kind kind_content_file = {
	.name = "file of a version",
	.type = S_IFREG,
	.sealed = true,
	.attr = content_attr,
	.open = content_open,
	.lend = content_lend,
	.release = content_release,
	.xattrs = &content_xattrs,
};

const struct node_kind kind_content_link = {
	.name = "link of a version",
	.type = S_IFLNK,
	.sealed = true,
	.attr = content_attr,
	.target = content_target,
	.lend = content_lend,
	.release = content_release,
};

/* /trash: the versions in it are those of kind_version */
const struct node_kind kind_trash = {
	.name = "trash",
	.type = S_IFDIR,
	.volatile_names = true,
	.find = trash_find,
	.list = trash_list,
	.attr = trash_attr,
	.edit = &trash_edit,
};

/* /runs */
const struct node_kind kind_runs = {
	.name = "runs",
	.type = S_IFDIR,
	.find = runs_find,
	.next = runs_next,
	.attr = runs_attr,
	.edit = &runs_edit,
};

/* /runs/<run> */
const struct node_kind kind_run = {
	.name = "run",
	.type = S_IFDIR,
	.texts = true,
	.fixed = (const struct node_fixed[]){
		{ "config.json", &kind_config },
		{ "console.log", &kind_console },
		{ "info.json", &kind_run_info },
		{ "inputs", &kind_inputs },
		{ "job_type", &kind_job_type },
		{ "log", &kind_run_log },
		{ "metadata.json", &kind_metadata },
		{ "notes", &kind_notes },
		{ "outputs", &kind_outputs },
		{ "procs", &kind_procs },
		{ "rerun.sh", &kind_rerun },
		{ "state", &kind_state },
		{ "summary.json", &kind_summary },
		{ "tags", &kind_run_tags },
		{ NULL, NULL },
	},
	.parent = run_parent,
	.attr = run_attr,
	.set_attr = run_set_attr,
};

const struct node_kind kind_run_info = {
	.name = "info.json",
	.type = S_IFREG,
	.attr = run_text_attr,
	.render = run_info_render,
};

const struct node_kind kind_run_log = {
	.name = "log",
	.type = S_IFREG,
	.slow = true,
	.commands = true,
	.attr = run_text_attr,
	.render = run_log_render,
	.accept = run_log_accept,
};

const struct node_kind kind_state = {
	.name = "state",
	.type = S_IFREG,
	.slow = true,
	.commands = true,
	.attr = run_text_attr,
	.render = state_render,
	.accept = state_accept,
};

const struct node_kind kind_procs = {
	.name = "procs",
	.type = S_IFREG,
	.slow = true,
	.commands = true,
	.attr = run_text_attr,
	.render = procs_render,
	.accept = procs_accept,
};

const struct node_kind kind_job_type = {
	.name = "job_type",
	.type = S_IFREG,
	.volatile_name = true,
	.empty = "",
	.attr = run_note_attr,
	.render = job_type_render,
	.accept = job_type_accept,
};

const struct node_kind kind_notes = {
	.name = "notes",
	.type = S_IFREG,
	.volatile_name = true,
	.empty = "",
	.attr = run_note_attr,
	.render = notes_render,
	.accept = notes_accept,
};

const struct node_kind kind_config = {
	.name = "config.json",
	.type = S_IFREG,
	.volatile_name = true,
	.empty = "{}\n",
	.slow = true, /* a large text that comes in small pieces is parsed at each */
	.attr = run_text_attr,
	.render = config_render,
	.accept = config_accept,
	.unfinished = json_unfinished,
};

const struct node_kind kind_metadata = {
	.name = "metadata.json",
	.type = S_IFREG,
	.volatile_name = true,
	.empty = "{}\n",
	.slow = true,
	.attr = run_text_attr,
	.render = metadata_render,
	.accept = metadata_accept,
	.unfinished = json_unfinished,
};

const struct node_kind kind_summary = {
	.name = "summary.json",
	.type = S_IFREG,
	.volatile_name = true,
	.empty = "{}\n",
	.slow = true,
	.attr = run_note_attr,
	.render = summary_render,
	.accept = summary_accept,
	.unfinished = json_unfinished,
};

const struct node_kind kind_console = {
	.name = "console.log",
	.type = S_IFREG,
	.attr = console_log_attr,
	.set_attr = console_log_set_attr,
	.open = console_log_open,
};

const struct node_kind kind_rerun = {
	.name = "rerun.sh",
	.type = S_IFREG,
	.attr = rerun_attr,
	.render = rerun_render,
};

/* /runs/<run>/tags */
const struct node_kind kind_run_tags = {
	.name = "tags",
	.type = S_IFDIR,
	.find = run_tags_find,
	.next = run_tags_next,
	.attr = run_note_attr,
	.edit = &run_tags_edit,
};

const struct node_kind kind_run_tag = {
	.name = "tags/<tag>",
	.type = S_IFREG,
	.attr = run_tag_attr,
	.render = tag_render,
	.accept = tag_accept,
};

/* /runs/<run>/inputs */
const struct node_kind kind_inputs = {
	.name = "inputs",
	.type = S_IFDIR,
	.find = inputs_find,
	.next = inputs_next,
	.attr = run_attr,
	.edit = &inputs_edit,
};

const struct node_kind kind_input = {
	.name = "inputs/<role>",
	.type = S_IFLNK,
	.attr = run_link_attr,
	.target = input_target,
};

const struct node_kind kind_observed = {
	.name = "inputs/<name>:v<N>",
	.type = S_IFLNK,
	.volatile_name = true, /* the run may declare it after all */
	.attr = run_link_attr,
	.target = run_version_target,
};

/* /runs/<run>/outputs: drafts, and links to what was logged */
const struct node_kind kind_outputs = {
	.name = "outputs",
	.type = S_IFDIR,
	.find = outputs_find,
	.list = outputs_list,
	.attr = run_attr,
	.edit = &outputs_edit,
};

const struct node_kind kind_logged = {
	.name = "outputs/<name>:v<N>",
	.type = S_IFLNK,
	.volatile_attr = true, /* its length tells where the version is */
	.sealed = true,
	.attr = run_link_attr,
	.target = run_version_target,
};

const struct node_kind kind_ended = {
	.name = "outputs/<name>",
	.type = S_IFLNK,
	.sealed = true,
	.attr = run_link_attr,
	.target = ended_target,
};

/* /runs/<run>/outputs/<name> and below: whatever the run made there */
const struct node_kind kind_draft = {
	.name = "draft",
	.find = draft_find,
	.parent = draft_parent,
	.list = draft_list,
	.attr = draft_attr,
	.set_attr = draft_set_attr,
	.target = draft_target,
	.open = draft_open,
	.edit = &draft_edit,
	.xattrs = &draft_xattrs,
	.release = draft_release,
};

/* /view: what is below counts as the run's reading, whoever reads */
const struct node_kind kind_views = {
	.name = "view",
	.type = S_IFDIR,
	.unlisted = true,
	.find = views_find,
	.attr = views_attr,
};

/* /view/<run>: /artifacts as that run sees it */
const struct node_kind kind_view = {
	.name = "view/<run>",
	.type = S_IFDIR,
	.sealed = true,
	.volatile_attr = true, /* a run's */
	.find = view_find,
	.next = view_next,
	.attr = view_attr,
	.parent = view_parent,
};

const struct node_kind kind_view_collection = {
	.name = "collection in a view",
	.type = S_IFDIR,
	.sealed = true,
	.volatile_attr = true, /* a collection's */
	.find = view_collection_find, /* latest, aliases, v0, v1, ... */
	.next = view_collection_next,
	.attr = view_collection_attr,
	.parent = view_collection_parent,
};

const struct node_kind kind_view_latest = {
	.name = "latest in a view",
	.type = S_IFLNK,
	.attr = view_latest_attr,
	.target = view_latest_target,
};

const struct node_kind kind_view_alias = {
	.name = "alias in a view",
	.type = S_IFLNK,
	.volatile_name = true,
	.attr = view_alias_attr,
	.target = view_alias_target,
};

const struct node_kind kind_view_version = {
	.name = "version in a view",
	.type = S_IFDIR,
	.sealed = true,
	.find = view_version_find, /* SHA256SUMS, files, info.json */
	.next = view_version_next,
	.attr = version_attr,
	.parent = view_version_parent,
	.xattrs = &version_xattrs,
};

const struct node_kind kind_view_sums = {
	.name = "SHA256SUMS in a view",
	.type = S_IFREG,
	.sealed = true,
	.attr = sums_attr,
	.render = sums_render,
};

const struct node_kind kind_view_info = {
	.name = "info.json in a view",
	.type = S_IFREG,
	.attr = version_text_attr,
	.render = version_info_render,
};

/* /lineage: the whole store; <name>:v<N>/ and <run>/ are found, not listed */
const struct node_kind kind_lineages = {
	.name = "lineage",
	.type = S_IFDIR,
	.fixed = (const struct node_fixed[]){
		{ "graph.html", &kind_graph_html },
		{ "graph.json", &kind_graph_json },
		{ NULL, NULL },
	},
	.first_slot = 16,
	.find = lineages_find,
	.attr = lineage_attr,
};

const struct node_kind kind_lineage = {
	.name = "lineage/<node>",
	.type = S_IFDIR,
	.fixed = (const struct node_fixed[]){
		{ "downstream", &kind_lineage_down },
		{ "graph.dot", &kind_graph_dot },
		{ "graph.html", &kind_graph_html },
		{ "graph.json", &kind_graph_json },
		{ "openlineage.ndjson", &kind_openlineage },
		{ "upstream", &kind_lineage_up },
		{ NULL, NULL },
	},
	.attr = lineage_node_attr,
	.parent = lineage_parent,
};

#define LINEAGE_FIXED                                                                    \
	(const struct node_fixed[]){                                                     \
		{ "artifacts", &kind_lineage_artifacts },                                \
		{ "runs", &kind_lineage_runs },                                          \
		{ "types", &kind_lineage_types },                                        \
		{ NULL, NULL },                                                          \
	}

const struct node_kind kind_lineage_up = {
	.name = "upstream",
	.type = S_IFDIR,
	.fixed = LINEAGE_FIXED,
	.first_slot = LINEAGE_UP_SLOT,
	.attr = lineage_attr,
	.parent = lineage_parent,
};

const struct node_kind kind_lineage_down = {
	.name = "downstream",
	.type = S_IFDIR,
	.fixed = LINEAGE_FIXED,
	.first_slot = LINEAGE_DOWN_SLOT,
	.attr = lineage_attr,
	.parent = lineage_parent,
};

const struct node_kind kind_lineage_artifacts = {
	.name = "artifacts of a lineage",
	.type = S_IFDIR,
	.find = lineage_artifacts_find,
	.list = lineage_artifacts_list,
	.attr = lineage_attr,
	.parent = lineage_parent,
};

const struct node_kind kind_lineage_runs = {
	.name = "runs of a lineage",
	.type = S_IFDIR,
	.find = lineage_runs_find,
	.list = lineage_runs_list,
	.attr = lineage_attr,
	.parent = lineage_parent,
};

const struct node_kind kind_lineage_types = {
	.name = "types of a lineage",
	.type = S_IFDIR,
	.find = lineage_types_find,
	.list = lineage_types_list,
	.attr = lineage_attr,
	.parent = lineage_parent,
};

/*
 * Its name is kept, though the last version of the type may go: to find it again takes all types of
 * the closure, at each step through it. It is empty then.
 */
const struct node_kind kind_lineage_type = {
	.name = "types/<type> of a lineage",
	.type = S_IFDIR,
	.find = lineage_type_find,
	.list = lineage_type_list,
	.attr = lineage_attr,
	.parent = lineage_parent,
};

const struct node_kind kind_lineage_link = {
	.name = "node of a lineage",
	.type = S_IFLNK,
	.volatile_name = true, /* inputs may be taken back */
	.attr = lineage_link_attr,
	.target = lineage_link_target,
};

const struct node_kind kind_lineage_truncated = {
	.name = "TRUNCATED",
	.type = S_IFREG,
	.volatile_name = true,
	.attr = lineage_text_attr,
	.render = lineage_truncated_render,
};

const struct node_kind kind_graph_json = {
	.name = "graph.json",
	.type = S_IFREG,
	.costly = true,
	.attr = lineage_text_attr,
	.render = graph_json_render,
};

const struct node_kind kind_graph_html = {
	.name = "graph.html",
	.type = S_IFREG,
	.costly = true,
	.attr = lineage_text_attr,
	.render = graph_html_render,
};

const struct node_kind kind_graph_dot = {
	.name = "graph.dot",
	.type = S_IFREG,
	.costly = true,
	.attr = lineage_text_attr,
	.render = graph_dot_render,
};

const struct node_kind kind_openlineage = {
	.name = "openlineage.ndjson",
	.type = S_IFREG,
	.costly = true,
	.attr = lineage_text_attr,
	.render = openlineage_render,
};

/* /types, /jobs, /tags: what is of a type, of a job type, has a tag */
const struct node_kind kind_types = {
	.name = "types",
	.type = S_IFDIR,
	.find = index_names_find,
	.list = index_names_list,
	.attr = index_attr,
};

const struct node_kind kind_by_type = {
	.name = "types/<type>",
	.type = S_IFDIR,
	.hashed = true,
	.volatile_name = true, /* it goes with what is in it; not everybody finds it */
	.find = index_items_find,
	.list = index_items_list,
	.attr = index_attr,
	.parent = index_parent,
};

const struct node_kind kind_jobs = {
	.name = "jobs",
	.type = S_IFDIR,
	.find = index_names_find,
	.list = index_names_list,
	.attr = index_attr,
};

const struct node_kind kind_by_job = {
	.name = "jobs/<job type>",
	.type = S_IFDIR,
	.hashed = true,
	.volatile_name = true, /* it goes with what is in it; not everybody finds it */
	.find = index_items_find,
	.list = index_items_list,
	.attr = index_attr,
	.parent = index_parent,
};

const struct node_kind kind_tags = {
	.name = "tags",
	.type = S_IFDIR,
	.find = index_names_find,
	.list = index_names_list,
	.attr = index_attr,
};

const struct node_kind kind_by_tag = {
	.name = "tags/<tag>",
	.type = S_IFDIR,
	.hashed = true,
	.volatile_name = true, /* it goes with what is in it; not everybody finds it */
	.find = index_items_find,
	.list = index_items_list,
	.attr = index_attr,
	.parent = index_parent,
};

const struct node_kind kind_index_link = {
	.name = "link of an index",
	.type = S_IFLNK,
	.volatile_name = true,
	.attr = index_link_attr,
	.target = index_link_target,
};

/* /digests/<sha256>: what holds these bytes; found, not listed */
const struct node_kind kind_digests = {
	.name = "digests",
	.type = S_IFDIR,
	.find = digests_find,
	.attr = index_attr,
};

const struct node_kind kind_by_digest = {
	.name = "digests/<sha256>",
	.type = S_IFDIR,
	.hashed = true,
	.volatile_name = true,
	.find = digest_find,
	.list = digest_list,
	.attr = index_attr,
	.parent = digest_parent,
};

const struct node_kind kind_digest_link = {
	.name = "link of a digest",
	.type = S_IFLNK,
	.hashed = true,
	.volatile_name = true,
	.attr = index_link_attr,
	.target = index_link_target,
};

const struct node_kind kind_digest_truncated = {
	.name = "TRUNCATED",
	.type = S_IFREG,
	.hashed = true,
	.volatile_name = true,
	.attr = lineage_text_attr,
	.render = lineage_truncated_render,
};

/* Files that tools make beside texts to rename them over those */
const struct node_kind kind_beside = {
	.name = "file beside a text",
	.type = S_IFREG,
	.volatile_name = true,
	.attr = beside_attr,
	.set_attr = beside_set_attr,
	.open = beside_open,
	.xattrs = &beside_xattrs,
	.release = beside_release,
};
