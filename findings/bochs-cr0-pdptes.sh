#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Bochs 2.7 (Debian 12, bochs 2.7+dfsg-4+deb12u1), MOV to CR0 with PAE paging.
#
# Expected: MOV to CR0 loads the four page-directory-pointer-table entries, and judges them, if it changes CR0.CD,
# CR0.NW or CR0.PG (SDM, "PDPTE Registers"). An entry that software changed in memory before has no effect until then:
# to set CR0.WP, CR0.TS or CR0.MP raises nothing, and to set CR0.CD raises #GP if the entry has a reserved bit set.
# Seen: MOV to CR0 loads and judges the entries whichever bit it changes, and raises #GP for each of them.
#
# So a hypervisor that is tested there may load PDPTEs too often, or compare itself with a CPU that does.
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

# A boot sector that turns on PAE paging, sets a reserved bit in an entry that it does not use, and then changes
# one bit of CR0 after the other. It writes a letter to COM1 for each, and ! for each #GP.
cat >sector.S <<'END'
	.code16
	cli
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov $0x3fb, %dx
	mov $3, %al		# COM1 has 8 bits a character
	out %al, %dx
	mov $0x1000, %di	# a table of pointers at 0x1000, a directory at 0x2000, an IDT at 0x3000
	mov $0x1800, %cx
	xor %ax, %ax
	rep stosw
	movl $0x2001, 0x1000
	movl $0x83, 0x2000	# 2 MiB, to itself
	movw $fault, 0x3000 + 13 * 8
	movw $8, 0x3002 + 13 * 8
	movw $0x8e00, 0x3004 + 13 * 8
	lgdtl gdt
	lidtl idt
	mov %cr4, %eax
	or $0x20, %al
	mov %eax, %cr4
	mov $0x1000, %eax
	mov %eax, %cr3
	mov $0x80000001, %eax
	mov %eax, %cr0
	ljmpl $8, $paged
	.code32
paged:	mov $16, %eax
	mov %eax, %ds
	mov %eax, %ss
	mov $0x7000, %esp
	movl $3, 0x1018		# present, and bit 1, which is reserved
	mov $bits, %esi
next:	lodsb
	test %al, %al
	jz done
	call put
	lodsl
	mov %cr0, %ebx
	xor %ebx, %eax
	mov %eax, %cr0
	jmp next
done:	mov $'\n', %al
	call put
1:	in %dx, %al		# until it has sent all
	test $0x40, %al
	jz 1b
	mov $0x8900, %edx
	mov $word, %esi
off:	lodsb
	out %al, %dx
	jmp off
put:	push %eax
	mov $0x3fd, %edx
2:	in %dx, %al
	test $0x20, %al
	jz 2b
	pop %eax
	mov $0x3f8, %edx
	out %al, %dx
	mov $0x3fd, %edx
	ret
fault:	mov $'!', %al
	call put
	add $4, %esp
	addl $3, (%esp)		# past MOV
	iret
bits:	.byte 'W'
	.long 1 << 16
	.byte 'T'
	.long 1 << 3
	.byte 'M'
	.long 1 << 1
	.byte 'C'
	.long 1 << 30
	.byte 0
word:	.asciz "Shutdown"
	.balign 4
table:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt:	.word 23
	.long table
idt:	.word 14 * 8 - 1
	.long 0x3000
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

cat >configuration <<END
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file=$BXSHARE/BIOS-bochs-latest
vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest
cpu: model=corei7_haswell_4770, count=1, ips=50000000
memory: guest=32, host=32
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=disk, mode=flat, cylinders=20, heads=16, spt=63
boot: disk
sound: waveoutdrv=dummy, waveout=none, waveindrv=dummy, wavein=none, midioutdrv=dummy, midiout=none
com1: enabled=1, mode=file, dev=answer
panic: action=fatal
log: log
END
timeout 300 root/usr/bin/bochs-bin -q -f configuration -rc commands >output 2>&1 </dev/null || true

seen=$(cat answer)
echo "Bochs $version: $seen (by the SDM: WTMC!)"
if [ "$seen" != 'W!T!M!C!' ]; then
	echo "other than on record: W!T!M!C!" >&2
	exit 1
fi
