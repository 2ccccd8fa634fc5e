// SPDX-License-Identifier: GPL-2.0
/* Every ioctl that takes a struct, with a valid struct. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ioctls.h"
#include "vmx_test_lib.h"

/* Above the RAM; each mapping gets addresses of its own. */
#define FIRST_GPA 0x10000000

static void fill_nothing(struct test_objects *o, void *arg)
{
}

static void fill_create_vcpu(struct test_objects *o, void *arg)
{
	struct vmx_create_vcpu *create = arg;

	create->vmcs_fd = o->spare_vmcs;
	create->mmu_fd = o->vm.mmu;
}

static void fill_vmcs_io(struct test_objects *o, void *arg)
{
	struct vmx_vmcs_io *io = arg;

	o->fields[0] = (struct vmx_field){ .field = VMX_F_GUEST_RIP, .value = TEST_CODE };
	o->fields[1] = (struct vmx_field){ .field = VMX_F_GUEST_RSP, .value = TEST_STACK };
	io->fields = (uintptr_t)o->fields;
	io->count = 2;
}

static void fill_dump(struct test_objects *o, void *arg)
{
	struct vmx_vmcs_dump *dump = arg;

	dump->fields = (uintptr_t)o->infos;
	dump->count = sizeof(o->infos) / sizeof(o->infos[0]);
}

static void fill_map(struct test_objects *o, void *arg)
{
	struct vmx_mmu_map *map = arg;

	map->gpa = o->next_gpa;
	map->uaddr = (uintptr_t)o->page;
	map->length = 4096;
	map->prot = VMX_MMU_READ;
	map->memtype = VMX_MEMTYPE_WB;
	o->next_gpa += 8192;
}

static void fill_unmap(struct test_objects *o, void *arg)
{
	struct vmx_mmu_range *range = arg;

	range->gpa = FIRST_GPA;
	range->length = o->next_gpa - FIRST_GPA;
}

static void fill_protect(struct test_objects *o, void *arg)
{
	struct vmx_mmu_range *range = arg;

	range->gpa = TEST_RAM / 2;
	range->length = 4096;
	range->prot = VMX_MMU_READ | VMX_MMU_WRITE | VMX_MMU_EXEC;
}

static void fill_populate(struct test_objects *o, void *arg)
{
	struct vmx_mmu_populate *populate = arg;

	populate->gpa = TEST_RAM / 2;
	populate->length = 4096;
	populate->prot = VMX_MMU_READ | VMX_MMU_WRITE;
}

/* DIRTY needs a log. */
static void fill_log(struct test_objects *o, void *arg)
{
	struct vmx_mmu_log *log = arg;

	log->method = VMX_DIRTY_WRITE_PROTECT;
}

static void fill_dirty(struct test_objects *o, void *arg)
{
	struct vmx_mmu_dirty *dirty = arg;

	dirty->gpa = TEST_RAM / 2;
	dirty->length = 4096;
	dirty->bitmap = (uintptr_t)o->bitmap;
}

static void fill_invalidate(struct test_objects *o, void *arg)
{
	struct vmx_mmu_range *range = arg;

	range->gpa = 0;
	range->length = 2 * TEST_RAM;
}

static void fill_cpuid(struct test_objects *o, void *arg)
{
	struct vmx_cpuid *cpuid = arg;

	o->cpuid[0] = (struct vmx_cpuid_entry){ .leaf = 0, .eax = 1 };
	o->cpuid[1] = (struct vmx_cpuid_entry){ .leaf = 1, .eax = 2 };
	cpuid->entries = (uintptr_t)o->cpuid;
	cpuid->count = 2;
}

static void fill_msrs(struct test_objects *o, void *arg)
{
	struct vmx_msrs *msrs = arg;

	o->msrs[0] = (struct vmx_msr){ .index = 0x10, .policy = VMX_MSR_KERNEL, .value = 1 };
	o->msrs[1] = (struct vmx_msr){ .index = 0x11, .policy = VMX_MSR_KERNEL_READ, .value = 2 };
	msrs->msrs = (uintptr_t)o->msrs;
	msrs->count = 2;
}

static void fill_fpu(struct test_objects *o, void *arg)
{
	struct vmx_fpu *fpu = arg;
	uint32_t size = fpu->size;

	*fpu = o->fpu;
	fpu->size = size;
	fpu->area = (uintptr_t)o->fpu_area;
	fpu->length = o->fpu.needed;
}

static void fill_set_mmu(struct test_objects *o, void *arg)
{
	struct vmx_vcpu_mmu *args = arg;

	args->mmu_fd = o->vm.mmu;
}

static void fill_eptp_list(struct test_objects *o, void *arg)
{
	struct vmx_eptp_list *list = arg;

	o->list[0] = o->vm.mmu;
	o->list[1] = -1;
	list->mmu_fds = (uintptr_t)o->list;
	list->count = 2;
}

static void fill_ve(struct test_objects *o, void *arg)
{
	struct vmx_ve *ve = arg;

	ve->enable = 1;
}

#define IOCTL(name_, kind_, type_, fill_, ...)				\
	{ .name = #name_, .request = VMX_##name_, .kind = kind_,	\
	  .size = sizeof(struct type_), .fill = fill_, __VA_ARGS__ }

const struct test_ioctl test_ioctls[] = {
	IOCTL(GET_CAPS, TEST_DEV, vmx_caps, fill_nothing, .looks = true),
	IOCTL(CREATE_VM, TEST_DEV, vmx_create, fill_nothing, .creates = true, .looks = true),
	IOCTL(CREATE_VMCS, TEST_VM, vmx_create, fill_nothing, .creates = true),
	IOCTL(CREATE_EPT, TEST_VM, vmx_create, fill_nothing, .creates = true,
	      .needs = VMX_HAS_EPT),
	IOCTL(CREATE_SHADOW, TEST_VM, vmx_create, fill_nothing, .creates = true),
	IOCTL(CREATE_VCPU, TEST_VM, vmx_create_vcpu, fill_create_vcpu, .creates = true),
	IOCTL(VM_STATS, TEST_VM, vmx_vm_stats, fill_nothing, .looks = true),
	IOCTL(VMCS_CLEAR, TEST_VMCS, vmx_vmcs_clear, fill_nothing),
	IOCTL(VMCS_READ, TEST_VMCS, vmx_vmcs_io, fill_vmcs_io,
	      .reserved = { offsetof(struct vmx_vmcs_io, reserved) }),
	IOCTL(VMCS_WRITE, TEST_VMCS, vmx_vmcs_io, fill_vmcs_io,
	      .reserved = { offsetof(struct vmx_vmcs_io, reserved) }),
	IOCTL(VMCS_DUMP, TEST_VMCS, vmx_vmcs_dump, fill_dump,
	      .reserved = { offsetof(struct vmx_vmcs_dump, reserved) }),
	IOCTL(VMCS_CHECK, TEST_VMCS, vmx_vmcs_check, fill_nothing),
	IOCTL(VMCS_STATE, TEST_VMCS, vmx_vmcs_state, fill_nothing),
	IOCTL(MMU_MAP, TEST_MMU, vmx_mmu_map, fill_map),
	IOCTL(MMU_UNMAP, TEST_MMU, vmx_mmu_range, fill_unmap,
	      .reserved = { offsetof(struct vmx_mmu_range, reserved),
			    offsetof(struct vmx_mmu_range, prot) }),
	IOCTL(MMU_PROTECT, TEST_MMU, vmx_mmu_range, fill_protect,
	      .reserved = { offsetof(struct vmx_mmu_range, reserved) }),
	IOCTL(MMU_WALK, TEST_MMU, vmx_mmu_walk, fill_nothing, .looks = true),
	IOCTL(MMU_STATS, TEST_MMU, vmx_mmu_stats, fill_nothing, .looks = true),
	IOCTL(MMU_POPULATE, TEST_MMU, vmx_mmu_populate, fill_populate,
	      .reserved = { offsetof(struct vmx_mmu_populate, reserved) }),
	IOCTL(MMU_LOG, TEST_MMU, vmx_mmu_log, fill_log,
	      .reserved = { offsetof(struct vmx_mmu_log, reserved) }),
	IOCTL(MMU_DIRTY, TEST_MMU, vmx_mmu_dirty, fill_dirty),
	IOCTL(MMU_INVALIDATE, TEST_MMU, vmx_mmu_range, fill_invalidate,
	      .reserved = { offsetof(struct vmx_mmu_range, reserved),
			    offsetof(struct vmx_mmu_range, prot) }),
	IOCTL(SET_CPUID, TEST_VCPU, vmx_cpuid, fill_cpuid,
	      .reserved = { offsetof(struct vmx_cpuid, reserved) }),
	IOCTL(SET_MSRS, TEST_VCPU, vmx_msrs, fill_msrs),
	IOCTL(GET_MSRS, TEST_VCPU, vmx_msrs, fill_msrs),
	IOCTL(SET_FPU, TEST_VCPU, vmx_fpu, fill_fpu),
	IOCTL(GET_FPU, TEST_VCPU, vmx_fpu, fill_fpu),
	IOCTL(SET_DEBUG, TEST_VCPU, vmx_debug, fill_nothing),
	IOCTL(GET_DEBUG, TEST_VCPU, vmx_debug, fill_nothing),
	IOCTL(SET_MMU, TEST_VCPU, vmx_vcpu_mmu, fill_set_mmu, .mmu = VMX_MMU_EPT,
	      .reserved = { offsetof(struct vmx_vcpu_mmu, index) }),
	IOCTL(GET_MMU, TEST_VCPU, vmx_vcpu_mmu, fill_nothing),
	IOCTL(SET_EPTP_LIST, TEST_VCPU, vmx_eptp_list, fill_eptp_list, .needs = VMX_HAS_VMFUNC,
	      .mmu = VMX_MMU_EPT, .reserved = { offsetof(struct vmx_eptp_list, reserved) }),
	IOCTL(SET_VE, TEST_VCPU, vmx_ve, fill_ve, .needs = VMX_HAS_VE,
	      .mmu = VMX_MMU_EPT, .reserved = { offsetof(struct vmx_ve, reserved) }),
	IOCTL(WALK, TEST_VCPU, vmx_walk, fill_nothing, .mmu = VMX_MMU_SHADOW),
};

const unsigned int test_ioctl_count = sizeof(test_ioctls) / sizeof(test_ioctls[0]);

bool test_ioctl_possible(const struct test_ioctl *call, const struct test_objects *o)
{
	const enum vmx_mmu_kind has = o->vm.shadow ? VMX_MMU_SHADOW : VMX_MMU_EPT;

	return o->fds[call->kind] >= 0 && !(call->needs & ~o->vm.caps.features) &&
	       (call->mmu == VMX_MMU_AUTO || call->mmu == has);
}

void test_ioctl_fill(const struct test_ioctl *call, struct test_objects *o, void *arg)
{
	memset(arg, 0, TEST_ARG_SIZE);
	*(uint32_t *)arg = call->size;
	call->fill(o, arg);
}

int test_ioctl_do(const struct test_ioctl *call, int fd, void *arg)
{
	int ret = ioctl(fd, call->request, arg);

	if (ret < 0)
		return -errno;
	if (call->creates)
		close(ret);
	return 0;
}

static bool can(const struct test_objects *o, uint64_t feature)
{
	return o->vm.caps.features & feature && !o->vm.shadow;
}

/*
 * A log for DIRTY to look at, a policy for GET_MSRS to find, an FPU state for SET_FPU to set, and
 * what SET_EPTP_LIST and SET_VE do, which shows in the VMCS.
 */
static int prepare_vcpu(struct test_objects *o)
{
	struct vmx_mmu_log log = { .size = sizeof(log), .method = VMX_DIRTY_WRITE_PROTECT };
	struct vmx_eptp_list list = { .size = sizeof(list) };
	struct vmx_ve ve = { .size = sizeof(ve) };
	struct vmx_msrs msrs = { .size = sizeof(msrs) };

	fill_ve(o, &ve);
	if (can(o, VMX_HAS_VE) && ioctl(o->vcpu.fd, VMX_SET_VE, &ve))
		return -errno;
	fill_eptp_list(o, &list);
	if (can(o, VMX_HAS_VMFUNC) && ioctl(o->vcpu.fd, VMX_SET_EPTP_LIST, &list))
		return -errno;
	if (ioctl(o->vm.mmu, VMX_MMU_LOG, &log))
		return -errno;
	fill_msrs(o, &msrs);
	if (ioctl(o->vcpu.fd, VMX_SET_MSRS, &msrs))
		return -errno;
	o->fpu = (struct vmx_fpu){
		.size = sizeof(o->fpu), .area = (uintptr_t)o->fpu_area,
		.length = sizeof(o->fpu_area),
	};
	return ioctl(o->vcpu.fd, VMX_GET_FPU, &o->fpu) ? -errno : 0;
}

static int open_vcpu(struct test_objects *o)
{
	int ret = vmx_vcpu_open(&o->vcpu, &o->vm);

	if (ret)
		return ret;
	o->fds[TEST_VMCS] = o->vcpu.vmcs;
	o->fds[TEST_MMU] = o->vm.mmu;
	o->fds[TEST_VCPU] = o->vcpu.fd;
	return prepare_vcpu(o);
}

int test_objects_open(struct test_objects *o, enum vmx_mmu_kind kind)
{
	int ret;

	memset(o, 0, sizeof(*o));
	for (int n = 0; n < TEST_KINDS; n++)
		o->fds[n] = -1;
	o->next_gpa = FIRST_GPA;
	o->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ret = vmx_vm_open_mmu(&o->vm, TEST_RAM, kind);
	if (ret)
		return ret;
	o->fds[TEST_DEV] = o->vm.dev;
	o->fds[TEST_VM] = o->vm.fd;
	o->spare_vmcs = vmx_vmcs_open(&o->vm);
	return o->spare_vmcs < 0 ? o->spare_vmcs : open_vcpu(o);
}

void test_objects_close(struct test_objects *o)
{
	munmap(o->page, 4096);
	close(o->spare_vmcs);
	vmx_vcpu_close(&o->vcpu);
	vmx_vm_close(&o->vm);
}
