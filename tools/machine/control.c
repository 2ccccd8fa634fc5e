// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * CR0, CR3, CR4 and EFER, as far as the guest does not own them.
 *
 * A guest that is not unrestricted cannot be without paging, but Linux 6.1 starts its other CPUs
 * from 64-bit mode through protected mode. Such a vCPU has CR0.PG, PAE paging and the tables of
 * parked CPUs instead, which map 4 GiB to themselves. Until the guest enables paging, its CR3, CR4
 * and EFER have the values that it wrote, while the CPU uses others.
 */
#include <errno.h>
#include <string.h>

#include "../lib/internal.h"
#include "../lib/x86.h"
#include "internal.h"

#define CR3_EXITING	(VMX_CPU_CR3_LOAD_EXITING | VMX_CPU_CR3_STORE_EXITING)
/* With PAE paging, to change one of these loads the PDPTEs, from where there are none. */
#define CR4_PAGING	(CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP)
#define PDPTES		4
#define PDPTE_PRESENT	1ull
/* Of a present one, without what lies above physical addresses. */
#define PDPTE_RESERVED	0x1e6ull
#define PAE_TABLE	0xffffffe0ull
#define ADDRESS		0xffffffffff000ull
#define CR3_PCID	0xfffull
/* With PCIDs: translations may stay. */
#define CR3_KEEP	(1ull << 63)
/* The rest of CR0 stays 0, whatever is written (SDM, "Control Registers"). */
#define CR0_BITS	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | \
			 CR0_NW | CR0_CD | CR0_PG)
#define TSS_TYPE	0xfull
#define TSS_16BIT_BUSY	3

static bool is_unrestricted(const struct vmx_cpu *cpu)
{
	return cpu->machine->vm.caps.features & VMX_HAS_UNRESTRICTED;
}

/* With shadow page tables EFER is the module's, even where the CPU has no field for it. */
static int set_long_mode(struct vmx_cpu *cpu, uint64_t efer)
{
	bool on = efer & EFER_LMA;
	int ret = vmx_field_change(cpu->vcpu.vmcs, VMX_F_ENTRY_CONTROLS,
				   VMX_ENTRY_CTL_IA32E_MODE_GUEST,
				   on ? VMX_ENTRY_CTL_IA32E_MODE_GUEST : 0);

	if (!cpu->machine->vm.shadow)
		return ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_EFER, efer);
	cpu->vcpu.run->efer = efer;
	cpu->vcpu.run->dirty |= VMX_STATE_EFER;
	return ret;
}

/* Paging on or off, which is LMA on or off if LME is set: the CPU would do this. */
static int switch_long_mode(struct vmx_cpu *cpu, const struct vmx_control_state *old, uint64_t cr0)
{
	if (!((old->cr0 ^ cr0) & CR0_PG) || !(old->efer & EFER_LME))
		return 0;
	return set_long_mode(cpu, cr0 & CR0_PG ? old->efer | EFER_LMA : old->efer & ~EFER_LMA);
}

/* What the guest has in its registers */

static uint64_t seen(uint64_t value, uint64_t mask, uint64_t shadow)
{
	return (value & ~mask) | (shadow & mask);
}

/* A CPU that cannot load EFER has the host's, with the mode that VM entry gives the guest. */
static int current_efer(const struct vmx_cpu *cpu, uint64_t *efer)
{
	int ret;

	*efer = cpu->unpaged ? cpu->efer : cpu->vcpu.run->efer;
	if (cpu->unpaged || cpu->machine->vm.shadow ||
	    cpu->machine->vm.caps.features & VMX_HAS_LOAD_EFER)
		return 0;
	ret = vmx_field_get(cpu->vcpu.vmcs, VMX_F_ENTRY_CONTROLS, efer);
	*efer = *efer & VMX_ENTRY_CTL_IA32E_MODE_GUEST ? EFER_LME | EFER_LMA | EFER_NXE : 0;
	return ret;
}

int vmx_cpu_get_control(struct vmx_cpu *cpu, struct vmx_control_state *state)
{
	enum { CR0_MASK, CR0_SHADOW, CR4_MASK, CR4_SHADOW, FIELDS };
	struct vmx_field fields[FIELDS] = {
		[CR0_MASK] = { .field = VMX_F_CR0_MASK },
		[CR0_SHADOW] = { .field = VMX_F_CR0_READ_SHADOW },
		[CR4_MASK] = { .field = VMX_F_CR4_MASK },
		[CR4_SHADOW] = { .field = VMX_F_CR4_READ_SHADOW },
	};
	const struct vmx_run_page *run = cpu->vcpu.run;
	int ret = vmx_fields_get(cpu->vcpu.vmcs, fields, FIELDS);

	state->cr0 = seen(run->cr0, fields[CR0_MASK].value, fields[CR0_SHADOW].value);
	state->cr4 = seen(run->cr4, fields[CR4_MASK].value, fields[CR4_SHADOW].value);
	state->cr3 = cpu->unpaged ? cpu->cr3 : run->cr3;
	return ret ?: current_efer(cpu, &state->efer);
}

/* PAE's four top entries, which the CPU takes from the VMCS (SDM, "PAE Paging"). */

static int set_pdptes(const struct vmx_cpu *cpu, const uint64_t *entries)
{
	struct vmx_field fields[PDPTES];

	for (unsigned int n = 0; n < PDPTES; n++)
		fields[n] = (struct vmx_field){
			.field = VMX_F_GUEST_PDPTE0 + 2 * n, .value = entries[n],
		};
	return vmx_fields_set(cpu->vcpu.vmcs, fields, PDPTES);
}

/*
 * The instruction loads them, and faults if one is bad. A table that is not in RAM is bad: reads of
 * what is not there give bits that are reserved.
 */
static bool read_pdptes(const struct vmx_cpu *cpu, uint64_t cr3, uint64_t *entries)
{
	const uint64_t high = UINT64_MAX << cpu->machine->vm.caps.phys_bits;
	const uint64_t *table = vmx_memory_at(&cpu->machine->memory, cr3 & PAE_TABLE, PDPTES * 8);

	for (unsigned int n = 0; table && n < PDPTES; n++) {
		entries[n] = __atomic_load_n(&table[n], __ATOMIC_RELAXED);
		if (entries[n] & PDPTE_PRESENT && entries[n] & (PDPTE_RESERVED | high))
			return false;
	}
	return table;
}

static bool is_pae(const struct vmx_control_state *state)
{
	return state->cr0 & CR0_PG && state->cr4 & CR4_PAE &&
	       !(state->efer & (EFER_LME | EFER_LMA));
}

/* The second level of the parked CPUs' tables is what PAE has as its first. */
static int use_parked_tables(struct vmx_cpu *cpu)
{
	uint64_t entries[PDPTES];
	const uint64_t *top, *second;
	struct vmx_start start;
	int ret = vmx_start_parked(&cpu->machine->memory, cpu->id, &start);

	if (ret)
		return ret;
	top = vmx_memory_at(&cpu->machine->memory, start.cr3, sizeof(*top));
	second = vmx_memory_at(&cpu->machine->memory, *top & ADDRESS, sizeof(entries));
	for (unsigned int n = 0; n < PDPTES; n++)
		entries[n] = second[n] & (ADDRESS | PDPTE_PRESENT);
	ret = set_pdptes(cpu, entries);
	return ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_CR3, *top & ADDRESS);
}

static int leave_paging(struct vmx_cpu *cpu)
{
	int ret, vmcs = cpu->vcpu.vmcs;
	uint64_t cr4;

	if (!vmx_machine_mailbox(cpu->machine))
		return vmx_fail(EOPNOTSUPP,
				"the guest cannot switch paging off: this VM has no unrestricted guest");
	ret = vmx_field_get(vmcs, VMX_F_GUEST_EFER, &cpu->efer);
	ret = ret ?: vmx_field_get(vmcs, VMX_F_GUEST_CR3, &cpu->cr3);
	ret = ret ?: vmx_field_get(vmcs, VMX_F_GUEST_CR4, &cr4);
	ret = ret ?: use_parked_tables(cpu);
	ret = ret ?: set_long_mode(cpu, cpu->efer & ~(EFER_LME | EFER_LMA));
	ret = ret ?: vmx_field_change(vmcs, VMX_F_CR4_READ_SHADOW, CR4_PAGING, cr4 & CR4_PAGING);
	ret = ret ?: vmx_field_change(vmcs, VMX_F_CR4_MASK, 0, CR4_PAGING);
	ret = ret ?: vmx_field_set(vmcs, VMX_F_GUEST_CR4, cr4 | CR4_PAE);
	ret = ret ?: vmx_field_change(vmcs, VMX_F_CPU_CONTROLS, 0, CR3_EXITING);
	cpu->efer &= ~EFER_LMA;
	cpu->unpaged = true;
	return ret;
}

static int enter_paging(struct vmx_cpu *cpu)
{
	bool wide = cpu->efer & EFER_LME;
	int ret, vmcs = cpu->vcpu.vmcs;
	uint64_t shadow;

	ret = vmx_field_get(vmcs, VMX_F_CR4_READ_SHADOW, &shadow);
	ret = ret ?: vmx_field_set(vmcs, VMX_F_GUEST_CR3, cpu->cr3);
	ret = ret ?: set_long_mode(cpu, cpu->efer | (wide ? EFER_LMA : 0));
	ret = ret ?: vmx_field_change(vmcs, VMX_F_GUEST_CR4, CR4_PAE, shadow & CR4_PAE);
	ret = ret ?: vmx_cpu_own_paging(cpu);
	return ret;
}

int vmx_cpu_own_paging(struct vmx_cpu *cpu)
{
	int ret;

	if (!cpu->unpaged)
		return 0;
	cpu->unpaged = false;
	ret = vmx_field_change(cpu->vcpu.vmcs, VMX_F_CR4_MASK, CR4_PAGING, 0);
	return ret ?: vmx_field_change(cpu->vcpu.vmcs, VMX_F_CPU_CONTROLS, CR3_EXITING, 0);
}

static int switch_paging(struct vmx_cpu *cpu, uint64_t value)
{
	bool unpaged = !(value & CR0_PG);

	if (unpaged == cpu->unpaged)
		return 0;
	return unpaged ? leave_paging(cpu) : enter_paging(cpu);
}

/* SDM, "MOV--Move to/from Control Registers" and "Initializing IA-32e Mode" */
static int cr0_valid(const struct vmx_cpu *cpu, const struct vmx_control_state *old, uint64_t value)
{
	const bool long_code = cpu->vcpu.run->cs_access & VMX_ACCESS_L;
	uint64_t tss;
	int ret;

	if ((value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
		return 0;
	if (!((old->cr0 ^ value) & CR0_PG))
		return 1;
	if (!(value & CR0_PG))
		return !(old->efer & EFER_LMA && long_code) && !(old->cr4 & CR4_PCIDE);
	if (!(old->efer & EFER_LME))
		return 1;
	ret = vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_TR_ACCESS, &tss);
	return ret ?: old->cr4 & CR4_PAE && !long_code && (tss & TSS_TYPE) != TSS_16BIT_BUSY;
}

/* Of what VM entry insists on, the bits that the guest may clear. */
static uint64_t free_bits(const struct vmx_cpu *cpu)
{
	if (is_unrestricted(cpu))
		return CR0_PE | CR0_PG;
	return cpu->machine->vm.shadow ? CR0_PG : 0;
}

static int put_cr0(struct vmx_cpu *cpu, const struct vmx_control_state *old, uint64_t value)
{
	const uint64_t need = cpu->machine->vm.caps.msr.cr0_fixed0 & ~free_bits(cpu);
	const uint64_t new = (value & ~(CR0_CD | CR0_NW)) | need;
	int ret;

	if (!(value & CR0_PE) && !is_unrestricted(cpu))
		return vmx_fail(EOPNOTSUPP,
				"the guest cannot enter real mode: this VM has no unrestricted guest");
	ret = free_bits(cpu) ? switch_long_mode(cpu, old, value) : switch_paging(cpu, value);
	ret = ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_CR0_READ_SHADOW, value);
	return ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_CR0, new);
}

int vmx_cpu_set_cr0(struct vmx_cpu *cpu, uint64_t value)
{
	struct vmx_control_state old, new;
	uint64_t entries[PDPTES];
	bool loads;
	int ret = vmx_cpu_get_control(cpu, &old);

	if (ret)
		return ret;
	if (value >> 32)
		return 0;
	new = old;
	new.cr0 = (value & CR0_BITS) | CR0_ET;
	loads = is_pae(&new) && (old.cr0 ^ new.cr0) & (CR0_PG | CR0_CD | CR0_NW);
	ret = cr0_valid(cpu, &old, new.cr0);
	if (ret > 0 && loads)
		ret = read_pdptes(cpu, new.cr3, entries);
	if (ret <= 0)
		return ret;
	ret = put_cr0(cpu, &old, new.cr0);
	if (!ret && loads && !cpu->machine->vm.shadow)
		ret = set_pdptes(cpu, entries);
	return ret ?: 1;
}

int vmx_cpu_set_cr3(struct vmx_cpu *cpu, uint64_t value)
{
	struct vmx_control_state state;
	uint64_t entries[PDPTES];
	int ret = vmx_cpu_get_control(cpu, &state);

	if (ret)
		return ret;
	if (state.cr4 & CR4_PCIDE)
		value &= ~CR3_KEEP;
	if (state.efer & EFER_LMA && value >> cpu->machine->vm.caps.phys_bits)
		return 0;
	if (cpu->unpaged) {
		cpu->cr3 = value;
		return 1;
	}
	if (is_pae(&state)) {
		if (!read_pdptes(cpu, value, entries))
			return 0;
		ret = cpu->machine->vm.shadow ? 0 : set_pdptes(cpu, entries);
	}
	return ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_CR3, value) ?: 1;
}

/* VMX is in no guest's CPUID. Of other bits the module knows which are reserved. */
static bool cr4_valid(const struct vmx_control_state *old, uint64_t value)
{
	const uint64_t change = old->cr4 ^ value;
	const bool wide = old->efer & EFER_LMA;

	if (value & CR4_VMXE || (wide && (!(value & CR4_PAE) || change & CR4_LA57)))
		return false;
	return !(change & value & CR4_PCIDE) || (wide && !(old->cr3 & CR3_PCID));
}

int vmx_cpu_set_cr4(struct vmx_cpu *cpu, uint64_t value)
{
	struct vmx_control_state old, new;
	uint64_t entries[PDPTES];
	bool loads;
	int ret = vmx_cpu_get_control(cpu, &old);

	if (ret)
		return ret;
	new = old;
	new.cr4 = value;
	loads = is_pae(&new) && (old.cr4 ^ value) & CR4_PAGING;
	if (!cr4_valid(&old, value) || (loads && !read_pdptes(cpu, new.cr3, entries)))
		return 0;
	ret = vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_CR4, value | (cpu->unpaged ? CR4_PAE : 0));
	if (ret == -EACCES)
		return 0;
	ret = ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_CR4_READ_SHADOW, value);
	if (!ret && loads && !cpu->machine->vm.shadow)
		ret = set_pdptes(cpu, entries);
	return ret ?: 1;
}

int vmx_cpu_get_efer(struct vmx_cpu *cpu, uint64_t *value)
{
	*value = cpu->efer;
	return cpu->unpaged ? 0 : vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_EFER, value);
}

/* SDM, "IA32_EFER": LMA is the CPU's, and LME may not change under paging. */
int vmx_cpu_set_efer(struct vmx_cpu *cpu, uint64_t value)
{
	uint64_t old;
	int ret;

	if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
		return 0;
	ret = vmx_cpu_get_efer(cpu, &old);
	value = (value & ~EFER_LMA) | (old & EFER_LMA);
	if (ret)
		return ret;
	if (cpu->unpaged) {
		cpu->efer = value;
		return 1;
	}
	if ((old ^ value) & EFER_LME)
		return 0;
	return vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_EFER, value) ?: 1;
}
