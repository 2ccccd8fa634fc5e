// SPDX-License-Identifier: LGPL-2.1-or-later
/* A disk (virtio 1.2, Block Device) in a file or on a block device. */
#define _GNU_SOURCE	/* fallocate() */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "../lib/internal.h"
#include "../state/table.h"
#include "internal.h"

#define SECTOR			512
#define QUEUE_SIZE		VMX_VIRTQUEUE_MAX
#define SEGMENTS		(QUEUE_SIZE - 2)	/* beside the header and the status */
/* What follows belongs to features that are not offered. */
#define CONFIG_SIZE		offsetof(struct virtio_blk_config, unused1)
/* What one request may ask for: the caller is held up for so long. */
#define DISCARD_RANGES		16
#define DISCARD_SECTORS		(1u << 21)
#define ZEROES_RANGES		1
#define ZEROES_SECTORS		(1u << 16)

/* A request, whose layout in descriptors is the driver's choice. */
struct request {
	struct vmx_virtio_blk *blk;
	const struct vmx_virtio_chain *chain;
	struct virtio_blk_outhdr header;
	uint64_t out;		/* bytes of data from the driver */
	uint64_t in;		/* room for data to the driver */
	uint64_t written;	/* bytes of it that were surely written */
	int error;		/* what the host could not do it for */
};

/* The host's fault, with errno. */
static int host_failed(struct request *request, int error)
{
	request->error = error;
	return VIRTIO_BLK_S_IOERR;
}

static bool in_range(const struct request *request, uint64_t sector, uint64_t sectors)
{
	uint64_t capacity = request->blk->capacity;

	return sector <= capacity && sectors <= capacity - sector;
}

/* Takes DONE bytes off the front. */
static struct iovec *advance(struct iovec *segments, unsigned int *count, size_t done)
{
	while (*count && done >= segments->iov_len) {
		done -= segments->iov_len;
		segments++;
		--*count;
	}
	if (done) {
		segments->iov_base = (char *)segments->iov_base + done;
		segments->iov_len -= done;
	}
	return segments;
}

static int transfer(struct request *request,
		    ssize_t (*call)(int fd, const struct iovec *segments, int count, off_t offset),
		    struct iovec *segments, unsigned int count, off_t offset)
{
	while (count) {
		ssize_t done = call(request->blk->fd, segments, count, offset);

		if (done < 0 && errno == EINTR)
			continue;
		/* 0: the file has become shorter than the disk. */
		if (done <= 0)
			return host_failed(request, done ? errno : ENODATA);
		offset += done;
		segments = advance(segments, &count, done);
	}
	return VIRTIO_BLK_S_OK;
}

static int sync_data(struct request *request)
{
	return fdatasync(request->blk->fd) ? host_failed(request, errno) : VIRTIO_BLK_S_OK;
}

/* Who cannot flush must find everything stable (Block Device, Device Operation). */
static int written_to(struct request *request)
{
	if (vmx_virtio_has(&request->blk->virtio, VIRTIO_BLK_F_FLUSH))
		return VIRTIO_BLK_S_OK;
	return sync_data(request);
}

static int do_in(struct request *request)
{
	const struct vmx_virtio_chain *chain = request->chain;
	struct iovec data[VMX_VIRTQUEUE_MAX];
	unsigned int count;
	int status;

	if (request->in % SECTOR ||
	    !in_range(request, request->header.sector, request->in / SECTOR))
		return VIRTIO_BLK_S_IOERR;
	count = vmx_virtio_slice(&chain->segments[chain->readable], chain->writable, 0,
				 request->in, data);
	status = transfer(request, preadv, data, count, request->header.sector * SECTOR);
	if (status == VIRTIO_BLK_S_OK)
		request->written = request->in;
	return status;
}

static int do_out(struct request *request)
{
	const struct vmx_virtio_chain *chain = request->chain;
	struct iovec data[VMX_VIRTQUEUE_MAX];
	unsigned int count;
	int status;

	if (request->out % SECTOR ||
	    !in_range(request, request->header.sector, request->out / SECTOR))
		return VIRTIO_BLK_S_IOERR;
	count = vmx_virtio_slice(chain->segments, chain->readable, sizeof(request->header),
				 request->out, data);
	status = transfer(request, pwritev, data, count, request->header.sector * SECTOR);
	return status == VIRTIO_BLK_S_OK ? written_to(request) : status;
}

static int do_flush(struct request *request)
{
	return sync_data(request);
}

static int do_get_id(struct request *request)
{
	if (request->in < VMX_VIRTIO_BLK_ID)
		return VIRTIO_BLK_S_IOERR;
	request->written = vmx_virtio_write(request->chain, 0, request->blk->id,
					    VMX_VIRTIO_BLK_ID);
	return VIRTIO_BLK_S_OK;
}

/* Discard and write zeroes: ranges of sectors */

static int allocate(const struct request *request, int mode, off_t offset, off_t length)
{
	int ret;

	do
		ret = fallocate(request->blk->fd, mode | FALLOC_FL_KEEP_SIZE, offset, length);
	while (ret && errno == EINTR);
	return ret ? -errno : 0;
}

static int discard_range(struct request *request,
			 const struct virtio_blk_discard_write_zeroes *range)
{
	int ret;

	if (range->flags)
		return VIRTIO_BLK_S_UNSUPP;
	ret = allocate(request, FALLOC_FL_PUNCH_HOLE, range->sector * SECTOR,
		       (off_t)range->num_sectors * SECTOR);
	/* Discard is a hint: success where the file cannot give space back. */
	return !ret || ret == -EOPNOTSUPP ? VIRTIO_BLK_S_OK : host_failed(request, -ret);
}

static int write_zeroes(struct request *request, off_t offset, uint64_t length)
{
	static const char zeroes[65536];
	struct iovec data;

	for (uint64_t done = 0; done < length; done += data.iov_len) {
		int status;

		data.iov_base = (void *)zeroes;
		data.iov_len = length - done < sizeof(zeroes) ? length - done : sizeof(zeroes);
		status = transfer(request, pwritev,
				  &(struct iovec){ data.iov_base, data.iov_len }, 1, offset + done);
		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	return VIRTIO_BLK_S_OK;
}

static int zero_range(struct request *request,
		      const struct virtio_blk_discard_write_zeroes *range)
{
	int how = range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP ?
		  FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
	off_t offset = range->sector * SECTOR;
	off_t length = (off_t)range->num_sectors * SECTOR;
	int ret;

	if (range->flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)
		return VIRTIO_BLK_S_UNSUPP;
	ret = allocate(request, how, offset, length);
	if (ret == -EOPNOTSUPP)
		return write_zeroes(request, offset, length);
	return ret ? host_failed(request, -ret) : VIRTIO_BLK_S_OK;
}

static int each_range(struct request *request, unsigned int most_ranges,
		      unsigned int most_sectors,
		      int (*what)(struct request *request,
				  const struct virtio_blk_discard_write_zeroes *range))
{
	struct virtio_blk_discard_write_zeroes ranges[DISCARD_RANGES];
	unsigned int count = request->out / sizeof(ranges[0]);

	if (!request->out || request->out % sizeof(ranges[0]) ||
	    request->out > most_ranges * sizeof(ranges[0]))
		return VIRTIO_BLK_S_IOERR;
	vmx_virtio_read(request->chain, sizeof(request->header), ranges, request->out);
	for (unsigned int n = 0; n < count; n++) {
		int status;

		if (!ranges[n].num_sectors || ranges[n].num_sectors > most_sectors ||
		    !in_range(request, ranges[n].sector, ranges[n].num_sectors))
			return VIRTIO_BLK_S_IOERR;
		status = what(request, &ranges[n]);
		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	return VIRTIO_BLK_S_OK;
}

static int do_discard(struct request *request)
{
	return each_range(request, DISCARD_RANGES, DISCARD_SECTORS, discard_range);
}

static int do_write_zeroes(struct request *request)
{
	int status = each_range(request, ZEROES_RANGES, ZEROES_SECTORS, zero_range);

	/* Handle it as any write. */
	return status == VIRTIO_BLK_S_OK ? written_to(request) : status;
}

#define NO_FEATURE	0xff

static const struct operation {
	uint32_t type;
	uint8_t feature;	/* that must have been negotiated */
	bool writes;
	int (*run)(struct request *request);
} operations[] = {
	{ VIRTIO_BLK_T_IN, NO_FEATURE, false, do_in },
	{ VIRTIO_BLK_T_OUT, NO_FEATURE, true, do_out },
	{ VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_F_FLUSH, false, do_flush },
	{ VIRTIO_BLK_T_GET_ID, NO_FEATURE, false, do_get_id },
	{ VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_F_DISCARD, true, do_discard },
	{ VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES, true, do_write_zeroes },
};

static int run(struct request *request)
{
	const struct vmx_virtio *virtio = &request->blk->virtio;

	for (unsigned int n = 0; n < COUNT(operations); n++) {
		const struct operation *operation = &operations[n];

		if (operation->type != request->header.type)
			continue;
		if (operation->feature != NO_FEATURE && !vmx_virtio_has(virtio, operation->feature))
			return VIRTIO_BLK_S_UNSUPP;
		/* Even if the driver ignored VIRTIO_BLK_F_RO. */
		if (operation->writes && virtio->features >> VIRTIO_BLK_F_RO & 1)
			return VIRTIO_BLK_S_IOERR;
		return operation->run(request);
	}
	return VIRTIO_BLK_S_UNSUPP;
}

/* Once: the guest may try for ever. */
static void report(struct vmx_virtio_blk *blk, const struct request *request)
{
	if (!request->error || blk->reported)
		return;
	blk->reported = true;
	vmx_pci_report(&blk->virtio.pci, "the host could not %s sector %llu: %s; %s",
		       request->header.type == VIRTIO_BLK_T_IN ? "read" : "write",
		       (unsigned long long)request->header.sector, strerror(request->error),
		       "the guest gets I/O errors");
}

/* Returns false if it is no request at all. */
static bool begin(struct request *request, struct vmx_virtio_blk *blk,
		  const struct vmx_virtio_chain *chain)
{
	*request = (struct request){ .blk = blk, .chain = chain };
	if (vmx_virtio_read(chain, 0, &request->header, sizeof(request->header)) !=
	    sizeof(request->header) || !chain->writable_bytes) {
		vmx_virtio_break(&blk->virtio, "a disk request without a header or a status");
		return false;
	}
	request->out = chain->readable_bytes - sizeof(request->header);
	request->in = chain->writable_bytes - 1;
	return true;
}

/* Whatever came of a request, some of its data may be there. */
static void tell_written(const struct request *request)
{
	const struct vmx_virtio_chain *chain = request->chain;

	vmx_virtio_written(&request->blk->virtio, &chain->segments[chain->readable],
			   chain->writable);
}

static void count(struct vmx_virtio_blk *blk, const struct request *request)
{
	if (request->header.type == VIRTIO_BLK_T_IN) {
		blk->reads++;
		blk->bytes_read += request->in;
	} else if (request->header.type == VIRTIO_BLK_T_OUT) {
		blk->writes++;
		blk->bytes_written += request->out;
	}
}

static void end(struct request *request, struct vmx_virtqueue *queue, uint8_t status)
{
	struct vmx_virtio_blk *blk = request->blk;

	report(blk, request);
	if (status == VIRTIO_BLK_S_OK)
		count(blk, request);
	vmx_virtio_write(request->chain, request->in, &status, sizeof(status));
	tell_written(request);
	/* The length is that of a prefix: it has the status if all bytes before it count. */
	vmx_virtqueue_return(&blk->virtio, queue, request->chain->head,
			     request->written + (request->written == request->in));
}

static void notify(struct vmx_virtio *virtio, unsigned int index)
{
	struct vmx_virtio_blk *blk = (struct vmx_virtio_blk *)virtio;
	struct vmx_virtqueue *queue = &virtio->queues[index];
	struct request request;

	if (blk->lock) {
		vmx_wake(&blk->work);
		return;
	}
	while (vmx_virtqueue_next(virtio, queue)) {
		if (!begin(&request, blk, &virtio->chain))
			return;
		end(&request, queue, run(&request));
	}
}

/* With a thread of its own */

/* One request, if there is one. The lock is held, but for as long as the host's disk works. */
static bool work(struct vmx_virtio_blk *blk)
{
	struct vmx_virtio *virtio = &blk->virtio;
	struct vmx_virtqueue *queue = &virtio->queues[0];
	struct vmx_virtio_chain chain;
	struct request request;
	uint8_t status;

	queue->budget = 1;
	if (!vmx_virtqueue_next(virtio, queue))
		return false;
	chain = virtio->chain;
	if (!begin(&request, blk, &chain))
		return false;
	virtio_begin_work(virtio);
	pthread_mutex_unlock(blk->lock);
	status = run(&request);
	pthread_mutex_lock(blk->lock);
	vmx_wake_later();
	if (virtio_end_work(virtio)) {
		end(&request, queue, status);
		virtio_signal(virtio, queue);
	} else {
		tell_written(&request);
	}
	vmx_wake_now(blk->lock);
	return true;
}

static void *work_on(void *arg)
{
	struct vmx_virtio_blk *blk = arg;
	struct vmx_quiet *quiet = blk->virtio.machine.quiet;

	pthread_mutex_lock(blk->lock);
	while (!blk->ending) {
		if (quiet && quiet->wanted)
			pthread_cond_wait(&quiet->changed, blk->lock);
		else if (!work(blk))
			pthread_cond_wait(&blk->work, blk->lock);
	}
	pthread_mutex_unlock(blk->lock);
	return NULL;
}

int vmx_virtio_blk_start(struct vmx_virtio_blk *blk, pthread_mutex_t *lock)
{
	int error;

	blk->lock = lock;
	blk->ending = false;
	pthread_cond_init(&blk->work, NULL);
	error = pthread_create(&blk->thread, NULL, work_on, blk);
	if (!error)
		return 0;
	blk->lock = NULL;
	return vmx_fail(error, "cannot start a thread for the disk: %s", strerror(error));
}

void vmx_virtio_blk_stop(struct vmx_virtio_blk *blk)
{
	if (!blk->lock)
		return;
	pthread_mutex_lock(blk->lock);
	blk->ending = true;
	pthread_cond_signal(&blk->work);
	if (blk->virtio.machine.quiet)
		pthread_cond_broadcast(&blk->virtio.machine.quiet->changed);
	pthread_mutex_unlock(blk->lock);
	pthread_join(blk->thread, NULL);
	pthread_cond_destroy(&blk->work);
	blk->lock = NULL;
}

/* Not saved of struct vmx_virtio_blk: virtio: a section of its own. */
/* Not saved of struct vmx_virtio_blk: fd, reported, lock, thread, work, ending, id: the host's. */
/* Not saved of struct vmx_virtio_blk: reads, writes, bytes_read, bytes_written: the host's. */
/* Not saved of struct vmx_virtio_blk: config: follows from capacity. */
static const struct vmx_saved_field fields[] = {
	SAME(struct vmx_virtio_blk, capacity, 1, "sectors of 512 bytes"),
};

static const struct vmx_saved_table table = SAVED_TABLE("virtio-blk", 1, fields);

static const struct vmx_virtio_kind kind = {
	.name = "virtio-blk",
	.type = VIRTIO_ID_BLOCK,
	.class_code = 0x010000,
	.queues = 1,
	.queue_size = QUEUE_SIZE,
	.features = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
		    1ull << VIRTIO_BLK_F_FLUSH,
	.notify = notify,
	.state = &table,
};

_Static_assert(offsetof(struct vmx_virtio_blk, virtio) == 0, "notify() gets the first member");
_Static_assert(sizeof(((struct vmx_virtio_blk *)0)->config) >= CONFIG_SIZE,
	       "The configuration fits");

/* The bytes behind a descriptor. */
static int find_size(int fd, uint64_t *size)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return vmx_fail(errno, "cannot find the disk's size: %s", strerror(errno));
	*size = stat.st_size;
	if (S_ISREG(stat.st_mode))
		return 0;
	if (S_ISBLK(stat.st_mode) && !ioctl(fd, BLKGETSIZE64, size))
		return 0;
	return vmx_fail(EINVAL, "a disk must be a regular file or a block device");
}

int vmx_virtio_blk_init(struct vmx_virtio_blk *blk, const struct vmx_virtio_machine *machine,
			int fd, bool read_only, const char *id)
{
	uint64_t writable = 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
	struct virtio_blk_config config = {
		.seg_max = SEGMENTS,
		.blk_size = SECTOR,
		.max_discard_sectors = DISCARD_SECTORS,
		.max_discard_seg = DISCARD_RANGES,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = ZEROES_SECTORS,
		.max_write_zeroes_seg = ZEROES_RANGES,
		.write_zeroes_may_unmap = 1,
	};
	uint64_t size;
	int ret;

	ret = find_size(fd, &size);
	if (ret)
		return ret;
	if (!read_only && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return vmx_fail(EINVAL, "the disk is open for reading only: open it for writing, "
				"or make it read-only to the guest");
	config.capacity = size / SECTOR;
	blk->capacity = config.capacity;
	blk->reads = 0;
	blk->writes = 0;
	blk->bytes_read = 0;
	blk->bytes_written = 0;
	blk->reported = false;
	blk->lock = NULL;
	ret = vmx_virtio_init(&blk->virtio, &kind, machine,
			      read_only ? 1ull << VIRTIO_BLK_F_RO : writable, blk->config,
			      CONFIG_SIZE);
	if (ret)
		return ret;
	blk->fd = fd;
	memset(blk->id, 0, sizeof(blk->id));
	if (id)
		memcpy(blk->id, id, strnlen(id, sizeof(blk->id)));
	memcpy(blk->config, &config, CONFIG_SIZE);
	return 0;
}
