#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Bochs 2.7 (Debian 12, bochs 2.7+dfsg-4+deb12u1), optramimage.
#
# Expected: "optramimage1: file=FILE, address=ADDRESS" loads FILE into the machine's memory at ADDRESS before the
# machine starts. The documentation names no largest size, and the log says "ram at ADDRESS/SIZE" for any.
# Seen: only what lies in the 128 KiB block of memory that holds ADDRESS arrives. The rest of ADDRESS's range reads as
# something else, mostly zeros, though the log reports the whole size.
#
# So a kernel or an initramfs that is loaded in this way is damaged without a message. Memory that the emulator hands
# out in blocks when each is first used explains it: the file is read past the end of the first block in one piece.
#
# This script needs Debian 12 on amd64 with apt-get, gcc, binutils and python3. It installs nothing outside its
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

# A file in which each four bytes are their own address, and a boot sector that counts those that are not, in the
# first 64 KiB and in the 128 KiB block behind them.
python3 - <<'END'
import struct
open("image", "wb").write(b"".join(struct.pack("<I", 0x1000000 + at) for at in range(0, 0x40000, 4)))
END
cat >sector.S <<'END'
	.code16
	cli
	xor %ax, %ax
	mov %ax, %ds
	mov $0x3fb, %dx
	mov $3, %al		# COM1 has 8 bits a character
	out %al, %dx
	lgdtl gdt		# DS keeps a limit of 4 GiB from protected mode
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	mov $8, %bx
	mov %bx, %ds
	and $~1, %al
	mov %eax, %cr0
	xor %bx, %bx
	mov %bx, %ds
	mov $0x1000000, %esi
	call look
	mov $0x1020000, %esi
	call look
	mov $'\n', %al
	call put
1:	in %dx, %al		# until it has sent all
	test $0x40, %al
	jz 1b
	mov $0x8900, %dx
	mov $word, %si
off:	lodsb
	out %al, %dx
	jmp off
look:	mov $0x4000, %cx	# + if 64 KiB from ESI are as in the file, - otherwise
	mov $'+', %al
2:	cmpl %esi, %ds:(%esi)
	je 3f
	mov $'-', %al
3:	add $4, %esi
	loop 2b
put:	push %ax
	mov $0x3fd, %dx
4:	in %dx, %al
	test $0x20, %al
	jz 4b
	pop %ax
	mov $0x3f8, %dx
	out %al, %dx
	mov $0x3fd, %dx
	ret
word:	.asciz "Shutdown"
	.balign 4
table:	.quad 0, 0x00cf93000000ffff
gdt:	.word 15
	.long table
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
optramimage1: file=image, address=0x1000000
sound: waveoutdrv=dummy, waveout=none, waveindrv=dummy, wavein=none, midioutdrv=dummy, midiout=none
com1: enabled=1, mode=file, dev=answer
panic: action=fatal
log: log
END
timeout 300 root/usr/bin/bochs-bin -q -f configuration -rc commands >output 2>&1 </dev/null || true

seen=$(cat answer)
echo "Bochs $version: $seen (expected: ++); $(grep -o 'ram at .*/[0-9]*' log)"
if [ "$seen" != '+-' ]; then
	echo "other than on record: +-" >&2
	exit 1
fi
