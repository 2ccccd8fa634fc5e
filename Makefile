# SPDX-License-Identifier: GPL-2.0
#
# The commands for people; `make help` explains them. Kbuild lists the module's objects.

runner := selftests/runner
run := $(runner)/run.py

# Settings reach the runner through the environment, whether they come from there or from make's command line.
export T PROGRAM FILES LIMIT ONLY CPU CPUS KERNEL KDIR MACHINE SEED SMP SHARD LEAKS BOCHS JOBS VERBOSE VMX_DEBUG AREA COUNT SINCE AGAIN V W C CF CC LLVM KCFLAGS
# As they were typed: make would expand what follows a $.
override PROGRAM := $(value PROGRAM)
override FILES := $(value FILES)
# make's own default is not the user's choice.
ifeq ($(origin CC),default)
unexport CC
endif

# Each installs what it needs, and no more.
all:
	@$(runner)/deps all
	@$(run) build

help:
	@sed -n 's/^# *| \?//p' Makefile

# | Commands:
# |   make            build vmx.ko and the tools
# |   make deps       list the Debian packages that any of these lacks, then install them (root or
# |                   sudo); each command by itself installs what it needs
# |   make demo       set everything up, boot the emulated machine, run guests in it
# |   make check      set everything up, run static gates and every test; results in build/results. 30 minutes
# |                   on two cores, 15 more the first time
# |   make test       T=NAME: one selftest (globs and lists work) on one CPU model and kernel
# |   make bench      this module beside KVM on the same emulated machine; writes build/bench.tsv.
# |                   T=growth: how costs grow with guest memory and vCPUs; T=shadow: Linux with
# |                   shadow page tables, among more and more processes
# |   make controls   break the module on purpose, one mistake at a time: do the tests notice?
# |   make mutants    make COUNT=20 mistakes by rule in each AREA= of the module: which do the tests notice?
# |                   SINCE=COMMIT: only in lines that changed since. AGAIN=1: those that nobody noticed last time
# |   make run        PROGRAM='./mine ARGS' FILES='data ...': a program of your own in the emulated machine
# |   make shell      a prompt in the emulated machine, module loaded, tools on PATH; FILES= as for run
# |   make kunit      the KUnit suites inside a kernel tree, through its kunit.py
# |   make list       list CPU models, kernels and tests
# |   make docs       the manual as HTML, in build/docs
# |   make install    libvmx, vmxrun, manual pages; the module's sources for DKMS; /dev/vmx for group vmx
# |   make uninstall  remove what make install installed, with the same settings
# |   make deb        Debian packages of the installed files, in build/deb
# |   make clean      remove build/; kernels in the cache stay
# |   make distclean  remove the cache as well
# |
# | Settings:
# |   KDIR=PATH       for make: headers or tree of the kernel to build vmx.ko for; now the running one
# |   KERNEL=fast     or debug, race, mitigations, debian-6.1, debian-6.12, a built tree's path; for
# |                   check also all
# |   CPU=haswell     CPU model; `make list` shows all and their features. CPUS=a,b or all for check
# |   ONLY=GATE       for check: one static gate
# |   SMP=2           CPUs of the machine
# |   VMX_DEBUG=1     the module's ledgers also on kernels that are not for debugging
# |   SEED=N          random numbers of the tests
# |   MACHINE=auto    or bochs (emulated), kvm (needs nested VMX), host (loads the module into this kernel)
# |   LEAKS=1         kmemleak too, on KERNEL=debug; the boot takes twice as long
# |   BOCHS=3         Bochs 3 from a newer Debian: twice as fast, and it emulates more; check has it
# |   SHARD=1/4       the first of four parts of check
# |   AREA=shadow     for mutants: areas, as selftests/mutants.toml names them; now all
# |   VERBOSE=1       kernel messages of the machine's boot too
# |   JOBS=N          compilers at a time; now as many as there are cores
# |   PREFIX=/usr     for install: the folder; now /usr/local. LIBDIR=DIR: for libraries; now PREFIX/lib
# |   DESTDIR=DIR     for install: a folder that stands for /, for packages
# |   ASSUME_YES=1    install packages without a question
# |   VMX_CACHE=DIR   the folder for kernels; now ${XDG_CACHE_HOME:-~/.cache}/vmx

deps:
	@$(runner)/deps

test demo run check bench controls mutants shell kunit:
	@$(runner)/deps $@
	@$(run) $@

list:
	@$(runner)/deps $@
	@cat $(runner)/machines/cpus
	@$(run) list

docs:
	@$(runner)/deps $@
	@$(MAKE) --no-print-directory -C Documentation

install uninstall deb:
	@$(MAKE) --no-print-directory -C packaging $@

clean:
	rm -rf build

distclean: clean
	rm -rf "$${VMX_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/vmx}"

.PHONY: all help deps test demo run check bench controls mutants shell kunit list docs install uninstall deb clean distclean
