/*
 * tree.h - the kinds of paths that the mount has, and the hooks of each neighbourhood. The map
 * itself is tree.c.
 */
#ifndef FS_TREE_H
#define FS_TREE_H

#include "node.h"

extern const struct node_kind kind_root, kind_readme, kind_status, kind_control, kind_events;
extern const struct node_kind kind_collections, kind_collection, kind_collection_type,
	kind_collection_description, kind_latest, kind_alias, kind_temporary;
extern const struct node_kind kind_version, kind_producer, kind_producers, kind_producers_run,
	kind_consumers, kind_consumers_run, kind_version_info, kind_sums;
extern const struct node_kind kind_content_root, kind_content_directory, kind_content_file,
	kind_content_link;
extern const struct node_kind kind_trash;
extern const struct node_kind kind_runs, kind_run, kind_inputs, kind_input, kind_outputs,
	kind_logged, kind_ended, kind_run_log, kind_state, kind_run_info, kind_procs, kind_observed;
extern const struct node_kind kind_views, kind_view, kind_view_collection, kind_view_latest,
	kind_view_alias,
	kind_view_version, kind_view_sums, kind_view_info;
extern const struct node_kind kind_job_type, kind_config, kind_metadata, kind_rerun, kind_run_tags,
	kind_run_tag, kind_console;
extern const struct node_kind kind_types, kind_by_type, kind_jobs, kind_by_job, kind_tags,
	kind_by_tag, kind_index_link, kind_digests, kind_by_digest, kind_digest_link,
	kind_digest_truncated;
extern const struct node_kind kind_lineages, kind_lineage, kind_lineage_up, kind_lineage_down,
	kind_lineage_artifacts, kind_lineage_runs, kind_lineage_types, kind_lineage_type,
	kind_lineage_link, kind_lineage_truncated, kind_graph_json, kind_graph_html, kind_graph_dot,
	kind_openlineage;
extern const struct node_kind kind_version_description, kind_version_metadata, kind_version_tags,
	kind_version_tag, kind_notes, kind_summary, kind_beside;
extern const struct node_kind kind_draft;

/* Where the numbers of what is in /lineage/<node>/upstream and downstream begin. */
#define LINEAGE_UP_SLOT 16
#define LINEAGE_DOWN_SLOT 32

#define HOOK_FIND(name)                                                                  \
	int name(struct vfs *vfs, const struct vfs_call *call, struct node *dir,         \
		 const char *child, struct node *ret)
#define HOOK_NEXT(name)                                                                  \
	int name(struct vfs *vfs, struct node *dir, const char *after,                   \
		 struct buf *ret_name, struct node *ret)
#define HOOK_NEXT_MANY(name)                                                             \
	int name(struct vfs *vfs, struct node *dir, const char *after,                   \
		 struct node_batch *ret)
#define HOOK_PARENT(name) uint64_t name(struct vfs *vfs, const struct node *dir)
#define HOOK_LIST(name)                                                                  \
	int name(struct vfs *vfs, const struct vfs_call *call, struct node *dir,         \
		 struct listing **ret)
#define HOOK_ATTR(name) int name(struct vfs *vfs, struct node *node, struct stat *st)
#define HOOK_SET_ATTR(name)                                                              \
	int name(struct vfs *vfs, const struct vfs_call *call, struct node *node,        \
		 struct handle *handle, const struct stat *set, unsigned what)
#define HOOK_TEXT(name) int name(struct vfs *vfs, struct node *node, struct buf *ret)
#define HOOK_TARGET(name)                                                                \
	int name(struct vfs *vfs, const struct vfs_call *call, struct node *node,        \
		 struct buf *ret)
#define HOOK_ACCEPT(name)                                                                \
	int name(struct vfs *vfs, const struct vfs_call *call, struct node *node,        \
		 struct slice text)
#define HOOK_OPEN(name)                                                                  \
	int name(struct vfs *vfs, const struct vfs_call *call, struct node *node,        \
		 int flags, struct vfs_open *ret)

/* kind_root.c */
HOOK_ATTR(root_attr);
HOOK_ATTR(root_text_attr);
HOOK_TEXT(readme_render);
HOOK_TEXT(status_render);

/* kind_events.c */
HOOK_ATTR(events_attr);
HOOK_OPEN(events_open);

/* kind_control.c */
HOOK_ATTR(control_attr);
HOOK_SET_ATTR(control_set_attr);
HOOK_OPEN(control_open);

/* kind_artifact.c */
HOOK_FIND(collections_find);
HOOK_NEXT(collections_next);
HOOK_ATTR(collections_attr);
extern const struct node_edit collections_edit;
HOOK_FIND(collection_find_child);
HOOK_NEXT_MANY(collection_next_children);
extern const struct node_edit collection_edit;
HOOK_PARENT(collection_parent);
HOOK_ATTR(collection_attr);
HOOK_SET_ATTR(collection_set_attr);
HOOK_ATTR(collection_text_attr);
HOOK_TEXT(collection_type_render);
HOOK_ACCEPT(collection_type_accept);
HOOK_TEXT(collection_description_render);
HOOK_ACCEPT(collection_description_accept);
HOOK_ATTR(latest_attr);
HOOK_TARGET(latest_target);
extern const struct node_edit collection_edit;

/* kind_alias.c: of a collection, and of one in a view */
HOOK_FIND(alias_find_child);
HOOK_NEXT(alias_next_child);
HOOK_ATTR(alias_attr);
HOOK_TARGET(alias_target);
HOOK_FIND(view_alias_find);
HOOK_NEXT(view_alias_next);
HOOK_ATTR(view_alias_attr);
HOOK_TARGET(view_alias_target);
/* What an alias shows, `latest` too: the version that the caller sees behind it. */
int alias_show(struct vfs *vfs, const struct vfs_call *call, uint32_t collection,
	       const char *alias, struct buf *ret);
/* What a collection's edit does with a name that is an alias, or is to be one. */
int alias_symlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		  const char *name, const char *target, struct node *ret);
int alias_unlink(struct vfs *vfs, const struct vfs_call *call, struct node *dir, const char *name);
int alias_rename_child(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		       const char *name, struct node *new_dir, const char *new_name,
		       unsigned flags);

/* temporary.c */
HOOK_ATTR(temporary_attr);
HOOK_TARGET(temporary_target);

/* kind_trash.c */
struct version;
void version_top_node(const struct version *v, struct node *ret);
int version_rmdir(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		  const char *name);
int version_rename(struct vfs *vfs, const struct vfs_call *call, struct node *dir,
		   const char *name, struct node *new_dir, const char *new_name, unsigned flags);
HOOK_ATTR(trash_attr);
HOOK_FIND(trash_find);
HOOK_LIST(trash_list);
extern const struct node_edit trash_edit;
/* A version was removed, came back or was purged: the kernel is told. arg is the vfs. */
void trash_version_changed(void *arg, const struct version *v);

/* kind_version.c */
HOOK_PARENT(version_parent);
HOOK_ATTR(version_attr);
HOOK_ATTR(version_top_attr);
HOOK_ATTR(version_text_attr);
HOOK_ATTR(version_link_attr);
HOOK_ATTR(sums_attr);
HOOK_TARGET(producer_target);
HOOK_FIND(producers_find);
HOOK_NEXT(producers_next);
HOOK_FIND(consumers_find);
HOOK_NEXT(consumers_next);
HOOK_TARGET(version_run_target);
HOOK_TEXT(version_info_render);
HOOK_TEXT(sums_render);

/* kind_version_text.c */
HOOK_ATTR(version_place_attr);
HOOK_ATTR(version_note_attr);
HOOK_TEXT(version_description_render);
HOOK_ACCEPT(version_description_accept);
HOOK_TEXT(version_metadata_render);
HOOK_ACCEPT(version_metadata_accept);

/* kind_tags.c */
HOOK_FIND(run_tags_find);
HOOK_NEXT(run_tags_next);
extern const struct node_edit run_tags_edit;
HOOK_ATTR(run_tag_attr);
HOOK_FIND(version_tags_find);
HOOK_NEXT(version_tags_next);
extern const struct node_edit version_tags_edit;
HOOK_ATTR(version_tag_attr);
HOOK_TEXT(tag_render);
HOOK_ACCEPT(tag_accept);

/* beside.c */
HOOK_ATTR(beside_attr);
HOOK_SET_ATTR(beside_set_attr);
HOOK_OPEN(beside_open);
extern const struct node_xattrs beside_xattrs;
void beside_release(struct node *node);

/* kind_content.c */
HOOK_FIND(content_find);
HOOK_PARENT(content_parent);
HOOK_PARENT(content_root_parent);
HOOK_LIST(content_list);
HOOK_ATTR(content_root_attr);
HOOK_ATTR(content_attr);
HOOK_TARGET(content_target);
HOOK_OPEN(content_open);
void content_lend(struct node *node, struct node_lent *ret);
void content_release(struct node *node);

/* kind_run.c */
HOOK_FIND(runs_find);
HOOK_NEXT(runs_next);
HOOK_ATTR(runs_attr);
extern const struct node_edit runs_edit;
HOOK_PARENT(run_parent);
HOOK_ATTR(run_attr);
HOOK_SET_ATTR(run_set_attr);
HOOK_ATTR(run_text_attr);
HOOK_ATTR(run_link_attr);
HOOK_TEXT(run_info_render);
HOOK_TEXT(run_log_render);
HOOK_ACCEPT(run_log_accept);
HOOK_TEXT(state_render);
HOOK_ACCEPT(state_accept);
HOOK_TEXT(procs_render);
HOOK_ACCEPT(procs_accept);
struct run;
/* A run's attributes, and the run: to be released, whatever is returned. -ESTALE: it is gone. */
int run_stat(struct vfs *vfs, struct node *node, struct run *run, struct stat *st);
/* Tells the kernel what the end of a run changed, and who watches over its processes. */
void run_state_changed(struct vfs *vfs, uint32_t run);

/* kind_view.c */
HOOK_FIND(views_find);
HOOK_ATTR(views_attr);
HOOK_PARENT(view_parent);
HOOK_PARENT(view_collection_parent);
HOOK_PARENT(view_version_parent);
HOOK_FIND(view_find);
HOOK_NEXT(view_next);
HOOK_ATTR(view_attr);
HOOK_FIND(view_collection_find);
HOOK_NEXT(view_collection_next);
HOOK_ATTR(view_collection_attr);
HOOK_ATTR(view_latest_attr);
HOOK_TARGET(view_latest_target);
HOOK_FIND(view_version_find);
HOOK_NEXT(view_version_next);

/* kind_run_files.c */
HOOK_ATTR(run_note_attr);
HOOK_TEXT(job_type_render);
HOOK_ACCEPT(job_type_accept);
HOOK_TEXT(config_render);
HOOK_ACCEPT(config_accept);
HOOK_TEXT(metadata_render);
HOOK_ACCEPT(metadata_accept);
bool json_unfinished(struct slice text);
HOOK_ATTR(rerun_attr);
HOOK_TEXT(rerun_render);
HOOK_TEXT(notes_render);
HOOK_ACCEPT(notes_accept);
HOOK_TEXT(summary_render);
HOOK_ACCEPT(summary_accept);

/* kind_console.c */
HOOK_ATTR(console_log_attr);
HOOK_SET_ATTR(console_log_set_attr);
HOOK_OPEN(console_log_open);

/* kind_lineage.c */
HOOK_FIND(lineages_find);
HOOK_PARENT(lineage_parent);
HOOK_ATTR(lineage_attr);
HOOK_ATTR(lineage_node_attr);
HOOK_ATTR(lineage_text_attr);
HOOK_ATTR(lineage_link_attr);
HOOK_FIND(lineage_artifacts_find);
HOOK_LIST(lineage_artifacts_list);
HOOK_FIND(lineage_runs_find);
HOOK_LIST(lineage_runs_list);
HOOK_FIND(lineage_types_find);
HOOK_LIST(lineage_types_list);
HOOK_FIND(lineage_type_find);
HOOK_LIST(lineage_type_list);
HOOK_TARGET(lineage_link_target);
HOOK_TEXT(lineage_truncated_render);
HOOK_TEXT(graph_json_render);
HOOK_TEXT(graph_html_render);
HOOK_TEXT(graph_dot_render);
HOOK_TEXT(openlineage_render);

/* kind_index.c */
HOOK_ATTR(index_attr);
HOOK_ATTR(index_link_attr);
HOOK_PARENT(index_parent);
HOOK_PARENT(digest_parent);
HOOK_TARGET(index_link_target);
HOOK_FIND(index_names_find);
HOOK_LIST(index_names_list);
HOOK_FIND(index_items_find);
HOOK_LIST(index_items_list);
HOOK_FIND(digests_find);
HOOK_FIND(digest_find);
HOOK_LIST(digest_list);

/* kind_inputs.c */
HOOK_FIND(inputs_find);
HOOK_NEXT(inputs_next);
HOOK_TARGET(input_target);
extern const struct node_edit inputs_edit;

/* kind_outputs.c */
HOOK_FIND(outputs_find);
HOOK_LIST(outputs_list);
HOOK_TARGET(run_version_target);
HOOK_TARGET(ended_target);
extern const struct node_edit outputs_edit;

/* kind_draft.c, draft_edit.c, draft_file.c */
HOOK_FIND(draft_find);
HOOK_PARENT(draft_parent);
HOOK_LIST(draft_list);
HOOK_ATTR(draft_attr);
HOOK_SET_ATTR(draft_set_attr);
HOOK_TARGET(draft_target);
HOOK_OPEN(draft_open);
extern const struct node_edit draft_edit;
extern const struct node_xattrs draft_xattrs, content_xattrs, version_xattrs;
void draft_release(struct node *node);

#endif
