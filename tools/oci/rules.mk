# SPDX-License-Identifier: GPL-2.0
#
# vmxoci, and what is in its containers' machines: included by tools/Makefile.

oci := $(top)/tools/oci
oci_headers := $(wildcard $(oci)/*.h)
oci_command := vmxoci words json state outer guest find create exec events features
oci_monitor := monitor client relay frame
oci_agent := agent session launch frame
oci_stand_in := $(OUT)/oci/stand-in

$(OUT)/vmxoci: $(oci_command:%=$(oci)/%.c) $(oci_headers)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^) -ljson-c

$(OUT)/oci/agent: $(oci_agent:%=$(oci)/%.c) $(oci_headers)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -static $(LDFLAGS) -o $@ $(filter %.c,$^)

# In place of a machine, for tests.
$(oci_stand_in)/monitor: $(oci_monitor:%=$(oci)/%.c) $(oci)/stand_in.c $(oci_headers)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -static $(LDFLAGS) -o $@ $(filter %.c,$^)

$(oci_stand_in)/outer.json: $(oci)/stand_in.json
	@mkdir -p $(@D)
	cp $< $@

$(oci_stand_in)/root: $(OUT)/oci/agent $(oci)/make-root
	@mkdir -p $(@D)
	$(oci)/make-root $< $@

oci: $(OUT)/vmxoci $(oci_stand_in)/monitor $(oci_stand_in)/outer.json $(oci_stand_in)/root

# Everything but the machine. Prints TAP.
check-oci: oci
	@/usr/bin/python3 $(oci)/tests/oci_test.py $(OUT)/vmxoci --machine $(oci_stand_in)

.PHONY: oci check-oci
