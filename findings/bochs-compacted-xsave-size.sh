#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Bochs 2.7 (Debian 12, bochs 2.7+dfsg-4+deb12u1), CPUID leaf 0DH of its models with XSAVEC.
#
# Expected: subleaf 1 has in EBX the size of an XSAVE area in the compacted format for what XCR0 and
# IA32_XSS enable (SDM, "CPUID - CPU Identification", leaf 0DH). That is 576 bytes and, without alignment,
# the sizes of the components that subleaves 2 and up name. A component that subleaf 0 offers has a size.
# Seen: subleaf 1 has the size of the standard format, with its gaps. Ice Lake and Tiger Lake besides
# offer component 9 (PKRU), whose subleaf is zero.
#
# So Linux 6.12 finds three contradictions at boot, warns, and goes back to FXSAVE. It has set
# X86_FEATURE_XCOMPACTED by then, which stays set.
#
# This script needs Debian 12 on amd64 with apt-get, gcc and binutils. It installs nothing outside its
# temporary folder.
set -euo pipefail

version=2.7+dfsg-4+deb12u1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# Bochs with all that it links to, unpacked here.
mapfile -t names < <(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
	--no-replaces --no-enhances bochs bochsbios vgabios | grep '^[a-z0-9]' | grep -v ':' | sort -u)
mkdir packages
wanted=()
for name in "${names[@]}"; do
	case $name in
	bochs | bochsbios) wanted+=("$name=$version") ;;
	bochs-wx | bochs-term | bochs-sdl | bochs-x | bochs-svga | debconf* | libc6 | libgcc-s1 | libcrypt1) ;;
	*) apt-cache show "$name" >/dev/null 2>&1 && wanted+=("$name") ;;
	esac
done
(cd packages && apt-get -qq -o APT::Sandbox::User=root download "${wanted[@]}")
for package in packages/*.deb; do
	dpkg -x "$package" root
done

# A boot sector that turns on all of XCR0 that the CPU offers, and writes subleaves 0 to 19 to COM1.
cat >sector.S <<'END'
	.code16
	cli
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $0x7c00, %sp
	mov $0x3fb, %dx
	mov $3, %al		# COM1 has 8 bits a character
	out %al, %dx
	mov %cr4, %eax
	or $0x40000, %eax
	mov %eax, %cr4
	mov $0xd, %eax
	xor %ecx, %ecx
	cpuid
	xor %ecx, %ecx
	xsetbv
	xor %edi, %edi
leaf:	mov $0xd, %eax
	mov %edi, %ecx
	cpuid
	push %ecx
	push %ebx
	push %eax
	mov %edi, %eax
	call hex
	pop %eax
	call hex
	pop %eax
	call hex
	pop %eax
	call hex
	mov $'\n', %al
	call put
	inc %edi
	cmp $20, %edi
	jb leaf
	mov $0x8900, %dx
	mov $word, %si
off:	lodsb
	out %al, %dx
	jmp off
hex:	mov $8, %cx
digit:	rol $4, %eax
	push %eax
	and $15, %al
	add $'0', %al
	cmp $'9', %al
	jbe 1f
	add $39, %al
1:	call put
	pop %eax
	loop digit
	mov $' ', %al
put:	mov %al, %bl
	mov $0x3fd, %dx
2:	in %dx, %al
	test $0x20, %al
	jz 2b
	mov %bl, %al
	mov $0x3f8, %dx
	out %al, %dx
	ret
word:	.asciz "Shutdown"
	.org 510
	.word 0xaa55
END
gcc -m32 -c sector.S -o sector.o
ld -m elf_i386 -e 0 -Ttext 0x7c00 --oformat binary sector.o -o disk
truncate -s 10321920 disk
echo c >commands

lib=$folder/root/usr/lib/x86_64-linux-gnu
export BXSHARE=$folder/root/usr/share/bochs LTDL_LIBRARY_PATH=$lib/bochs/plugins
export LD_LIBRARY_PATH=$lib:$folder/root/lib/x86_64-linux-gnu

# The table of a model: subleaf, EAX, EBX, ECX.
leaf_0dh()
{
	cat >configuration <<END
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file=$BXSHARE/BIOS-bochs-latest
vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest
cpu: model=$1, count=1, ips=50000000
memory: guest=32, host=32
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=disk, mode=flat, cylinders=20, heads=16, spt=63
boot: disk
sound: waveoutdrv=dummy, waveout=none, waveindrv=dummy, wavein=none, midioutdrv=dummy, midiout=none
com1: enabled=1, mode=file, dev=table
panic: action=fatal
log: log
END
	timeout 120 root/usr/bin/bochs-bin -q -f configuration -rc commands >output 2>&1 </dev/null || true
	cat table
}

# What the size of the compacted format has to be, and what is offered without a size.
judge()
{
	local subleaf eax ebx ecx offered=0 said=0 sum=576 without=
	while read -r subleaf eax ebx ecx; do
		[ "$subleaf" != 00000000 ] || offered=$((0x$eax))
		[ "$subleaf" != 00000001 ] || said=$((0x$ebx))
		((0x$subleaf > 1 && (offered >> 0x$subleaf & 1))) || continue
		sum=$((sum + 0x$eax))
		((0x$eax)) || without+=" $((0x$subleaf))"
	done
	echo "compacted format: $said said, $sum by its components; components without a size:${without:- none}"
}

wrong=0
expect()
{
	local seen
	seen=$(leaf_0dh "$1" | judge)
	echo "$1: $seen"
	[ "$seen" = "$2" ] || { echo "  other than on record: $2"; wrong=1; }
}
expect corei7_skylake_x "compacted format: 2688 said, 2432 by its components; components without a size: none"
expect corei7_icelake_u "compacted format: 2752 said, 2432 by its components; components without a size: 9"
expect tigerlake "compacted format: 2752 said, 2432 by its components; components without a size: 9"
exit $wrong
