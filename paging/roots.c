// SPDX-License-Identifier: GPL-2.0
/*
 * The roots of a guest's shadow page tables, which the CPU's CR3 refers to, and the
 * guest's tables that its CR3 refers to. See the top of page.c.
 */
#include <linux/mm.h>

#include "internal.h"

static void use_root(struct shadow_paging *p, unsigned int n, struct shadow_page *sp)
{
	if (sp)
		sp->users++;
	if (p->root[n])
		p->root[n]->users--;
	p->root[n] = sp;
}

/* The table that a root is made from; false if there is none. */
static bool root_table(const struct shadow_paging *p, unsigned int n, u64 *gfn)
{
	u64 entry = p->mode.format == SHADOW_GUEST_PAE ? p->pdpte[n] : p->cr3;

	*gfn = (u64)n << 18;
	if (p->mode.format == SHADOW_GUEST_NONE)
		return true;
	*gfn = shadow_guest_table(&p->mode, entry) >> PAGE_SHIFT;
	return p->mode.format != SHADOW_GUEST_PAE || entry & SHADOW_PRESENT;
}

/**
 * paging_describe() - what is missing, as an EPT violation would say it
 * @v: the vCPU; its paging says what
 * @gva: linear address of the access
 * @flags: more bits of the qualification
 *
 * Context: with the mmu's lock.
 */
void paging_describe(struct vmm_vcpu *v, u64 gva, u64 flags)
{
	const struct shadow_paging *p = v->paging;
	u64 map = ept_find(&v->mmu->ept, p->miss, NULL) & EPT_RWX;
	struct vmm_exit *e = &v->exit;

	e->reason = VMX_REASON_EPT_VIOLATION;
	e->known = VMX_VALID_QUALIFICATION | VMX_VALID_LINEAR | VMX_VALID_PHYSICAL;
	e->linear = gva;
	e->physical = p->miss;
	e->qualification = p->miss_access | map << 3 | flags;
	if (p->miss_translated)
		e->qualification |= VMX_VIOLATION_TRANSLATED;
}

/**
 * paging_is_device() - is memory there that is a device's
 * @v: the vCPU
 * @gpa: guest-physical address
 *
 * Context: with the mmu's lock.
 * Return: true if it is. Tables in it are nowhere.
 */
bool paging_is_device(struct vmm_vcpu *v, u64 gpa)
{
	u64 entry = ept_find(&v->mmu->ept, gpa, NULL);

	return entry && !ept_is_ram(entry);
}

/*
 * Have a table that CR3 refers to: 0, -EAGAIN, or GPHYS_FAULT_EXIT if it is in no
 * RAM. The lock is given up meanwhile.
 */
static int get_table(struct vmm_vcpu *v, u64 gpa)
{
	struct shadow_paging *p = v->paging;
	struct gphys_miss miss;
	int r;

	if (shadow_memory(v->paging->shadow, gpa, false))
		return GPHYS_FAULT_DONE;
	spin_unlock(&v->mmu->lock);
	r = gphys_fault(v->mmu, gpa, VMX_MMU_READ, true, &miss);
	spin_lock(&v->mmu->lock);
	if (r == GPHYS_FAULT_EXIT || paging_is_device(v, gpa))
		return GPHYS_FAULT_EXIT;
	if (!r && shadow_memory(v->paging->shadow, gpa, false))
		return GPHYS_FAULT_DONE;
	p->miss = gpa;
	p->miss_access = VMX_MMU_READ;
	p->miss_translated = false;
	paging_describe(v, 0, 0);
	return -EAGAIN;
}

/* A root whose table is nowhere stays empty: each access is a miss. */
static int load_root(struct vmm_vcpu *v, unsigned int n)
{
	struct shadow_paging *p = v->paging;
	struct shadow_role role = p->role;
	struct shadow_page *sp;
	u64 gfn;
	int r;

	if (!root_table(p, n, &gfn)) {
		use_root(p, n, NULL);
		return 0;
	}
	if (p->mode.format != SHADOW_GUEST_NONE) {
		r = get_table(v, gfn << PAGE_SHIFT);
		if (r == GPHYS_FAULT_EXIT)
			use_root(p, n, NULL);
		if (r)
			return r == GPHYS_FAULT_EXIT ? 0 : r;
		if (!shadow_frames(v->paging->shadow, gfn)) {
			p->miss_frame = gfn;
			return -EAGAIN;
		}
	}
	if (p->mode.format == SHADOW_GUEST_32BIT)
		role.quadrant = n;
	sp = shadow_get(v->paging->shadow, gfn, role);
	if (!sp)
		return -EAGAIN;
	use_root(p, n, sp);
	return 0;
}

static int load_roots(struct vmm_vcpu *v)
{
	struct shadow_paging *p = v->paging;
	unsigned int n, count = p->mode.format == SHADOW_GUEST_LONG ? 1 : SHADOW_ROOTS;
	int r;

	for (n = 0; n < count; n++) {
		r = load_root(v, n);
		if (r)
			return r;
	}
	for (; n < SHADOW_ROOTS; n++)
		use_root(p, n, NULL);
	return 0;
}

/*
 * What tables said before is forgotten: bit by bit, since it may be very much. The guest
 * does not go on before it is done.
 */
static int catch_up(struct vmm_vcpu *v)
{
	struct shadow_paging *p = v->paging;

	if (p->reread) {
		p->reread_until = ++p->shadow->reread;
		p->reread = false;
	}
	if (p->reread_until && !shadow_reread(p->shadow, p->reread_until))
		return -EAGAIN;
	p->reread_until = 0;
	return shadow_sync(p->shadow, &p->sync_until, true) ? 0 : -EAGAIN;
}

/**
 * paging_root() - CR3 that the CPU has to have for the guest
 * @p: the guest's paging, with roots
 *
 * SDM, "PDPTE Registers"
 *
 * Return: the register.
 */
u64 paging_root(struct shadow_paging *p)
{
	unsigned int n;

	if (p->mode.format == SHADOW_GUEST_LONG && p->root[0])
		return __pa(p->root[0]->table);
	for (n = 0; n < SHADOW_ROOTS; n++)
		p->pae[n] = p->mode.format != SHADOW_GUEST_LONG && p->root[n] ?
			    __pa(p->root[n]->table) | SHADOW_PRESENT : 0;
	return __pa(p->pae);
}

/**
 * paging_switch() - go to another address space, if there is nothing else to it
 * @v: the vCPU, loaded; its guest is in IA-32e mode
 * @cr3: the new CR3, which may be set
 *
 * The guest's processes take turns, and their roots are there already. With interrupts
 * off nobody can be waited for: not for the lock, whose owner may be waiting for this
 * CPU, and not for others to flush. Nor are many tables looked at. The CPU's CR3 and its
 * translations are the caller's.
 *
 * Context: interrupts off.
 * Return: false if nothing was done.
 */
bool paging_switch(struct vmm_vcpu *v, u64 cr3)
{
	struct shadow_paging *p = v->paging;
	struct gphys_mmu *mmu = v->mmu;
	struct shadow_page *sp;
	bool done;

	if (!spin_trylock(&mmu->lock))
		return false;
	sp = shadow_lookup(p->shadow, shadow_guest_table(&p->mode, cr3) >> PAGE_SHIFT, p->role);
	done = sp && p->shadow->nr_watched <= SHADOW_WATCHED_FEW && !shadow_written(p->shadow);
	if (done)
		use_root(p, 0, sp);
	spin_unlock(&mmu->lock);
	if (!done)
		return false;
	p->cr3 = cr3;
	p->linked = 0;
	return true;
}

/* The four that CR3 refers to; 0, PAGING_GP, or -EAGAIN. */
static int read_pdptes(struct vmm_vcpu *v, u64 cr3, u64 *pdpte)
{
	u64 gpa = cr3 & GENMASK(31, 5);
	int r = get_table(v, gpa);
	const u64 *at;
	unsigned int n;

	if (r)
		return r == GPHYS_FAULT_EXIT ? PAGING_GP : r;
	at = shadow_memory(v->paging->shadow, gpa, false);
	for (n = 0; n < 4; n++) {
		pdpte[n] = READ_ONCE(at[n]);
		if (!shadow_guest_pdpte_valid(&v->paging->mode, pdpte[n]))
			return PAGING_GP;
	}
	return 0;
}

/**
 * paging_load_pdptes() - the guest's instruction loads the PDPTEs
 * @v: the vCPU, loaded
 * @cr3: where they are
 *
 * They are loaded with the register that is written, or neither is.
 *
 * Context: interrupts on, preemption off.
 * Return: 0, %PAGING_GP, or -EAGAIN.
 */
int paging_load_pdptes(struct vmm_vcpu *v, u64 cr3)
{
	u64 pdpte[4];
	int r;

	v->paging->miss = ~0ULL;
	v->paging->miss_frame = ~0ULL;
	spin_lock(&v->mmu->lock);
	r = read_pdptes(v, cr3, pdpte);
	spin_unlock(&v->mmu->lock);
	if (!r)
		memcpy(v->paging->pdpte, pdpte, sizeof(pdpte));
	return r;
}

static int load_locked(struct vmm_vcpu *v)
{
	struct shadow_paging *p = v->paging;
	int r;

	p->miss = ~0ULL;
	p->miss_frame = ~0ULL;
	p->linked = 0;
	if (p->reread && p->mode.format == SHADOW_GUEST_PAE) {
		r = read_pdptes(v, p->cr3, p->pdpte);
		if (r)
			return r;
	}
	return load_roots(v) ?: catch_up(v);
}

/**
 * paging_load() - have the right roots before the guest goes on
 * @v: the vCPU, loaded; its paging is to be reloaded
 *
 * The CPU's CR3 and its translations are the caller's.
 *
 * Context: interrupts on, preemption off.
 * Return: 0; %PAGING_GP: the PDPTEs are bad, which userspace chose; -EAGAIN: ask again after
 * paging_prepare().
 */
int paging_load(struct vmm_vcpu *v)
{
	int r;

	spin_lock(&v->mmu->lock);
	r = load_locked(v);
	spin_unlock(&v->mmu->lock);
	if (!r)
		v->paging->reload = false;
	return r;
}
