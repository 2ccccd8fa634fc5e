// SPDX-License-Identifier: GPL-2.0
/*
 * The API before a machine that is made up, for api_test.py: api_fake SOCKET UID. Lines of its
 * standard input change how the machine is; it answers each when that is so.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../api/api.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static struct {
	enum api_state state;
	unsigned int presses, offs, pins;
	unsigned int waiting;		/* requests that pause it */
	/* What the next requests meet. */
	int error;
	bool slow;
} fake;

static const char *const words[] = { "fine", "deaf", "ending", "broken", "slow", "unknown" };
static const int errors[] = { 0, -EBUSY, -ESHUTDOWN, -EIO, 0, -EINPROGRESS };

/* With the lock held. */
static int meet(char *why)
{
	if (fake.error)
		snprintf(why, API_WHY, "the test wants error %d", -fake.error);
	return fake.error;
}

static int read_fake(void *context, struct api_info *info, char *why)
{
	int ret;

	pthread_mutex_lock(&lock);
	ret = meet(why);
	*info = (struct api_info){
		.name = context, .state = fake.state, .memory = 256 << 20, .mmu = "ept",
		.restarts = fake.presses, .cpu_count = 2, .device_count = 2,
		.cpus = { { "active", getpid(), 5, 6, 7 }, { "waits for start", 0, 0, 0, 0 } },
		.devices = {
			{ "virtio-blk", "/tmp/a \"strange\"\\\nname", true, { { "reads", 3 } } },
			{ "virtio-net", "tap0", false, {} },
		},
		.vm_stats = { .runs = fake.offs }, .mmu_stats = { .tables = fake.pins },
	};
	info->exits[10] = (struct api_exit){ "CPUID", 1, UINT64_MAX, 3 };
	info->exits[11] = (struct api_exit){ "GETSEC", 0, 0, 0 };
	info->exits[12] = (struct api_exit){ "HLT", 0, 0, UINT64_MAX };
	pthread_mutex_unlock(&lock);
	return ret;
}

static int pause_fake(void *context, char *why)
{
	int ret;

	pthread_mutex_lock(&lock);
	fake.waiting++;
	pthread_cond_broadcast(&changed);
	while (fake.slow)
		pthread_cond_wait(&changed, &lock);
	fake.waiting--;
	ret = meet(why);
	if (!ret)
		fake.state = API_PAUSED;
	pthread_mutex_unlock(&lock);
	return ret;
}

static int change(char *why, enum api_state state, unsigned int *count)
{
	int ret;

	pthread_mutex_lock(&lock);
	ret = meet(why);
	if (!ret) {
		fake.state = state;
		++*count;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

static int resume_fake(void *context, char *why)
{
	unsigned int nothing = 0;

	return change(why, API_RUNNING, &nothing);
}

static int press_fake(void *context, char *why)
{
	return change(why, fake.state, &fake.presses);
}

static int off_fake(void *context, char *why)
{
	return change(why, API_ENDING, &fake.offs);
}

static int pin_fake(void *context, unsigned int cpu, const unsigned int *host_cpus, size_t count,
		    char *why)
{
	snprintf(why, API_WHY, "there is no such CPU");
	if (cpu > 1)
		return -ENOENT;
	if (host_cpus[count - 1] == 1023)
		return -EINVAL;
	return change(why, fake.state, &fake.pins);
}

static int save_fake(void *context, const char *path, char *why)
{
	unsigned int nothing = 0;

	snprintf(why, API_WHY, "this is not the path of the test");
	if (strcmp(path, "/tmp/a saved machine"))
		return -EINVAL;
	return change(why, fake.state, &nothing);
}

static int migrate_fake(void *context, const struct api_migrate *how,
			struct vmx_migration_status *report, char *why)
{
	unsigned int nothing = 0;

	*report = (struct vmx_migration_status){ .phase = VMX_MIGRATION_DONE, .sent = 12345 };
	snprintf(why, API_WHY, "this is not the address of the test");
	if (strcmp(how->address, "unix:/tmp/there") || how->downtime_ms != 5 || !how->throttle ||
	    how->compress || how->bandwidth != 1ull << 40)
		return -EINVAL;
	return change(why, fake.state, &nothing);
}

static int migration_fake(void *context, struct vmx_migration_status *status, char *why)
{
	status->left = 77;
	return 0;
}

static int cancel_fake(void *context, char *why)
{
	unsigned int nothing = 0;

	return change(why, fake.state, &nothing);
}

static const struct api_target target = {
	.read = read_fake, .pause = pause_fake, .resume = resume_fake,
	.power_button = press_fake, .power_off = off_fake, .set_affinity = pin_fake,
	.snapshot = save_fake, .migrate = migrate_fake, .migration = migration_fake,
	.cancel = cancel_fake, .resume_here = resume_fake,
};

static int obey(const char *word)
{
	pthread_mutex_lock(&lock);
	if (!strcmp(word, "wait"))	/* until a request waits */
		while (!fake.waiting)
			pthread_cond_wait(&changed, &lock);
	for (size_t n = 0; n < sizeof(words) / sizeof(words[0]); n++) {
		if (strcmp(word, words[n]))
			continue;
		fake.error = errors[n];
		fake.slow = !strcmp(word, "slow");
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
	return puts("done") < 0 || fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct api_config config = { .target = &target, .context = "fake" };
	char line[64];
	void *server;

	if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	memcpy(address.sun_path, argv[1], strlen(argv[1]));
	config.uid = atoi(argv[2]);
	config.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(config.listener, (struct sockaddr *)&address, sizeof(address)) ||
	    chmod(argv[1], 0666) || listen(config.listener, 16))
		return 1;
	server = api_server.start(&config);
	if (!server || obey("fine"))
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (obey(line))
			return 1;
	}
	obey("fine");
	api_server.stop(server);
	return 0;
}
