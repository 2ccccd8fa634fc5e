/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's members were read from a saved state: each of these judges them and sets the timers
 * that follow from them. 0, or -EINVAL with vmx_error() set; see struct vmx_saved_part.
 */
#ifndef LIBVMX_DEVICES_LOADED_H
#define LIBVMX_DEVICES_LOADED_H

int pit_loaded(void *pit);
int rtc_loaded(void *rtc);
int uart_loaded(void *uart);
int lapic_loaded(void *lapic);

#endif /* LIBVMX_DEVICES_LOADED_H */
