// SPDX-License-Identifier: LGPL-2.1-or-later
/* The registers of a virtio device (virtio 1.2, Virtio Over PCI Bus). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "../lib/internal.h"
#include "internal.h"

_Static_assert(STATUS_FEATURES_OK == VIRTIO_CONFIG_S_FEATURES_OK, "Device Status");
_Static_assert(STATUS_DRIVER_OK == VIRTIO_CONFIG_S_DRIVER_OK, "Device Status");
_Static_assert(STATUS_NEEDS_RESET == VIRTIO_CONFIG_S_NEEDS_RESET, "Device Status");

#define VIRTIO_PCI_ISR_QUEUE	0x1	/* beside VIRTIO_PCI_ISR_CONFIG */

#define PCI_VENDOR_VIRTIO	0x1af4
#define PCI_DEVICE_VIRTIO	0x1040	/* and the Device ID */

/* What is where: one BAR for the structures, one for MSI-X. */
#define STRUCTURES_BAR		0
#define MSIX_BAR		1
#define STRUCTURES_SIZE		0x4000
#define COMMON			0x0000
#define ISR			0x1000
#define CONFIG			0x2000
#define NOTIFY			0x3000
#define PART_SIZE		0x1000
#define NOTIFY_MULTIPLIER	4

#define STATUS_WRITABLE (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
			 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK | \
			 VIRTIO_CONFIG_S_FAILED)
#define COMMON_FEATURES (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC | \
			 1ull << VIRTIO_RING_F_EVENT_IDX)

/* Interrupts */

/* With MSI-X the vector is everything; without, a bit says why the pin is high. */
static void interrupt(struct vmx_virtio *virtio, uint16_t vector, uint8_t isr)
{
	if (vmx_pci_msix_enabled(&virtio->pci)) {
		vmx_pci_msix_raise(&virtio->pci, vector);
		return;
	}
	virtio->isr |= isr;
	vmx_pci_pin_set(&virtio->pci, true);
}

static void config_interrupt(struct vmx_virtio *virtio)
{
	if (virtio->status & STATUS_DRIVER_OK)
		interrupt(virtio, virtio->config_vector, VIRTIO_PCI_ISR_CONFIG);
}

void vmx_virtio_config_changed(struct vmx_virtio *virtio)
{
	virtio->generation++;
	config_interrupt(virtio);
}

void vmx_virtio_break(struct vmx_virtio *virtio, const char *format, ...)
{
	char text[200];
	va_list args;

	if (virtio->status & STATUS_NEEDS_RESET)
		return;
	virtio->status |= STATUS_NEEDS_RESET;
	config_interrupt(virtio);
	/* Once: a guest could fill the owner's log. */
	if (virtio->reported)
		return;
	virtio->reported = true;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	vmx_pci_report(&virtio->pci, "the driver broke the rules; the device needs a reset: %s",
		       text);
}

/* Queues */

void virtio_signal(struct vmx_virtio *virtio, struct vmx_virtqueue *queue)
{
	if (virtqueue_wants_signal(virtio, queue))
		interrupt(virtio, queue->vector, VIRTIO_PCI_ISR_QUEUE);
}

void vmx_virtio_service(struct vmx_virtio *virtio, unsigned int index)
{
	struct vmx_virtqueue *queue;

	if (index >= virtio->kind->queues)
		return;
	queue = &virtio->queues[index];
	queue->budget = queue->size;
	queue->more = false;
	virtio->kind->notify(virtio, index);
	virtio_signal(virtio, queue);
	if (queue->more && !virtio->later.armed)
		vmx_timer_set(virtio->machine.clock, &virtio->later,
			      vmx_clock_now(virtio->machine.clock));
}

static void do_later(void *device)
{
	struct vmx_virtio *virtio = device;

	for (unsigned int n = 0; n < virtio->kind->queues; n++) {
		if (virtio->queues[n].more)
			vmx_virtio_service(virtio, n);
	}
}

static void reset(struct vmx_virtio *virtio)
{
	vmx_timer_cancel(virtio->machine.clock, &virtio->later);
	virtio->driver_features = 0;
	virtio->feature_select = 0;
	virtio->driver_feature_select = 0;
	virtio->queue_select = 0;
	virtio->config_vector = VIRTIO_MSI_NO_VECTOR;
	virtio->status = 0;
	virtio->isr = 0;
	for (unsigned int n = 0; n < virtio->kind->queues; n++)
		virtio->queues[n] = (struct vmx_virtqueue){
			.size = virtio->kind->queue_size, .vector = VIRTIO_MSI_NO_VECTOR,
		};
	vmx_pci_pin_set(&virtio->pci, false);
	if (virtio->kind->reset)
		virtio->kind->reset(virtio);
}

/*
 * A driver waits until Device Status reads 0 (virtio 1.2, Driver Requirements: Common configuration
 * structure layout), for memory that it gave away is not its own before.
 */
static void reset_when_idle(struct vmx_virtio *virtio)
{
	if (virtio->working)
		virtio->resetting = true;
	else
		reset(virtio);
}

void virtio_begin_work(struct vmx_virtio *virtio)
{
	virtio->working = true;
	if (virtio->machine.quiet)
		virtio->machine.quiet->working++;
}

bool virtio_end_work(struct vmx_virtio *virtio)
{
	bool resetting = virtio->resetting;

	virtio->working = false;
	virtio->resetting = false;
	if (virtio->machine.quiet && !--virtio->machine.quiet->working)
		pthread_cond_broadcast(&virtio->machine.quiet->changed);
	if (resetting)
		reset(virtio);
	return !resetting;
}

/* Common configuration: most registers are members, of the device or of the selected queue */

struct common_register {
	unsigned int offset;
	unsigned int size;
	bool of_queue;
	size_t member;		/* of the same size */
	uint64_t (*read)(struct vmx_virtio *virtio, const struct common_register *reg);
	void (*write)(struct vmx_virtio *virtio, const struct common_register *reg, uint64_t value);
};

/* The selected queue, or NULL: then its registers read as 0 and take nothing. */
static struct vmx_virtqueue *selected(struct vmx_virtio *virtio)
{
	if (virtio->queue_select < virtio->kind->queues)
		return &virtio->queues[virtio->queue_select];
	return NULL;
}

static void *member(struct vmx_virtio *virtio, const struct common_register *reg)
{
	char *base = reg->of_queue ? (char *)selected(virtio) : (char *)virtio;

	return base ? base + reg->member : NULL;
}

static uint64_t member_read(struct vmx_virtio *virtio, const struct common_register *reg)
{
	const void *from = member(virtio, reg);
	uint64_t value = 0;

	if (from)
		memcpy(&value, from, reg->size);
	return value;
}

static void member_write(struct vmx_virtio *virtio, const struct common_register *reg,
			 uint64_t value)
{
	void *to = member(virtio, reg);

	if (to)
		memcpy(to, &value, reg->size);
}

/* Where an enabled queue is stays. */
static void address_write(struct vmx_virtio *virtio, const struct common_register *reg,
			  uint64_t value)
{
	if (selected(virtio) && !selected(virtio)->enabled)
		member_write(virtio, reg, value);
}

/* A vector that does not exist reads back as none (virtio 1.2, MSI-X Vector Configuration). */
static void vector_write(struct vmx_virtio *virtio, const struct common_register *reg,
			 uint64_t value)
{
	member_write(virtio, reg,
		     value < virtio->pci.msix.count ? value : VIRTIO_MSI_NO_VECTOR);
}

static uint64_t device_feature_read(struct vmx_virtio *virtio, const struct common_register *reg)
{
	(void)reg;
	return virtio->feature_select < 2 ?
	       (uint32_t)(virtio->features >> 32 * virtio->feature_select) : 0;
}

static uint64_t driver_feature_read(struct vmx_virtio *virtio, const struct common_register *reg)
{
	(void)reg;
	return virtio->driver_feature_select < 2 ?
	       (uint32_t)(virtio->driver_features >> 32 * virtio->driver_feature_select) : 0;
}

static void driver_feature_write(struct vmx_virtio *virtio, const struct common_register *reg,
				 uint64_t value)
{
	unsigned int shift = 32 * (virtio->driver_feature_select & 1);

	(void)reg;
	/* The negotiated features are fixed now. */
	if (virtio->driver_feature_select >= 2 || virtio->status & STATUS_FEATURES_OK)
		return;
	virtio->driver_features &= ~(0xffffffffull << shift);
	virtio->driver_features |= value << shift;
}

static uint64_t num_queues_read(struct vmx_virtio *virtio, const struct common_register *reg)
{
	(void)reg;
	return virtio->kind->queues;
}

static bool features_are_right(const struct vmx_virtio *virtio)
{
	return !(virtio->driver_features & ~virtio->features) &&
	       vmx_virtio_has(virtio, VIRTIO_F_VERSION_1);
}

/* The driver sets bits one after the other, and clears them by a reset only. */
static void status_write(struct vmx_virtio *virtio, const struct common_register *reg,
			 uint64_t value)
{
	uint8_t set = value & STATUS_WRITABLE & ~virtio->status;

	(void)reg;
	if (!value) {
		reset_when_idle(virtio);
		return;
	}
	if (virtio->resetting)
		return;
	if (set & STATUS_FEATURES_OK && !features_are_right(virtio))
		set &= ~STATUS_FEATURES_OK;
	if (set & STATUS_DRIVER_OK && !((virtio->status | set) & STATUS_FEATURES_OK))
		set &= ~STATUS_DRIVER_OK;
	virtio->status |= set;
	/* Buffers that were made available earlier have waited for this bit. */
	for (unsigned int n = 0; set & STATUS_DRIVER_OK && n < virtio->kind->queues; n++)
		vmx_virtio_service(virtio, n);
}

static void queue_size_write(struct vmx_virtio *virtio, const struct common_register *reg,
			     uint64_t value)
{
	struct vmx_virtqueue *queue = selected(virtio);

	(void)reg;
	if (!queue || queue->enabled)
		return;
	if (!value || value & (value - 1) || value > virtio->kind->queue_size)
		vmx_virtio_break(virtio, "a queue cannot have %u entries", (unsigned int)value);
	else
		queue->size = value;
}

static uint64_t queue_enable_read(struct vmx_virtio *virtio, const struct common_register *reg)
{
	(void)reg;
	return selected(virtio) && selected(virtio)->enabled;
}

static void queue_enable_write(struct vmx_virtio *virtio, const struct common_register *reg,
			       uint64_t value)
{
	struct vmx_virtqueue *queue = selected(virtio);

	(void)reg;
	if (queue && value == 1 && !queue->enabled)
		queue->enabled = virtqueue_is_placed(virtio, queue);
}

static uint64_t queue_notify_off_read(struct vmx_virtio *virtio, const struct common_register *reg)
{
	(void)reg;
	return selected(virtio) ? virtio->queue_select : 0;
}

#define OF_DEVICE(name) false, offsetof(struct vmx_virtio, name)
#define OF_QUEUE(name) true, offsetof(struct vmx_virtqueue, name)
#define COMPUTED false, 0

static const struct common_register registers[] = {
	{ VIRTIO_PCI_COMMON_DFSELECT, 4, OF_DEVICE(feature_select), member_read, member_write },
	{ VIRTIO_PCI_COMMON_DF, 4, COMPUTED, device_feature_read, NULL },
	{ VIRTIO_PCI_COMMON_GFSELECT, 4, OF_DEVICE(driver_feature_select), member_read,
	  member_write },
	{ VIRTIO_PCI_COMMON_GF, 4, COMPUTED, driver_feature_read, driver_feature_write },
	{ VIRTIO_PCI_COMMON_MSIX, 2, OF_DEVICE(config_vector), member_read, vector_write },
	{ VIRTIO_PCI_COMMON_NUMQ, 2, COMPUTED, num_queues_read, NULL },
	{ VIRTIO_PCI_COMMON_STATUS, 1, OF_DEVICE(status), member_read, status_write },
	{ VIRTIO_PCI_COMMON_CFGGENERATION, 1, OF_DEVICE(generation), member_read, NULL },
	{ VIRTIO_PCI_COMMON_Q_SELECT, 2, OF_DEVICE(queue_select), member_read, member_write },
	{ VIRTIO_PCI_COMMON_Q_SIZE, 2, OF_QUEUE(size), member_read, queue_size_write },
	{ VIRTIO_PCI_COMMON_Q_MSIX, 2, OF_QUEUE(vector), member_read, vector_write },
	{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, COMPUTED, queue_enable_read, queue_enable_write },
	{ VIRTIO_PCI_COMMON_Q_NOFF, 2, COMPUTED, queue_notify_off_read, NULL },
	{ VIRTIO_PCI_COMMON_Q_DESCLO, 8, OF_QUEUE(descriptors), member_read, address_write },
	{ VIRTIO_PCI_COMMON_Q_AVAILLO, 8, OF_QUEUE(driver), member_read, address_write },
	{ VIRTIO_PCI_COMMON_Q_USEDLO, 8, OF_QUEUE(device), member_read, address_write },
};

/*
 * Registers are accessed by their own width, 64-bit ones also by halves (virtio 1.2, Driver
 * Requirements: PCI-specific Initialization And Device Operation). *SHIFT tells the halves apart.
 */
static const struct common_register *find_register(uint64_t offset, unsigned int size,
						   unsigned int *shift)
{
	for (unsigned int n = 0; n < COUNT(registers); n++) {
		const struct common_register *reg = &registers[n];

		if (offset - reg->offset >= reg->size)
			continue;
		*shift = 8 * (offset - reg->offset);
		if (size == reg->size ? !*shift : size == 4 && reg->size == 8 && !(*shift % 32))
			return reg;
	}
	return NULL;
}

static uint64_t common_read(struct vmx_virtio *virtio, uint64_t offset, unsigned int size)
{
	unsigned int shift;
	const struct common_register *reg = find_register(offset, size, &shift);

	return reg ? reg->read(virtio, reg) >> shift : 0;
}

static void common_write(struct vmx_virtio *virtio, uint64_t offset, unsigned int size,
			 uint64_t value)
{
	unsigned int shift;
	const struct common_register *reg = find_register(offset, size, &shift);

	if (!reg || !reg->write)
		return;
	if (size < reg->size)
		value = (reg->read(virtio, reg) & ~(0xffffffffull << shift)) | value << shift;
	reg->write(virtio, reg, value);
}

/* The other structures */

static uint64_t isr_read(struct vmx_virtio *virtio, uint64_t offset, unsigned int size)
{
	uint8_t isr = virtio->isr;

	if (offset || size != 1)
		return 0;
	virtio->isr = 0;
	vmx_pci_pin_set(&virtio->pci, false);
	return isr;
}

static uint64_t device_config_read(struct vmx_virtio *virtio, uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	if (size <= virtio->config_size && offset <= virtio->config_size - size)
		memcpy(&value, (const char *)virtio->config + offset, size);
	return value;
}

static void notify_write(struct vmx_virtio *virtio, uint64_t offset, unsigned int size,
			 uint64_t value)
{
	(void)size;
	(void)value;
	if (!(offset % NOTIFY_MULTIPLIER))
		vmx_virtio_service(virtio, offset / NOTIFY_MULTIPLIER);
}

static const struct structure {
	uint64_t (*read)(struct vmx_virtio *virtio, uint64_t offset, unsigned int size);
	void (*write)(struct vmx_virtio *virtio, uint64_t offset, unsigned int size,
		      uint64_t value);
} structures[STRUCTURES_SIZE / PART_SIZE] = {
	[COMMON / PART_SIZE] = { common_read, common_write },
	[ISR / PART_SIZE] = { isr_read, NULL },
	[CONFIG / PART_SIZE] = { device_config_read, NULL },
	[NOTIFY / PART_SIZE] = { NULL, notify_write },
};

static uint64_t structures_read(void *device, uint64_t offset, unsigned int size)
{
	const struct structure *structure = &structures[offset / PART_SIZE % COUNT(structures)];

	return structure->read ? structure->read(device, offset % PART_SIZE, size) : 0;
}

static void structures_write(void *device, uint64_t offset, unsigned int size, uint64_t value)
{
	const struct structure *structure = &structures[offset / PART_SIZE % COUNT(structures)];

	if (structure->write)
		structure->write(device, offset % PART_SIZE, size, value);
}

static const struct vmx_range_ops structures_ops = { structures_read, structures_write };

/* PCI configuration access: the BARs of a device, through its configuration space */

/* The access that the capability asks for; it is the last. */
struct window {
	unsigned int data;	/* pci_cfg_data */
	uint32_t offset;
	uint32_t length;
	const struct vmx_pci_bar *bar;
};

/* Does an access of configuration space touch pci_cfg_data, and is what it stands for possible? */
static bool find_window(const struct vmx_pci_device *pci, unsigned int offset, unsigned int size,
			struct window *window)
{
	unsigned int capability = pci->config_end - sizeof(struct virtio_pci_cfg_cap);
	struct virtio_pci_cap cap;

	memcpy(&cap, &pci->config[capability], sizeof(cap));
	*window = (struct window){
		.data = capability + sizeof(cap), .offset = cap.offset, .length = cap.length,
	};
	if (offset + size <= window->data || offset >= window->data + 4)
		return false;
	if (cap.bar >= VMX_PCI_BARS || !pci->bars[cap.bar].ops)
		return false;
	window->bar = &pci->bars[cap.bar];
	return (cap.length == 1 || cap.length == 2 || cap.length == 4) &&
	       !(cap.offset % cap.length) && cap.offset < window->bar->size;
}

static void config_read(struct vmx_pci_device *pci, unsigned int offset, unsigned int size)
{
	struct window window;
	uint64_t value;

	if (!find_window(pci, offset, size, &window))
		return;
	value = window.bar->ops->read(window.bar->device, window.offset, window.length);
	memcpy(&pci->config[window.data], &value, window.length);
}

static void config_written(struct vmx_pci_device *pci, unsigned int offset, unsigned int size)
{
	struct window window;
	uint64_t value = 0;

	if (!find_window(pci, offset, size, &window))
		return;
	memcpy(&value, &pci->config[window.data], window.length);
	window.bar->ops->write(window.bar->device, window.offset, window.length, value);
}

static void machine_reset(struct vmx_pci_device *pci)
{
	reset_when_idle(virtio_of(pci));
}

static const struct vmx_pci_ops pci_ops = {
	config_read, config_written, machine_reset, virtio_state, virtio_resume,
};

/* Making one */

static int add_structure(struct vmx_pci_device *pci, uint8_t type, uint32_t offset,
			 uint32_t length, unsigned int more)
{
	struct virtio_pci_cap cap = {
		.cap_len = sizeof(cap) + more, .cfg_type = type, .bar = STRUCTURES_BAR,
		.offset = offset, .length = length,
	};
	int at = vmx_pci_capability(pci, PCI_CAP_ID_VNDR, cap.cap_len);

	/* The ID and the link to the next are there. */
	if (at > 0)
		memcpy(&pci->config[at + 2], (const char *)&cap + 2, sizeof(cap) - 2);
	return at;
}

static int add_structures(struct vmx_virtio *virtio)
{
	struct vmx_pci_device *pci = &virtio->pci;
	uint32_t multiplier = NOTIFY_MULTIPLIER;
	int at;

	add_structure(pci, VIRTIO_PCI_CAP_COMMON_CFG, COMMON, VIRTIO_PCI_COMMON_Q_USEDHI + 4, 0);
	add_structure(pci, VIRTIO_PCI_CAP_ISR_CFG, ISR, 1, 0);
	if (virtio->config_size)
		add_structure(pci, VIRTIO_PCI_CAP_DEVICE_CFG, CONFIG, virtio->config_size, 0);
	at = add_structure(pci, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY,
			   NOTIFY_MULTIPLIER * virtio->kind->queues, sizeof(multiplier));
	if (at > 0)
		memcpy(&pci->config[at + VIRTIO_PCI_NOTIFY_CAP_MULT], &multiplier,
		       sizeof(multiplier));
	at = add_structure(pci, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4);
	if (at < 0)
		return at;
	/* The driver writes the BAR, the offset and the length, then accesses the data. */
	pci->writable[at + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(&pci->writable[at + VIRTIO_PCI_CAP_OFFSET], 0xff, 12);
	return 0;
}

int vmx_virtio_init(struct vmx_virtio *virtio, const struct vmx_virtio_kind *kind,
		    const struct vmx_virtio_machine *machine, uint64_t features,
		    const void *config, size_t config_size)
{
	struct vmx_pci_id id = {
		.vendor = PCI_VENDOR_VIRTIO, .device = PCI_DEVICE_VIRTIO + kind->type,
		.subsystem_vendor = PCI_VENDOR_VIRTIO, .subsystem = PCI_DEVICE_VIRTIO + kind->type,
		.class_code = kind->class_code, .revision = 1, .pin = 1,
	};
	uint16_t size = kind->queue_size;
	int ret;

	if (!machine->memory || !machine->clock)
		return vmx_fail(EINVAL, "%s needs the guest's memory and a clock", kind->name);
	if (!kind->queues || kind->queues > VMX_VIRTIO_QUEUES || !size || size & (size - 1) ||
	    size > VMX_VIRTQUEUE_MAX || config_size > PART_SIZE)
		return vmx_fail(EINVAL, "%s cannot have %u queues of %u, %zu bytes of registers",
				kind->name, kind->queues, size, config_size);
	*virtio = (struct vmx_virtio){
		.kind = kind, .machine = *machine,
		.features = kind->features | features | COMMON_FEATURES,
		.config = config, .config_size = config_size,
		.later = { .expire = do_later, .device = virtio },
	};
	vmx_pci_device_init(&virtio->pci, kind->name, &id, &pci_ops);
	ret = vmx_pci_bar(&virtio->pci, STRUCTURES_BAR, VMX_PCI_BAR_MEM32, STRUCTURES_SIZE,
			  &structures_ops, virtio);
	if (!ret)
		ret = vmx_pci_msix_init(&virtio->pci, MSIX_BAR, kind->queues + 1);
	if (!ret)
		ret = add_structures(virtio);
	if (!ret)
		reset(virtio);
	return ret;
}

void vmx_virtio_close(struct vmx_virtio *virtio)
{
	vmx_pci_remove(&virtio->pci);
	vmx_timer_cancel(virtio->machine.clock, &virtio->later);
}
