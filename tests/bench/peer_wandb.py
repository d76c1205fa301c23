"""W&B's own local steps for a folder: hashing and staging, the manifest's digest, the copy into its
cache. The last is done by its service only after an upload, so it is done here with its own cache.
Prints seconds; loading the library does not count."""
import sys
import time

import wandb
from wandb.sdk.artifacts.artifact_file_cache import get_artifact_file_cache
import shutil

start = time.monotonic()
artifact = wandb.Artifact("data", type="dataset")
artifact.add_dir(sys.argv[1])
artifact.finalize()
cache = get_artifact_file_cache()
for entry in artifact.manifest.entries.values():
    path, hit, opener = cache.check_digest_obj_path(entry.digest, entry.size)
    if not hit:
        with opener("wb") as out, open(entry.local_path, "rb") as staged:
            shutil.copyfileobj(staged, out, 1 << 20)
print(time.monotonic() - start)
