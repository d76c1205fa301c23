/*
 * kind_root.c - the root directory and its two texts.
 */
#include "tree.h"
#include "vfs_private.h"

#include "core/document.h"

static const char readme[] =
	"lineagefs: machine-learning artifacts and their lineage, as directories.\n"
	"\n"
	"Log an artifact\n"
	"    mkdir runs/train-1                          start a run\n"
	"    cp model.pt runs/train-1/outputs/           write what it makes: one file...\n"
	"    mkdir runs/train-1/outputs/model            ...or a directory\n"
	"    echo finished > runs/train-1/state          log all of it and end the run\n"
	"    echo model > runs/train-1/log               or log one draft now, and go on\n"
	"    echo 'model type=model' > runs/train-1/log  the same, saying what it is\n"
	"    cat runs/train-1/log                        what was logged, or why not\n"
	"    echo failed > runs/train-1/state            end it, logging nothing; the drafts stay\n"
	"    echo running > runs/train-1/state           go on after all\n"
	"    lineagefs run -- python train.py            all of this for one command\n"
	"\n"
	"Say what it was\n"
	"    echo train > runs/train-1/job_type          what sort of run; tags: touch, rm\n"
	"    touch runs/train-1/tags/best                both also after the end\n"
	"    cp conf.json runs/train-1/config.json       its parameters\n"
	"    echo '{\"acc\": 0.9}' > runs/train-1/summary.json   what came out; text: notes\n"
	"    vi artifacts/model/v1/description           of a version; JSON: metadata.json\n"
	"    touch artifacts/model/v1/tags/good          its tags\n"
	"    cat runs/train-1/info.json                  everything that is known of it\n"
	"    tail -f runs/train-1/console.log            what its command prints\n"
	"    sh runs/train-1/rerun.sh                    do it again, with the same inputs\n"
	"\n"
	"Use an artifact\n"
	"    ln -s mnist:v3 runs/train-1/inputs/train    declare an input (or a path)\n"
	"    ls runs/train-1/inputs/train/               and read it\n"
	"    cat artifacts/mnist/v3/files/...            or just read it: what a process of a run\n"
	"                                                opens is an input of the run\n"
	"    export LINEAGEFS_RUN=train-1                what is started from here is the run's\n"
	"    echo $$ > runs/train-1/procs                so is this shell and what it starts; if\n"
	"                                                none of them is left, the run crashed\n"
	"    view/train-1/                               artifacts/ as the run sees them, for a\n"
	"                                                container: its reads are the run's\n"
	"Inside a run an alias stays the version that it was when the run first looked.\n"
	"\n"
	"Name versions\n"
	"    cd artifacts/<name>; ln -s v1 prod          an alias; ln -sfn v2 prod moves it,\n"
	"                                                rm prod removes it; latest moves by itself\n"
	"    echo 'model alias=best tag=good' > runs/train-1/log     name what is logged\n"
	"\n"
	"Browse\n"
	"    artifacts/<name>/latest/files/              the newest version\n"
	"    artifacts/<name>/v3/files/                  any version; none ever changes\n"
	"    artifacts/<name>/v3/producer                -> the run that logged it first\n"
	"    artifacts/<name>/v3/producers/              all runs that logged the same content\n"
	"    artifacts/<name>/v3/consumers/              the runs that used it\n"
	"    artifacts/<name>/v3/info.json               digest, sizes, times\n"
	"    artifacts/<name>/v3/SHA256SUMS              cd files && sha256sum -c ../SHA256SUMS\n"
	"    events.ndjson                               every change: who, when, what; for the owner\n"
	"    runs/<run>/inputs  runs/<run>/outputs       -> the versions it used and logged\n"
	"\n"
	"Find\n"
	"    sha256sum lost.ckpt; ls digests/<sha256>    the versions that hold these bytes\n"
	"    ls types/model jobs/train tags/best         by type, job type and tag\n"
	"    getfattr -d copy.ckpt                       what cp --preserve=xattr brought along\n"
	"\n"
	"Remove\n"
	"    rmdir artifacts/model/v3                    to the trash; not while an alias names it\n"
	"    mv trash/model:v3 artifacts/model/v3        back\n"
	"    rmdir trash/model:v3                        its bytes go now; lineage stays\n"
	"\n"
	"What starts with a dot in outputs/ is scratch: never logged, removed when the run ends.\n"
	"Names are made of A-Z a-z 0-9 _ . = + , @ - and have 128 bytes at most.\n";

int root_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	(void)node;
	st->st_mode = 0755;
	return 0;
}

int root_text_attr(struct vfs *vfs, struct node *node, struct stat *st)
{
	(void)vfs;
	(void)node;
	st->st_mode = 0444;
	return 0;
}

int readme_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	(void)vfs;
	(void)node;
	buf_add_str(ret, readme);
	return 0;
}

int status_render(struct vfs *vfs, struct node *node, struct buf *ret)
{
	(void)node;
	return document_status(vfs->store, ret);
}
