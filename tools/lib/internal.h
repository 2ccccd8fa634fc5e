/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIBVMX_INTERNAL_H
#define LIBVMX_INTERNAL_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/vmx.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Remembers a sentence for vmx_error() and returns -error. */
int vmx_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether a VMCS is for a guest that may leave protection and paging; -errno. */
int vmx_unrestricted(const struct vmx_caps *caps, int vmcs);

/* A VMCS field's name, and whether the module withholds its value. */
struct vmx_field_text {
	uint32_t field;
	const char *name;
	bool hidden;
};

const struct vmx_field_text *vmx_field_text(uint32_t field);

/* The name of a bit of a field, or NULL. */
const char *vmx_bit_name(uint32_t field, unsigned int bit);

/* Where text goes: it is cut off where there is no more room. */
struct text {
	char *at;
	size_t room;
};

void vmx_text(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends the names of BITS of a field, and their values in VALUE if they are SHOWN. */
void vmx_text_bits(struct text *text, uint32_t field, uint64_t bits, uint64_t value, bool shown);

/* Whether an exception has an error code (SDM, "Exception and Interrupt Reference"). */
static inline bool vmx_has_error_code(uint8_t vector)
{
	const uint32_t with = 1u << 8 | 0x1fu << 10 | 1u << 17 | 1u << 21;

	return vector < 32 && with >> vector & 1;
}

/* Signals a condition: at once, or between the two at the end, with the lock free meanwhile. */
void vmx_wake(pthread_cond_t *condition);
void vmx_wake_later(void);
void vmx_wake_now(pthread_mutex_t *lock);

#endif /* LIBVMX_INTERNAL_H */
