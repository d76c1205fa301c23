/*
 * command_audit.h - `lineagefs audit`: is the chain of the audit log whole? It reads /events.ndjson
 * through the mount, or a copy of it.
 */
#ifndef FS_COMMAND_AUDIT_H
#define FS_COMMAND_AUDIT_H

#define AUDIT_USAGE "audit [-m MOUNTPOINT] [--head HASH] [FILE]"

int audit_main(int argc, char **argv);

#endif
