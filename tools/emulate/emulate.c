// SPDX-License-Identifier: LGPL-2.1-or-later
/* Emulates the instruction of an exit and puts the outcome into the run page. */
#include <string.h>

#include "emulator.h"

/* Enough for a page of bytes; some thousand rounds take well under a millisecond. */
#define BURST 4096

#define STATE_NEEDED (VMX_STATE_RIP | VMX_STATE_RSP | VMX_STATE_RFLAGS | VMX_STATE_CR0 | \
		      VMX_STATE_CR3 | VMX_STATE_CR4 | VMX_STATE_EFER | VMX_STATE_CS | VMX_STATE_SS)

void vmx_emulator_init(struct vmx_emulator *emulator, const struct vmx_emulator_ops *ops,
		       void *machine, unsigned int phys_bits)
{
	*emulator = (struct vmx_emulator){
		.ops = ops,
		.machine = machine,
		.phys_bits = phys_bits,
		.burst = BURST,
	};
}

int vmx_em_raise_exception(struct emulation *em, uint8_t vector, uint32_t error)
{
	em->emulator->exception = (struct vmx_exception){ .vector = vector, .error = error };
	return VMX_EMULATE_INJECT;
}

int vmx_em_raise_page_fault(struct emulation *em, uint32_t error, uint64_t linear)
{
	vmx_em_raise_exception(em, VECTOR_PF, error);
	em->emulator->exception.cr2 = linear;
	return VMX_EMULATE_INJECT;
}

/* A CPU that cannot load EFER at entries runs guests with the host's, which has NXE. */
static int find_efer(struct emulation *em)
{
	struct vmx_run_page *run = em->run;
	uint64_t controls;
	int ret;

	em->paging.efer = run->efer;
	if (run->efer || !(run->cr0 & CR0_PG) || !(run->cr4 & CR4_PAE))
		return 0;
	ret = em->emulator->ops->field(em->emulator->machine, VMX_F_ENTRY_CONTROLS, &controls);
	if (ret)
		return ret;
	if (controls & VMX_ENTRY_CTL_IA32E_MODE_GUEST)
		em->paging.efer = EFER_LME | EFER_LMA | EFER_NXE;
	return 0;
}

static unsigned int code_width(const struct emulation *em)
{
	if (em->paging.efer & EFER_LMA && em->run->cs_access & VMX_ACCESS_L)
		return 64;
	return em->run->cs_access & VMX_ACCESS_DB ? 32 : 16;
}

static int begin(struct emulation *em, struct vmx_emulator *emulator, struct vmx_run_page *run)
{
	int ret;

	memset(em, 0, sizeof(*em));
	em->emulator = emulator;
	em->run = run;
	em->code = &vmx_em_nothing;
	em->rflags = run->rflags;
	memcpy(em->regs, run->regs, sizeof(em->regs));
	if (~run->valid & STATE_NEEDED)
		return vmx_fail(EINVAL, "the run page does not have the guest's state: "
				"call this after an exit");
	if (run->inject_info & VMX_INTR_VALID)
		return vmx_fail(EOPNOTSUPP, "cannot emulate at RIP %#llx: the access was part "
				"of the delivery of vector %u, not of an instruction",
				(unsigned long long)run->rip,
				run->inject_info & VMX_INTR_VECTOR_MASK);
	em->paging = (struct vmx_paging){
		.cr0 = run->cr0,
		.cr3 = run->cr3,
		.cr4 = run->cr4,
		.rflags = run->rflags,
		.phys_bits = emulator->phys_bits,
	};
	ret = find_efer(em);
	em->mode = code_width(em);
	em->user = (run->ss_access & VMX_ACCESS_DPL_MASK) == VMX_ACCESS_DPL_MASK;
	return ret;
}

static void set_rflags(struct vmx_run_page *run, uint64_t rflags)
{
	if (run->rflags == rflags)
		return;
	run->rflags = rflags;
	run->dirty |= VMX_STATE_RFLAGS;
}

static void keep_registers(const struct emulation *em)
{
	struct vmx_run_page *run = em->run;

	if (run->regs[VMX_RSP] != em->regs[VMX_RSP])
		run->dirty |= VMX_STATE_RSP;
	memcpy(run->regs, em->regs, sizeof(run->regs));
}

/* SDM, "VM-Entry Controls for Event Injection": in real mode exceptions have no error code. */
static void inject(struct emulation *em)
{
	const struct vmx_exception *exception = &em->emulator->exception;
	struct vmx_run_page *run = em->run;

	run->inject_info = VMX_INTR_VALID | VMX_INTR_TYPE_HARDWARE_EXCEPTION | exception->vector;
	run->inject_error = exception->error;
	if (vmx_has_error_code(exception->vector) && run->cr0 & CR0_PE)
		run->inject_info |= VMX_INTR_ERROR_CODE;
	/* Faults push RF set (SDM, "Instruction-Breakpoint Exception Condition"). */
	set_rflags(run, em->rflags | RFLAGS_RF);
}

static int finish(struct emulation *em, int ret)
{
	struct vmx_run_page *run = em->run;

	/* Another vCPU changed the tables. The guest tries again, and the CPU walks. */
	if (ret == -EAGAIN) {
		em->again = true;
		ret = 0;
	}
	if (ret < 0)
		return ret;
	/* The rounds of a string instruction before its fault are complete. */
	if (!ret || vmx_em_is_string(em) || vmx_em_is_string_io(em))
		keep_registers(em);
	if (ret) {
		inject(em);
	} else if (em->again) {
		set_rflags(run, em->rflags);
	} else {
		set_rflags(run, em->rflags & ~RFLAGS_RF);
		run->length = em->code->insn.length;
		run->retire = 1;
	}
	return ret;
}

int vmx_emulate(struct vmx_emulator *emulator, struct vmx_run_page *run)
{
	struct emulation em;
	int ret;

	ret = begin(&em, emulator, run);
	if (ret)
		return ret;
	ret = vmx_em_decode(&em);
	if (!ret)
		ret = vmx_em_execute(&em);
	return finish(&em, ret);
}

/* Is the instruction that was fetched what the exit is for? */
static bool is_what_exited(const struct emulation *em)
{
	static const struct {
		ZydisMnemonic mnemonic;
		unsigned int size;
		bool in;
	} all[] = {
		{ ZYDIS_MNEMONIC_INSB, 1, true }, { ZYDIS_MNEMONIC_OUTSB, 1, false },
		{ ZYDIS_MNEMONIC_INSW, 2, true }, { ZYDIS_MNEMONIC_OUTSW, 2, false },
		{ ZYDIS_MNEMONIC_INSD, 4, true }, { ZYDIS_MNEMONIC_OUTSD, 4, false },
	};
	const struct vmx_run_page *run = em->run;

	for (size_t n = 0; n < COUNT(all); n++)
		if (all[n].mnemonic == em->code->insn.mnemonic)
			return all[n].size == run->io_size &&
			       all[n].in == !!(run->io_flags & VMX_IO_IN);
	return false;
}

int vmx_emulate_io(struct vmx_emulator *emulator, struct vmx_run_page *run)
{
	struct emulation em;
	int ret;

	if (run->reason != VMX_REASON_IO || !(run->valid & VMX_VALID_IO) ||
	    !(run->io_flags & VMX_IO_STRING))
		return vmx_fail(EINVAL, "the exit is not for INS or OUTS");
	ret = begin(&em, emulator, run);
	if (ret)
		return ret;
	ret = vmx_em_decode(&em);
	if (!ret) {
		uint16_t port = run->io_port;

		if (is_what_exited(&em))
			ret = vmx_em_execute_string(&em, &port);
		else
			em.again = true;
	}
	return finish(&em, ret);
}
