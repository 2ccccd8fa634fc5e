// SPDX-License-Identifier: GPL-2.0
/* Objects keep the objects that they were made from alive, and the last one takes all along. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/vm_fixture.h"

GUEST64(hlt_guest, "hlt");

#define REFCNT "/sys/module/vmx/refcnt"

/* What a VM consists of, as one list that can be closed in any order. */
enum { VM, VMCS, MMU, VCPU, PAGE, OBJECTS };

static void drop(struct vmx_vm *vm, struct vmx_vcpu *vcpu, int object)
{
	int *fds[] = { [VM] = &vm->fd, [VMCS] = &vcpu->vmcs, [MMU] = &vm->mmu, [VCPU] = &vcpu->fd };

	if (object == PAGE) {
		munmap(vcpu->run, sizeof(*vcpu->run));
		vcpu->run = NULL;
		return;
	}
	close(*fds[object]);
	*fds[object] = -1;
}

/* The next permutation in lexical order; false after the last. */
static bool permute(int *order)
{
	int i = OBJECTS - 2, j = OBJECTS - 1, swap;

	while (i >= 0 && order[i] > order[i + 1])
		i--;
	if (i < 0)
		return false;
	while (order[j] < order[i])
		j--;
	swap = order[i];
	order[i] = order[j];
	order[j] = swap;
	for (int a = i + 1, b = OBJECTS - 1; a < b; a++, b--) {
		swap = order[a];
		order[a] = order[b];
		order[b] = swap;
	}
	return true;
}

FIXTURE(order) {
	long long refs;
};

FIXTURE_VARIANT(order) {
	bool run;
};

FIXTURE_VARIANT_ADD(order, never_run) {
	.run = false,
};

FIXTURE_VARIANT_ADD(order, run) {
	.run = true,
};

FIXTURE_SETUP(order)
{
	self->refs = test_read_number(REFCNT);
}

FIXTURE_TEARDOWN(order)
{
}

TEST_F(order, every)
{
	int order[] = { VM, VMCS, MMU, VCPU, PAGE };
	struct vmx_vcpu vcpu;
	struct vmx_vm vm;

	do {
		ASSERT_VMX(vmx_vm_open(&vm, TEST_RAM));
		ASSERT_VMX(vmx_vcpu_open(&vcpu, &vm));
		if (variant->run) {
			ASSERT_VMX(test_start(&vcpu, VMX_MODE_LONG, hlt_guest));
			ASSERT_EXIT(&vcpu, VMX_REASON_HLT);
		}
		for (int n = 0; n < OBJECTS; n++)
			drop(&vm, &vcpu, order[n]);
		vmx_vcpu_close(&vcpu);
		vmx_vm_close(&vm);
		ASSERT_EQ(self->refs, test_read_number(REFCNT)) {
			TH_LOG("order %d %d %d %d %d", order[0], order[1], order[2], order[3],
			       order[4]);
		}
	} while (permute(order));
}

/* A vCPU needs no descriptor but its own. */
TEST_F(vm, vcpu_alone_runs)
{
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	drop(&self->vm, &self->vcpu, VM);
	drop(&self->vm, &self->vcpu, MMU);
	drop(&self->vm, &self->vcpu, VMCS);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* The vCPU's end frees the VMCS for another one, which finds the fields as they were. */
TEST_F(vm, vmcs_outlives_vcpu)
{
	struct vmx_create_vcpu create = { .size = sizeof(create) };
	uint64_t rip;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
	create.vmcs_fd = self->vcpu.vmcs;
	create.mmu_fd = self->vm.mmu;
	ASSERT_ERRNO(EBUSY, ioctl(self->vm.fd, VMX_CREATE_VCPU, &create));

	drop(&self->vm, &self->vcpu, PAGE);
	drop(&self->vm, &self->vcpu, VCPU);
	ASSERT_VMX(vmx_field_get(self->vcpu.vmcs, VMX_F_GUEST_RIP, &rip));
	EXPECT_EQ(TEST_CODE, rip);
	self->vcpu.fd = ioctl(self->vm.fd, VMX_CREATE_VCPU, &create);
	ASSERT_LE(0, self->vcpu.fd);
	self->vcpu.run = mmap(NULL, sizeof(*self->run), PROT_READ | PROT_WRITE, MAP_SHARED,
			      self->vcpu.fd, 0);
	ASSERT_NE(MAP_FAILED, self->vcpu.run);
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* What vCPUs counted stays counted when they are gone. */
TEST_F(vm, counters_outlive_vcpu)
{
	struct vmx_vm_stats before = { .size = sizeof(before) }, after = { .size = sizeof(after) };

	for (uint32_t vcpus = 1; vcpus < 4; vcpus++) {
		ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
		ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
		ASSERT_EQ(0, ioctl(self->vm.fd, VMX_VM_STATS, &before));
		EXPECT_EQ(1, before.vcpus);
		EXPECT_EQ(vcpus, before.runs);
		EXPECT_EQ(vcpus, before.user_exits);
		EXPECT_EQ(vcpus, before.exits[VMX_REASON_HLT]);
		EXPECT_LE(vcpus, before.entries);
		EXPECT_LT(0, before.vmreads);
		EXPECT_LT(0, before.vmwrites);
		vmx_vcpu_close(&self->vcpu);
		ASSERT_EQ(0, ioctl(self->vm.fd, VMX_VM_STATS, &after));
		EXPECT_EQ(0, after.vcpus);
		/* To free it takes some of these. */
		EXPECT_LE(before.vmreads, after.vmreads);
		EXPECT_LE(before.vmwrites, after.vmwrites);
		EXPECT_LE(before.invalidations, after.invalidations);
		EXPECT_LE(before.ipis, after.ipis);
		EXPECT_LE(before.msr_writes, after.msr_writes);
		EXPECT_EQ(before.runs, after.runs);
		EXPECT_EQ(before.entries, after.entries);
		EXPECT_EQ(before.user_exits, after.user_exits);
		EXPECT_EQ(before.faults, after.faults);
		EXPECT_EQ(before.injections, after.injections);
		EXPECT_EQ(before.fpu_swaps, after.fpu_swaps);
		EXPECT_EQ(0, memcmp(before.exits, after.exits, sizeof(before.exits)));
		ASSERT_VMX(vmx_vcpu_open(&self->vcpu, &self->vm));
	}
}

TEST_F(vm, run_page_outlives_vcpu)
{
	self->run->rip = 0x1234;
	drop(&self->vm, &self->vcpu, VCPU);
	drop(&self->vm, &self->vcpu, VMCS);
	drop(&self->vm, &self->vcpu, VM);
	EXPECT_EQ(0x1234, self->run->rip);
	self->run->rip = 0x5678;
}

TEST_F(vm, module_stays_while_in_use)
{
	EXPECT_LT(0, test_read_number(REFCNT));
	EXPECT_ERRNO(EAGAIN, syscall(SYS_delete_module, "vmx", O_NONBLOCK));
	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* A vCPU descriptor alone holds the module. */
TEST_F(vm, module_stays_for_the_last_descriptor)
{
	drop(&self->vm, &self->vcpu, PAGE);
	drop(&self->vm, &self->vcpu, VM);
	drop(&self->vm, &self->vcpu, MMU);
	drop(&self->vm, &self->vcpu, VMCS);
	close(self->vm.dev);
	self->vm.dev = -1;
	EXPECT_LT(0, test_read_number(REFCNT));
	EXPECT_ERRNO(EAGAIN, syscall(SYS_delete_module, "vmx", O_NONBLOCK));
}

/* A child has the descriptors, not the address space that they belong to. */
TEST_F(vm, forked_child_may_only_look)
{
	struct vmx_field field = { .field = VMX_F_GUEST_RIP };
	struct vmx_create create = { .size = sizeof(create) };
	struct vmx_vm_stats stats;
	struct vmx_failure failure;
	int status;
	pid_t child;

	ASSERT_VMX(test_start(&self->vcpu, VMX_MODE_LONG, hlt_guest));
	child = fork();
	if (!child) {
		if (vmx_run(&self->vcpu) != -EPERM)
			_exit(1);
		if (vmx_fields_get(self->vcpu.vmcs, &field, 1) != -EPERM)
			_exit(2);
		if (vmx_fields_set(self->vcpu.vmcs, &field, 1) != -EPERM)
			_exit(3);
		if (vmx_vmcs_check(self->vcpu.vmcs, &failure) != -EPERM)
			_exit(4);
		if (ioctl(self->vm.fd, VMX_CREATE_VMCS, &create) != -1 || errno != EPERM)
			_exit(5);
		if (ioctl(self->vm.fd, VMX_CREATE_EPT, &create) != -1 || errno != EPERM)
			_exit(6);
		if (vmx_vm_map(&self->vm, TEST_MMIO, self->vm.ram, 4096, VMX_MMU_READ) != -EPERM)
			_exit(7);
		if (ioctl(self->vcpu.fd, VMX_KICK) != -1 || errno != EPERM)
			_exit(8);
		if (vmx_vm_stats(&self->vm, &stats))
			_exit(9);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	/* And the parent has lost nothing by it. */
	ASSERT_EXIT(&self->vcpu, VMX_REASON_HLT);
}

/* The parent goes, the child keeps the descriptors: they are closed by the child alone. */
TEST_F(vm, child_closes_last)
{
	long long refs = test_read_number(REFCNT);
	int gate[2], status;
	pid_t owner;
	char byte;

	ASSERT_EQ(0, pipe(gate));
	owner = fork();
	if (!owner) {
		struct vmx_vcpu vcpu;
		struct vmx_vm vm;

		if (vmx_vm_open(&vm, TEST_RAM) || vmx_vcpu_open(&vcpu, &vm) ||
		    test_start(&vcpu, VMX_MODE_LONG, hlt_guest) || vmx_run(&vcpu))
			_exit(1);
		if (!fork()) {
			/* Until the test closes its end: the owner has died by then. */
			close(gate[1]);
			_exit(read(gate[0], &byte, 1) != 0);
		}
		_exit(0);
	}
	ASSERT_EQ(owner, waitpid(owner, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_LT(refs, test_read_number(REFCNT));
	close(gate[1]);
	close(gate[0]);
	while (test_read_number(REFCNT) > refs)
		sched_yield();
}

/* Killed in guest mode, by a signal that cannot be caught. */
TEST_F(vm, killed_in_guest_mode)
{
	long long refs = test_read_number(REFCNT);
	volatile uint64_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, shared);
	for (int n = 0; n < 20; n++) {
		int status;
		pid_t child;

		*shared = 0;
		child = fork();
		if (!child) {
			struct test_spinner spinner;
			struct vmx_vcpu vcpu;
			struct vmx_vm vm;

			if (vmx_vm_open(&vm, TEST_RAM) || vmx_vcpu_open(&vcpu, &vm) ||
			    test_spin(&spinner, &vcpu, -1))
				_exit(1);
			*shared = 1;
			pthread_join(spinner.thread, NULL);
			_exit(2);
		}
		while (!*shared && !waitpid(child, &status, WNOHANG))
			sched_yield();
		ASSERT_EQ(1, *shared);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		/* Descriptors of a dead process are closed a little later, by task work. */
		while (test_read_number(REFCNT) > refs)
			sched_yield();
	}
}

/* exec: the new program has neither the descriptors nor the run page. */
TEST_F(vm, exec_closes_everything)
{
	long long refs = test_read_number(REFCNT);
	pid_t child = fork();
	int status;

	if (!child) {
		struct vmx_vcpu vcpu;
		struct vmx_vm vm;

		if (vmx_vm_open(&vm, TEST_RAM) || vmx_vcpu_open(&vcpu, &vm))
			_exit(1);
		execlp("true", "true", NULL);
		_exit(3);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(refs, test_read_number(REFCNT));
}

VMX_TEST_MAIN
