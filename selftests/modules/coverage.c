// SPDX-License-Identifier: GPL-2.0
/*
 * Tells which of the module's code ran. gcc has each block of it begin with a call of the function
 * here (-fsanitize-coverage=trace-pc); see `make mutants` and VMX_COVERAGE in Kbuild.
 */
#include <linux/kernel.h>
#include <linux/module.h>

/* More than the module has bytes of code. */
#define SPAN	(1UL << 20)
/* What a record of the kernel's log has room for. */
#define TEXT_MAX 800

static bool ran[SPAN];
/* Where the next read goes on. */
static unsigned long next;

void __sanitizer_cov_trace_pc(void);

notrace void __sanitizer_cov_trace_pc(void)
{
	unsigned long at = _RET_IP_ % SPAN;

	if (!ran[at])
		ran[at] = true;
}

/*
 * Some addresses, modulo SPAN, that calls have returned to since they were last told: the
 * first, then the distance of each from the one before. An empty line at the end.
 */
static int get_ran(char *text, const struct kernel_param *kp)
{
	unsigned long last = 0;
	int length = 0;

	for (; next < SPAN && length < TEXT_MAX; next++) {
		if (!ran[next])
			continue;
		ran[next] = false;
		length += sprintf(text + length, "%lx ", next - last);
		last = next;
	}
	if (!length)
		next = 0;
	return length + sprintf(text + length, "\n");
}

static const struct kernel_param_ops ran_ops = { .get = get_ran };

module_param_cb(ran, &ran_ops, NULL, 0400);
