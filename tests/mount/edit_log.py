"""edit_log.py BINARY STORE FROM TO: edits a store that is not mounted, behind lineagefs's back.

In the first line of the audit log that has FROM, that becomes TO; without TO the line goes. RocksDB
is the library that BINARY uses.
"""
import ctypes
import subprocess
import sys

binary, store, old = sys.argv[1:4]
new = sys.argv[4] if len(sys.argv) > 4 else None
path = next(line.split()[2] for line in subprocess.check_output(["ldd", binary], text=True).splitlines()
            if "librocksdb" in line)
rocks = ctypes.CDLL(path)
for name in ("rocksdb_options_create", "rocksdb_open_column_families", "rocksdb_readoptions_create",
             "rocksdb_writeoptions_create", "rocksdb_create_iterator_cf", "rocksdb_iter_key",
             "rocksdb_iter_value"):
    getattr(rocks, name).restype = ctypes.c_void_p


def check(error):
    if error.value:
        sys.exit(error.value.decode())


options = ctypes.c_void_p(rocks.rocksdb_options_create())
error = ctypes.c_char_p()
rocks.rocksdb_list_column_families.restype = ctypes.POINTER(ctypes.c_char_p)
count = ctypes.c_size_t()
kv = (store + "/kv").encode()
names = rocks.rocksdb_list_column_families(options, kv, ctypes.byref(count), ctypes.byref(error))
check(error)
n = count.value
handles = (ctypes.c_void_p * n)()
db = ctypes.c_void_p(rocks.rocksdb_open_column_families(
    options, kv, n, (ctypes.c_char_p * n)(*[names[i] for i in range(n)]),
    (ctypes.c_void_p * n)(*[options.value] * n), handles, ctypes.byref(error)))
check(error)
meta = ctypes.c_void_p(handles[0])
scan = ctypes.c_void_p(rocks.rocksdb_create_iterator_cf(
    db, ctypes.c_void_p(rocks.rocksdb_readoptions_create()), meta))
write = ctypes.c_void_p(rocks.rocksdb_writeoptions_create())
found = False
rocks.rocksdb_iter_seek(scan, b"L", ctypes.c_size_t(1))
while rocks.rocksdb_iter_valid(scan) and not found:
    length = ctypes.c_size_t()
    key = ctypes.string_at(rocks.rocksdb_iter_key(scan, ctypes.byref(length)), length.value)
    value = ctypes.string_at(rocks.rocksdb_iter_value(scan, ctypes.byref(length)), length.value)
    if key[:1] != b"L":
        break
    if old.encode() in value:
        found = True
        if new is None:
            rocks.rocksdb_delete_cf(db, write, meta, key, ctypes.c_size_t(len(key)), ctypes.byref(error))
        else:
            value = value.replace(old.encode(), new.encode(), 1)
            rocks.rocksdb_put_cf(db, write, meta, key, ctypes.c_size_t(len(key)), value,
                                 ctypes.c_size_t(len(value)), ctypes.byref(error))
        check(error)
    rocks.rocksdb_iter_next(scan)
rocks.rocksdb_iter_destroy(scan)
for handle in handles:
    rocks.rocksdb_column_family_handle_destroy(ctypes.c_void_p(handle))
rocks.rocksdb_close(db)
sys.exit(0 if found else f"no line has {old}")
