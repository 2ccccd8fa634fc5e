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
#define ADDRESS		0xffffffffff000ull

static bool is_unrestricted(const struct vmx_cpu *cpu)
{
	return cpu->machine->vm.caps.features & VMX_HAS_UNRESTRICTED;
}

static int set_long_mode(struct vmx_cpu *cpu, uint64_t efer)
{
	bool on = efer & EFER_LMA;
	int ret = vmx_field_change(cpu->vcpu.vmcs, VMX_F_ENTRY_CONTROLS,
				   VMX_ENTRY_CTL_IA32E_MODE_GUEST,
				   on ? VMX_ENTRY_CTL_IA32E_MODE_GUEST : 0);

	return ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_EFER, efer);
}

/* Paging on or off together with a bit that the guest does not own: the CPU would do this. */
static int switch_long_mode(struct vmx_cpu *cpu, uint64_t old, uint64_t new)
{
	uint64_t efer;
	int ret;

	if (!((old ^ new) & CR0_PG))
		return 0;
	ret = vmx_field_get(cpu->vcpu.vmcs, VMX_F_GUEST_EFER, &efer);
	if (ret || !(efer & EFER_LME))
		return ret;
	return set_long_mode(cpu, new & CR0_PG ? efer | EFER_LMA : efer & ~EFER_LMA);
}

/* PAE's four top entries, which the CPU takes from the VMCS (SDM, "PAE Paging"). */
static int set_pdptes(struct vmx_cpu *cpu, uint64_t table, uint64_t keep)
{
	const uint64_t *entries = vmx_memory_at(&cpu->machine->memory, table, PDPTES * 8);
	struct vmx_field fields[PDPTES];

	if (!entries)
		return vmx_fail(EOPNOTSUPP, "the guest's page tables at %#llx are not in its RAM",
				(unsigned long long)table);
	for (unsigned int n = 0; n < PDPTES; n++)
		fields[n] = (struct vmx_field){
			.field = VMX_F_GUEST_PDPTE0 + 2 * n, .value = entries[n] & keep,
		};
	return vmx_fields_set(cpu->vcpu.vmcs, fields, PDPTES);
}

/* The second level of the parked CPUs' tables is what PAE has as its first. */
static int use_parked_tables(struct vmx_cpu *cpu)
{
	const uint64_t *top;
	struct vmx_start start;
	int ret = vmx_start_parked(&cpu->machine->memory, cpu->id, &start);

	if (ret)
		return ret;
	top = vmx_memory_at(&cpu->machine->memory, start.cr3, sizeof(*top));
	ret = set_pdptes(cpu, *top & ADDRESS, ADDRESS | PDPTE_PRESENT);
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
	if (!ret && !wide && shadow & CR4_PAE)
		ret = set_pdptes(cpu, cpu->cr3 & 0xffffffe0, UINT64_MAX);
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

static int refuse_real_mode(void)
{
	return vmx_fail(EOPNOTSUPP,
			"the guest cannot enter real mode: this VM has no unrestricted guest");
}

static int switch_paging(struct vmx_cpu *cpu, uint64_t value)
{
	bool unpaged = !(value & CR0_PG);

	if (!(value & CR0_PE))
		return refuse_real_mode();
	if (unpaged == cpu->unpaged)
		return 0;
	return unpaged ? leave_paging(cpu) : enter_paging(cpu);
}

int vmx_cpu_set_cr0(struct vmx_cpu *cpu, uint64_t value)
{
	uint64_t need = cpu->machine->vm.caps.msr.cr0_fixed0;
	uint64_t new;
	int ret;

	if (is_unrestricted(cpu))
		need &= ~(CR0_PE | CR0_PG);
	new = (value & ~(CR0_CD | CR0_NW)) | need;
	ret = is_unrestricted(cpu) ? switch_long_mode(cpu, cpu->vcpu.run->cr0, new) :
				     switch_paging(cpu, value);
	ret = ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_CR0_READ_SHADOW, value);
	ret = ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_CR0, new);
	return ret ?: 1;
}

int vmx_cpu_show_cr0(struct vmx_cpu *cpu, uint64_t value)
{
	if (!(value & CR0_PE))
		return refuse_real_mode();
	return vmx_field_set(cpu->vcpu.vmcs, VMX_F_CR0_READ_SHADOW, value);
}

int vmx_cpu_set_cr4(struct vmx_cpu *cpu, uint64_t value)
{
	int ret = vmx_field_set(cpu->vcpu.vmcs, VMX_F_GUEST_CR4,
				value | (cpu->unpaged ? CR4_PAE : 0));

	if (ret == -EACCES)
		return 0;
	ret = ret ?: vmx_field_set(cpu->vcpu.vmcs, VMX_F_CR4_READ_SHADOW, value);
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
