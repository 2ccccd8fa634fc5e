/* SPDX-License-Identifier: GPL-2.0 */
/* Runs commands of a shell in the folder of a test of vmxrun. */
#ifndef COMMAND_H
#define COMMAND_H

#include "vmxrun_fixture.h"

/* What a command or an answer said. */
static char said[65536];

/* Its exit status; @said has what it said. */
static __attribute__((format(printf, 2, 3))) int command(fixture *self, const char *format, ...)
{
	char line[400], all[500];
	va_list args;
	FILE *output;
	size_t length;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	snprintf(all, sizeof(all), "cd %s && %s 2>&1", self->folder, line);
	output = popen(all, "r");
	if (!output)
		return -1;
	length = fread(said, 1, sizeof(said) - 1, output);
	said[length] = '\0';
	return WEXITSTATUS(pclose(output));
}

#define EXPECT_COMMAND(status, ...)							\
	EXPECT_EQ(status, command(self, __VA_ARGS__)) {					\
		TH_LOG("%s", said);							\
	}

#endif /* COMMAND_H */
