// SPDX-License-Identifier: LGPL-2.1-or-later
/* Gives the terminal to the guest, and restores it whichever way the process ends. */
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "vmxrun.h"

static struct termios before, raw;
static bool is_raw;

void terminal_restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

/* A crash: raises the signal again, now with its default action. */
static void restore_and_die(int number)
{
	terminal_restore();
	raise(number);
}

static void restore_on_crash(void)
{
	static const int crashes[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV };
	struct sigaction action = { .sa_handler = restore_and_die, .sa_flags = SA_RESETHAND };

	for (size_t n = 0; n < sizeof(crashes) / sizeof(crashes[0]); n++) {
		struct sigaction other;

		/* Who knows more of a crash restores it, too. */
		if (!sigaction(crashes[n], NULL, &other) && other.sa_handler == SIG_DFL)
			sigaction(crashes[n], &action, NULL);
	}
}

void terminal_make_raw(void)
{
	if (tcgetattr(STDIN_FILENO, &before))
		return;
	raw = before;
	cfmakeraw(&raw);
	/* Newlines of the guest and of messages still return to the first column. */
	raw.c_oflag |= OPOST;
	atexit(terminal_restore);
	restore_on_crash();
	is_raw = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void terminal_suspend(void)
{
	terminal_restore();
	raise(SIGSTOP);
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}
