#include "launch_facts.h"

#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

#include "git.h"

/* What changes the results of a training job, and is no secret. */
static const char *const variables[] = {
	"CONDA_DEFAULT_ENV", "CONDA_PREFIX", "CUBLAS_WORKSPACE_CONFIG", "CUDA_HOME",
	"CUDA_VISIBLE_DEVICES", "HF_DATASETS_OFFLINE", "HF_HOME", "HIP_VISIBLE_DEVICES", "LANG",
	"LC_ALL", "LD_LIBRARY_PATH", "LD_PRELOAD", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR",
	"MASTER_PORT", "MKL_NUM_THREADS", "NCCL_DEBUG", "NCCL_SOCKET_IFNAME", "NODE_RANK",
	"NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
	"PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTHONPATH",
	"PYTHONUNBUFFERED", "PYTORCH_CUDA_ALLOC_CONF", "RANK", "ROCR_VISIBLE_DEVICES",
	"SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID", "SLURM_JOB_NAME",
	"SLURM_JOB_NODELIST", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS", "SLURM_PROCID",
	"TF_DETERMINISTIC_OPS", "TORCH_HOME", "TZ", "VIRTUAL_ENV", "WORLD_SIZE", "XLA_FLAGS",
};

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* The file that execvp(3) would run; NULL: none. */
static char *find_program(const char *name)
{
	const char *at = getenv("PATH");

	if (strchr(name, '/'))
		return is_program(name) ? realpath(name, NULL) : NULL;
	while (at && *at) {
		size_t n = strcspn(at, ":");
		autofree char *path = n ? xasprintf("%.*s/%s", (int)n, at, name) : xstrdup(name);

		if (is_program(path))
			return path[0] == '/' ? steal(path) : realpath(path, NULL);
		at += n + (at[n] == ':');
	}
	return NULL;
}

static char *user_name(void)
{
	const struct passwd *entry = getpwuid(getuid());

	return entry ? xstrdup(entry->pw_name) : xasprintf("%u", (unsigned)getuid());
}

void launch_find_facts(struct launch *l, char *const *command)
{
	char host[256] = "";

	for (size_t i = 0; command[i]; i++)
		launch_add_argument(l, command[i]);
	l->executable = find_program(command[0]);
	l->directory = getcwd(NULL, 0);
	l->user = user_name();
	gethostname(host, sizeof(host) - 1);
	l->host = xstrdup(host);
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
		const char *value = getenv(variables[i]);

		if (value)
			launch_add_variable(l, variables[i], value);
	}
	git_describe(l);
}
