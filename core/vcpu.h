/* SPDX-License-Identifier: GPL-2.0 */
/* The vCPU object and the parts of RUN. */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <linux/hrtimer.h>
#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/types.h>

#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <asm/msr.h>
#include <asm/page.h>

#include "../base/base.h"
#include "../base/ledger_time.h"
#include "../mmu/mmu.h"
#include "../shadow/shadow.h"
#include "vm.h"

struct vmx_perf_areas;
struct vmx_vmcs;

/* An event to inject, in the format of the VM-entry fields. */
struct vmm_event {
	u32 info;
	u32 error;
	u32 length;
};

/**
 * struct vmm_exit - what the last exit tells, in the SDM's terms whoever made the CPU
 * @reason: exit reason
 * @known: VMX_VALID_* bits of what was read since the exit; the vendor's folder reads the rest
 *	when somebody asks for it
 * @begin: both as one, to begin the record of an exit: its reason, and nothing known
 * @intr_info: interruption information, for exits by exception or NMI
 * @intr_error: its error code, %VMX_VALID_INTR
 * @idt_info: IDT-vectoring information, for exits that can end the delivery of an event; these
 *	have it from the start
 * @length: length of the instruction
 * @insn_info: what it is
 * @access: VMX_MMU_* bits that the access needs, for EPT violations
 * @qualification: exit qualification
 * @linear: guest-linear address
 * @physical: guest-physical address
 *
 * An exit of a guest with shadow page tables can turn out to be another than the CPU said: what
 * userspace sees as a page fault of the guest, a triple fault, or an EPT violation.
 */
struct vmm_exit {
	union {
		struct {
			u32 reason;
			u32 known;
		};
		u64 begin;
	};
	u32 intr_info;
	u32 intr_error;
	u32 idt_info;
	u32 length;
	u32 insn_info;
	u32 access;
	u64 qualification;
	u64 linear;
	u64 physical;
};

/* In struct vmm_host.selectors; the LDT's selector has the bit clear. */
#define VMM_HOST_SEGMENTS	1u

/**
 * struct vmm_host - host state that VM exits do not bring back by themselves
 * @cr3: what HOST_CR3 holds
 * @cr4: what HOST_CR4 holds
 * @fs_base: what HOST_FS_BASE holds: the thread's FS base
 * @rsp: what HOST_RSP holds; maintained by __vmx_enter()
 * @kernel_gs_base: the thread's GS base, while the guest's is in the CPU
 * @tsc_aux: the CPU's TSC_AUX, while @tsc_aux_loaded
 * @debugctl: IA32_DEBUGCTL, which VM exit clears; all its bits are low. As of
 *	when interrupts were last open
 * @fs: selectors of the thread; all 0 in an ordinary 64-bit process
 * @gs: likewise
 * @ds: likewise
 * @es: likewise
 * @selectors: %VMM_HOST_SEGMENTS if any of these is not 0, and the LDT's selector
 *	if the address space has got one
 * @syscall_loaded: the guest's SYSCALL MSRs are in the CPU
 * @tsc_aux_loaded: the guest's TSC_AUX is
 */
struct vmm_host {
	unsigned long cr3;
	unsigned long cr4;
	unsigned long fs_base;
	unsigned long rsp;
	u64 kernel_gs_base;
	u64 tsc_aux;
	u32 debugctl;
	u16 fs, gs, ds, es;
	u16 selectors;
	bool syscall_loaded;
	bool tsc_aux_loaded;
};

/* MSRs that SYSCALL and RDTSCP use; they have no VMCS field. */
enum vmm_switched {
	VMM_SWITCHED_STAR,
	VMM_SWITCHED_LSTAR,
	VMM_SWITCHED_CSTAR,
	VMM_SWITCHED_FMASK,
	VMM_SWITCHED_TSC_AUX,
	VMM_SWITCHED_COUNT
};

/**
 * struct vmm_msr_state - the guest's MSRs
 * @table: the policy, sorted by index
 * @count: its length
 * @bitmap: the MSR bitmap the CPU uses
 * @kernel_gs_base: guest value while it is not in the CPU
 * @switched: guest values of enum vmm_switched
 */
struct vmm_msr_state {
	struct vmx_msr *table;
	unsigned int count;
	void *bitmap;
	u64 kernel_gs_base;
	u64 switched[VMM_SWITCHED_COUNT];
};

/**
 * struct vmm_views - the mmus that a vCPU may be on
 * @count: how many
 * @view: each once
 */
struct vmm_views {
	unsigned int count;
	struct gphys_view view[];
};

/**
 * struct vmm_tag - what CPUs know a guest's cached translations by, and which CPU may have some
 * @map_on: the CPU whose cached translations the generations in &vmm_vcpu.views speak of
 * @id_on: the CPU that may have used translations of @id since they were last
 *	invalidated there: @map_on, or -1
 * @id: the number by which CPUs tell guests apart (VPID), 0 if it has none
 */
struct vmm_tag {
	int map_on;
	int id_on;
	u16 id;
};

#define VMM_CPUID_SLOTS 32

/**
 * struct vmm_cpuid_state - the CPUID table
 * @table: entries, sorted by leaf and subleaf
 * @count: their number
 * @first: index + 1 in @table of the first entry of the leaves whose low 30
 *	bits are small, by the two high bits (basic, hypervisor, extended) and
 *	the low ones; 0 if there is none
 */
struct vmm_cpuid_state {
	struct vmx_cpuid_entry *table;
	unsigned int count;
	u8 first[4][VMM_CPUID_SLOTS];
};

/**
 * struct vmm_vcpu_ledger - a vCPU's page in the ledgers of debug builds
 * @id: its name; 0 until it has one
 * @move: how often it came to another CPU
 * @cpu: the CPU it was on last, plus 1
 * @inside: it is in the guest
 */
struct vmm_vcpu_ledger {
#ifdef CONFIG_VMX_DEBUG
	u64 id;
	u64 move;
	int cpu;
	bool inside;
#endif
};

/**
 * enum vmm_request - what others ask of a vCPU, to be looked at before the next VM entry
 * @VMM_REQUEST_KICK: to leave RUN; forgotten when RUN has been interrupted
 * @VMM_REQUEST_DEADLINE: to see whether its deadline has passed, and start the timer again if not
 */
enum vmm_request {
	VMM_REQUEST_KICK,
	VMM_REQUEST_DEADLINE,
};

/**
 * struct vmm_vcpu - what a descriptor from %VMX_CREATE_VCPU stands for
 * @vm: its VM, referenced
 * @vmcs: its VMCS, referenced; whoever has it busy has the vCPU
 * @mmu: the mmu its guest is on, as far as is known; one of @views
 * @views: the mmus that it may be on
 * @eptp_list: where its guest can go by VMFUNC, a page; NULL if nowhere
 * @ve: the area of virtualization exceptions; NULL until they are enabled
 * @pml: where the CPU writes down which pages the guest wrote; NULL if it cannot
 * @pml_on: it does
 * @pml_count: how much it wrote down that not all of @views have been told yet
 * @pml_told: how many of them have
 * @perf: MSRs that VM entry and VM exit exchange for the host's performance
 *	counters; NULL where there are none
 * @perf_count: how many
 * @link: in struct vmm_vm.vcpus
 * @page: the page of @run
 * @run: the run page
 * @running_on: the CPU that is between load and unload, or -1; what a kick
 *	looks at
 * @staying: which mmus its guest may be on: the address of the only one, or that
 *	of @vm plus 1 if there are several
 * @requests: what others ask of it: a bit for each enum vmm_request
 * @tag: of its guest's translations
 * @event: taken from the run page and not delivered yet
 * @given: the last event that an entry injected, with shadow paging, and the count of
 *	entries, RIP and RFLAGS.RF before it
 * @deadline: guest TSC of the deadline, 0 if there is none
 * @timer: ends a guest stay at @deadline where the CPU has no preemption timer
 * @exit: the last exit
 * @paging: the guest's control registers, with shadow paging; otherwise NULL
 * @miss: an EPT violation that was userspace's, and will be again
 * @cr2: guest CR2
 * @debug: guest DR0 to DR3
 * @dr6: guest DR6: always here, since MOV DR and #DB exit
 * @xcr0: guest XCR0
 * @fpu: guest FPU state while it is not in the CPU
 * @lent_fpu: where the kernel keeps it during a long RUN; @fpstate is NULL until
 *	there was one, and where the kernel does not
 * @fpu_long: this RUN is a long one
 * @rseq_waits: TIF_NOTIFY_RESUME was set, for rseq, and is to be set again
 * @fpu_prepared: @lent_fpu is allocated, or will not be
 * @host: host state to bring back
 * @msr: guest MSRs
 * @cpuid: guest CPUID
 * @count: what it did; size, flags, ipis and vcpus are unused
 * @ledger: for debug builds
 */
struct vmm_vcpu {
	struct vmm_vm *vm;
	struct vmx_vmcs *vmcs;
	struct gphys_mmu *mmu;
	struct vmm_views *views;
	u64 *eptp_list;
	struct page *ve;
	u64 *pml;
	bool pml_on;
	unsigned int pml_count;
	unsigned int pml_told;
	struct vmx_perf_areas *perf;
	unsigned int perf_count;
	struct list_head link;
	struct page *page;
	struct vmx_run_page *run;

	int running_on;
	unsigned long staying;
	unsigned long requests;
	struct vmm_tag tag;
	struct vmm_event event;
	struct {
		u32 info;
		u32 rf;
		u64 entries;
		u64 rip;
	} given;
	u64 deadline;
	struct hrtimer timer;

	struct vmm_exit exit;
	struct shadow_paging *paging;
	struct gphys_miss miss;
	unsigned long cr2;
	u64 debug[4];
	u64 dr6;
	u64 xcr0;
	void *fpu;
	struct fpu_guest lent_fpu;
	bool fpu_long;
	bool rseq_waits;
	bool fpu_prepared;

	struct vmm_host host;
	struct vmm_msr_state msr;
	struct vmm_cpuid_state cpuid;
	struct vmx_vm_stats count;
	struct vmm_vcpu_ledger ledger;
};

/* One instruction: the compiler likes to keep a counter in a register, to no use. */
static __always_inline void vmm_count(__u64 *counter)
{
	asm("incq %0" : "+m" (*counter) : : "cc");
}

static __always_inline void vmm_count_more(__u64 *counter, unsigned int n)
{
	asm("addq %1, %0" : "+m" (*counter) : "er" ((u64)n) : "cc");
}

static __always_inline void vmm_wrmsr(struct vmm_vcpu *v, u32 index, u64 value)
{
	vmm_count(&v->count.msr_writes);
	native_wrmsrl(index, value);
}

/*
 * A general register, by the SDM's number. Userspace may change it meanwhile:
 * what was judged is what has to be used.
 */
static __always_inline u64 vmm_reg(const struct vmm_vcpu *v, unsigned int n)
{
	return READ_ONCE(v->run->regs[n]);
}

/* See struct vmm_vcpu.staying */
static inline unsigned long vmm_staying_on_several(const struct vmm_vm *vm)
{
	return (unsigned long)vm | 1;
}

static inline struct vmm_vm *vmm_stays_on_several(unsigned long staying)
{
	return staying & 1 ? (struct vmm_vm *)(staying - 1) : NULL;
}

static inline bool vmm_canonical(u64 address)
{
	return __is_canonical_address(address,
				      boot_cpu_has(X86_FEATURE_LA57) ? 57 : 48);
}

/* core/vcpu.c */
DECLARE_PER_CPU(unsigned long, vmm_vcpu_staying);

void vmm_vcpu_start(void);
int vmm_vcpu_create(struct vmm_vm *vm, const struct vmx_create_vcpu *args);
void vmm_vcpu_kick_all(struct gphys_mmu *mmu);
void vmm_vcpu_add_counters(const struct vmm_vcpu *v, struct vmx_vm_stats *sum);

/* What comes after an exit. */
enum vmm_next {
	VMM_NEXT_ENTER,		/* finished: enter again */
	VMM_NEXT_USER,		/* userspace's */
	VMM_NEXT_IRQ,		/* finished once interrupts were open */
	VMM_NEXT_FAULT,		/* a fault to look at, or paging to change */
	VMM_NEXT_SPLIT_LOCK,	/* the host's to answer, who may sleep */
	VMM_NEXT_FAILED,	/* VM entry failed: userspace's, with the reason */
};

/* core/fpu.c */
int vmm_fpu_init(void);
void vmm_fpu_exit(void);
int vmm_fpu_alloc(struct vmm_vcpu *v);
void vmm_fpu_free(struct vmm_vcpu *v);
void vmm_fpu_prepare(struct vmm_vcpu *v);
bool vmm_fpu_begin(struct vmm_vcpu *v);
void vmm_fpu_end(struct vmm_vcpu *v);
void vmm_fpu_load_long(struct vmm_vcpu *v);
void vmm_fpu_unload_long(struct vmm_vcpu *v);
bool vmm_fpu_xcr0_valid(u64 xcr0);
u32 vmm_fpu_area_size(u64 xcr0, bool compacted);
long vmm_fpu_set(struct vmm_vcpu *v, void __user *arg);
long vmm_fpu_get(struct vmm_vcpu *v, void __user *arg);

/* core/msr.c */
void vmm_msr_init(void);
int vmm_msr_alloc(struct vmm_vcpu *v);
void vmm_msr_free(struct vmm_vcpu *v);
void vmm_msr_load_syscall(struct vmm_vcpu *v);
void vmm_msr_unload_syscall(struct vmm_vcpu *v);
void vmm_msr_load_tsc_aux(struct vmm_vcpu *v);
void vmm_msr_unload_tsc_aux(struct vmm_vcpu *v);
long vmm_msr_set(struct vmm_vcpu *v, void __user *arg);
long vmm_msr_get(struct vmm_vcpu *v, void __user *arg);

/* core/cpuid.c */
void vmm_cpuid_free(struct vmm_vcpu *v);
long vmm_cpuid_set(struct vmm_vcpu *v, void __user *arg);

#endif /* VMM_VCPU_H */
