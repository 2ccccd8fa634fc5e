/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: pic
 *
 * The two 8259A interrupt controllers of a PC, the second behind input 2 of the
 * first.
 *
 * As the data sheet has it, an edge-triggered request that goes away before it
 * is acknowledged is forgotten: a device has to hold its line until its driver
 * has handled it.
 */
#ifndef LIBVMX_PIC_H
#define LIBVMX_PIC_H

#include <libvmx/ports.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMX_PIC_PINS	16

/**
 * struct vmx_pic_chip - one 8259A
 * @cascade: the inputs behind which there is another
 * @elcr: the inputs that are level-triggered
 * @levels: the inputs that are high
 * @edges: those that rose and were not acknowledged
 * @isr: in-service register
 * @imr: interrupt mask register
 * @base: vector of input 0
 * @lowest: the input of the lowest priority
 * @next_icw: the initialization command word that comes next, 0 when initialized
 * @single: ICW1 says that there is no cascade, so no ICW3 comes
 * @with_icw4: ICW1 says that ICW4 will come
 * @sfnm: special fully nested mode
 * @aeoi: automatic end of interrupt
 * @rotate_aeoi: and then the priorities rotate
 * @special_mask: special mask mode
 * @read_isr: OCW3 has chosen the ISR to be read
 * @poll: the next read is a poll
 */
struct vmx_pic_chip {
	uint8_t cascade;
	uint8_t elcr;
	uint8_t levels;
	uint8_t edges;
	uint8_t isr;
	uint8_t imr;
	uint8_t base;
	uint8_t lowest;
	uint8_t next_icw;
	bool single;
	bool with_icw4;
	bool sfnm;
	bool aeoi;
	bool rotate_aeoi;
	bool special_mask;
	bool read_isr;
	bool poll;
};

/**
 * struct vmx_pic - a PC's pair of 8259A
 * @intr: the interrupt output
 * @ports: where they are on a bus
 * @chips: master and slave
 */
struct vmx_pic {
	struct vmx_line intr;
	struct vmx_ports ports[3];
	struct vmx_pic_chip chips[2];
};

/**
 * vmx_pic_init() - make a pair of interrupt controllers
 * @pic: the pair: everything is masked until it is initialized
 * @intr: the interrupt output
 */
void vmx_pic_init(struct vmx_pic *pic, struct vmx_line intr);

/**
 * vmx_pic_reset() - as after power-up; the levels of the inputs remain
 * @pic: the pair
 */
void vmx_pic_reset(struct vmx_pic *pic);

/**
 * vmx_pic_attach() - put the pair on the bus of ports: 0x20, 0xa0, 0x4d0
 * @pic: the pair
 * @bus: the bus
 *
 * Return: 0 or -errno, as vmx_bus_add().
 */
int vmx_pic_attach(struct vmx_pic *pic, struct vmx_bus *bus);

/**
 * vmx_pic_set() - drive an input; a &struct vmx_line.set
 * @pic: the &struct vmx_pic
 * @pin: IRQ 0 to 15; 2 is taken by the second controller
 * @level: high or low
 */
void vmx_pic_set(void *pic, unsigned int pin, bool level);

/**
 * vmx_pic_pending() - the level of the interrupt output
 * @pic: the pair
 *
 * Return: whether an interrupt waits for vmx_pic_ack().
 */
bool vmx_pic_pending(const struct vmx_pic *pic);

/**
 * vmx_pic_ack() - the CPU's interrupt acknowledge
 * @pic: the pair
 *
 * If the request has gone in the meantime, it is the spurious interrupt 7 of
 * the controller that had it.
 *
 * Return: the vector.
 */
uint8_t vmx_pic_ack(struct vmx_pic *pic);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_PIC_H */
