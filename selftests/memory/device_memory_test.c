// SPDX-License-Identifier: GPL-2.0
/* Memory of a device that the owner has mapped: the guest gets it, and never cached. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/io.h>

#define EVERY_MMU
#include "lib/guest_tables.h"

#define DEVICES "/sys/bus/pci/devices"

/* Address of the memory of a display controller, whose files are in *FOLDER; 0 if there is none. */
static unsigned long find_display(char *folder, size_t size)
{
	DIR *devices = opendir(DEVICES);
	unsigned long start = 0;
	struct dirent *entry;
	char path[320];

	while (devices && !start && (entry = readdir(devices))) {
		snprintf(folder, size, DEVICES "/%s", entry->d_name);
		snprintf(path, sizeof(path), "%s/class", folder);
		if (test_read_number(path) >> 16 != 3)
			continue;
		snprintf(path, sizeof(path), "%s/resource", folder);
		start = test_read_number(path);
	}
	if (devices)
		closedir(devices);
	return start;
}

/*
 * Bochs's display has memory only in a graphics mode. Registers of its VBE extension: X and Y
 * resolution, bits for each pixel, and whether it is on, with a linear frame buffer.
 */
static int display_on(bool on)
{
	const uint16_t values[] = { 640, 480, 8, on ? 0x41 : 0 };

	if (ioperm(0x1ce, 3, 1))
		return -1;
	for (uint16_t n = 0; n < TEST_COUNT(values); n++) {
		outw(n + 1, 0x1ce);
		outw(values[n], 0x1cf);
	}
	return 0;
}

FIXTURE(device) {
	struct vmx_vm vm;
	struct vmx_vcpu vcpu;
	unsigned long frame;
	char *at;
};

FIXTURE_VARIANT(device) {
	const char *file;
	uint32_t memtype;
	enum vmx_mmu_kind mmu;
	uint64_t needs;
};

#define UNCACHED .file = "resource0", .memtype = VMX_MEMTYPE_UC
#define COMBINED .file = "resource0_wc", .memtype = VMX_MEMTYPE_WC
FIXTURE_VARIANT_ADD(device, uncached) { UNCACHED, .mmu = VMX_MMU_EPT, .needs = VMX_HAS_EPT };
FIXTURE_VARIANT_ADD(device, combined) { COMBINED, .mmu = VMX_MMU_EPT, .needs = VMX_HAS_EPT };
FIXTURE_VARIANT_ADD(device, uncached_shadow) { UNCACHED, .mmu = VMX_MMU_SHADOW };
FIXTURE_VARIANT_ADD(device, combined_shadow) { COMBINED, .mmu = VMX_MMU_SHADOW };

/* The first pages of a display's memory, as a range that is to be write-back. */
FIXTURE_SETUP(device)
{
	char folder[280], path[320];
	int file;

	NEED(variant->needs);
	self->frame = find_display(folder, sizeof(folder));
	if (!self->frame)
		SKIP(return, "this machine has no display with memory");
	ASSERT_EQ(0, display_on(true));
	snprintf(path, sizeof(path), "%s/%s", folder, variant->file);
	file = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_NE(-1, file);
	ASSERT_VMX(vmx_vm_open_mmu(&self->vm, TEST_RAM, variant->mmu));
	ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	ASSERT_EQ(ACCESS_EXIT, guest_try_read(&self->vcpu, AREA));
	self->at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, self->at);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, self->at, 4 * PAGE, RW));
}

FIXTURE_TEARDOWN(device)
{
	vmx_vcpu_close(&self->vcpu);
	vmx_vm_close(&self->vm);
	display_on(false);
}

static uint64_t word(const char *at)
{
	return *(const volatile uint64_t *)at;
}

TEST_F(device, the_guest_has_the_same)
{
	struct vmx_mmu_walk walk;

	for (size_t n = 0; n < 4; n++) {
		ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE, 0x1111 * (n + 1)));
		EXPECT_EQ(0x1111 * (n + 1), word(self->at + n * PAGE));
		EXPECT_EQ(0x1111 * (n + 1), guest_read(&self->vcpu, AREA + n * PAGE));
	}
	walk = mmu_walk(self->vm.mmu, AREA + PAGE);
	EXPECT_EQ(variant->memtype, walk.memtype);
	EXPECT_EQ(1, walk.leaf);
	EXPECT_EQ(RW, walk.prot);
	if (!walk.masked)
		EXPECT_EQ(self->frame + PAGE, walk.entry[0] & ((1ull << 52) - PAGE));
}

/*
 * What the owner may not do the guest may not, and what it no longer has neither. All of it at
 * once: kernels lose track of the memory type of such a mapping when it is split.
 */
TEST_F(device, follows_the_owner)
{
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 0x3333));
	ASSERT_EQ(0, mprotect(self->at, 4 * PAGE, PROT_READ));
	EXPECT_EQ(0, mmu_walk(self->vm.mmu, AREA).present);
	EXPECT_EQ(-EFAULT, guest_write(&self->vcpu, AREA, 0x4444));
	EXPECT_EQ(0x3333, guest_read(&self->vcpu, AREA));
	EXPECT_EQ(VMX_MMU_READ, mmu_walk(self->vm.mmu, AREA).prot);
	EXPECT_EQ(variant->memtype, mmu_walk(self->vm.mmu, AREA).memtype);
	ASSERT_EQ(0, munmap(self->at, 4 * PAGE));
	EXPECT_EQ(0, mmu_walk(self->vm.mmu, AREA).present);
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, AREA));
	/* RAM in its place is RAM. */
	ASSERT_EQ(self->at, mmap(self->at, PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA, 0x5555));
	EXPECT_EQ(0x5555, word(self->at));
	EXPECT_EQ(VMX_MEMTYPE_WB, mmu_walk(self->vm.mmu, AREA).memtype);
}

TEST_F(device, populate)
{
	uint64_t faults;

	ASSERT_EQ(4 * PAGE, mmu_populate(self->vm.mmu, AREA, 4 * PAGE, RW));
	faults = mmu_stats(self->vm.mmu).faults;
	for (size_t n = 0; n < 4; n++) {
		EXPECT_EQ(variant->memtype, mmu_walk(self->vm.mmu, AREA + n * PAGE).memtype);
		*(volatile uint64_t *)(self->at + n * PAGE) = n + 1;
		EXPECT_EQ(ACCESS_DONE, guest_write(&self->vcpu, AREA + n * PAGE + 8, n));
		EXPECT_EQ(n + 1, guest_read(&self->vcpu, AREA + n * PAGE));
	}
	EXPECT_EQ(faults, mmu_stats(self->vm.mmu).faults);
}

/* The kernel's own page in this process is RAM, though it looks like a device's. */
TEST_F(vm, ram_of_the_kernel_is_refused)
{
	char line[256];
	unsigned long vvar = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	ASSERT_NE(NULL, maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[vvar]"))
			vvar = strtoul(line, NULL, 16);
	fclose(maps);
	if (!vvar)
		SKIP(return, "this kernel has no [vvar]");
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, (void *)vvar, PAGE, VMX_MMU_READ));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, access_guest));
	EXPECT_EQ(-EFAULT, guest_try_read(&self->vcpu, AREA));
	EXPECT_EQ(0, mmu_populate(self->vm.mmu, AREA, PAGE, VMX_MMU_READ));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, mmu_walk(self->vm.mmu, AREA).present);
}

/*
 * A guest's page table in the first page of such memory, which is at AT and at AREA. The CPU
 * reads it by EPT. The module does not, as it does not read any device.
 */
static int use_table(struct vmx_vcpu *vcpu, char *at)
{
	if (test_start(vcpu, VMX_MODE_LONG, operations))
		return -1;
	map_linear(vcpu->vm);
	*entry(vcpu->vm, DIRECTORY, TABLE_INDEX) = AREA | P | W;
	*(volatile uint64_t *)(at + INDEX * 8) = DATA | P | W | A | D;
	return operate(vcpu, READ, LINEAR, 0);
}

TEST_F(device, page_table_in_it)
{
	EXPECT_EQ(variant->mmu == VMX_MMU_SHADOW ? ACCESS_EXIT : ACCESS_DONE,
		  use_table(&self->vcpu, self->at)) {
		TH_LOG("%s", test_describe(&self->vcpu));
	}
	EXPECT_EQ(DATA | P | W | A | D, word(self->at + INDEX * 8));
}

/* Where PCs have a window to the display's memory. The kernel has a struct page for it. */
#define WINDOW_FRAME	0xa0000

TEST_F(vm, device_among_ram)
{
	int file = open("/dev/mem", O_RDWR | O_CLOEXEC);
	char *at;

	if (file < 0)
		SKIP(return, "this kernel has no /dev/mem");
	ASSERT_EQ(0, display_on(true));
	at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, WINDOW_FRAME);
	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, mmu_map(self->vm.mmu, AREA, at, PAGE, RW));
	EXPECT_EQ(variant->mmu == VMX_MMU_SHADOW ? ACCESS_EXIT : ACCESS_DONE,
		  use_table(&self->vcpu, at)) {
		TH_LOG("%s", test_describe(&self->vcpu));
	}
	EXPECT_EQ(VMX_MEMTYPE_UC, mmu_walk(self->vm.mmu, AREA).memtype);
	display_on(false);
	close(file);
}

VMX_TEST_MAIN
