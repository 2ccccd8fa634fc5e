/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: virtio
 *
 * Virtio 1.x devices on the PCI bus, without the legacy interface: a disk, a
 * console, a network card, and the parts for further devices.
 *
 * A device works in its caller's thread: at the guest's notification, and in its
 * _poll() function when there may be input. Disks can have their own thread. A device
 * takes as many requests as its queue holds and leaves the rest to a timer, so
 * that no guest can keep its caller. A queue that breaks the rules sets
 * DEVICE_NEEDS_RESET, and the device does nothing more until the driver resets
 * it.
 *
 * A device announces its writes to the guest's memory to its machine, with
 * vmx_virtio_written(), before the guest can know of them: the guest may
 * have page tables in it.
 */
#ifndef LIBVMX_VIRTIO_H
#define LIBVMX_VIRTIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <libvmx/device.h>
#include <libvmx/pci.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMX_VIRTIO_QUEUES	4	/* that a device can have */
#define VMX_VIRTQUEUE_MAX	256	/* descriptors in a queue or a table */

struct vmx_saved_table;
struct vmx_virtio;

/**
 * struct vmx_virtio_machine - the interface of devices to their machine
 * @memory: the guest's memory: where @length bytes (not 0; @address + @length
 *	does not wrap) from guest-physical @address are in this process, or NULL
 *	if they are not all RAM, or not in one piece. Must be as aligned as
 *	@address, and stay until the device returns.
 * @context: argument for @memory, @written and @noted
 * @clock: for what is left for later
 * @written: told of memory that a device wrote, part of what @memory found, before
 *	the driver is told that the device is done with it; or NULL. With shadow page
 *	tables it has to call vmx_vm_invalidate(); with EPT nobody has to know, but who
 *	wants to find all pages that changed.
 * @noted: told of writes that need nothing but to be noted for that: to the rings; or
 *	NULL
 * @quiet: heeded by devices that have threads, or NULL
 */
struct vmx_virtio_machine {
	void *(*memory)(void *context, uint64_t address, uint64_t length);
	void *context;
	struct vmx_clock *clock;
	void (*written)(void *context, const void *memory, size_t length);
	void (*noted)(void *context, const void *memory, size_t length);
	struct vmx_quiet *quiet;
};

/**
 * struct vmx_virtqueue - a split virtqueue
 * @size: Queue Size
 * @enabled: by the driver
 * @vector: its MSI-X vector
 * @descriptors: address of the Descriptor Table
 * @driver: address of the Driver Area, the Available Ring
 * @device: address of the Device Area, the Used Ring
 * @taken: available entries that were taken, as the ring counts
 * @returned: used entries
 * @signalled: @returned when the driver was last asked for
 * @budget: chains that may be taken before others get their turn
 * @more: there are more
 */
struct vmx_virtqueue {
	uint16_t size;
	bool enabled;
	uint16_t vector;
	uint64_t descriptors;
	uint64_t driver;
	uint64_t device;
	uint16_t taken;
	uint16_t returned;
	uint16_t signalled;
	unsigned int budget;
	bool more;
};

/**
 * struct vmx_virtio_chain - a descriptor chain that was judged to be right
 * @head: its first descriptor
 * @readable: segments that the device may read
 * @writable: segments that it may write
 * @readable_bytes: in all
 * @writable_bytes: in all
 * @segments: the readable ones, then the writable ones
 *
 * The guest may change the segments' contents at any time: read them once.
 */
struct vmx_virtio_chain {
	uint16_t head;
	unsigned int readable;
	unsigned int writable;
	uint64_t readable_bytes;
	uint64_t writable_bytes;
	struct iovec segments[VMX_VIRTQUEUE_MAX];
};

/**
 * struct vmx_virtio_kind - a type of device
 * @name: for messages
 * @type: Device ID of the virtio specification
 * @class_code: PCI Class Code
 * @queues: number of them
 * @queue_size: of each, a power of 2
 * @features: that the device offers, beside those of all devices
 * @notify: a queue may have something; vmx_virtqueue_next() says
 * @reset: the driver or the machine reset the device; may be NULL
 * @state: describes what the device has to save beyond its struct vmx_virtio, with
 *	which the struct begins; NULL for a device whose state cannot be saved
 */
struct vmx_virtio_kind {
	const char *name;
	uint16_t type;
	uint32_t class_code;
	unsigned int queues;
	uint16_t queue_size;
	uint64_t features;
	void (*notify)(struct vmx_virtio *virtio, unsigned int queue);
	void (*reset)(struct vmx_virtio *virtio);
	const struct vmx_saved_table *state;
};

/**
 * struct vmx_virtio - a virtio device
 * @pci: the PCI device: what vmx_pci_add() takes
 * @kind: its type
 * @machine: the machine it is in
 * @features: that it offers
 * @driver_features: that the driver accepted
 * @feature_select: the features that the driver sees: word 0 or 1
 * @driver_feature_select: likewise, of those it writes
 * @queue_select: the queue whose registers it sees
 * @config_vector: the MSI-X vector of configuration changes
 * @status: Device Status
 * @generation: of the device's configuration
 * @isr: ISR status
 * @working: a chain is worked on without the machine's lock
 * @resetting: the device is reset when that is over
 * @reported: the first broken queue was reported
 * @config: the device's configuration; not copied
 * @config_size: bytes
 * @later: for what is left for later
 * @queues: its queues
 * @chain: the chain that is being worked on
 */
struct vmx_virtio {
	struct vmx_pci_device pci;
	const struct vmx_virtio_kind *kind;
	struct vmx_virtio_machine machine;
	uint64_t features;
	uint64_t driver_features;
	uint32_t feature_select;
	uint32_t driver_feature_select;
	uint16_t queue_select;
	uint16_t config_vector;
	uint8_t status;
	uint8_t generation;
	uint8_t isr;
	bool working;
	bool resetting;
	bool reported;
	const void *config;
	size_t config_size;
	struct vmx_timer later;
	struct vmx_virtqueue queues[VMX_VIRTIO_QUEUES];
	struct vmx_virtio_chain chain;
};

/**
 * vmx_virtio_init() - make a virtio device
 * @virtio: filled in
 * @kind: its type; not copied
 * @machine: the machine it is in; copied
 * @features: that it offers beyond @kind's
 * @config: the device's configuration; not copied
 * @config_size: bytes, at most 4096
 *
 * Return: 0 or -errno.
 */
int vmx_virtio_init(struct vmx_virtio *virtio, const struct vmx_virtio_kind *kind,
		    const struct vmx_virtio_machine *machine, uint64_t features,
		    const void *config, size_t config_size);

/**
 * vmx_virtio_close() - take a device out of its machine
 * @virtio: the device; descriptors of the caller's stay open
 */
void vmx_virtio_close(struct vmx_virtio *virtio);

/**
 * vmx_virtio_has() - was a feature negotiated?
 * @virtio: the device
 * @feature: its bit number
 *
 * Return: true if so.
 */
static inline bool vmx_virtio_has(const struct vmx_virtio *virtio,
				  unsigned int feature)
{
	return virtio->driver_features >> feature & 1;
}

/**
 * vmx_virtio_config_changed() - the device's configuration was changed
 * @virtio: the device
 */
void vmx_virtio_config_changed(struct vmx_virtio *virtio);

/**
 * vmx_virtio_break() - set DEVICE_NEEDS_RESET
 * @virtio: the device
 * @format: what the driver did
 */
void vmx_virtio_break(struct vmx_virtio *virtio, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * vmx_virtio_service() - look at a queue, as after a notification
 * @virtio: the device
 * @queue: the queue's number
 */
void vmx_virtio_service(struct vmx_virtio *virtio, unsigned int queue);

/**
 * vmx_virtqueue_next() - take the next chain
 * @virtio: the device; @chain of it is filled in
 * @queue: its queue
 *
 * To be called from notify() only, until it returns false.
 *
 * Return: whether there is one.
 */
bool vmx_virtqueue_next(struct vmx_virtio *virtio, struct vmx_virtqueue *queue);

/**
 * vmx_virtqueue_available() - would vmx_virtqueue_next() find something?
 * @virtio: the device
 * @queue: its queue
 *
 * If not, the driver is asked to notify the device of the next chain.
 *
 * Return: true if so.
 */
bool vmx_virtqueue_available(struct vmx_virtio *virtio,
			     const struct vmx_virtqueue *queue);

/**
 * vmx_virtqueue_put_back() - undo vmx_virtqueue_next()
 * @queue: the queue
 * @count: number of chains that go back, the last that were taken
 */
static inline void vmx_virtqueue_put_back(struct vmx_virtqueue *queue,
					  uint16_t count)
{
	queue->taken -= count;
}

/**
 * vmx_virtqueue_return() - give a chain back to the driver, used
 * @virtio: the device
 * @queue: its queue
 * @head: the chain's first descriptor
 * @length: bytes that were surely written, from the first on
 */
void vmx_virtqueue_return(struct vmx_virtio *virtio,
			  struct vmx_virtqueue *queue, uint16_t head,
			  uint32_t length);

/**
 * struct vmx_virtio_used - a chain that goes back to the driver
 * @head: its first descriptor
 * @length: bytes that were surely written, from the first on
 */
struct vmx_virtio_used {
	uint16_t head;
	uint32_t length;
};

/**
 * vmx_virtqueue_return_all() - give several chains back, as one
 * @virtio: the device
 * @queue: its queue
 * @chains: what vmx_virtqueue_return() would have for each
 * @count: number of them
 *
 * The driver sees all of them or none.
 */
void vmx_virtqueue_return_all(struct vmx_virtio *virtio,
			      struct vmx_virtqueue *queue,
			      const struct vmx_virtio_used *chains,
			      unsigned int count);

/**
 * vmx_virtio_written() - announce writes to the guest's memory to the machine
 * @virtio: the device
 * @segments: where, as in struct vmx_virtio_chain
 * @count: number of them
 *
 * Call it for all data that a device writes to a chain, after the write and
 * before vmx_virtqueue_return(); also if that is not called in the end. More than
 * what was written does no harm.
 */
void vmx_virtio_written(const struct vmx_virtio *virtio,
			const struct iovec *segments, unsigned int count);

/**
 * vmx_virtio_slice() - a part of a chain's bytes
 * @segments: the readable or the writable ones
 * @count: number of them
 * @offset: bytes to leave out
 * @length: bytes to take
 * @slice: room for @count segments
 *
 * Return: the number of segments in @slice; it may have fewer bytes than
 * @length, if there are no more.
 */
unsigned int vmx_virtio_slice(const struct iovec *segments, unsigned int count,
			      uint64_t offset, uint64_t length,
			      struct iovec *slice);

/**
 * vmx_virtio_read() - copy from a chain's readable bytes
 * @chain: the chain
 * @offset: bytes to leave out
 * @buffer: where to
 * @length: number of them, at most
 *
 * Return: number of bytes copied.
 */
size_t vmx_virtio_read(const struct vmx_virtio_chain *chain, uint64_t offset,
		       void *buffer, size_t length);

/**
 * vmx_virtio_write() - copy to a chain's writable bytes
 * @chain: the chain
 * @offset: bytes to leave out
 * @buffer: where from
 * @length: number of them, at most
 *
 * The machine is not told, see vmx_virtio_written().
 *
 * Return: number of bytes copied.
 */
size_t vmx_virtio_write(const struct vmx_virtio_chain *chain, uint64_t offset,
			const void *buffer, size_t length);

/* Disks */

#define VMX_VIRTIO_BLK_ID	20

/**
 * struct vmx_virtio_blk - a disk
 * @virtio: the device
 * @fd: the file or block device behind it
 * @capacity: sectors of 512 bytes
 * @reads: requests to read that were done
 * @writes: likewise to write
 * @bytes_read: in them
 * @bytes_written: likewise
 * @reported: the first failure of the host's was reported
 * @lock: held when the device is called, if it has a thread; or NULL
 * @thread: does its requests
 * @work: tells the thread that there may be some, or that it is to end
 * @ending: it is
 * @id: what GET_ID answers, padded with zeroes
 * @config: struct virtio_blk_config
 */
struct vmx_virtio_blk {
	struct vmx_virtio virtio;
	int fd;
	uint64_t capacity;
	uint64_t reads;
	uint64_t writes;
	uint64_t bytes_read;
	uint64_t bytes_written;
	bool reported;
	pthread_mutex_t *lock;
	pthread_t thread;
	pthread_cond_t work;
	bool ending;
	char id[VMX_VIRTIO_BLK_ID];
	unsigned char config[64];
};

/**
 * vmx_virtio_blk_init() - make a disk
 * @blk: filled in
 * @machine: the machine it is in
 * @fd: a file or block device, whose size is the disk's, rounded down to
 *	sectors of 512 bytes; not copied
 * @read_only: refuse writes
 * @id: a serial number of up to 20 characters, or NULL
 *
 * Return: 0 or -errno.
 */
int vmx_virtio_blk_init(struct vmx_virtio_blk *blk,
			const struct vmx_virtio_machine *machine, int fd,
			bool read_only, const char *id);

/**
 * vmx_virtio_blk_start() - start a thread that does the disk's requests
 * @blk: the disk
 * @lock: what is held whenever the device is called: struct vmx_machine.lock
 *
 * One after the other, in the driver's order, so that a flush is of all that
 * came before. While the host's disk works, @lock is free. A reset is over when
 * the request that is being done is: until then Device Status does not read 0.
 *
 * Return: 0 or -errno.
 */
int vmx_virtio_blk_start(struct vmx_virtio_blk *blk, pthread_mutex_t *lock);

/**
 * vmx_virtio_blk_stop() - undo vmx_virtio_blk_start()
 * @blk: the disk; may have no thread
 *
 * Waits for the request that is being done, and leaves others. The guest does
 * not run any more, and its memory has to stay until then. Not to be called
 * with the lock held.
 */
void vmx_virtio_blk_stop(struct vmx_virtio_blk *blk);

/* Consoles */

/**
 * struct vmx_virtio_terminal - what a console is connected to
 * @output: the guest wrote @length bytes; returns how many were taken. The rest
 *	is offered again by vmx_virtio_console_poll(). NULL if nobody is there.
 * @input: fetch up to @room bytes for the guest, without waiting; returns
 *	how many there were. NULL if there will be none.
 * @context: argument for these callbacks
 */
struct vmx_virtio_terminal {
	size_t (*output)(void *context, const void *bytes, size_t length);
	size_t (*input)(void *context, void *bytes, size_t room);
	void *context;
};

/**
 * struct vmx_virtio_console - a console of one port
 * @virtio: the device
 * @terminal: its connections
 * @taken: bytes of the buffer at the head of its output that were taken
 * @config: struct virtio_console_config
 */
struct vmx_virtio_console {
	struct vmx_virtio virtio;
	struct vmx_virtio_terminal terminal;
	uint64_t taken;
	unsigned char config[12];
};

/**
 * vmx_virtio_console_init() - make a console
 * @console: filled in
 * @machine: the machine it is in
 * @terminal: its connections; copied
 *
 * Return: 0 or -errno.
 */
int vmx_virtio_console_init(struct vmx_virtio_console *console,
			    const struct vmx_virtio_machine *machine,
			    const struct vmx_virtio_terminal *terminal);

/**
 * vmx_virtio_console_poll() - there may be input, or output is taken again
 * @console: the console
 *
 * input() is called while the guest has room. Whatever it does not fetch has
 * to wait: it is called again when the guest makes room. output() is called if
 * it did not take everything.
 */
void vmx_virtio_console_poll(struct vmx_virtio_console *console);

/**
 * vmx_virtio_console_wants_input() - is it worth waiting for input?
 * @console: the console
 *
 * While the guest has no room, there is no use for it; the console fetches it
 * by itself when there is room.
 *
 * Return: true if so.
 */
bool vmx_virtio_console_wants_input(struct vmx_virtio_console *console);

/**
 * vmx_virtio_console_resize() - the terminal's size changed
 * @console: the console
 * @columns: characters in a row, 0 if unknown
 * @rows: and rows
 */
void vmx_virtio_console_resize(struct vmx_virtio_console *console,
			       uint16_t columns, uint16_t rows);

/* Network cards */

#define VMX_VIRTIO_NET_FRAME	65536

/**
 * struct vmx_virtio_net - a network card
 * @virtio: the device
 * @fd: the TAP device behind it
 * @lost: that is gone; the guest's link is down
 * @received: frames that the guest got
 * @sent: frames that the host took
 * @dropped: frames that either side could not take
 * @config: struct virtio_net_config
 * @frame_size: bytes in @frame that wait for room in the guest, or 0
 * @frame: the frame being copied
 */
struct vmx_virtio_net {
	struct vmx_virtio virtio;
	int fd;
	bool lost;
	uint64_t received;
	uint64_t sent;
	uint64_t dropped;
	unsigned char config[8];
	size_t frame_size;
	unsigned char frame[VMX_VIRTIO_NET_FRAME];
};

/**
 * vmx_virtio_net_init() - make a network card
 * @net: filled in
 * @machine: the machine it is in
 * @fd: a TAP device opened with IFF_TAP | IFF_NO_PI and without IFF_VNET_HDR,
 *	or whatever has one Ethernet frame per read and write; is made
 *	non-blocking, and is not copied
 * @mac: its address
 *
 * Return: 0 or -errno.
 */
int vmx_virtio_net_init(struct vmx_virtio_net *net,
			const struct vmx_virtio_machine *machine, int fd,
			const uint8_t mac[6]);

/**
 * vmx_virtio_net_poll() - @fd may be readable
 * @net: the card
 *
 * Frames are read while the guest has room for them.
 */
void vmx_virtio_net_poll(struct vmx_virtio_net *net);

/**
 * vmx_virtio_net_wants_input() - is it worth waiting for @fd to be readable?
 * @net: the card
 *
 * While the guest has no room for a frame, a poll() of @fd would not wait; the
 * card reads on by itself when there is room. Likewise when @fd is gone. Who is
 * told of every new frame (%EPOLLET) needs not ask.
 *
 * Return: true if so.
 */
bool vmx_virtio_net_wants_input(struct vmx_virtio_net *net);

#ifdef __cplusplus
}
#endif

#endif /* LIBVMX_VIRTIO_H */
